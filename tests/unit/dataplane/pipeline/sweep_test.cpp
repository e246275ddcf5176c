// Idle flows after a switch: all of them are judged, a bounded number at a time.
#include "dataplane/pipeline/sweep.hpp"

#include <gtest/gtest.h>

#include "tests/unit/dataplane/pipeline/edge.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

FrameBytes client(std::uint32_t n) {
    return frame(Ipv4{.src = "198.51.100.7"}, Udp{.sport = static_cast<std::uint16_t>(1'000 + n), .dport = 443});
}

PolicyBuilder closed(abi::RuleLog log = abi::RuleLog::none) {
    PolicyBuilder p;
    p.zone("outside", {"p0"}).zone("inside", {"p1"});
    p.rule({.id = "closed", .from = {"outside"}, .action = cp::Action::deny, .log = log});
    return p;
}

TEST(Sweep, P11_EndsIdleFlowsThatAreNoLongerAllowed) {
    Harness h;
    h.use(edge().build());
    for (std::uint32_t n = 0; n < 60; ++n) ASSERT_EQ(h.fate(kOutside, client(n)), "forward");
    (void)h.events();
    h.use(closed().build());
    EXPECT_EQ(h.flows(), 0U) << "few flows are judged in the loop of the switch";
    EXPECT_EQ(h.counters().flows_ended_by_policy.read(), 60U);
    EXPECT_EQ(h.counters().flows_rejudged.read(), 60U);
    EXPECT_EQ(h.rule("closed").hits.read(), 60U);
    const auto events = h.events();
    ASSERT_EQ(events.size(), 60U) << "their rule logs ends";
    EXPECT_EQ(events[0].end, abi::FlowEnd::policy);
    EXPECT_EQ(events[0].generation, 2U);
    EXPECT_EQ(events[0].slot, abi::RuleSlot{static_cast<std::uint32_t>(abi::kSlotFirstFree) + 4}) << "closed";
}

TEST(Sweep, LeavesWhatIsStillAllowed) {
    Harness h;
    h.use(edge().build());
    for (std::uint32_t n = 0; n < 40; ++n) ASSERT_EQ(h.fate(kOutside, client(n)), "forward");
    h.use(edge().build());
    EXPECT_EQ(h.flows(), 40U);
    EXPECT_EQ(h.rule("web-in").hits.read(), 40U) << "hits are flows";
    for (const auto& flow : h.dump()) EXPECT_EQ(flow.generation, 2U);
}

TEST(Sweep, P11_JudgesManyInBoundedSteps) {
    Harness h{{.flow_entries_max = 4'096}};
    h.use(edge().build());
    for (std::uint32_t n = 0; n < 3'000; ++n) ASSERT_EQ(h.fate(kOutside, client(n)), "forward");
    h.use(closed().build());
    EXPECT_EQ(h.counters().flows_ended_by_policy.read(), 64U);
    EXPECT_GT(h.counters().rejudge_left.read(), 0U);
    for (int ms = 0; h.counters().rejudge_left.read() != 0; ++ms) {
        ASSERT_LT(ms, 8) << "a million flows a second";
        const auto before = h.counters().flows_ended_by_policy.read();
        h.advance(1ms);
        EXPECT_LE(h.counters().flows_ended_by_policy.read() - before, 1'100U);
    }
    EXPECT_EQ(h.flows(), 0U);
}

// While packets come, the lap takes half as long again, and it ends all the same.
TEST(Sweep, P11_LeavesMoreOfTheTimeToPacketsThatCome) {
    Harness h{{.flow_entries_max = 4'096}};
    h.use(edge().build());
    for (std::uint32_t n = 0; n < 1'024; ++n)
        ASSERT_EQ(h.fate(kOutside, client(n)), "forward");  // half-open: a quarter
    h.use(closed().build());
    int loops = 0;
    for (; h.counters().rejudge_left.read() != 0; ++loops) {
        ASSERT_LT(loops, 2) << "two thirds of a million flows a second";
        const auto before = h.counters().flows_ended_by_policy.read();
        h.skip(1ms);
        ASSERT_EQ(h.fate(kOutside, client(5'000)), "policy_deny");
        EXPECT_LE(h.counters().flows_ended_by_policy.read() - before, 700U);
    }
    EXPECT_EQ(loops, 2);
    EXPECT_EQ(h.flows(), 0U);
}

// However fast policies follow each other, the hand goes on from where it stands: no number is older than a lap.
TEST(Sweep, P11_SwitchesDoNotSendTheHandBack) {
    Harness h{{.flow_entries_max = 2'048}};
    h.use(edge().build());
    for (std::uint32_t n = 0; n < 300; ++n) ASSERT_EQ(h.fate(kOutside, client(n)), "forward");
    for (std::uint64_t generation = 2; generation <= 20; ++generation) h.use(edge().build());
    for (const auto& flow : h.dump()) ASSERT_GT(flow.generation, 20U - 6U) << "64 of 300 in each switch";
}

/// web-in's flows, which nothing has changed for since switch number `since`.
std::vector<std::uint32_t> unchanged_since(std::uint32_t since) {
    return std::vector<std::uint32_t>(static_cast<std::size_t>(abi::kSlotFirstFree) + 4, since);
}

// A flow that says nothing while 2^32 switches go by that do not concern it: when its number comes around, the flow no
// longer has it.
TEST(Sweep, P11_TheWrapOfTheNumbersMeetsNoIdleFlow) {
    Harness h;
    h.use(edge().build());  // switch number 2
    ASSERT_EQ(h.fate(kOutside, client(0)), "forward");
    h.set_valid_since(unchanged_since(2));
    h.use(edge().build());  // 3
    EXPECT_EQ(h.counters().flows_rejudged.read(), 0U);
    ASSERT_EQ(h.dump().size(), 1U);
    EXPECT_EQ(h.dump()[0].generation, 2U) << "the sweep has given it the number of the switch";
    h.set_valid_since({});
    h.skip_switches((std::uint64_t{1} << 32) - 2);
    h.use(closed().build());  // 2^32 + 2: number 2 again
    EXPECT_EQ(h.flows(), 0U);
    EXPECT_EQ(h.counters().flows_ended_by_policy.read(), 1U);
}

// As above with a full table: every place is visited, the first and the last ones too, wherever the hand began.
TEST(Sweep, P11_NoFlowIsLeftBehind) {
    constexpr std::uint32_t kEntries = 500;
    Harness h{{.flow_entries_max = kEntries}};
    h.use(edge().build());
    const auto open_and_answer = [&](std::uint32_t n) {
        ASSERT_EQ(h.fate(kOutside, client(n)), "forward");
        Ipv4 ip{.src = "198.51.100.80", .dst = "198.51.100.7"};
        ASSERT_EQ(h.fate(kInside, frame(ip, Udp{.sport = 443, .dport = static_cast<std::uint16_t>(1'000 + n)})),
                  "forward");
    };
    for (std::uint32_t n = 0; n < kEntries; ++n) open_and_answer(n);
    ASSERT_EQ(h.flows(), kEntries);
    for (std::uint32_t lap = 1; lap <= 3; ++lap) {
        h.use(edge().build());
        for (int ms = 0; h.counters().rejudge_left.read() != 0; ++ms) {
            ASSERT_LT(ms, 8);
            h.advance(1ms);
        }
        EXPECT_EQ(h.counters().flows_rejudged.read(), lap * kEntries);
    }
}

TEST(Sweep, WhatNothingConcernsIsNotAsked) {
    Harness h{{.flow_entries_max = 4'096}};
    h.use(edge().build());
    for (std::uint32_t n = 0; n < 1'000; ++n) ASSERT_EQ(h.fate(kOutside, client(n)), "forward");
    const auto asked = h.counters().lookups.read();
    h.set_valid_since(unchanged_since(2));
    h.use(edge().build());
    h.advance(10ms);
    EXPECT_EQ(h.counters().rejudge_left.read(), 0U);
    EXPECT_EQ(h.fate(kOutside, client(7)), "forward");
    EXPECT_EQ(h.counters().lookups.read(), asked);
    for (const auto& flow : h.dump()) ASSERT_EQ(flow.generation, 2U);
}

TEST(Sweep, AFlowWhoseTimeIsOverExpires) {
    Harness h;
    h.use(edge().build());
    ASSERT_EQ(h.fate(kOutside, client(0)), "forward");
    h.skip(31s);
    h.use(closed().build());
    h.advance(1s);
    EXPECT_EQ(h.counters().flows_expired.read(), 1U);
    EXPECT_EQ(h.counters().flows_ended_by_policy.read(), 0U);
}

}  // namespace
}  // namespace sluice::test
