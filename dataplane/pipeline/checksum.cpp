#include "dataplane/pipeline/checksum.hpp"

#include <cstring>

namespace sluice::dp {

namespace {

template <typename Word>
std::uint64_t load(const std::uint8_t* at) noexcept {
    Word word;
    std::memcpy(&word, at, sizeof word);
    return word;
}

}  // namespace

std::uint64_t checksum_add(std::uint64_t sum, std::span<const std::uint8_t> bytes) noexcept {
    const std::uint8_t* at = bytes.data();
    std::size_t left = bytes.size();
    // 32-bit words into 64 bits: no carry can be lost below 2^32 words. Two accumulators, so that one addition does not
    // wait for the other.
    std::uint64_t even = 0;
    std::uint64_t odd = 0;
    for (; left >= 8; at += 8, left -= 8) {
        even += load<std::uint32_t>(at);
        odd += load<std::uint32_t>(at + 4);
    }
    if ((left & 4) != 0) {
        even += load<std::uint32_t>(at);
        at += 4;
    }
    if ((left & 2) != 0) {
        odd += load<std::uint16_t>(at);
        at += 2;
    }
    // The last byte is the high half of a word whose low half is zero.
    if ((left & 1) != 0) even += abi::NetOrder<std::uint16_t>::of_host(static_cast<std::uint16_t>(*at << 8)).wire();
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
