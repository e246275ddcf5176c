/// Transport headers: lengths against each other, checksums, what tracking needs of TCP, UDP, SCTP, ICMP and ICMPv6.
/// Other protocols have no header that we read: GRE, ESP and AH flows are told apart by their addresses alone.
#include <algorithm>
#include <memory>

#include "dataplane/pipeline/checksum.hpp"
#include "dataplane/pipeline/parse.hpp"
#include "dataplane/pipeline/parse_layers.hpp"

namespace sluice::dp {

namespace {

using abi::DropReason;
using abi::L4Proto;

constexpr std::uint32_t kTcpHeaderBytesMin = 20;
constexpr std::uint32_t kUdpHeaderBytes = 8;
constexpr std::uint32_t kIcmpHeaderBytes = 8;
constexpr std::uint32_t kSctpHeaderBytes = 12;
constexpr std::uint8_t kWscaleMax = 14;  ///< RFC 7323 section 2.3: a larger one is used as 14

/// The first `bytes` bytes of the pieces.
std::uint64_t add_pieces(std::uint64_t sum, std::span<const std::span<const std::uint8_t>> pieces,
                         std::uint32_t bytes) noexcept {
    std::size_t left = bytes;
    for (const auto& piece : pieces) {
        const std::size_t part = std::min(left, piece.size());
        sum = checksum_add(sum, piece.first(part));
        left -= part;
    }
    return sum;
}

/// Verifies a checksum over `bytes` from the start of the transport header. Not contiguous and the device said nothing:
/// the packet passes unverified (the receiver will look) and is never answered.
Fault verify_checksum(const FrameView& frame, std::uint64_t pseudo_sum, std::uint32_t bytes,
                      ParsedPacket& out) noexcept {
    if (frame.l4_checksum == L4Checksum::bad) return DropReason::bad_l4_csum;
    if (frame.l4_checksum == L4Checksum::good) {
        out.checksum_known_good = true;
    } else if (!frame.pieces.empty()) {
        if (!checksum_good(add_pieces(pseudo_sum, frame.pieces, bytes))) return DropReason::bad_l4_csum;
        out.checksum_known_good = true;
    } else if (out.l4_offset + bytes <= frame.readable) {
        if (!checksum_good(checksum_add(pseudo_sum, frame.bytes(out.l4_offset, bytes)))) return DropReason::bad_l4_csum;
        out.checksum_known_good = true;
    }
    return std::nullopt;
}

std::uint64_t pseudo_sum_of(const ParsedPacket& p, std::uint32_t bytes) noexcept {
    return pseudo_header_sum(p.family, p.src, p.dst, p.proto, bytes);
}

void read_ports(const FrameView& frame, ParsedPacket& out) noexcept {
    out.sport = abi::L4Port::read(frame.data + out.l4_offset);
    out.dport = abi::L4Port::read(frame.data + out.l4_offset + 2);
}

void set_payload(ParsedPacket& out, std::uint32_t header_bytes, std::uint32_t payload_bytes) noexcept {
    out.payload_offset = static_cast<std::uint16_t>(out.l4_offset + header_bytes);
    out.payload_bytes = payload_bytes;
}

Fault parse_tcp(const FrameView& frame, ParsedPacket& out) noexcept {
    const std::uint32_t l4 = out.l4_offset;
    if (auto fault = frame.unreadable(l4, kTcpHeaderBytesMin, DropReason::tcp_malformed)) return fault;
    read_ports(frame, out);
    const std::uint32_t header_bytes = (frame.u8(l4 + 12) >> 4) * 4U;
    if (header_bytes < kTcpHeaderBytesMin) return DropReason::tcp_malformed;
    if (auto fault = frame.unreadable(l4, header_bytes, DropReason::tcp_malformed)) return fault;
    set_payload(out, header_bytes, out.l4_bytes - header_bytes);
    out.tcp.seq = frame.u32(l4 + 4);
    out.tcp.ack = frame.u32(l4 + 8);
    out.tcp.flags = frame.u8(l4 + 13);
    out.tcp.window = frame.u16(l4 + 14);
    if (auto fault = verify_checksum(frame, pseudo_sum_of(out, out.l4_bytes), out.l4_bytes, out)) return fault;
    // What a connection agrees on stands in its SYNs; other segments' options (timestamps, SACK) are the ends'
    // business.
    if ((out.tcp.flags & tcp_flag::syn) == 0) return std::nullopt;
    return read_tcp_options(frame, l4 + kTcpHeaderBytesMin, l4 + header_bytes, out.tcp);
}

Fault parse_udp(const FrameView& frame, ParsedPacket& out) noexcept {
    const std::uint32_t l4 = out.l4_offset;
    if (auto fault = frame.unreadable(l4, kUdpHeaderBytes, DropReason::udp_malformed)) return fault;
    read_ports(frame, out);
    const std::uint32_t udp_bytes = frame.u16(l4 + 4);
    // Shorter than the IP payload is legal (the surplus belongs to UDP options, RFC 9868); longer is not.
    if (udp_bytes < kUdpHeaderBytes || udp_bytes > out.l4_bytes) return DropReason::udp_malformed;
    set_payload(out, kUdpHeaderBytes, udp_bytes - kUdpHeaderBytes);
    if (out.sport.wire() == 0 || out.dport.wire() == 0) return DropReason::udp_port0;
    if (frame.u16(l4 + 6) == 0) {  // sent without a checksum (RFC 768; over IPv6 tunnels only, RFC 6936)
        out.udp_zero_checksum6 = out.family == abi::IpFamily::v6;
        out.checksum_known_good = out.family == abi::IpFamily::v4;
        return std::nullopt;
    }
    return verify_checksum(frame, pseudo_sum_of(out, udp_bytes), udp_bytes, out);
}

/// Header, checksum and fields, the same in both ICMP versions but for the pseudo header.
Fault parse_icmp_header(const FrameView& frame, std::uint64_t pseudo_sum, ParsedPacket& out) noexcept {
    const std::uint32_t l4 = out.l4_offset;
    if (auto fault = frame.unreadable(l4, kIcmpHeaderBytes, DropReason::icmp_malformed)) return fault;
    std::construct_at(&out.icmp, IcmpFields{.type = frame.u8(l4), .code = frame.u8(l4 + 1)});
    if (has_icmp_id(out.proto, out.icmp.type)) out.icmp.id = frame.u16(l4 + 4);
    set_payload(out, kIcmpHeaderBytes, out.l4_bytes - kIcmpHeaderBytes);
    return verify_checksum(frame, pseudo_sum, out.l4_bytes, out);
}

Fault parse_icmp4(const FrameView& frame, ParsedPacket& out) noexcept {
    constexpr std::uint8_t kSourceQuench = 4, kRedirect = 5;
    if (auto fault = parse_icmp_header(frame, 0, out)) return fault;
    // A redirect moves a neighbour's route and never crosses a firewall (CASES I10); source quench is to be discarded
    // (RFC 6633 section 3).
    if (out.icmp.type == kSourceQuench || out.icmp.type == kRedirect) return DropReason::icmp_type_deny;
    return std::nullopt;
}

Fault parse_icmp6(const FrameView& frame, const IpContext& ip, ParsedPacket& out) noexcept {
    constexpr std::uint8_t kNdFirst = 133, kNdLast = 137;
    if (auto fault = parse_icmp_header(frame, pseudo_sum_of(out, out.l4_bytes), out)) return fault;
    if (out.icmp.type >= kNdFirst && out.icmp.type <= kNdLast) return parse_nd(frame, ip, out);
    return std::nullopt;
}

/// The CRC is left to the receiver unless the device looked at it: a 0 may be right (RFC 9653), and a wrong one gets
/// nothing by us that its tag does not open (flow/sctp_state.hpp).
Fault parse_sctp(const FrameView& frame, ParsedPacket& out) noexcept {
    if (auto fault = frame.unreadable(out.l4_offset, kSctpHeaderBytes, DropReason::sctp_malformed)) return fault;
    read_ports(frame, out);
    set_payload(out, kSctpHeaderBytes, out.l4_bytes - kSctpHeaderBytes);
    if (frame.l4_checksum == L4Checksum::bad) return DropReason::bad_l4_csum;
    out.checksum_known_good = frame.l4_checksum == L4Checksum::good;
    std::construct_at(&out.sctp, SctpPacket{.tag = frame.u32(out.l4_offset + 4)});
    return parse_sctp_chunks(frame, out.payload_offset, out.sctp);
}

}  // namespace

Fault read_tcp_options(const FrameView& frame, std::uint32_t at, std::uint32_t last, TcpFields& tcp) noexcept {
    constexpr std::uint8_t kEndOfList = 0, kNop = 1, kMss = 2, kWscale = 3, kSackPermitted = 4;
    while (at < last) {
        const std::uint8_t kind = frame.u8(at);
        if (kind == kEndOfList) break;
        if (kind == kNop) {
            ++at;
            continue;
        }
        if (at + 2 > last) return DropReason::tcp_malformed;
        const std::uint8_t bytes = frame.u8(at + 1);
        if (bytes < 2 || at + bytes > last) return DropReason::tcp_malformed;
        switch (kind) {
            case kMss:
                if (bytes != 4) return DropReason::tcp_malformed;
                tcp.mss = frame.u16(at + 2);
                break;
            case kWscale:
                if (bytes != 3) return DropReason::tcp_malformed;
                tcp.wscale = std::min(frame.u8(at + 2), kWscaleMax);
                break;
            case kSackPermitted:
                if (bytes != 2) return DropReason::tcp_malformed;
                tcp.sack_permitted = true;
                break;
            default: break;
        }
        at += bytes;
    }
    return std::nullopt;
}

Fault parse_transport(const FrameView& frame, const IpContext& ip, ParsedPacket& out) noexcept {
    out.l4_bytes = frame.end - out.l4_offset;
    const bool v4 = out.family == abi::IpFamily::v4;
    switch (out.proto) {
        case L4Proto::tcp: return parse_tcp(frame, out);
        case L4Proto::udp: return parse_udp(frame, out);
        case L4Proto::sctp: return parse_sctp(frame, out);
        // Each ICMP belongs to one version of IP. In the other it has no defined meaning (not even a checksum), yet a
        // rule for it might let it in.
        case L4Proto::icmp: return v4 ? parse_icmp4(frame, out) : DropReason::proto_deny;
        case L4Proto::icmp6: return v4 ? DropReason::proto_deny : parse_icmp6(frame, ip, out);
        default: break;
    }
    set_payload(out, 0, out.l4_bytes);
    out.checksum_known_good = true;  // none to verify
    return std::nullopt;
}

}  // namespace sluice::dp
