/// Time that crosses the process boundary: CLOCK_MONOTONIC of this host, in nanoseconds. Both processes run on one
/// kernel, so the control plane turns it into UTC for people; a step of the wall clock never reaches the dataplane
/// (CASES A7).
#pragma once

#include <compare>
#include <cstdint>
#include <ctime>

namespace sluice::abi {

struct MonoTime {
    std::uint64_t ns{};  ///< 0 = never

    static MonoTime now() noexcept {
        timespec ts{};
        clock_gettime(CLOCK_MONOTONIC, &ts);
        return {static_cast<std::uint64_t>(ts.tv_sec) * 1'000'000'000U + static_cast<std::uint64_t>(ts.tv_nsec)};
    }
    constexpr auto operator<=>(const MonoTime&) const = default;
};

}  // namespace sluice::abi
