#include "dataplane/flow/sctp_state.hpp"

namespace sluice::dp {

namespace {

using abi::DropReason;
using P = FlowPhase;

// What packets of direction d carry.
std::uint32_t& tag(FlowHot& flow, Direction d) noexcept { return flow.seq_end[index(d)]; }
std::uint32_t& candidate(FlowHot& flow, Direction d) noexcept { return flow.seq_acked[index(d)]; }

SctpResult dropped(DropReason reason) noexcept {
    return {.outcome = TcpOutcome::drop, .reason = reason, .refreshes = false};
}
SctpResult passed(P next) noexcept { return {.outcome = TcpOutcome::pass, .next = next}; }
SctpResult passed_quietly(P phase) noexcept { return {.outcome = TcpOutcome::pass, .next = phase, .refreshes = false}; }

bool is_opening(P phase) noexcept { return phase < P::sctp_established; }

/// How the packet's tag stands to the flow.
enum class Fit : std::uint8_t {
    none,
    own,        ///< the association's, in this direction
    candidate,  ///< of one that may be about to begin
};

Fit fit_of(FlowHot& flow, Direction from, const SctpPacket& p) noexcept {
    const Direction named_by = p.reflected ? opposite(from) : from;
    if (p.tag == tag(flow, named_by)) return Fit::own;
    return p.tag == candidate(flow, named_by) ? Fit::candidate : Fit::none;
}

/// `t` names what packets of `of` will carry.
void name_tag(FlowHot& flow, Direction of, std::uint32_t t) noexcept {
    if (tag(flow, of) == 0) tag(flow, of) = t;
    if (tag(flow, of) != t) candidate(flow, of) = t;
}

SctpResult on_init(FlowHot& flow, Direction from, const SctpPacket& p) noexcept {
    const Direction peer = opposite(from);
    if (flow.phase == P::sctp_closed) return {.outcome = TcpOutcome::reopen, .refreshes = false};
    if (!is_opening(flow.phase)) {
        // A restart, or a forgery: whatever it is, it begins with this INIT, and what an earlier one led to is over.
        // The same INIT sent again, or doubled on its way, begins nothing: the answer that it had is still good.
        if (candidate(flow, peer) == p.init_tag) return passed_quietly(flow.phase);
        candidate(flow, peer) = p.init_tag;
        candidate(flow, from) = 0;
        return passed_quietly(flow.phase);
    }
    name_tag(flow, peer, p.init_tag);
    // Sent again, or crossed with the other side's. Another one than the first may be anybody's.
    return tag(flow, peer) == p.init_tag ? passed(flow.phase) : passed_quietly(flow.phase);
}

SctpResult on_init_ack(FlowHot& flow, Direction from, Fit fit, const SctpPacket& p) noexcept {
    if (!is_opening(flow.phase)) {
        if (fit == Fit::candidate) candidate(flow, opposite(from)) = p.init_tag;
        return passed_quietly(flow.phase);
    }
    name_tag(flow, opposite(from), p.init_tag);
    return passed(flow.phase == P::sctp_init ? P::sctp_init_acked : flow.phase);
}

void promote(FlowHot& flow, Direction d) noexcept {
    if (candidate(flow, d) != 0) tag(flow, d) = candidate(flow, d);
    candidate(flow, d) = 0;
}

SctpResult on_cookie_echo(FlowHot& flow, Direction from, Fit fit) noexcept {
    if (flow.phase == P::sctp_init) return dropped(DropReason::sctp_bad_chunk);
    if (!is_opening(flow.phase)) return passed_quietly(flow.phase);  // sent again, or of a restart
    if (fit == Fit::candidate) promote(flow, from);
    return passed(P::sctp_cookie_echoed);
}

SctpResult on_cookie_ack(FlowHot& flow, Direction from, Fit fit) noexcept {
    if (flow.phase == P::sctp_init || flow.phase == P::sctp_init_acked) return dropped(DropReason::sctp_bad_chunk);
    const Direction peer = opposite(from);
    if (flow.phase == P::sctp_cookie_echoed) {
        if (fit == Fit::candidate) promote(flow, from);
        candidate(flow, from) = candidate(flow, peer) = 0;
        return passed(P::sctp_established);
    }
    if (fit != Fit::candidate) return passed_quietly(flow.phase);
    // Restarted: both sides have named new tags, and the one that had the association has agreed.
    if (candidate(flow, peer) == 0) return dropped(DropReason::sctp_bad_chunk);
    promote(flow, from);
    promote(flow, peer);
    return passed(P::sctp_established);
}

/// ABORT, SHUTDOWN COMPLETE.
SctpResult on_end(FlowHot& flow, Fit fit, const SctpPacket& p) noexcept {
    // The end of an association that never began leaves this one alone.
    if (fit == Fit::candidate) return passed_quietly(flow.phase);
    if (p.has(sctp_chunk::abort)) return passed(P::sctp_closed);
    return flow.phase == P::sctp_shutdown ? passed(P::sctp_closed) : dropped(DropReason::sctp_bad_chunk);
}

/// Over: nothing but what helps the two ends to agree on that, if a packet was lost behind us.
SctpResult on_closed(const FlowHot& flow, Fit fit, const SctpPacket& p) noexcept {
    constexpr std::uint16_t endings = sctp_chunk::shutdown_ack | sctp_chunk::shutdown_complete | sctp_chunk::abort;
    if (fit == Fit::own && p.has(endings)) return passed_quietly(flow.phase);
    return dropped(DropReason::sctp_bad_chunk);
}

}  // namespace

SctpResult sctp_advance(FlowHot& flow, Direction from, const SctpPacket& p) noexcept {
    if (p.has(sctp_chunk::init)) return on_init(flow, from, p);
    Fit fit = fit_of(flow, from, p);
    const bool picked_up = flow.phase == P::sctp_established && tag(flow, from) == 0;
    if (fit == Fit::none && picked_up && sctp_picks_up(p)) {
        tag(flow, from) = p.tag;
        fit = Fit::own;
    }
    if (fit == Fit::none) return dropped(DropReason::sctp_bad_vtag);
    if (flow.phase == P::sctp_closed) return on_closed(flow, fit, p);
    if (p.has(sctp_chunk::init_ack)) return on_init_ack(flow, from, fit, p);
    if (p.has(sctp_chunk::cookie_echo)) return on_cookie_echo(flow, from, fit);
    if (p.has(sctp_chunk::cookie_ack)) return on_cookie_ack(flow, from, fit);
    if (p.has(sctp_chunk::abort | sctp_chunk::shutdown_complete)) return on_end(flow, fit, p);
    if (flow.phase == P::sctp_init || flow.phase == P::sctp_init_acked) {
        return dropped(DropReason::sctp_bad_chunk);  // nobody has anything to say before the cookie
    }
    if (fit == Fit::candidate) return passed_quietly(flow.phase);
    // Who has not seen COOKIE ACK yet takes no SHUTDOWN (RFC 9260 section 9.2).
    const bool closes = p.has(sctp_chunk::shutdown | sctp_chunk::shutdown_ack) && !is_opening(flow.phase);
    return passed(closes ? P::sctp_shutdown : flow.phase);
}

void sctp_open(FlowHot& flow, const SctpPacket& init) noexcept { tag(flow, Direction::reply) = init.init_tag; }

void sctp_pick_up(FlowHot& flow, const SctpPacket& p) noexcept { tag(flow, Direction::original) = p.tag; }

bool sctp_may_have_sent(const FlowHot& flow, Direction sender, std::uint32_t quoted) noexcept {
    if (quoted == 0) return is_opening(flow.phase) || flow.seq_acked[index(opposite(sender))] != 0;
    const std::size_t me = index(sender);
    return quoted == flow.seq_end[me] || quoted == flow.seq_acked[me] || flow.seq_end[me] == 0;
}

}  // namespace sluice::dp
