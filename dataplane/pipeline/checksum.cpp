#include "dataplane/pipeline/checksum.hpp"

#include <cstring>

namespace sluice::dp {

std::uint64_t checksum_add(std::uint64_t sum, std::span<const std::uint8_t> bytes) noexcept {
    const std::uint8_t* at = bytes.data();
    std::size_t left = bytes.size();
    // 32-bit words into 64 bits: no carry can be lost below 2^32 words. Two accumulators, so that one addition does not
    // wait for the other.
    std::uint64_t even = 0;
    std::uint64_t odd = 0;
    for (; left >= 8; at += 8, left -= 8) {
        std::uint32_t words[2];
        std::memcpy(words, at, sizeof words);
        even += words[0];
        odd += words[1];
    }
    if (left > 0) {
        std::uint8_t tail[8] = {};
        std::uint32_t words[2];
        std::memcpy(tail, at, left);
        std::memcpy(words, tail, sizeof words);
        even += words[0];
        odd += words[1];
    }
    return sum + even + odd;
}

std::uint64_t pseudo_header_sum(abi::IpFamily family, const abi::IpAddr& src, const abi::IpAddr& dst,
                                abi::L4Proto proto, std::uint32_t l4_bytes) noexcept {
    const std::size_t addr_bytes = family == abi::IpFamily::v4 ? 4 : 16;
    std::uint64_t sum = checksum_add(0, std::span{src.bytes}.first(addr_bytes));
    sum = checksum_add(sum, std::span{dst.bytes}.first(addr_bytes));
    sum += abi::NetOrder<std::uint32_t>::of_host(l4_bytes).wire();
    sum += abi::NetOrder<std::uint16_t>::of_host(static_cast<std::uint8_t>(proto)).wire();
    return sum;
}

}  // namespace sluice::dp
