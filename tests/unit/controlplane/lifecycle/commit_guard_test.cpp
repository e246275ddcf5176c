#include "controlplane/lifecycle/commit_guard.hpp"

#include <gtest/gtest.h>

namespace sluice::cp {
namespace {

using namespace std::chrono_literals;
using Time = std::chrono::steady_clock::time_point;

/// Counters of a firewall through which so much has passed since the last mark.
struct Traffic {
    TrafficMark mark{.at = Time{1000s}};
    TrafficMark go(std::chrono::seconds seconds, std::uint64_t packets, std::uint64_t drops, std::uint64_t made = 0,
                   std::uint64_t refused = 0) {
        mark.at += seconds;
        mark.packets += packets;
        mark.drops += drops;
        mark.made += made;
        mark.refused += refused;
        return mark;
    }
};

CommitGuard guard_of(std::string_view text, Traffic& traffic, double drops_before = 0, double refused_before = 0) {
    return {7, {*parse_guard(text), {drops_before, refused_before}}, traffic.mark};
}

TEST(CommitGuard, IsReadAsItIsWritten) {
    EXPECT_EQ(parse_guard("drop-rate=5")->points[0], 5.0);
    const auto both = parse_guard(" refused-flows=12.5% ,drop-rate=0");
    ASSERT_TRUE(both);
    EXPECT_EQ(both->points[0], 0.0);
    EXPECT_EQ(both->points[1], 12.5);
    EXPECT_FALSE(parse_guard("drop-rate=5")->points[1]);
    for (const auto* bad : {"", "drop-rate", "drop-rate=", "drop-rate=5,", "drop-rate=100", "drop-rate=-1",
                            "drop-rate=nan", "drop-rate=1e1", "drops=5", "drop-rate=5 %"})
        EXPECT_FALSE(parse_guard(bad)) << bad;
    EXPECT_EQ(parse_guard("drop-rate=1,drop-rate=2").error(), "drop-rate stands twice");
    for (const auto* text : {"drop-rate=5", "refused-flows=12.5", "drop-rate=0, refused-flows=0.000001"}) {
        EXPECT_EQ(to_text(*parse_guard(text)), text);
        EXPECT_EQ(*parse_guard(to_text(*parse_guard(text))), *parse_guard(text));
    }
}

TEST(CommitGuard, TripsOnlyBeyondItsBoundOverWhatWasBefore) {
    Traffic traffic;
    auto guard = guard_of("drop-rate=5", traffic, 10);
    EXPECT_FALSE(guard.judge(traffic.go(1s, 1000, 150))) << "five points worse, and no more";
    const auto why = guard.judge(traffic.go(1s, 1000, 160));
    ASSERT_TRUE(why);
    EXPECT_EQ(*why, "drop-rate went from 10.0 % to 15.5 %, more than 5.0 points");
}

TEST(CommitGuard, FewPacketsSayNothing) {
    Traffic traffic;
    auto guard = guard_of("drop-rate=5, refused-flows=5", traffic);
    EXPECT_FALSE(guard.judge(traffic.go(1s, 99, 99, 0, 19)));
    EXPECT_TRUE(guard.judge(traffic.go(1s, 1, 1)));
    auto flows = guard_of("refused-flows=5", traffic);
    EXPECT_FALSE(flows.judge(traffic.go(1s, 0, 0, 0, 19)));
    EXPECT_TRUE(flows.judge(traffic.go(1s, 0, 0, 0, 1)));
}

TEST(CommitGuard, AsksAboutItsLastTenSecondsAlone) {
    Traffic traffic;
    auto guard = guard_of("drop-rate=20", traffic);
    for (int s = 0; s < 60; ++s) ASSERT_FALSE(guard.judge(traffic.go(1s, 1000, 0)));
    int tripped = 0;
    for (int s = 1; s <= 10 && tripped == 0; ++s) {
        if (guard.judge(traffic.go(1s, 1000, 1000))) tripped = s;
    }
    EXPECT_EQ(tripped, 3) << "30 % of ten seconds; of the whole minute it would be 5 %";
}

TEST(CommitGuard, RefusedFlowsAreAShareOfThoseThatBegan) {
    Traffic traffic;
    auto guard = guard_of("refused-flows=30", traffic, 0, 20);
    EXPECT_FALSE(guard.judge(traffic.go(1s, 100'000, 0, 50, 50)));
    const auto why = guard.judge(traffic.go(1s, 100'000, 0, 0, 10));
    ASSERT_TRUE(why);
    EXPECT_EQ(*why, "refused-flows went from 20.0 % to 54.5 %, more than 30.0 points");
}

TEST(CommitGuard, FailedHandshakesAreAShareOfThoseThatEndedEitherWay) {
    Traffic traffic;
    auto guard = guard_of("failed-handshakes=25", traffic);
    traffic.mark.established = 15;
    traffic.mark.failed = 5;
    EXPECT_FALSE(guard.judge(traffic.go(1s, 0, 0))) << "25 % of 20, and no more";
    traffic.mark.failed = 6;
    EXPECT_EQ(guard.judge(traffic.go(1s, 0, 0)), "failed-handshakes went from 0.0 % to 28.6 %, more than 25.0 points");
}

TEST(CommitGuard, WhatWasHardlySeenBeforeCountsAsNothing) {
    const auto bounds = *parse_guard("drop-rate=5, failed-handshakes=10");
    const Shares quiet{{{99, 100}, {1000, 50}, {3, 100}}};
    EXPECT_EQ(terms_over(bounds, quiet).before, (std::array<double, kGuardedRates>{0, 50, 0}));
    EXPECT_EQ(unknown_before(bounds, quiet), "drop-rate, failed-handshakes");
    const Shares busy{{{100, 12}, {0, 0}, {20, 30}}};
    EXPECT_EQ(terms_over(bounds, busy).before, (std::array<double, kGuardedRates>{12, 0, 30}));
    EXPECT_EQ(unknown_before(bounds, busy), "") << "nobody asked for refused-flows";
}

TEST(CommitGuard, NothingIsWorseThanAll) {
    Traffic traffic;
    const TrafficMark from = traffic.mark;
    EXPECT_EQ(share_between(GuardedRate::drop_rate, from, traffic.go(1s, 100, 150)).percent, 100.0)
        << "packets of our own making are dropped too";
}

TEST(CommitGuard, IsKeptAsTextWithWhatWasBefore) {
    GuardTerms terms{*parse_guard("drop-rate=5, failed-handshakes=12.5"), {0.1 + 0.2, 0, 100}};
    EXPECT_EQ(to_text(terms), "drop-rate=5 over 0.30000000000000004, failed-handshakes=12.5 over 100");
    EXPECT_EQ(parse_guard_terms(to_text(terms)), terms);
    for (const auto* bad : {"", "drop-rate=5", "drop-rate=5 over ", "drop-rate=5 over 101", "drops=5 over 1",
                            "drop-rate=5 over 1,", "drop-rate over 1", "drop-rate=5 over 1, drop-rate=5 over 1"})
        EXPECT_FALSE(parse_guard_terms(bad)) << bad;
}

TEST(TrafficHistory, KnowsTheLastMinute) {
    Traffic traffic;
    TrafficHistory history;
    EXPECT_EQ(history.rates_until(traffic.mark)[0].of, 0U);
    history.note(traffic.go(1s, 1000, 1000));
    for (int s = 0; s < 60; ++s) history.note(traffic.go(1s, 100, 10));
    EXPECT_EQ(history.rates_until(traffic.mark)[0].percent, 10.0) << "since its first mark";
    for (int s = 0; s < 60; ++s) history.note(traffic.go(1s, 100, 20));
    EXPECT_EQ(history.rates_until(traffic.mark)[0].percent, 20.0);
}

}  // namespace
}  // namespace sluice::cp
