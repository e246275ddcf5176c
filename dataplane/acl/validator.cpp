#include "dataplane/acl/validator.hpp"

#include <algorithm>
#include <cstring>

#include <sluice/abi/layout.hpp>

#include "dataplane/acl/check.hpp"
#include "dataplane/acl/digest.hpp"
#include "dataplane/acl/large_tables.hpp"
#include "dataplane/acl/view_tables.hpp"

namespace sluice::dp {

namespace {

using R = abi::RefuseReason;
using abi::SectionKind;

constexpr std::size_t struct_bytes(SectionKind kind) noexcept {
    switch (kind) {
        case SectionKind::settings: return sizeof(abi::SettingsSection);
        case SectionKind::zones: return sizeof(abi::ZonesSection);
        case SectionKind::rules: return sizeof(abi::RulesSection);
        case SectionKind::transport: return sizeof(abi::TransportSection);
        case SectionKind::trees: return sizeof(abi::TreesSection);
        case SectionKind::overlay: return sizeof(abi::OverlaySection);
        default: return sizeof(abi::AddressSection);
    }
}

bool aligned(std::span<const std::byte> bytes) noexcept {
    return reinterpret_cast<std::uintptr_t>(bytes.data()) % 8 == 0;
}

/// Everything that is the same in all sections. Magic and versions come before the digest: another build's section
/// should be refused as that, not as damaged.
bool check_header(Check& check, SectionKind kind, std::span<const std::byte> bytes) {
    if (!check.require(bytes.size() >= sizeof(abi::SectionHeader), R::size_wrong, bytes.size(),
                       " bytes, less than a header") ||
        !check.require(aligned(bytes), R::bounds, "the mapping is not 8-byte aligned"))
        return false;
    const auto& h = *reinterpret_cast<const abi::SectionHeader*>(bytes.data());
    return check.require(h.magic == abi::kSectionMagic, R::magic_wrong, "this is no section") &&
           check.require(h.abi_version == abi::kAbiVersion, R::abi_mismatch, "ABI version ", h.abi_version,
                         ", this build speaks ", abi::kAbiVersion) &&
           check.require(h.layout_hash == abi::kLayoutHash, R::abi_mismatch, "layout hash ", h.layout_hash,
                         ", this build has ", abi::kLayoutHash) &&
           check.require(h.kind == kind, R::kind_wrong, "kind ", static_cast<std::uint64_t>(h.kind), ", expected ",
                         static_cast<std::uint64_t>(kind)) &&
           check.require(h.bytes >= struct_bytes(kind) && h.bytes <= bytes.size() && h.bytes % 8 == 0, R::size_wrong,
                         "says ", h.bytes, " bytes, at least ", struct_bytes(kind), ", a multiple of 8 and at most ",
                         bytes.size(), " expected") &&
           check.require(h.bytes <= abi::kSectionBytesMax, R::budget, h.bytes, " bytes, at most ",
                         abi::kSectionBytesMax) &&
           check.require(h.must_be_zero == decltype(h.must_be_zero){}, R::bounds, "header padding is not zero") &&
           check.require(section_digest(bytes.first(h.bytes)) == h.digest, R::digest_wrong,
                         "the digest does not match the content");
}

bool check_body(Check& check, SectionKind kind, std::span<const std::byte> bytes) {
    switch (kind) {
        case SectionKind::settings: return check_settings(check, as<abi::SettingsSection>(bytes));
        case SectionKind::zones: return check_zones(check, as<abi::ZonesSection>(bytes));
        case SectionKind::rules: return check_rules(check, as<abi::RulesSection>(bytes));
        case SectionKind::src_v4:
        case SectionKind::dst_v4: return check_addresses_v4(check, as<abi::AddressSection>(bytes));
        case SectionKind::src_v6:
        case SectionKind::dst_v6: return check_addresses_v6(check, as<abi::AddressSection>(bytes));
        case SectionKind::transport: return check_transport(check, as<abi::TransportSection>(bytes));
        case SectionKind::trees: return check_trees(check, as<abi::TreesSection>(bytes));
        case SectionKind::overlay: return check_overlay(check, as<abi::OverlaySection>(bytes));
    }
    return false;
}

bool check_manifest(Check& check, std::span<const std::byte> bytes) {
    if (!check.require(bytes.size() >= sizeof(abi::Manifest), R::size_wrong, bytes.size(), " bytes, expected ",
                       sizeof(abi::Manifest)) ||
        !check.require(aligned(bytes), R::bounds, "the mapping is not 8-byte aligned"))
        return false;
    const auto& m = as<abi::Manifest>(bytes);
    if (!check.require(m.magic == abi::kManifestMagic, R::magic_wrong, "this is no manifest") ||
        !check.require(m.abi_version == abi::kAbiVersion, R::abi_mismatch, "ABI version ", m.abi_version,
                       ", this build speaks ", abi::kAbiVersion) ||
        !check.require(m.layout_hash == abi::kLayoutHash, R::abi_mismatch, "layout hash ", m.layout_hash,
                       ", this build has ", abi::kLayoutHash) ||
        !check.require(m.bytes == sizeof m, R::size_wrong, "says ", m.bytes, " bytes, expected ", sizeof m) ||
        !check.require(m.section_count == abi::kSectionKindCount, R::bounds, m.section_count, " sections, expected ",
                       abi::kSectionKindCount) ||
        !check.require(manifest_digest(m) == m.digest, R::digest_wrong, "the digest does not match the content") ||
        !check.require(m.generation != 0, R::bounds, "generation 0 is never published") ||
        !check.require(m.rule_slots >= static_cast<std::uint32_t>(abi::kSlotFirstFree), R::bounds, m.rule_slots,
                       " rule slots, the built-ins alone need ", static_cast<std::uint64_t>(abi::kSlotFirstFree)))
        return false;
    const auto name_end = std::find(m.policy_name.begin(), m.policy_name.end(), '\0');
    const std::string_view name{m.policy_name.data(), static_cast<std::size_t>(name_end - m.policy_name.begin())};
    if (!check.require(name_end != m.policy_name.end() && is_clean_utf8(name) &&
                           std::all_of(name_end, m.policy_name.end(), [](char c) { return c == '\0'; }),
                       R::text, "the policy name is not UTF-8, zero-padded"))
        return false;
    std::uint64_t total = sizeof m;
    for (std::size_t i = 0; i < m.sections.size(); ++i) {
        const abi::SectionRef& ref = m.sections[i];
        if (!check.require(index_of(ref.kind) == i, R::kind_wrong, "section ", i, " has kind ",
                           static_cast<std::uint64_t>(ref.kind)) ||
            !check.require(ref.must_be_zero == 0, R::bounds, "section ", i, " has padding that is not zero") ||
            !check.require(ref.bytes <= abi::kSectionBytesMax, R::budget, "section ", i, " has ", ref.bytes, " bytes"))
            return false;
        total += ref.bytes;
    }
    return check.require(total <= abi::kGenerationBytesMax, R::budget, total, " bytes, at most ",
                         abi::kGenerationBytesMax);
}

/// The parts are those that the manifest names, not others of the same kind.
bool check_parts(Check& check, const abi::Manifest& manifest, const SectionBytes& sections) {
    for (std::size_t i = 0; i < sections.size(); ++i) {
        if (!check.require(sections[i].size() >= sizeof(abi::SectionHeader), R::size_wrong, kPartNames[i],
                           " is missing"))
            return false;
        const auto& h = as<abi::SectionHeader>(sections[i]);
        const abi::SectionRef& ref = manifest.sections[i];
        if (!check.require(h.kind == ref.kind, R::kind_wrong, kPartNames[i], " has kind ",
                           static_cast<std::uint64_t>(h.kind)) ||
            !check.require(h.bytes == ref.bytes, R::size_wrong, kPartNames[i], " has ", h.bytes,
                           " bytes, the manifest says ", ref.bytes) ||
            !check.require(h.digest == ref.digest, R::digest_wrong, kPartNames[i],
                           " is not the one that the manifest names"))
            return false;
    }
    return true;
}

abi::RuleIndex highest_slot(std::span<const abi::RuleRecord> rules) {
    return static_cast<abi::RuleIndex>(std::ranges::max_element(rules, {}, &abi::RuleRecord::slot) - rules.begin());
}

bool check_slots(Check& check, const abi::Manifest& manifest, std::span<const abi::RuleRecord> rules,
                 abi::RuleIndex highest, const ValidationLimits& limits) {
    return check.require(manifest.rule_slots <= limits.rule_slots_max, R::budget, "needs ", manifest.rule_slots,
                         " rule slots, this dataplane has ", limits.rule_slots_max) &&
           check.require(static_cast<std::uint32_t>(rules[highest].slot) < manifest.rule_slots, R::index, "rule ",
                         highest, " has slot ", static_cast<std::uint64_t>(rules[highest].slot), " of ",
                         manifest.rule_slots);
}

/// Entries stand in the order of the rules that pass to them.
bool count_entries(Check& check, std::span<const abi::RuleRecord> rules, std::uint32_t& entry_count) {
    std::uint32_t last = 1;
    for (std::size_t i = 0; i < rules.size(); ++i) {
        const std::uint32_t is_pass = rules[i].is_pass;
        if (is_pass <= 1) continue;
        if (!check.require(is_pass >= last && is_pass <= last + 1, R::order, "rule ", i, " passes to entry ",
                           is_pass - 1, ", one before it to ", last - 1))
            return false;
        last = is_pass;
    }
    entry_count = last;
    return true;
}

/// Walks along all rules unless `large` is of these very tables; if it is not, it is by then.
bool view_large_tables(Check& check, const abi::Manifest& manifest, const SectionBytes& sections,
                       const ValidationLimits& limits, TableView& view, std::shared_ptr<const LargeTables>& large) {
    const bool known = large != nullptr && large->are_those_of(manifest);
    const abi::RuleIndex highest = known ? large->highest_slot() : highest_slot(view.rules);
    std::uint32_t entry_count = known ? large->entry_count() : 1;
    if (!check_slots(check, manifest, view.rules, highest, limits) ||
        (!known && !count_entries(check, view.rules, entry_count)))
        return false;
    LookupSections parts;
    for (std::size_t i = 0; i < parts.size(); ++i) parts[i] = sections[index_of(abi::kOverlayTables[i])];
    const NamedRules all{view, {}};
    if (!view_tables(check, parts, all, view.rules.size(), entry_count, view, view.set_uses) ||
        (!known && !check_modes(check, parts, all)))
        return false;
    if (!known) large = std::make_shared<const LargeTables>(manifest, view, entry_count, highest);
    return true;
}

void view_rules(const SectionBytes& sections, TableView& view) {
    const auto bytes = sections[index_of(SectionKind::rules)];
    const auto& s = as<abi::RulesSection>(bytes);
    const Opened open{bytes};
    view.rules = open.array<abi::RuleRecord>(s.rules);
    view.rules_text = open.array<char>(s.text).data();
}

/// Zones against the dataplane's ports: each port has one zone for untagged traffic, and no other port is named.
bool view_zones(Check& check, const SectionBytes& sections, const ValidationLimits& limits, TableView& view) {
    const auto bytes = sections[index_of(SectionKind::zones)];
    const auto& s = as<abi::ZonesSection>(bytes);
    const Opened open{bytes};
    view.zones = open.array<abi::ZoneRecord>(s.zones);
    view.bindings = open.array<abi::ZoneBinding>(s.bindings);
    view.sets = open.array<abi::SetRecord>(s.sets);
    view.zones_text = open.array<char>(s.text).data();
    view.port_zone.fill(abi::kNoZone);

    if (limits.ports.empty()) return true;

    for (const abi::ZoneBinding& b : view.bindings) {
        const std::string_view name = text_of(b.port, open.array<char>(s.text));
        const auto port = std::find(limits.ports.begin(), limits.ports.end(), name);
        if (!check.require(port != limits.ports.end(), R::port_unknown, "zone ", view.zone_name(b.zone), " names port ",
                           name, ", which this dataplane does not have"))
            return false;
        if (b.vlan == 0 && b.vni == 0) view.port_zone[static_cast<std::size_t>(port - limits.ports.begin())] = b.zone;
    }
    for (std::size_t p = 0; p < limits.ports.size(); ++p) {
        if (!check.require(view.port_zone[p] != abi::kNoZone, R::port_unbound, "port ", limits.ports[p],
                           " is in no zone"))
            return false;
    }
    return true;
}

}  // namespace

std::string_view to_string(abi::RefuseReason reason) noexcept {
    switch (reason) {
        case R::none: return "none";
        case R::not_publisher: return "not_publisher";
        case R::not_a_memfd: return "not_a_memfd";
        case R::seals_missing: return "seals_missing";
        case R::size_wrong: return "size_wrong";
        case R::sparse: return "sparse";
        case R::map_failed: return "map_failed";
        case R::abi_mismatch: return "abi_mismatch";
        case R::magic_wrong: return "magic_wrong";
        case R::digest_wrong: return "digest_wrong";
        case R::kind_wrong: return "kind_wrong";
        case R::bounds: return "bounds";
        case R::order: return "order";
        case R::enum_value: return "enum_value";
        case R::index: return "index";
        case R::text: return "text";
        case R::budget: return "budget";
        case R::section_not_held: return "section_not_held";
        case R::port_unknown: return "port_unknown";
        case R::port_unbound: return "port_unbound";
        case R::generation_old: return "generation_old";
        case R::too_many_unretired: return "too_many_unretired";
        case R::nothing_to_confirm: return "nothing_to_confirm";
        case R::malformed_message: return "malformed_message";
        case R::permissions: return "permissions";
        case R::sets_behind: return "sets_behind";
        case R::delta_order: return "delta_order";
        case R::sets_full: return "sets_full";
    }
    return "unknown";
}

Expected<void, Refusal> validate_section(abi::SectionKind kind, std::span<const std::byte> bytes) {
    const std::size_t index = index_of(kind);
    Check check{index < kPartNames.size() ? kPartNames[index] : "section"};
    if (!check.require(index < kPartNames.size(), R::kind_wrong, "kind ", static_cast<std::uint64_t>(kind),
                       " does not exist") ||
        !check_header(check, kind, bytes))
        return Unexpected<Refusal>{check.take()};
    const auto whole = bytes.first(as<abi::SectionHeader>(bytes).bytes);
    check.open(whole, struct_bytes(kind));
    if (!check_body(check, kind, whole)) return Unexpected<Refusal>{check.take()};
    return {};
}

Expected<void, Refusal> validate_manifest(std::span<const std::byte> bytes) {
    Check check{"manifest"};
    if (!check_manifest(check, bytes)) return Unexpected<Refusal>{check.take()};
    return {};
}

Expected<TableView, Refusal> assemble(const abi::Manifest& manifest, const SectionBytes& sections,
                                      const ValidationLimits& limits, std::shared_ptr<const LargeTables>& large) {
    Check check{"generation"};
    TableView view;
    if (!check.require(limits.ports.size() <= view.port_zone.size(), R::bounds, limits.ports.size(), " ports, at most ",
                       view.port_zone.size()) ||
        !check_parts(check, manifest, sections))
        return Unexpected<Refusal>{check.take()};
    view.generation = manifest.generation;
    const auto settings = sections[index_of(SectionKind::settings)];
    view.settings = &as<abi::SettingsSection>(settings);
    view.untouched = Opened{settings}.array<std::uint64_t>(view.settings->untouched);
    view_rules(sections, view);
    if (!view_zones(check, sections, limits, view) ||
        !view_large_tables(check, manifest, sections, limits, view, large) ||
        !view_overlay(check, manifest, sections, *large, view))
        return Unexpected<Refusal>{check.take()};
    return view;
}

Expected<TableView, Refusal> assemble(const abi::Manifest& manifest, const SectionBytes& sections,
                                      const ValidationLimits& limits) {
    std::shared_ptr<const LargeTables> none;
    return assemble(manifest, sections, limits, none);
}

Expected<TableView, Refusal> validate(std::span<const std::byte> manifest, const SectionBytes& sections,
                                      const ValidationLimits& limits, std::shared_ptr<const LargeTables>& large) {
    if (auto ok = validate_manifest(manifest); !ok) return Unexpected<Refusal>{std::move(ok.error())};
    for (std::size_t i = 0; i < sections.size(); ++i) {
        if (auto ok = validate_section(static_cast<SectionKind>(i + 1), sections[i]); !ok)
            return Unexpected<Refusal>{std::move(ok.error())};
    }
    return assemble(as<abi::Manifest>(manifest), sections, limits, large);
}

Expected<TableView, Refusal> validate(std::span<const std::byte> manifest, const SectionBytes& sections,
                                      const ValidationLimits& limits) {
    std::shared_ptr<const LargeTables> none;
    return validate(manifest, sections, limits, none);
}

}  // namespace sluice::dp
