#include "controlplane/lifecycle/plan_diff.hpp"

#include <gtest/gtest.h>

#include "tests/harness/policies.hpp"

namespace sluice::cp {
namespace {

using Ids = std::vector<std::string>;

Policy policy_of(const Ids& ids, const std::vector<std::string>& web = {"198.51.100.80/32"}) {
    test::PolicyBuilder builder;
    builder.zone("outside", {"p0"}).zone("inside", {"p1"}).set("other", {"192.0.2.0/24"}).set("web", web);
    for (const auto& id : ids) {
        builder.rule({.id = id, .from = {"outside"}, .to = {id == "a" ? "web" : "any"}, .action = Action::allow});
    }
    return builder.build();
}

TEST(PlanDiff, AddedChangedRemoved) {
    const auto before = policy_of({"a", "b", "c"});
    auto diff = plan_diff(&before, policy_of({"a", "c", "d"}));
    EXPECT_EQ(diff.added, Ids{"d"});
    EXPECT_EQ(diff.removed, Ids{"b"});
    EXPECT_TRUE(diff.changed.empty());
    diff = plan_diff(&before, before);
    EXPECT_TRUE(diff.added.empty() && diff.changed.empty() && diff.removed.empty());
    EXPECT_EQ(plan_diff(nullptr, before).added, (Ids{"a", "b", "c", "default"}));
}

TEST(PlanDiff, AnotherContentOfASetIsAChangeOfTheRulesThatUseIt) {
    const auto before = policy_of({"a", "b"});
    EXPECT_EQ(plan_diff(&before, policy_of({"a", "b"}, {"198.51.100.81/32"})).changed, Ids{"a"});
}

TEST(PlanDiff, AMovedRuleIsAChange) {
    const auto before = policy_of({"a", "b", "c", "d"});
    EXPECT_EQ(plan_diff(&before, policy_of({"d", "a", "b", "c"})).changed, Ids{"d"});
    EXPECT_EQ(plan_diff(&before, policy_of({"b", "a", "d", "c"})).changed.size(), 2U);
}

TEST(PlanDiff, DefaultAndWireStandAmongTheIds) {
    const auto before = policy_of({"a"});
    auto after = before;
    after.default_action = Action::reject;
    after.wire_nd = abi::WireAction::deny;
    EXPECT_EQ(plan_diff(&before, after).changed, (Ids{"default", "builtin:nd"}));
}

}  // namespace
}  // namespace sluice::cp
