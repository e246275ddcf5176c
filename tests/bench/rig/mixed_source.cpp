#include "tests/bench/rig/mixed_source.hpp"

#include <algorithm>

namespace sluice::bench {

std::size_t MixedSource::receive(dp::PortIndex port, std::span<dp::Packet> out) noexcept {
    const auto all = static_cast<double>(made() + out.size());
    const double missing = share_ * all - static_cast<double>(some_.made());
    const auto wanted = static_cast<std::size_t>(std::clamp(missing, 0.0, static_cast<double>(out.size())));
    std::size_t count = wanted == 0 ? 0 : some_.receive(port, out.first(wanted));
    if (count < out.size()) count += rest_.receive(port, out.subspan(count));
    return count;
}

}  // namespace sluice::bench
