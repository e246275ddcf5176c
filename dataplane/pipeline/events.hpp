/// Writes a worker's flow events into its ring: never waits, overwrites the oldest. What an attacker can cause at line
/// rate (denials, drops, would-be decisions) has a budget per second and cause; what the budget leaves out is counted,
/// and the count travels with the next event of that cause, or with the second's last one (CASES X8).
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include <sluice/abi/drop_reasons.hpp>
#include <sluice/abi/telemetry.hpp>

namespace sluice::dp {

inline constexpr std::uint32_t kEventsPerSecondAndCause = 100;  ///< all workers together

class EventWriter {
public:
    EventWriter(abi::EventRingHeader& ring, std::span<abi::EventSlot> slots, abi::WorkerCounters& counters,
                std::uint32_t worker_count) noexcept;

    /// Without budget: starts and ends of flows whose rule wants them.
    void write(const abi::FlowEvent& event) noexcept;
    /// Within the budget of its cause: the drop reason, or for `observed` events one of their own.
    void write_sampled(const abi::FlowEvent& event) noexcept;
    /// Once per loop: reports what was left out in a second that is over.
    void settle(abi::MonoTime now) noexcept;

private:
    static constexpr std::size_t kObservedCause = abi::kDropReasonCount;
    static constexpr std::size_t kCauses = abi::kDropReasonCount + 1;
    static constexpr std::uint64_t kSecondNs = 1'000'000'000;

    struct Budget {
        std::uint64_t second_start_ns{};
        std::uint32_t used{};
        std::uint32_t suppressed{};
        abi::FlowEvent first_suppressed{};  ///< stands for all that were left out if no other follows
    };
    void report(Budget& budget) noexcept;

    abi::EventRingHeader& ring_;
    std::span<abi::EventSlot> slots_;
    abi::WorkerCounters& counters_;
    std::uint32_t per_second_;
    std::uint64_t written_{};
    std::uint64_t settle_at_ns_{};  ///< 0 = nothing to settle
    std::array<Budget, kCauses> budgets_{};
};

}  // namespace sluice::dp
