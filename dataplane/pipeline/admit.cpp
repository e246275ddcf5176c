#include "dataplane/pipeline/admit.hpp"

#include "dataplane/pipeline/parse.hpp"
#include "dataplane/pipeline/rejudge.hpp"
#include "dataplane/pipeline/track.hpp"

namespace sluice::dp {

namespace {

using abi::DropReason;

struct Desk {
    Burst& burst;
    const TableView& view;
    FlowBook& flows;
    RuleMeter& rules;
    EventWriter& events;
    abi::WorkerCounters& counters;
};

void refuse(Burst& burst, std::size_t i, abi::Verdict verdict) noexcept {
    burst.decided_by_rule[i] = true;
    burst.drop(i, reason_of_denial(burst.parsed[i]));
    if (verdict != abi::Verdict::reject) return;
    burst.drop(i, DropReason::policy_reject);
    burst.fate[i] = Fate::drop_answered;
}

/// An observe rule that would have decided: recorded, then as if it were not there.
void note_observed(const Desk& d, std::size_t i, abi::RuleIndex rule) noexcept {
    const abi::RuleRecord& r = d.view.rule(rule);
    d.rules.hit(r.slot, d.burst.moment.mono);
    abi::FlowEvent event = event_of(d.burst, i, abi::EventKind::observed, d.flows.stamp().generation);
    event.slot = r.slot;
    event.verdict = r.verdict;
    d.events.write_sampled(event);
}

/// Rules of earlier layers that left the packet to the one that has decided. Hits only: its flow is not theirs.
void note_passed(const Desk& d, std::size_t i) noexcept {
    const PassTrail& trail = d.burst.passed[i];
    for (std::uint32_t k = 0; k < trail.count; ++k) d.rules.hit(d.view.rule(trail.rules[k]).slot, d.burst.moment.mono);
}

void note_refused(const Desk& d, std::size_t i, const Ruling& ruling) noexcept {
    if (ruling.log == abi::RuleLog::none) return;
    const bool rejected = ruling.verdict == abi::Verdict::reject;
    abi::FlowEvent event = event_of(d.burst, i, rejected ? abi::EventKind::flow_rejected : abi::EventKind::flow_denied,
                                    d.flows.stamp().generation);
    event.slot = ruling.slot;
    event.verdict = ruling.verdict;
    event.drop = d.burst.reason[i];
    d.events.write_sampled(event);
}

/// A connection that comes to nothing, if that is what the packet asked for.
void note_refused_handshake(const Desk& d, std::size_t i) noexcept {
    const Tracked& t = d.burst.tracked[i];
    if (t.kind == TrackKind::tcp && t.cookie == CookieIn::none && opens_flow(d.burst, i))
        d.counters.tcp_handshakes_failed.add(1);
}

/// For whoever watches: one for each hit of a rule by a new flow.
void note_decided(const Desk& d, std::size_t i, const Ruling& ruling) noexcept {
    d.events.tell_new_flow(d.burst.moment.mono, [&] {
        abi::FlowEvent event = event_of(d.burst, i, abi::EventKind::new_flow, d.flows.stamp().generation);
        event.slot = ruling.slot;
        event.verdict = ruling.verdict;
        return event;
    });
}

/// The rule allowed the flow and a limit did not. (That the table is full is no rule's business; its drop says so.)
void note_limited(const Desk& d, std::size_t i, const Ruling& ruling) noexcept {
    const DropReason reason = d.burst.reason[i];
    if (reason == DropReason::flow_table_full || reason == DropReason::flow_index_full) return;
    d.burst.decided_by_rule[i] = true;
    abi::FlowEvent event = event_of(d.burst, i, abi::EventKind::limited, d.flows.stamp().generation);
    event.slot = ruling.slot;
    event.verdict = ruling.verdict;
    event.drop = reason;
    d.events.write_sampled(event);
}

/// The SYN is answered in the server's stead, and nothing of it is kept.
bool answers_with_cookie(const Desk& d, std::size_t i, const Ruling& ruling, FlowHandle over) noexcept {
    if (d.burst.tracked[i].kind != TrackKind::tcp || !opens_flow(d.burst, i)) return false;
    if (ruling.verdict != abi::Verdict::allow || !d.flows.wants_cookie(d.burst, i, ruling, over)) return false;
    if (!answer_with_cookie(d.burst, i, d.flows.syn_proxy)) return false;
    d.counters.syn_cookies_sent.add(1);
    abi::FlowEvent event = event_of(d.burst, i, abi::EventKind::syn_cookie, d.flows.stamp().generation);
    event.slot = ruling.slot;
    event.verdict = ruling.verdict;
    event.drop = DropReason::half_open_limit;
    d.events.write_sampled(event);
    return true;
}

/// The ACK that brings a cookie back makes the flow; to its own sender it says nothing new.
void open_by_cookie(const Desk& d, std::size_t i, const Ruling& ruling, FlowHandle over) noexcept {
    const Admission made = d.flows.start_proxied(d.burst, i, ruling, cookie_ack(d.burst, i), over);
    if (made.flow == kNoFlow) {
        // It believes to be connected.
        d.burst.drop(i, made.refused);
        d.burst.fate[i] = Fate::drop_answered;
        return note_limited(d, i, ruling);
    }
    d.flows.table.count_packet(made.flow, Direction::original, d.burst.packet[i].total_bytes);
    ask_server(d.burst, i, made.flow, d.flows, d.counters);
}

/// In mid-stream, and the worker takes up what an earlier process knew (CASES D5).
bool picks_up(const Desk& d, std::size_t i) noexcept {
    const TrackKind kind = d.burst.tracked[i].kind;
    return (kind == TrackKind::tcp || kind == TrackKind::sctp) && d.flows.pickup_open() && picks_up_flow(d.burst, i);
}

FlowPhase phase_of_pickup(TrackKind kind) noexcept {
    return kind == TrackKind::sctp ? FlowPhase::sctp_established : FlowPhase::established;
}

/// Without a flow and no right to open one.
bool dropped_without_question(const Desk& d, std::size_t i) noexcept {
    switch (d.burst.tracked[i].kind) {
        case TrackKind::icmp_error: d.burst.drop(i, DropReason::icmp_unrelated); return true;
        case TrackKind::icmp_reply: d.burst.drop(i, DropReason::icmp_no_flow); return true;
        case TrackKind::sctp:
            if (opens_flow(d.burst, i) || picks_up(d, i)) return false;
            d.burst.drop(i, d.flows.pickup_open() ? DropReason::sctp_bad_chunk : DropReason::sctp_no_flow);
            return true;
        case TrackKind::tcp:
            if (opens_flow(d.burst, i) || d.burst.tracked[i].cookie != CookieIn::none || picks_up(d, i)) return false;
            if (tcp_picks_up(d.burst.parsed[i].tcp.flags) && d.flows.syn_proxy.knows_of_cookies(d.burst.moment.tick) &&
                !d.flows.pickup_open()) {
                d.burst.drop(i, DropReason::syn_cookie_bad);
                return true;
            }
            // While flows are picked up, what is refused is the kind of segment and not that its flow is unknown (T5).
            d.burst.drop(i, d.flows.pickup_open() ? DropReason::tcp_bad_flags : DropReason::tcp_no_flow);
            return true;
        default: return false;
    }
}

/// `over`: the flow in whose place the packet opens a new one, if the policy and its limits allow it; else that one
/// stays (CASES D3).
void open_flow(const Desk& d, std::size_t i, FlowHandle over) noexcept {
    if (d.burst.tracked[i].kind == TrackKind::tcp && d.burst.tracked[i].cookie == CookieIn::none) {
        d.burst.tracked[i].cookie = find_cookie(d.burst, i, d.flows.syn_proxy);
    }
    if (dropped_without_question(d, i)) return;
    const Tracked& t = d.burst.tracked[i];
    if (!t.asks || t.asks_for_flow) {
        // The flow it belonged to when the burst was tracked ended on the way (at most once per packet of a burst).
        Inquiry& q = d.burst.inquiry[i];
        q.question = own_question(d.burst, i);
        d.counters.set_hits.add(lookup_with_trails(d.view, std::span<const LookupKey>{&q.question, 1},
                                                   std::span<LookupResult>{&q.answer, 1},
                                                   std::span<PassTrail>{&d.burst.passed[i], 1}));
        d.counters.lookups.add(1);
    }
    const LookupResult& answer = d.burst.inquiry[i].answer;
    const Ruling ruling = ruling_of(d.view, answer.rule);
    const bool by_cookie = t.kind == TrackKind::tcp && t.cookie != CookieIn::none;
    if (answer.observe != abi::kNoRule && !by_cookie) note_observed(d, i, answer.observe);
    d.rules.packet(ruling.slot, d.burst.packet[i].total_bytes);
    if (answers_with_cookie(d, i, ruling, over)) return;  // it is counted as a hit when there is a flow
    d.rules.hit(ruling.slot, d.burst.moment.mono);
    if (d.view.trees.entry_count > 1) [[unlikely]]
        note_passed(d, i);
    note_decided(d, i, ruling);
    const bool pickup = !by_cookie && picks_up(d, i);
    if (ruling.verdict != abi::Verdict::allow) {
        // Nobody is answered in mid-stream: this may be the reply of a flow that its original side is about to bring
        // back, and a RST would end it.
        refuse(d.burst, i, pickup ? abi::Verdict::deny : ruling.verdict);
        note_refused_handshake(d, i);
        return note_refused(d, i, ruling);
    }
    if (by_cookie) return open_by_cookie(d, i, ruling, over);
    const FlowPhase phase = pickup ? phase_of_pickup(t.kind) : first_phase(t.kind);
    const Admission made = d.flows.start(d.burst, i, ruling, phase, over);
    const FlowHandle h = made.flow;
    if (h == kNoFlow) {
        d.burst.drop(i, made.refused);
        note_refused_handshake(d, i);
        return note_limited(d, i, ruling);
    }
    if (pickup) d.counters.flow_pickup.add(1);
    d.flows.table.count_packet(h, Direction::original, d.burst.packet[i].total_bytes);
    d.burst.forward(i);
}

/// The flow was judged under an older policy. True: it may go on.
bool judge_again(const Desk& d, std::size_t i, FlowHandle h) noexcept {
    const LookupResult& answer = d.burst.inquiry[i].answer;
    const Judged judged = judge(h, d.view, answer, d.burst.passage, d.flows, d.rules, d.burst.moment, d.counters);
    if (judged == Judged::goes_on) return true;
    if (judged == Judged::marked && !follow_marked(d.burst, i, h, d.flows)) {
        open_flow(d, i, kNoFlow);  // the first packet of another conversation
        return false;
    }
    const Ruling ruling = ruling_of(d.view, answer.rule);
    d.rules.packet(ruling.slot, d.burst.packet[i].total_bytes);
    if (judged == Judged::ended) refuse(d.burst, i, ruling.verdict);
    return false;
}

/// A usual packet, whose flow the policy was asked about and goes on allowing. False: it is no usual one any more, and
/// nothing else has changed.
bool admit_as_usual(const Desk& d, std::size_t i) noexcept {
    const UsualPackets& usual = d.burst.usual;
    const FlowHandle h = d.flows.table.find_at(d.burst.likely[i], usual.key[i], usual.hash[i]);
    const bool lives = h != kNoFlow && d.flows.table.hot(h).phase != FlowPhase::free && !d.flows.marked(h);
    const LookupResult& answer = d.burst.inquiry[i].answer;
    if (lives && ruling_of(d.view, answer.rule).verdict == abi::Verdict::allow) {
        // A packet before this one may have brought the flow up to date.
        if (d.flows.stale(h)) judge(h, d.view, answer, d.burst.passage, d.flows, d.rules, d.burst.moment, d.counters);
        if (follow_as_usual(d.burst, i, h, d.flows, d.rules, d.counters)) return true;
    }
    look_closer(d.burst, i);
    return false;
}

void admit_one(const Desk& d, std::size_t i) noexcept {
    if (d.burst.usual.has(i) && admit_as_usual(d, i)) return;
    const FlowHandle h = find_flow(d.burst, i, d.flows.table);
    if (h == kNoFlow) return open_flow(d, i, kNoFlow);
    if (d.flows.stale(h)) {
        if (d.flows.marked(h)) {
            if (!follow_marked(d.burst, i, h, d.flows)) open_flow(d, i, kNoFlow);
            return;
        }
        if (!judge_again(d, i, h)) return;
    }
    if (d.burst.tracked[i].kind == TrackKind::icmp_error) {
        return follow_related(d.burst, i, h, d.flows, d.rules, d.counters);
    }
    if (!follow_flow(d.burst, i, h, d.flows, d.rules, d.counters)) open_flow(d, i, h);
}

}  // namespace

void admit(Burst& burst, const TableView& view, FlowBook& flows, RuleMeter& rules, EventWriter& events,
           abi::WorkerCounters& counters) noexcept {
    if (burst.waiting_count == 0) return;
    const Desk desk{burst, view, flows, rules, events, counters};
    for (std::size_t i = 0; i < burst.count; ++i) {
        if (burst.fate[i] != Fate::undecided || !burst.tracked[i].asks) continue;
        rules.prefetch(view.rule(burst.inquiry[i].answer.rule).slot);
    }
    for (std::size_t i = 0; i < burst.count; ++i) {
        if (burst.fate[i] == Fate::undecided && burst.tracked[i].waits) admit_one(desk, i);
    }
}

}  // namespace sluice::dp
