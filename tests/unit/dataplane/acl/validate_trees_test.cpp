/// S1 for the trees section: once on a policy that is one block of pairs, once on one with cuts, leaves, conditions and
/// blocks of bits.

#include <gtest/gtest.h>

#include "tests/harness/policies.hpp"
#include "tests/harness/random_policies.hpp"
#include "tests/unit/dataplane/acl/damage.hpp"

namespace sluice::dp {
namespace {

using R = abi::RefuseReason;
using K = abi::SectionKind;
using test::EditableGeneration;

abi::TreesSection& trees(EditableGeneration& g) { return g.section<abi::TreesSection>(K::trees); }

template <typename T>
T& item(EditableGeneration& g, abi::ArrayRef abi::TreesSection::*array, std::size_t i) {
    return g.element<T>(K::trees, trees(g).*array, i);
}
abi::Block& block(EditableGeneration& g) { return item<abi::Block>(g, &abi::TreesSection::blocks, 0); }
std::uint64_t& word(EditableGeneration& g, std::size_t i) {
    return item<std::uint64_t>(g, &abi::TreesSection::words, i);
}

const Damage kPairsDamages[] = {
    {"no rule, not even the default", [](auto& g) { trees(g).rule_count = 0; }, R::bounds},
    {"rules of another policy", [](auto& g) { trees(g).rule_count += 1; }, R::bounds},
    {"zones of another policy",
     [](auto& g) {
         trees(g).zone_count = 1;
         trees(g).zone_pairs.count = 1;
     },
     R::bounds},
    {"a dimension without a class", [](auto& g) { trees(g).class_count[3] = 0; }, R::bounds},
    {"classes that the addresses have not", [](auto& g) { trees(g).class_count[0] += 1; }, R::bounds},
    {"a pair of zones without a class",
     [](auto& g) { item<std::uint16_t>(g, &abi::TreesSection::zone_pairs, 0) = 999; }, R::index},
    {"no period", [](auto& g) { trees(g).period_count = 0; }, R::bounds},
    {"a period without pairs of zones", [](auto& g) { trees(g).period_count = 2; }, R::bounds},
    {"more periods than may be", [](auto& g) { trees(g).period_count = 1U << 31; }, R::bounds},
    {"no transition", [](auto& g) { trees(g).transitions.count = 0; }, R::bounds},
    {"nothing in force at first",
     [](auto& g) { item<abi::Transition>(g, &abi::TreesSection::transitions, 0).at_unix_s = 1; }, R::order},
    {"a period that is not there",
     [](auto& g) { item<abi::Transition>(g, &abi::TreesSection::transitions, 0).period = 1; }, R::index},
    {"padding of a transition",
     [](auto& g) { item<abi::Transition>(g, &abi::TreesSection::transitions, 0).must_be_zero = 1; }, R::bounds},
    {"five trees", [](auto& g) { trees(g).roots.count = 5; }, R::budget},
    {"a root that is no node", [](auto& g) { item<std::uint32_t>(g, &abi::TreesSection::roots, 0) = 7; }, R::order},
    {"a block that is not there", [](auto& g) { item<abi::TreeNode>(g, &abi::TreesSection::nodes, 0).base = 1; },
     R::index},
    {"records off their edge", [](auto& g) { trees(g).records.offset += 8; }, R::bounds},
    {"no condition that asks nothing", [](auto& g) { trees(g).conditions.count = 0; }, R::bounds},
    {"visits", [](auto& g) { trees(g).node_visits_max = 2; }, R::bounds},
    {"words of a row", [](auto& g) { trees(g).block_words_max = 1; }, R::bounds},
    {"a block of no kind", [](auto& g) { block(g).kind = abi::BlockKind{2}; }, R::bounds},
    {"a block without rules", [](auto& g) { block(g).rule_count = 0; }, R::bounds},
    {"a block's rules behind the end", [](auto& g) { block(g).rules = ~0U; }, R::bounds},
    {"a block's rule is the default's", [](auto& g) { reinterpret_cast<std::uint32_t&>(word(g, block(g).rules)) = 3; },
     R::index},
    {"a side with a map and starts", [](auto& g) { block(g).sides[1].start_count = 1; }, R::bounds},
    {"a side with neither", [](auto& g) { block(g).sides[1].width = 0; }, R::bounds},
    {"a map behind the end", [](auto& g) { block(g).sides[1].width = ~0U; }, R::bounds},
    {"a side with a map and one row", [](auto& g) { block(g).sides[1].row_count = 1; }, R::bounds},
    {"a map names no row", [](auto& g) { word(g, block(g).sides[1].map) = 0xffff; }, R::index},
    {"a side without rows", [](auto& g) { block(g).sides[2].row_count = 0; }, R::bounds},
    {"rows that make the answers wrap",
     [](auto& g) { block(g).sides[2].row_count = block(g).sides[3].row_count = ~0U; }, R::bounds},
    {"a pair that is not there", [](auto& g) { word(g, block(g).pairs) = 0xffffffff; }, R::index},
    {"an answer that is no rule", [](auto& g) { word(g, block(g).finals) = 7; }, R::index},
    {"a block that names another's words",
     [](auto& g) { block(g).sides[0].map = block(g).sides[1].map = 0, trees(g).words.count = block(g).rules + 4; },
     R::bounds},
    {"an observe rule that decides", [](auto& g) { reinterpret_cast<std::uint32_t&>(word(g, block(g).finals)) = 1; },
     R::order},
};

TEST(ValidateTrees, S1RefusesEachDamageOfAPairsBlock) { expect_refused(kPairsDamages); }

const test::CompiledTables& large() {
    static const test::CompiledTables tables{[] {
        test::Random random{3};
        return test::Pool{3}.policy(test::random_rules(random, 6'000));
    }()};
    return tables;
}

std::size_t node_of_kind(EditableGeneration& g, bool (*wanted)(const abi::TreeNode&)) {
    for (std::size_t n = 0; n < trees(g).nodes.count; ++n) {
        if (wanted(item<abi::TreeNode>(g, &abi::TreesSection::nodes, n))) return n;
    }
    ADD_FAILURE() << "no such node";
    return 0;
}
abi::TreeNode& a_cut(EditableGeneration& g) {
    return item<abi::TreeNode>(g, &abi::TreesSection::nodes, node_of_kind(g, [](const abi::TreeNode& n) {
                                   return n.kind - abi::kTreeCut < abi::kDimensionCount;
                               }));
}
abi::TreeNode& a_leaf(EditableGeneration& g) {
    return item<abi::TreeNode>(g, &abi::TreesSection::nodes, node_of_kind(g, [](const abi::TreeNode& n) {
                                   return n.kind == abi::kTreeLeaf && n.count > 1;
                               }));
}
/// A leaf of one record, which stands in the node.
abi::TreeNode& in_place(EditableGeneration& g) {
    return item<abi::TreeNode>(g, &abi::TreesSection::nodes,
                               node_of_kind(g, [](const abi::TreeNode& n) { return n.kind < abi::kTreeCut; }));
}
abi::LeafRecord& record(EditableGeneration& g, std::size_t i) {
    return item<abi::LeafRecord>(g, &abi::TreesSection::records, i);
}
abi::Block& a_bits_block(EditableGeneration& g) {
    for (std::size_t b = 0; b < trees(g).blocks.count; ++b) {
        auto& found = item<abi::Block>(g, &abi::TreesSection::blocks, b);
        if (found.kind == abi::BlockKind::bits && found.rule_count % 64 != 0) return found;
    }
    ADD_FAILURE() << "no such block";
    return block(g);
}

const Damage kTreeDamages[] = {
    {"a node of no kind", [](auto& g) { a_cut(g).kind = abi::kTreeCut + 9; }, R::enum_value},
    {"a shift that is too wide", [](auto& g) { a_leaf(g).shift = 32; }, R::bounds},
    {"a cut without children", [](auto& g) { a_cut(g).count = 0; }, R::order},
    {"a child that is its own parent", [](auto& g) { a_cut(g).base = 0; }, R::order},
    {"children behind the end", [](auto& g) { a_cut(g).base = ~0U - 100; }, R::order},
    {"a node promises too little", [](auto& g) { a_cut(g).best = abi::kNoRule; }, R::order},
    {"a leaf that is too long", [](auto& g) { a_leaf(g).count = 17; }, R::bounds},
    {"a leaf behind the end", [](auto& g) { a_leaf(g).base = ~0U - 9; }, R::index},
    {"a leaf that ends within a line", [](auto& g) { a_leaf(g).count -= 1; }, R::bounds},
    {"a leaf that begins within a line", [](auto& g) { a_leaf(g).base += 1; }, R::bounds},
    {"padding of a node", [](auto& g) { a_leaf(g).must_be_zero[1] = 1; }, R::bounds},
    {"a leaf's rule is the default's", [](auto& g) { record(g, 0).rule = 6'000; }, R::index},
    {"rules of a leaf out of order", [](auto& g) { record(g, a_leaf(g).base).rule = 5'999; }, R::order},
    {"a leaf's observe bit", [](auto& g) { record(g, a_leaf(g).base).rule ^= abi::kObserveBit; }, R::order},
    {"a condition that is not there", [](auto& g) { record(g, 0).condition = ~0U; }, R::index},
    {"the rule of a record in place is the default's", [](auto& g) { in_place(g).best = 6'000; }, R::index},
    {"a record in place is better than its node says", [](auto& g) { in_place(g).best = 0; }, R::order},
    {"the observe bit of a record in place", [](auto& g) { in_place(g).best ^= abi::kObserveBit; }, R::order},
    {"the condition of a record in place is not there", [](auto& g) { in_place(g).kind = abi::kTreeCut - 1; },
     R::index},
    {"a condition's ranges behind the end",
     [](auto& g) { item<abi::Condition>(g, &abi::TreesSection::conditions, 1).count[1] = ~0U; }, R::index},
    {"condition 0 asks", [](auto& g) { item<abi::Condition>(g, &abi::TreesSection::conditions, 0).count[0] = 1; },
     R::bounds},
    {"rows of a width of their own", [](auto& g) { a_bits_block(g).word_count += 1; }, R::bounds},
    {"rows behind the end", [](auto& g) { a_bits_block(g).sides[3].rows = ~0U; }, R::bounds},
    {"bits behind the last rule",
     [](auto& g) {
         const abi::Block& b = a_bits_block(g);
         word(g, b.sides[0].rows + b.word_count - 1) |= std::uint64_t{1} << 63;
     },
     R::bounds},
    {"a mask that differs from its rule", [](auto& g) { word(g, a_bits_block(g).observe) ^= 1; }, R::order},
};

TEST(ValidateTrees, S1RefusesEachDamageOfATree) {
    for (const Damage& damage : kTreeDamages) {
        EditableGeneration g{large().compiled()};
        damage.apply(g);
        g.fix_section(K::trees);
        const auto view = g.validate({.rule_slots_max = 16'384});
        ASSERT_FALSE(view) << damage.name;
        EXPECT_EQ(view.error().reason, damage.reason) << damage.name << ": " << view.error().where;
    }
}

TEST(ValidateTrees, TheSectionStatesWhatALookupVisits) {
    const TreesView& view = large().view().trees;
    std::uint32_t visits = 0;
    for (std::size_t r = 0; r < view.roots.size(); ++r) {
        std::vector<std::pair<std::uint32_t, std::uint32_t>> open{{view.roots[r], 1}};
        std::uint32_t deepest = 0;
        while (!open.empty()) {
            const auto [n, depth] = open.back();
            open.pop_back();
            deepest = std::max(deepest, depth);
            const abi::TreeNode& node = view.nodes[n];
            for (std::uint32_t c = 0; node.kind - abi::kTreeCut < abi::kDimensionCount && c < node.count; ++c)
                open.emplace_back(node.base + c, depth + 1);
        }
        visits += deepest;
    }
    EXPECT_EQ(view.node_visits_max, visits);
    EXPECT_GT(visits, view.roots.size()) << "the policy makes no tree worth the name";
}

}  // namespace
}  // namespace sluice::dp
