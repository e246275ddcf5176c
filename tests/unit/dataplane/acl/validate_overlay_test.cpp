/// S1 for the overlay: what it says of itself, what it says of the rules section, and the sections inside it.

#include <gtest/gtest.h>

#include <cstring>

#include "dataplane/acl/lookup.hpp"
#include "tests/unit/dataplane/acl/damage.hpp"

namespace sluice::dp {
namespace {

using R = abi::RefuseReason;
using test::EditableGeneration;
using K = abi::SectionKind;

abi::OverlaySection& overlay(EditableGeneration& g) { return g.section<abi::OverlaySection>(K::overlay); }
abi::RuleRecord& record(EditableGeneration& g, std::size_t i) {
    return g.element<abi::RuleRecord>(K::overlay, overlay(g).rules, i);
}
abi::OverlayPlace& place(EditableGeneration& g, std::size_t i) {
    return g.element<abi::OverlayPlace>(K::overlay, overlay(g).places, i);
}
abi::RuleIndex& hidden(EditableGeneration& g, std::size_t i) {
    return g.element<abi::RuleIndex>(K::overlay, overlay(g).hidden, i);
}
template <typename Section>
Section& inner(EditableGeneration& g, std::size_t table) {
    return *reinterpret_cast<Section*>(g.section_bytes(K::overlay).data() + overlay(g).tables[table].offset);
}
abi::TreesSection& inner_trees(EditableGeneration& g) { return inner<abi::TreesSection>(g, 5); }

const Damage kDamages[] = {
    {"hidden outside the section", [](auto& g) { overlay(g).hidden.count = 4000; }, R::bounds},
    {"too many hidden", [](auto& g) { overlay(g).hidden.count = abi::kOverlayHiddenMax + 1; }, R::budget},
    {"too many rules", [](auto& g) { overlay(g).rules.count = abi::kOverlayRulesMax + 1; }, R::budget},
    {"too many places", [](auto& g) { overlay(g).places.count = abi::kOverlayPlacesMax + 1; }, R::budget},
    {"hidden is the default", [](auto& g) { hidden(g, 0) = 3; }, R::index},
    {"hidden is no rule", [](auto& g) { hidden(g, 0) = 77; }, R::index},
    {"a rule that passes on", [](auto& g) { record(g, 0).is_pass = 2; }, R::order},
    {"a rule's verdict", [](auto& g) { record(g, 0).verdict = abi::Verdict{9}; }, R::enum_value},
    {"a rule's slot is reserved", [](auto& g) { record(g, 0).slot = abi::kSlotDefault; }, R::index},
    {"a rule's slot is nobody's", [](auto& g) { record(g, 0).slot = abi::RuleSlot{60}; }, R::index},
    {"two rules with one slot", [](auto& g) { record(g, 0).slot = record(g, 1).slot; }, R::order},
    {"a slot of a rule in force", [](auto& g) { record(g, 0).slot = abi::RuleSlot{17}; }, R::order},
    {"an id of a rule in force",
     [](auto& g) {
         char& extra = g.template element<char>(K::overlay, overlay(g).text, record(g, 1).id.offset);
         std::memcpy(&extra, "watch", 5);
     },
     R::order},
    {"an id outside the text", [](auto& g) { record(g, 0).id.offset = 1U << 20; }, R::text},
    {"a place before nothing", [](auto& g) { place(g, overlay(g).places.count - 1).before = 9; }, R::order},
    {"places out of order", [](auto& g) { place(g, 0).before = 3; }, R::order},
    {"a place of no rule", [](auto& g) { place(g, 0).rule = 6; }, R::index},
    {"a place of a hidden rule", [](auto& g) { place(g, 0) = {.before = 0, .rule = 0}; }, R::order},
    {"a place of the default", [](auto& g) { place(g, overlay(g).places.count - 1) = {.before = 3, .rule = 3}; },
     R::order},
    {"a place elsewhere than its rule", [](auto& g) { place(g, 0) = {.before = 0, .rule = 1}; }, R::order},
    {"tables missing", [](auto& g) { overlay(g).tables[2].count = 0; }, R::bounds},
    {"a table not on a line", [](auto& g) { overlay(g).tables[0].offset += 8; }, R::bounds},
    {"a table outside the section", [](auto& g) { overlay(g).tables[3].count = ~std::uint64_t{0}; }, R::bounds},
    {"a table's digest", [](auto& g) { inner<abi::AddressSection>(g, 0).header.digest.low ^= 1; }, R::digest_wrong,
     false},
    {"a table's kind", [](auto& g) { inner<abi::AddressSection>(g, 1).header.kind = K::src_v4; }, R::kind_wrong},
    {"a table's cell",
     [](auto& g) {
         auto& section = inner<abi::AddressSection>(g, 0);
         reinterpret_cast<std::uint32_t*>(reinterpret_cast<std::byte*>(&section) + section.root.offset)[5] = 4000;
     },
     R::index},
    {"trees of more rules", [](auto& g) { inner_trees(g).rule_count += 1; }, R::bounds},
    {"trees of other zones", [](auto& g) { inner_trees(g).zone_count = 1; }, R::bounds},
    {"trees and classes differ", [](auto& g) { inner<abi::TransportSection>(g, 4).class_count += 1; }, R::bounds},
};

TEST(ValidateOverlay, S1RefusesEachDamageWithItsReason) { expect_refused(kDamages, edited_generation()); }

TEST(ValidateOverlay, AcceptsEdits) {
    const EditableGeneration g{edited_generation()};
    const auto view = g.validate(kLimits);
    ASSERT_TRUE(view) << view.error().where;
    EXPECT_EQ(view->overlay.hidden.size(), 1U);
    EXPECT_EQ(view->overlay.rules.size(), 2U);
    EXPECT_FALSE(view->in_force(0));
    EXPECT_TRUE(view->in_force(1));
    EXPECT_EQ(view->rule_id(4), "web-in");
    EXPECT_EQ(view->rule_id(5), "extra");
    EXPECT_EQ(view->rule(4).slot, view->rules[0].slot) << "it is the same rule, edited";
}

TEST(ValidateOverlay, AWholePolicyHasNone) {
    const EditableGeneration g{valid_generation()};
    const auto view = g.validate(kLimits);
    ASSERT_TRUE(view);
    EXPECT_FALSE(view->has_overlay);
    EXPECT_EQ(view->rules_end(), 4U);
}

}  // namespace
}  // namespace sluice::dp
