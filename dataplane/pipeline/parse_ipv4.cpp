/// IPv4: the checks of RFC 1812 section 5.2.2, options, addresses that must not cross a firewall, fragments. The TTL is
/// not looked at: on a wire we are no hop (CASES F3).
#include <memory>

#include "dataplane/pipeline/checksum.hpp"
#include "dataplane/pipeline/parse_layers.hpp"

namespace sluice::dp {

namespace {

using abi::DropReason;

constexpr std::uint32_t kHeaderBytesMin = 20;

/// CASES D6. Padding passes; a source route, an option whose length is wrong and every other option share one fate, so
/// there is nothing to tell apart until rules can allow options.
bool only_padding(std::span<const std::uint8_t> options) noexcept {
    constexpr std::uint8_t kEndOfList = 0, kNop = 1;
    for (const std::uint8_t option : options) {
        if (option == kEndOfList) return true;
        if (option != kNop) return false;
    }
    return true;
}

constexpr bool in_net(std::uint32_t addr, std::uint32_t net, unsigned prefix) noexcept {
    return ((addr ^ net) >> (32 - prefix)) == 0;
}

constexpr std::uint32_t kBroadcast = 0xffffffff;
constexpr bool is_multicast(std::uint32_t addr) noexcept { return in_net(addr, 0xe0000000, 4); }

/// RFC 6890: addresses that are never a source or a destination between two networks. Link-local 169.254/16 is fine on
/// a wire, which may well join two halves of one link.
bool is_martian(std::uint32_t src, std::uint32_t dst) noexcept {
    if (src == dst) return true;  // LAND
    if (in_net(src, 0x7f000000, 8) || in_net(dst, 0x7f000000, 8)) return true;
    if (src >= 0xe0000000) return true;                                // multicast, reserved, broadcast
    if (in_net(dst, 0xf0000000, 4) && dst != kBroadcast) return true;  // reserved
    if (in_net(dst, 0, 8)) return true;                                // "this network"
    // 0.0.0.0 speaks before it has an address, and then to everybody (DHCP, IGMP); never to one host.
    return in_net(src, 0, 8) && (src != 0 || (dst != kBroadcast && !is_multicast(dst)));
}

}  // namespace

Fault parse_ipv4(FrameView frame, ParsedPacket& out) noexcept {
    const std::uint32_t l3 = out.l3_offset;
    if (auto fault = frame.unreadable(l3, kHeaderBytesMin, DropReason::l2_deny)) return fault;
    const std::uint32_t header_bytes = (frame.u8(l3) & 0x0fU) * 4;
    const std::uint32_t datagram_bytes = frame.u16(l3 + 2);
    if ((frame.u8(l3) >> 4) != 4 || header_bytes < kHeaderBytesMin || datagram_bytes < header_bytes ||
        l3 + datagram_bytes > frame.end) {
        return DropReason::ip_malformed;
    }
    frame.end = l3 + datagram_bytes;  // what follows is Ethernet padding and belongs to nothing
    if (auto fault = frame.unreadable(l3, header_bytes, DropReason::ip_malformed)) return fault;
    if (!checksum_good(checksum_add(0, frame.bytes(l3, header_bytes)))) return DropReason::ip_malformed;

    out.family = abi::IpFamily::v4;
    // Into place, the other 12 bytes are zero already: an IpAddr made here and copied would be read 16 bytes wide right
    // after a 4-byte store, which stalls.
    abi::Ipv4Addr::read(frame.data + l3 + 12).write(out.src.bytes.data());
    abi::Ipv4Addr::read(frame.data + l3 + 16).write(out.dst.bytes.data());
    out.proto = abi::L4Proto{frame.u8(l3 + 9)};
    const std::uint32_t src = frame.u32(l3 + 12);
    const std::uint32_t dst = frame.u32(l3 + 16);
    out.l2_multicast = out.l2_multicast || is_multicast(dst) || dst == kBroadcast;
    if (!only_padding(frame.bytes(l3 + kHeaderBytesMin, header_bytes - kHeaderBytesMin))) return DropReason::ip_options;
    if (is_martian(src, dst)) return DropReason::martian;

    // Protocol 0 is IPv6's hop-by-hop header: what a host makes of it in IPv4 is anybody's guess (CASES D8).
    if (out.proto == abi::L4Proto{0}) return DropReason::proto_deny;

    out.l4_offset = static_cast<std::uint16_t>(l3 + header_bytes);
    const std::uint16_t field = frame.u16(l3 + 6);
    if ((field & 0x3fff) != 0) {  // more fragments, or an offset; with DF it is odd and legal (CASES F11)
        out.is_fragment = true;
        std::construct_at(&out.fragment, FragmentFields{.id = frame.u16(l3 + 4),
                                                        .offset_bytes = static_cast<std::uint16_t>(field << 3),
                                                        .data_offset = out.l4_offset,
                                                        .more = (field & 0x2000) != 0});
        return parse_fragment(frame, header_bytes, out);
    }
    return parse_transport(frame, IpContext{.hop_limit = frame.u8(l3 + 8)}, out);
}

}  // namespace sluice::dp
