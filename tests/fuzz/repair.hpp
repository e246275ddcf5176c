/// A fuzzer does not guess checksums; without the right one nothing behind the IPv4 header is ever reached.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "tests/harness/frames.hpp"

namespace sluice::test {

inline void repair_ipv4_checksum(Bytes& frame) {
    std::size_t at = 12;
    while (at + 4 <= frame.size() && (frame[at] == 0x81 || frame[at] == 0x88)) at += 4;
    if (at + 22 > frame.size() || frame[at] != 0x08 || frame[at + 1] != 0x00) return;
    const std::size_t ip = at + 2;
    const std::size_t header_bytes = std::min<std::size_t>((frame[ip] & 0x0fU) * 4, frame.size() - ip);
    frame[ip + 10] = frame[ip + 11] = 0;
    const auto first = frame.begin() + static_cast<std::ptrdiff_t>(ip);
    const std::uint16_t sum = internet_checksum({first, first + static_cast<std::ptrdiff_t>(header_bytes)});
    frame[ip + 10] = static_cast<std::uint8_t>(sum >> 8);
    frame[ip + 11] = static_cast<std::uint8_t>(sum);
}

}  // namespace sluice::test
