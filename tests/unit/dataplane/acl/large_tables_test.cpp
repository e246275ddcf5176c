/// What is known of large tables is known of those alone, and finds every rule.
#include "dataplane/acl/large_tables.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "tests/harness/policies.hpp"
#include "tests/unit/dataplane/acl/damage.hpp"

namespace sluice::dp {
namespace {

using test::EditableGeneration;
using K = abi::SectionKind;

TEST(LargeTables, EditsBesideThemLeaveThemKnown) {
    const EditableGeneration whole{valid_generation()}, edited{edited_generation()};
    std::shared_ptr<const LargeTables> large;
    ASSERT_TRUE(whole.validate(kLimits, large));
    ASSERT_NE(large, nullptr);
    const auto known = large;
    ASSERT_TRUE(edited.validate(kLimits, large));
    EXPECT_EQ(large, known);
}

TEST(LargeTables, OtherOnesAreLookedAt) {
    EditableGeneration g{valid_generation()};
    std::shared_ptr<const LargeTables> large;
    ASSERT_TRUE(g.validate(kLimits, large));
    for (const K kind : {K::zones, K::rules, K::src_v4, K::dst_v6, K::transport, K::trees}) {
        auto after = large;
        // Twelve bytes of padding or more stand behind a section; one of eight zeros more is another section.
        g.section_bytes(kind).resize(g.section_bytes(kind).size() + 8);
        g.section<abi::SectionHeader>(kind).bytes += 8;
        g.fix_section(kind);
        const auto view = g.validate(kLimits, after);
        ASSERT_TRUE(view) << view.error().where;
        EXPECT_NE(after, large) << static_cast<int>(kind);
        EXPECT_TRUE(after->are_those_of(g.manifest()));
        EXPECT_FALSE(large->are_those_of(g.manifest()));
        large = after;
    }
}

TEST(LargeTables, AreNotThoseOfFewerSlots) {
    EditableGeneration g{valid_generation()};
    std::shared_ptr<const LargeTables> large;
    ASSERT_TRUE(g.validate(kLimits, large));
    g.manifest().rule_slots = static_cast<std::uint32_t>(abi::kSlotFirstFree);
    g.fix_digests();
    const auto view = g.validate(kLimits, large);
    ASSERT_FALSE(view);
    EXPECT_EQ(view.error().reason, abi::RefuseReason::index) << view.error().where;
}

TEST(LargeTables, FindEveryRuleByItsSlotAndItsId) {
    test::PolicyBuilder policy;
    policy.zone("outside", {"p0"}).zone("inside", {"p1"});
    for (int i = 0; i < 3000; ++i)
        policy.rule({.id = "rule-" + std::to_string(i), .from = {"outside"}, .action = cp::Action::deny});
    const test::CompiledTables tables{policy.build()};
    const EditableGeneration g{tables.compiled()};
    std::shared_ptr<const LargeTables> large;
    const auto view = g.validate({.rule_slots_max = 4096, .ports = kPorts}, large);
    ASSERT_TRUE(view) << view.error().where;
    for (abi::RuleIndex i = 0; i < view->default_rule(); ++i) {
        ASSERT_EQ(large->with_slot(view->rules[i].slot), i);
        ASSERT_EQ(large->with_id(view->rule_id(i), *view), i);
    }
    for (const auto* id : {"", "rule-", "rule-3000", "default", "rule-00"})
        EXPECT_EQ(large->with_id(id, *view), abi::kNoRule) << id;
    EXPECT_EQ(large->with_slot(abi::kSlotDefault), abi::kNoRule);
    EXPECT_EQ(large->with_slot(abi::RuleSlot{4000}), abi::kNoRule);
    EXPECT_EQ(large->with_slot(abi::kNoSlot), abi::kNoRule);
}

}  // namespace
}  // namespace sluice::dp
