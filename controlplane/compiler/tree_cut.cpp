#include "controlplane/compiler/tree_cut.hpp"

#include <algorithm>
#include <bit>
#include <vector>

namespace sluice::cp {

namespace {

constexpr std::uint32_t kChildrenMax = 60'000;
/// Copies per term that a cut may make: a node with many terms has many descendants that copy again.
constexpr double kCopiesMaxLarge = 1.6, kCopiesMaxSmall = 4;
constexpr std::size_t kSmallNode = 256;
/// Where a term has more ranges than this, the cut is chosen as if it had one that spans them all.
constexpr std::size_t kRangesLooked = 32;

struct Counted {
    double copies{}, squares{};
};

/// What the terms of a node cover on one side of its region, one part behind the other: looked up once, counted for
/// every shift.
class NodeParts {
public:
    void look_up(std::span<const TreeTerm> terms, const TermIndices& of_node, const Region& region, std::size_t d) {
        parts_.clear();
        for (const std::uint32_t t : of_node) {
            const auto ranges = touching(*terms[t].ranges[d], region.first[d], region.last[d]);
            const bool all = ranges.size() <= kRangesLooked;
            for (std::size_t r = 0; r < (all ? ranges.size() : 1); ++r) {
                const std::uint32_t last = all ? ranges[r].last : ranges.back().last;
                parts_.push_back({.first = std::max(ranges[r].first, region.first[d]) - region.first[d],
                                  .last = std::min(last, region.last[d]) - region.first[d],
                                  .of_same_term = r != 0});
            }
        }
    }

    /// Terms per child for one shift, by adding up where terms begin and end.
    Counted count(unsigned shift, std::uint32_t children) {
        edges_.assign(children + std::size_t{1}, 0);
        std::uint64_t copies = 0;
        std::uint32_t next = 0;
        for (const Part& part : parts_) {
            const std::uint32_t from = part.of_same_term ? std::max(next, part.first >> shift) : part.first >> shift;
            const std::uint32_t to = part.last >> shift;
            if (from > to) continue;
            ++edges_[from];
            --edges_[to + 1];
            copies += to - from + 1;
            next = to + 1;
        }
        double squares = 0;
        std::int64_t terms_here = 0;
        for (std::uint32_t c = 0; c < children; ++c) {
            terms_here += edges_[c];
            squares += static_cast<double>(terms_here) * static_cast<double>(terms_here);
        }
        return {.copies = static_cast<double>(copies), .squares = squares};
    }

private:
    struct Part {
        std::uint32_t first{}, last{};  ///< from the region's beginning
        bool of_same_term{};            ///< as the part before
    };
    std::vector<Part> parts_;
    std::vector<std::int32_t> edges_;
};

/// A finer cut is worth more children as long as packets have fewer terms left.
std::optional<TreeCut> best_in(std::span<const TreeTerm> terms, const TermIndices& of_node, const Region& region,
                               std::size_t d, NodeParts& parts, double& best_cost) {
    const std::uint64_t width = region.width(d);
    if (width < 2) return std::nullopt;
    parts.look_up(terms, of_node, region, d);
    const auto n = static_cast<double>(of_node.size());
    const double copies_max = of_node.size() > kSmallNode ? kCopiesMaxLarge : kCopiesMaxSmall;
    std::optional<TreeCut> best;
    for (int shift = static_cast<int>(std::bit_width(width - 1)) - 1; shift >= 0; --shift) {
        const std::uint64_t children = ((width - 1) >> shift) + 1;
        if (children > kChildrenMax || children > of_node.size() * 4 + 8) break;
        const Counted c = parts.count(static_cast<unsigned>(shift), static_cast<std::uint32_t>(children));
        if (children > 2 && c.copies + 0.25 * static_cast<double>(children) > copies_max * n) break;
        if (c.copies >= static_cast<double>(children) * n) continue;  // every child holds every term
        const double expected = c.squares / c.copies, copies = c.copies / n;
        const double cost = expected * (1 + 0.15 * (copies - 1));
        if (cost >= best_cost) continue;
        best_cost = cost;
        best = TreeCut{.dimension = d,
                       .shift = static_cast<std::uint8_t>(shift),
                       .children = static_cast<std::uint32_t>(children),
                       .expected = expected,
                       .copies = copies};
    }
    return best;
}

}  // namespace

std::optional<TreeCut> best_cut(std::span<const TreeTerm> terms, const TermIndices& of_node, const Region& region) {
    NodeParts parts;
    std::optional<TreeCut> best;
    double cost = 0.98 * static_cast<double>(of_node.size());
    for (std::size_t d = 0; d < abi::kDimensionCount; ++d) {
        if (const auto cut = best_in(terms, of_node, region, d, parts, cost)) best = cut;
    }
    return best;
}

Region child_region(const Region& region, const TreeCut& cut, std::uint32_t child) noexcept {
    Region r = region;
    const std::size_t d = cut.dimension;
    r.first[d] = region.first[d] + (child << cut.shift);
    r.last[d] = static_cast<std::uint32_t>(
        std::min<std::uint64_t>(region.last[d], std::uint64_t{r.first[d]} + (std::uint64_t{1} << cut.shift) - 1));
    return r;
}

}  // namespace sluice::cp
