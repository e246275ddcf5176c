/// Classes -> rule. All packets of a batch go down one tree together, a level a pass, each node asked for a pass ahead;
/// then the leaves they reached are read, then the blocks. A tree that can no longer win is left where that shows.
/// isa.hpp says how this file is built.
#pragma once

#include <algorithm>
#include <bit>
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
    std::uint8_t active[kLookupBatchMax + 1], end[kLookupBatchMax + 1], leaf[kLookupBatchMax + 1];
    BlockProbe probe[kLookupBatchMax + 1];
    std::uint32_t active_count, end_count, leaf_count, probe_count;
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
        const std::uint32_t is_cut = node.kind < abi::kDimensionCount ? 1 : 0;
        const std::uint32_t may_win = node.best < results[i].rule ? 1 : 0;
        const std::uint32_t class_index = points[i][node.kind & (abi::kDimensionCount - 1)];
        const std::uint32_t child =
            node.base + std::min<std::uint32_t>((class_index - node.first) >> node.shift, node.count - 1U);
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
    const bool is_cut = node.kind < abi::kDimensionCount;
    std::uint32_t entered = 0;
    for (std::uint32_t i = 0; i < count; ++i) {
        const std::uint32_t class_index = points[i][node.kind & (abi::kDimensionCount - 1)];
        const std::uint32_t child =
            node.base + std::min<std::uint32_t>((class_index - node.first) >> node.shift, node.count - 1U);
        d.node[i] = is_cut ? child : root;
        __builtin_prefetch(t.nodes + d.node[i], 0, 3);
        d.active[entered] = static_cast<std::uint8_t>(i);
        entered += node.best < results[i].rule ? 1 : 0;
    }
    d.active_count = entered;
    d.end_count = 0;
}

/// Tells leaves from blocks where packets have come to, and asks for either.
SLUICE_ISA_TARGET inline void ask_ends(const TreesView& t, Descent& d) noexcept {
    std::uint32_t leaves = 0, probes = 0;
    for (std::uint32_t j = 0; j < d.end_count; ++j) {
        const std::uint8_t i = d.end[j];
        const abi::TreeNode& node = t.nodes[d.node[i]];
        const bool is_leaf = node.kind == abi::kTreeLeaf;
        const auto* const records = reinterpret_cast<const std::byte*>(t.records + node.base);
        const auto* const block = reinterpret_cast<const std::byte*>(t.blocks + node.base);
        const auto* const rules = reinterpret_cast<const std::byte*>(t.leaf_rules + node.base);
        __builtin_prefetch(is_leaf ? records : block, 0, 3);
        __builtin_prefetch(is_leaf ? rules : block + 64, 0, 3);
        if (node.count > 2 || !is_leaf) __builtin_prefetch(is_leaf ? records + 64 : block + 128, 0, 3);
        d.leaf[leaves] = i;
        leaves += is_leaf ? 1 : 0;
        d.probe[probes] = {.block = t.blocks + node.base, .item = i};
        probes += is_leaf ? 0 : 1;
    }
    d.leaf_count = leaves;
    d.probe_count = probes;
}

SLUICE_ISA_TARGET inline void read_leaf(const TreesView& t, const abi::TreeNode& node, const abi::ClassPoint& point,
                                        LookupResult& result) noexcept {
    for (std::uint32_t at = 0; at < node.count; at += 2) {
        const std::uint32_t base = node.base + at;
        unsigned matching = matching_records(t.records + base, point) & (node.count - at >= 2 ? 3U : 1U);
        for (; matching != 0; matching &= matching - 1) {
            const abi::LeafRule& found = t.leaf_rules[base + static_cast<std::uint32_t>(std::countr_zero(matching))];
            if (found.condition != 0 && !holds(t, t.conditions[found.condition], point)) continue;
            if (found.rule >= abi::kObserveBit) {
                result.observe = std::min(result.observe, found.rule & ~abi::kObserveBit);
                continue;
            }
            result.rule = std::min(result.rule, found.rule);
            return;
        }
    }
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
