// What a dropped packet leaves behind: an answer to its sender, within the limit, and a sampled event.
#include "dataplane/pipeline/act.hpp"

#include <gtest/gtest.h>

#include "tests/unit/dataplane/pipeline/edge.hpp"

namespace sluice::test {
namespace {

using abi::DropReason;
using std::chrono::seconds;
using namespace std::chrono_literals;

template <typename Ip>
class ActBothFamilies : public testing::Test {};
TYPED_TEST_SUITE(ActBothFamilies, Families);

TYPED_TEST(ActBothFamilies, RejectedTcpIsAnsweredByARst) {
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

}  // namespace
}  // namespace sluice::test
