/// The Internet checksum (RFC 1071), for verifying what arrives and filling in what we originate.
///
/// Sums are kept unfolded in 64 bits and in *wire* order: RFC 1071 section 2(B) makes the sum independent of byte order
/// as long as words are read and the result is stored the same way, so nothing is swapped on the way.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>

#include <sluice/abi/net_order.hpp>

namespace sluice::dp {

/// Adds `bytes`, whose first byte is the high half of a 16-bit word (an even offset of what is summed). An odd last
/// byte is padded with zero, so only the last piece may have an odd length.
std::uint64_t checksum_add(std::uint64_t sum, std::span<const std::uint8_t> bytes) noexcept;

/// The same for a header of a known length, a multiple of four, without a loop.
template <std::uint32_t kBytes>
std::uint64_t checksum_words(const std::uint8_t* bytes) noexcept {
    static_assert(kBytes % 4 == 0);
    std::uint64_t sum = 0;
    for (std::uint32_t at = 0; at < kBytes; at += 4) {
        std::uint32_t word;
        std::memcpy(&word, bytes + at, sizeof word);
        sum += word;
    }
    return sum;
}

/// Pseudo headers: RFC 9293 section 3.1 for IPv4, RFC 8200 section 8.1 for IPv6. `l4_bytes` = transport header + data.
std::uint64_t pseudo_header_sum(abi::IpFamily family, const abi::IpAddr& src, const abi::IpAddr& dst,
                                abi::L4Proto proto, std::uint32_t l4_bytes) noexcept;

/// The 16-bit one's complement sum, wire order. 0xffff over data that includes its right checksum.
constexpr std::uint16_t checksum_fold(std::uint64_t sum) noexcept {
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<std::uint16_t>(sum);
}
constexpr bool checksum_good(std::uint64_t sum) noexcept { return checksum_fold(sum) == 0xffff; }
/// What to store in a checksum field that was zero while it was summed.
constexpr abi::NetOrder<std::uint16_t> checksum_value(std::uint64_t sum) noexcept {
    return abi::NetOrder<std::uint16_t>::of_wire(static_cast<std::uint16_t>(~checksum_fold(sum)));
}

}  // namespace sluice::dp
