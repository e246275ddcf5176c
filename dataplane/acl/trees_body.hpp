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

/// Left uninitialised: each pass writes what the next one reads.
struct Descent {
    std::uint32_t node[kLookupBatchMax];
    // One place more: what is put there is counted or not.
    std::uint8_t active[kLookupBatchMax + 1], leaf[kLookupBatchMax + 1];
    BlockProbe probe[kLookupBatchMax + 1];
    std::uint32_t active_count, leaf_count, probe_count;
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

/// What a node's index counts, by the node's kind: what to ask the memory for next.
struct NextThings {
    const std::byte* first[8];
    std::uint32_t bytes[8];
    const std::byte* beside[8];  ///< what is read together with it: a leaf's rules, a block's second line
    std::uint32_t beside_bytes[8];
    std::uint32_t cut_mask[8];  ///< all ones where the node is a cut

    SLUICE_ISA_TARGET explicit NextThings(const TreesView& t) noexcept {
        for (std::size_t kind = 0; kind < 8; ++kind) {
            const bool cut = kind < abi::kDimensionCount, leaf = kind == abi::kTreeLeaf;
            first[kind] = cut    ? reinterpret_cast<const std::byte*>(t.nodes)
                          : leaf ? reinterpret_cast<const std::byte*>(t.records)
                                 : reinterpret_cast<const std::byte*>(t.blocks);
            bytes[kind] = cut ? sizeof(abi::TreeNode) : leaf ? sizeof(abi::LeafRecord) : sizeof(abi::Block);
            beside[kind] = leaf  ? reinterpret_cast<const std::byte*>(t.leaf_rules)
                           : cut ? first[kind]
                                 : first[kind] + 64;
            beside_bytes[kind] = leaf ? sizeof(abi::LeafRule) : bytes[kind];
            cut_mask[kind] = cut ? ~0U : 0;
        }
    }
};

/// One step for every active packet. Nothing depends on a guess: where a packet goes next is arithmetic, and it is put
/// into all lists and counted in one of them.
SLUICE_ISA_TARGET inline void step_down(const TreesView& t, const NextThings& next, const abi::ClassPoint* points,
                                        const LookupResult* results, Descent& d) noexcept {
    const std::uint32_t count = d.active_count;
    std::uint32_t active = 0, leaves = d.leaf_count, probes = d.probe_count;
    for (std::uint32_t j = 0; j < count; ++j) {
        const std::uint8_t i = d.active[j];
        const std::uint32_t at = d.node[i];
        const abi::TreeNode& node = t.nodes[at];
        const std::size_t kind = node.kind & 7U;
        const std::uint32_t cut = next.cut_mask[kind];
        const std::uint32_t may_win = node.best < results[i].rule ? 1 : 0;
        const std::uint32_t class_index = points[i][kind & (abi::kDimensionCount - 1)];
        const std::uint32_t child = std::min<std::uint32_t>((class_index - node.first) >> node.shift, node.count - 1U);
        const std::uint32_t index = node.base + (child & cut);
        __builtin_prefetch(next.first[kind] + std::size_t{index} * next.bytes[kind], 0, 3);
        __builtin_prefetch(next.beside[kind] + std::size_t{index} * next.beside_bytes[kind], 0, 3);
        d.node[i] = at ^ ((at ^ index) & cut);
        d.active[active] = i;
        active += cut & may_win;
        d.leaf[leaves] = i;
        leaves += (kind == abi::kTreeLeaf ? 1U : 0U) & may_win;
        d.probe[probes] = {.block = t.blocks + node.base, .item = i};
        probes += (kind == abi::kTreeBlock ? 1U : 0U) & may_win;
    }
    d.active_count = active;
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
    const NextThings next{t};
    for (const std::uint32_t root : t.roots) {
        if (t.nodes[root].kind == abi::kTreeBlock && t.blocks[t.nodes[root].base].kind == abi::BlockKind::pairs) {
            visit_pairs(t, t.blocks[t.nodes[root].base], points, count, results);
            continue;
        }
        for (std::uint32_t i = 0; i < count; ++i) {
            d.node[i] = root;
            d.active[i] = static_cast<std::uint8_t>(i);
        }
        d.active_count = count;
        d.leaf_count = d.probe_count = 0;
        while (d.active_count != 0) step_down(t, next, points, results, d);
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
