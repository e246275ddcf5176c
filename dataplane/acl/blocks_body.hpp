/// Blocks: rules that no cut tells apart. A batch goes through them in passes, each of which asks for the memory of the
/// next: maps, rows or pairs, answers. isa.hpp says how this file is built.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

#include <sluice/abi/tables.hpp>

#include "dataplane/acl/lookup.hpp"

#ifndef SLUICE_ISA
#include "dataplane/acl/isa_scalar.hpp"
#endif

namespace sluice::dp::SLUICE_ISA {

/// A packet's question to one block. Left uninitialised: each pass writes what the next one reads.
struct BlockProbe {
    const abi::Block* block;
    std::uint32_t item;
};
/// What is found out for it.
struct BlockRows {
    const std::uint16_t* entry[abi::kDimensionCount];
    std::uint32_t row[abi::kDimensionCount];
    const abi::BlockAnswer* answer;
};

/// The row of a side that has no other.
inline constexpr std::uint16_t kOnlyRow = 0;

/// Where the class's row number stands. Below `first` the difference wraps, to the last entry. Starts: the last one
/// that is not above the class, by halving without branches.
SLUICE_ISA_TARGET inline const std::uint16_t* map_entry(const abi::BlockSide& side, const std::uint64_t* words,
                                                        std::uint32_t class_index) noexcept {
    if (side.start_count == 0) {
        const auto* const map = reinterpret_cast<const std::uint16_t*>(words + side.map);
        return side.tells_apart() ? map + std::min(class_index - side.first, side.width - 1) : &kOnlyRow;
    }
    const auto* const starts = reinterpret_cast<const std::uint32_t*>(words + side.map);
    std::uint32_t low = 0, more = side.start_count - 1;
    while (more > 0) {
        const std::uint32_t half = (more + 1) / 2;
        low += starts[low + half] <= class_index ? half : 0;
        more -= half;
    }
    return reinterpret_cast<const std::uint16_t*>(words + side.map + (side.start_count + 1) / 2) + low;
}

SLUICE_ISA_TARGET inline void ask_maps(const TreesView& t, const abi::ClassPoint* points, const BlockProbe* probes,
                                       BlockRows* found, std::uint32_t n) noexcept {
    for (std::uint32_t j = 0; j < n; ++j) {
        const BlockProbe& p = probes[j];
        for (std::size_t d = 0; d < abi::kDimensionCount; ++d) {
            found[j].entry[d] = map_entry(p.block->sides[d], t.words, points[p.item][d]);
            __builtin_prefetch(found[j].entry[d], 0, 3);
        }
    }
}

/// The row of a side that tells no rules apart is another's: what is AND-ed with itself stays as it is.
SLUICE_ISA_TARGET inline RowSet rows_of(const TreesView& t, const abi::Block& b, const BlockRows& found) noexcept {
    RowSet rows;
    const std::uint64_t* other = t.words + b.sides[0].rows + std::size_t{found.row[0]} * b.word_count;
    for (std::size_t d = 0; d < abi::kDimensionCount; ++d) {
        rows[d] = t.words + b.sides[d].rows + std::size_t{found.row[d]} * b.word_count;
        other = b.sides[d].tells_apart() ? rows[d] : other;
    }
    for (std::size_t d = 0; d < abi::kDimensionCount; ++d) rows[d] = b.sides[d].tells_apart() ? rows[d] : other;
    return rows;
}

SLUICE_ISA_TARGET inline void ask_rows(const TreesView& t, const BlockProbe* probes, BlockRows* found,
                                       std::uint32_t n) noexcept {
    for (std::uint32_t j = 0; j < n; ++j) {
        BlockRows& p = found[j];
        const abi::Block& b = *probes[j].block;
        for (std::size_t d = 0; d < abi::kDimensionCount; ++d) p.row[d] = *p.entry[d];
        if (b.kind == abi::BlockKind::bits) {
            for (const std::uint64_t* const row : rows_of(t, b, p)) __builtin_prefetch(row, 0, 3);
        } else {
            const auto* const pairs = reinterpret_cast<const std::uint32_t*>(t.words + b.pairs);
            __builtin_prefetch(pairs + std::size_t{p.row[0]} * b.sides[1].row_count + p.row[1], 0, 3);
        }
    }
}

SLUICE_ISA_TARGET inline void ask_answers(const TreesView& t, const BlockProbe* probes, BlockRows* found,
                                          std::uint32_t n) noexcept {
    for (std::uint32_t j = 0; j < n; ++j) {
        BlockRows& p = found[j];
        const abi::Block& b = *probes[j].block;
        if (b.kind == abi::BlockKind::bits) continue;
        const auto* const pairs = reinterpret_cast<const std::uint32_t*>(t.words + b.pairs);
        const std::size_t pair = pairs[std::size_t{p.row[0]} * b.sides[1].row_count + p.row[1]];
        p.answer = reinterpret_cast<const abi::BlockAnswer*>(t.words + b.finals) +
                   (pair * b.sides[2].row_count + p.row[2]) * b.sides[3].row_count + p.row[3];
        __builtin_prefetch(p.answer, 0, 3);
    }
}

/// Collects the first enforced rule and the first observe rule from words of matches, lowest first.
struct FirstMatches {
    const std::uint64_t* observe_mask;
    const std::uint32_t* rules;
    std::uint32_t enforced{abi::kNoRule}, observed{abi::kNoRule};

    /// True when the enforced rule is found and the scan is over.
    bool operator()(std::uint64_t match, std::uint32_t word) noexcept {
        const std::uint64_t enforce = match & ~observe_mask[word];
        std::uint64_t observe = match & observe_mask[word];
        // Observe rules behind the enforced one in this word don't count: they must stand before the decision.
        if (enforce != 0) observe &= (enforce & (~enforce + 1)) - 1;
        if (observe != 0 && observed == abi::kNoRule) observed = rule_at(word, observe);
        if (enforce == 0) return false;
        enforced = rule_at(word, enforce);
        return true;
    }

private:
    std::uint32_t rule_at(std::uint32_t word, std::uint64_t bits) const noexcept {
        return rules[word * 64 + static_cast<std::uint32_t>(std::countr_zero(bits))] & ~abi::kObserveBit;
    }
};

SLUICE_ISA_TARGET inline void keep(LookupResult& result, std::uint32_t enforced, std::uint32_t observed) noexcept {
    result.rule = std::min(result.rule, enforced);
    result.observe = std::min(result.observe, observed);
}

/// Precondition: the blocks were asked for.
SLUICE_ISA_TARGET inline void visit_blocks(const TreesView& t, const abi::ClassPoint* points, const BlockProbe* probes,
                                           std::uint32_t n, LookupResult* results) noexcept {
    BlockRows found[kLookupBatchMax];
    ask_maps(t, points, probes, found, n);
    ask_rows(t, probes, found, n);
    ask_answers(t, probes, found, n);
    for (std::uint32_t j = 0; j < n; ++j) {
        const abi::Block& b = *probes[j].block;
        const BlockRows& p = found[j];
        if (b.kind == abi::BlockKind::pairs) {
            keep(results[probes[j].item], p.answer->rule, p.answer->observe);
            continue;
        }
        const RowSet rows = rows_of(t, b, p);
        FirstMatches first{.observe_mask = t.words + b.observe,
                           .rules = reinterpret_cast<const std::uint32_t*>(t.words + b.rules)};
        intersect_rows(rows, b.word_count, first);
        keep(results[probes[j].item], first.enforced, first.observed);
    }
}

/// All of a batch asks one block of pairs: what a small policy is. The maps are short and hot.
SLUICE_ISA_TARGET inline void visit_pairs(const TreesView& t, const abi::Block& b, const abi::ClassPoint* points,
                                          std::uint32_t count, LookupResult* results) noexcept {
    const auto row = [&](std::size_t d, std::uint32_t class_index) {
        return std::size_t{*map_entry(b.sides[d], t.words, class_index)};
    };
    const auto* const pairs = reinterpret_cast<const std::uint32_t*>(t.words + b.pairs);
    const auto* const answers = reinterpret_cast<const abi::BlockAnswer*>(t.words + b.finals);
    const std::size_t destinations = b.sides[1].row_count, services = b.sides[2].row_count,
                      zones = b.sides[3].row_count;
    const std::uint32_t* pair[kLookupBatchMax];
    const abi::BlockAnswer* answer[kLookupBatchMax];
    for (std::uint32_t i = 0; i < count; ++i) {
        pair[i] = pairs + row(0, points[i][0]) * destinations + row(1, points[i][1]);
        __builtin_prefetch(pair[i], 0, 3);
    }
    for (std::uint32_t i = 0; i < count; ++i) {
        answer[i] = answers + (*pair[i] * services + row(2, points[i][2])) * zones + row(3, points[i][3]);
        __builtin_prefetch(answer[i], 0, 3);
    }
    for (std::uint32_t i = 0; i < count; ++i) keep(results[i], answer[i]->rule, answer[i]->observe);
}

}  // namespace sluice::dp::SLUICE_ISA
