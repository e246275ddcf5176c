// What parse_burst drops of what a port received, and what it lets through as it is: runts, tags, IP cases end to end.
#include "dataplane/pipeline/rx.hpp"

#include <gtest/gtest.h>

#include "tests/unit/dataplane/pipeline/edge.hpp"

namespace sluice::test {
namespace {

TEST(WireFrames, L1_RuntsAndLengthFrames) {
    Harness h;
    h.use(edge().build());
    for (std::size_t bytes = 1; bytes < 60; ++bytes) {
        const std::string fate = h.fate(kOutside, first(frame(Ipv4{}, Tcp{.options = bytes_of(8, 1)}), bytes));
        EXPECT_TRUE(fate == "l2_deny" || fate == "ip_malformed") << bytes << " bytes: " << fate;
    }
    EXPECT_EQ(h.fate(kOutside, frame(0x0026, bytes_of(60))), "l2_deny");
}

TEST(WireFrames, L2_TagsThatNoZoneBinds) {
    Harness h;
    h.use(edge().build());
    EXPECT_EQ(h.fate(kOutside, frame(Ipv4{}, tcp_in(kSyn, 1), Eth{.tags = {{0x8100, 7}}})), "vlan_deny");
    EXPECT_EQ(h.fate(kOutside, frame(Ipv4{}, tcp_in(kSyn, 1), Eth{.tags = {{0x8100, 0x0fff}}})), "vlan_deny");
    EXPECT_EQ(h.fate(kOutside, frame(Ipv4{}, tcp_in(kSyn, 1), Eth{.tags = {{0x8100, 0x6000}}})), "forward")
        << "a priority tag is untagged";
    EXPECT_EQ(h.fate(kOutside, frame(Arp{}, Eth{.dst = kBroadcastMac, .tags = {{0x8100, 7}}})), "vlan_deny");
}

TEST(IpCases, F2_PaddingIsCarriedAndNotParsed) {
    Harness h;
    h.use(edge().build());
    EXPECT_EQ(h.fate(kOutside, frame(Ipv4{}, tcp_in(kSyn, 1000), Eth{.pad_to = 200})), "forward");
    EXPECT_EQ(h.fate(kInside, frame(out<Ipv4>(), tcp_out(kSyn | kAck, 5000, 1001), Eth{.pad_to = 60})), "forward")
        << "the padding was no payload of the SYN";
}

TEST(IpCases, F3_OnAWireTheHopLimitIsNotOurs) {
    Harness h;
    h.use(edge().build());
    EXPECT_EQ(h.fate(kOutside, frame(Ipv4{.ttl = 1}, tcp_in(kSyn, 1))), "forward");
    EXPECT_EQ(h.fate(kOutside, frame(Ipv6{.hop_limit = 1}, tcp_in(kSyn, 1))), "forward");
}

TEST(IpCases, F4_D8_MartiansAndLand) {
    Harness h;
    h.use(edge().default_action(cp::Action::allow).build());
    for (const char* src : {"127.0.0.1", "224.0.0.1", "255.255.255.255", "198.51.100.80"}) {
        EXPECT_EQ(h.fate(kOutside, frame(Ipv4{.src = src}, tcp_in(kSyn, 1))), "martian") << src;
    }
    for (const char* src : {"::1", "ff02::1", "2001:db8:51::80"}) {
        EXPECT_EQ(h.fate(kOutside, frame(Ipv6{.src = src}, tcp_in(kSyn, 1))), "martian") << src;
    }
    EXPECT_EQ(h.fate(kOutside, frame(Ipv4{}, Raw{0, bytes_of(20)})), "proto_deny");
}

TEST(IpCases, U3_ZeroChecksumsAndPortZero) {
    Harness h;
    h.use(edge().build());
    EXPECT_EQ(h.fate(kOutside, frame(Ipv4{}, Udp{.dport = 443, .checksum = 0})), "forward");
    EXPECT_EQ(h.counters().udp_zero_csum6.read(), 0U);
    EXPECT_EQ(h.fate(kOutside, frame(Ipv6{}, Udp{.dport = 443, .checksum = 0})), "forward");
    EXPECT_EQ(h.counters().udp_zero_csum6.read(), 1U);
    EXPECT_EQ(h.fate(kOutside, frame(Ipv4{}, Udp{.sport = 0, .dport = 443})), "udp_port0");
}

}  // namespace
}  // namespace sluice::test
