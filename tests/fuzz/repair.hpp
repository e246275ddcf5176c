/// What a fuzzer does not guess: checksums, without which nothing behind the IPv4 header is ever reached, and that a
/// frame ends where its datagram does, without which a read past the datagram finds padding there.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "tests/harness/frames.hpp"

namespace sluice::test {

/// Where the ethertype stands, behind the VLAN tags.
inline std::size_t ethertype_at(const Bytes& frame) {
    std::size_t at = 12;
    while (at + 4 <= frame.size() && (frame[at] == 0x81 || frame[at] == 0x88)) at += 4;
    return at;
}

inline void repair_ipv4_checksum(Bytes& frame) {
    const std::size_t at = ethertype_at(frame);
    if (at + 22 > frame.size() || frame[at] != 0x08 || frame[at + 1] != 0x00) return;
    const std::size_t ip = at + 2;
    const std::size_t header_bytes = std::min<std::size_t>((frame[ip] & 0x0fU) * 4, frame.size() - ip);
    frame[ip + 10] = frame[ip + 11] = 0;
    const auto first = frame.begin() + static_cast<std::ptrdiff_t>(ip);
    const std::uint16_t sum = internet_checksum({first, first + static_cast<std::ptrdiff_t>(header_bytes)});
    frame[ip + 10] = static_cast<std::uint8_t>(sum >> 8);
    frame[ip + 11] = static_cast<std::uint8_t>(sum);
}

/// The frame without its padding, if its IP header says so; else as it is.
inline Bytes ends_with_datagram(const Bytes& frame) {
    const std::size_t at = ethertype_at(frame), ip = at + 2;
    if (ip + 40 > frame.size()) return frame;
    const bool is_v4 = frame[at] == 0x08 && frame[at + 1] == 0x00, is_v6 = frame[at] == 0x86 && frame[at + 1] == 0xdd;
    if (!is_v4 && !is_v6) return frame;
    const std::size_t length_at = ip + (is_v4 ? 2 : 4);
    const std::size_t end =
        ip + (is_v4 ? 0 : 40) + (static_cast<std::size_t>(frame[length_at]) << 8 | frame[length_at + 1]);
    return {frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(std::min(end, frame.size()))};
}

}  // namespace sluice::test
