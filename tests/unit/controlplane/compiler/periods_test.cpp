#include "controlplane/compiler/periods.hpp"

#include <string>

#include <gtest/gtest.h>

#include "controlplane/compiler/lines.hpp"
#include "tests/harness/policies.hpp"

namespace sluice::cp {
namespace {

UnixSeconds instant(std::string_view text) { return parse_instant(text).value(); }

constexpr std::uint8_t kMonday = 1;

/// One rule, "a", open on Mondays from 08:00 to 18:00 UTC, and one, "b", that is always there.
test::PolicyBuilder mondays() {
    test::PolicyBuilder b;
    b.zone("lan", {"p0"}).zone("wan", {"p1"});
    b.rule({.id = "a", .from = {"lan"}, .action = Action::allow}).rule({.id = "b", .to = {"wan"}});
    b.policy.schedules = {{"mondays", "UTC", kMonday, 8 * 60, 18 * 60, {}}};
    b.policy.rules[0].when = 0;
    return b;
}

TEST(Periods, NothingThatDependsOnTimeIsOnePeriod) {
    test::PolicyBuilder b = mondays();
    b.policy.rules[0].when.reset();  // the schedule is there, and nobody uses it
    const auto periods = Periods::of(b.policy, instant("2026-11-26T12:00Z")).value();
    EXPECT_EQ(periods.count(), 1U);
    EXPECT_EQ(periods.transitions(), (std::vector<abi::Transition>{{0, 0, 0}}));
}

TEST(Periods, TheSameRulesInForceAreTheSamePeriod) {
    const auto periods = Periods::of(mondays().policy, instant("2026-11-26T12:00Z")).value();
    EXPECT_EQ(periods.count(), 2U);
    const auto& t = periods.transitions();
    ASSERT_GT(t.size(), 500U) << "two a week for five years";
    EXPECT_EQ(t[1].at_unix_s, static_cast<std::uint64_t>(instant("2026-01-05T08:00Z"))) << "from the year's start on";
    EXPECT_EQ(t[2].at_unix_s, static_cast<std::uint64_t>(instant("2026-01-05T18:00Z")));
    EXPECT_GE(t.back().at_unix_s, static_cast<std::uint64_t>(instant("2030-12-30T18:00Z")));
    EXPECT_EQ(t[1].period, 1U);
    EXPECT_EQ(t[2].period, 0U);
}

TEST(Periods, AreTheSameAllYear) {
    const auto policy = mondays().policy;
    EXPECT_EQ(Periods::of(policy, instant("2026-01-01T00:00Z")).value().transitions(),
              Periods::of(policy, instant("2026-12-31T23:59Z")).value().transitions());
}

TEST(Periods, AnExpiryIsOneTransitionHoweverFarAway) {
    test::PolicyBuilder b = mondays();
    b.policy.rules[0].when.reset();
    b.policy.rules[0].expires = instant("2099-01-01T00:00Z");
    const auto periods = Periods::of(b.policy, instant("2026-11-26T12:00Z")).value();
    ASSERT_EQ(periods.transitions().size(), 2U);
    EXPECT_EQ(periods.transitions()[1].at_unix_s, static_cast<std::uint64_t>(instant("2099-01-01T00:00Z")));
    EXPECT_EQ(periods.bits(b.policy.rules[0], Standing::enforced), (PeriodBits{true, false}));
    EXPECT_EQ(periods.bits(b.policy.rules[0], Standing::observed), (PeriodBits{false, true}));
    b.policy.rules[0].expires = instant("2020-01-01T00:00Z");
    EXPECT_EQ(Periods::of(b.policy, instant("2026-11-26T12:00Z")).value().count(), 1U) << "it has been so all year";
}

TEST(Periods, TooManyAreRefusedWithFigures) {
    test::PolicyBuilder b;
    b.zone("lan", {"p0"});
    for (std::uint32_t i = 0; i <= kPeriodsMax; ++i) {
        b.rule({.id = "r" + std::to_string(i)});
        b.policy.rules[i].expires = instant("2027-01-01T00:00Z") + i;
    }
    const auto periods = Periods::of(b.policy, instant("2026-11-26T12:00Z"));
    ASSERT_FALSE(periods);
    EXPECT_EQ(periods.error().code, "too-many-periods");
    EXPECT_NE(periods.error().detail.find("more than 4096"), std::string::npos);
}

/// A pair of zones that no such rule is about has one class at all times.
TEST(Periods, OnlyPairsOfZonesThatSchedulesConcernGetMoreClasses) {
    const auto policy = mondays().policy;
    const auto periods = Periods::of(policy, instant("2026-11-26T12:00Z")).value();
    const ClassifiedTerms classified{TermBuilder{policy}, policy, periods, Entries{policy}};
    const auto& pairs = classified.zones.pairs;
    ASSERT_EQ(pairs.size(), 8U);
    EXPECT_NE(pairs[0], pairs[4]);  // lan to lan, closed and open
    EXPECT_NE(pairs[1], pairs[5]);  // lan to wan
    EXPECT_EQ(pairs[2], pairs[6]);  // wan to lan
    EXPECT_EQ(pairs[3], pairs[7]);  // wan to wan
}

}  // namespace
}  // namespace sluice::cp
