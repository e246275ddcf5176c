/// S1: what is wrong with a generation is refused with its reason and place. Manifest, headers and what only the whole
/// shows; each section's inside has a file of its own, random damage is validator_mutation_test.cpp's.
#include "dataplane/acl/validator.hpp"

#include <gtest/gtest.h>

#include "tests/unit/dataplane/acl/damage.hpp"

namespace sluice::dp {
namespace {

using R = abi::RefuseReason;
using test::EditableGeneration;
using K = abi::SectionKind;

abi::RulesSection& rules(EditableGeneration& g) { return g.section<abi::RulesSection>(K::rules); }
abi::SettingsSection& settings(EditableGeneration& g) { return g.section<abi::SettingsSection>(K::settings); }

const Damage kDamages[] = {
    // manifest
    {"manifest magic", [](auto& g) { g.manifest().magic ^= 1; }, R::magic_wrong},
    {"manifest ABI version", [](auto& g) { g.manifest().abi_version += 1; }, R::abi_mismatch},
    {"manifest layout hash", [](auto& g) { g.manifest().layout_hash ^= 1; }, R::abi_mismatch},
    {"manifest digest", [](auto& g) { g.manifest().digest.low ^= 1; }, R::digest_wrong, false},
    {"manifest content", [](auto& g) { g.manifest().generation += 1; }, R::digest_wrong, false},
    {"manifest truncated", [](auto& g) { g.manifest_bytes().pop_back(); }, R::size_wrong, false},
    {"manifest empty", [](auto& g) { g.manifest_bytes().clear(); }, R::size_wrong, false},
    {"manifest size field", [](auto& g) { g.manifest().bytes -= 8; }, R::size_wrong},
    {"generation 0", [](auto& g) { g.manifest().generation = 0; }, R::bounds},
    {"section count", [](auto& g) { g.manifest().section_count = 7; }, R::bounds},
    {"rule slots below the built-ins", [](auto& g) { g.manifest().rule_slots = 15; }, R::bounds},
    {"rule slots above the dataplane's", [](auto& g) { g.manifest().rule_slots = 65; }, R::budget},
    {"kinds out of order", [](auto& g) { std::swap(g.manifest().sections[0].kind, g.manifest().sections[1].kind); },
     R::kind_wrong},
    {"policy name without end", [](auto& g) { g.manifest().policy_name.fill('a'); }, R::text},
    {"policy name with text behind its end", [](auto& g) { g.manifest().policy_name[60] = 'a'; }, R::text},
    // any section's header
    {"section magic", [](auto& g) { rules(g).header.magic ^= 1; }, R::magic_wrong},
    {"section ABI version", [](auto& g) { rules(g).header.abi_version += 1; }, R::abi_mismatch},
    {"section layout hash", [](auto& g) { rules(g).header.layout_hash ^= 1; }, R::abi_mismatch},
    {"section kind", [](auto& g) { rules(g).header.kind = K::zones; }, R::kind_wrong},
    {"section digest", [](auto& g) { rules(g).header.digest.high ^= 1; }, R::digest_wrong, false},
    {"section content", [](auto& g) { g.section_bytes(K::rules).back() ^= std::byte{1}; }, R::digest_wrong, false},
    {"section truncated", [](auto& g) { g.section_bytes(K::rules).resize(g.section_bytes(K::rules).size() - 8); },
     R::size_wrong},
    {"section shorter than a header", [](auto& g) { g.section_bytes(K::rules).resize(63); }, R::size_wrong, false},
    {"section empty", [](auto& g) { g.section_bytes(K::rules).clear(); }, R::size_wrong, false},
    {"section size field huge", [](auto& g) { rules(g).header.bytes = ~std::uint64_t{7}; }, R::size_wrong, false},
    {"section padding", [](auto& g) { rules(g).header.must_be_zero[3] = 1; }, R::bounds},
    {"two sections swapped", [](auto& g) { std::swap(g.section_bytes(K::src_v4), g.section_bytes(K::dst_v4)); },
     R::kind_wrong},
    {"a section that the manifest does not name",
     [](auto& g) {
         settings(g).wire_other = abi::WireAction::allow;
         const abi::Manifest named = g.manifest();
         g.fix_digests();
         g.manifest() = named;
     },
     R::digest_wrong, false},
};

TEST(Validator, S1RefusesEachDamageWithItsReason) { expect_refused(kDamages); }

TEST(Validator, AcceptsWhatTheCompilerMakes) {
    const EditableGeneration g{valid_generation()};
    const auto view = g.validate(kLimits);
    ASSERT_TRUE(view) << view.error().where;
    EXPECT_EQ(view->generation, 1U);
    EXPECT_EQ(view->rules.size(), 4U);
    EXPECT_EQ(view->rule_id(0), "web-in");
    EXPECT_EQ(view->rule_id(3), "default");
    EXPECT_EQ(view->rules[2].is_pass, 1);
    EXPECT_EQ(view->zone_name(abi::ZoneId{1}), "inside");
}

TEST(Validator, S1RefusesEveryTruncationOfASection) {
    EditableGeneration g{valid_generation()};
    const std::vector<std::byte> whole = g.section_bytes(K::zones);
    for (std::size_t n = 0; n < whole.size(); ++n) {
        // Exactly sized, so that an overread is one for the address sanitizer.
        const std::vector<std::byte> cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n));
        EXPECT_FALSE(validate_section(K::zones, cut)) << n;
    }
    EXPECT_TRUE(validate_section(K::zones, whole));
}

TEST(Validator, AcceptsPageRoundingBehindASection) {
    EditableGeneration g{valid_generation()};
    g.section_bytes(K::rules).resize(g.section_bytes(K::rules).size() + 4096, std::byte{0xff});
    EXPECT_TRUE(g.validate(kLimits));
}

TEST(Validator, RefusesAMisalignedMapping) {
    const auto bytes = valid_generation().section_bytes()[0];
    std::vector<std::byte> shifted(bytes.size() + 8);
    std::copy(bytes.begin(), bytes.end(), shifted.begin() + 4);
    EXPECT_EQ(validate_section(K::settings, std::span{shifted}.subspan(4, bytes.size())).error().reason, R::bounds);
}

TEST(Validator, HoldsZonesAgainstThePorts) {
    const EditableGeneration g{valid_generation()};
    constexpr std::array<std::string_view, 1> few{"p0"};
    constexpr std::array<std::string_view, 3> many{"p0", "p1", "p2"};
    constexpr std::array<std::string_view, 2> swapped{"p1", "p0"};
    EXPECT_EQ(g.validate({.rule_slots_max = 64, .ports = few}).error().reason, R::port_unknown);
    EXPECT_EQ(g.validate({.rule_slots_max = 64, .ports = many}).error().reason, R::port_unbound);
    const auto view = g.validate({.rule_slots_max = 64, .ports = swapped});
    ASSERT_TRUE(view);
    EXPECT_EQ(view->port_zone[0], abi::ZoneId{1});
    EXPECT_EQ(view->port_zone[1], abi::ZoneId{0});
    EXPECT_EQ(view->port_zone[2], abi::kNoZone);
    EXPECT_TRUE(g.validate({.rule_slots_max = 64, .ports = {}}));
}

TEST(Validator, NamesEveryReason) {
    for (std::uint32_t r = 0; r <= static_cast<std::uint32_t>(R::permissions); ++r)
        EXPECT_NE(to_string(R{r}), "unknown") << r;
}

}  // namespace
}  // namespace sluice::dp
