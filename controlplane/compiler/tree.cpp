#include "controlplane/compiler/tree.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <map>
#include <optional>
#include <unordered_map>
#include <utility>

#include "controlplane/compiler/tree_shadow.hpp"
#include "dataplane/acl/digest.hpp"

namespace sluice::cp {

namespace {

constexpr std::size_t kLeafTerms = 8;
/// Up to so many terms, a block is the alternative to cuts that leave too many or copy too many.
constexpr std::size_t kBlockTerms = 256;
constexpr double kCutLeaves = 0.4, kCutCopies = 2.0;
constexpr std::uint32_t kDepthMax = 16;
/// A policy of up to this size may be one block of pairs.
constexpr std::size_t kPairsTerms = 4096;
/// A term is wide on a side where it covers more than this part of all classes; each range counts as some classes more,
/// for it is copied as if it had them.
constexpr std::uint32_t kWidePart = 64, kWideMin = 16, kRangeCounts = 16;

class TreeBuilder {
public:
    TreeBuilder(std::span<const TreeTerm> terms, std::uint64_t bytes_max, const TreeOptions& options)
        : terms_{terms}, bytes_max_{bytes_max}, pairs_bytes_max_{options.pairs_bytes_max} {
        trees_.conditions.push_back({});
    }

    Expected<Trees, TreesTooBig> build(const abi::ClassPoint& class_count) {
        Region all;
        for (std::size_t d = 0; d < abi::kDimensionCount; ++d) all.last[d] = class_count[d] - 1;
        TermIndices every(terms_.size());
        for (std::uint32_t t = 0; t < every.size(); ++t) every[t] = t;
        drop_unreached(terms_, every, all);
        if (!every.empty() && !whole_block(every, all)) {
            for (TermIndices& group : groups(every, class_count)) {
                if (group.empty()) continue;
                const auto root = static_cast<std::uint32_t>(trees_.nodes.size());
                trees_.roots.push_back(root);
                trees_.nodes.emplace_back();
                depth_max_ = 0;
                grow(root, std::move(group), all, 1);
                trees_.node_visits_max += depth_max_;
            }
        }
        if (over()) return Unexpected<TreesTooBig>{{.bytes = std::max(refused_bytes_, trees_.bytes())}};
        return std::move(trees_);
    }

private:
    bool over() const noexcept { return refused_bytes_ != 0 || trees_.bytes() > bytes_max_; }

    bool whole_block(const TermIndices& every, const Region& all) {
        if (every.size() > kPairsTerms) return false;
        BlockPlan plan{terms_, every, all};
        const auto bytes = plan.plan_pairs(std::min(pairs_bytes_max_, bytes_max_));
        if (!bytes) return false;
        trees_.roots.push_back(0);
        trees_.nodes.emplace_back();
        put_block(0, every, plan.write_pairs(trees_.words));
        trees_.node_visits_max = 1;
        return true;
    }

    bool is_wide(const TreeTerm& term, std::size_t d, std::uint32_t class_count) const {
        const ClassRanges& ranges = *term.ranges[d];
        std::uint64_t covered = std::uint64_t{kRangeCounts} * (ranges.size() - 1);
        for (const abi::ClassRange& r : ranges) covered += r.last - r.first + 1;
        const std::uint64_t spanned = ranges.back().last - ranges.front().first + std::uint64_t{1};
        return std::min(covered, spanned) > std::max(kWideMin, class_count / kWidePart);
    }

    /// The largest group first: it decides most packets, and what it decides others need not look for.
    std::vector<TermIndices> groups(const TermIndices& every, const abi::ClassPoint& class_count) const {
        std::vector<TermIndices> groups(abi::kTreesMax);
        for (const std::uint32_t t : every) {
            const bool source = is_wide(terms_[t], 0, class_count[0]),
                       destination = is_wide(terms_[t], 1, class_count[1]);
            groups[(source ? 2U : 0U) + (destination ? 1U : 0U)].push_back(t);
        }
        std::stable_sort(groups.begin(), groups.end(),
                         [](const TermIndices& a, const TermIndices& b) { return a.size() > b.size(); });
        return groups;
    }

    void grow(std::uint32_t at, TermIndices of_node, const Region& region, std::uint32_t depth) {
        depth_max_ = std::max(depth_max_, depth);
        if (over()) return;  // the caller gives up
        drop_unreached(terms_, of_node, region);
        if (of_node.size() <= kLeafTerms) return put_leaf(at, of_node, region);
        const auto cut = depth < kDepthMax ? best_cut(terms_, of_node, region) : std::nullopt;
        const auto n = static_cast<double>(of_node.size());
        const bool poor =
            cut && of_node.size() <= kBlockTerms && (cut->expected > kCutLeaves * n || cut->copies > kCutCopies);
        if (!cut || poor) {
            BlockPlan plan{terms_, of_node, region};
            if (plan.fits() && (!cut || plan.bits_bytes() < of_node.size() * std::uint64_t{512})) {
                if (trees_.bytes() + plan.bits_bytes() > bytes_max_) return give_up(plan.bits_bytes());
                const auto pairs = plan.plan_pairs(plan.bits_bytes() * 3 / 2);
                if (!pairs) trees_.block_words_max = std::max(trees_.block_words_max, plan.word_count());
                return put_block(at, of_node, pairs ? plan.write_pairs(trees_.words) : plan.write_bits(trees_.words));
            }
            if (!cut) return give_up(plan.bits_bytes());
        }
        put_cut(at, std::move(of_node), region, *cut, depth);
    }

    void give_up(std::uint64_t more) { refused_bytes_ = std::max(refused_bytes_, trees_.bytes() + more); }

    void put_cut(std::uint32_t at, TermIndices of_node, const Region& region, const TreeCut& cut, std::uint32_t depth) {
        const auto base = static_cast<std::uint32_t>(trees_.nodes.size());
        trees_.nodes.resize(base + cut.children);
        trees_.nodes[at] = {.base = base,
                            .first = region.first[cut.dimension],
                            .count = cut.children,
                            .shift = cut.shift,
                            .best = terms_[of_node[0]].rule,
                            .kind = abi::kTreeCut + static_cast<std::uint32_t>(cut.dimension)};
        std::vector<TermIndices> children(cut.children);
        for (const std::uint32_t t : of_node)
            for_each_child(terms_[t], region, cut, [&](std::uint32_t child) { children[child].push_back(t); });
        TermIndices{}.swap(of_node);
        for (std::uint32_t child = 0; child < cut.children; ++child)
            grow(base + child, std::move(children[child]), child_region(region, cut, child), depth + 1);
    }

    void put_block(std::uint32_t at, const TermIndices& of_node, const abi::Block& block) {
        trees_.nodes[at] = {.base = static_cast<std::uint32_t>(trees_.blocks.size()),
                            .count = 1,
                            .best = terms_[of_node[0]].rule,
                            .kind = abi::kTreeBlock};
        trees_.blocks.push_back(block);
    }

    void put_leaf(std::uint32_t at, const TermIndices& of_node, const Region& region) {
        std::vector<abi::LeafRecord> records;
        for (const std::uint32_t t : of_node) records.push_back(record(terms_[t], region));
        if (records.size() == 1) {
            trees_.nodes[at] = std::bit_cast<abi::TreeNode>(records[0]);
            return;
        }
        if (records.size() % 2 != 0) records.push_back(records.back());
        trees_.nodes[at] = {.base = shared_leaf(records),
                            .count = static_cast<std::uint32_t>(records.size()),
                            .best = of_node.empty() ? abi::kNoRule : terms_[of_node[0]].rule,
                            .kind = abi::kTreeLeaf};
    }

    abi::LeafRecord record(const TreeTerm& term, const Region& region) {
        abi::ClassPoint first, last;
        std::array<std::span<const abi::ClassRange>, abi::kDimensionCount> ranges;
        bool conditional = false;
        for (std::size_t d = 0; d < abi::kDimensionCount; ++d) {
            ranges[d] = touching(*term.ranges[d], region.first[d], region.last[d]);
            first[d] = std::max(ranges[d].front().first, region.first[d]);
            last[d] = std::min(ranges[d].back().last, region.last[d]);
            conditional = conditional || ranges[d].size() > 1;
        }
        const auto narrow = [](std::uint32_t class_index) { return static_cast<std::uint16_t>(class_index); };
        return {.first = {first[0], first[1]},
                .last = {last[0], last[1]},
                .narrow_first = {narrow(first[2]), narrow(first[3])},
                .narrow_last = {narrow(last[2]), narrow(last[3])},
                .rule = term.leaf_rule(),
                .condition = conditional ? condition(term, ranges) : 0};
    }

    /// Leaves with the same records stand once.
    std::uint32_t shared_leaf(const std::vector<abi::LeafRecord>& records) {
        if (records.empty()) return 0;
        const std::uint64_t hash = XXH3_64bits(records.data(), records.size() * sizeof records[0]);
        const auto [first, last] = leaf_by_hash_.equal_range(hash);
        for (auto it = first; it != last; ++it) {
            if (it->second + records.size() <= trees_.records.size() &&
                std::equal(records.begin(), records.end(), trees_.records.begin() + it->second))
                return it->second;
        }
        const auto base = static_cast<std::uint32_t>(trees_.records.size());
        trees_.records.insert(trees_.records.end(), records.begin(), records.end());
        leaf_by_hash_.emplace(hash, base);
        return base;
    }

    /// A list's ranges stand once; a condition names the part of them that its leaf is about.
    std::uint32_t condition(const TreeTerm& term,
                            const std::array<std::span<const abi::ClassRange>, abi::kDimensionCount>& ranges) {
        abi::Condition c;
        for (std::size_t d = 0; d < abi::kDimensionCount; ++d) {
            if (ranges[d].size() < 2) continue;
            const auto [it, fresh] =
                ranges_of_.try_emplace(term.ranges[d], static_cast<std::uint32_t>(trees_.ranges.size()));
            if (fresh) trees_.ranges.insert(trees_.ranges.end(), term.ranges[d]->begin(), term.ranges[d]->end());
            c.first[d] = it->second + static_cast<std::uint32_t>(ranges[d].data() - term.ranges[d]->data());
            c.count[d] = static_cast<std::uint32_t>(ranges[d].size());
        }
        const auto [it, fresh] =
            condition_of_.try_emplace({c.first, c.count}, static_cast<std::uint32_t>(trees_.conditions.size()));
        if (fresh) trees_.conditions.push_back(c);
        return it->second;
    }

    std::span<const TreeTerm> terms_;
    std::uint64_t bytes_max_, pairs_bytes_max_, refused_bytes_{};
    Trees trees_;
    std::uint32_t depth_max_{};
    std::unordered_multimap<std::uint64_t, std::uint32_t> leaf_by_hash_;
    std::unordered_map<const ClassRanges*, std::uint32_t> ranges_of_;
    std::map<std::pair<abi::ClassPoint, abi::ClassPoint>, std::uint32_t> condition_of_;
};

}  // namespace

std::uint64_t Trees::bytes() const noexcept {
    const auto of = [](const auto& array) { return array.size() * sizeof array[0]; };
    return of(roots) + of(nodes) + of(records) + of(conditions) + of(ranges) + of(blocks) + of(words);
}

Expected<Trees, TreesTooBig> build_trees(std::span<const TreeTerm> terms, const abi::ClassPoint& class_count,
                                         std::uint64_t bytes_max, const TreeOptions& options) {
    return TreeBuilder{terms, bytes_max, options}.build(class_count);
}

}  // namespace sluice::cp
