#include "controlplane/lifecycle/plan_analysis.hpp"

#include <gtest/gtest.h>

#include "tests/harness/policies.hpp"

namespace sluice::cp {
namespace {

test::PolicyBuilder world() {
    test::PolicyBuilder builder;
    builder.zone("outside", {"p0"}).zone("inside", {"p1"});
    return builder;
}

const test::RuleSpec kWeb{
    .id = "web", .from = {"outside"}, .to = {"198.51.100.80"}, .service = {"tcp/443"}, .action = Action::allow};

TEST(PlanAnalysis, WhatTheTablesAnswerOtherwiseIsNotTold) {
    const Policy before = world().build(), after = world().rule(kWeb).build();
    const test::CompiledTables tables_before{before}, tables_after{after};
    const WireHint wires{{{"p0", "p1"}}};
    const auto right = analyse({&before, &tables_before.view()}, {&after, &tables_after.view()}, wires, {});
    EXPECT_EQ(right.effect.boxes.size(), 1U);
    EXPECT_TRUE(right.contradictions.empty());
    const auto wrong = analyse({&before, &tables_before.view()}, {&after, &tables_before.view()}, wires, {});
    EXPECT_TRUE(wrong.effect.boxes.empty());
    EXPECT_EQ(wrong.contradictions.size(), 1U) << "the tables of another policy";
}

TEST(PlanAnalysis, LongListsAreShortenedAndThatIsSaid) {
    auto before = world(), after = world();
    std::vector<std::string> many;
    for (int i = 0; i < 100; ++i) many.push_back("10.0." + std::to_string(i) + ".1");
    before.set("many", {});
    after.set("many", many).rule({.id = "in", .to = {"many"}, .service = {"tcp/443"}, .action = Action::allow});
    const Policy was = before.build(), is = after.build();
    const test::CompiledTables tables_before{was}, tables_after{is};
    const auto told = analyse({&was, &tables_before.view()}, {&is, &tables_after.view()}, {}, {});
    ASSERT_EQ(told.effect.boxes.size(), 1U) << "a set is never multiplied out";
    EXPECT_TRUE(told.effect.boxes[0].shortened);
    EXPECT_EQ(told.effect.boxes[0].dst.size(), 64U);
    EXPECT_EQ(told.effect.boxes[0].example.in_port, "p0");
}

}  // namespace
}  // namespace sluice::cp
