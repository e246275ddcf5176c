/// What a rejected sender gets: a TCP RST, or "administratively prohibited" in ICMP. On a wire we have no address, so
/// the answer speaks as the host that the packet was for: MAC addresses swapped, VLAN tags copied, IP source = the
/// original destination.
///
///     if (may_answer(packet, parsed)) {
///         Packet answer;
///         if (io.allocate(answer_bytes(packet, parsed), answer)) build_answer(packet, parsed, answer);
///     }
///
/// The other end of a TCP flow that is over hears of it too: a RST in the packet's stead, as if its sender had sent it.
///
/// How often is the caller's business (RFC 1812 section 4.3.2.8 wants a limit).
#pragma once

#include <cstdint>

#include "dataplane/pipeline/packet.hpp"
#include "dataplane/pipeline/parsed_packet.hpp"

namespace sluice::dp {

/// False for what must never be answered, lest answers answer each other or hit someone who asked for nothing: RST,
/// ICMP errors, fragments (a reassembled datagram is answered once, by what its first fragment says), multicast and
/// broadcast (of either layer, as source or destination), checksums that are wrong or were not verified, and everything
/// that is not IP (RFC 1122 section 3.2.2, RFC 4443 section 2.4 e).
bool may_answer(const Packet& packet, const ParsedPacket& parsed) noexcept;

/// Length of the whole answering frame; at least 60, the least that Ethernet carries without its FCS.
std::uint32_t answer_bytes(const Packet& packet, const ParsedPacket& parsed) noexcept;

/// Writes answer_bytes() bytes to `answer.data`, which must have that room, and sets total_bytes and in_port (the port
/// to which it goes back). Requires may_answer().
void build_answer(const Packet& packet, const ParsedPacket& parsed, Packet& answer) noexcept;

/// A RST to the packet's receiver, with the packet's own numbers: where segments come in order, exactly what it waits
/// for. If not, it asks with an ACK (RFC 5961 section 3.2), and that is answered with the number that it names.
/// Requires may_answer() and TCP; same length as the answer.
void build_onward_reset(const Packet& packet, const ParsedPacket& parsed, Packet& answer) noexcept;

}  // namespace sluice::dp
