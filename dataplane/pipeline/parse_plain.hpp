/// The plain frame, read in one go: untagged Ethernet, IPv4 without options or IPv6 without extension headers, no
/// fragment, ordinary addresses, and TCP, all of it in the first segment. Of live flows that is nearly
/// every packet over IPv6, and over IPv4 those that are not even usual (usual.hpp); `parse` tries it first. Whatever is
/// not plain, or wrong in any way, is left to the layers' own files, which say what it is: for a frame that is read
/// here they give the same, field by field (parse_plain_test).
#pragma once

#include <algorithm>

#include "dataplane/pipeline/checksum.hpp"
#include "dataplane/pipeline/parse_layers.hpp"

namespace sluice::dp {

namespace plain {

inline constexpr std::uint32_t kL3 = 14;
inline constexpr std::uint32_t kIpv4Bytes = 20, kIpv6Bytes = 40, kTcpBytes = 20;

/// No "this network", loopback, multicast or reserved address; none of those is martian, whatever the other end is.
constexpr bool is_ordinary_v4(std::uint32_t addr) noexcept {
    const std::uint32_t net = addr >> 24;
    return net - 1 < 0xdf && net != 0x7f;  // 1 to 223
}
/// ::, ::1 and mapped IPv4 begin with 0, groups with ff.
inline bool is_ordinary_v6(const abi::IpAddr& a) noexcept { return a.bytes[0] != 0 && a.bytes[0] != 0xff; }

/// `end`: where the datagram ends, not beyond the frame. Unless all is well `out` is left half written.
inline bool read_tcp(const FrameView& frame, std::uint32_t l4, std::uint32_t end, ParsedPacket& out) noexcept {
    constexpr std::uint8_t kSyn = 0x02;
    if (l4 + kTcpBytes > end || l4 + kTcpBytes > frame.readable) return false;
    const std::uint32_t l4_bytes = end - l4;
    const std::uint32_t header_bytes = (frame.u8(l4 + 12) >> 4) * 4U;
    const std::uint8_t flags = frame.u8(l4 + 13);
    if (header_bytes < kTcpBytes || header_bytes > l4_bytes || l4 + header_bytes > frame.readable) return false;
    if (frame.l4_checksum != L4Checksum::good) {
        if (frame.l4_checksum == L4Checksum::bad || end > frame.readable) return false;
        const std::uint64_t pseudo = pseudo_header_sum(out.family, out.src, out.dst, abi::L4Proto::tcp, l4_bytes);
        if (!checksum_good(checksum_add(pseudo, frame.bytes(l4, l4_bytes)))) return false;
    }
    out.sport = abi::L4Port::read(frame.data + l4);
    out.dport = abi::L4Port::read(frame.data + l4 + 2);
    out.l3_offset = kL3;
    out.l4_offset = static_cast<std::uint16_t>(l4);
    out.payload_offset = static_cast<std::uint16_t>(l4 + header_bytes);
    out.l4_bytes = l4_bytes;
    out.payload_bytes = l4_bytes - header_bytes;
    out.proto = abi::L4Proto::tcp;
    out.l2_multicast = (frame.u8(0) & 1) != 0;
    out.checksum_known_good = true;
    out.tcp.seq = frame.u32(l4 + 4);
    out.tcp.ack = frame.u32(l4 + 8);
    out.tcp.flags = flags;
    out.tcp.window = frame.u16(l4 + 14);
    return (flags & kSyn) == 0 || !read_tcp_options(frame, l4 + kTcpBytes, l4 + header_bytes, out.tcp);
}

inline bool read_ipv4(const FrameView& frame, ParsedPacket& out) noexcept {
    constexpr std::uint8_t kVersionAndLength = 0x45, kTcp = 6;
    const std::uint8_t* const ip = frame.data + kL3;
    const std::uint32_t bytes = frame.u16(kL3 + 2);
    if (ip[0] != kVersionAndLength || ip[9] != kTcp || (frame.u16(kL3 + 6) & 0x3fff) != 0) return false;
    if (kL3 + bytes > frame.end) return false;
    const std::uint32_t src = frame.u32(kL3 + 12), dst = frame.u32(kL3 + 16);
    if (!is_ordinary_v4(src) || !is_ordinary_v4(dst) || src == dst) return false;
    if (!checksum_good(checksum_words<kIpv4Bytes>(ip))) return false;
    out.family = abi::IpFamily::v4;
    abi::Ipv4Addr::read(ip + 12).write(out.src.bytes.data());
    abi::Ipv4Addr::read(ip + 16).write(out.dst.bytes.data());
    return read_tcp(frame, kL3 + kIpv4Bytes, kL3 + bytes, out);
}

inline bool read_ipv6(const FrameView& frame, ParsedPacket& out) noexcept {
    constexpr std::uint8_t kTcp = 6;
    if (kL3 + kIpv6Bytes > frame.readable) return false;
    const std::uint32_t payload_bytes = frame.u16(kL3 + 4);
    if ((frame.u8(kL3) >> 4) != 6 || frame.u8(kL3 + 6) != kTcp || payload_bytes == 0) return false;
    if (kL3 + kIpv6Bytes + payload_bytes > frame.end) return false;
    out.family = abi::IpFamily::v6;
    std::copy_n(frame.data + kL3 + 8, 16, out.src.bytes.begin());
    std::copy_n(frame.data + kL3 + 24, 16, out.dst.bytes.begin());
    if (!is_ordinary_v6(out.src) || !is_ordinary_v6(out.dst) || out.src == out.dst) return false;
    return read_tcp(frame, kL3 + kIpv6Bytes, kL3 + kIpv6Bytes + payload_bytes, out);
}

}  // namespace plain

/// True: `out`, which was as new, is all that `parse` has to say. False: it may be half written.
inline bool parse_plain(const FrameView& frame, ParsedPacket& out) noexcept {
    constexpr std::uint16_t kIpv4 = 0x0800, kIpv6 = 0x86dd;
    if (frame.readable < plain::kL3 + plain::kIpv4Bytes) return false;
    const std::uint16_t ethertype = frame.u16(12);
    if (ethertype == kIpv4) return plain::read_ipv4(frame, out);
    return ethertype == kIpv6 && plain::read_ipv6(frame, out);
}

}  // namespace sluice::dp
