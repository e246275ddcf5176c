#include "controlplane/analysis/semantic_diff.hpp"

#include <gtest/gtest.h>

#include "controlplane/analysis/service_line.hpp"
#include "tests/harness/policies.hpp"

namespace sluice::cp {
namespace {

using Texts = std::vector<std::string>;
using test::PolicyBuilder;

PolicyBuilder world() {
    PolicyBuilder builder;
    builder.zone("outside", {"p0"}).zone("inside", {"p1"});
    return builder;
}

const test::RuleSpec kWebIn{
    .id = "web-in", .from = {"outside"}, .to = {"web"}, .service = {"tcp/443"}, .action = Action::allow};

SemanticDiff diff_of(const Policy& before, const Policy& after, const DiffLimits& limits = {},
                     const WireHint* wires = nullptr) {
    const EntryPlaces places{&before, after, wires};
    const RuleBoxes rules{&before, after, places};
    return semantic_diff(before, after, rules, limits);
}

TEST(SemanticDiff, OneMemberOfASetIsOneBox) {
    auto before = world(), after = world();
    const Policy was = before.set("web", {"198.51.100.80/32"}).rule(kWebIn).build();
    const Policy is = after.set("web", {"198.51.100.80/32", "198.51.100.96/28"}).rule(kWebIn).build();
    const auto diff = diff_of(was, is);
    ASSERT_EQ(diff.boxes.size(), 1U);
    const auto& box = diff.boxes[0];
    EXPECT_EQ(box.kind, ChangeKind::verdict);
    EXPECT_EQ(to_texts(*box.packets.dst, abi::IpFamily::v4), Texts{"198.51.100.96/28"});
    EXPECT_EQ(to_texts(*box.packets.src, abi::IpFamily::v4), Texts{"any"});
    EXPECT_EQ(to_texts(*box.packets.service, abi::IpFamily::v4), Texts{"tcp/443"});
    EXPECT_EQ(box.before, (Decision{"default", abi::Verdict::deny}));
    EXPECT_EQ(box.after, (Decision{"web-in", abi::Verdict::allow}));
    EXPECT_EQ(box.example.in_port, "p0");
    EXPECT_EQ(box.example.dport_or_icmp, 443);
    EXPECT_TRUE(diff.verdicts_complete());
}

TEST(SemanticDiff, ARenamedRuleChangesWhoDecidesAndNoVerdict) {
    auto before = world(), after = world();
    before.set("web", {"198.51.100.80/32"}).rule(kWebIn);
    auto renamed = kWebIn;
    renamed.id = "web";
    after.set("web", {"198.51.100.80/32"});
    renamed.id = "shop-in";
    after.rule(renamed);
    const auto diff = diff_of(before.build(), after.build());
    ASSERT_EQ(diff.boxes.size(), 1U);
    EXPECT_EQ(diff.boxes[0].kind, ChangeKind::rule);
    EXPECT_EQ(diff.boxes[0].before.rule, "web-in");
    EXPECT_EQ(diff.boxes[0].after.rule, "shop-in");
}

TEST(SemanticDiff, ARuleThatMovedAmongOthersThatItDoesNotMeetChangesNothing) {
    auto before = world(), after = world();
    const test::RuleSpec ssh{.id = "ssh", .to = {"198.51.100.80/32"}, .service = {"tcp/22"}, .action = Action::reject};
    before.set("web", {"198.51.100.80/32"}).rule(kWebIn).rule(ssh);
    after.set("web", {"198.51.100.80/32"}).rule(ssh).rule(kWebIn);
    EXPECT_TRUE(diff_of(before.build(), after.build()).boxes.empty());
}

/// A port that goes to another zone is a change of what its packets meet.
TEST(SemanticDiff, PortsThatChangeTheirZone) {
    PolicyBuilder before, after;
    const test::RuleSpec all{.id = "all", .from = {"a"}, .action = Action::allow};
    before.zone("a", {"p0", "p2"}).zone("b", {"p1", "p3"}).rule(all);
    after.zone("a", {"p0"}).zone("b", {"p1", "p3", "p2"}).rule(all);
    const WireHint wires{{{"p0", "p1"}, {"p2", "p3"}}};
    const auto diff = diff_of(before.build(), after.build(), {}, &wires);
    ASSERT_EQ(diff.boxes.size(), 2U);  // one of each family
    for (const auto& box : diff.boxes) {
        EXPECT_EQ(box.example.in_port, "p2");
        EXPECT_EQ(box.before.verdict, abi::Verdict::allow);
        EXPECT_EQ(box.after.verdict, abi::Verdict::deny);
    }
}

TEST(SemanticDiff, WhatNoWireJoinsIsNotTold) {
    PolicyBuilder before, after;
    before.zone("a", {"p0"}).zone("b", {"p1"}).zone("c", {"p2"}).zone("d", {"p3"});
    after = before;
    after.rule({.id = "new", .from = {"a"}, .to = {"c"}, .action = Action::allow});
    const WireHint wires{{{"p0", "p1"}, {"p2", "p3"}}};
    EXPECT_TRUE(diff_of(before.build(), after.build(), {}, &wires).boxes.empty());
    EXPECT_FALSE(diff_of(before.build(), after.build()).boxes.empty()) << "without wires every way is one";
}

TEST(SemanticDiff, SaysWhereItGaveUp) {
    auto before = world();
    for (int i = 0; i < 60; ++i) {
        const auto net = "10.0." + std::to_string(i) + ".0/24";
        before.rule({.id = "r" + std::to_string(i), .from = {net}, .to = {net}, .action = Action::allow});
    }
    auto after = world();
    after.rule({.id = "stop", .action = Action::deny});
    after.policy.rules.insert(after.policy.rules.end(), before.policy.rules.begin(), before.policy.rules.end());
    EXPECT_TRUE(diff_of(before.build(), after.build()).verdicts_complete());
    DiffLimits few;
    few.pieces_max = 5;
    auto diff = diff_of(before.build(), after.build(), few);
    EXPECT_EQ(diff.unfinished[0], Texts{"stop"});
    EXPECT_FALSE(diff.boxes.empty()) << "what was found is told";
    few = {};
    few.verdict_units = 20;
    EXPECT_EQ(diff_of(before.build(), after.build(), few).unfinished[0], Texts{"stop"});
}

}  // namespace
}  // namespace sluice::cp
