/// So many per second, in eight bytes: a bucket that is told by what is missing in it, so that zeroed memory is a full
/// one. Time is the flow table's tick.
#pragma once

#include <algorithm>
#include <cstdint>

namespace sluice::dp {

inline constexpr std::uint32_t kTicksPerSecond = 100;

class Rate {
public:
    /// `per_second` in the long run, `burst` at once; both from 1 to abi::kRateLimitMax. What was spent under another
    /// limit counts, but never for more than a full bucket of this one.
    bool allows(std::uint32_t per_second, std::uint32_t burst, std::uint32_t now_tick) const noexcept {
        return debt_at(per_second, burst, now_tick) + kCost <= burst * kCost;
    }
    void spend(std::uint32_t per_second, std::uint32_t burst, std::uint32_t now_tick) noexcept {
        debt_ = debt_at(per_second, burst, now_tick) + kCost;
        tick_ = now_tick;
    }
    /// Nothing is missing any more, whatever the limit is: a bucket that holds a second's worth is full after one.
    bool rested(std::uint32_t now_tick) const noexcept { return debt_ == 0 || now_tick - tick_ >= kTicksPerSecond; }

private:
    static constexpr std::uint32_t kCost = kTicksPerSecond;  ///< a tick gives `per_second` back

    std::uint32_t debt_at(std::uint32_t per_second, std::uint32_t burst, std::uint32_t now_tick) const noexcept {
        const std::uint64_t back = std::uint64_t{per_second} * (now_tick - tick_);
        const std::uint32_t debt = std::min(debt_, burst * kCost);
        return back >= debt ? 0 : debt - static_cast<std::uint32_t>(back);
    }

    std::uint32_t debt_{};
    std::uint32_t tick_{};
};
static_assert(sizeof(Rate) == 8);

}  // namespace sluice::dp
