#include "dataplane/acl/validator.hpp"

#include <algorithm>
#include <cstring>

#include <sluice/abi/layout.hpp>

#include "dataplane/acl/check.hpp"
#include "dataplane/acl/digest.hpp"

namespace sluice::dp {

namespace {

using R = abi::RefuseReason;
using abi::SectionKind;

constexpr std::size_t index_of(SectionKind kind) noexcept { return static_cast<std::size_t>(kind) - 1; }

constexpr std::array<std::string_view, abi::kSectionKindCount> kPartNames{
    "settings section", "zones section",  "rules section",     "src_v4 section", "dst_v4 section",
    "src_v6 section",   "dst_v6 section", "transport section", "trees section"};

constexpr std::size_t struct_bytes(SectionKind kind) noexcept {
    switch (kind) {
        case SectionKind::settings: return sizeof(abi::SettingsSection);
        case SectionKind::zones: return sizeof(abi::ZonesSection);
        case SectionKind::rules: return sizeof(abi::RulesSection);
        case SectionKind::transport: return sizeof(abi::TransportSection);
        case SectionKind::trees: return sizeof(abi::TreesSection);
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

template <typename Section>
const Section& as(std::span<const std::byte> bytes) noexcept {
    return *reinterpret_cast<const Section*>(bytes.data());
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

/// Typed access to a section that validate_section accepted.
class Opened {
public:
    explicit Opened(std::span<const std::byte> bytes) noexcept : bytes_{bytes} {}
    template <typename T>
    std::span<const T> array(const abi::ArrayRef& ref) const noexcept {
        return {reinterpret_cast<const T*>(bytes_.data() + ref.offset), static_cast<std::size_t>(ref.count)};
    }

private:
    std::span<const std::byte> bytes_;
};

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

bool check_slots(Check& check, const abi::Manifest& manifest, std::span<const abi::RuleRecord> rules,
                 const ValidationLimits& limits) {
    if (!check.require(manifest.rule_slots <= limits.rule_slots_max, R::budget, "needs ", manifest.rule_slots,
                       " rule slots, this dataplane has ", limits.rule_slots_max))
        return false;
    for (std::size_t i = 0; i < rules.size(); ++i) {
        if (!check.require(static_cast<std::uint32_t>(rules[i].slot) < manifest.rule_slots, R::index, "rule ", i,
                           " has slot ", static_cast<std::uint64_t>(rules[i].slot), " of ", manifest.rule_slots))
            return false;
    }
    return true;
}

/// A view of one side and family, whose classes are those of the trees.
bool view_addresses(Check& check, SectionKind kind, const SectionBytes& sections, std::uint32_t class_count,
                    AddressView& out) {
    const auto bytes = sections[index_of(kind)];
    const auto& s = as<abi::AddressSection>(bytes);
    const Opened open{bytes};
    out = {.root = open.array<std::uint32_t>(s.root).data(), .lines = open.array<abi::AddressLine>(s.lines).data()};
    return check.require(s.class_count == class_count, R::bounds, kPartNames[index_of(kind)], " has ", s.class_count,
                         " classes, the trees have ", class_count);
}

bool view_transport(Check& check, const SectionBytes& sections, std::uint32_t class_count, TransportView& out) {
    const auto bytes = sections[index_of(SectionKind::transport)];
    const auto& s = as<abi::TransportSection>(bytes);
    const Opened open{bytes};
    const abi::ArrayRef refs[] = {s.proto_class, s.tcp_dport, s.udp_dport, s.icmp, s.icmp6};
    for (std::size_t i = 0; i < out.tables.size(); ++i) out.tables[i] = open.array<std::uint16_t>(refs[i]).data();
    return check.require(s.class_count == class_count, R::bounds, "the transport section has ", s.class_count,
                         " classes, the trees have ", class_count);
}

/// Entries stand in the order of the rules that pass to them, and every period has a table for each.
bool check_entries(Check& check, const abi::TreesSection& s, const Opened& open, std::span<const abi::RuleRecord> rules,
                   std::uint32_t& entry_count) {
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
    if (!check.require(s.period_count % last == 0, R::bounds, s.period_count, " tables of pairs of zones for ", last,
                       " entries"))
        return false;
    for (const abi::Transition& t : open.array<abi::Transition>(s.transitions)) {
        if (!check.require(t.period % last == 0, R::index, "a transition names table ", t.period,
                           " of pairs of zones, ", last, " are of one period"))
            return false;
    }
    return true;
}

/// The lookup goes by the bit beside a rule's number and never looks at RuleRecord::mode.
bool check_modes(Check& check, const abi::TreesSection& s, const Opened& open, std::span<const abi::RuleRecord> rules) {
    const auto agrees = [&](std::uint32_t rule) {
        const std::uint32_t at = rule & ~abi::kObserveBit;
        const bool observe = rules[at].mode == abi::RuleMode::observe;
        if (rules[at].turns_to_observe != 0) return true;  // it stands there as either, for different periods
        return check.require(observe == (rule >= abi::kObserveBit), R::order, "the trees and rule ", at,
                             " differ about observe mode");
    };
    for (const abi::LeafRule& leaf : open.array<abi::LeafRule>(s.leaf_rules)) {
        if (!agrees(leaf.rule)) return false;
    }
    const auto words = open.array<std::uint64_t>(s.words);
    for (const abi::Block& block : open.array<abi::Block>(s.blocks)) {
        const auto* const named = reinterpret_cast<const std::uint32_t*>(words.data() + block.rules);
        for (std::uint32_t i = 0; i < block.rule_count; ++i) {
            if (!agrees(named[i])) return false;
        }
        if (block.kind != abi::BlockKind::pairs) continue;
        const auto* const answers = reinterpret_cast<const abi::BlockAnswer*>(words.data() + block.finals);
        const std::size_t count = std::size_t{block.pair_count} * block.sides[2].row_count * block.sides[3].row_count;
        for (std::size_t i = 0; i < count; ++i) {
            if ((answers[i].rule != abi::kNoRule && !agrees(answers[i].rule)) ||
                (answers[i].observe != abi::kNoRule && !agrees(answers[i].observe | abi::kObserveBit)))
                return false;
        }
    }
    return true;
}

bool view_trees(Check& check, const SectionBytes& sections, TableView& view) {
    const auto bytes = sections[index_of(SectionKind::trees)];
    const auto& s = as<abi::TreesSection>(bytes);
    const Opened open{bytes};
    view.trees = {.zone_count = s.zone_count,
                  .set_use_count = static_cast<std::uint32_t>(s.set_uses.count),
                  .zone_pairs = open.array<std::uint16_t>(s.zone_pairs).data(),
                  .all_zone_pairs = open.array<std::uint16_t>(s.zone_pairs).data(),
                  .transitions = open.array<abi::Transition>(s.transitions),
                  .roots = open.array<std::uint32_t>(s.roots),
                  .nodes = open.array<abi::TreeNode>(s.nodes).data(),
                  .records = open.array<abi::LeafRecord>(s.records).data(),
                  .leaf_rules = open.array<abi::LeafRule>(s.leaf_rules).data(),
                  .conditions = open.array<abi::Condition>(s.conditions).data(),
                  .ranges = open.array<abi::ClassRange>(s.ranges).data(),
                  .blocks = open.array<abi::Block>(s.blocks).data(),
                  .words = open.array<std::uint64_t>(s.words).data(),
                  .node_visits_max = s.node_visits_max,
                  .block_words_max = s.block_words_max};
    const auto& classes = s.class_count;
    view.set_uses = open.array<abi::SetUse>(s.set_uses);
    const bool uses_known = std::all_of(view.set_uses.begin(), view.set_uses.end(),
                                        [&](const abi::SetUse& use) { return use.set < view.sets.size(); });
    return check.require(s.rule_count == view.rules.size(), R::bounds, "the trees are of ", s.rule_count,
                         " rules, the rules section has ", view.rules.size()) &&
           check.require(s.zone_count == view.zones.size(), R::bounds, "the trees are of ", s.zone_count,
                         " zones, the zones section has ", view.zones.size()) &&
           check.require(uses_known, R::index, "the trees ask for a set that the zones section does not have") &&
           check_entries(check, s, open, view.rules, view.trees.entry_count) &&
           check_modes(check, s, open, view.rules) &&
           view_addresses(check, SectionKind::src_v4, sections, classes[0], view.src_v4) &&
           view_addresses(check, SectionKind::dst_v4, sections, classes[1], view.dst_v4) &&
           view_addresses(check, SectionKind::src_v6, sections, classes[0], view.src_v6) &&
           view_addresses(check, SectionKind::dst_v6, sections, classes[1], view.dst_v6) &&
           view_transport(check, sections, classes[2], view.transport);
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
                                      const ValidationLimits& limits) {
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
    if (!check_slots(check, manifest, view.rules, limits) || !view_zones(check, sections, limits, view) ||
        !view_trees(check, sections, view))
        return Unexpected<Refusal>{check.take()};
    return view;
}

Expected<TableView, Refusal> validate(std::span<const std::byte> manifest, const SectionBytes& sections,
                                      const ValidationLimits& limits) {
    if (auto ok = validate_manifest(manifest); !ok) return Unexpected<Refusal>{std::move(ok.error())};
    for (std::size_t i = 0; i < sections.size(); ++i) {
        if (auto ok = validate_section(static_cast<SectionKind>(i + 1), sections[i]); !ok)
            return Unexpected<Refusal>{std::move(ok.error())};
    }
    return assemble(as<abi::Manifest>(manifest), sections, limits);
}

}  // namespace sluice::dp
