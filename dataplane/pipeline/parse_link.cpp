/// Ethernet, VLAN tags and ARP; the entry of `parse`.
#include <algorithm>
#include <memory>

#include "dataplane/pipeline/parse.hpp"
#include "dataplane/pipeline/parse_layers.hpp"
#include "dataplane/pipeline/parse_plain.hpp"

namespace sluice::dp {

namespace {

using abi::DropReason;

constexpr std::uint32_t kEthernetBytes = 14;
constexpr std::uint32_t kTagBytes = 4;
constexpr int kTagsMax = 2;
constexpr std::uint16_t kEthertypeIpv4 = 0x0800, kEthertypeArp = 0x0806, kEthertypeIpv6 = 0x86dd;
constexpr std::uint16_t kEthertypeFirst = 0x0600;  ///< smaller values are lengths (IEEE 802.3 clause 3.2.6)
constexpr std::uint16_t kLengthMax = 1500;

constexpr bool is_tag(std::uint16_t ethertype) noexcept { return ethertype == 0x8100 || ethertype == 0x88a8; }

constexpr bool is_group_mac(const std::uint8_t* mac) noexcept { return (mac[0] & 1) != 0; }

bool is_zero_mac(const std::uint8_t* mac) noexcept {
    return std::all_of(mac, mac + 6, [](std::uint8_t b) { return b == 0; });
}

/// Steps over the tags. On return `offset` is behind the last ethertype.
Fault read_tags(const FrameView& frame, std::uint32_t& offset, std::uint16_t& ethertype, ParsedPacket& out) noexcept {
    for (int tags = 0; is_tag(ethertype); ++tags) {
        if (tags == kTagsMax) return DropReason::vlan_deny;
        if (auto fault = frame.unreadable(offset, kTagBytes, DropReason::l2_deny)) return fault;
        const auto vid = static_cast<std::uint16_t>(frame.u16(offset) & 0x0fff);
        if (vid == 0x0fff) return DropReason::vlan_deny;  // reserved (IEEE 802.1Q table 9-2)
        if (out.vlan == 0) out.vlan = vid;
        ethertype = frame.u16(offset + 2);
        offset += kTagBytes;
    }
    return std::nullopt;
}

}  // namespace

Fault parse_arp(const FrameView& frame, std::uint32_t offset) noexcept {
    // A frame that ends inside the fixed part is a runt; one that announces longer addresses than it has is bad ARP.
    if (auto fault = frame.unreadable(offset, 8, DropReason::l2_deny)) return fault;
    constexpr std::uint16_t kEthernet = 1;
    if (frame.u16(offset) != kEthernet || frame.u16(offset + 2) != kEthertypeIpv4 || frame.u8(offset + 4) != 6 ||
        frame.u8(offset + 5) != 4) {
        return DropReason::arp_reject;
    }
    if (auto fault = frame.unreadable(offset, 28, DropReason::arp_reject)) return fault;

    const std::uint16_t operation = frame.u16(offset + 6);
    constexpr std::uint16_t kRequest = 1, kReply = 2;
    if (operation != kRequest && operation != kReply) return DropReason::arp_reject;

    const std::uint8_t* sender_mac = frame.data + offset + 8;
    if (is_group_mac(sender_mac) || is_zero_mac(sender_mac)) return DropReason::arp_reject;

    const std::uint32_t sender = frame.u32(offset + 14);
    // Sender 0.0.0.0 is a probe, and a probe is a request (RFC 5227 section 2.1.1).
    if (sender == 0 && operation != kRequest) return DropReason::arp_reject;
    // No host owns a loopback, multicast, reserved or broadcast address, so none may bind a MAC to it.
    if ((sender >> 24) == 127 || sender >= 0xe0000000) return DropReason::arp_reject;
    return std::nullopt;
}

std::optional<DropReason> parse(const Packet& packet, ParsedPacket& out) noexcept {
    if (parse_if_plain(packet, out)) return std::nullopt;
    return parse_layers(view_of(packet), out);
}

bool parse_if_plain(const Packet& packet, ParsedPacket& out) noexcept {
    std::construct_at(&out);
    return parse_plain(view_of(packet), out);
}

Fault parse_layers(const FrameView& frame, ParsedPacket& out) noexcept {
    std::construct_at(&out);
    if (auto fault = frame.unreadable(0, kEthernetBytes, DropReason::l2_deny)) return fault;
    out.l2_multicast = is_group_mac(frame.data);
    std::uint16_t ethertype = frame.u16(12);
    std::uint32_t offset = kEthernetBytes;
    if (auto fault = read_tags(frame, offset, ethertype, out)) return fault;
    out.l3_offset = static_cast<std::uint16_t>(offset);

    switch (ethertype) {
        case kEthertypeIpv4: return parse_ipv4(frame, out);
        case kEthertypeIpv6: return parse_ipv6(frame, out);
        case kEthertypeArp: out.packet_class = PacketClass::arp; return parse_arp(frame, offset);
        default: break;
    }
    out.packet_class = PacketClass::other;
    if (ethertype < kEthertypeFirst) {
        // A length: 802.3 with LLC (spanning tree, for example). Values between the two uses are undefined.
        if (ethertype > kLengthMax || offset + ethertype > frame.end) return DropReason::l2_deny;
    }
    return std::nullopt;
}

}  // namespace sluice::dp
