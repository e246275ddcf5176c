#include "dataplane/pipeline/handshake.hpp"

#include "dataplane/flow/tcp_window.hpp"
#include "dataplane/pipeline/track.hpp"

namespace sluice::dp {

namespace {

/// A SYN-ACK with another number than the reply side's start has so far.
bool starts_elsewhere(const FlowHot& e, Direction from, const TcpSegment& s) noexcept {
    constexpr std::uint8_t syn_ack = tcp_flag::syn | tcp_flag::ack;
    return from == Direction::reply && (s.flags & syn_ack) == syn_ack && e.phase > FlowPhase::syn_sent &&
           is_opening(e.phase) && s.seq + 1 != e.seq_acked[index(from)];
}

/// A segment that does not fit the reply side's last start may fit its first. If so, the two change places.
TcpResult advance_by_first_syn_ack(FlowHandle h, Direction from, const TcpSegment& s, FlowBook& flows) noexcept {
    FlowHot& e = flows.table.hot(h);
    TcpSegment& first = *flows.first_syn_acks.find(h);
    const TcpSegment last = tcp_reply_start(e);
    tcp_restart_reply(e, first);
    const TcpResult r = tcp_advance(e, from, s, flows.seq_check());
    if (r.outcome == TcpOutcome::drop) {
        tcp_restart_reply(e, last);
    } else {
        first = last;
    }
    return r;
}

}  // namespace

TcpSegment segment_at_server(const ParsedPacket& p, FlowHandle h, Direction from, const FlowBook& flows) noexcept {
    return flows.table.hot(h).extended() ? at_server(flows.table.proxy(h), from, tcp_segment(p)) : tcp_segment(p);
}

TcpResult advance(FlowHandle h, Direction from, const TcpSegment& s, FlowBook& flows) noexcept {
    FlowHot& e = flows.table.hot(h);
    const bool opening = is_opening(e.phase) && !e.extended();
    if (!opening) return tcp_advance(e, from, s, flows.seq_check());
    const bool elsewhere = starts_elsewhere(e, from, s);
    const TcpSegment start = tcp_reply_start(e);
    const TcpResult r = tcp_advance(e, from, s, flows.seq_check());
    if (r.outcome == TcpOutcome::drop && flows.first_syn_acks.find(h) != nullptr) {
        const TcpResult other = advance_by_first_syn_ack(h, from, s, flows);
        if (other.outcome != TcpOutcome::drop) return other;
    }
    if (!elsewhere || r.outcome != TcpOutcome::pass) return r;
    TcpSegment* first = flows.first_syn_acks.find(h);
    if (first != nullptr && first->seq == s.seq) {
        *first = start;  // the first one came again, so the last one becomes the other
    } else {
        flows.first_syn_acks.keep_first(h, start);
    }
    return r;
}

void renew_if_answered(const Burst& burst, std::size_t i, FlowHandle h, Direction from, FlowBook& flows,
                       RuleMeter& rules, abi::WorkerCounters& counters) noexcept {
    constexpr std::uint8_t mask = tcp_flag::syn | tcp_flag::ack | tcp_flag::rst;
    if (from != Direction::reply || (burst.parsed[i].tcp.flags & mask) != (tcp_flag::syn | tcp_flag::ack)) return;
    const TcpSegment* syn = flows.late_syns.find(h);
    if (syn == nullptr || !tcp_answers(*syn, tcp_segment(burst.parsed[i]))) return;
    if (tcp_is_of_this_handshake(flows.table.hot(h), *syn, segment_at_server(burst.parsed[i], h, from, flows))) return;
    counters.flow_reopen.add(1);
    const TcpSegment first = *syn;
    flows.renew(h, first, burst.moment);
    rules.hit(flows.table.hot(h).slot(), burst.moment.mono);
}

bool refuses_late_syn(const ParsedPacket& p, FlowHandle h, Direction from, FlowBook& flows) noexcept {
    if (from != Direction::reply || (p.tcp.flags & tcp_flag::rst) == 0) return false;
    const TcpSegment* syn = flows.late_syns.find(h);
    return syn != nullptr && tcp_refuses(*syn, tcp_segment(p));
}

}  // namespace sluice::dp
