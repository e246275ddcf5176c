#include "controlplane/compiler/entries.hpp"

#include <gtest/gtest.h>

#include <array>

#include "controlplane/compiler/compiler.hpp"
#include "dataplane/acl/passed_on.hpp"
#include "tests/harness/policies.hpp"

namespace sluice::cp {
namespace {

using test::CompiledTables;
using test::PolicyBuilder;

PolicyBuilder layered() {
    PolicyBuilder b;
    b.zone("out", {"p0"}).zone("in", {"p1"});
    b.rule({.id = "deny", .from = {"192.0.2.0/24"}, .layer = 10});
    b.rule({.id = "watch", .action = Action::pass, .mode = abi::RuleMode::observe, .layer = 10});
    b.rule({.id = "org", .from = {"198.51.100.0/24"}, .action = Action::pass, .layer = 20});
    b.rule({.id = "org-deny", .from = {"198.51.0.0/16"}, .layer = 20});
    b.rule({.id = "app", .action = Action::pass, .layer = 50});
    return b;
}

TEST(Entries, AreOfLayersThatSomeRulePassesTo) {
    const Entries entries{layered().policy};
    EXPECT_EQ(entries.count(), 2U) << "the beginning, and the applications";
    EXPECT_EQ(entries.is_pass(0), 0);
    EXPECT_EQ(entries.is_pass(1), 1) << "it observes only";
    EXPECT_EQ(entries.is_pass(2), 2);
    EXPECT_EQ(entries.is_pass(4), 1) << "nothing stands behind: it decides";
    for (const std::size_t rule : {0U, 1U, 2U, 3U}) EXPECT_EQ(entries.last_above(rule), 0U) << rule;
    EXPECT_EQ(entries.last_above(4), 1U);
    PolicyBuilder flat;
    flat.zone("z", {"p0"}).rule({.id = "p", .action = Action::pass}).rule({.id = "q"});
    EXPECT_EQ(Entries{flat.policy}.count(), 1U);
    EXPECT_EQ(Entries{Policy{}}.count(), 1U);
}

TEST(Entries, TablesSayWhereARulePassesTo) {
    const CompiledTables tables{layered().build()};
    EXPECT_EQ(tables.view().trees.entry_count, 2U);
    EXPECT_EQ(tables.view().rules[2].is_pass, 2);
    EXPECT_EQ(tables.view().rules[4].is_pass, 1);
    const auto who = [&](const char* src) {
        return std::string{tables.rule_for(test::key(0, src, 1, "10.0.0.1", abi::L4Proto::tcp, 80))};
    };
    EXPECT_EQ(who("192.0.2.1"), "deny");
    EXPECT_EQ(who("198.51.100.1"), "app");
    EXPECT_EQ(who("198.51.7.1"), "org-deny");
}

TEST(Entries, ALookupTellsWhoPassedOn) {
    const CompiledTables tables{layered().build()};
    std::array<dp::LookupKey, 3> keys;
    const std::array<const char*, 3> sources{"198.51.7.1", "198.51.100.1", "192.0.2.1"};
    for (std::size_t i = 0; i < keys.size(); ++i)
        keys[i] = test::key(0, sources[i], 1, "10.0.0.1", abi::L4Proto::tcp, 80);
    std::array<dp::LookupResult, 3> results;
    std::array<dp::PassTrail, 3> trails;
    dp::lookup_with_trails(tables.view(), keys, results, trails);
    EXPECT_EQ(trails[0].count, 0U);
    ASSERT_EQ(trails[1].count, 1U);
    EXPECT_EQ(tables.view().rule_id(trails[1].rules[0]), "org");
    EXPECT_EQ(tables.view().rule_id(results[1].rule), "app");
    EXPECT_EQ(trails[2].count, 0U);
}

TEST(Entries, ManyZonesLeaveRoomForFewOfThem) {
    PolicyBuilder b;
    for (int z = 0; z < 64; ++z) b.zone("z" + std::to_string(z), {"p" + std::to_string(z)});
    for (int i = 0; i < 5; ++i)
        b.policy.sets.push_back(
            {.name = "s" + std::to_string(i), .nets = {}, .pos = {}, .by_api = true, .members_max = 1});
    const auto layer = [&](int l, const char* from) {
        b.rule({.id = "r" + std::to_string(l),
                .from = {from},
                .action = Action::pass,
                .layer = static_cast<std::uint8_t>(l)});
    };
    for (int l = 0; l < 5; ++l) layer(l, ("s" + std::to_string(l)).c_str());
    for (int l = 5; l < 10; ++l) layer(l, "any");
    SlotMap slots;
    ASSERT_TRUE(slots.assign(b.policy));
    const auto refused = compile(b.policy, slots, {.generation = 1});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, "too-many-sets");
    EXPECT_EQ(refused.error().needed, 10U * 64 * 64 * 32);
    for (int l = 10; l < 17; ++l) layer(l, "any");
    ASSERT_TRUE(slots.assign(b.policy));
    const auto deep = compile(b.policy, slots, {.generation = 1});
    ASSERT_FALSE(deep);
    EXPECT_EQ(deep.error().code, "too-many-layers");
    EXPECT_EQ(deep.error().needed, 16U);
}

}  // namespace
}  // namespace sluice::cp
