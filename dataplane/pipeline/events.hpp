/// Writes a worker's flow events into its ring: never waits, overwrites the oldest. What an attacker can cause at line
/// rate (denials, drops, would-be decisions) has a budget per second and cause; what the budget leaves out is counted,
/// and the count travels with the next event of that cause, or with the second's last one (CASES X8). What was decided
/// about new flows is told only while somebody watches, within a budget that the watcher names.
#pragma once

#include <algorithm>
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
    /// Whether, and how many a second of all workers together; 0 = nobody watches. Once per loop.
    void watch_new_flows(std::uint32_t per_second) noexcept {
        if (per_second == new_flows_per_second_) return;
        new_flows_per_second_ = per_second;
        new_flows_share_ = per_second == 0 ? 0 : std::max(1U, per_second / worker_count_);
    }
    /// A `new_flow` event, if somebody watches: what its budget leaves out is counted with the events only. `make`
    /// makes it. Of a flood most flows are left out, and those cost a comparison and an addition.
    template <typename Make>
    void tell_new_flow(abi::MonoTime now, const Make& make) noexcept {
        if (new_flows_share_ == 0) return;
        Budget& budget = budgets_[kNewFlowCause];
        const bool same_second = now.ns - budget.second_start_ns < kSecondNs;
        if (same_second && budget.used >= new_flows_share_ && budget.suppressed != 0) {
            ++budget.suppressed;
            return;
        }
        write_within(budget, new_flows_share_, make());
    }
    /// Once per loop: reports what was left out in a second that is over.
    void settle(abi::MonoTime now) noexcept;

private:
    static constexpr std::size_t kObservedCause = abi::kDropReasonCount;
    static constexpr std::size_t kNewFlowCause = abi::kDropReasonCount + 1;
    static constexpr std::size_t kCauses = abi::kDropReasonCount + 2;
    static constexpr std::uint64_t kSecondNs = 1'000'000'000;

    struct Budget {
        std::uint64_t second_start_ns{};
        std::uint32_t used{};
        std::uint32_t suppressed{};
        abi::FlowEvent first_suppressed{};  ///< stands for all that were left out if no other follows
    };
    void report(Budget& budget) noexcept;
    /// False: it was left out.
    bool write_within(Budget& budget, std::uint32_t per_second, const abi::FlowEvent& event) noexcept;

    abi::EventRingHeader& ring_;
    std::span<abi::EventSlot> slots_;
    abi::WorkerCounters& counters_;
    std::uint32_t worker_count_;
    std::uint32_t per_second_;
    std::uint32_t new_flows_per_second_{}, new_flows_share_{};  ///< of all workers, and of this one
    std::uint64_t written_{};
    std::uint64_t settle_at_ns_{};  ///< 0 = nothing to settle
    std::array<Budget, kCauses> budgets_{};
};

}  // namespace sluice::dp
