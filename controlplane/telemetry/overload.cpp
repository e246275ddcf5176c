#include "controlplane/telemetry/overload.hpp"

#include <utility>

namespace sluice::cp {

void OverloadLadder::add(abi::MonoTime now, const OverloadCounts& taken) noexcept {
    const OverloadCounts before = std::exchange(taken_, taken);
    if (!std::exchange(begun_, true)) return;
    for (std::size_t s = 0; s < kOverloadStepCount; ++s) {
        if (taken[s] > before[s]) last_[s] = now;
    }
}

bool OverloadLadder::on(OverloadStep step, abi::MonoTime now) const noexcept {
    const abi::MonoTime last = last_[static_cast<std::size_t>(step)];
    return last.ns != 0 && now.ns - last.ns < kShownNs;
}

std::optional<OverloadStep> OverloadLadder::highest(abi::MonoTime now) const noexcept {
    for (std::size_t s = kOverloadStepCount; s-- > 0;) {
        if (on(static_cast<OverloadStep>(s), now)) return static_cast<OverloadStep>(s);
    }
    return std::nullopt;
}

}  // namespace sluice::cp
