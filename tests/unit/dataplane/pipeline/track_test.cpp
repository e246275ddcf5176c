// Packets and the flows that they belong to: who opens one, whose answer passes, what an ICMP error may quote.
#include "dataplane/pipeline/track.hpp"

#include <type_traits>

#include <gtest/gtest.h>

#include "tests/unit/dataplane/pipeline/edge.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

template <typename Ip>
class TrackBothFamilies : public testing::Test {};
TYPED_TEST_SUITE(TrackBothFamilies, Families);

TYPED_TEST(TrackBothFamilies, T2_FlagsThatOpenNoFlowLeaveNoState) {
    Harness h;
    h.use(edge().build());
    const struct {
        int flags;
        const char* fate;
    } cases[] = {{0, "tcp_bad_flags"},           {kFin, "tcp_bad_flags"},        {kFin | kPsh | kUrg, "tcp_bad_flags"},
                 {kSyn | kFin, "tcp_bad_flags"}, {kSyn | kRst, "tcp_bad_flags"}, {kSyn | kFin | kAck, "tcp_bad_flags"},
                 {0xff, "tcp_bad_flags"},        {kRst, "tcp_no_flow"},          {kRst | kAck, "tcp_no_flow"},
                 {kSyn | kAck, "tcp_no_flow"}};
    for (const auto& c : cases) {
        EXPECT_EQ(h.fate(kOutside, frame(in<TypeParam>(), tcp_in(static_cast<std::uint8_t>(c.flags), 1))), c.fate)
            << c.flags;
        EXPECT_EQ(h.flows(), 0U);
    }
    std::uint16_t sport = 50000;
    for (const int flags : {kSyn | kPsh, kSyn | kUrg, kSyn | kEce | kCwr}) {
        EXPECT_EQ(
            h.fate(kOutside, frame(in<TypeParam>(), Tcp{.sport = sport++, .flags = static_cast<std::uint8_t>(flags)})),
            "forward");
    }
    EXPECT_EQ(h.flows(), 3U);
}

TYPED_TEST(TrackBothFamilies, T4_MidStreamIsNotPickedUp) {
    Harness h;
    h.use(edge().build());
    EXPECT_EQ(h.fate(kOutside, frame(in<TypeParam>(), tcp_in(kAck, 77, 88))), "tcp_no_flow");
    EXPECT_EQ(h.fate(kInside, frame(out<TypeParam>(), tcp_out(kAck | kPsh, 77, 88))), "tcp_no_flow");
    EXPECT_EQ(h.flows(), 0U);
}

TYPED_TEST(TrackBothFamilies, UdpAndItsReplyPassOthersDont_U1) {
    Harness h;
    h.use(edge().build());
    EXPECT_EQ(h.fate(kInside, frame(out<TypeParam>(), Udp{.sport = 5353, .dport = 53})), "forward");
    EXPECT_EQ(h.fate(kOutside, frame(in<TypeParam>(), Udp{.sport = 53, .dport = 5353})), "forward");
    EXPECT_EQ(h.fate(kOutside, frame(in<TypeParam>(), Udp{.sport = 54, .dport = 5353})), "policy_deny")
        << "another port answers";
    auto other_host = in<TypeParam>();
    other_host.src = other_host.src.find(':') == std::string::npos ? "198.51.100.9" : "2001:db8:51::9";
    EXPECT_EQ(h.fate(kOutside, frame(other_host, Udp{.sport = 53, .dport = 5353})), "policy_deny");
    ASSERT_EQ(h.dump().size(), 1U);
    EXPECT_EQ(h.dump()[0].state, abi::FlowState::stream);
}

template <typename Ip>
struct Echo;
template <>
struct Echo<Ipv4> {
    static constexpr std::uint8_t request = 8, reply = 0, unreachable = 3, solicited_other = 42;
};

template <>
struct Echo<Ipv6> {
    static constexpr std::uint8_t request = 128, reply = 129, unreachable = 1, solicited_other = 142;
};

TYPED_TEST(TrackBothFamilies, I8_EchoRepliesNeedTheirRequest) {
    using E = Echo<TypeParam>;
    Harness h;
    h.use(edge().build());
    EXPECT_EQ(h.fate(kInside, frame(out<TypeParam>(), Icmp{.type = E::reply, .id = 7})), "icmp_no_flow");
    EXPECT_EQ(h.fate(kOutside, frame(in<TypeParam>(), Icmp{.type = E::request, .id = 7})), "forward");
    EXPECT_EQ(h.fate(kInside, frame(out<TypeParam>(), Icmp{.type = E::reply, .id = 8})), "icmp_no_flow");
    EXPECT_EQ(h.fate(kInside, frame(out<TypeParam>(), Icmp{.type = E::reply, .id = 7})), "forward");
    EXPECT_EQ(h.fate(kInside, frame(out<TypeParam>(), Icmp{.type = E::reply, .id = 7})), "forward");
    EXPECT_EQ(h.fate(kOutside, frame(in<TypeParam>(), Icmp{.type = E::reply, .id = 7})), "icmp_no_flow")
        << "an answer from the asker's side";
    EXPECT_EQ(h.rule("ping-in").hits.read(), 1U);
    EXPECT_EQ(h.rule("ping-in").packets.read(), 3U);
}

TYPED_TEST(TrackBothFamilies, ARequestWithTheSameIdFromTheOtherSideIsAnotherFlow) {
    using E = Echo<TypeParam>;
    Harness h;
    h.use(edge().build());
    EXPECT_EQ(h.fate(kOutside, frame(in<TypeParam>(), Icmp{.type = E::request, .id = 7})), "forward");
    EXPECT_EQ(h.fate(kInside, frame(out<TypeParam>(), Icmp{.type = E::request, .id = 7})), "forward");
    EXPECT_EQ(h.flows(), 2U);
}

TYPED_TEST(TrackBothFamilies, I10_OtherIcmpTypesNeedARuleAndAreOneWay) {
    using E = Echo<TypeParam>;
    Harness h;
    h.use(edge().build());
    EXPECT_EQ(h.fate(kOutside, frame(in<TypeParam>(), Icmp{.type = E::solicited_other})), "policy_deny");
    EXPECT_EQ(h.fate(kInside, frame(out<TypeParam>(), Icmp{.type = E::solicited_other})), "forward");
    EXPECT_EQ(h.fate(kOutside, frame(in<TypeParam>(), Icmp{.type = E::solicited_other})), "policy_deny");
}

TYPED_TEST(TrackBothFamilies, IcmpTypesThatAreNoQueryAreAFlowEach) {
    using E = Echo<TypeParam>;
    Harness h;
    h.use(edge().build());
    for (int again = 0; again < 2; ++again) {
        for (const int more : {0, 1, 2}) {
            const auto type = static_cast<std::uint8_t>(E::solicited_other + more);
            EXPECT_EQ(h.fate(kInside, frame(out<TypeParam>(), Icmp{.type = type, .id = 7})), "forward");
        }
    }
    EXPECT_EQ(h.flows(), 3U);
    for (const auto& flow : h.dump()) EXPECT_GE(flow.dport.to_host() >> 8, E::solicited_other);
}

/// Same protocol, same addresses: one flow. What has no ports is told apart by nothing else.
TYPED_TEST(TrackBothFamilies, G1_G3_OtherProtocolsAreTwoTupleFlows) {
    Harness h;
    h.use(edge().build());
    auto other_host = in<TypeParam>();
    other_host.src = other_host.src.find(':') == std::string::npos ? "198.51.100.9" : "2001:db8:51::9";
    using Proto = std::uint8_t;
    for (const Proto proto :
         {Proto{47}, Proto{50}, Proto{4}, Proto{41}, Proto{253}}) {  // GRE, ESP, IPv4 and IPv6 inside, an experiment
        const Raw packet{proto, bytes_of(40)};
        EXPECT_EQ(h.fate(kOutside, frame(in<TypeParam>(), packet)), "policy_deny") << int{proto};
        EXPECT_EQ(h.fate(kInside, frame(out<TypeParam>(), packet)), "forward") << int{proto};
        EXPECT_EQ(h.fate(kOutside, frame(in<TypeParam>(), packet)), "forward") << int{proto};
        EXPECT_EQ(h.fate(kOutside, frame(other_host, packet)), "policy_deny") << int{proto};
    }
    EXPECT_EQ(h.flows(), 5U);
}

TEST(Track, G1_AhIsATwoTupleFlowInIpv4) {
    Harness h;
    h.use(edge().build());
    const Raw ah{51, bytes_of(40)};
    EXPECT_EQ(h.fate(kOutside, frame(in<Ipv4>(), ah)), "policy_deny");
    EXPECT_EQ(h.fate(kInside, frame(out<Ipv4>(), ah)), "forward");
    EXPECT_EQ(h.fate(kOutside, frame(in<Ipv4>(), ah)), "forward");
}

TYPED_TEST(TrackBothFamilies, I2_I3_I4_I6_IcmpErrorsPassToTheSenderOfALiveFlow) {
    using E = Echo<TypeParam>;
    Harness h;
    h.use(edge().build());
    connect<TypeParam>(h);
    const auto quote_of = [](const auto& ip, const Tcp& tcp) { return datagram(ip, tcp); };
    // A router outside complains about the shop's packet; the shop's host about the client's.
    auto router = in<TypeParam>();
    router.src = router.src.find(':') == std::string::npos ? "203.0.113.1" : "2001:db8:99::1";
    const auto about_shop = frame(router, Icmp{.type = E::unreachable,
                                               .id = 0,
                                               .seq = 0,
                                               .payload = quote_of(out<TypeParam>(), tcp_out(kAck, 5001, 1001))});
    EXPECT_EQ(h.fate(kOutside, about_shop), "forward");
    EXPECT_EQ(h.fate(kInside, about_shop), "flow_zone_mismatch") << "from the side the packet never went to";
    EXPECT_EQ(
        h.fate(kInside, frame(out<TypeParam>(), Icmp{.type = E::unreachable,
                                                     .id = 0,
                                                     .seq = 0,
                                                     .payload = quote_of(in<TypeParam>(), tcp_in(kAck, 1001, 5001))})),
        "forward");
    EXPECT_EQ(h.flows(), 1U) << "I3: a soft error, the flow lives";
    // I2: nobody's tuple. I4: the error is for another host than the quoted packet's sender.
    EXPECT_EQ(h.fate(kOutside, frame(router, Icmp{.type = E::unreachable,
                                                  .id = 0,
                                                  .seq = 0,
                                                  .payload = quote_of(out<TypeParam>(), tcp_out(kAck, 1, 1, 80))})),
              "icmp_unrelated");
    auto elsewhere = router;
    elsewhere.dst = elsewhere.dst.find(':') == std::string::npos ? "198.51.100.90" : "2001:db8:51::90";
    EXPECT_EQ(
        h.fate(kOutside, frame(elsewhere, Icmp{.type = E::unreachable,
                                               .id = 0,
                                               .seq = 0,
                                               .payload = quote_of(out<TypeParam>(), tcp_out(kAck, 5001, 1001))})),
        "icmp_unrelated");
    // I6: four bytes of the quoted TCP header are too few.
    auto quote = quote_of(out<TypeParam>(), tcp_out(kAck, 5001, 1001));
    quote.resize(quote.size() - 16);
    EXPECT_EQ(h.fate(kOutside, frame(router, Icmp{.type = E::unreachable, .id = 0, .seq = 0, .payload = quote})),
              "icmp_malformed");
}

/// Path MTU discovery lives on these: a router far away tells the sender, whose flow it is.
TYPED_TEST(TrackBothFamilies, I1_TooBigFromARouterFarAwayPassesToTheSender) {
    constexpr bool v4 = std::is_same_v<TypeParam, Ipv4>;
    Harness h;
    h.use(edge().build());
    connect<TypeParam>(h);
    auto router = in<TypeParam>();
    router.src = v4 ? "203.0.113.1" : "2001:db8:99::1";
    Icmp too_big{.type = v4 ? std::uint8_t{3} : std::uint8_t{2}, .code = v4 ? std::uint8_t{4} : std::uint8_t{0}};
    too_big.id = 0;
    too_big.seq = 1400;
    too_big.payload = datagram(out<TypeParam>(), tcp_out(kAck, 5001, 1001));
    EXPECT_EQ(h.fate(kOutside, frame(router, too_big)), "forward");
    EXPECT_EQ(h.flows(), 1U);
    EXPECT_EQ(h.rule("web-in").packets.read(), 4U) << "it counts for the flow's rule";
}

TYPED_TEST(TrackBothFamilies, I9_TwoClientsWithOneEchoIdAreBothAnswered) {
    using E = Echo<TypeParam>;
    Harness h;
    h.use(edge().build());
    auto second_in = in<TypeParam>();
    second_in.src = second_in.src.find(':') == std::string::npos ? "198.51.100.9" : "2001:db8:51::9";
    auto second_out = out<TypeParam>();
    second_out.dst = second_in.src;
    EXPECT_EQ(h.fate(kOutside, frame(in<TypeParam>(), Icmp{.type = E::request, .id = 7})), "forward");
    EXPECT_EQ(h.fate(kOutside, frame(second_in, Icmp{.type = E::request, .id = 7})), "forward");
    EXPECT_EQ(h.fate(kInside, frame(second_out, Icmp{.type = E::reply, .id = 7})), "forward");
    EXPECT_EQ(h.fate(kInside, frame(out<TypeParam>(), Icmp{.type = E::reply, .id = 7})), "forward");
    EXPECT_EQ(h.flows(), 2U);
}

/// Odd, but legal: nothing of it is ours to judge.
TYPED_TEST(TrackBothFamilies, T31_UrgentDataAFullOptionListAndARstWithDataPass) {
    Harness h;
    h.use(edge().build());
    Tcp syn = tcp_in(kSyn, 1000);
    syn.options = bytes_of(40, 1);  // no-operation, as many as fit
    EXPECT_EQ(h.fate(kOutside, frame(in<TypeParam>(), syn)), "forward");
    EXPECT_EQ(h.fate(kInside, frame(out<TypeParam>(), tcp_out(kSyn | kAck, 5000, 1001))), "forward");
    Tcp urgent = tcp_in(kAck | kUrg | kPsh, 1001, 5001);
    urgent.payload = bytes_of(10);
    EXPECT_EQ(h.fate(kOutside, frame(in<TypeParam>(), urgent)), "forward");
    Tcp reset = tcp_in(kRst, 1011);
    reset.payload = bytes_of(30);
    EXPECT_EQ(h.fate(kOutside, frame(in<TypeParam>(), reset)), "forward");
    EXPECT_EQ(h.fate(kInside, frame(out<TypeParam>(), tcp_out(kAck, 5001, 1011))), "tcp_closed");
}

TEST(Expiry, AFlowIsOverForItsPacketsEvenIfTheHandHasNotComeBy) {
    Harness h;
    h.use(edge().build());
    EXPECT_EQ(h.fate(kInside, frame(out<Ipv4>(), Udp{.sport = 5353, .dport = 53})), "forward");
    // One jump: the first loop after it has the packet before the ageing.
    h.skip(31s);
    EXPECT_EQ(h.fate(kOutside, frame(Ipv4{}, Udp{.sport = 53, .dport = 5353})), "policy_deny");
}

TEST(Reuse, ASynOnAClosedFlowIsANewFlowAndANewDecision) {
    Harness h;
    h.use(edge().build());
    connect<Ipv4>(h);
    EXPECT_EQ(h.fate(kOutside, frame(Ipv4{}, tcp_in(kRst, 1001))), "forward");
    (void)h.events();
    EXPECT_EQ(h.fate(kOutside, frame(Ipv4{}, tcp_in(kSyn, 9000))), "forward");
    EXPECT_EQ(h.rule("web-in").hits.read(), 2U);
    EXPECT_EQ(h.counters().flow_reopen.read(), 1U);
    const auto events = h.events();
    ASSERT_EQ(events.size(), 2U);
    EXPECT_EQ(events[0].end, abi::FlowEnd::reused);
    EXPECT_EQ(events[1].kind, abi::EventKind::flow_start);
}

TEST(Zones, APacketOfAFlowFromTheWrongSideIsNoHit) {
    Harness h;
    h.use(edge().build());
    connect<Ipv4>(h);
    EXPECT_EQ(h.fate(kInside, frame(Ipv4{}, tcp_in(kAck, 1001, 5001))), "flow_zone_mismatch");
    EXPECT_EQ(h.fate(kOutside, frame(out<Ipv4>(), tcp_out(kAck, 5001, 1001))), "flow_zone_mismatch");
    EXPECT_EQ(h.flows(), 1U);
}

}  // namespace
}  // namespace sluice::test
