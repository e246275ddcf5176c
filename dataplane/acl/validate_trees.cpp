/// The trees section: children stand behind their node, so no walk goes round in circles; every leaf, condition and
/// block names only what is there. How many nodes a lookup can visit is counted and held against what the section says.
#include <algorithm>
#include <bit>
#include <vector>

#include "dataplane/acl/check.hpp"

namespace sluice::dp {

namespace {

using R = abi::RefuseReason;

struct Arrays {
    std::span<const abi::SetUse> set_uses;
    std::span<const abi::Transition> transitions;
    std::span<const std::uint16_t> zone_pairs;
    std::span<const std::uint32_t> roots;
    std::span<const abi::TreeNode> nodes;
    std::span<const abi::LeafRecord> records;
    std::span<const abi::Condition> conditions;
    std::span<const abi::ClassRange> ranges;
    std::span<const abi::Block> blocks;
    std::span<const std::uint64_t> words;
};

bool on_a_line(Check& check, std::string_view name, const abi::ArrayRef& ref) {
    return check.require(ref.offset % sizeof(abi::AddressLine) == 0, R::bounds, name, " starts at offset ", ref.offset,
                         ", not on a line");
}

/// Time and sets: a period is in force at every instant, and each has its pairs of zones for every answer of the sets.
bool open_periods(Check& check, const abi::TreesSection& s, Arrays& a) {
    const std::uint64_t pairs = std::uint64_t{s.zone_count} * s.zone_count;
    return check.require(s.zone_count <= abi::kZonesMax, R::budget, s.zone_count, " zones, at most ", abi::kZonesMax) &&
           check.require(s.must_be_zero == 0, R::bounds, "padding is not zero") &&
           check.require(s.period_count >= 1 && s.period_count <= abi::kTransitionsMax, R::bounds, s.period_count,
                         " periods") &&
           check.require(s.set_uses.count <= abi::kSetUsesMax, R::budget, s.set_uses.count, " uses of sets, at most ",
                         abi::kSetUsesMax) &&
           check.require((s.period_count * pairs) << s.set_uses.count <= abi::kZonePlacesMax, R::budget, s.period_count,
                         " periods with ", pairs, " pairs of zones and ", s.set_uses.count, " uses of sets, at most ",
                         abi::kZonePlacesMax, " places together") &&
           check.require(s.transitions.count >= 1 && s.transitions.count <= abi::kTransitionsMax, R::bounds,
                         s.transitions.count, " transitions") &&
           check.array("transitions", s.transitions, a.transitions) &&
           check.array("set_uses", s.set_uses, a.set_uses) &&
           check.array("zone_pairs", s.zone_pairs, (s.period_count * pairs) << s.set_uses.count, a.zone_pairs);
}

bool check_transitions(Check& check, const abi::TreesSection& s, const Arrays& a) {
    std::uint64_t before = 0;
    for (std::size_t i = 0; i < a.transitions.size(); ++i) {
        const abi::Transition& t = a.transitions[i];
        if (!check.require(i == 0 ? t.at_unix_s == 0 : t.at_unix_s > before, R::order, "transition ", i, " is at ",
                           t.at_unix_s) ||
            !check.require(t.period < s.period_count, R::index, "transition ", i, " names period ", t.period, " of ",
                           s.period_count) ||
            !check.require(t.must_be_zero == 0, R::bounds, "transition ", i, " has padding that is not zero"))
            return false;
        before = t.at_unix_s;
    }
    return true;
}

bool open_arrays(Check& check, const abi::TreesSection& s, Arrays& a) {
    return open_periods(check, s, a) &&
           check.require(s.roots.count <= abi::kTreesMax, R::budget, s.roots.count, " trees, at most ",
                         abi::kTreesMax) &&
           check.array("roots", s.roots, a.roots) && on_a_line(check, "nodes", s.nodes) &&
           check.array("nodes", s.nodes, a.nodes) && on_a_line(check, "records", s.records) &&
           check.array("records", s.records, a.records) && check.array("conditions", s.conditions, a.conditions) &&
           check.array("ranges", s.ranges, a.ranges) && on_a_line(check, "blocks", s.blocks) &&
           check.array("blocks", s.blocks, a.blocks) && on_a_line(check, "words", s.words) &&
           check.array("words", s.words, a.words);
}

/// `rule` of a leaf or block: not the default's, which needs no entry.
bool check_rule(Check& check, std::uint32_t rule, std::uint32_t rule_count, std::string_view what,
                std::uint64_t index) {
    const std::uint32_t at = rule & ~abi::kObserveBit;
    return check.require(at + std::uint64_t{1} < rule_count, R::index, what, " ", index, " names rule ", at, " of ",
                         rule_count);
}

/// The smallest rule that a node can answer.
std::uint32_t best_of(const abi::TreeNode& node) { return node.best & ~abi::kObserveBit; }

bool check_record(Check& check, const abi::TreesSection& s, const Arrays& a, const abi::LeafRecord& record,
                  std::string_view where, std::uint64_t index) {
    return check_rule(check, record.rule, s.rule_count, where, index) &&
           check.require(record.condition < a.conditions.size(), R::index, where, " ", index, " names condition ",
                         record.condition, " of ", a.conditions.size());
}

bool check_leaf(Check& check, const Arrays& a, std::uint64_t index, const abi::TreeNode& node) {
    if (!check.require(node.count <= abi::kLeafRecordsMax && node.count % 2 == 0 && node.base % 2 == 0, R::bounds,
                       "leaf ", index, " has ", node.count, " records from ", node.base, " on, at most ",
                       abi::kLeafRecordsMax, " and whole lines") ||
        !check.require(std::uint64_t{node.base} + node.count <= a.records.size(), R::index, "leaf ", index,
                       " has records ", node.base, " and ", node.count, " on, there are ", a.records.size()))
        return false;
    for (std::uint32_t i = 0; i < node.count; ++i) {
        const std::uint32_t rule = a.records[node.base + i].rule & ~abi::kObserveBit;
        const std::uint32_t before = i == 0 ? 0 : a.records[node.base + i - 1].rule & ~abi::kObserveBit;
        if (!check.require(before <= rule && node.best <= rule, R::order, "leaf ", index, " has rule ", rule,
                           " out of order"))
            return false;
    }
    return true;
}

/// A cut: its children stand behind it, before `end`, and are nobody else's.
bool check_cut(Check& check, const Arrays& a, std::size_t n, std::size_t end, std::vector<std::uint8_t>& depth) {
    const abi::TreeNode& node = a.nodes[n];
    if (!check.require(node.kind - abi::kTreeCut < abi::kDimensionCount, R::enum_value, "node ", n, " has kind ",
                       node.kind) ||
        !check.require(node.count >= 1 && node.base > n && std::uint64_t{node.base} + node.count <= end, R::order,
                       "node ", n, " has children ", node.base, " and ", node.count, " on, its tree ends at ", end) ||
        !check.require(depth[n] < 255, R::budget, "node ", n, " stands too deep"))
        return false;
    for (std::uint32_t c = node.base; c < node.base + node.count; ++c) {
        if (!check.require(depth[c] == 1, R::order, "node ", c, " is the child of two nodes")) return false;
        depth[c] = static_cast<std::uint8_t>(depth[n] + 1);
        // A packet that has a better rule leaves at the node: nothing below may be better than it says.
        if (!check.require(node.best <= best_of(a.nodes[c]), R::order, "node ", c, " is better than node ", n, " says"))
            return false;
    }
    return true;
}

/// One tree, nodes [root, end): children stand behind, so one pass in order knows the depth of each before it comes.
bool check_tree(Check& check, const abi::TreesSection& s, const Arrays& a, std::size_t root, std::size_t end,
                std::uint64_t& visits) {
    std::uint8_t deepest = 1;
    // 1 = the root, or not yet anybody's child; a child is at least 2.
    std::vector<std::uint8_t> depth(end, 1);
    for (std::size_t n = root; n < end; ++n) {
        const abi::TreeNode& node = a.nodes[n];
        deepest = std::max(deepest, depth[n]);
        if (node.kind < abi::kTreeCut) {
            if (!check_record(check, s, a, std::bit_cast<abi::LeafRecord>(node), "the record of node", n)) return false;
            continue;
        }
        if (!check.require(node.shift <= 31, R::bounds, "node ", n, " has shift ", node.shift) ||
            !check.require(node.must_be_zero == decltype(node.must_be_zero){}, R::bounds, "node ", n,
                           " has padding that is not zero"))
            return false;
        if (node.kind == abi::kTreeLeaf) {
            if (!check_leaf(check, a, n, node)) return false;
        } else if (node.kind == abi::kTreeBlock) {
            if (!check.require(node.base < a.blocks.size(), R::index, "node ", n, " names block ", node.base, " of ",
                               a.blocks.size()))
                return false;
        } else if (!check_cut(check, a, n, end, depth)) {
            return false;
        }
    }
    visits += deepest;
    return true;
}

bool check_nodes(Check& check, const abi::TreesSection& s, const Arrays& a) {
    std::uint64_t visits = 0;
    if (!check.require(a.roots.empty() ? a.nodes.empty() : a.roots[0] == 0, R::order, "nodes stand before all trees"))
        return false;
    for (std::size_t r = 0; r < a.roots.size(); ++r) {
        const std::uint64_t end = r + 1 < a.roots.size() ? a.roots[r + 1] : a.nodes.size();
        if (!check.require(a.roots[r] < end && end <= a.nodes.size(), R::order, "tree ", r, " has nodes ", a.roots[r],
                           " to ", end, " of ", a.nodes.size()) ||
            !check_tree(check, s, a, a.roots[r], end, visits))
            return false;
    }
    return check.require(visits == s.node_visits_max, R::bounds, "node_visits_max is ", s.node_visits_max,
                         ", the longest ways visit ", visits);
}

bool check_conditions(Check& check, const Arrays& a) {
    const auto asks = [](const abi::Condition& c) { return c.count != decltype(c.count){}; };
    if (!check.require(!a.conditions.empty() && !asks(a.conditions[0]), R::bounds, "condition 0 is missing or asks"))
        return false;
    for (std::size_t i = 0; i < a.conditions.size(); ++i) {
        for (std::size_t d = 0; d < abi::kDimensionCount; ++d) {
            const std::uint64_t first = a.conditions[i].first[d], count = a.conditions[i].count[d];
            if (!check.require(count == 0 || first + count <= a.ranges.size(), R::index, "condition ", i,
                               " names ranges ", first, " and ", count, " on of ", a.ranges.size()))
                return false;
        }
    }
    return true;
}

/// One block: every offset in words, every row number, every answer.
class BlockCheck {
public:
    /// `left`: bytes of all blocks together that are still to be named: none is named twice, so that what is checked
    /// is no more than what is there.
    BlockCheck(Check& check, const abi::TreesSection& section, const Arrays& arrays, std::uint64_t index,
               std::uint64_t& left)
        : check_{check},
          section_{section},
          words_{arrays.words},
          block_{arrays.blocks[index]},
          index_{index},
          left_{left} {}

    bool run() {
        return check_.require(block_.rule_count >= 1 &&
                                  (block_.kind == abi::BlockKind::bits || block_.kind == abi::BlockKind::pairs),
                              R::bounds, "block ", index_, " has ", block_.rule_count, " rules and kind ",
                              static_cast<std::uint64_t>(block_.kind)) &&
               rules() && sides() && (block_.kind == abi::BlockKind::bits ? bits() : pairs());
    }

private:
    /// `count` elements from word `at` on.
    template <typename T>
    bool array(std::string_view name, std::uint64_t at, std::uint64_t count, std::span<const T>& out) {
        if (!check_.require(at <= words_.size() && count <= (words_.size() - at) * 8 / sizeof(T), R::bounds, "block ",
                            index_, " has ", count, " ", name, " at word ", at, " of ", words_.size()) ||
            !check_.require(count * sizeof(T) <= left_, R::bounds, "block ", index_, " names words again"))
            return false;
        left_ -= count * sizeof(T);
        out = {reinterpret_cast<const T*>(words_.data() + at), static_cast<std::size_t>(count)};
        return true;
    }

    bool rules() {
        if (!array("rules", block_.rules, block_.rule_count, rules_)) return false;
        for (std::size_t i = 0; i < rules_.size(); ++i) {
            const auto at = [&](std::size_t k) { return rules_[k] & ~abi::kObserveBit; };
            if (!check_rule(check_, rules_[i], section_.rule_count, "a rule of block", index_) ||
                !check_.require(i == 0 || at(i - 1) <= at(i), R::order, "block ", index_, " has rule ", at(i),
                                " out of order"))
                return false;
        }
        return true;
    }

    bool sides() {
        for (const abi::BlockSide& side : block_.sides) {
            std::span<const std::uint16_t> map;
            std::span<const std::uint32_t> starts;
            const bool direct = side.width != 0, by_starts = side.start_count != 0;
            if (!check_.require(
                    side.row_count >= 1 && (side.tells_apart() ? direct != by_starts : !direct && !by_starts),
                    R::bounds, "block ", index_, " has a side of ", side.width, " classes, ", side.start_count,
                    " starts and ", side.row_count, " rows") ||
                !array("starts", side.map, side.start_count, starts) ||
                !array("map entries", side.map + (side.start_count + std::uint64_t{1}) / 2,
                       direct ? side.width : side.start_count, map))
                return false;
            for (const std::uint16_t row : map) {
                if (!check_.require(row < side.row_count, R::index, "block ", index_, " names row ", row, " of ",
                                    side.row_count))
                    return false;
            }
        }
        return true;
    }

    bool bits() {
        std::span<const std::uint64_t> observe;
        if (!check_.require(block_.word_count == (block_.rule_count + std::uint64_t{63}) / 64, R::bounds, "block ",
                            index_, " has rows of ", block_.word_count, " words for ", block_.rule_count, " rules") ||
            !array("observe words", block_.observe, block_.word_count, observe))
            return false;
        for (std::size_t i = 0; i < rules_.size(); ++i) {
            const bool masked = (observe[i / 64] >> (i % 64) & 1U) != 0;
            if (!check_.require(masked == (rules_[i] >= abi::kObserveBit), R::order, "block ", index_, " rule ", i,
                                " and its mask differ about observe mode"))
                return false;
        }
        const auto tells_apart = [](const abi::BlockSide& side) { return side.tells_apart(); };
        const bool any = std::ranges::any_of(block_.sides, tells_apart);
        for (std::size_t d = 0; d < block_.sides.size(); ++d) {
            const abi::BlockSide& side = block_.sides[d];
            if (any ? !side.tells_apart() : d != 0) continue;
            std::span<const std::uint64_t> rows;
            if (!array("row words", side.rows, std::uint64_t{side.row_count} * block_.word_count, rows) || !tails(rows))
                return false;
        }
        return true;
    }

    /// Rules that do not exist must match nothing: the lookup would read behind the end.
    bool tails(std::span<const std::uint64_t> rows) {
        const std::uint32_t used = block_.rule_count - (block_.word_count - 1) * 64;
        const std::uint64_t unused = used >= 64 ? 0 : ~std::uint64_t{0} << used;
        for (std::size_t i = block_.word_count - 1; i < rows.size(); i += block_.word_count) {
            if (!check_.require((rows[i] & unused) == 0, R::bounds, "block ", index_, " has bits behind rule ",
                                block_.rule_count))
                return false;
        }
        return true;
    }

    bool pairs() {
        std::span<const std::uint32_t> pairs;
        std::span<const abi::BlockAnswer> finals;
        const auto& sides = block_.sides;
        const std::uint64_t per_pair = std::uint64_t{sides[2].row_count} * sides[3].row_count;
        if (!check_.require(per_pair <= words_.size(), R::bounds, "block ", index_, " has ", per_pair,
                            " answers a pair") ||
            !array("pairs", block_.pairs, std::uint64_t{sides[0].row_count} * sides[1].row_count, pairs) ||
            !array("answers", block_.finals, block_.pair_count * per_pair, finals))
            return false;
        for (const std::uint32_t pair : pairs) {
            if (!check_.require(pair < block_.pair_count, R::index, "block ", index_, " names pair ", pair, " of ",
                                block_.pair_count))
                return false;
        }
        for (const abi::BlockAnswer& answer : finals) {
            for (const std::uint32_t rule : {answer.rule, answer.observe}) {
                if (!check_.require(rule == abi::kNoRule || rule + std::uint64_t{1} < section_.rule_count, R::index,
                                    "block ", index_, " answers rule ", rule, " of ", section_.rule_count))
                    return false;
            }
        }
        return true;
    }

    Check& check_;
    const abi::TreesSection& section_;
    std::span<const std::uint64_t> words_;
    const abi::Block& block_;
    std::uint64_t index_;
    std::uint64_t& left_;
    std::span<const std::uint32_t> rules_;
};

bool check_blocks(Check& check, const abi::TreesSection& s, const Arrays& a) {
    std::uint32_t widest = 0;
    std::uint64_t left = a.words.size_bytes();
    for (std::size_t b = 0; b < a.blocks.size(); ++b) {
        if (!BlockCheck{check, s, a, b, left}.run()) return false;
        if (a.blocks[b].kind == abi::BlockKind::bits) widest = std::max(widest, a.blocks[b].word_count);
    }
    return check.require(widest == s.block_words_max, R::bounds, "block_words_max is ", s.block_words_max,
                         ", the widest row has ", widest);
}

}  // namespace

bool check_trees(Check& check, const abi::TreesSection& s) {
    Arrays a;
    if (!check.require(s.rule_count >= 1 && s.rule_count <= abi::kObserveBit, R::bounds, s.rule_count, " rules") ||
        !open_arrays(check, s, a) || !check_transitions(check, s, a))
        return false;
    for (const std::uint32_t count : s.class_count) {
        if (!check.require(count >= 1, R::bounds, "a dimension has no class")) return false;
    }
    for (std::size_t u = 0; u < a.set_uses.size(); ++u) {
        const abi::SetUse& use = a.set_uses[u];
        const auto place = [](const abi::SetUse& x) { return x.set * 2 + x.side; };
        if (!check.require(use.side <= 1 && use.must_be_zero == 0, R::enum_value, "use ", u, " of a set has side ",
                           static_cast<std::uint64_t>(use.side)) ||
            !check.require(u == 0 || place(a.set_uses[u - 1]) < place(use), R::order, "use ", u,
                           " of a set does not stand behind the one before"))
            return false;
    }
    for (const std::uint16_t pair : a.zone_pairs) {
        if (!check.require(pair < s.class_count[3], R::index, "a pair of zones has class ", pair, " of ",
                           s.class_count[3]))
            return false;
    }
    for (std::size_t i = 0; i < a.records.size(); ++i) {
        if (!check_record(check, s, a, a.records[i], "record", i)) return false;
    }
    return check_nodes(check, s, a) && check_conditions(check, a) && check_blocks(check, s, a);
}

}  // namespace sluice::dp
