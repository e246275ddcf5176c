/// Blocks (abi: Block): terms that no cut tells apart, as bit rows; few classes, as a table of pairs. Sizes are counted
/// before anything is written.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "controlplane/compiler/tree_terms.hpp"

namespace sluice::cp {

/// A block that is not yet written: rows per side, and how many bytes it would take.
class BlockPlan {
public:
    BlockPlan(std::span<const TreeTerm> terms, const TermIndices& of_node, const Region& region);

    std::uint64_t bits_bytes() const noexcept { return bits_bytes_; }
    /// Bytes as pairs; nothing where that is more than `bytes_max`. Fills what `write_pairs` writes.
    std::optional<std::uint64_t> plan_pairs(std::uint64_t bytes_max);

    abi::Block write_bits(std::vector<std::uint64_t>& words) const;
    /// Precondition: plan_pairs gave a size.
    abi::Block write_pairs(std::vector<std::uint64_t>& words) const;

    std::uint32_t word_count() const noexcept { return word_count_; }
    /// Rows fit 16 bits.
    bool fits() const noexcept { return fits_; }

private:
    struct Side {
        std::vector<std::uint32_t> starts;  ///< classes, ascending, the first is the region's
        std::vector<std::uint16_t> row_of;  ///< per start
        std::vector<std::uint64_t> rows;    ///< word_count_ each
        std::uint32_t row_count{};
        /// A map by class has an entry for each of `width` classes, from that of start `first` on.
        std::size_t first{};
        std::uint64_t width{};
        bool tells_apart() const noexcept { return row_count > 1; }
        bool direct() const noexcept { return width <= 256 || width * 2 <= starts.size() * 24; }
        std::uint64_t map_bytes() const noexcept;
    };

    void make_side(std::size_t d, std::span<const TreeTerm> terms, const TermIndices& of_node, const Region& region);
    void write_common(abi::Block& block, std::vector<std::uint64_t>& words) const;
    abi::BlockAnswer answer(const std::uint64_t* pair, std::uint32_t transport_row, std::uint32_t zones_row) const;

    std::vector<std::uint32_t> rules_;
    std::vector<std::uint64_t> observe_;
    std::uint32_t word_count_{};
    std::array<Side, abi::kDimensionCount> sides_;
    std::uint64_t bits_bytes_{};
    bool fits_{true};
    std::vector<std::uint32_t> pairs_;
    std::vector<abi::BlockAnswer> finals_;
    std::uint32_t pair_count_{};
};

}  // namespace sluice::cp
