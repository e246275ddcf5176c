/// S1: what is wrong with a generation is refused with its reason and place. One field is broken at a time and digests
/// are put right, so that it is that field's check which speaks. Random damage is validator_mutation_test.cpp's.
#include "dataplane/acl/validator.hpp"

#include <functional>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "tests/harness/generations.hpp"
#include "tests/harness/policies.hpp"

namespace sluice::dp {
namespace {

using abi::SectionKind;
using R = abi::RefuseReason;
using test::EditableGeneration;
using K = SectionKind;

const cp::CompiledGeneration& valid_generation() {
    static const test::CompiledTables tables{
        test::PolicyBuilder{}
            .zone("outside", {"p0"})
            .zone("inside", {"p1"})
            .set("web", {"198.51.100.80/32", "2001:db8:51::80/128"})
            .rule({.id = "web-in",
                   .from = {"outside"},
                   .to = {"web"},
                   .service = {"tcp/443"},
                   .action = cp::Action::allow})
            .rule({.id = "watch", .from = {"inside"}, .mode = abi::RuleMode::observe})
            .rule({.id = "ping", .service = {"icmp/8", "icmp6/128"}, .action = cp::Action::pass})
            .build()};
    return tables.compiled();
}

constexpr std::array<std::string_view, 2> kPorts{"p0", "p1"};
constexpr ValidationLimits kLimits{.rule_slots_max = 64, .ports = kPorts};

template <typename T>
T& item(EditableGeneration& g, SectionKind kind, abi::ArrayRef abi::RulesSection::*array, std::size_t i) {
    return g.element<T>(kind, g.section<abi::RulesSection>(kind).*array, i);
}
abi::RuleRecord& rule(EditableGeneration& g, std::size_t i) {
    return item<abi::RuleRecord>(g, K::rules, &abi::RulesSection::rules, i);
}
abi::RulesSection& rules(EditableGeneration& g) { return g.section<abi::RulesSection>(K::rules); }
abi::AddrClassSection& src4(EditableGeneration& g) { return g.section<abi::AddrClassSection>(K::src_v4); }
abi::AddrClassSection& dst6(EditableGeneration& g) { return g.section<abi::AddrClassSection>(K::dst_v6); }
abi::TransportSection& transport(EditableGeneration& g) { return g.section<abi::TransportSection>(K::transport); }
abi::ZonesSection& zones(EditableGeneration& g) { return g.section<abi::ZonesSection>(K::zones); }
abi::SettingsSection& settings(EditableGeneration& g) { return g.section<abi::SettingsSection>(K::settings); }

struct Damage {
    std::string name;
    std::function<void(EditableGeneration&)> apply;
    R reason;
    bool fix_digests{true};
};

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
    // settings
    {"wire action", [](auto& g) { settings(g).wire_nd = abi::WireAction{2}; }, R::enum_value},
    {"on_change", [](auto& g) { settings(g).on_change = abi::OnChange{1}; }, R::enum_value},
    {"timeout too short", [](auto& g) { settings(g).timeouts.icmp_ms = abi::kTimeoutMsMin - 1; }, R::bounds},
    {"timeout too long", [](auto& g) { settings(g).timeouts.tcp_established_ms = abi::kTimeoutMsMax + 1; }, R::bounds},
    {"settings padding", [](auto& g) { settings(g).must_be_zero = 1; }, R::bounds},
    // zones
    {"zone name outside the text",
     [](auto& g) { g.template element<abi::ZoneRecord>(K::zones, zones(g).zones, 0).name.offset = 1U << 30; }, R::text},
    {"zone name empty",
     [](auto& g) { g.template element<abi::ZoneRecord>(K::zones, zones(g).zones, 0).name.bytes = 0; }, R::text},
    {"zone name with a newline", [](auto& g) { g.template element<char>(K::zones, zones(g).text, 0) = '\n'; }, R::text},
    {"zone name not UTF-8", [](auto& g) { g.template element<char>(K::zones, zones(g).text, 0) = '\xc0'; }, R::text},
    {"two zones of one name",
     [](auto& g) {
         g.template element<abi::ZoneRecord>(K::zones, zones(g).zones, 1) =
             g.template element<abi::ZoneRecord>(K::zones, zones(g).zones, 0);
     },
     R::order},
    {"binding names no zone",
     [](auto& g) { g.template element<abi::ZoneBinding>(K::zones, zones(g).bindings, 0).zone = abi::ZoneId{2}; },
     R::index},
    {"binding with VLAN 4095",
     [](auto& g) { g.template element<abi::ZoneBinding>(K::zones, zones(g).bindings, 0).vlan = 4095; }, R::bounds},
    {"binding with a VNI of 25 bits",
     [](auto& g) { g.template element<abi::ZoneBinding>(K::zones, zones(g).bindings, 0).vni = 1U << 24; }, R::bounds},
    {"a port bound twice",
     [](auto& g) {
         g.template element<abi::ZoneBinding>(K::zones, zones(g).bindings, 1).port =
             g.template element<abi::ZoneBinding>(K::zones, zones(g).bindings, 0).port;
     },
     R::order},
    {"a port bound for a VLAN only",
     [](auto& g) { g.template element<abi::ZoneBinding>(K::zones, zones(g).bindings, 0).vlan = 7; }, R::port_unbound},
    {"zone array behind the end", [](auto& g) { zones(g).zones.count = 200; }, R::bounds},
    {"too many zones", [](auto& g) { zones(g).zones.count = abi::kZonesMax + 1; }, R::budget},
    // rules
    {"term count above the cap", [](auto& g) { rules(g).term_count = abi::kTermsMax + 1; }, R::budget},
    {"term count huge", [](auto& g) { rules(g).term_count = ~0U; }, R::budget},
    {"word count", [](auto& g) { rules(g).word_count = 2; }, R::bounds},
    {"word count 0", [](auto& g) { rules(g).word_count = 0; }, R::bounds},
    {"no rules", [](auto& g) { rules(g).rules.count = 0; }, R::bounds},
    {"rule count wraps", [](auto& g) { rules(g).rules.count = ~std::uint64_t{0} / 16 + 2; }, R::bounds},
    {"rules misaligned", [](auto& g) { rules(g).rules.offset += 4; }, R::bounds},
    {"rules inside the struct", [](auto& g) { rules(g).rules.offset = 8; }, R::bounds},
    {"rules offset behind the end", [](auto& g) { rules(g).rules.offset = ~std::uint64_t{7}; }, R::bounds},
    {"arrays overlap", [](auto& g) { rules(g).term_rule.offset -= 8; }, R::bounds},
    {"term_rule count", [](auto& g) { rules(g).term_rule.count -= 1; }, R::bounds},
    {"zone rows of two sizes", [](auto& g) { rules(g).to_zone_rows.count -= 1; }, R::bounds},
    {"a zone row missing", [](auto& g) { rules(g).to_zone_rows.count = rules(g).from_zone_rows.count = 1; }, R::bounds},
    {"a term of no rule", [](auto& g) { item<std::uint32_t>(g, K::rules, &abi::RulesSection::term_rule, 0) = ~0U; },
     R::index},
    {"a term of the default", [](auto& g) { item<std::uint32_t>(g, K::rules, &abi::RulesSection::term_rule, 2) = 3; },
     R::index},
    {"terms go back", [](auto& g) { item<std::uint32_t>(g, K::rules, &abi::RulesSection::term_rule, 0) = 2; },
     R::order},
    {"observe mask of an enforced rule",
     [](auto& g) { item<std::uint64_t>(g, K::rules, &abi::RulesSection::observe_mask, 0) |= 1; }, R::order},
    {"observe mask misses an observe rule",
     [](auto& g) { item<std::uint64_t>(g, K::rules, &abi::RulesSection::observe_mask, 0) = 0; }, R::order},
    {"zone row with bits behind the terms",
     [](auto& g) { item<std::uint64_t>(g, K::rules, &abi::RulesSection::from_zone_rows, 1) |= 1U << 3; }, R::bounds},
    {"observe mask with bits behind the terms",
     [](auto& g) { item<std::uint64_t>(g, K::rules, &abi::RulesSection::observe_mask, 0) |= 1ULL << 63; }, R::bounds},
    {"verdict", [](auto& g) { rule(g, 0).verdict = abi::Verdict{3}; }, R::enum_value},
    {"mode", [](auto& g) { rule(g, 0).mode = abi::RuleMode{2}; }, R::enum_value},
    {"log", [](auto& g) { rule(g, 0).log = abi::RuleLog{4}; }, R::enum_value},
    {"is_pass", [](auto& g) { rule(g, 0).is_pass = 2; }, R::enum_value},
    {"reserved slot", [](auto& g) { rule(g, 0).slot = abi::kSlotBuiltinNd; }, R::index},
    {"slot above the manifest's", [](auto& g) { rule(g, 0).slot = abi::RuleSlot{g.manifest().rule_slots}; }, R::index},
    {"slot kNoSlot", [](auto& g) { rule(g, 0).slot = abi::kNoSlot; }, R::index},
    {"one slot twice", [](auto& g) { rule(g, 0).slot = rule(g, 1).slot; }, R::order},
    {"one id twice", [](auto& g) { rule(g, 0).id = rule(g, 1).id; }, R::order},
    {"id with a colon", [](auto& g) { item<char>(g, K::rules, &abi::RulesSection::text, 0) = ':'; }, R::text},
    {"id empty", [](auto& g) { rule(g, 0).id.bytes = 0; }, R::text},
    {"id behind the text", [](auto& g) { rule(g, 0).id.offset = ~0U; }, R::text},
    {"id called default", [](auto& g) { rule(g, 0).id = rule(g, 3).id; }, R::order},
    {"default missing", [](auto& g) { rules(g).rules.count = 3; }, R::order},
    {"default in observe mode", [](auto& g) { rule(g, 3).mode = abi::RuleMode::observe; }, R::enum_value},
    {"default with a rule's slot", [](auto& g) { rule(g, 3).slot = abi::RuleSlot{20}; }, R::index},
    // address classes
    {"root short", [](auto& g) { src4(g).root.count -= 1; }, R::bounds},
    {"root names no interval", [](auto& g) { g.template element<std::uint32_t>(K::src_v4, src4(g).root, 5) = 99; },
     R::index},
    {"root of another place", [](auto& g) { g.template element<std::uint32_t>(K::dst_v6, dst6(g).root, 0x2002) = 0; },
     R::order},
    {"last root entry", [](auto& g) { g.template element<std::uint32_t>(K::dst_v6, dst6(g).root, 65'536) = 0; },
     R::order},
    {"no intervals", [](auto& g) { src4(g).intervals.count = 0; }, R::bounds},
    {"first interval not 0",
     [](auto& g) { g.template element<abi::IntervalV4>(K::src_v4, src4(g).intervals, 0).first = 1; }, R::order},
    {"intervals out of order",
     [](auto& g) { g.template element<abi::IntervalV6>(K::dst_v6, dst6(g).intervals, 2).first_high = 0; }, R::order},
    {"interval padding",
     [](auto& g) { g.template element<abi::IntervalV6>(K::dst_v6, dst6(g).intervals, 1).must_be_zero = 1; }, R::bounds},
    {"interval names no class",
     [](auto& g) { g.template element<abi::IntervalV6>(K::dst_v6, dst6(g).intervals, 1).class_index = 7; }, R::index},
    {"no class", [](auto& g) { src4(g).class_count = 0; }, R::bounds},
    {"rows short", [](auto& g) { dst6(g).rows.count -= 1; }, R::bounds},
    {"rows count wraps", [](auto& g) { dst6(g).class_count = ~0U; }, R::bounds},
    {"row of a width of its own", [](auto& g) { src4(g).word_count = 0; }, R::bounds},
    {"row with bits behind the terms",
     [](auto& g) { g.template element<std::uint64_t>(K::dst_v6, dst6(g).rows, 0) |= 8; }, R::bounds},
    // transport
    {"port names no class",
     [](auto& g) { g.template element<std::uint16_t>(K::transport, transport(g).tcp_dport, 65'535) = 999; }, R::index},
    {"protocol names no class",
     [](auto& g) { g.template element<std::uint16_t>(K::transport, transport(g).proto_class, 255) = 999; }, R::index},
    {"ICMP table short", [](auto& g) { transport(g).icmp.count = 65'535; }, R::bounds},
    {"transport row with bits behind the terms",
     [](auto& g) { g.template element<std::uint64_t>(K::transport, transport(g).rows, 0) |= 8; }, R::bounds},
};

TEST(Validator, AcceptsWhatTheCompilerMakes) {
    const auto view = EditableGeneration{valid_generation()}.validate(kLimits);
    ASSERT_TRUE(view) << view.error().where;
    EXPECT_EQ(view->generation, 1U);
    EXPECT_EQ(view->rules.size(), 4U);
    EXPECT_EQ(view->rule_id(0), "web-in");
    EXPECT_EQ(view->rule_id(3), "default");
    EXPECT_EQ(view->rules[2].is_pass, 1);
    EXPECT_EQ(view->zone_name(abi::ZoneId{1}), "inside");
}

TEST(Validator, S1RefusesEachDamageWithItsReason) {
    std::set<std::string> sentences;
    for (const Damage& damage : kDamages) {
        SCOPED_TRACE(damage.name);
        EditableGeneration g{valid_generation()};
        damage.apply(g);
        if (damage.fix_digests) g.fix_digests();
        const auto view = g.validate(kLimits);
        ASSERT_FALSE(view) << "accepted";
        EXPECT_EQ(to_string(view.error().reason), to_string(damage.reason)) << view.error().where;
        EXPECT_NE(view.error().where.find(": "), std::string::npos) << "names no place: " << view.error().where;
        sentences.insert(view.error().where);
    }
    // Different damages read differently, or a person could not tell them apart.
    EXPECT_GT(sentences.size(), std::size(kDamages) * 3 / 4);
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
    const auto& bytes = valid_generation().sections[0];
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
