/// What one worker promises, said as slowly and plainly as we can: this is the specification that the simulation holds
/// the product to. It shares the ABI's types and the reference matcher with the product, nothing else.
///
/// Theory of operation. Flows stand in a map by an unambiguous key. Time is counted in the flow table's hundredths of a
/// second, in 64 bits, so that nothing wraps here. A flow is over when its timeout under the policy of the moment has
/// passed since its last sign of life; the table may keep it a little longer (kLapMs), but for every packet it is gone.
/// What a crash leaves of a worker is its flows; each has to show its right to pass again.
///
/// What a TCP segment does to its flow, another model says, which the unit tests of the tracker hold it to as well
/// (tests/unit/dataplane/flow/tcp_model.hpp). It knows nothing of time, of rules, or of a SYN whose answer begins a
/// flow anew: that is here.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <sluice/abi/messages.hpp>
#include <sluice/abi/telemetry.hpp>

#include "controlplane/policy/model.hpp"
#include "dataplane/acl/lookup.hpp"
#include "tests/simulation/letter.hpp"

namespace sluice::sim {

/// One generation as the model sees it.
struct Edition {
    std::uint64_t generation{};
    cp::Policy policy;
    std::vector<abi::RuleSlot> slots;                ///< by rule index, the default's last
    std::array<abi::ZoneId, kPorts> zone_of_port{};  ///< by port index
    std::span<const abi::RuleSlot> rule_slots() const { return std::span{slots}.first(policy.rules.size()); }
};

struct Instant {
    std::uint64_t now_ns{};  ///< by the CPU's counter
    std::uint64_t mono_ns{};
    std::uint64_t ticks{};  ///< of the flow table; they go on when a process follows another
    std::uint64_t tick() const noexcept { return ticks; }
};

struct ModelOptions {
    std::uint32_t flow_entries_max{}, half_open_max{};
    std::uint32_t workers{1};  ///< each enforces its share of every limit
    std::size_t buffers{};
    std::uint32_t answers_per_second{};
    std::uint32_t events_per_second_and_cause{};
    std::uint32_t new_flows_per_second{};  ///< that are told to somebody who watches; 0: nobody does
    std::uint32_t rule_slots{};
};

/// What the devices do, as the schedule set them.
struct Devices {
    std::array<bool, kPorts> link_up{true, true, true, true};
    std::array<std::size_t, kPorts> tx_room{SIZE_MAX, SIZE_MAX, SIZE_MAX, SIZE_MAX};
    bool can_allocate{true};
};

struct ModelFlow {
    Tuple original{};
    std::uint8_t port{};  ///< where the original direction arrives
    abi::FlowState state{};
    abi::RuleSlot slot{};
    abi::RuleLog log{};
    std::uint64_t judged_generation{}, judged_at{};  ///< `judged_at` counts this worker's switches
    std::array<abi::ZoneId, 2> zone{};
    std::uint64_t started_tick{}, seen_tick{};
    std::array<std::uint64_t, 2> packets{}, bytes{};
    std::optional<test::TcpModel> tcp{};
    std::optional<SctpModel> sctp{};
    std::optional<test::ModelSegment> late_syn{};        ///< passed while the flow lives, and is not the flow's
    std::optional<test::TcpModel::Start> other_start{};  ///< of the server, which has named two numbers
    std::uint64_t queued{};                              ///< when it came to stand where it stands: larger is later
    bool source_counted{};                               ///< its rule limited by source when it was judged
    bool kept{};                                         ///< no longer allowed, and goes on (`on_change: keep`)
};

/// Who goes first when there is no room.
enum class Worth : std::uint8_t { half_open, closing, assured };
Worth worth(abi::FlowState state);

struct Sent {
    std::uint8_t port{};
    test::FrameBytes frame;  ///< of an answer: the frame that it answers
    bool answer{};
};

class WorkerModel {
public:
    /// How long a flow that is over may stand in the table while the worker runs: one lap of the clock hand (250 ms)
    /// and a tick for rounding. Far inside the second that CASES Q27 allows.
    static constexpr std::uint64_t kLapTicks = 26;

    WorkerModel(const ModelOptions& options, std::uint8_t worker) : options_{options}, worker_{worker} {
        rules.resize(options.rule_slots);
    }

    using Kept = std::pair<std::string, ModelFlow>;
    /// Flows of the process before this one, in the order in which its table has found them.
    void adopt(std::vector<Kept> kept, std::uint64_t now_tick);

    bool arrive(Letter letter);  ///< false: no buffer, the device missed it

    // One loop: begin, each port's burst, end. `edition` is null while no policy has been seen.
    void begin_loop(std::shared_ptr<const Edition> edition, std::uint64_t switch_number, const Instant& at);
    /// What the worker takes from a port now; returns how many packets.
    std::size_t burst(std::uint8_t port, Devices& devices);
    /// `present`: the table after the loop. Empty if it may stand so, else what is wrong. Flows that are over and gone
    /// are taken out here.
    std::string end_loop(const std::vector<abi::FlowRecord>& present);

    // What must be seen after the loop.
    struct Port {
        std::uint64_t rx_packets{}, rx_bytes{}, tx_packets{}, tx_bytes{}, originated{}, forwarded{};
        std::array<std::uint64_t, abi::kDropReasonCount> drops{};
    };
    struct Rule {
        std::uint64_t hits{}, packets{}, bytes{}, first_ns{}, last_ns{};
    };
    std::array<Port, kPorts> ports{};
    std::vector<Rule> rules;
    std::map<std::string, ModelFlow> flows;
    std::uint64_t syn_early_drop{}, closing_early_drop{};
    std::uint64_t overshoots{}, inexact_resets{}, unchecked{}, picked_up{};
    std::uint64_t pickup_until_ns{};  ///< monotonic; 0 = never
    std::uint64_t created{}, expired{}, closed{}, ended_by_policy{}, reopened{}, answers_limited{}, events_suppressed{};
    std::uint64_t kept_on_change{};
    std::vector<abi::FlowEvent> events;  ///< since taken
    std::vector<Sent> sent;              ///< since taken
    struct Fate {
        Letter letter;
        std::string text;
        bool way_out_only{};  ///< decided to pass, lost behind the decision
    };
    std::vector<Fate> fates;  ///< since taken

    std::size_t waiting() const;
    /// The dataplane is gone, and what waited at this port with it.
    template <typename Tell>
    void abandon(std::uint8_t port, Tell tell) {
        for (const Letter& letter : queue_[port]) tell(letter);
        queue_[port].clear();
    }
    const std::shared_ptr<const Edition>& edition() const noexcept { return edition_; }

private:
    struct Ruling {
        abi::RuleSlot slot{};
        abi::Verdict verdict{};
        abi::RuleLog log{};
        abi::RuleLimits limits{};
        abi::OnChange on_change{};
    };
    /// So many per second, told by what is missing in hundredths of a flow.
    struct Bucket {
        std::uint64_t missing{}, tick{};  ///< at the last spending
        std::uint64_t missing_at(std::uint64_t per_second, std::uint64_t burst, std::uint64_t now) const {
            const std::uint64_t then = std::min(missing, burst * 100);
            return then - std::min(then, (now - tick) * per_second);
        }
        bool allows(std::uint64_t per_second, std::uint64_t burst, std::uint64_t now) const {
            return missing_at(per_second, burst, now) + 100 <= burst * 100;
        }
        void spend(std::uint64_t per_second, std::uint64_t burst, std::uint64_t now) {
            missing = missing_at(per_second, burst, now) + 100;
            tick = now;
        }
    };
    enum class End : std::uint8_t { undecided, pass, drop, reject };
    struct Decision {
        End end{};
        abi::DropReason reason{};
        bool by_rule{};
    };
    struct Budget {
        std::uint64_t second_start_ns{};
        std::uint32_t used{}, suppressed{};
        abi::FlowEvent first{};
    };

    bool over(const ModelFlow& flow) const;
    std::uint64_t timeout_ticks(const ModelFlow& flow) const;
    bool stale(const ModelFlow& flow) const noexcept { return flow.judged_at != switch_number_; }
    ModelFlow* find(const Letter& letter);

    Decision without_policy(const Letter& letter);
    Decision wire_frame(const Letter& letter);
    Decision at_once(const Letter& letter, const std::set<std::string>& waiting);
    Decision in_turn(const Letter& letter);
    Decision open(const Letter& letter);
    Decision follow(const Letter& letter, ModelFlow& flow);
    test::ModelAnswer judge_tcp(ModelFlow& flow, const test::ModelSegment& s, int way);
    Decision follow_tcp(const Letter& letter, ModelFlow& flow, std::size_t way);
    Decision follow_sctp(const Letter& letter, ModelFlow& flow, std::size_t way);
    Decision go_on(const Letter& letter, ModelFlow& flow, std::size_t way, abi::FlowState next, bool sign_of_life);
    void renew(ModelFlow& flow);
    bool picking_up() const { return at_.mono_ns < pickup_until_ns; }
    bool picks_up(const Letter& letter) const;
    abi::FlowEvent flow_event(const ModelFlow& flow, abi::EventKind kind) const;
    static bool may_be_in_flight(const ModelFlow& flow, std::size_t way, const Letter& letter);
    Decision refuse(const Ruling& ruling);
    Ruling ask(const Tuple& tuple, std::uint8_t port, abi::RuleIndex* observed);
    void judge(ModelFlow& flow, const Ruling& ruling);
    void keep(ModelFlow& flow, const Ruling& ruling);
    void see_judged(ModelFlow& flow) const;
    void set_state(ModelFlow& flow, abi::FlowState next);
    bool make_room(bool half_open_one);
    /// `over`: a flow in whose place the new one would come.
    std::optional<abi::DropReason> limit(const Letter& letter, const Ruling& ruling, const ModelFlow* over);
    void spend(const Letter& letter, const Ruling& ruling);
    std::uint32_t share(std::uint32_t limit) const { return (limit + options_.workers - 1) / options_.workers; }
    /// The zone's limits, and its lowest port, by which its rate is kept.
    std::pair<abi::ZoneLimits, std::uint8_t> zone_of(std::uint8_t port) const;
    /// In the loop of a switch the flows that sent nothing are judged, too. (A worker with many takes more loops.)
    void judge_idle_flows();

    void hit(abi::RuleSlot slot);
    void meter(abi::RuleSlot slot, const Letter& letter);
    void end_flow(const std::string& key, abi::FlowEnd why, const Ruling& ruling, bool wanted);
    void end_naturally(const std::string& key, abi::FlowEnd why);

    abi::FlowEvent event_about(const Letter& letter, abi::EventKind kind) const;
    void write_sampled(const abi::FlowEvent& event);
    void write_new_flow(abi::FlowEvent event, const Ruling& ruling);
    bool write_within(std::size_t cause, std::uint32_t per_second, const abi::FlowEvent& event);
    void report(Budget& budget);
    void settle();
    void account_drop(const Letter& letter, const Decision& decision);
    bool take_answer();
    void leave(std::vector<Letter>& letters, std::vector<Decision>& decisions, Devices& devices);

    ModelOptions options_;
    std::uint8_t worker_;
    std::array<std::deque<Letter>, kPorts> queue_;
    std::shared_ptr<const Edition> edition_;
    std::uint64_t switch_number_{}, switched_tick_{};
    bool has_run_{};
    Instant at_{};
    std::map<std::size_t, Budget> budgets_;
    std::uint64_t queue_clock_{};
    std::map<abi::RuleSlot, Bucket> rule_rates_;
    std::map<std::string, Bucket> source_rates_;  ///< by slot and source
    std::array<Bucket, kPorts> zone_rates_{};
    std::map<std::string, Bucket> error_budgets_;  ///< by flow, also of flows that are gone
    bool answered_{};
    std::uint64_t answer_start_ns_{}, answer_refills_{}, answer_tokens_{};
};

/// Both directions of a conversation give the same key.
std::string flow_key(std::uint8_t port, const Tuple& tuple, Role role);
/// Whose flow the packet is of, if there is one.
std::string flow_key(const Letter& letter);
/// The packet goes the way that the flow's first packet went.
bool goes_original(const ModelFlow& flow, const Tuple& tuple, Role role);

}  // namespace sluice::sim
