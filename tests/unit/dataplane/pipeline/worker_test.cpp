// The whole walk of a packet, through the in-process harness: policy verdicts, flows, wire frames, faults around us.
#include "dataplane/pipeline/worker.hpp"

#include <gtest/gtest.h>

#include "tests/harness/frames.hpp"
#include "tests/harness/harness.hpp"

namespace sluice::test {
namespace {

using abi::DropReason;
using std::chrono::seconds;
using namespace std::chrono_literals;

constexpr std::uint8_t kOutside = 0, kInside = 1;

/// outside -> shop: web allowed, ssh rejected, ping allowed; inside -> outside: everything; default deny.
PolicyBuilder edge() {
    PolicyBuilder p;
    p.zone("outside", {"p0"}).zone("inside", {"p1"});
    p.set("shop", {"198.51.100.80/32", "2001:db8:51::80/128"});
    p.rule({.id = "web-in",
            .from = {"outside"},
            .to = {"shop"},
            .service = {"tcp/443", "udp/443"},
            .action = cp::Action::allow,
            .log = abi::RuleLog::both});
    p.rule({.id = "ops-closed",
            .from = {"outside"},
            .to = {"shop"},
            .service = {"tcp/22", "udp/22"},
            .action = cp::Action::reject,
            .log = abi::RuleLog::start});
    p.rule({.id = "ping-in",
            .from = {"outside"},
            .to = {"inside"},
            .service = {"icmp/8", "icmp6/128"},
            .action = cp::Action::allow});
    p.rule({.id = "egress", .from = {"inside"}, .to = {"outside"}, .action = cp::Action::allow});
    return p;
}

// Frames of one client (outside) and the shop (inside); `in` travels inwards.
template <typename Ip>
Ip in() {
    return {};
}
template <typename Ip>
Ip out() {
    Ip ip;
    std::swap(ip.src, ip.dst);
    return ip;
}
Tcp tcp_in(std::uint8_t flags, std::uint32_t seq, std::uint32_t ack = 0, std::uint16_t dport = 443) {
    return {.sport = 40000, .dport = dport, .seq = seq, .ack = ack, .flags = flags};
}
Tcp tcp_out(std::uint8_t flags, std::uint32_t seq, std::uint32_t ack = 0, std::uint16_t sport = 443) {
    return {.sport = sport, .dport = 40000, .seq = seq, .ack = ack, .flags = flags};
}

template <typename Ip>
void connect(Harness& h) {
    ASSERT_EQ(h.fate(kOutside, frame(in<Ip>(), tcp_in(kSyn, 1000))), "forward");
    ASSERT_EQ(h.fate(kInside, frame(out<Ip>(), tcp_out(kSyn | kAck, 5000, 1001))), "forward");
    ASSERT_EQ(h.fate(kOutside, frame(in<Ip>(), tcp_in(kAck, 1001, 5001))), "forward");
}

template <typename Ip>
class BothFamilies : public testing::Test {};
using Families = testing::Types<Ipv4, Ipv6>;
TYPED_TEST_SUITE(BothFamilies, Families);

// ------------------------------------------------------------------------------------------------- before any policy
TEST(NoPolicy, ClosedDropsEverythingNeighboursToo) {
    Harness h;
    EXPECT_EQ(h.fate(kOutside, frame(Ipv4{}, Tcp{})), "no_policy");
    EXPECT_EQ(h.fate(kInside, frame(Arp{})), "no_policy");
    EXPECT_EQ(h.fate(kOutside, FrameBytes(14, 0)), "no_policy");
    EXPECT_EQ(h.counters().generation.read(), 0U);
}

TEST(NoPolicy, OpenForwardsUntracked) {
    Harness h{{.fail_open = true}};
    EXPECT_EQ(h.fate(kOutside, frame(Ipv4{}, Tcp{.flags = kAck})), "forward");
    EXPECT_EQ(h.fate(kInside, frame(Arp{})), "forward");
    EXPECT_EQ(h.flows(), 0U);
    h.use(edge().build());
    EXPECT_EQ(h.fate(kOutside, frame(Ipv4{}, Tcp{.flags = kAck})), "tcp_no_flow") << "a policy ends it";
}

// ---------------------------------------------------------------------------------------------------------- verdicts
TYPED_TEST(BothFamilies, AllowedTcpConnectsAndClosesAndIsCounted) {
    Harness h;
    h.use(edge().build());
    connect<TypeParam>(h);
    EXPECT_EQ(h.flows(), 1U);
    EXPECT_EQ(h.rule("web-in").hits.read(), 1U) << "hits are flows";
    EXPECT_EQ(h.rule("web-in").packets.read(), 3U);
    const auto data =
        frame(in<TypeParam>(), Tcp{.sport = 40000, .seq = 1001, .ack = 5001, .flags = kAck, .payload = bytes_of(100)});
    const std::uint64_t bytes = h.rule("web-in").bytes.read();
    EXPECT_EQ(h.fate(kOutside, data), "forward");
    EXPECT_EQ(h.rule("web-in").bytes.read() - bytes, data.size());
    EXPECT_NE(h.rule("web-in").first_hit_ns.read(), 0U);

    EXPECT_EQ(h.fate(kOutside, frame(in<TypeParam>(), tcp_in(kFin | kAck, 1101, 5001))), "forward");
    EXPECT_EQ(h.fate(kInside, frame(out<TypeParam>(), tcp_out(kFin | kAck, 5001, 1102))), "forward");
    EXPECT_EQ(h.fate(kOutside, frame(in<TypeParam>(), tcp_in(kAck, 1102, 5002))), "forward");
    const auto flows = h.dump();
    ASSERT_EQ(flows.size(), 1U);
    EXPECT_EQ(flows[0].state, abi::FlowState::time_wait);
    EXPECT_EQ(flows[0].packets[0], 5U);
    EXPECT_EQ(flows[0].packets[1], 2U);
    EXPECT_EQ(flows[0].src, address(in<TypeParam>().src));
    EXPECT_EQ(flows[0].dport, abi::L4Port::of_host(443));
    EXPECT_EQ(flows[0].generation, 1U);
}

TYPED_TEST(BothFamilies, T1_UnwantedSynIsDeniedByTheDefault) {
    Harness h;
    h.use(edge().build());
    EXPECT_EQ(h.fate(kOutside, frame(in<TypeParam>(), tcp_in(kSyn, 1, 0, 5432))), "policy_deny");
    EXPECT_EQ(h.rule("default").hits.read(), 1U);
    EXPECT_EQ(h.rule("default").packets.read(), 1U);
    EXPECT_EQ(h.flows(), 0U);
}

TYPED_TEST(BothFamilies, T2_FlagsThatOpenNoFlowLeaveNoState) {
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

TYPED_TEST(BothFamilies, T4_MidStreamIsNotPickedUp) {
    Harness h;
    h.use(edge().build());
    EXPECT_EQ(h.fate(kOutside, frame(in<TypeParam>(), tcp_in(kAck, 77, 88))), "tcp_no_flow");
    EXPECT_EQ(h.fate(kInside, frame(out<TypeParam>(), tcp_out(kAck | kPsh, 77, 88))), "tcp_no_flow");
    EXPECT_EQ(h.flows(), 0U);
}

TYPED_TEST(BothFamilies, RejectedTcpIsAnsweredByARst) {
    Harness h;
    h.use(edge().build());
    ASSERT_TRUE(h.io.arrive(kOutside, frame(in<TypeParam>(), tcp_in(kSyn, 1000, 0, 22))));
    (void)h.run_once();
    const auto sent = h.io.take_sent();
    ASSERT_EQ(sent.size(), 1U);
    EXPECT_EQ(sent[0].port, kOutside);
    // What we sent must itself be a packet that a firewall lets pass as the end of a flow: here, RST+ACK of the SYN.
    EXPECT_EQ(h.drops(DropReason::policy_reject), 1U);
    EXPECT_EQ(h.counters().ports[kOutside].originated_packets.read(), 1U);
    EXPECT_EQ(h.counters().ports[kOutside].tx_packets.read(), 1U);
    EXPECT_EQ(h.rule("ops-closed").hits.read(), 1U);
    EXPECT_EQ(h.fate(kOutside, frame(in<TypeParam>(), Udp{.dport = 22})), "policy_reject+answer");
}

TEST(Reject, AnswersAreLimitedPerSecondAndTheRestIsStillRejected) {
    Harness h{{.rejects_per_second_max = 5}};
    h.use(edge().build());
    const auto syn = frame(Ipv4{}, tcp_in(kSyn, 1000, 0, 22));
    for (int i = 0; i < 5; ++i) EXPECT_EQ(h.fate(kOutside, syn), "policy_reject+answer");
    for (int i = 0; i < 5; ++i) EXPECT_EQ(h.fate(kOutside, syn), "policy_reject");
    EXPECT_EQ(h.counters().rejects_limited.read(), 5U);
    h.advance(seconds{1});
    EXPECT_EQ(h.fate(kOutside, syn), "policy_reject+answer");
}

TYPED_TEST(BothFamilies, UdpAndItsReplyPassOthersDont_U1) {
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

TYPED_TEST(BothFamilies, I8_EchoRepliesNeedTheirRequest) {
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

TYPED_TEST(BothFamilies, ARequestWithTheSameIdFromTheOtherSideIsAnotherFlow) {
    using E = Echo<TypeParam>;
    Harness h;
    h.use(edge().build());
    EXPECT_EQ(h.fate(kOutside, frame(in<TypeParam>(), Icmp{.type = E::request, .id = 7})), "forward");
    EXPECT_EQ(h.fate(kInside, frame(out<TypeParam>(), Icmp{.type = E::request, .id = 7})), "forward");
    EXPECT_EQ(h.flows(), 2U);
}

TYPED_TEST(BothFamilies, OtherIcmpTypesNeedARuleAndAreOneWay) {
    using E = Echo<TypeParam>;
    Harness h;
    h.use(edge().build());
    EXPECT_EQ(h.fate(kOutside, frame(in<TypeParam>(), Icmp{.type = E::solicited_other})), "policy_deny");
    EXPECT_EQ(h.fate(kInside, frame(out<TypeParam>(), Icmp{.type = E::solicited_other})), "forward");
    EXPECT_EQ(h.fate(kOutside, frame(in<TypeParam>(), Icmp{.type = E::solicited_other})), "policy_deny");
}

TYPED_TEST(BothFamilies, OtherProtocolsAreTwoTupleFlows_G1) {
    Harness h;
    h.use(edge().build());
    const Raw gre{47, bytes_of(40)};
    EXPECT_EQ(h.fate(kOutside, frame(in<TypeParam>(), gre)), "policy_deny");
    EXPECT_EQ(h.fate(kInside, frame(out<TypeParam>(), gre)), "forward");
    EXPECT_EQ(h.fate(kOutside, frame(in<TypeParam>(), gre)), "forward");
    EXPECT_EQ(h.fate(kOutside, frame(in<TypeParam>(), Raw{50, bytes_of(40)})), "policy_deny");
}

TYPED_TEST(BothFamilies, IcmpErrorsPassToTheSenderOfALiveFlow) {
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

// ----------------------------------------------------------------------------------------------------------- observe
TEST(Observe, IsRecordedAndOtherwiseAbsent) {
    PolicyBuilder p;
    p.zone("outside", {"p0"}).zone("inside", {"p1"});
    p.rule({.id = "watch", .action = cp::Action::deny, .mode = abi::RuleMode::observe});
    p.rule({.id = "all", .action = cp::Action::allow});
    Harness h;
    h.use(p.build());
    connect<Ipv4>(h);
    EXPECT_EQ(h.rule("watch").hits.read(), 1U);
    EXPECT_EQ(h.rule("watch").packets.read(), 0U);
    EXPECT_EQ(h.rule("all").hits.read(), 1U);
    const auto events = h.events();
    ASSERT_EQ(events.size(), 1U);
    EXPECT_EQ(events[0].kind, abi::EventKind::observed);
    EXPECT_EQ(events[0].verdict, abi::Verdict::deny);
}

// ------------------------------------------------------------------------------------------------------- wire frames
TEST(WireFrames, ArpNdAndOthersFollowTheWireKeyAndCountOnBuiltins) {
    Harness h;
    h.use(edge().build());
    const auto arp = frame(Arp{});
    const auto nd = frame(nd_packet("fe80::1", "ff02::1:ff00:80"), neighbour_solicitation("2001:db8:51::80"));
    const auto other = frame(0x88b5, bytes_of(50));
    EXPECT_EQ(h.fate(kOutside, arp), "forward");
    EXPECT_EQ(h.fate(kOutside, nd), "forward");
    EXPECT_EQ(h.fate(kOutside, other), "l2_deny");
    EXPECT_EQ(h.rule("builtin:arp").hits.read(), 1U);
    EXPECT_EQ(h.rule("builtin:arp").bytes.read(), arp.size());
    EXPECT_EQ(h.rule("builtin:nd").packets.read(), 1U);
    EXPECT_EQ(h.rule("builtin:other").hits.read(), 1U);
    EXPECT_EQ(h.flows(), 0U);

    h.use(edge().wire(abi::WireAction::deny, abi::WireAction::deny, abi::WireAction::allow).build());
    EXPECT_EQ(h.fate(kOutside, arp), "policy_deny");
    EXPECT_EQ(h.fate(kOutside, nd), "policy_deny");
    EXPECT_EQ(h.fate(kOutside, other), "forward");
    EXPECT_EQ(h.rule("builtin:arp").hits.read(), 2U);
}

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

// ----------------------------------------------------------------------------------------------- IP cases, end to end
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

// ------------------------------------------------------------------------------------------------------ time, expiry
TEST(Expiry, UdpOneWayAndStreamEndAtTheirTimeouts_U4) {
    Harness h;
    h.use(edge().build());
    EXPECT_EQ(h.fate(kInside, frame(out<Ipv4>(), Udp{.sport = 5353, .dport = 53})), "forward");
    h.advance(29s);
    EXPECT_EQ(h.flows(), 1U);
    h.advance(2s);
    EXPECT_EQ(h.flows(), 0U);
    EXPECT_EQ(h.fate(kOutside, frame(Ipv4{}, Udp{.sport = 53, .dport = 5353})), "policy_deny");

    EXPECT_EQ(h.fate(kInside, frame(out<Ipv4>(), Udp{.sport = 5353, .dport = 53})), "forward");
    EXPECT_EQ(h.fate(kOutside, frame(Ipv4{}, Udp{.sport = 53, .dport = 5353})), "forward");
    h.advance(179s);
    EXPECT_EQ(h.fate(kOutside, frame(Ipv4{}, Udp{.sport = 53, .dport = 5353})), "forward") << "and refreshed";
    h.advance(179s);
    EXPECT_EQ(h.flows(), 1U);
    h.advance(2s);
    EXPECT_EQ(h.flows(), 0U);
    EXPECT_EQ(h.counters().flows_expired.read(), 2U);
}

TEST(Expiry, TcpPhasesHaveTheirOwn_A7) {
    Harness h;
    h.use(edge().build());
    EXPECT_EQ(h.fate(kOutside, frame(Ipv4{}, tcp_in(kSyn, 1000))), "forward");
    h.advance(31s);
    EXPECT_EQ(h.flows(), 0U) << "half open";
    connect<Ipv4>(h);
    h.advance(7439s);
    EXPECT_EQ(h.flows(), 1U) << "established";
    EXPECT_EQ(h.fate(kInside, frame(out<Ipv4>(), tcp_out(kRst, 5001))), "forward");
    EXPECT_EQ(h.fate(kOutside, frame(Ipv4{}, tcp_in(kAck, 1001, 5001))), "tcp_closed");
    h.advance(9s);
    EXPECT_EQ(h.fate(kOutside, frame(Ipv4{}, tcp_in(kAck, 1001, 5001))), "tcp_closed") << "D3: never prolongs";
    h.advance(2s);
    EXPECT_EQ(h.flows(), 0U);
    EXPECT_EQ(h.fate(kOutside, frame(Ipv4{}, tcp_in(kAck, 1001, 5001))), "tcp_no_flow");
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

// ------------------------------------------------------------------------------------------------- policy and flows
TYPED_TEST(BothFamilies, AllowedFlowsGoOnUnderANewPolicyWithItsRule_D10) {
    Harness h;
    h.use(edge().build());
    connect<TypeParam>(h);
    PolicyBuilder p;
    p.zone("inside", {"p1"}).zone("outside", {"p0"});  // zone numbers change places
    p.rule({.id = "https", .from = {"outside"}, .to = {"inside"}, .service = {"tcp/443"}, .action = cp::Action::allow});
    h.use(p.build());
    // The first packet comes from the reply side: it is the original direction that the policy is asked about.
    EXPECT_EQ(h.fate(kInside, frame(out<TypeParam>(), tcp_out(kAck | kPsh, 5001, 1001))), "forward");
    EXPECT_EQ(h.fate(kOutside, frame(in<TypeParam>(), tcp_in(kAck, 1001, 5001))), "forward");
    EXPECT_EQ(h.rule("https").hits.read(), 1U);
    EXPECT_EQ(h.rule("https").packets.read(), 2U);
    ASSERT_EQ(h.dump().size(), 1U);
    EXPECT_EQ(h.dump()[0].generation, 2U);
    EXPECT_EQ(h.dump()[0].from_zone, abi::ZoneId{1});
}

TYPED_TEST(BothFamilies, DeniedFlowsEndWithTheirNextPacket) {
    Harness h;
    h.use(edge().build());
    connect<TypeParam>(h);
    (void)h.events();
    PolicyBuilder p;
    p.zone("outside", {"p0"}).zone("inside", {"p1"});
    p.rule({.id = "closed", .from = {"outside"}, .to = {"inside"}, .action = cp::Action::deny});
    p.rule({.id = "out", .from = {"inside"}, .to = {"outside"}, .action = cp::Action::allow});
    h.use(p.build());
    EXPECT_EQ(h.fate(kInside, frame(out<TypeParam>(), tcp_out(kAck | kPsh, 5001, 1001))), "policy_deny")
        << "the reply direction has no right of its own";
    EXPECT_EQ(h.flows(), 0U);
    EXPECT_EQ(h.counters().flows_ended_by_policy.read(), 1U);
    EXPECT_EQ(h.rule("closed").hits.read(), 1U);
    const auto events = h.events();
    ASSERT_EQ(events.size(), 1U);
    EXPECT_EQ(events[0].kind, abi::EventKind::flow_end);
    EXPECT_EQ(events[0].end, abi::FlowEnd::policy);
    EXPECT_EQ(events[0].verdict, abi::Verdict::deny);
    EXPECT_EQ(events[0].packets[0], 2U);
    EXPECT_EQ(h.fate(kInside, frame(out<TypeParam>(), tcp_out(kAck, 5001, 1001))), "tcp_no_flow");
}

TEST(PolicySwitch, ARejectEndsAFlowWithAnAnswer) {
    Harness h;
    h.use(edge().build());
    connect<Ipv4>(h);
    PolicyBuilder p;
    p.zone("outside", {"p0"}).zone("inside", {"p1"});
    h.use(p.default_action(cp::Action::reject).build());
    EXPECT_EQ(h.fate(kOutside, frame(Ipv4{}, tcp_in(kAck, 1001, 5001))), "policy_reject+answer");
}

TEST(PolicySwitch, TwoPacketsOfAKilledFlowInOneBurst) {
    Harness h;
    h.use(edge().build());
    EXPECT_EQ(h.fate(kInside, frame(out<Ipv4>(), Udp{.sport = 5353, .dport = 53})), "forward");
    PolicyBuilder p;
    p.zone("outside", {"p0"}).zone("inside", {"p1"});
    p.rule(
        {.id = "dns-in", .from = {"outside"}, .to = {"inside"}, .service = {"udp/5353"}, .action = cp::Action::allow});
    h.use(p.build());
    // The first ends the old flow; the second is judged by itself and may open one.
    const auto answer = frame(Ipv4{}, Udp{.sport = 53, .dport = 5353});
    EXPECT_EQ(h.send({{kOutside, answer}, {kOutside, answer}}).size(), 1U);
    EXPECT_EQ(h.drops(DropReason::policy_deny), 1U);
    EXPECT_EQ(h.rule("dns-in").hits.read(), 1U);
}

TEST(Bursts, AFlowThatTheFirstPacketOpensIsThereForTheSecond) {
    Harness h;
    h.use(edge().build());
    const auto sent = h.send({{kOutside, frame(Ipv4{}, Udp{.dport = 443})},
                              {kOutside, frame(Ipv4{}, Udp{.dport = 443})},
                              {kOutside, frame(Ipv4{}, tcp_in(kSyn, 1000))},
                              {kOutside, frame(Ipv4{}, tcp_in(kSyn, 1000))},
                              {kOutside, frame(Ipv4{}, tcp_in(kAck, 1001, 1))}});
    EXPECT_EQ(sent.size(), 4U);
    EXPECT_EQ(h.flows(), 2U);
    EXPECT_EQ(h.rule("web-in").hits.read(), 2U);
    EXPECT_EQ(h.rule("web-in").packets.read(), 4U);
    EXPECT_EQ(h.drops(DropReason::tcp_bad_ack), 1U) << "an ACK where a SYN-ACK is due, not tcp_no_flow";
}

TEST(Zones, APacketOfAFlowFromTheWrongSideIsNoHit) {
    Harness h;
    h.use(edge().build());
    connect<Ipv4>(h);
    EXPECT_EQ(h.fate(kInside, frame(Ipv4{}, tcp_in(kAck, 1001, 5001))), "flow_zone_mismatch");
    EXPECT_EQ(h.fate(kOutside, frame(out<Ipv4>(), tcp_out(kAck, 5001, 1001))), "flow_zone_mismatch");
    EXPECT_EQ(h.flows(), 1U);
}

TEST(Zones, TheSameTupleOnAnotherWireIsAnotherFlow) {
    Harness h{{.ports = 4}};
    PolicyBuilder p;
    p.zone("outside", {"p0", "p2"}).zone("inside", {"p1", "p3"});
    p.rule({.id = "all", .from = {"outside"}, .to = {"inside"}, .action = cp::Action::allow});
    h.use(p.build());
    connect<Ipv4>(h);
    EXPECT_EQ(h.fate(2, frame(Ipv4{}, tcp_in(kAck, 1001, 5001))), "tcp_no_flow");
    EXPECT_EQ(h.fate(2, frame(Ipv4{}, tcp_in(kSyn, 1000))), "forward");
    EXPECT_EQ(h.flows(), 2U);
}

// ---------------------------------------------------------------------------------------------------- what runs short
TEST(Shortage, D9_AFullTableRefusesNewFlowsAndKeepsTheOld) {
    Harness h{{.flow_entries_max = 4}};
    h.use(edge().build());
    for (std::uint16_t n = 0; n < 4; ++n) {
        EXPECT_EQ(h.fate(kOutside, frame(Ipv4{}, Udp{.sport = static_cast<std::uint16_t>(1000 + n), .dport = 443})),
                  "forward");
    }
    EXPECT_EQ(h.fate(kOutside, frame(Ipv4{}, Udp{.sport = 2000, .dport = 443})), "flow_table_full");
    EXPECT_EQ(h.fate(kOutside, frame(Ipv6{}, Udp{.sport = 2000, .dport = 443})), "flow_table_full");
    EXPECT_EQ(h.fate(kOutside, frame(Ipv4{}, Udp{.sport = 1000, .dport = 443})), "forward");
    h.advance(31s);
    EXPECT_EQ(h.fate(kOutside, frame(Ipv4{}, Udp{.sport = 2000, .dport = 443})), "forward");
}

TEST(Shortage, TxFullAndPortDownAreDropsOfTheArrivalPort) {
    Harness h;
    h.use(edge().build());
    h.io.tx_room[kInside] = 1;
    const auto syn = frame(Ipv4{}, tcp_in(kSyn, 1000));
    EXPECT_EQ(h.send({{kOutside, syn}, {kOutside, syn}, {kOutside, syn}}).size(), 1U);
    EXPECT_EQ(h.drops(kOutside, DropReason::tx_full), 2U);
    h.io.tx_room[kInside] = SIZE_MAX;
    h.io.link[kInside] = false;
    EXPECT_EQ(h.fate(kOutside, syn), "port_down");
    h.io.link[kInside] = true;
    EXPECT_EQ(h.fate(kOutside, syn), "forward");
}

TEST(Shortage, AnswersThatTheDeviceRefusesAreCounted) {
    Harness h;
    h.use(edge().build());
    h.io.tx_room[kOutside] = 0;
    EXPECT_EQ(h.fate(kOutside, frame(Ipv4{}, tcp_in(kSyn, 1, 0, 22))), "policy_reject, tx_full");
    EXPECT_EQ(h.counters().ports[kOutside].originated_packets.read(), 1U);
}

TEST(Shortage, X9_WithoutABufferARejectIsSilentAndSaidInTheLog) {
    Harness h;
    h.use(edge().build());
    h.io.can_allocate = false;
    EXPECT_EQ(h.fate(kOutside, frame(Ipv4{}, tcp_in(kSyn, 1, 0, 22))), "policy_reject");
    EXPECT_EQ(h.counters().ports[kOutside].originated_packets.read(), 0U);
    const auto events = h.events();
    ASSERT_EQ(events.size(), 2U);
    EXPECT_EQ(events[0].kind, abi::EventKind::flow_rejected);
    EXPECT_EQ(events[1].drop, DropReason::no_mbuf);
}

// ------------------------------------------------------------------------------------------------------------ events
TEST(Events, StartAndEndOfALoggedFlow) {
    Harness h;
    h.use(edge().build());
    EXPECT_EQ(h.fate(kOutside, frame(Ipv4{}, Udp{.dport = 443, .payload = bytes_of(10)})), "forward");
    auto events = h.events();
    ASSERT_EQ(events.size(), 1U);
    EXPECT_EQ(events[0].kind, abi::EventKind::flow_start);
    EXPECT_EQ(events[0].src, address("198.51.100.7"));
    EXPECT_EQ(events[0].dport, abi::L4Port::of_host(443));
    EXPECT_EQ(events[0].verdict, abi::Verdict::allow);
    EXPECT_EQ(events[0].generation, 1U);
    const auto started = events[0].time;
    EXPECT_EQ(h.fate(kInside, frame(out<Ipv4>(), Udp{.sport = 443, .dport = 40000})), "forward");
    h.advance(181s);
    events = h.events();
    ASSERT_EQ(events.size(), 1U);
    EXPECT_EQ(events[0].kind, abi::EventKind::flow_end);
    EXPECT_EQ(events[0].end, abi::FlowEnd::expired);
    EXPECT_EQ(events[0].packets[0], 1U);
    EXPECT_EQ(events[0].packets[1], 1U);
    EXPECT_EQ(events[0].in_port, kOutside);
    EXPECT_NEAR(static_cast<double>(events[0].started.ns), static_cast<double>(started.ns), 2e7);
}

TEST(Events, X8_SampledDropsAreLimitedAndTheRestIsCountedExactly) {
    Harness h;
    h.use(edge().build());
    const auto junk = frame(Ipv4{}, tcp_in(kAck, 1, 1));
    constexpr std::uint64_t kDrops = 1000;
    for (std::uint64_t i = 0; i < kDrops; ++i) EXPECT_EQ(h.fate(kOutside, junk), "tcp_no_flow");
    auto events = h.events();
    EXPECT_EQ(events.size(), 100U);
    h.advance(2s);
    const auto rest = h.events();
    ASSERT_EQ(rest.size(), 1U);
    EXPECT_EQ(rest[0].drop, DropReason::tcp_no_flow);
    EXPECT_EQ(events.size() + 1 + rest[0].suppressed, kDrops);
}

TEST(Events, DenialsAreSilentUnlessTheirRuleLogs) {
    Harness h;
    h.use(edge().build());
    EXPECT_EQ(h.fate(kOutside, frame(Ipv4{}, tcp_in(kSyn, 1, 0, 5432))), "policy_deny");
    EXPECT_TRUE(h.events().empty());
    h.use(edge().default_action(cp::Action::deny, abi::RuleLog::start).build());
    EXPECT_EQ(h.fate(kOutside, frame(Ipv4{}, tcp_in(kSyn, 1, 0, 5432))), "policy_deny");
    const auto events = h.events();
    ASSERT_EQ(events.size(), 1U);
    EXPECT_EQ(events[0].kind, abi::EventKind::flow_denied);
    EXPECT_EQ(events[0].slot, abi::kSlotDefault);
    EXPECT_EQ(events[0].drop, DropReason::policy_deny);
}

TEST(Dump, WalksAllFlowsInPages) {
    Harness h{{.flow_entries_max = 5000}};
    h.use(edge().build());
    for (std::uint16_t n = 0; n < 300; ++n) {
        const auto sport = static_cast<std::uint16_t>(1000 + n);
        ASSERT_EQ(n % 2 == 0 ? h.fate(kOutside, frame(Ipv4{}, Udp{.sport = sport, .dport = 443}))
                             : h.fate(kOutside, frame(Ipv6{}, Udp{.sport = sport, .dport = 443})),
                  "forward");
    }
    for (const std::uint32_t page : {1U, 7U, 512U}) {
        auto flows = h.dump(page);
        ASSERT_EQ(flows.size(), 300U);
        std::sort(flows.begin(), flows.end(),
                  [](const auto& a, const auto& b) { return a.sport.to_host() < b.sport.to_host(); });
        for (std::uint16_t n = 0; n < 300; ++n) EXPECT_EQ(flows[n].sport.to_host(), 1000 + n);
    }
}

// The manager gives a worker one second per page, and an idle worker makes some 2,500 loops in it: a table with room
// for ten million flows and two in use must be walked in that.
TEST(Dump, AnAlmostEmptyTableIsWalkedInFewLoops) {
    constexpr std::uint32_t kEntries = 1U << 18, kLoopsPerSecond = 2'500, kTenMillion = 10'000'000;
    Harness h{{.flow_entries_max = kEntries}};
    h.use(edge().build());
    EXPECT_EQ(h.dump().size(), 0U);
    EXPECT_LE(h.dump_loops, kLoopsPerSecond / (kTenMillion / kEntries));
}

}  // namespace
}  // namespace sluice::test
