/// Which boxes may meet a given one: a tree over the hulls of many boxes, so that a question costs what overlaps and no
/// walk over all rules.
///
/// Theory of operation. A hull is a point with six coordinates (first and last of source, destination, service), and
/// the tree halves points by one coordinate at a time. Rules that take any source have the same coordinates there and
/// end up together, so they widen no node of the others. A box with long lists has several hulls, a few at most: the
/// index is coarse and never wrong, the caller compares boxes.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "controlplane/analysis/box.hpp"

namespace sluice::cp {

class BoxIndex {
public:
    BoxIndex() = default;
    /// `boxes` are numbered in their order; the numbers are what is found.
    explicit BoxIndex(const std::vector<Box>& boxes);

    /// Appends the numbers below `end` of boxes that may meet `box`, sorted, each once. Answers how many nodes were
    /// looked at.
    std::uint64_t find(const Box& box, std::uint32_t end, std::vector<std::uint32_t>& out) const;

    static constexpr std::uint32_t kNothing = 0xffffffff;
    /// The lowest number in [begin, end) of a box that may meet `box` and that `is_met` says does; kNothing if there is
    /// none. `looked_at` counts nodes.
    template <typename IsMet>
    std::uint32_t first(const Box& box, std::uint32_t begin, std::uint32_t end, IsMet&& is_met,
                        std::uint64_t& looked_at) const {
        const Tree& in = tree(box.family);
        const Hull hull = hull_of(box);
        std::uint32_t best = end;
        std::vector<std::uint32_t> open;
        if (!in.nodes.empty()) open.push_back(0);
        while (!open.empty()) {
            const std::uint32_t n = open.back();
            open.pop_back();
            ++looked_at;
            const Node& node = in.nodes[n];
            if (node.lowest_box >= best || node.highest_box < begin || !node.hull.meets(hull)) continue;
            if (node.right != 0) {
                // The half with the lower numbers first: what it has closes most of the other.
                const bool left_first = in.nodes[n + 1].lowest_box <= in.nodes[node.right].lowest_box;
                open.push_back(left_first ? node.right : n + 1);
                open.push_back(left_first ? n + 1 : node.right);
                continue;
            }
            for (std::uint32_t e = node.first_entry; e < node.first_entry + node.entry_count; ++e) {
                const Entry& entry = in.entries[e];
                if (entry.box >= begin && entry.box < best && entry.hull.meets(hull) && is_met(entry.box))
                    best = entry.box;
            }
        }
        return best == end ? kNothing : best;
    }

    std::size_t bytes() const noexcept;

private:
    struct Hull {
        V6Number src_first, src_last, dst_first, dst_last;
        std::uint32_t service_first{}, service_last{};
        void widen(const Hull& by) noexcept;
        bool meets(const Hull& other) const noexcept;
    };
    struct Entry {
        Hull hull;
        std::uint32_t box{};
    };
    /// Children of an inner node are the next one and `right`; a leaf has entries.
    struct Node {
        Hull hull;
        std::uint32_t lowest_box{}, highest_box{}, right{};  ///< right 0 = leaf
        std::uint32_t first_entry{}, entry_count{};
    };
    struct Tree {
        std::vector<Entry> entries;
        std::vector<Node> nodes;
    };

    static Hull hull_of(const Box& box);
    static bool less(unsigned coordinate, const Entry& a, const Entry& b) noexcept;
    static unsigned best_coordinate(const Entry* first, std::size_t count);
    static void build(Tree& tree, std::uint32_t first, std::uint32_t count);
    static void add(Tree& tree, const Box& box, std::uint32_t number);
    const Tree& tree(abi::IpFamily family) const noexcept { return trees_[family == abi::IpFamily::v4 ? 0 : 1]; }

    std::array<Tree, 2> trees_;  ///< IPv4, IPv6
};

}  // namespace sluice::cp
