// The whole walk of a packet, through the in-process harness: before any policy, a connection from its first packet to
// its last, several packets of one burst, several wires.
#include "dataplane/pipeline/worker.hpp"

#include <gtest/gtest.h>

#include "tests/unit/dataplane/pipeline/edge.hpp"

namespace sluice::test {
namespace {

using abi::DropReason;

template <typename Ip>
class WorkerBothFamilies : public testing::Test {};
TYPED_TEST_SUITE(WorkerBothFamilies, Families);

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

TYPED_TEST(WorkerBothFamilies, AllowedTcpConnectsAndClosesAndIsCounted) {
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

TEST(Bursts, ASmallerOneHasNothingOfTheOneBefore) {
    Harness h;
    h.use(edge().build());
    const auto first = frame(Ipv4{}, Udp{.sport = 1000, .dport = 443});
    const auto second = frame(Ipv4{}, Udp{.sport = 1001, .dport = 443});
    EXPECT_EQ(h.send({{kOutside, first}, {kOutside, second}}).size(), 2U);
    EXPECT_EQ(h.send({{kOutside, first}}).size(), 1U);
    EXPECT_EQ(h.rule("web-in").packets.read(), 3U);
    EXPECT_EQ(h.rule("web-in").hits.read(), 2U);
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

}  // namespace
}  // namespace sluice::test
