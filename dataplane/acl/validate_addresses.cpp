/// Address sections: every cell that a walk can reach leads to a class or to a node that stands before it and lies
/// whole inside the section, so a walk ends and reads nothing else. How long it can be is counted and held against what
/// the section says.
#include <algorithm>
#include <bit>
#include <vector>

#include "dataplane/acl/check.hpp"

namespace sluice::dp {

namespace {

using R = abi::RefuseReason;
using abi::AddressNode;

class AddressCheck {
public:
    AddressCheck(Check& check, const abi::AddressSection& section, std::span<const std::uint32_t> root,
                 std::span<const abi::AddressLine> lines, std::uint32_t chunk_count)
        : check_{check},
          section_{section},
          root_{root},
          lines_{lines},
          chunk_count_{chunk_count},
          seen_(lines.size()) {}

    bool walk() {
        std::uint32_t longest = 0;
        for (std::size_t i = 0; i < root_.size(); ++i) {
            const std::uint32_t cell = root_[i];
            if (i != 0 && cell == root_[i - 1]) continue;  // most of them, in an overlay's tables
            std::uint32_t visits = 0;
            // Whatever a root cell names, it looks at chunk 1 or later and stands anywhere.
            if (!visit(cell, lines_.size(), 1, visits)) return false;
            longest = std::max(longest, visits);
        }
        return check_.require(longest == section_.node_visits_max, R::bounds, "node_visits_max is ",
                              section_.node_visits_max, ", the longest walk is ", longest);
    }

private:
    struct Node {
        AddressNode kind;
        std::uint32_t chunk, line;
    };
    static Node node_of(std::uint32_t cell) noexcept {
        return {static_cast<AddressNode>(cell >> 28 & 7U), cell >> 25 & 7U, cell & (abi::kAddressLinesMax - 1)};
    }
    /// What a line was seen as; 0 = not yet. A node of one kind and chunk is looked at once, however many cells name
    /// it.
    struct Seen {
        std::uint8_t as{}, visits{};
    };

    template <typename T>
    const T& at(std::uint64_t line) const noexcept {
        return *reinterpret_cast<const T*>(&lines_[line]);
    }
    bool has_lines(std::uint64_t line, std::uint64_t count) {
        return check_.require(line + count <= lines_.size(), R::index, "a node needs lines ", line, " to ",
                              line + count - 1, " of ", lines_.size());
    }

    /// `before`: the line of the node that names the cell; `chunk_min`: what it may look at.
    bool visit(std::uint32_t cell, std::uint64_t before, std::uint32_t chunk_min, std::uint32_t& visits) {
        if (cell < abi::kAddressIsNode)
            return check_.require(cell < section_.class_count, R::index, "a cell names class ", cell, " of ",
                                  section_.class_count);
        const Node node = node_of(cell);
        const bool whole = node.kind == AddressNode::tail || node.kind == AddressNode::span;
        if (!check_.require(static_cast<std::uint32_t>(node.kind) < abi::kAddressNodeCount, R::enum_value,
                            "a cell names a node of kind ", static_cast<std::uint64_t>(node.kind)) ||
            !check_.require(node.line < before, R::order, "line ", before, " names line ", node.line,
                            ", which does not stand before it") ||
            !check_.require(
                whole ? chunk_count_ > 2 && node.chunk == 0 : node.chunk >= chunk_min && node.chunk < chunk_count_,
                R::order, "line ", node.line, " looks at chunk ", node.chunk, " of ", chunk_count_))
            return false;
        Seen& seen = seen_[node.line];
        const auto as = static_cast<std::uint8_t>(1 + static_cast<std::uint32_t>(node.kind) * 8 + node.chunk);
        if (seen.as != 0) {
            visits = seen.visits;
            return check_.require(seen.as == as, R::order, "line ", node.line, " is two kinds of node");
        }
        std::uint32_t below = 0;
        // Each step down takes one from the depth: a hostile chain must not become a deep recursion.
        if (!check_.require(++depth_ <= abi::kAddressVisitsMax, R::budget, "a walk visits more than ",
                            abi::kAddressVisitsMax, " nodes") ||
            !inside(node, chunk_min, below))
            return false;
        --depth_;
        visits = below + 1;
        seen_[node.line] = {.as = as, .visits = static_cast<std::uint8_t>(visits)};
        return true;
    }

    bool cells(std::span<const std::uint32_t> cells, const Node& node, std::uint32_t chunk_min, std::uint32_t& below) {
        for (const std::uint32_t cell : cells) {
            std::uint32_t visits = 0;
            if (!visit(cell, node.line, chunk_min, visits)) return false;
            below = std::max(below, visits);
        }
        return true;
    }
    /// `count` cells behind `line`, which are checked to be there.
    bool cells_behind(std::uint64_t line, std::uint64_t count, const Node& node, std::uint32_t& below) {
        return has_lines(line, (count * 4 + 63) / 64) &&
               cells({reinterpret_cast<const std::uint32_t*>(&lines_[line]), static_cast<std::size_t>(count)}, node,
                     node.chunk + 1, below);
    }

    bool inside(const Node& node, std::uint32_t chunk_min, std::uint32_t& below) {
        if (!has_lines(node.line, 1)) return false;
        switch (node.kind) {
            case AddressNode::small: return cells(at<abi::AddressSmall>(node.line).cells, node, node.chunk + 1, below);
            case AddressNode::medium:
                // As many as keys can be counted, whatever key_count says: the lookup does not ask it.
                return cells_behind(node.line + 1, 29, node, below);
            case AddressNode::large: {
                const std::uint64_t groups = at<abi::AddressLarge>(node.line).group_count;
                return check_.require(groups >= 1 && groups <= abi::kAddressGroupsMax, R::bounds, "line ", node.line,
                                      " has ", groups, " groups of keys") &&
                       has_lines(node.line, 1 + groups) &&
                       cells_behind(node.line + 1 + groups, groups * abi::kAddressGroupKeys + 1, node, below);
            }
            case AddressNode::bitmap: return bitmap(node, below);
            case AddressNode::tail: return cells(at<abi::AddressTail>(node.line).cells, node, chunk_count_, below);
            case AddressNode::span: {
                const auto& span = at<abi::AddressSpan>(node.line);
                const std::uint32_t named[] = {span.before, span.behind, span.inside};
                return cells(named, node, chunk_min, below);
            }
        }
        return false;
    }

    bool bitmap(const Node& node, std::uint32_t& below) {
        constexpr std::uint64_t kLines = abi::kAddressBitmapWords * sizeof(abi::AddressBits) / sizeof(abi::AddressLine);
        if (!has_lines(node.line, kLines)) return false;
        const auto* const words = &at<abi::AddressBits>(node.line);
        std::uint32_t keys = 0;
        for (std::uint32_t w = 0; w < abi::kAddressBitmapWords; ++w) {
            if (!check_.require(words[w].before == keys, R::order, "line ", node.line, " word ", w, " counts ",
                                words[w].before, " keys before it, there are ", keys))
                return false;
            keys += static_cast<std::uint32_t>(std::popcount(words[w].bits));
        }
        return cells_behind(node.line + kLines, std::uint64_t{keys} + 1, node, below);
    }

    Check& check_;
    const abi::AddressSection& section_;
    std::span<const std::uint32_t> root_;
    std::span<const abi::AddressLine> lines_;
    std::uint32_t chunk_count_;
    std::vector<Seen> seen_;
    std::uint32_t depth_{};
};

bool check_addresses(Check& check, const abi::AddressSection& s, std::uint32_t chunk_count) {
    std::span<const std::uint32_t> root;
    std::span<const abi::AddressLine> lines;
    return check.require(s.class_count >= 1 && s.class_count < abi::kAddressIsNode, R::bounds, s.class_count,
                         " classes") &&
           check.array("root", s.root, abi::kAddressRootCount, root) &&
           check.require(s.lines.offset % sizeof(abi::AddressLine) == 0, R::bounds, "lines start at offset ",
                         s.lines.offset, ", not on a line") &&
           check.require(s.lines.count <= abi::kAddressLinesMax, R::budget, s.lines.count, " lines, at most ",
                         abi::kAddressLinesMax) &&
           check.array("lines", s.lines, lines) && AddressCheck{check, s, root, lines, chunk_count}.walk();
}

}  // namespace

bool check_addresses_v4(Check& check, const abi::AddressSection& s) { return check_addresses(check, s, 2); }
bool check_addresses_v6(Check& check, const abi::AddressSection& s) { return check_addresses(check, s, 8); }

}  // namespace sluice::dp
