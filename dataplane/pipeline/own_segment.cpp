#include "dataplane/pipeline/own_segment.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "dataplane/pipeline/checksum.hpp"
#include "dataplane/pipeline/own_ip.hpp"

namespace sluice::dp {

namespace {

constexpr std::uint32_t kFrameBytesMin = 60;
constexpr std::uint32_t kTcpBytes = 20;
constexpr std::uint32_t kEthernetBytes = 14;
constexpr std::uint8_t kNop = 1, kMss = 2, kScale = 3, kSackPermitted = 4, kTimestamps = 8;

void put16(std::uint8_t* at, std::uint16_t value) noexcept { abi::NetOrder<std::uint16_t>::of_host(value).write(at); }
void put32(std::uint8_t* at, std::uint32_t value) noexcept { abi::NetOrder<std::uint32_t>::of_host(value).write(at); }

/// Every option starts at a word, as most stacks write them; returns what is behind them.
std::uint8_t* write_options(const OwnSegment& s, std::uint8_t* at) noexcept {
    if (s.mss != 0) {
        at[0] = kMss;
        at[1] = 4;
        put16(at + 2, s.mss);
        at += 4;
    }
    if (s.sack) {
        at[0] = at[1] = kNop;
        at[2] = kSackPermitted;
        at[3] = 2;
        at += 4;
    }
    if (s.timestamps) {
        at[0] = at[1] = kNop;
        at[2] = kTimestamps;
        at[3] = 10;
        put32(at + 4, s.tsval);
        put32(at + 8, s.tsecr);
        at += 12;
    }
    if (s.wscale != kNoScale) {
        at[0] = kNop;
        at[1] = kScale;
        at[2] = 3;
        at[3] = s.wscale;
        at += 4;
    }
    return at;
}

/// Behind the Ethernet header and its tags.
void write_datagram(const OwnSegment& s, abi::IpFamily family, const FlowTuple& t, std::uint8_t* ip,
                    Packet& out) noexcept {
    const std::uint32_t bytes = own_tcp_bytes(s);
    write_own_ip(ip, {family, t.src, t.dst, abi::L4Proto::tcp}, bytes);
    std::uint8_t* const tcp = ip + ip_header_bytes(family);
    std::memset(tcp, 0, kTcpBytes);
    t.sport.write(tcp);
    t.dport.write(tcp + 2);
    put32(tcp + 4, s.seq);
    put32(tcp + 8, (s.flags & tcp_flag::ack) != 0 ? s.ack : 0);
    tcp[12] = static_cast<std::uint8_t>(bytes / 4 << 4);
    tcp[13] = s.flags;
    put16(tcp + 14, s.window);
    std::uint8_t* const end = write_options(s, tcp + kTcpBytes);
    const std::uint64_t pseudo = pseudo_header_sum(family, t.src, t.dst, abi::L4Proto::tcp, bytes);
    checksum_value(checksum_add(pseudo, {tcp, bytes})).write(tcp + 16);
    const auto used = static_cast<std::uint32_t>(end - out.data);
    out.total_bytes = std::max(kFrameBytesMin, used);
    std::memset(end, 0, out.total_bytes - used);  // padding tells nothing of older packets
}

}  // namespace

std::uint32_t own_tcp_bytes(const OwnSegment& s) noexcept {
    return kTcpBytes + (s.mss != 0 ? 4U : 0U) + (s.sack ? 4U : 0U) + (s.timestamps ? 12U : 0U) +
           (s.wscale != kNoScale ? 4U : 0U);
}

std::uint32_t own_frame_bytes(const OwnSegment& s, abi::IpFamily family, std::uint32_t l3_offset) noexcept {
    return std::max(kFrameBytesMin, l3_offset + ip_header_bytes(family) + own_tcp_bytes(s));
}

void build_own_segment(const OwnSegment& s, const Packet& about, const ParsedPacket& p, Packet& out) noexcept {
    std::memcpy(out.data, about.data, p.l3_offset);
    FlowTuple t{p.src, p.dst, p.sport, p.dport, p.proto};
    if (!s.onward) {
        std::memcpy(out.data, about.data + 6, 6);
        std::memcpy(out.data + 6, about.data, 6);
        std::swap(t.src, t.dst);
        std::swap(t.sport, t.dport);
    }
    write_datagram(s, p.family, t, out.data + p.l3_offset, out);
    out.in_port = about.in_port;
}

void build_own_segment(const OwnSegment& s, const OwnEnds& ends, Packet& out) noexcept {
    constexpr std::uint16_t kIpv4 = 0x0800, kIpv6 = 0x86dd;
    std::memcpy(out.data, ends.dst_mac.data(), 6);
    std::memcpy(out.data + 6, ends.src_mac.data(), 6);
    put16(out.data + 12, ends.family == abi::IpFamily::v4 ? kIpv4 : kIpv6);
    write_datagram(s, ends.family, ends.tuple, out.data + kEthernetBytes, out);
}

}  // namespace sluice::dp
