// How far a change reaches, in cases that people know.
#include "controlplane/compiler/change_reach.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/harness/policies.hpp"

namespace sluice::test {
namespace {

using cp::Action;

PolicyBuilder base() {
    PolicyBuilder p;
    p.zone("outside", {"p0"}).zone("inside", {"p1"});
    p.set("shop", {"198.51.100.80/32"}).set("guests", {"10.0.0.0/24"});
    p.rule({.id = "web", .from = {"outside"}, .to = {"shop"}, .service = {"tcp/443"}, .action = Action::allow});
    p.rule({.id = "dns", .from = {"guests"}, .to = {"any"}, .service = {"udp/53"}, .action = Action::allow});
    p.rule({.id = "egress", .from = {"inside"}, .to = {"outside"}, .action = Action::allow});
    return p;
}

/// The ids of base() that are untouched in `after`.
std::vector<std::string> untouched(const cp::Policy& after, const cp::Policy& before = base().build()) {
    cp::SlotMap slots;
    const CompiledTables old{before, slots, 1};
    const auto slots_before = slots.assign(before), slots_after = slots.assign(after);
    EXPECT_TRUE(slots_before && slots_after);
    const auto bits = cp::untouched_slots({&before, *slots_before, 1, {}}, after, *slots_after);
    std::vector<std::string> ids;
    for (abi::RuleIndex i = 0; i < old.view().rules.size(); ++i) {
        const auto slot = static_cast<std::size_t>(old.view().rules[i].slot);
        if (slot / 64 < bits.size() && (bits[slot / 64] >> (slot % 64) & 1U) != 0) {
            ids.emplace_back(old.view().rule_id(i));
        }
    }
    return ids;
}

using Ids = std::vector<std::string>;
const Ids kAll{"web", "dns", "egress"};

PolicyBuilder with_first(const RuleSpec& spec) {
    PolicyBuilder p = base();
    p.rule(spec);
    std::rotate(p.policy.rules.begin(), p.policy.rules.end() - 1, p.policy.rules.end());
    return p;
}

TEST(ChangeReach, TheSamePolicyTouchesNothing) {
    EXPECT_EQ(untouched(base().build()), (Ids{"web", "dns", "egress", "default"}));
}

TEST(ChangeReach, ANewRuleTouchesWhatItOverlaps) {
    EXPECT_EQ(untouched(with_first({.id = "new", .from = {"outside"}, .service = {"tcp/443"}}).build()),
              (Ids{"dns", "egress"}));
    EXPECT_EQ(untouched(with_first({.id = "new", .from = {"10.0.0.7"}, .service = {"udp/53"}}).build()), Ids{"web"});
    EXPECT_EQ(untouched(with_first({.id = "new", .from = {"2001:db8::/32"}, .service = {"tcp/443"}}).build()),
              (Ids{"web", "dns"}))
        << "IPv6 from inside only";
    EXPECT_EQ(untouched(with_first({.id = "new", .mode = abi::RuleMode::observe}).build()),
              (Ids{"web", "dns", "egress", "default"}))
        << "it decides nothing";
    PolicyBuilder last = base();
    last.rule({.id = "new"});
    EXPECT_EQ(untouched(last.build()), kAll) << "behind them all";
}

TEST(ChangeReach, ASetThatGrowsTouchesOnlyWhatItGrewInto) {
    PolicyBuilder p = base();
    p.policy.sets[0].nets.push_back(prefix("198.51.100.81"));
    EXPECT_EQ(untouched(p.build()), kAll) << "its own flows stay allowed, those behind are others";
    p.policy.sets[0].nets.push_back(prefix("192.0.2.1"));
    p.policy.rules[0].service.clear();
    EXPECT_EQ(untouched(p.build()), (Ids{"web", "egress"})) << "any service to the shop: DNS from guests, too";
}

TEST(ChangeReach, ASetThatShrinksTouchesItsRules) {
    PolicyBuilder p = base();
    p.policy.sets[1].nets[0] = prefix("10.0.0.0/25");
    EXPECT_EQ(untouched(p.build()), (Ids{"web", "egress", "default"}));
}

TEST(ChangeReach, VerdictAndLogAreTheRulesOwn) {
    PolicyBuilder p = base();
    p.policy.rules[0].action = Action::deny;
    p.policy.rules[1].log = abi::RuleLog::both;
    EXPECT_EQ(untouched(p.build()), (Ids{"egress", "default"}));
    PolicyBuilder observed = base();
    observed.policy.rules[0].mode = abi::RuleMode::observe;
    EXPECT_EQ(untouched(observed.build()), (Ids{"dns", "egress", "default"}));
}

/// At the instant of the switch it may be in force where it was not.
TEST(ChangeReach, ARuleThatGetsOtherTimesIsTakenForANewOne) {
    PolicyBuilder p = base();
    p.policy.rules[0].expires = 1'800'000'000;
    const Ids changed = untouched(p.build());
    EXPECT_EQ(std::ranges::count(changed, "web"), 0);
    EXPECT_EQ(std::ranges::count(changed, "default"), 0) << "what it matches may have been the default's";
    PolicyBuilder scheduled = base();
    scheduled.policy.schedules = {{"week", "UTC", 0x1f, 0, 60, {}}};
    EXPECT_EQ(untouched(scheduled.build()), Ids{}) << "rules name schedules by their numbers";
}

/// Nobody knows who is in a set whose members come over the API.
TEST(ChangeReach, ToLeaveOutFewerIsToTakeMoreWhoeverIsInTheSet) {
    const auto policy = [](const std::string& from) {
        PolicyBuilder p;
        p.zone("outside", {"p0"}).zone("inside", {"p1"});
        p.policy.sets.push_back({.name = "lent", .nets = {}, .pos = {}, .by_api = true, .members_max = 10});
        p.rule({.id = "own", .from = {from}, .to = {"outside"}, .action = Action::allow});
        p.rule({.id = "rest", .from = {"inside"}, .action = Action::allow});
        p.rule({.id = "back", .from = {"outside"}, .action = Action::allow});
        return p.build();
    };
    EXPECT_EQ(untouched(policy("inside!lent"), policy("inside!lent")), (Ids{"own", "rest", "back", "default"}));
    EXPECT_EQ(untouched(policy("inside"), policy("inside!lent")), (Ids{"own", "back"}));
    EXPECT_EQ(untouched(policy("inside!lent"), policy("inside")), (Ids{"rest", "back", "default"}));
}

TEST(ChangeReach, WhoLeavesNeverBlockMayBeRefusedNow) {
    const auto policy = [](const std::vector<std::string>& never_block) {
        PolicyBuilder p;
        p.zone("outside", {"p0"}).zone("inside", {"p1"}).set_by_api("bad").set("regulator", {"192.0.2.0/24"});
        p.rule({.id = "first", .from = {"192.0.2.0/25"}, .service = {"tcp/443"}, .action = Action::allow});
        p.rule({.id = "no", .from = {"bad"}, .action = Action::deny});
        p.rule({.id = "regulated", .from = {"192.0.2.128/25"}, .action = Action::allow});
        p.rule({.id = "web", .from = {"10.0.0.0/8"}, .action = Action::allow});
        p.rule({.id = "rest", .from = {"203.0.113.0/24!bad"}, .action = Action::allow});
        return p.never_block(never_block).build();
    };
    const cp::Policy before = policy({"regulator", "203.0.113.7"});
    EXPECT_EQ(untouched(before, before), (Ids{"first", "regulated", "web", "rest", "default"}));
    EXPECT_EQ(untouched(policy({"203.0.113.7"}), before), (Ids{"first", "web", "rest"})) << "and what was no one's";
    EXPECT_EQ(untouched(policy({"regulator"}), before), (Ids{"first", "regulated", "web"}));
    EXPECT_EQ(untouched(policy({"regulator", "203.0.113.7", "10.9.0.0/24"}), before),
              (Ids{"first", "regulated", "web", "rest", "default"}))
        << "who is refused less takes from nobody";
}

PolicyBuilder in_layers(const RuleSpec& friendly) {
    PolicyBuilder p;
    p.zone("outside", {"p0"}).zone("inside", {"p1"}).set("shop", {"198.51.100.80/32"});
    p.rule({.id = "own", .from = {"inside"}, .to = {"shop"}, .action = Action::allow, .layer = 10});
    p.rule(friendly);
    p.rule({.id = "org", .from = {"inside"}, .action = Action::allow, .layer = 10});
    p.rule({.id = "app", .from = {"outside"}, .action = Action::allow});
    return p;
}

TEST(ChangeReach, WhatPassesOnMustBeAsItWas) {
    const RuleSpec friendly{.id = "friend", .from = {"10.0.0.0/8"}, .action = Action::pass, .layer = 10};
    const cp::Policy before = in_layers(friendly).build();
    EXPECT_EQ(untouched(before, before), (Ids{"own", "org", "app", "default"})) << "what passes on has no flows";
    PolicyBuilder more = in_layers(friendly);
    more.rule({.id = "new", .service = {"tcp/443"}});
    EXPECT_EQ(untouched(more.build(), before), (Ids{"own", "org", "app"}));
    RuleSpec wider = friendly;
    wider.from = {"10.0.0.0/7"};
    EXPECT_EQ(untouched(in_layers(wider).build(), before), Ids{}) << "gives more to app and takes it from org";
    RuleSpec denies = friendly;
    denies.action = Action::deny;
    EXPECT_EQ(untouched(in_layers(denies).build(), before), Ids{});
    PolicyBuilder moved = in_layers(friendly);
    moved.policy.rules[2].layer = 20;
    EXPECT_EQ(untouched(moved.build(), before), Ids{}) << "org is asked by those who were passed on, now";
}

TEST(ChangeReach, WhatGoesTouchesNobodyElse) {
    PolicyBuilder p = base();
    p.policy.rules.erase(p.policy.rules.begin());
    EXPECT_EQ(untouched(p.build()), (Ids{"dns", "egress", "default"}));
}

TEST(ChangeReach, WhatMovesIsTakenForNew) {
    PolicyBuilder p = base();
    std::swap(p.policy.rules[0], p.policy.rules[1]);
    const Ids left = untouched(p.build());
    EXPECT_EQ(std::count(left.begin(), left.end(), "egress"), 0) << "DNS from inside is decided by either";
    EXPECT_EQ(left.size(), 1U);
}

TEST(ChangeReach, ZonesTouchEverything) {
    PolicyBuilder p = base();
    std::swap(p.policy.zones[0].ports, p.policy.zones[1].ports);
    EXPECT_EQ(untouched(p.build()), Ids{});
}

TEST(ChangeReach, ASlotThatIsAnothersNowIsTouched) {
    const cp::Policy before = base().build();
    cp::SlotMap slots;
    const auto slots_before = slots.assign(before);
    ASSERT_TRUE(slots_before);
    const std::vector<abi::RuleSlot> others{abi::RuleSlot{17}, abi::RuleSlot{16}, abi::RuleSlot{18}};
    const auto bits = cp::untouched_slots({&before, *slots_before, 1, {}}, before, others);
    EXPECT_EQ(bits.at(0) >> 16 & 7U, 4U) << "egress alone";
}

}  // namespace
}  // namespace sluice::test
