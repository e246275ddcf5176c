/// S1 for the rules section.

#include <gtest/gtest.h>

#include "tests/unit/dataplane/acl/damage.hpp"

namespace sluice::dp {
namespace {

using R = abi::RefuseReason;
using test::EditableGeneration;
using K = abi::SectionKind;

template <typename T>
T& item(EditableGeneration& g, abi::ArrayRef abi::RulesSection::*array, std::size_t i) {
    return g.element<T>(K::rules, g.section<abi::RulesSection>(K::rules).*array, i);
}
abi::RuleRecord& rule(EditableGeneration& g, std::size_t i) {
    return item<abi::RuleRecord>(g, &abi::RulesSection::rules, i);
}
/// Of a rule that allows.
abi::RuleLimits& limit(EditableGeneration& g) {
    rule(g, 0).verdict = abi::Verdict::allow;
    return rule(g, 0).limits;
}
abi::RulesSection& rules(EditableGeneration& g) { return g.section<abi::RulesSection>(K::rules); }

const Damage kDamages[] = {
    {"no rules", [](auto& g) { rules(g).rules.count = 0; }, R::bounds},
    {"rule count wraps", [](auto& g) { rules(g).rules.count = ~std::uint64_t{0} / 16 + 2; }, R::bounds},
    {"rules misaligned", [](auto& g) { rules(g).rules.offset += 4; }, R::bounds},
    {"rules inside the struct", [](auto& g) { rules(g).rules.offset = 8; }, R::bounds},
    {"rules offset behind the end", [](auto& g) { rules(g).rules.offset = ~std::uint64_t{7}; }, R::bounds},
    {"arrays overlap", [](auto& g) { rules(g).text.offset -= 8; }, R::bounds},
    {"verdict", [](auto& g) { rule(g, 0).verdict = abi::Verdict{3}; }, R::enum_value},
    {"mode", [](auto& g) { rule(g, 0).mode = abi::RuleMode{2}; }, R::enum_value},
    {"log", [](auto& g) { rule(g, 0).log = abi::RuleLog{4}; }, R::enum_value},
    {"an entry that no table can have", [](auto& g) { rule(g, 0).is_pass = kEntriesMax + 1; }, R::enum_value},
    {"an entry that is skipped", [](auto& g) { rule(g, 0).is_pass = 3; }, R::order},
    {"an entry without a table of pairs of zones", [](auto& g) { rule(g, 0).is_pass = 2; }, R::bounds},
    {"an observe rule that passes on", [](auto& g) { rule(g, 1).is_pass = 2; }, R::enum_value},
    {"entries out of order",
     [](auto& g) {
         rule(g, 0).is_pass = 2;
         rule(g, 2).is_pass = 4;
     },
     R::order},
    {"an entry behind the default", [](auto& g) { rule(g, 3).is_pass = 2; }, R::enum_value},
    {"limits of a rule that denies",
     [](auto& g) {
         rule(g, 0).verdict = abi::Verdict::deny;
         rule(g, 0).limits.new_per_second_max = 1;
     },
     R::bounds},
    {"limit of flows", [](auto& g) { limit(g).states_max = abi::kStatesLimitMax + 1; }, R::bounds},
    {"limit of flows by source", [](auto& g) { limit(g).states_per_source_max = ~0U; }, R::bounds},
    {"limit of new flows", [](auto& g) { limit(g).new_per_second_max = abi::kRateLimitMax + 1; }, R::bounds},
    {"limit of new flows by source", [](auto& g) { limit(g).new_per_second_per_source_max = abi::kRateLimitMax + 1; },
     R::bounds},
    {"limit of half-open flows", [](auto& g) { limit(g).half_open_max = abi::kStatesLimitMax + 1; }, R::bounds},
    {"what becomes of a SYN beyond it", [](auto& g) { limit(g).over = abi::HalfOpenOver{abi::kHalfOpenOverCount}; },
     R::enum_value},
    {"padding of limits", [](auto& g) { limit(g).must_be_zero[1] = 1; }, R::bounds},
    {"cookies for what is denied",
     [](auto& g) {
         rule(g, 0).verdict = abi::Verdict::deny;
         rule(g, 0).limits = {.over = abi::HalfOpenOver::syn_cookie};
     },
     R::bounds},
    {"reserved slot", [](auto& g) { rule(g, 0).slot = abi::kSlotBuiltinNd; }, R::index},
    {"slot above the manifest's", [](auto& g) { rule(g, 0).slot = abi::RuleSlot{g.manifest().rule_slots}; }, R::index},
    {"slot kNoSlot", [](auto& g) { rule(g, 0).slot = abi::kNoSlot; }, R::index},
    {"one slot twice", [](auto& g) { rule(g, 0).slot = rule(g, 1).slot; }, R::order},
    {"one slot far beyond the others twice",
     [](auto& g) { rule(g, 0).slot = rule(g, 1).slot = abi::RuleSlot{1U << 30}; }, R::order},
    {"one id twice", [](auto& g) { rule(g, 0).id = rule(g, 1).id; }, R::order},
    {"id with a colon", [](auto& g) { item<char>(g, &abi::RulesSection::text, 0) = ':'; }, R::text},
    {"id empty", [](auto& g) { rule(g, 0).id.bytes = 0; }, R::text},
    {"id behind the text", [](auto& g) { rule(g, 0).id.offset = ~0U; }, R::text},
    {"id called default", [](auto& g) { rule(g, 0).id = rule(g, 3).id; }, R::order},
    {"default missing", [](auto& g) { rules(g).rules.count = 3; }, R::order},
    {"default that expires", [](auto& g) { rule(g, 3).turns_to_observe = 1; }, R::enum_value},
    {"expires more than once", [](auto& g) { rule(g, 0).turns_to_observe = 2; }, R::enum_value},
    {"default in observe mode", [](auto& g) { rule(g, 3).mode = abi::RuleMode::observe; }, R::enum_value},
    {"default with a rule's slot", [](auto& g) { rule(g, 3).slot = abi::RuleSlot{20}; }, R::index},
};

TEST(ValidateRules, S1RefusesEachDamageWithItsReason) { expect_refused(kDamages); }

}  // namespace
}  // namespace sluice::dp
