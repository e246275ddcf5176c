#include "controlplane/compiler/ranges.hpp"

#include <gtest/gtest.h>

#include "tests/harness/policies.hpp"

namespace sluice::cp {
namespace {

using test::prefix;
constexpr std::uint64_t kOnes = ~std::uint64_t{0};

TEST(Ranges, SpansAPrefixFromItsFirstToItsLastAddress) {
    EXPECT_EQ(v4_range(prefix("0.0.0.0/0")), (Range<std::uint32_t>{0, 0xffffffff}));
    EXPECT_EQ(v4_range(prefix("255.255.255.255")), (Range<std::uint32_t>{0xffffffff, 0xffffffff}));
    EXPECT_EQ(v4_range(prefix("10.0.0.0/8")), (Range<std::uint32_t>{0x0a000000, 0x0affffff}));
    EXPECT_EQ(v6_range(prefix("::/0")), (Range<V6Number>{{0, 0}, {kOnes, kOnes}}));
    EXPECT_EQ(v6_range(prefix("2001:db8::/32")),
              (Range<V6Number>{{0x20010db800000000, 0}, {0x20010db8ffffffff, kOnes}}));
    EXPECT_EQ(v6_range(prefix("2001:db8::/64")),
              (Range<V6Number>{{0x20010db800000000, 0}, {0x20010db800000000, kOnes}}));
    EXPECT_EQ(v6_range(prefix("::8000:0:0:0/65")), (Range<V6Number>{{0, 1ULL << 63}, {0, kOnes}}));
    EXPECT_EQ(v6_range(prefix("::1")), (Range<V6Number>{{0, 1}, {0, 1}}));
}

TEST(Ranges, MergesWhatOverlapsTouchesOrRepeats) {
    Ranges<std::uint32_t> r{{20, 30}, {0, 9}, {10, 19}, {25, 26}, {40, 50}, {40, 50}, {52, 60}};
    normalise(r);
    EXPECT_EQ(r, (Ranges<std::uint32_t>{{0, 30}, {40, 50}, {52, 60}}));
}

TEST(Ranges, MergesAtTheEndOfTheLine) {
    Ranges<std::uint32_t> r{{0xfffffff0, 0xffffffff}, {0xffffffff, 0xffffffff}, {0, 0xffffffff}};
    normalise(r);
    EXPECT_EQ(r, (Ranges<std::uint32_t>{{0, 0xffffffff}}));
    Ranges<V6Number> v6{{{0, 5}, {0, kOnes}}, {{1, 0}, {kOnes, kOnes}}, {{kOnes, kOnes}, {kOnes, kOnes}}};
    normalise(v6);
    EXPECT_EQ(v6, (Ranges<V6Number>{{{0, 5}, {kOnes, kOnes}}}));
}

TEST(Ranges, SortsServicesByTheirLine) {
    const std::vector<ServiceTerm> terms{test::service("tcp/443"),   test::service("tcp/80"), test::service("udp/53"),
                                         test::service("icmp/3/13"), test::service("icmp6"),  test::service("proto/47"),
                                         test::service("tcp/81")};
    const ServiceList list = service_list(terms);
    EXPECT_EQ(list.tcp, (Ranges<std::uint32_t>{{80, 81}, {443, 443}}));
    EXPECT_EQ(list.udp, (Ranges<std::uint32_t>{{53, 53}}));
    EXPECT_EQ(list.icmp, (Ranges<std::uint32_t>{{3 << 8 | 13, 3 << 8 | 13}}));
    EXPECT_EQ(list.icmp6, (Ranges<std::uint32_t>{{0, 65'535}}));
    EXPECT_EQ(list.proto, (Ranges<std::uint32_t>{{47, 47}}));
}

}  // namespace
}  // namespace sluice::cp
