/// What the tree builder works on: terms as lists of class ranges, and the part of all classes that a node is about.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include <sluice/abi/tables.hpp>

#include "controlplane/compiler/classes.hpp"

namespace sluice::cp {

/// One term: matches where, in every dimension, the class is in one of the ranges. They belong to somebody else.
struct TreeTerm {
    std::array<const ClassRanges*, abi::kDimensionCount> ranges{};  ///< never empty
    abi::RuleIndex rule{};
    bool observe{};

    std::uint32_t leaf_rule() const noexcept { return rule | (observe ? abi::kObserveBit : 0); }
};

/// Both ends inside, in every dimension.
struct Region {
    abi::ClassPoint first{}, last{};
    std::uint64_t width(std::size_t d) const noexcept { return std::uint64_t{last[d]} - first[d] + 1; }
};

/// The ranges that touch [first, last], in order; the outer ones may reach beyond.
inline std::span<const abi::ClassRange> touching(const ClassRanges& ranges, std::uint32_t first, std::uint32_t last) {
    if (ranges.size() == 1) {
        const bool touches = ranges[0].first <= last && first <= ranges[0].last;
        return {ranges.data(), touches ? std::size_t{1} : std::size_t{0}};
    }
    const auto from = std::lower_bound(ranges.begin(), ranges.end(), first,
                                       [](const abi::ClassRange& r, std::uint32_t at) { return r.last < at; });
    const auto to = std::upper_bound(from, ranges.end(), last,
                                     [](std::uint32_t at, const abi::ClassRange& r) { return at < r.first; });
    return {from, to};
}

inline bool covers(const TreeTerm& term, const Region& region) {
    for (std::size_t d = 0; d < abi::kDimensionCount; ++d) {
        const auto ranges = touching(*term.ranges[d], region.first[d], region.last[d]);
        if (ranges.size() != 1 || ranges[0].first > region.first[d] || ranges[0].last < region.last[d]) return false;
    }
    return true;
}

/// Indices into all terms, in evaluation order.
using TermIndices = std::vector<std::uint32_t>;

}  // namespace sluice::cp
