/// Frames for tests: well-formed with right lengths and checksums unless a field says otherwise. Describe the layers,
/// get bytes:
///
///     frame(Ipv4{.src = "192.0.2.1", .dst = "198.51.100.80"}, Tcp{.dport = 443, .flags = kSyn})
///     frame(Ipv6{.ext = {destination_options()}}, Udp{.payload = bytes_of(100)}, Eth{.tags = {{0x8100, 7}}})
///     frame(Arp{.target_ip = "198.51.100.80"})
///     frame(nd_packet("fe80::1", "ff02::1:ff00:80"), neighbour_solicitation("2001:db8:51::80"))
///
/// It shares no code with the parser or the answers it is used to test: the checksum here is the plain loop of RFC
/// 1071.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <sluice/abi/net_order.hpp>

#include "dataplane/pipeline/packet.hpp"

namespace sluice::test {

using Bytes = std::vector<std::uint8_t>;
using Mac = std::array<std::uint8_t, 6>;

inline constexpr Mac kOutsideMac{0x02, 0, 0, 0, 0, 0x07};
inline constexpr Mac kInsideMac{0x02, 0, 0, 0, 0, 0x80};
inline constexpr Mac kBroadcastMac{0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

inline constexpr std::uint8_t kFin = 0x01, kSyn = 0x02, kRst = 0x04, kPsh = 0x08, kAck = 0x10, kUrg = 0x20, kEce = 0x40,
                              kCwr = 0x80;

struct VlanTag {
    std::uint16_t tpid{0x8100};
    std::uint16_t tci{};  ///< PCP, DEI and VID
};

struct Eth {
    Mac dst{kInsideMac};
    Mac src{kOutsideMac};
    std::vector<VlanTag> tags{};
    std::optional<std::uint16_t> ethertype{};  ///< instead of the one that belongs to the content
    std::size_t pad_to{};                      ///< filled with 0xa5 behind the datagram, to this frame length
};

struct Ipv4 {
    std::string src{"198.51.100.7"};
    std::string dst{"198.51.100.80"};
    std::uint8_t ttl{64};
    std::uint8_t tos{};
    std::uint16_t id{1};
    bool dont_fragment{true};
    bool more_fragments{};
    std::uint16_t fragment_offset{};  ///< in bytes, a multiple of 8
    Bytes options{};                  ///< as they are; keep to a multiple of 4 unless that is the point
    std::optional<std::uint8_t> proto{};
    std::optional<std::uint8_t> version{};
    std::optional<std::uint8_t> ihl{};  ///< in words
    std::optional<std::uint16_t> total_bytes{};
    std::optional<std::uint16_t> checksum{};
};

/// An IPv6 extension header as it stands on the wire, its first byte (next header) to be filled in by `frame`.
struct Ext {
    std::uint8_t type{};
    Bytes bytes{};
};

struct Ipv6 {
    std::string src{"2001:db8:51::7"};
    std::string dst{"2001:db8:51::80"};
    std::uint8_t hop_limit{64};
    std::uint8_t traffic_class{};
    std::uint32_t flow_label{};
    std::vector<Ext> ext{};
    std::optional<std::uint8_t> proto{};  ///< of the last next-header field
    std::optional<std::uint8_t> version{};
    std::optional<std::uint16_t> payload_bytes{};
};

struct Tcp {
    std::uint16_t sport{40000};
    std::uint16_t dport{443};
    std::uint32_t seq{1000};
    std::uint32_t ack{};
    std::uint8_t flags{kSyn};
    std::uint16_t window{64240};
    Bytes options{};  ///< padded to a multiple of 4 with end-of-list
    Bytes payload{};
    std::optional<std::uint8_t> data_offset{};  ///< in words
    std::optional<std::uint16_t> checksum{};
};

struct Udp {
    std::uint16_t sport{40000};
    std::uint16_t dport{53};
    Bytes payload{};
    std::optional<std::uint16_t> length{};
    std::optional<std::uint16_t> checksum{};
};

/// ICMP in IPv4, ICMPv6 in IPv6.
struct Icmp {
    std::uint8_t type{8};
    std::uint8_t code{};
    std::uint16_t id{1};
    std::uint16_t seq{1};
    Bytes payload{};
    std::optional<std::uint16_t> checksum{};
};

// --- SCTP chunks, to be joined with +
Bytes sctp_chunk(std::uint8_t type, const Bytes& body = {}, std::uint8_t flags = 0);  ///< padded
Bytes sctp_init(std::uint32_t tag);
Bytes sctp_init_ack(std::uint32_t tag);
Bytes sctp_data(std::size_t payload_bytes);

struct Sctp {
    std::uint16_t sport{40000};
    std::uint16_t dport{3868};
    std::uint32_t tag{};
    Bytes chunks{sctp_init(7)};
};

/// Any other protocol, or a broken transport header.
struct Raw {
    std::uint8_t proto{};
    Bytes bytes{};
};

using L4 = std::variant<Tcp, Udp, Icmp, Sctp, Raw>;

struct Arp {
    std::uint16_t operation{1};
    Mac sender_mac{kOutsideMac};
    std::string sender_ip{"198.51.100.7"};
    Mac target_mac{};
    std::string target_ip{"198.51.100.80"};
    std::uint16_t hardware_type{1};
    std::uint16_t protocol_type{0x0800};
    std::uint8_t hardware_bytes{6};
    std::uint8_t protocol_bytes{4};
};

Bytes frame(const Ipv4& ip, const L4& l4, const Eth& eth = {});
Bytes frame(const Ipv6& ip, const L4& l4, const Eth& eth = {});
Bytes frame(const Arp& arp, const Eth& eth = {.dst = kBroadcastMac});
Bytes frame(std::uint16_t ethertype, const Bytes& content, const Eth& eth = {});

/// The datagram alone, as an ICMP error quotes it.
Bytes datagram(const Ipv4& ip, const L4& l4);
Bytes datagram(const Ipv6& ip, const L4& l4);

// --- IPv6 extension headers. `length` overrides the header's own length field.
Ext hop_by_hop(const Bytes& options = {1, 4, 0, 0, 0, 0}, std::optional<std::uint8_t> length = {});
Ext destination_options(const Bytes& options = {1, 4, 0, 0, 0, 0}, std::optional<std::uint8_t> length = {});
Ext routing(std::uint8_t type, std::uint8_t segments_left, const Bytes& data = {0, 0, 0, 0});
Ext fragment(std::uint16_t offset_bytes, bool more, std::uint32_t id = 1);

// --- neighbour discovery: messages for an nd_packet
Ipv6 nd_packet(std::string_view src, std::string_view dst);
Icmp router_solicitation(const Bytes& options = {});
Icmp router_advertisement(const Bytes& options = {});
Icmp neighbour_solicitation(std::string_view target, const Bytes& options = {});
Icmp neighbour_advertisement(std::string_view target, std::uint8_t flags = 0x60, const Bytes& options = {});
Icmp nd_redirect(std::string_view target, std::string_view destination);
Bytes link_layer_option(std::uint8_t type, const Mac& mac = kOutsideMac);  ///< type 1 = source, 2 = target

// --- pieces
abi::IpAddr address(std::string_view text);  ///< IPv4 or IPv6 text; aborts on nonsense
Bytes bytes_of(std::size_t count, std::uint8_t value = 'x');
Bytes operator+(Bytes a, const Bytes& b);

/// The first `count` bytes; all of them if there are fewer.
Bytes first(const Bytes& bytes, std::size_t count);

/// One contiguous packet over the frame's own memory, which must outlive it.
dp::Packet as_packet(Bytes& frame, dp::PortIndex in_port = dp::PortIndex{0});

/// RFC 1071, the slow and obvious way: 0 over data that includes its right checksum.
std::uint16_t internet_checksum(const Bytes& data);

}  // namespace sluice::test
