/// Where to cut a node: in which dimension and how finely.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "controlplane/compiler/tree_terms.hpp"

namespace sluice::cp {

struct TreeCut {
    std::size_t dimension{};
    std::uint8_t shift{};
    std::uint32_t children{};
    double expected{};  ///< terms in the child where a packet that meets a term lands, on average
    double copies{};    ///< terms of all children per term of the node
};

/// The cut after which a packet has fewest terms left, among those that don't copy too many of them; nothing where no
/// cut tells terms apart.
std::optional<TreeCut> best_cut(std::span<const TreeTerm> terms, const TermIndices& of_node, const Region& region);

/// Calls `put(child)` for every child that the term belongs to, once, ascending.
template <typename Put>
void for_each_child(const TreeTerm& term, const Region& region, const TreeCut& cut, Put put) {
    const std::size_t d = cut.dimension;
    std::uint32_t next = 0;
    for (const abi::ClassRange& r : touching(*term.ranges[d], region.first[d], region.last[d])) {
        const std::uint32_t from = (std::max(r.first, region.first[d]) - region.first[d]) >> cut.shift;
        const std::uint32_t to = (std::min(r.last, region.last[d]) - region.first[d]) >> cut.shift;
        for (std::uint32_t child = std::max(from, next); child <= to; ++child) put(child);
        next = std::max(next, to + 1);
    }
}

Region child_region(const Region& region, const TreeCut& cut, std::uint32_t child) noexcept;

}  // namespace sluice::cp
