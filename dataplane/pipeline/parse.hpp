/// Reads a frame's headers, once. What is malformed ends here with its reason; what is well-formed becomes a
/// ParsedPacket, and no later stage looks at length fields again.
///
/// Trust: every byte is a stranger's. Nothing outside [data, data + contiguous_bytes) is read, whatever the length
/// fields say; headers that the frame has but the first segment lacks are `headers_split`. Checksums are verified here
/// when the device did not and the datagram is contiguous. `parse` judges form, not flows: TCP flags that make no sense
/// together pass (flow/tcp_flags.hpp), a VLAN is reported and not refused, and a valid ICMP reply nobody asked for is
/// valid.
///
/// A fragment passes with what its own headers say; the datagram is parsed again when it is whole.
///
/// Files: usual (what a packet that just passes needs), parse_plain (most frames in one go), parse_link (Ethernet,
/// VLAN, ARP), parse_ipv4, parse_ipv6, parse_fragment, parse_l4, parse_sctp, parse_nd, parse_inner.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include <sluice/abi/drop_reasons.hpp>

#include "dataplane/pipeline/packet.hpp"
#include "dataplane/pipeline/parsed_packet.hpp"

namespace sluice::dp {

/// The usual frame, read in one go (parse_plain.hpp). False: `out` means nothing, and `parse` has to look at the frame.
/// What it takes, `parse` would let pass with the same `out`. By itself because the way around std::optional is
/// shorter: returned, it is written as a byte and read as a word, which stalls for half as long as all the rest takes.
bool parse_if_plain(const Packet& packet, ParsedPacket& out) noexcept;

/// Nothing = go on with `out`. With a reason, `out` holds what was read before the fault (addresses, ports, as far as
/// it came) for the log line.
std::optional<abi::DropReason> parse(const Packet& packet, ParsedPacket& out) noexcept;

/// A datagram whose fragments are all there, as the one packet that it was before it was cut: headers from `first`, the
/// frame of the fragment at offset 0 that `parse` let pass, lengths and checksum of the whole. `pieces`: the data of
/// all fragments in order of offset; empty if not all can be read, then the checksum is not verified. `data_bytes`: the
/// sum of their lengths. The first piece is cut to what follows IPv6 extension headers in it.
std::optional<abi::DropReason> parse_reassembled(const Packet& first, std::span<std::span<const std::uint8_t>> pieces,
                                                 std::uint32_t data_bytes, ParsedPacket& out) noexcept;

/// The packet that an ICMP error quotes, in the direction in which it was sent.
struct InnerTuple {
    abi::IpAddr src{}, dst{};
    abi::L4Port sport{}, dport{};  ///< TCP, UDP, SCTP; else 0
    IcmpFields icmp{};             ///< of a quoted ICMP message
    std::uint32_t number{};        ///< TCP: sequence number; SCTP: verification tag; else 0
    std::uint16_t l4_offset{};     ///< of its transport header in the frame
    abi::IpFamily family{};
    abi::L4Proto proto{};
};

/// For packets with is_icmp_error(). False: the quote is too short (RFC 792: IP header + 8 bytes), contradicts itself,
/// is itself an ICMP error or a later fragment; to be dropped as `icmp_malformed`. A quote that was cut behind these 8
/// bytes is right, and its checksums and total length are not looked at.
bool parse_inner(const Packet& packet, const ParsedPacket& outer, InnerTuple& out) noexcept;

/// The error claims a next-hop MTU that no path has: below 68 in IPv4 (RFC 791; RFC 1191 section 3), where 0 stands for
/// a router that does not know the field, below 1280 in IPv6 (RFC 8201 section 4: to be discarded). For packets with
/// is_icmp_error().
bool claims_impossible_mtu(const Packet& packet, const ParsedPacket& outer) noexcept;

constexpr bool has_ports(abi::L4Proto proto) noexcept {
    return proto == abi::L4Proto::tcp || proto == abi::L4Proto::udp || proto == abi::L4Proto::sctp;
}
constexpr bool is_icmp(abi::L4Proto proto) noexcept {
    return proto == abi::L4Proto::icmp || proto == abi::L4Proto::icmp6;
}

/// Errors that tell a sender about one of its packets: those that may pass by the flow of the packet they quote.
/// (ICMPv4 redirect and source quench never get as far as this: `parse` drops them as `icmp_type_deny`.)
constexpr bool is_icmp_error(abi::L4Proto proto, std::uint8_t type) noexcept {
    if (proto == abi::L4Proto::icmp) return type == 3 || type == 11 || type == 12;
    return proto == abi::L4Proto::icmp6 && type < 128;  // RFC 4443 section 2.1
}
inline bool is_icmp_error(const ParsedPacket& p) noexcept {
    return is_icmp(p.proto) && is_icmp_error(p.proto, p.icmp.type);
}

/// Messages with an identifier that tells one asker from another: echo and timestamp, request and reply.
constexpr bool has_icmp_id(abi::L4Proto proto, std::uint8_t type) noexcept {
    if (proto == abi::L4Proto::icmp) return type == 0 || type == 8 || type == 13 || type == 14;
    return proto == abi::L4Proto::icmp6 && (type == 128 || type == 129);
}

/// The drop reason when the policy says deny: CASES wants to see frames that no IP rule speaks about under other names.
constexpr abi::DropReason reason_of_denial(const ParsedPacket& p) noexcept {
    if (p.packet_class == PacketClass::other) return abi::DropReason::l2_deny;
    if (p.packet_class == PacketClass::ip && p.proto == abi::L4Proto::ipv6_no_next) return abi::DropReason::proto_deny;
    return abi::DropReason::policy_deny;
}

}  // namespace sluice::dp
