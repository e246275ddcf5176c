/// The packet inside an ICMP error. It is a copy of something that we may have forwarded, cut anywhere behind the first
/// 8 bytes of its transport header, and it may just as well be invented: the same bounds as for a frame.
#include <algorithm>

#include "dataplane/pipeline/parse.hpp"
#include "dataplane/pipeline/parse_layers.hpp"

namespace sluice::dp {

namespace {

constexpr std::uint32_t kL4BytesMin = 8;  ///< RFC 792: "64 bits of the original datagram's data"
// Any reason will do where only its presence counts.
constexpr abi::DropReason kBad = abi::DropReason::icmp_malformed;

/// Addresses and protocol; `offset` moves from the inner IP header to the transport header.
bool read_inner_v4(FrameView& quote, std::uint32_t& offset, InnerTuple& out) noexcept {
    if (quote.unreadable(offset, 20, kBad)) return false;
    const std::uint32_t header_bytes = (quote.u8(offset) & 0x0fU) * 4;
    const std::uint32_t datagram_bytes = quote.u16(offset + 2);
    if ((quote.u8(offset) >> 4) != 4 || header_bytes < 20 || datagram_bytes < header_bytes) return false;
    if (quote.unreadable(offset, header_bytes, kBad)) return false;
    if ((quote.u16(offset + 6) & 0x1fff) != 0) return false;  // a later fragment has no ports
    quote.end = std::min(quote.end, offset + datagram_bytes);
    out.src = abi::IpAddr::of_v4(abi::Ipv4Addr::read(quote.data + offset + 12));
    out.dst = abi::IpAddr::of_v4(abi::Ipv4Addr::read(quote.data + offset + 16));
    out.proto = abi::L4Proto{quote.u8(offset + 9)};
    offset += header_bytes;
    return true;
}

bool read_inner_v6(FrameView& quote, std::uint32_t& offset, InnerTuple& out) noexcept {
    if (quote.unreadable(offset, 40, kBad) || (quote.u8(offset) >> 4) != 6) return false;
    quote.end = std::min(quote.end, offset + 40U + quote.u16(offset + 4));
    std::copy_n(quote.data + offset + 8, 16, out.src.bytes.begin());
    std::copy_n(quote.data + offset + 24, 16, out.dst.bytes.begin());
    ChainEnd chain;
    if (walk_ipv6_chain(quote, offset + 40, quote.u8(offset + 6), ChainMode::quoted, chain)) return false;
    out.proto = abi::L4Proto{chain.proto};
    offset = chain.l4_offset;
    return true;
}

}  // namespace

bool parse_inner(const Packet& packet, const ParsedPacket& outer, InnerTuple& out) noexcept {
    out = InnerTuple{};
    out.family = outer.family;
    FrameView quote{packet.data, std::min(packet.contiguous_bytes, packet.total_bytes),
                    outer.payload_offset + outer.payload_bytes, L4Checksum::unknown};
    std::uint32_t offset = outer.payload_offset;
    const bool v4 = outer.family == abi::IpFamily::v4;
    if (!(v4 ? read_inner_v4(quote, offset, out) : read_inner_v6(quote, offset, out))) return false;
    if (quote.unreadable(offset, kL4BytesMin, kBad)) return false;
    out.l4_offset = static_cast<std::uint16_t>(offset);
    switch (out.proto) {
        case abi::L4Proto::tcp:
        case abi::L4Proto::udp:
        case abi::L4Proto::sctp:
            out.sport = abi::L4Port::read(quote.data + offset);
            out.dport = abi::L4Port::read(quote.data + offset + 2);
            if (out.proto != abi::L4Proto::udp) out.number = quote.u32(offset + 4);
            return true;
        case abi::L4Proto::icmp:
        case abi::L4Proto::icmp6:
            if (v4 != (out.proto == abi::L4Proto::icmp)) return false;
            out.icmp = {.type = quote.u8(offset), .code = quote.u8(offset + 1)};
            if (has_icmp_id(out.proto, out.icmp.type)) out.icmp.id = quote.u16(offset + 4);
            return !is_icmp_error(out.proto, out.icmp.type);  // never an error about an error (RFC 1122 section 3.2.2)
        default: return true;
    }
}

bool claims_impossible_mtu(const Packet& packet, const ParsedPacket& outer) noexcept {
    constexpr std::uint8_t kUnreachable = 3, kFragmentationNeeded = 4, kPacketTooBig = 2;
    constexpr std::uint32_t kMtuMinV4 = 68, kMtuMinV6 = 1280;
    const std::uint8_t* rest = packet.data + outer.l4_offset + 4;  // of the ICMP header, which `parse` has read
    if (outer.proto == abi::L4Proto::icmp) {
        if (outer.icmp.type != kUnreachable || outer.icmp.code != kFragmentationNeeded) return false;
        const std::uint32_t mtu = abi::NetOrder<std::uint16_t>::read(rest + 2).to_host();
        return mtu != 0 && mtu < kMtuMinV4;
    }
    return outer.icmp.type == kPacketTooBig && abi::NetOrder<std::uint32_t>::read(rest).to_host() < kMtuMinV6;
}

}  // namespace sluice::dp
