/// Classes -> rule. All packets of a batch go down one tree together, a level a pass, each node asked for a pass ahead;
/// then the leaves they reached are read, then the blocks. A tree that can no longer win is left where that shows.
/// isa.hpp says how this file is built.
#pragma once

#include <algorithm>
#include <cstdint>

#include <sluice/abi/tables.hpp>

#include "dataplane/acl/lookup.hpp"

#ifndef SLUICE_ISA
#include "dataplane/acl/isa_scalar.hpp"
#endif
#include "dataplane/acl/blocks_body.hpp"

namespace sluice::dp::SLUICE_ISA {

/// Left uninitialised: each pass writes what the next one reads. One place more than packets: what is put there is
/// counted or not.
struct Descent {
    std::uint32_t node[kLookupBatchMax];
    std::uint8_t active[kLookupBatchMax + 1], end[kLookupBatchMax + 1];
    std::uint8_t in_place[kLookupBatchMax + 1], leaf[kLookupBatchMax + 1];
    BlockProbe probe[kLookupBatchMax + 1];
    std::uint32_t active_count, end_count, in_place_count, leaf_count, probe_count;
};

SLUICE_ISA_TARGET inline bool is_inside(const abi::ClassRange* ranges, std::uint32_t count,
                                        std::uint32_t class_index) noexcept {
    std::uint32_t low = 0, more = count - 1;
    while (more > 0) {
        const std::uint32_t half = (more + 1) / 2;
        low += ranges[low + half].first <= class_index ? half : 0;
        more -= half;
    }
    return ranges[low].first <= class_index && class_index <= ranges[low].last;
}

SLUICE_ISA_TARGET inline bool holds(const TreesView& t, const abi::Condition& condition,
                                    const abi::ClassPoint& point) noexcept {
    for (std::size_t d = 0; d < abi::kDimensionCount; ++d) {
        if (condition.count[d] != 0 && !is_inside(t.ranges + condition.first[d], condition.count[d], point[d]))
            return false;
    }
    return true;
}

SLUICE_ISA_TARGET inline bool cuts(const abi::TreeNode& node) noexcept {
    return node.kind - abi::kTreeCut < abi::kDimensionCount;
}

/// Of anything but a cut, some number: what stands elsewhere in the node is anything then, a shift too.
SLUICE_ISA_TARGET inline std::uint32_t child_of(const abi::TreeNode& node, const abi::ClassPoint& point) noexcept {
    const std::uint32_t class_index = point[node.kind & (abi::kDimensionCount - 1)];
    return node.base + std::min((class_index - node.first) >> (node.shift & 31U), node.count - 1U);
}

/// One step for every active packet. Nothing depends on a guess: where a packet goes next is arithmetic, and it is put
/// into both lists and counted in one of them.
SLUICE_ISA_TARGET inline void step_down(const TreesView& t, const abi::ClassPoint* points, const LookupResult* results,
                                        Descent& d) noexcept {
    const std::uint32_t count = d.active_count;
    std::uint32_t active = 0, ends = d.end_count;
    for (std::uint32_t j = 0; j < count; ++j) {
        const std::uint8_t i = d.active[j];
        const std::uint32_t at = d.node[i];
        const abi::TreeNode& node = t.nodes[at];
        const std::uint32_t is_cut = cuts(node) ? 1 : 0;
        const std::uint32_t may_win = (node.best & ~abi::kObserveBit) < results[i].rule ? 1 : 0;
        const std::uint32_t child = child_of(node, points[i]);
        const std::uint32_t next = at ^ ((at ^ child) & (0U - is_cut));
        __builtin_prefetch(t.nodes + next, 0, 3);
        d.node[i] = next;
        d.active[active] = i;
        active += is_cut & may_win;
        d.end[ends] = i;
        ends += (is_cut ^ 1U) & may_win;
    }
    d.active_count = active;
    d.end_count = ends;
}

/// The first step of all packets: the root is one node, and most packets that have a better rule leave here.
SLUICE_ISA_TARGET inline void enter(const TreesView& t, std::uint32_t root, const abi::ClassPoint* points,
                                    std::uint32_t count, const LookupResult* results, Descent& d) noexcept {
    const abi::TreeNode node = t.nodes[root];
    const bool is_cut = cuts(node);
    const std::uint32_t best = node.best & ~abi::kObserveBit;
    std::uint32_t entered = 0;
    for (std::uint32_t i = 0; i < count; ++i) {
        d.node[i] = is_cut ? child_of(node, points[i]) : root;
        __builtin_prefetch(t.nodes + d.node[i], 0, 3);
        d.active[entered] = static_cast<std::uint8_t>(i);
        entered += best < results[i].rule ? 1 : 0;
    }
    d.active_count = entered;
    d.end_count = 0;
}

/// Tells records in place from leaves and blocks where packets have come to, and asks for the latter.
SLUICE_ISA_TARGET inline void ask_ends(const TreesView& t, Descent& d) noexcept {
    std::uint32_t in_place = 0, leaves = 0, probes = 0;
    for (std::uint32_t j = 0; j < d.end_count; ++j) {
        const std::uint8_t i = d.end[j];
        const abi::TreeNode& node = t.nodes[d.node[i]];
        const bool is_record = node.kind < abi::kTreeCut;
        const bool is_leaf = node.kind == abi::kTreeLeaf;
        const auto* const here = reinterpret_cast<const std::byte*>(&node);
        const auto* const there = is_leaf ? reinterpret_cast<const std::byte*>(t.records + node.base)
                                          : reinterpret_cast<const std::byte*>(t.blocks + node.base);
        const auto* const asked = is_record ? here : there;
        __builtin_prefetch(asked, 0, 3);
        __builtin_prefetch(is_record ? here : asked + 64, 0, 3);
        d.in_place[in_place] = i;
        in_place += is_record ? 1 : 0;
        d.leaf[leaves] = i;
        leaves += is_leaf ? 1 : 0;
        d.probe[probes] = {.block = t.blocks + node.base, .item = i};
        probes += is_record || is_leaf ? 0 : 1;
    }
    d.in_place_count = in_place;
    d.leaf_count = leaves;
    d.probe_count = probes;
}

/// True where it decides: what stands behind it does not matter.
SLUICE_ISA_TARGET inline bool read_record(const TreesView& t, const abi::LeafRecord& record,
                                          const abi::ClassPoint& point, LookupResult& result) noexcept {
    if (!is_within(record, point)) return false;
    if (record.condition != 0 && !holds(t, t.conditions[record.condition], point)) return false;
    if (record.rule >= abi::kObserveBit) {
        result.observe = std::min(result.observe, record.rule & ~abi::kObserveBit);
        return false;
    }
    result.rule = std::min(result.rule, record.rule);
    return true;
}

SLUICE_ISA_TARGET inline void read_leaf(const TreesView& t, const abi::TreeNode& node, const abi::ClassPoint& point,
                                        LookupResult& result) noexcept {
    for (std::uint32_t at = node.base; at < node.base + node.count; at += 2) {
        const abi::LeafRecord* const line = t.records + at;
        // Rules ascend: what stands behind a better one is not read.
        if ((line[0].rule & ~abi::kObserveBit) >= result.rule) return;
        if (read_record(t, line[0], point, result) || read_record(t, line[1], point, result)) return;
    }
}

SLUICE_ISA_TARGET inline const abi::LeafRecord& record_in_place(const abi::TreeNode& node) noexcept {
    return reinterpret_cast<const abi::LeafRecord&>(node);
}

/// `results` hold the default on entry.
SLUICE_ISA_TARGET inline void find_rules(const TreesView& t, const abi::ClassPoint* points, std::uint32_t count,
                                         LookupResult* results) noexcept {
    Descent d;
    for (const std::uint32_t root : t.roots) {
        if (t.nodes[root].kind == abi::kTreeBlock && t.blocks[t.nodes[root].base].kind == abi::BlockKind::pairs) {
            visit_pairs(t, t.blocks[t.nodes[root].base], points, count, results);
            continue;
        }
        enter(t, root, points, count, results, d);
        while (d.active_count != 0) step_down(t, points, results, d);
        ask_ends(t, d);
        for (std::uint32_t j = 0; j < d.in_place_count; ++j) {
            const std::uint32_t i = d.in_place[j];
            read_record(t, record_in_place(t.nodes[d.node[i]]), points[i], results[i]);
        }
        for (std::uint32_t j = 0; j < d.leaf_count; ++j) {
            const std::uint32_t i = d.leaf[j];
            read_leaf(t, t.nodes[d.node[i]], points[i], results[i]);
        }
        if (d.probe_count != 0) visit_blocks(t, points, d.probe, d.probe_count, results);
    }
    // An observe rule of one tree may stand behind the decision of another.
    for (std::uint32_t i = 0; i < count; ++i)
        results[i].observe = results[i].observe < results[i].rule ? results[i].observe : abi::kNoRule;
}

}  // namespace sluice::dp::SLUICE_ISA
