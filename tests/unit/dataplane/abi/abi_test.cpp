// The contract's promises that a compiler can't check: byte order, names, layout hash.
#include <gtest/gtest.h>

#include <set>
#include <string>

#include <sluice/abi/layout.hpp>

namespace sluice::abi {
namespace {

TEST(NetOrder, KeepsWireBytesAndConvertsBothWays) {
    const L4Port port = L4Port::of_host(443);
    std::array<std::uint8_t, 2> wire{};
    port.write(wire.data());
    EXPECT_EQ(wire[0], 0x01);
    EXPECT_EQ(wire[1], 0xbb);
    EXPECT_EQ(L4Port::read(wire.data()), port);
    EXPECT_EQ(port.to_host(), 443);
}

TEST(IpAddr, HoldsIpv4InItsFirstFourBytesAndZeroBehind) {
    const IpAddr a = IpAddr::of_v4(Ipv4Addr::of_host(0xc6336407));  // 198.51.100.7
    EXPECT_EQ(a.bytes[0], 198);
    EXPECT_EQ(a.bytes[3], 7);
    for (std::size_t i = 4; i < 16; ++i) EXPECT_EQ(a.bytes[i], 0) << i;
    EXPECT_EQ(a.v4().to_host(), 0xc6336407U);
}

TEST(DropReasons, HaveUniqueSnakeCaseNamesAndHelp) {
    std::set<std::string_view> names;
    for (const auto& reason : kDropReasons) {
        EXPECT_TRUE(names.insert(reason.name).second) << reason.name;
        EXPECT_EQ(reason.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_"), std::string_view::npos);
        EXPECT_GT(reason.help.size(), 8U) << reason.name;
    }
    EXPECT_EQ(to_string(DropReason::no_policy), "no_policy");
    EXPECT_EQ(to_string(static_cast<DropReason>(kDropReasonCount)), "invalid");
}

TEST(Magics, ReadAsWordsInAHexDump) {
    const auto text = [](std::uint64_t magic) {
        return std::string(reinterpret_cast<const char*>(&magic), sizeof magic);
    };
    EXPECT_EQ(text(kManifestMagic), "SLUCSMF1");
    EXPECT_EQ(text(kSectionMagic), "SLUCSEC1");
    EXPECT_EQ(text(kTelemetryMagic), "SLUCTEL1");
}

// That a new layout has a new version is tools/dev/check's business (abi-layout).
TEST(Layout, HashDependsOnEveryValueAndItsPlace) {
    EXPECT_NE(fnv1a({1, 2}), fnv1a({2, 1}));
    EXPECT_NE(fnv1a({1, 2}), fnv1a({1, 3}));
}

TEST(Counters, LiveOnTheirOwnersCacheLines) {
    EXPECT_EQ(alignof(PortCounters) % kCacheLine, 0U);
    EXPECT_EQ(alignof(WorkerCounters) % kCacheLine, 0U);
    EXPECT_EQ(sizeof(RuleCounters), kCacheLine);
    EXPECT_EQ(sizeof(EventSlot), 2 * kCacheLine);
}

}  // namespace
}  // namespace sluice::abi
