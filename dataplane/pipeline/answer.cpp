#include "dataplane/pipeline/answer.hpp"

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>

#include "dataplane/pipeline/checksum.hpp"
#include "dataplane/pipeline/own_ip.hpp"
#include "dataplane/pipeline/parse.hpp"

namespace sluice::dp {

namespace {

using abi::IpFamily;
using abi::L4Proto;

constexpr std::uint32_t kFrameBytesMin = 60;
constexpr std::uint32_t kTcpBytes = 20;
constexpr std::uint32_t kIcmpBytes = 8;
constexpr std::uint32_t kIcmp4DatagramBytesMax = 576;   ///< RFC 1812 section 4.3.2.3
constexpr std::uint32_t kIcmp6DatagramBytesMax = 1280;  ///< RFC 4443 section 2.4 c

void put32(std::uint8_t* at, std::uint32_t value) noexcept { abi::NetOrder<std::uint32_t>::of_host(value).write(at); }

/// What of the datagram an ICMP answer quotes: its header and as much as fits. Only the first segment is at hand, and
/// `parse` made sure that it holds at least the IP header and 8 bytes of transport if there were that many.
std::uint32_t quoted_bytes(const Packet& packet, const ParsedPacket& p) noexcept {
    const std::uint32_t max = (p.family == IpFamily::v4 ? kIcmp4DatagramBytesMax : kIcmp6DatagramBytesMax) -
                              ip_header_bytes(p.family) - kIcmpBytes;
    const std::uint32_t datagram = p.l4_offset + p.l4_bytes - p.l3_offset;
    const std::uint32_t at_hand = std::min(packet.contiguous_bytes, packet.total_bytes) - p.l3_offset;
    return std::min({max, datagram, at_hand});
}

std::uint32_t l4_answer_bytes(const Packet& packet, const ParsedPacket& p) noexcept {
    return p.proto == L4Proto::tcp ? kTcpBytes : kIcmpBytes + quoted_bytes(packet, p);
}

/// Back to the sender of `p`.
void write_ip(const ParsedPacket& p, std::uint8_t* ip, L4Proto proto, std::uint32_t l4_bytes) noexcept {
    write_own_ip(ip, {p.family, p.dst, p.src, proto}, l4_bytes);
}

struct ResetNumbers {
    std::uint32_t seq{}, ack{};
    bool has_ack{};
};

/// RFC 9293 section 3.10.7.1: a segment for which there is no connection.
ResetNumbers reset_numbers(const ParsedPacket& p) noexcept {
    if ((p.tcp.flags & tcp_flag::ack) != 0) return {p.tcp.ack, 0, false};
    const std::uint32_t syn_fin =
        ((p.tcp.flags & tcp_flag::syn) != 0 ? 1U : 0U) + ((p.tcp.flags & tcp_flag::fin) != 0 ? 1U : 0U);
    return {0, p.tcp.seq + p.payload_bytes + syn_fin, true};
}

/// To the sender of `p`.
void write_reset(const ParsedPacket& p, const ResetNumbers& numbers, std::uint8_t* tcp) noexcept {
    std::memset(tcp, 0, kTcpBytes);
    p.dport.write(tcp);
    p.sport.write(tcp + 2);
    put32(tcp + 4, numbers.seq);
    put32(tcp + 8, numbers.ack);
    tcp[12] = (kTcpBytes / 4) << 4;
    tcp[13] = numbers.has_ack ? tcp_flag::rst | tcp_flag::ack : tcp_flag::rst;
    const std::uint64_t pseudo = pseudo_header_sum(p.family, p.dst, p.src, L4Proto::tcp, kTcpBytes);
    checksum_value(checksum_add(pseudo, {tcp, kTcpBytes})).write(tcp + 16);
}

/// Communication administratively prohibited: 3/13 (RFC 1812 section 5.2.7.1), 1/1 (RFC 4443 section 3.1).
void write_prohibited(const Packet& packet, const ParsedPacket& p, std::uint8_t* icmp, std::uint32_t bytes) noexcept {
    const bool v4 = p.family == IpFamily::v4;
    std::memset(icmp, 0, kIcmpBytes);
    icmp[0] = v4 ? 3 : 1;
    icmp[1] = v4 ? 13 : 1;
    std::memcpy(icmp + kIcmpBytes, packet.data + p.l3_offset, bytes - kIcmpBytes);
    const std::uint64_t pseudo = v4 ? 0 : pseudo_header_sum(p.family, p.dst, p.src, L4Proto::icmp6, bytes);
    checksum_value(checksum_add(pseudo, {icmp, bytes})).write(icmp + 2);
}

void finish(std::uint8_t* end, std::uint32_t frame_bytes, const Packet& packet, Packet& answer) noexcept {
    // Padding tells nothing of older packets.
    std::memset(end, 0, static_cast<std::size_t>(answer.data + frame_bytes - end));
    answer.total_bytes = frame_bytes;
    answer.in_port = packet.in_port;
}

}  // namespace

bool may_answer(const Packet& packet, const ParsedPacket& p) noexcept {
    if (p.packet_class != PacketClass::ip || p.l2_multicast || !p.checksum_known_good) return false;
    // A group MAC as source: nobody in particular sent it. (Group addresses as IP sources are martians, and an
    // unspecified source speaks to groups only: `parse` saw to both.)
    if ((packet.data[6] & 1) != 0) return false;
    if (p.is_fragment || is_icmp_error(p)) return false;
    return p.proto != L4Proto::tcp || (p.tcp.flags & tcp_flag::rst) == 0;
}

std::uint32_t answer_bytes(const Packet& packet, const ParsedPacket& p) noexcept {
    return std::max(kFrameBytesMin, p.l3_offset + ip_header_bytes(p.family) + l4_answer_bytes(packet, p));
}

void build_answer(const Packet& packet, const ParsedPacket& p, Packet& answer) noexcept {
    const std::uint32_t l4_bytes = l4_answer_bytes(packet, p);
    const std::uint32_t frame_bytes = answer_bytes(packet, p);
    std::uint8_t* out = answer.data;
    std::memcpy(out, packet.data + 6, 6);
    std::memcpy(out + 6, packet.data, 6);
    std::memcpy(out + 12, packet.data + 12, p.l3_offset - 12U);  // tags and ethertype

    std::uint8_t* ip = out + p.l3_offset;
    std::uint8_t* l4 = ip + ip_header_bytes(p.family);
    if (p.proto == L4Proto::tcp) {
        write_ip(p, ip, L4Proto::tcp, l4_bytes);
        write_reset(p, reset_numbers(p), l4);
    } else {
        write_ip(p, ip, p.family == IpFamily::v4 ? L4Proto::icmp : L4Proto::icmp6, l4_bytes);
        write_prohibited(packet, p, l4, l4_bytes);
    }
    finish(l4 + l4_bytes, frame_bytes, packet, answer);
}

void build_onward_reset(const Packet& packet, const ParsedPacket& p, Packet& answer) noexcept {
    ParsedPacket from_receiver = p;  // the packet that its receiver would have sent to hear this
    std::swap(from_receiver.src, from_receiver.dst);
    std::swap(from_receiver.sport, from_receiver.dport);
    std::memcpy(answer.data, packet.data, p.l3_offset);
    std::uint8_t* ip = answer.data + p.l3_offset;
    std::uint8_t* l4 = ip + ip_header_bytes(p.family);
    write_ip(from_receiver, ip, L4Proto::tcp, kTcpBytes);
    const bool has_ack = (p.tcp.flags & tcp_flag::ack) != 0;
    write_reset(from_receiver, {p.tcp.seq, has_ack ? p.tcp.ack : 0, has_ack}, l4);
    finish(l4 + kTcpBytes, answer_bytes(packet, p), packet, answer);
}

}  // namespace sluice::dp
