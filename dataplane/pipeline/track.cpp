#include "dataplane/pipeline/track.hpp"

#include <algorithm>
#include <utility>

#include "dataplane/flow/sctp_state.hpp"
#include "dataplane/flow/tcp_flags.hpp"
#include "dataplane/flow/tcp_state.hpp"
#include "dataplane/flow/tcp_window.hpp"
#include "dataplane/pipeline/handshake.hpp"
#include "dataplane/pipeline/parse.hpp"
#include "dataplane/pipeline/rejudge.hpp"
#include "dataplane/pipeline/rx.hpp"
#include "dataplane/pipeline/track_ahead.hpp"

namespace sluice::dp {

namespace {

using abi::DropReason;
using abi::L4Proto;

constexpr std::uint16_t type_code(std::uint8_t type, std::uint8_t code) noexcept {
    return static_cast<std::uint16_t>(type << 8 | code);
}

/// Request type that a query belongs to, by either of its types; 0 = no query that we pair.
struct IcmpQuery {
    std::uint8_t request{};
    bool is_reply{};
};
constexpr IcmpQuery icmp_query(L4Proto proto, std::uint8_t type) noexcept {
    if (proto == L4Proto::icmp) {
        switch (type) {
            case 8: return {8, false};  // echo
            case 0: return {8, true};
            case 13: return {13, false};  // timestamp
            case 14: return {13, true};
            case 16: return {15, true};  // information and address mask: obsolete (RFC 6918), replies never pass
            case 18: return {17, true};
            default: return {};
        }
    }
    if (type == 128) return {128, false};
    if (type == 129) return {128, true};
    return {};
}

/// Which key and kind an end-to-end message has; the same for a packet and for a packet that an ICMP error quotes.
struct Shape {
    FlowTuple tuple{};
    abi::IpFamily family{};
    IcmpFields icmp{};
};

template <typename Key>
Key shape_key(const Shape& s, bool low, FlowDomain domain, TrackKind& kind) noexcept {
    if (!is_icmp(s.tuple.proto)) {
        kind = s.tuple.proto == L4Proto::tcp    ? TrackKind::tcp
               : s.tuple.proto == L4Proto::udp  ? TrackKind::udp
               : s.tuple.proto == L4Proto::sctp ? TrackKind::sctp
                                                : TrackKind::other;
        return make_key<Key>(s.tuple, low, domain);
    }
    const IcmpQuery query = s.icmp.code == 0 ? icmp_query(s.tuple.proto, s.icmp.type) : IcmpQuery{};
    if (query.request == 0) {
        kind = TrackKind::icmp_other;
        return make_icmp_key<Key>(s.tuple, low, domain, 0, type_code(s.icmp.type, s.icmp.code),
                                  low ? Asker::low_speaks : Asker::high_speaks);
    }
    kind = query.is_reply ? TrackKind::icmp_reply : TrackKind::icmp_request;
    const bool asker_is_low = low != query.is_reply;
    return make_icmp_key<Key>(s.tuple, low, domain, s.icmp.id, type_code(query.request, 0),
                              asker_is_low ? Asker::low_asks : Asker::high_asks);
}

void set_key(Tracked& t, const Shape& s, FlowDomain domain) noexcept {
    t.source_is_low = source_is_low(s.family, s.tuple);
    if (s.family == abi::IpFamily::v6) {
        t.v6 = shape_key<FlowKeyV6>(s, t.source_is_low, domain, t.kind);
    } else {
        t.v4 = shape_key<FlowKeyV4>(s, t.source_is_low, domain, t.kind);
    }
}

/// The same for most packets, straight from what was parsed.
void set_key_of_ports(Tracked& t, const ParsedPacket& p, FlowDomain domain) noexcept {
    t.kind = p.proto == L4Proto::tcp ? TrackKind::tcp : TrackKind::udp;
    t.source_is_low = source_is_low(p.family, p);
    if (p.family == abi::IpFamily::v6) {
        t.v6 = make_key<FlowKeyV6>(p, t.source_is_low, domain);
    } else {
        t.v4 = make_key<FlowKeyV4>(p, t.source_is_low, domain);
    }
}

/// Key and kind of packet i, or a drop.
void identify(Burst& burst, std::size_t i) noexcept {
    const ParsedPacket& p = burst.parsed[i];
    Tracked& t = burst.tracked[i];
    if (p.proto == L4Proto::tcp && !tcp_flags_legal(p.tcp.flags)) return burst.drop(i, DropReason::tcp_bad_flags);
    if (p.proto == L4Proto::tcp || p.proto == L4Proto::udp) return set_key_of_ports(t, p, burst.passage.domain);
    if (p.proto == L4Proto::sctp && !sctp_tag_legal(p.sctp)) return burst.drop(i, DropReason::sctp_bad_vtag);
    if (!is_icmp_error(p)) {
        Shape s{{p.src, p.dst, p.sport, p.dport, p.proto}, p.family, {}};
        if (is_icmp(p.proto)) s.icmp = p.icmp;
        return set_key(t, s, burst.passage.domain);
    }
    InnerTuple inner;
    if (!parse_inner(burst.packet[i], p, inner)) return burst.drop(i, DropReason::icmp_malformed);
    // The quoted packet was sent by whom the error is for; anything else is made up (CASES I4).
    if (inner.family != p.family || inner.src != p.dst) return burst.drop(i, DropReason::icmp_unrelated);
    if (claims_impossible_mtu(burst.packet[i], p)) return burst.drop(i, DropReason::icmp_bad_inner);
    set_key(t, {{inner.src, inner.dst, inner.sport, inner.dport, inner.proto}, inner.family, inner.icmp},
            burst.passage.domain);
    t.kind = TrackKind::icmp_error;
}

void identify_group(Burst& burst, Group g, const FlowTable& table) noexcept {
    const std::uint32_t here = burst.usual.mask >> g.first & ((1U << (g.last - g.first)) - 1);
    for (std::size_t i = g.first; i < g.last; ++i) burst.tracked[i].reset();
    if (here != 0) hash_usual(burst.usual, g, table);
    if (here == (1U << (g.last - g.first)) - 1) return;
    bool any_v6 = false;
    for (std::size_t i = g.first; i < g.last; ++i) {
        if (burst.usual.has(i) || burst.fate[i] != Fate::undecided) continue;
        identify(burst, i);
        if (burst.fate[i] != Fate::undecided) burst.tracked[i].kind = TrackKind::none;
        any_v6 |= burst.parsed[i].family == abi::IpFamily::v6;
    }
    hash_family(burst, g, abi::IpFamily::v4, &Tracked::v4, table);
    if (any_v6) hash_family(burst, g, abi::IpFamily::v6, &Tracked::v6, table);
}

void wait(Burst& burst, std::size_t i) noexcept {
    burst.tracked[i].waits = true;
    ++burst.waiting_count;
}

void wait_and_ask(Burst& burst, std::size_t i, const LookupKey& question, bool for_flow) noexcept {
    wait(burst, i);
    burst.tracked[i].asks = true;
    burst.tracked[i].asks_for_flow = for_flow;
    burst.inquiry[i].question = question;
}

/// What the policy is asked about a packet without a flow.
bool can_open(const Burst& burst, std::size_t i, const FlowBook& flows) noexcept {
    switch (burst.tracked[i].kind) {
        case TrackKind::none:
        case TrackKind::icmp_reply:
        case TrackKind::icmp_error: return false;
        case TrackKind::tcp:
        case TrackKind::sctp:
            return opens_flow(burst, i) || burst.tracked[i].cookie != CookieIn::none ||
                   (flows.pickup_open() && picks_up_flow(burst, i));
        default: return true;
    }
}

/// The packet goes straight on in its TCP flow. False: nothing has changed, `track_one` looks closer. What passes here
/// is what `follow_flow` would let pass, with the same traces.
[[gnu::always_inline]] inline bool follow_usual(Burst& burst, std::size_t i, const UsualSegment& s, FlowHandle h,
                                                FlowBook& flows, RuleMeter& rules) noexcept {
    FlowHot& e = flows.table.hot(h);
    if (e.phase != FlowPhase::established || flows.stale(h) || flows.table.expired(h, burst.moment.tick)) return false;
    const Direction from = e.direction_of(s.source_is_low);
    if (e.zone[index(from)] != static_cast<std::uint8_t>(burst.passage.from)) return false;
    if (!tcp_goes_straight_on(e, from, s.flags, s.seq, s.ack, s.payload_bytes, s.window)) return false;
    e.last_seen_tick = burst.moment.tick;
    flows.table.count_packet(h, from, burst.packet[i].total_bytes);
    rules.packet(e.slot(), burst.packet[i].total_bytes);
    burst.forward(i);
    return true;
}

/// IPv6 has no way of its own: it is parsed as any packet, and then passes as a usual one.
bool is_straight(const Burst& burst, std::size_t i) noexcept {
    constexpr std::uint8_t mask = tcp_flag::fin | tcp_flag::syn | tcp_flag::rst;
    return burst.tracked[i].kind == TrackKind::tcp && (burst.parsed[i].tcp.flags & mask) == 0;
}
UsualSegment segment_of(const Burst& burst, std::size_t i) noexcept {
    const ParsedPacket& p = burst.parsed[i];
    return {p.tcp.seq,    p.tcp.ack,
            p.tcp.window, static_cast<std::uint16_t>(p.payload_bytes),
            p.tcp.flags,  burst.tracked[i].source_is_low};
}

/// A packet before this one waits for the policy to open this ended flow anew: then this one is about the new flow.
bool may_be_reopened(const Burst& burst, std::size_t i, const FlowHot& e) noexcept {
    if (burst.waiting_count == 0 || !is_over(e.phase)) return false;
    for (std::size_t k = 0; k < i; ++k) {
        if (burst.tracked[k].waits && burst.tracked[k].hash == burst.tracked[i].hash) return true;
    }
    return false;
}

void track_one(Burst& burst, std::size_t i, FlowHandle h, FlowBook& flows, RuleMeter& rules,
               abi::WorkerCounters& counters) noexcept {
    if (h != kNoFlow && flows.table.expired(h, burst.moment.tick)) {
        // The hand has not come by yet; for the packet the flow is over all the same.
        flows.end(h, abi::FlowEnd::expired, burst.moment);
        h = kNoFlow;
    }
    if (h != kNoFlow && flows.stale(h)) {
        if (!flows.marked(h)) return wait_and_ask(burst, i, flow_question(burst.passage, h, flows.table), true);
        if (follow_marked(burst, i, h, flows)) return;
        h = kNoFlow;
    }
    if (h != kNoFlow) {
        if (may_be_reopened(burst, i, flows.table.hot(h))) return wait(burst, i);
        if (burst.tracked[i].kind == TrackKind::icmp_error) return follow_related(burst, i, h, flows, rules, counters);
        if (follow_flow(burst, i, h, flows, rules, counters)) return;
    }
    if (burst.tracked[i].kind == TrackKind::tcp) burst.tracked[i].cookie = find_cookie(burst, i, flows.syn_proxy);
    if (can_open(burst, i, flows)) return wait_and_ask(burst, i, own_question(burst, i), false);
    wait(burst, i);  // an earlier packet of this burst may open its flow
}

void count(const TcpResult& r, const Burst& burst, std::size_t i, FlowHandle h, FlowBook& flows,
           abi::WorkerCounters& counters) noexcept {
    if ((r.notes & tcp_note::overshoot) != 0) counters.tcp_overshoot.add(1);
    if ((r.notes & tcp_note::inexact_rst) != 0) counters.tcp_inexact_rst.add(1);
    if ((r.notes & tcp_note::window_unknown) != 0) counters.tcp_window_unknown.add(1);
    if ((r.notes & tcp_note::violation) != 0) flows.note_violation(burst, i, r.reason);
    // A kept flow's place is not for another one: the SYN may be a probe, but what answers it opens nothing.
    const bool may_renew = !flows.table.hot(h).kept();
    if ((r.notes & tcp_note::syn_on_live) != 0 && may_renew) flows.late_syns.keep(h, tcp_segment(burst.parsed[i]));
}

/// A usual packet that turns its flow: the last of a handshake, FINs and what acknowledges them. What passes here is
/// what `follow_flow` would let pass, with the same traces. False: nothing has changed, `track_one` looks closer.
bool follow_turning(Burst& burst, std::size_t i, FlowHandle h, FlowBook& flows, RuleMeter& rules,
                    abi::WorkerCounters& counters) noexcept {
    FlowHot& e = flows.table.hot(h);
    const UsualSegment& s = burst.usual.segment[i];
    // An entry that was erased since it was found is in phase `free`, in which the state machine lets nothing pass.
    if (is_over(e.phase) || e.extended()) return false;
    if (flows.table.expired(h, burst.moment.tick) || flows.stale(h)) return false;
    const Direction from = e.direction_of(s.source_is_low);
    const bool from_its_zone = e.zone[index(from)] == static_cast<std::uint8_t>(burst.passage.from);
    if (!from_its_zone) return false;
    const TcpResult r = tcp_advance(e, from, {s.flags, s.seq, s.ack, s.payload_bytes, s.window}, flows.seq_check());
    if (r.outcome != TcpOutcome::pass) return false;
    if (r.notes != 0) {
        fill_usual(burst, i);
        count(r, burst, i, h, flows, counters);
    }
    if (r.refreshes) e.last_seen_tick = burst.moment.tick;
    if (r.next != e.phase) flows.set_phase(h, r.next, burst.moment.tick);
    flows.table.count_packet(h, from, burst.packet[i].total_bytes);
    rules.packet(e.slot(), burst.packet[i].total_bytes);
    burst.forward(i);
    return true;
}

/// A usual packet of a flow that a switch concerns waits for the policy as it is: mostly it then just passes. False: it
/// is none, nothing has changed.
bool ask_about_usual(Burst& burst, std::size_t i, FlowHandle h, FlowBook& flows) noexcept {
    if (flows.table.hot(h).phase == FlowPhase::free || flows.table.expired(h, burst.moment.tick)) return false;
    if (flows.marked(h) || !flows.stale(h)) return false;
    burst.tracked[i].hash = burst.usual.hash[i];
    wait_and_ask(burst, i, flow_question(burst.passage, h, flows.table), true);
    return true;
}

/// The name of a flow that is over, and a client that has been answered with a cookie since: not with the one that
/// began this flow.
bool brings_another_cookie(const Burst& burst, std::size_t i, FlowHandle h, const FlowBook& flows) noexcept {
    if (flows.table.hot(h).extended() && flows.table.proxy(h).cookie == burst.parsed[i].tcp.ack - 1) return false;
    return find_cookie(burst, i, flows.syn_proxy) != CookieIn::none;
}

/// What a packet does to its flow's state.
struct Step {
    TcpOutcome outcome{};
    FlowPhase next{};
    DropReason reason{};
    bool refreshes{true};
};

Step step_tcp(const Burst& burst, std::size_t i, FlowHandle h, Direction from, FlowBook& flows, RuleMeter& rules,
              abi::WorkerCounters& counters) noexcept {
    const ParsedPacket& p = burst.parsed[i];
    const bool is_syn = (p.tcp.flags & tcp_flag::syn) != 0;
    if (is_syn) renew_if_answered(burst, i, h, from, flows, rules, counters);
    FlowHot& e = flows.table.hot(h);
    const TcpResult r = advance(h, from, segment_at_server(p, h, from, flows), flows);
    if (is_syn && from == Direction::reply && r.outcome == TcpOutcome::pass && flows.syn_proxy.is_wanted()) {
        learn_habits(burst, i, flows.syn_proxy);
    }
    const bool wrong_for_flow = r.outcome == TcpOutcome::drop && r.reason == DropReason::tcp_bad_rst;
    if ((wrong_for_flow || r.outcome == TcpOutcome::pass) && refuses_late_syn(p, h, from, flows)) {
        flows.late_syns.forget(h);
        if (wrong_for_flow) return {TcpOutcome::pass, e.phase, {}, false};
    }
    if (r.outcome == TcpOutcome::pass && r.notes != 0) count(r, burst, i, h, flows, counters);
    return {r.outcome, r.next, r.reason, r.refreshes};
}

Step step_sctp(const ParsedPacket& p, Direction from, FlowHot& e) noexcept {
    const SctpResult r = sctp_advance(e, from, p.sctp);
    return {r.outcome, r.next, r.reason, r.refreshes};
}

/// The packet that an ICMP error quotes is one that its sender may have sent: the first 8 bytes of its transport header
/// tell as much.
bool quotes_what_was_sent(const FlowHot& e, FlowHandle h, Direction sender, const InnerTuple& inner,
                          FlowBook& flows) noexcept {
    if (inner.proto == L4Proto::sctp) return sctp_may_have_sent(e, sender, inner.number);
    if (inner.proto != L4Proto::tcp || tcp_may_be_in_flight(e, sender, inner.number)) return true;
    // A start that is not, or not yet, the one that the flow counts from.
    const TcpSegment* start = sender == Direction::original ? flows.late_syns.find(h)
                              : is_opening(e.phase)         ? flows.first_syn_acks.find(h)
                                                            : nullptr;
    return start != nullptr && start->seq == inner.number;
}

/// As everywhere: `seq_check` rules over flows behind their handshake, and over TCP alone.
bool misquotes_are_dropped(const FlowHot& e, const InnerTuple& inner, abi::SeqCheck check) noexcept {
    return check == abi::SeqCheck::strict || inner.proto != L4Proto::tcp || e.phase <= FlowPhase::syn_received;
}

FlowPhase answered(FlowPhase phase) noexcept {
    switch (phase) {
        case FlowPhase::udp_oneway: return FlowPhase::udp_stream;
        case FlowPhase::icmp_oneway: return FlowPhase::icmp_answered;
        case FlowPhase::other_oneway: return FlowPhase::other_stream;
        default: return phase;
    }
}

}  // namespace

LookupKey own_question(const Burst& burst, std::size_t i) noexcept {
    const ParsedPacket& p = burst.parsed[i];
    LookupKey q{};
    q.src = p.src;
    q.dst = p.dst;
    q.from = burst.passage.from;
    q.to = burst.passage.to;
    q.family = p.family;
    q.proto = p.proto;
    if (p.proto == L4Proto::tcp || p.proto == L4Proto::udp) q.dport_or_icmp = p.dport.to_host();
    if (is_icmp(p.proto)) q.dport_or_icmp = type_code(p.icmp.type, p.icmp.code);
    return q;
}

TcpSegment tcp_segment(const ParsedPacket& p) noexcept {
    return {p.tcp.flags, p.tcp.seq, p.tcp.ack, p.payload_bytes, p.tcp.window, p.tcp.wscale};
}

FlowPhase first_phase(TrackKind kind) noexcept {
    switch (kind) {
        case TrackKind::tcp: return FlowPhase::syn_sent;
        case TrackKind::sctp: return FlowPhase::sctp_init;
        case TrackKind::udp: return FlowPhase::udp_oneway;
        case TrackKind::icmp_request:
        case TrackKind::icmp_other: return FlowPhase::icmp_oneway;
        default: return FlowPhase::other_oneway;
    }
}

bool opens_flow(const Burst& burst, std::size_t i) noexcept {
    const ParsedPacket& p = burst.parsed[i];
    return burst.tracked[i].kind == TrackKind::sctp ? sctp_opens(p.sctp) : tcp_opens(p.tcp.flags);
}

bool picks_up_flow(const Burst& burst, std::size_t i) noexcept {
    const ParsedPacket& p = burst.parsed[i];
    return burst.tracked[i].kind == TrackKind::sctp ? sctp_picks_up(p.sctp) : tcp_picks_up(p.tcp.flags);
}

void fill_flow(const Burst& burst, std::size_t i, bool pickup, FlowHot& flow) noexcept {
    const ParsedPacket& p = burst.parsed[i];
    switch (burst.tracked[i].kind) {
        case TrackKind::tcp: return pickup ? tcp_pick_up(flow, tcp_segment(p)) : tcp_open(flow, tcp_segment(p));
        case TrackKind::sctp: return pickup ? sctp_pick_up(flow, p.sctp) : sctp_open(flow, p.sctp);
        default: return;
    }
}

bool follow_flow(Burst& burst, std::size_t i, FlowHandle h, FlowBook& flows, RuleMeter& rules,
                 abi::WorkerCounters& counters) noexcept {
    const ParsedPacket& p = burst.parsed[i];
    const Tracked& t = burst.tracked[i];
    FlowHot& e = flows.table.hot(h);
    const Direction from = e.direction_of(t.source_is_low);
    if (e.zone[index(from)] != static_cast<std::uint8_t>(burst.passage.from)) {
        burst.drop(i, DropReason::flow_zone_mismatch);
        return true;
    }
    if (e.extended()) {
        if (is_waiting_for_server(e)) {
            follow_opening(burst, i, h, from, flows, rules, counters);
            return true;
        }
        if (answer_repeated_syn_ack(burst, i, h, from, flows)) return true;
    }
    if (t.kind == TrackKind::tcp && is_over(e.phase) && brings_another_cookie(burst, i, h, flows)) return false;
    Step step{TcpOutcome::pass, e.phase, {}, true};
    if (t.kind == TrackKind::tcp) {
        step = step_tcp(burst, i, h, from, flows, rules, counters);
    } else if (t.kind == TrackKind::sctp) {
        step = step_sctp(p, from, e);
    } else if (from == Direction::reply) {
        step.next = answered(e.phase);
    }
    if (step.outcome == TcpOutcome::reopen) return false;
    if (step.outcome == TcpOutcome::drop) {
        burst.drop(i, step.reason);
        return true;
    }
    if (step.refreshes) e.last_seen_tick = burst.moment.tick;
    if (step.next != e.phase) flows.set_phase(h, step.next, burst.moment.tick);
    flows.table.count_packet(h, from, burst.packet[i].total_bytes);
    rules.packet(e.slot(), burst.packet[i].total_bytes);
    if (e.extended()) translate(burst.packet[i], p, flows.table.proxy(h), from);
    burst.forward(i);
    return true;
}

[[gnu::noinline]] void look_closer(Burst& burst, std::size_t i) noexcept {
    fill_usual(burst, i);
    burst.tracked[i].hash = burst.usual.hash[i];
    identify(burst, i);
}

bool follow_as_usual(Burst& burst, std::size_t i, FlowHandle h, FlowBook& flows, RuleMeter& rules,
                     abi::WorkerCounters& counters) noexcept {
    return follow_usual(burst, i, burst.usual.segment[i], h, flows, rules) ||
           follow_turning(burst, i, h, flows, rules, counters);
}

bool follow_marked(Burst& burst, std::size_t i, FlowHandle h, FlowBook& flows) noexcept {
    FlowHot& e = flows.table.hot(h);
    const Tracked& t = burst.tracked[i];
    burst.drop(i, DropReason::flow_killed);
    if (t.kind == TrackKind::icmp_error) return true;
    const Direction from = e.direction_of(t.source_is_low);
    // Its zones may be those of an older policy; the port is what stays.
    const bool from_original_port = e.has(flow_flag::original_from_high_port) == burst.passage.in_is_high_port;
    if ((from == Direction::original) != from_original_port) {
        burst.drop(i, DropReason::flow_zone_mismatch);
        return true;
    }
    const bool is_tcp = t.kind == TrackKind::tcp;
    const std::uint8_t told = from == Direction::original ? flow_flag::fin_original : flow_flag::fin_reply;
    const bool opens = (is_tcp || t.kind == TrackKind::sctp) && opens_flow(burst, i);
    if (opens || (!is_tcp && e.has(told))) {
        // A new conversation under the old one's name.
        flows.forget_mark(h);
        burst.fate[i] = Fate::undecided;
        return false;
    }
    if (e.extended()) {
        reset_both(burst, i, flows.table.proxy(h), from);
    } else {
        burst.fate[i] = Fate::drop_reset;
    }
    e.set(told);
    if (e.phase == FlowPhase::closed) return true;
    // From the first answer on the mark lives as long as a flow that a RST has closed.
    e.last_seen_tick = burst.moment.tick;
    flows.table.set_phase(h, FlowPhase::closed, burst.moment.tick);
    return true;
}

void follow_related(Burst& burst, std::size_t i, FlowHandle h, FlowBook& flows, RuleMeter& rules,
                    abi::WorkerCounters& counters) noexcept {
    const FlowHot& e = flows.table.hot(h);
    // The quoted packet went the other way: the error comes from where that packet was heading. It is no sign of life
    // of the flow, anyone on the path may send it.
    const Direction quoted = e.direction_of(burst.tracked[i].source_is_low);
    if (e.zone[index(opposite(quoted))] != static_cast<std::uint8_t>(burst.passage.from)) {
        return burst.drop(i, DropReason::flow_zone_mismatch);
    }
    InnerTuple inner;
    (void)parse_inner(burst.packet[i], burst.parsed[i], inner);  // errors are few: read again rather than carried along
    // Quoted is what the other end has seen.
    if (e.extended() && quoted == Direction::reply) inner.number -= flows.table.proxy(h).shift();
    if (!quotes_what_was_sent(e, h, quoted, inner, flows)) {
        if (misquotes_are_dropped(e, inner, flows.seq_check())) return burst.drop(i, DropReason::icmp_bad_inner);
        if (flows.seq_check() == abi::SeqCheck::log) flows.note_violation(burst, i, DropReason::icmp_bad_inner);
    }
    if (!flows.icmp_errors.take(burst.tracked[i].hash, burst.moment.tick)) {
        return burst.drop(i, DropReason::icmp_ratelimit);
    }
    counters.icmp_related.add(1);
    rules.packet(e.slot(), burst.packet[i].total_bytes);
    if (e.extended()) {
        const FlowProxy& x = flows.table.proxy(h);
        if (!x.has(proxy_flag::answered)) return follow_opening_error(burst, i, h, flows);
        translate_quote(burst.packet[i], burst.parsed[i], x, quoted);
    }
    burst.forward(i);
}

void track(Burst& burst, FlowBook& flows, RuleMeter& rules, abi::WorkerCounters& counters) noexcept {
    for (std::size_t at = 0; at < burst.count; at += kGroupPackets)
        identify_group(burst, group_at(burst, at), flows.table);
    for (std::size_t at = 0; at < burst.count; at += kGroupPackets) {
        prefetch_entries(burst, group_at(burst, at), flows.table);
    }
    const bool looks_ahead = std::exchange(burst.turns_flows, false);
    std::uint32_t turning = looks_ahead ? prefetch_turns(burst, group_at(burst, 0), flows.table) : 0;
    for (std::size_t i = 0; i < burst.count; ++i) {
        if (looks_ahead && i % kGroupPackets == 0) {
            prefetch_leaves(burst, turning, flows.table);
            turning = prefetch_turns(burst, group_at(burst, i + kGroupPackets), flows.table);
        }
        FlowHandle h;
        if (burst.usual.has(i)) [[likely]] {
            const FlowKeyV4& key = burst.usual.key[i];
            h = flows.table.find_at(burst.likely[i], key, burst.usual.hash[i]);
            if (h != kNoFlow && follow_usual(burst, i, burst.usual.segment[i], h, flows, rules)) [[likely]]
                continue;
            burst.turns_flows = true;
            if (h != kNoFlow && follow_turning(burst, i, h, flows, rules, counters)) continue;
            if (h != kNoFlow && ask_about_usual(burst, i, h, flows)) continue;
            look_closer(burst, i);
            h = find_flow(burst, i, flows.table);  // a packet before this one may have ended the likely one
        } else {
            if (burst.tracked[i].kind == TrackKind::none) continue;
            h = find_flow(burst, i, flows.table);
            if (h != kNoFlow && is_straight(burst, i) && follow_usual(burst, i, segment_of(burst, i), h, flows, rules))
                continue;
            burst.turns_flows = true;
        }
        track_one(burst, i, h, flows, rules, counters);
    }
}

}  // namespace sluice::dp
