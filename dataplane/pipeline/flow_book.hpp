/// The flow table together with what the rest of the system is told about it: events, counters, records for a dump.
/// Stages change flows through this, so that no flow comes or goes unnoticed.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include <sluice/abi/messages.hpp>
#include <sluice/abi/telemetry.hpp>

#include "dataplane/flow/error_budget.hpp"
#include "dataplane/flow/flow_table.hpp"
#include "dataplane/flow/segments_beside.hpp"
#include "dataplane/pipeline/burst.hpp"
#include "dataplane/pipeline/events.hpp"
#include "dataplane/pipeline/limits.hpp"
#include "dataplane/pipeline/syn_proxy.hpp"

namespace sluice::dp {

/// The rule that decided, as far as flows care.
struct Ruling {
    abi::RuleSlot slot{abi::kNoSlot};
    abi::Verdict verdict{};
    abi::RuleLog log{};
    abi::RuleLimits limits{};
    abi::OnChange on_change{};
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
    std::uint64_t tables_sequence{};
    std::uint32_t tables_since{};  ///< the policy_seq of that, or 2^30 before ours: flows that are older are looked at
    std::span<const std::uint32_t> valid_since;  ///< ActiveTables::valid_since; holds for this loop
    std::span<const std::uint64_t> live_slots;   ///< ActiveTables::live_slots; the same
    const SetView* members{};                    ///< null: the tables ask no set
};

class FlowBook {
public:
    FlowBook(const WorkerConfig& config, abi::WorkerCounters& counters, EventWriter& events,
             std::uint32_t rule_slots) noexcept;

    FlowTable table;
    SegmentsBeside late_syns, first_syn_acks;
    ErrorBudget icmp_errors;
    SynProxy syn_proxy;

    /// Flows of an earlier process, from a slab that is not this table's own. Before the first loop.
    void take_over(const FlowSlab& old, const FlowMove& move, const RecoveryLimits& limits) noexcept;

    /// Once per loop: which policy speaks. Its settings hold from now on, for old flows too. `pickup_open`: flows may
    /// be taken up in mid-stream.
    void use(const PolicyStamp& stamp, const TableView& view, bool pickup_open) noexcept;
    abi::SeqCheck seq_check() const noexcept { return seq_check_; }
    bool pickup_open() const noexcept { return pickup_open_; }
    const PolicyStamp& stamp() const noexcept { return stamp_; }
    /// Not judged under the tables that speak now. One compare; only then is there more to ask.
    bool old(FlowHandle h) const noexcept { return table.hot(h).policy_seq != stamp_.policy_seq; }
    /// It is over, and its ends may not know. A marked flow is always stale.
    bool marked(FlowHandle h) const noexcept { return table.hot(h).marked(); }
    /// What an old flow was judged by has changed since: the policy must be asked again.
    bool concerned(FlowHandle h) const noexcept {
        const FlowHot& e = table.hot(h);
        const auto slot = static_cast<std::size_t>(e.slot());
        // A kept flow is not decided by the rule that it stands under, and one that was never judged (0: marked, or of
        // the process before this one) by none: nothing is known about them.
        if (e.kept() || e.policy_seq == 0) return true;
        const std::uint32_t since = slot < stamp_.valid_since.size() ? stamp_.valid_since[slot] : stamp_.tables_since;
        if (stamp_.policy_seq - e.policy_seq > stamp_.policy_seq - since) return true;
        return stamp_.members != nullptr && set_changed(h);
    }
    /// Old and concerned. What is merely old has been judged under these tables with that, and is not asked again.
    bool stale(FlowHandle h) noexcept {
        if (!old(h)) return false;
        if (concerned(h)) return true;
        restamp(h);
        return false;
    }

    /// Makes packet i's flow: its original direction is that packet's. TCP and SCTP in phase `established`: taken up in
    /// mid-stream, else opened by this packet. Its limits must allow it; where the table has no room, a flow that is
    /// worth less dies for it (eviction.hpp).
    /// `over`: a flow with the same key whose place it takes; that one ends only if the new one may be.
    Admission start(const Burst& burst, std::size_t i, const Ruling& ruling, FlowPhase phase, FlowHandle over) noexcept;
    /// As `start`, of a flow whose SYN was answered with a cookie, by the ACK that brings it back: the server is still
    /// to be asked.
    Admission start_proxied(const Burst& burst, std::size_t i, const Ruling& ruling, const CookieAck& ack,
                            FlowHandle over) noexcept;
    /// The SYN of packet i is to be answered with a cookie: its rule wants that, it or the table has as many half-open
    /// flows as there may be, and no other limit refuses it.
    bool wants_cookie(const Burst& burst, std::size_t i, const Ruling& ruling, FlowHandle over) noexcept;
    /// What the packet path does to a live flow's phase.
    void set_phase(FlowHandle h, FlowPhase phase, std::uint32_t now_tick) noexcept;
    void end(FlowHandle h, abi::FlowEnd why, const Moment& moment) noexcept;
    /// Ends the flow and starts one with the same key, direction and rule in its place, opened by `syn`.
    void renew(FlowHandle h, const TcpSegment& syn, const Moment& moment) noexcept;
    /// Packet i passes although its numbers don't fit its flow (`seq_check: log`).
    void note_violation(const Burst& burst, std::size_t i, abi::DropReason reason) noexcept;
    /// Ends a flow that the current policy no longer allows; the event names the rule that decided so.
    void end_by_policy(FlowHandle h, const Ruling& ruling, const Moment& moment) noexcept;
    /// Somebody who may has asked for its end.
    void end_by_request(FlowHandle h, const Moment& moment) noexcept;
    /// As the two above, but a mark stays, so that the flow's next packet can be answered. Marked flows are no longer
    /// counted as flows.
    void mark_by_policy(FlowHandle h, const Ruling& ruling, const Moment& moment) noexcept;
    void mark_by_request(FlowHandle h, const Moment& moment) noexcept;
    /// Removes what is left of a marked flow.
    void forget_mark(FlowHandle h) noexcept;
    /// Still allowed: the flow carries on under the rule that says so now.
    void restamp(FlowHandle h, const Ruling& ruling, const Passage& passage, const Moment& moment) noexcept;
    /// Nothing that concerns it has changed: as if it had been judged now.
    void restamp(FlowHandle h) noexcept { table.hot(h).policy_seq = stamp_.policy_seq; }
    /// No longer allowed, and kept under the rule that once allowed it; `ruling` is what would have ended it. If that
    /// rule is gone, the flow stands under the one of `ruling` from now on: the slot may become another rule's.
    void keep(FlowHandle h, const Ruling& ruling, const Passage& passage, const Moment& moment) noexcept;

    /// Where the flow's original direction arrives.
    PortIndex arrival_port(FlowHandle h) const noexcept;
    PortIndex partner_of(PortIndex port) const noexcept { return wire_partner_[static_cast<std::size_t>(port)]; }
    /// How the flow's original direction passes, with the zones of the ports as `view` names them.
    Passage original_passage(FlowHandle h, const TableView& view) const noexcept;
    abi::FlowRecord record(FlowHandle h, const Moment& moment) const noexcept;

    /// A bounded share of the ageing.
    void age(const Moment& moment) noexcept;

private:
    static constexpr std::size_t kExpiredPerLoopMax = 256;
    static constexpr std::uint32_t kSourcesMin = 1024;  ///< 32 KiB
    static constexpr std::size_t kStampsKept = 8;

    /// The tables of a policy, and the numbers under which they have spoken.
    struct KnownTables {
        std::uint64_t generation{}, tables_sequence{};
        std::uint32_t first{}, last{};  ///< policy_seq
    };

    bool set_changed(FlowHandle h) const noexcept;
    abi::FlowEvent event_about(FlowHandle h, abi::EventKind kind, const Moment& moment) const noexcept;
    void say_end(FlowHandle h, abi::FlowEnd why, const Ruling& ruling, const Moment& moment) noexcept;
    void set_zones(FlowHandle h, const Passage& passage) noexcept;
    bool has_rule(abi::RuleSlot slot) const noexcept {
        const auto n = static_cast<std::size_t>(slot);
        if (stamp_.live_slots.empty()) return true;
        return n / 64 < stamp_.live_slots.size() && (stamp_.live_slots[n / 64] >> (n % 64) & 1U) != 0;
    }
    void say_policy_end(FlowHandle h, const Ruling& ruling, const Moment& moment) noexcept;
    void say_request_end(FlowHandle h, const Moment& moment) noexcept;
    void mark(FlowHandle h) noexcept;
    void forget(FlowHandle h) noexcept;
    void forget_segments(FlowHandle h) noexcept;
    void forget_proxy(FlowHandle h) noexcept;
    bool make_room(abi::IpFamily family, FlowPhase phase, const Moment& moment) noexcept;
    bool make_room_to_translate(const Moment& moment) noexcept;
    void evict(FlowHandle h, abi::FlowPressure pressure, const Moment& moment) noexcept;
    void feel(abi::FlowPressure pressure, const Moment& moment) noexcept;
    Admission make(const Burst& burst, std::size_t i, const Ruling& ruling, FlowPhase phase, const CookieAck* cookie,
                   FlowHandle over) noexcept;
    CountedFlow asking(const Burst& burst, std::size_t i, const Ruling& ruling) const noexcept;
    void stamp(FlowHandle h, const Ruling& ruling, const Passage& passage) noexcept;
    CountedFlow counted(FlowHandle h, abi::RuleSlot slot) const noexcept;
    std::optional<abi::DropReason> refusal(const CountedFlow& who, const Ruling& ruling, FlowHandle over,
                                           std::uint32_t now_tick) noexcept;
    void count_kept(std::uint32_t now_tick) noexcept;
    void count_levels() noexcept;
    PortIndex low_port(FlowHandle h) const noexcept;
    std::uint64_t generation_of(std::uint32_t policy_seq) const noexcept;

    Limits limits_;
    abi::WorkerCounters& counters_;
    EventWriter& events_;
    std::array<PortIndex, abi::kPortsMax> wire_partner_;
    std::uint8_t worker_;
    PolicyStamp stamp_{};
    abi::SeqCheck seq_check_{};
    bool pickup_open_{};
    std::array<KnownTables, kStampsKept> known_tables_{};  ///< to tell under which generation a flow was judged
    std::size_t newest_tables_{};
    abi::FlowPressure pressure_{};
    std::uint32_t pressure_tick_{};  ///< when it was felt last
    std::uint32_t marks_{};          ///< entries that are only marks
};

/// Fields that every event about packet i has.
abi::FlowEvent event_of(const Burst& burst, std::size_t i, abi::EventKind kind, std::uint64_t generation) noexcept;

}  // namespace sluice::dp
