#include "dataplane/acl/view_tables.hpp"

#include <algorithm>

namespace sluice::dp {

namespace {

using R = abi::RefuseReason;

constexpr std::size_t kTransportPart = 4, kTreesPart = 5;

/// A view of one side and family, whose classes are those of the trees.
bool view_addresses(Check& check, const LookupSections& sections, std::size_t part, std::uint32_t class_count,
                    AddressView& out) {
    const auto bytes = sections[part];
    const auto& s = as<abi::AddressSection>(bytes);
    const Opened open{bytes};
    out = {.root = open.array<std::uint32_t>(s.root).data(), .lines = open.array<abi::AddressLine>(s.lines).data()};
    return check.require(s.class_count == class_count, R::bounds, kPartNames[index_of(abi::kOverlayTables[part])],
                         " has ", s.class_count, " classes, the trees have ", class_count);
}

bool view_transport(Check& check, const LookupSections& sections, std::uint32_t class_count, TransportView& out) {
    const auto bytes = sections[kTransportPart];
    const auto& s = as<abi::TransportSection>(bytes);
    const Opened open{bytes};
    const abi::ArrayRef refs[] = {s.proto_class, s.tcp_dport, s.udp_dport, s.icmp, s.icmp6};
    for (std::size_t i = 0; i < out.tables.size(); ++i) out.tables[i] = open.array<std::uint16_t>(refs[i]).data();
    return check.require(s.class_count == class_count, R::bounds, "the transport section has ", s.class_count,
                         " classes, the trees have ", class_count);
}

/// Every period has a table of pairs of zones for every entry.
bool check_entries(Check& check, const abi::TreesSection& s, const Opened& open, std::uint32_t entry_count) {
    if (!check.require(s.period_count % entry_count == 0, R::bounds, s.period_count, " tables of pairs of zones for ",
                       entry_count, " entries"))
        return false;
    for (const abi::Transition& t : open.array<abi::Transition>(s.transitions)) {
        if (!check.require(t.period % entry_count == 0, R::index, "a transition names table ", t.period,
                           " of pairs of zones, ", entry_count, " are of one period"))
            return false;
    }
    return true;
}

}  // namespace

bool view_tables(Check& check, const LookupSections& sections, const NamedRules& rules, std::size_t rule_count,
                 std::uint32_t entry_count, LookupTables& out, std::span<const abi::SetUse>& set_uses) {
    const auto bytes = sections[kTreesPart];
    const auto& s = as<abi::TreesSection>(bytes);
    const Opened open{bytes};
    out.trees = {.zone_count = s.zone_count,
                 .set_use_count = static_cast<std::uint32_t>(s.set_uses.count),
                 .entry_count = entry_count,
                 .zone_pairs = open.array<std::uint16_t>(s.zone_pairs).data(),
                 .all_zone_pairs = open.array<std::uint16_t>(s.zone_pairs).data(),
                 .transitions = open.array<abi::Transition>(s.transitions),
                 .roots = open.array<std::uint32_t>(s.roots),
                 .nodes = open.array<abi::TreeNode>(s.nodes).data(),
                 .records = open.array<abi::LeafRecord>(s.records).data(),
                 .conditions = open.array<abi::Condition>(s.conditions).data(),
                 .ranges = open.array<abi::ClassRange>(s.ranges).data(),
                 .blocks = open.array<abi::Block>(s.blocks).data(),
                 .words = open.array<std::uint64_t>(s.words).data(),
                 .node_visits_max = s.node_visits_max,
                 .block_words_max = s.block_words_max};
    out.no_match = static_cast<abi::RuleIndex>(rule_count - 1);
    set_uses = open.array<abi::SetUse>(s.set_uses);
    const TableView& view = rules.view;
    const bool uses_known = std::all_of(set_uses.begin(), set_uses.end(),
                                        [&](const abi::SetUse& use) { return use.set < view.sets.size(); });
    const auto& classes = s.class_count;
    return check.require(s.rule_count == rule_count, R::bounds, "the trees are of ", s.rule_count, " rules, there are ",
                         rule_count) &&
           check.require(s.zone_count == view.zones.size(), R::bounds, "the trees are of ", s.zone_count,
                         " zones, the zones section has ", view.zones.size()) &&
           check.require(uses_known, R::index, "the trees ask for a set that the zones section does not have") &&
           check_entries(check, s, open, entry_count) && view_addresses(check, sections, 0, classes[0], out.src_v4) &&
           view_addresses(check, sections, 1, classes[1], out.dst_v4) &&
           view_addresses(check, sections, 2, classes[0], out.src_v6) &&
           view_addresses(check, sections, 3, classes[1], out.dst_v6) &&
           view_transport(check, sections, classes[2], out.transport);
}

bool check_modes(Check& check, const LookupSections& sections, const NamedRules& rules) {
    const auto& s = as<abi::TreesSection>(sections[kTreesPart]);
    const Opened open{sections[kTreesPart]};
    const auto agrees = [&](std::uint32_t rule) {
        const std::uint32_t at = rule & ~abi::kObserveBit;
        const bool observe = rules[at].mode == abi::RuleMode::observe;
        if (rules[at].turns_to_observe != 0) return true;  // it stands there as either, for different periods
        return check.require(observe == (rule >= abi::kObserveBit), R::order, "the trees and rule ", at,
                             " differ about observe mode");
    };
    for (const abi::TreeNode& node : open.array<abi::TreeNode>(s.nodes)) {
        if (node.kind < abi::kTreeCut && !agrees(node.best)) return false;
    }
    for (const abi::LeafRecord& record : open.array<abi::LeafRecord>(s.records)) {
        if (!agrees(record.rule)) return false;
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

}  // namespace sluice::dp
