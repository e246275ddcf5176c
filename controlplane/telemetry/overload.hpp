/// What is given up when there is too much of everything, in this order: each step costs somebody more than the one
/// before. A mirror would stand behind events; there is none. Flows that both ends have agreed to are not in the list:
/// nothing ends them for want of room.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include <sluice/abi/clock.hpp>

namespace sluice::cp {

enum class OverloadStep : std::uint8_t {
    samples,    ///< events beyond the budget of their cause are counted, not written (100 a second and drop reason)
    events,     ///< a ring was overwritten before it was read: starts and ends of flows are missing in logs and records
    half_open,  ///< flows that nobody has answered yet end for new ones, then those that both ends have closed
    new_flows,  ///< there is no room: new flows are refused
};
inline constexpr std::size_t kOverloadStepCount = 4;
inline constexpr std::array<std::string_view, kOverloadStepCount> kOverloadSteps{"samples", "events", "half_open",
                                                                                 "new_flows"};

using OverloadCounts = std::array<std::uint64_t, kOverloadStepCount>;

/// Which steps were taken of late, from counters that only go up.
class OverloadLadder {
public:
    /// A step shows for so long: two collections.
    static constexpr std::uint64_t kShownNs = 2'000'000'000;

    /// How often each step was taken so far; the first call only begins.
    void add(abi::MonoTime now, const OverloadCounts& taken) noexcept;
    bool on(OverloadStep step, abi::MonoTime now) const noexcept;
    /// The last in order; nothing while all is well.
    std::optional<OverloadStep> highest(abi::MonoTime now) const noexcept;

private:
    bool begun_{};
    OverloadCounts taken_{};
    std::array<abi::MonoTime, kOverloadStepCount> last_{};  ///< 0 = never
};

}  // namespace sluice::cp
