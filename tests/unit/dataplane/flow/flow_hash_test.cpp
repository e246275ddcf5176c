#include "dataplane/flow/flow_hash.hpp"

#include <bit>
#include <vector>

#include <gtest/gtest.h>

namespace sluice::dp {
namespace {

constexpr HashSecret kSecret{0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL};

FlowKeyV4 numbered_key(std::uint32_t n) {
    FlowKeyV4 k{};
    k.low_addr = abi::Ipv4Addr::of_host(0x0a000000U + n);
    k.high_addr = abi::Ipv4Addr::of_host(0xc0a80001U);
    k.low_port = abi::L4Port::of_host(1024);
    k.high_port = abi::L4Port::of_host(443);
    k.proto = abi::L4Proto::tcp;
    return k;
}

// SipHash-1-3 by hand-run of its definition (Aumasson, Bernstein 2012; one compression and three final rounds), as an
// independent second writing of it.
std::uint64_t slow_siphash13(const HashSecret& secret, const std::vector<std::uint8_t>& in) {
    std::uint64_t v[4] = {secret[0] ^ 0x736f6d6570736575ULL, secret[1] ^ 0x646f72616e646f6dULL,
                          secret[0] ^ 0x6c7967656e657261ULL, secret[1] ^ 0x7465646279746573ULL};
    const auto rotate = [](std::uint64_t x, int n) { return (x << n) | (x >> (64 - n)); };
    const auto half = [&](int a, int b, int s, bool swap) {
        v[a] += v[b];
        v[b] = rotate(v[b], s) ^ v[a];
        if (swap) v[a] = rotate(v[a], 32);
    };
    const auto round = [&] {
        half(0, 1, 13, true);
        half(2, 3, 16, false);
        half(0, 3, 21, false);
        half(2, 1, 17, true);
    };
    auto padded = in;
    while (padded.size() % 8 != 7) padded.push_back(0);
    padded.push_back(static_cast<std::uint8_t>(in.size()));
    for (std::size_t at = 0; at < padded.size(); at += 8) {
        std::uint64_t m = 0;
        for (std::size_t i = 0; i < 8; ++i) m |= std::uint64_t{padded[at + i]} << (8 * i);
        v[3] ^= m;
        round();
        v[0] ^= m;
    }
    v[2] ^= 0xff;
    for (int i = 0; i < 3; ++i) round();
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

TEST(FlowHash, SipHashAgreesWithItsDefinitionAtEveryLength) {
    std::vector<std::uint8_t> in;
    for (std::size_t n = 0; n < 64; ++n) {
        EXPECT_EQ(siphash13(kSecret, std::as_bytes(std::span{in})), slow_siphash13(kSecret, in)) << n;
        in.push_back(static_cast<std::uint8_t>(n));
    }
}

class EachKind : public testing::TestWithParam<HashKind> {};

TEST_P(EachKind, BatchEqualsOneByOne) {
    const FlowHasher hasher{kSecret, GetParam()};
    std::vector<FlowKeyV4> keys;
    for (std::uint32_t i = 0; i < 33; ++i) keys.push_back(numbered_key(i));
    std::vector<std::uint64_t> out(keys.size());
    hasher.hash(std::span<const FlowKeyV4>{keys}, out.data());
    for (std::size_t i = 0; i < keys.size(); ++i) EXPECT_EQ(out[i], hasher.hash(keys[i]));
}

TEST_P(EachKind, AnotherSecretGivesOtherValues) {
    const FlowHasher a{kSecret, GetParam()};
    const FlowHasher b{{kSecret[0] ^ 1, kSecret[1]}, GetParam()};
    EXPECT_NE(a.hash(numbered_key(1)), b.hash(numbered_key(1)));
}

// Every bit of the key reaches about half of the bits of the value.
TEST_P(EachKind, OneBitOfTheKeyChangesHalfOfTheValue) {
    const FlowHasher hasher{kSecret, GetParam()};
    FlowKeyV6 key{};
    key.low_addr.bytes[3] = 9;
    const std::uint64_t base = hasher.hash(key);
    int flipped = 0;
    constexpr int kBits = static_cast<int>(sizeof(FlowKeyV6)) * 8;
    for (int bit = 0; bit < kBits; ++bit) {
        auto bytes = std::bit_cast<std::array<std::uint8_t, sizeof(FlowKeyV6)>>(key);
        auto& byte = bytes[static_cast<std::size_t>(bit / 8)];
        byte = static_cast<std::uint8_t>(byte ^ (1U << (bit % 8)));
        const int distance = std::popcount(base ^ hasher.hash(std::bit_cast<FlowKeyV6>(bytes)));
        EXPECT_GT(distance, 10) << "key bit " << bit;
        flipped += distance;
    }
    EXPECT_NEAR(flipped / kBits, 32, 2);
}

TEST_P(EachKind, SpreadsNeighboursEvenly) {
    const FlowHasher hasher{kSecret, GetParam()};
    constexpr std::uint32_t kKeys = 1U << 16, kBins = 256;
    std::array<int, kBins> bins{};
    for (std::uint32_t i = 0; i < kKeys; ++i) ++bins[hasher.hash(numbered_key(i)) % kBins];
    // Mean 256, deviation 16: seven deviations either way.
    for (const int n : bins) EXPECT_NEAR(n, 256, 112);
}

INSTANTIATE_TEST_SUITE_P(FlowHash, EachKind, testing::Values(HashKind::siphash, HashKind::aes),
                         [](const auto& i) { return i.param == HashKind::aes ? "aes" : "siphash"; });

}  // namespace
}  // namespace sluice::dp
