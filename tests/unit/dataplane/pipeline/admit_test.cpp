// What becomes of an answer: a flow, its end under a new policy, a refusal, a table that is full.
#include "dataplane/pipeline/admit.hpp"

#include <gtest/gtest.h>

#include "tests/unit/dataplane/pipeline/edge.hpp"

namespace sluice::test {
namespace {

using abi::DropReason;
using namespace std::chrono_literals;

template <typename Ip>
class AdmitBothFamilies : public testing::Test {};
TYPED_TEST_SUITE(AdmitBothFamilies, Families);

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
    EXPECT_EQ(events[0].slot, abi::kSlotFirstFree) << "the rule that watches, not the one that decides";
    EXPECT_EQ(events[0].verdict, abi::Verdict::deny);
}

TYPED_TEST(AdmitBothFamilies, DeniedFlowsEndWithTheirNextPacket) {
    Harness h;
    h.use(edge().build());
    connect<TypeParam>(h);
    (void)h.events();
    PolicyBuilder p;
    p.zone("outside", {"p0"}).zone("inside", {"p1"});
    p.rule({.id = "closed", .from = {"outside"}, .to = {"inside"}, .action = cp::Action::deny});
    p.rule({.id = "out", .from = {"inside"}, .to = {"outside"}, .action = cp::Action::allow});
    h.use_in_next_loop(p.build());
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

TEST(PolicySwitch, AUsualPacketIsTheRulesThatAllowsItNow) {
    Harness h;
    h.use(edge().build());
    connect<Ipv4>(h);
    PolicyBuilder p;
    p.zone("outside", {"p0"}).zone("inside", {"p1"});
    h.use_in_next_loop(p.rule({.id = "now", .action = cp::Action::allow}).build());
    EXPECT_EQ(h.fate(kOutside, frame(Ipv4{}, tcp_in(kAck | kPsh, 1001, 5001))), "forward");
    EXPECT_EQ(h.rule("now").hits.read(), 1U);
    EXPECT_EQ(h.rule("now").packets.read(), 1U) << "judged before it is counted";
}

TEST(PolicySwitch, ARejectEndsAFlowWithAnAnswer) {
    Harness h;
    h.use(edge().build());
    connect<Ipv4>(h);
    PolicyBuilder p;
    p.zone("outside", {"p0"}).zone("inside", {"p1"});
    h.use_in_next_loop(p.default_action(cp::Action::reject).build());
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
    h.use_in_next_loop(p.build());
    // The first ends the old flow; the second is judged by itself and may open one.
    const auto answer = frame(Ipv4{}, Udp{.sport = 53, .dport = 5353});
    EXPECT_EQ(h.send({{kOutside, answer}, {kOutside, answer}}).size(), 1U);
    EXPECT_EQ(h.drops(DropReason::policy_deny), 1U);
    EXPECT_EQ(h.rule("dns-in").hits.read(), 1U);
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

std::vector<abi::FlowEvent> decided(Harness& h) {
    auto events = h.events();
    std::erase_if(events, [](const abi::FlowEvent& e) { return e.kind != abi::EventKind::new_flow; });
    return events;
}

// What a shadow lives on: every decision about a first packet, whatever its rule logs, and nothing else.
TEST(WatchedFlows, EachDecisionIsToldOnceWhateverIsLogged) {
    Harness h;
    h.use(edge().build());
    connect<Ipv4>(h);
    EXPECT_TRUE(decided(h).empty()) << "nobody watches";
    h.watch_new_flows(1000);
    EXPECT_EQ(h.fate(kOutside, frame(Ipv4{}, tcp_in(kSyn, 1, 0, 5432))), "policy_deny");
    EXPECT_EQ(h.fate(kInside, frame(out<Ipv4>(), Udp{.sport = 5353, .dport = 53})), "forward");
    EXPECT_EQ(h.fate(kInside, frame(out<Ipv4>(), Udp{.sport = 5353, .dport = 53})), "forward") << "no new flow";
    const auto events = decided(h);
    ASSERT_EQ(events.size(), 2U);
    EXPECT_EQ(events[0].verdict, abi::Verdict::deny);
    EXPECT_EQ(events[0].slot, abi::kSlotDefault);
    EXPECT_EQ(events[0].dport.to_host(), 5432U);
    EXPECT_EQ(events[0].in_port, kOutside);
    EXPECT_EQ(events[1].verdict, abi::Verdict::allow);
    EXPECT_EQ(events[1].in_port, kInside);
    h.watch_new_flows(0);
    EXPECT_EQ(h.fate(kOutside, frame(Ipv4{}, tcp_in(kSyn, 1, 0, 5433))), "policy_deny");
    EXPECT_TRUE(decided(h).empty()) << "nobody watches any more";
}

TEST(WatchedFlows, BeyondTheirBudgetTheyAreCounted) {
    Harness h;
    h.use(edge().build());
    h.watch_new_flows(3);
    for (std::uint16_t port = 0; port < 10; ++port) {
        EXPECT_EQ(h.fate(kOutside, frame(Ipv4{}, tcp_in(kSyn, 1, 0, static_cast<std::uint16_t>(6000 + port)))),
                  "policy_deny");
    }
    h.advance(std::chrono::milliseconds{2500});
    std::uint64_t flows = 0;
    const auto events = decided(h);
    for (const auto& e : events) flows += 1 + e.suppressed;
    EXPECT_EQ(events.size(), 4U) << "three, and the one that says how many were left out";
    EXPECT_EQ(flows, 10U);
    EXPECT_EQ(h.counters().events_suppressed.read(), 0U) << "what nobody logs is missing from no log";
}

}  // namespace
}  // namespace sluice::test
