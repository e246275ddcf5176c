/// An SCTP association seen from between its two ends (RFC 9260): which verification tags its packets carry, and how
/// far it has come. Neighbour: tcp_state.hpp, the same for TCP.
///
/// Theory of operation. In INIT and INIT ACK each side names the tag that the other side's packets shall carry; whoever
/// has not seen them can't guess it (RFC 9260 section 5.3.1). A flow keeps two tags for each direction, where a TCP
/// flow keeps its numbers:
///     FlowHot::seq_end     the association's; 0 = not known yet
///     FlowHot::seq_acked   a candidate's: what a second INIT, or another answer to the first, has named; 0 = none
/// A server keeps no state before COOKIE ECHO, so each INIT ACK names another tag and the client goes on with whichever
/// it likes; both are good until a COOKIE ACK decides. On a live association an INIT is a restart (RFC 9260 section
/// 5.2.2) or a forgery: it passes and changes nothing, and only the COOKIE ACK of the new association, with tags that
/// both sides have named, puts the candidates in the place of the old. INITs that cross (section 5.2.1) need nothing
/// more: each side's names the tags of the other.
///
/// An ABORT or SHUTDOWN COMPLETE closes only with the association's own tag, or, with its T bit, with the other side's
/// (section 8.5.1 B and C). `seq_check` has no say here: the tag is all that stands between an association and a blind
/// attacker, and it costs nobody anything. What is damaged on the way is the receiver's to find out: the CRC is not
/// looked at, because it may rightly be 0 (RFC 9653) and a tag that survived it is no secret of ours to guard.
#pragma once

#include <cstdint>

#include <sluice/abi/drop_reasons.hpp>

#include "dataplane/flow/flow_entry.hpp"
#include "dataplane/flow/sctp_packet.hpp"
#include "dataplane/flow/tcp_state.hpp"

namespace sluice::dp {

struct SctpResult {
    TcpOutcome outcome{};
    FlowPhase next{};          ///< with `pass`
    abi::DropReason reason{};  ///< with `drop`
    bool refreshes{true};      ///< with `pass`: counts as a sign of life
};

/// A packet that may open a flow: an INIT.
constexpr bool sctp_opens(const SctpPacket& p) noexcept { return (p.chunks & sctp_chunk::init) != 0; }

/// A packet from which an association in mid-stream may be picked up (CASES D5): data, acknowledgements, heartbeats.
constexpr bool sctp_picks_up(const SctpPacket& p) noexcept { return p.chunks == sctp_chunk::other; }

/// What the packet does to the flow. Writes the tags of one that passes; the phase is the caller's to store.
/// Precondition: sctp_tag_legal.
SctpResult sctp_advance(FlowHot& flow, Direction from, const SctpPacket& packet) noexcept;

/// Fills a new entry from its INIT; the phase is sctp_init.
void sctp_open(FlowHot& flow, const SctpPacket& init) noexcept;

/// Fills a new entry from mid-stream; the phase is sctp_established. The other direction's tag is learned from its
/// first packet.
void sctp_pick_up(FlowHot& flow, const SctpPacket& packet) noexcept;

/// The tag of a packet of `sender` that an ICMP error quotes may be right (RFC 9260 section 10, ICMP6). An INIT has
/// none.
bool sctp_may_have_sent(const FlowHot& flow, Direction sender, std::uint32_t tag) noexcept;

}  // namespace sluice::dp
