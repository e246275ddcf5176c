/// Neighbour discovery: what RFC 4861 tells every receiver to discard silently is not carried across either. Each
/// type's checks stand in the order of its section (6.1.1 RS, 6.1.2 RA, 7.1.1 NS, 7.1.2 NA).
#include <algorithm>

#include "dataplane/pipeline/parse_layers.hpp"

namespace sluice::dp {

namespace {

using abi::DropReason;

constexpr std::uint8_t kRouterSolicitation = 133, kRouterAdvertisement = 134, kNeighbourSolicitation = 135,
                       kNeighbourAdvertisement = 136, kRedirect = 137;

/// Bytes in front of the options.
constexpr std::uint32_t fixed_bytes(std::uint8_t type) noexcept {
    switch (type) {
        case kRouterSolicitation: return 8;
        case kRouterAdvertisement: return 16;
        case kRedirect: return 40;
        default: return 24;  // NS, NA: with a target address
    }
}

struct Options {
    bool valid{};
    bool source_link_layer{};
};

/// All options have a length greater than zero (a zero would never end) and end where the message does.
Options read_options(const FrameView& frame, std::uint32_t at) noexcept {
    constexpr std::uint8_t kSourceLinkLayer = 1;
    Options options;
    while (at < frame.end) {
        if (at + 2 > frame.end) return options;
        const std::uint32_t bytes = frame.u8(at + 1) * 8U;
        if (bytes == 0 || at + bytes > frame.end) return options;
        options.source_link_layer = options.source_link_layer || frame.u8(at) == kSourceLinkLayer;
        at += bytes;
    }
    options.valid = true;
    return options;
}

bool is_multicast(const std::uint8_t* addr) noexcept { return addr[0] == 0xff; }
bool is_link_local(const abi::IpAddr& a) noexcept { return a.bytes[0] == 0xfe && (a.bytes[1] & 0xc0) == 0x80; }
bool is_solicited_node(const abi::IpAddr& a) noexcept {
    static constexpr std::array<std::uint8_t, 13> kPrefix{0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff};
    return std::equal(kPrefix.begin(), kPrefix.end(), a.bytes.begin());
}

bool addresses_valid(const FrameView& frame, const ParsedPacket& p, const Options& options) noexcept {
    const bool unspecified = p.src == abi::IpAddr{};
    const std::uint8_t* target = frame.data + p.l4_offset + 8;
    switch (p.icmp.type) {
        case kRouterSolicitation: return !(unspecified && options.source_link_layer);
        case kRouterAdvertisement: return is_link_local(p.src);
        case kNeighbourSolicitation:
            if (is_multicast(target)) return false;
            return !unspecified || (is_solicited_node(p.dst) && !options.source_link_layer);
        case kNeighbourAdvertisement: {
            const bool solicited = (frame.u8(p.l4_offset + 4U) & 0x40) != 0;
            return !is_multicast(target) && !(solicited && p.dst.bytes[0] == 0xff);
        }
        default: return is_link_local(p.src);  // redirect, 8.1
    }
}

}  // namespace

Fault parse_nd(const FrameView& frame, const IpContext& ip, ParsedPacket& out) noexcept {
    // 255 proves that no router forwarded it: the sender is on this link.
    if (ip.hop_limit != 255) return DropReason::nd_hoplimit;
    // RFC 6980: not even an atomic fragment; hosts and guards that disagree about them were a way around RA guard.
    if (out.icmp.code != 0 || ip.fragment_header) return DropReason::nd_reject;
    if (out.l4_bytes < fixed_bytes(out.icmp.type)) return DropReason::nd_reject;
    if (auto fault = frame.unreadable(out.l4_offset, out.l4_bytes, DropReason::nd_reject)) return fault;
    const Options options = read_options(frame, out.l4_offset + fixed_bytes(out.icmp.type));
    if (!options.valid || !addresses_valid(frame, out, options)) return DropReason::nd_reject;
    if (out.icmp.type == kRedirect) return DropReason::icmp_type_deny;  // as in IPv4 (CASES I10)
    out.packet_class = PacketClass::nd;
    return std::nullopt;
}

}  // namespace sluice::dp
