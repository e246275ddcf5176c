#include "dataplane/flow/flow_key.hpp"

#include <gtest/gtest.h>

namespace sluice::dp {
namespace {

FlowTuple tuple(std::uint32_t src, std::uint16_t sport, std::uint32_t dst, std::uint16_t dport) {
    return {abi::IpAddr::of_v4(abi::Ipv4Addr::of_host(src)), abi::IpAddr::of_v4(abi::Ipv4Addr::of_host(dst)),
            abi::L4Port::of_host(sport), abi::L4Port::of_host(dport), abi::L4Proto::tcp};
}
FlowTuple reversed(const FlowTuple& t) { return {t.dst, t.src, t.dport, t.sport, t.proto}; }

template <typename Key>
Key key_of(const FlowTuple& t, abi::IpFamily family) {
    return make_key<Key>(t, source_is_low(family, t), FlowDomain{3});
}

TEST(FlowKey, BothDirectionsGiveTheSameBytes) {
    for (const FlowTuple& t : {tuple(0x0a000001, 1000, 0x0a000002, 80), tuple(0x0a000002, 1000, 0x0a000001, 80),
                               tuple(0xff000001, 5, 0x01000001, 4), tuple(0x0a000001, 80, 0x0a000001, 1000)}) {
        EXPECT_EQ(key_of<FlowKeyV4>(t, abi::IpFamily::v4), key_of<FlowKeyV4>(reversed(t), abi::IpFamily::v4));
        EXPECT_EQ(key_of<FlowKeyV6>(t, abi::IpFamily::v6), key_of<FlowKeyV6>(reversed(t), abi::IpFamily::v6));
    }
}

TEST(FlowKey, SwappedPortsAreAnotherFlow) {
    const auto t = tuple(0x0a000001, 1000, 0x0a000002, 80);
    auto crossed = t;
    std::swap(crossed.sport, crossed.dport);
    EXPECT_NE(key_of<FlowKeyV4>(t, abi::IpFamily::v4), key_of<FlowKeyV4>(crossed, abi::IpFamily::v4));
}

TEST(FlowKey, AnotherDomainIsAnotherFlow) {
    const auto t = tuple(0x0a000001, 1000, 0x0a000002, 80);
    EXPECT_NE(make_key<FlowKeyV4>(t, true, FlowDomain{0}), make_key<FlowKeyV4>(t, true, FlowDomain{1}));
}

// A pings B and B pings A, by chance with the same identifier: two flows, neither answers the other (I8, I9).
TEST(FlowKey, WhoAsksIsPartOfAnIcmpKey) {
    const auto t = tuple(0x0a000001, 0, 0x0a000002, 0);
    const auto a = make_icmp_key<FlowKeyV4>(t, true, FlowDomain{0}, 7, 0x0800, Asker::low_asks);
    const auto b = make_icmp_key<FlowKeyV4>(reversed(t), false, FlowDomain{0}, 7, 0x0800, Asker::high_asks);
    const auto a_reply = make_icmp_key<FlowKeyV4>(reversed(t), false, FlowDomain{0}, 7, 0x0800, Asker::low_asks);
    EXPECT_NE(a, b);
    EXPECT_EQ(a, a_reply);
}

}  // namespace
}  // namespace sluice::dp
