/// Terms -> cut trees (abi: TreesSection). Up to four trees, by how much of all sources and destinations a term covers:
/// a term that covers much would be copied into every child of a tree that cuts finely. A node with few terms becomes a
/// leaf; one whose terms no cut tells apart, a block; a policy that is small enough, one block of pairs and nothing
/// else.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <sluice/abi/tables.hpp>
#include <sluice/expected.hpp>

#include "controlplane/compiler/tree_block.hpp"
#include "controlplane/compiler/tree_cut.hpp"
#include "controlplane/compiler/tree_terms.hpp"

namespace sluice::cp {

/// Arrays of the section, by its names.
struct Trees {
    std::vector<std::uint32_t> roots;
    std::vector<abi::TreeNode> nodes;
    std::vector<abi::LeafRecord> records;
    std::vector<abi::Condition> conditions;
    std::vector<abi::ClassRange> ranges;
    std::vector<abi::Block> blocks;
    std::vector<std::uint64_t> words;
    std::uint32_t node_visits_max{}, block_words_max{};

    std::uint64_t bytes() const noexcept;
};

struct TreeOptions {
    /// A policy that fits so many bytes as one block of pairs is that, and nothing else.
    std::uint64_t pairs_bytes_max{4U << 20};
};

/// What was reached when the work was given up.
struct TreesTooBig {
    std::uint64_t bytes{};
};

/// `terms` in evaluation order. The work ends as soon as the trees are longer than `bytes_max`.
Expected<Trees, TreesTooBig> build_trees(std::span<const TreeTerm> terms, const abi::ClassPoint& class_count,
                                         std::uint64_t bytes_max, const TreeOptions& options = {});

}  // namespace sluice::cp
