#include "dataplane/steering/toeplitz.hpp"

#include <gtest/gtest.h>

#include "tests/harness/frames.hpp"

namespace sluice::dp {
namespace {

/// "Verifying the RSS hash calculation", Microsoft's driver documentation: its key, two of its lines.
constexpr std::array<std::uint8_t, 40> kKey{0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67,
                                            0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
                                            0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30,
                                            0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

std::vector<std::uint8_t> input(const char* src, const char* dst, std::size_t address_bytes) {
    std::vector<std::uint8_t> bytes;
    for (const char* const text : {src, dst}) {
        const abi::IpAddr a = test::address(text);
        bytes.insert(bytes.end(), a.bytes.begin(), a.bytes.begin() + static_cast<std::ptrdiff_t>(address_bytes));
    }
    return bytes;
}

void add_ports(std::vector<std::uint8_t>& bytes, std::uint16_t sport, std::uint16_t dport) {
    for (const std::uint16_t port : {sport, dport}) {
        bytes.push_back(static_cast<std::uint8_t>(port >> 8));
        bytes.push_back(static_cast<std::uint8_t>(port));
    }
}

TEST(Toeplitz, GivesThePublishedValues) {
    const Toeplitz hash{kKey};
    auto v4 = input("66.9.149.187", "161.142.100.80", 4);
    EXPECT_EQ(hash.hash(v4), 0x323e8fc2U);
    add_ports(v4, 2794, 1766);
    EXPECT_EQ(hash.hash(v4), 0x51ccc178U);
    auto v6 = input("3ffe:2501:200:1fff::7", "3ffe:2501:200:3::1", 16);
    EXPECT_EQ(hash.hash(v6), 0x2cc18cd5U);
    add_ports(v6, 2794, 1766);
    EXPECT_EQ(hash.hash(v6), 0x40207d3dU);
}

TEST(Toeplitz, ZeroPortsAreNoPorts) {
    const Toeplitz hash{kKey};
    auto bytes = input("66.9.149.187", "161.142.100.80", 4);
    const std::uint32_t without = hash.hash(bytes);
    add_ports(bytes, 0, 0);
    EXPECT_EQ(hash.hash(bytes), without);
}

TEST(Toeplitz, OurKeyIsSymmetricAndSpreads) {
    const Toeplitz hash{symmetric_rss_key()};
    auto there = input("66.9.149.187", "161.142.100.80", 4), back = input("161.142.100.80", "66.9.149.187", 4);
    add_ports(there, 2794, 1766);
    add_ports(back, 1766, 2794);
    EXPECT_EQ(hash.hash(there), hash.hash(back));
    there.back() ^= 1;
    EXPECT_NE(hash.hash(there), hash.hash(back));
}

}  // namespace
}  // namespace sluice::dp
