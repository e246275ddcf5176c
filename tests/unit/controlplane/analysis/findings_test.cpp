#include "controlplane/analysis/findings.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/harness/policies.hpp"

namespace sluice::cp {
namespace {

using test::PolicyBuilder;
using test::RuleSpec;

/// `kind rule others...` of all findings.
std::vector<std::string> found(const PolicyBuilder& builder, const UnusedFor& unused = {},
                               const FindingLimits& limits = {}, std::uint64_t* unexamined = nullptr) {
    const Policy policy = builder.build();
    const EntryPlaces places{nullptr, policy, nullptr};
    const RuleBoxes rules{nullptr, policy, places};
    const Findings findings = find_oddities(policy, rules, unused, limits);
    if (unexamined != nullptr) *unexamined = findings.unexamined;
    std::vector<std::string> texts;
    const auto id = [&](std::uint32_t r) {
        return r < policy.rules.size() ? policy.rules[r].id : std::string{"default"};
    };
    for (const Finding& finding : findings.told) {
        std::string text = std::string{to_string(finding.kind)} + " " + id(finding.rule);
        for (const std::uint32_t other : finding.others) text += " " + id(other);
        texts.push_back(text);
    }
    return texts;
}
using Texts = std::vector<std::string>;

PolicyBuilder world() {
    PolicyBuilder builder;
    builder.zone("outside", {"p0"}).zone("inside", {"p1"});
    return builder;
}

TEST(Findings, ARuleCanBeHiddenByTwoTogether) {
    auto builder = world();
    builder.rule({.id = "low", .to = {"10.0.0.0/25"}, .service = {"tcp/80"}, .action = Action::allow})
        .rule({.id = "high", .to = {"10.0.0.128/25"}, .service = {"tcp/80"}, .action = Action::allow})
        .rule({.id = "both", .to = {"10.0.0.0/24"}, .service = {"tcp/80"}, .action = Action::reject});
    EXPECT_EQ(found(builder), Texts{"shadowed both low high"});
    auto empty = world();
    empty.set("nothing", {}).rule({.id = "vain", .to = {"nothing"}, .action = Action::allow});
    EXPECT_EQ(found(empty), Texts{"shadowed vain"}) << "by nobody: no packet can match it";
}

TEST(Findings, OfTwoThatSayTheSameTheFirstIsRedundantAndTheSecondHidden) {
    auto builder = world();
    builder.rule({.id = "one", .to = {"10.0.0.1"}, .service = {"tcp/80"}, .action = Action::allow})
        .rule({.id = "two", .to = {"10.0.0.0/24"}, .service = {"tcp/80"}, .action = Action::allow})
        .rule({.id = "three", .to = {"10.0.0.9"}, .service = {"tcp/80"}, .action = Action::allow});
    EXPECT_EQ(found(builder), (Texts{"redundant one two", "shadowed three two"}));
}

TEST(Findings, AnExceptionIsNoContradictionACrossingIs) {
    auto builder = world();
    builder
        .rule({.id = "exception",
               .from = {"192.0.2.1"},
               .to = {"10.0.0.0/24"},
               .service = {"tcp/80"},
               .action = Action::deny})
        .rule({.id = "web", .to = {"10.0.0.0/24"}, .service = {"tcp/80"}, .action = Action::allow});
    EXPECT_EQ(found(builder), Texts{});
    builder.rule({.id = "no-guests", .from = {"192.0.2.0/24"}, .service = {"tcp/1-1000"}, .action = Action::reject});
    EXPECT_EQ(found(builder), Texts{"contradictory no-guests web"});
}

TEST(Findings, EveryServiceFromOrToAnywhereIsOverBroad) {
    auto builder = world();
    builder
        .rule({.id = "named", .from = {"outside"}, .to = {"10.0.0.1"}, .service = {"tcp/443"}, .action = Action::allow})
        .rule({.id = "pair", .from = {"192.0.2.0/24"}, .to = {"10.0.0.2"}, .action = Action::allow})
        .rule({.id = "in", .from = {"outside"}, .to = {"10.0.0.3"}, .action = Action::allow})
        .rule({.id = "out",
               .from = {"10.0.0.4"},
               .to = {"0.0.0.0/1"},
               .service = {"tcp/1024-65535"},
               .action = Action::allow})
        .rule({.id = "shut", .service = {"tcp/22"}, .action = Action::reject});
    builder.default_action(Action::allow);
    const auto all = found(builder);
    EXPECT_NE(std::ranges::find(all, "over_broad in"), all.end());
    EXPECT_NE(std::ranges::find(all, "over_broad out"), all.end());
    EXPECT_NE(std::ranges::find(all, "over_broad default"), all.end());
    EXPECT_EQ(std::ranges::find(all, "over_broad named"), all.end());
    EXPECT_EQ(std::ranges::find(all, "over_broad pair"), all.end());
}

TEST(Findings, NeverHitIsToldOfRulesThatAreCounted) {
    auto builder = world();
    builder.rule({.id = "busy", .to = {"10.0.0.1"}, .service = {"tcp/80"}, .action = Action::allow})
        .rule({.id = "idle", .to = {"10.0.0.2"}, .service = {"tcp/80"}, .action = Action::allow});
    const UnusedFor unused = [](std::string_view id) { return id == "idle" ? std::optional{3600.0} : std::nullopt; };
    EXPECT_EQ(found(builder, unused), Texts{"never_hit idle"});
}

TEST(Findings, WhatIsTooMuchWorkIsSaid) {
    auto builder = world();
    for (int i = 0; i < 100; ++i)
        builder.rule({.id = "r" + std::to_string(i), .to = {"10.0.0." + std::to_string(i)}, .action = Action::allow});
    std::uint64_t unexamined = 0;
    FindingLimits limits;
    limits.told_per_kind_max = 3;
    EXPECT_EQ(found(builder, {}, limits, &unexamined).size(), 3U);
    EXPECT_EQ(unexamined, 0U);
    limits.units = 300;
    found(builder, {}, limits, &unexamined);
    EXPECT_GT(unexamined, 50U);
}

}  // namespace
}  // namespace sluice::cp
