/// What `parse` read off a frame. Later stages take this and never look at headers again, except to rewrite them.
#pragma once

#include <cstdint>

#include <sluice/abi/net_order.hpp>

#include "dataplane/flow/sctp_packet.hpp"

namespace sluice::dp {

/// Which policy speaks about the frame: rules for IP, the `wire:` key for the rest.
enum class PacketClass : std::uint8_t {
    ip,     ///< a rule decides
    arp,    ///< `wire: arp`
    nd,     ///< `wire: nd`: a valid neighbour discovery message (RFC 4861: hop limit 255, code 0, lengths right)
    other,  ///< `wire: other`: any other ethertype
};

namespace tcp_flag {
inline constexpr std::uint8_t fin = 0x01, syn = 0x02, rst = 0x04, psh = 0x08, ack = 0x10, urg = 0x20, ece = 0x40,
                              cwr = 0x80;
}

struct TcpFields {
    std::uint32_t seq{}, ack{};  ///< host order
    std::uint16_t window{};      ///< as sent, not scaled
    std::uint8_t flags{};
    std::uint8_t wscale{0xff};  ///< from the options of a SYN; 0xff = absent
    std::uint16_t mss{};        ///< from the options of a SYN; 0 = absent
    bool sack_permitted{};
};

struct IcmpFields {
    std::uint8_t type{}, code{};
    std::uint16_t id{};  ///< host order; of echo and timestamp messages, else 0
};

/// One piece of a larger datagram, as its own headers tell. The data is what reassembly joins: in IPv6 it begins behind
/// the fragment header and may hold more extension headers.
struct FragmentFields {
    std::uint32_t id{};            ///< host order
    std::uint16_t offset_bytes{};  ///< of the data in the datagram
    std::uint16_t data_offset{};   ///< of the data in the frame
    std::uint16_t data_bytes{};
    bool more{};
};

/// Offsets are from Packet::data. Ethernet padding behind the IP datagram is in no length here.
struct ParsedPacket {
    abi::IpAddr src{}, dst{};
    abi::L4Port sport{}, dport{};  ///< TCP, UDP, SCTP; else 0
    std::uint16_t l3_offset{};
    std::uint16_t l4_offset{};       ///< behind all extension headers
    std::uint16_t payload_offset{};  ///< behind the TCP, UDP or ICMP header; = l4_offset for other protocols
    /// Outermost VID that is not 0 (the next switch skips a priority tag, so the tag behind it decides); 0 = untagged
    /// or priority-tagged.
    std::uint16_t vlan{};
    std::uint32_t l4_bytes{};  ///< transport header and payload
    std::uint32_t payload_bytes{};
    PacketClass packet_class{};
    abi::IpFamily family{};
    abi::L4Proto proto{};        ///< after extension headers
    bool l2_multicast{};         ///< destination MAC or IP is multicast or broadcast: never answered
    bool checksum_known_good{};  ///< verified by device or software, or none to verify (proto without, UDPv4 zero)
    bool is_fragment{};  ///< of a larger datagram: lengths are the piece's, no checksum was looked at, ports if first
    bool udp_zero_checksum6{};  ///< UDP over IPv6 without a checksum: passes and is counted (RFC 6936)
    union {
        TcpFields tcp;            ///< proto tcp
        IcmpFields icmp;          ///< proto icmp, icmp6
        SctpPacket sctp;          ///< proto sctp
        FragmentFields fragment;  ///< is_fragment
    };

    ParsedPacket() noexcept : tcp{} {}

    /// Of a usual packet (usual.hpp): what loops over a whole burst look at. The rest stays as it was.
    void head_of_usual() noexcept {
        packet_class = PacketClass::ip;
        family = abi::IpFamily::v4;
        proto = abi::L4Proto::tcp;
        l2_multicast = checksum_known_good = is_fragment = udp_zero_checksum6 = false;
    }
};

}  // namespace sluice::dp
