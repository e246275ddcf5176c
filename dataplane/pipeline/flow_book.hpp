/// The flow table together with what the rest of the system is told about it: events, counters, records for a dump.
/// Stages change flows through this, so that no flow comes or goes unnoticed.
#pragma once

#include <array>
#include <cstdint>

#include <sluice/abi/messages.hpp>
#include <sluice/abi/telemetry.hpp>

#include "dataplane/flow/error_budget.hpp"
#include "dataplane/flow/flow_table.hpp"
#include "dataplane/flow/late_syns.hpp"
#include "dataplane/pipeline/burst.hpp"
#include "dataplane/pipeline/events.hpp"
#include "dataplane/pipeline/flow_dump.hpp"
#include "dataplane/pipeline/limits.hpp"

namespace sluice::dp {

/// The rule that decided, as far as flows care.
struct Ruling {
    abi::RuleSlot slot{abi::kNoSlot};
    abi::Verdict verdict{};
    abi::RuleLog log{};
    abi::RuleLimits limits{};
};

/// A new flow, or why there is none.
struct Admission {
    FlowHandle flow{kNoFlow};
    abi::DropReason refused{};
};

/// The policy of this burst, as far as flows care.
struct PolicyStamp {
    std::uint64_t generation{};
    std::uint32_t policy_seq{};
};

class FlowBook {
public:
    FlowBook(const WorkerConfig& config, abi::WorkerCounters& counters, EventWriter& events,
             std::uint32_t rule_slots) noexcept;

    FlowTable table;
    LateSyns late_syns;
    ErrorBudget icmp_errors;

    /// Flows of an earlier process, from a slab that is not this table's own. Before the first loop.
    void take_over(const FlowSlab& old, const FlowMove& move, const RecoveryLimits& limits) noexcept;

    /// Once per loop: which policy speaks. Its settings hold from now on, for old flows too. `pickup_open`: flows may
    /// be taken up in mid-stream.
    void use(const PolicyStamp& stamp, const TableView& view, bool pickup_open) noexcept;
    abi::SeqCheck seq_check() const noexcept { return seq_check_; }
    bool pickup_open() const noexcept { return pickup_open_; }
    const PolicyStamp& stamp() const noexcept { return stamp_; }
    bool stale(FlowHandle h) const noexcept { return table.hot(h).policy_seq != stamp_.policy_seq; }

    /// Makes packet i's flow: its original direction is that packet's. TCP and SCTP in phase `established`: taken up in
    /// mid-stream, else opened by this packet. Its limits must allow it; where the table has no room, a flow that is
    /// worth less dies for it (eviction.hpp).
    Admission start(const Burst& burst, std::size_t i, const Ruling& ruling, FlowPhase phase) noexcept;
    void end(FlowHandle h, abi::FlowEnd why, const Moment& moment) noexcept;
    /// Ends the flow and starts one with the same key, direction and rule in its place, opened by `syn`.
    void renew(FlowHandle h, const TcpSegment& syn, const Moment& moment) noexcept;
    /// Packet i passes although its numbers don't fit its flow (`seq_check: log`).
    void note_violation(const Burst& burst, std::size_t i, abi::DropReason reason) noexcept;
    /// Ends a flow that the current policy no longer allows; the event names the rule that decided so.
    void end_by_policy(FlowHandle h, const Ruling& ruling, const Moment& moment) noexcept;
    /// Still allowed: the flow carries on under the rule that says so now.
    void restamp(FlowHandle h, const Ruling& ruling, const Passage& passage, const Moment& moment) noexcept;

    /// A bounded share of the ageing.
    void age(const Moment& moment) noexcept;
    /// A bounded share of the dump that the manager asked for.
    void serve(FlowDumpMailbox& mailbox, const Moment& moment) noexcept;

private:
    static constexpr std::size_t kExpiredPerLoopMax = 256;
    static constexpr std::uint32_t kSourcesMin = 1024;  ///< 32 KiB
    /// A table of ten million free entries is walked in 611 loops, 0.2 s of an idle worker; the manager waits for 1 s.
    static constexpr std::uint32_t kDumpScanPerLoop = 16'384;  ///< 64 KiB of packed deadlines: some 4 us
    static constexpr std::uint32_t kDumpRecordsPerLoop = 64;   ///< each misses the cache a few times: some 20 us
    static constexpr std::size_t kStampsKept = 8;

    abi::FlowEvent event_about(FlowHandle h, abi::EventKind kind, const Moment& moment) const noexcept;
    void say_end(FlowHandle h, abi::FlowEnd why, const Ruling& ruling, const Moment& moment) noexcept;
    void forget(FlowHandle h) noexcept;
    bool make_room(abi::IpFamily family, FlowPhase phase, const Moment& moment) noexcept;
    void evict(FlowHandle h, abi::FlowPressure pressure, const Moment& moment) noexcept;
    void feel(abi::FlowPressure pressure, const Moment& moment) noexcept;
    void stamp(FlowHandle h, const Ruling& ruling, const Passage& passage) noexcept;
    CountedFlow counted(FlowHandle h, abi::RuleSlot slot) const noexcept;
    void count_kept() noexcept;
    void count_levels() noexcept;
    std::uint8_t arrival_port(FlowHandle h) const noexcept;
    abi::FlowRecord record(std::uint32_t index, const Moment& moment) const noexcept;
    std::uint64_t generation_of(std::uint32_t policy_seq) const noexcept;

    Limits limits_;
    abi::WorkerCounters& counters_;
    EventWriter& events_;
    std::array<PortIndex, abi::kPortsMax> wire_partner_;
    std::uint8_t worker_;
    PolicyStamp stamp_{};
    abi::SeqCheck seq_check_{};
    bool pickup_open_{};
    std::array<PolicyStamp, kStampsKept> known_stamps_{};  ///< to tell under which generation a flow was judged
    std::size_t next_stamp_{};
    abi::FlowPressure pressure_{};
    std::uint32_t pressure_tick_{};  ///< when it was felt last
    std::uint32_t dump_at_{};
    bool dump_running_{};
};

/// Fields that every event about packet i has.
abi::FlowEvent event_of(const Burst& burst, std::size_t i, abi::EventKind kind, std::uint64_t generation) noexcept;

}  // namespace sluice::dp
