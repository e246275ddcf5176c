/// The shapes that trees take; that they answer as the rules say is the property tests' (tests/property).
#include "controlplane/compiler/tree.hpp"

#include <algorithm>
#include <array>
#include <deque>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "controlplane/compiler/tree_cut.hpp"
#include "tests/harness/seed.hpp"

namespace sluice::cp {
namespace {

/// Terms over classes, in order; transport and zones are one class each.
struct Rules {
    std::deque<ClassRanges> ranges;
    std::vector<TreeTerm> terms;
    ClassRanges one{{0, 0}};

    void add(ClassRanges source, ClassRanges destination, bool observe = false) {
        ranges.push_back(std::move(source));
        ranges.push_back(std::move(destination));
        terms.push_back({.ranges = {&ranges[ranges.size() - 2], &ranges.back(), &one, &one},
                         .rule = static_cast<abi::RuleIndex>(terms.size()),
                         .observe = observe});
    }
    Expected<Trees, TreesTooBig> build(std::uint32_t sources, std::uint32_t destinations,
                                       std::uint64_t bytes_max = 1ULL << 30) const {
        return build_trees(terms, {sources, destinations, 1, 1}, bytes_max);
    }
};

/// `count` rules from one class to another, all different.
Rules points(std::uint32_t count) {
    Rules rules;
    for (std::uint32_t i = 0; i < count; ++i) rules.add({{i, i}}, {{i * 7 % count, i * 7 % count}});
    return rules;
}

TEST(Tree, APolicyWithoutRulesHasNone) {
    const auto trees = Rules{}.build(1, 1);
    ASSERT_TRUE(trees);
    EXPECT_TRUE(trees->roots.empty());
    EXPECT_EQ(trees->node_visits_max, 0U);
}

TEST(Tree, ASmallPolicyIsOneBlockOfPairs) {
    const auto trees = points(200).build(200, 200);
    ASSERT_TRUE(trees);
    ASSERT_EQ(trees->blocks.size(), 1U);
    EXPECT_EQ(trees->blocks[0].kind, abi::BlockKind::pairs);
    EXPECT_EQ(trees->node_visits_max, 1U);
}

TEST(Tree, RulesThatAreEasyToTellApartAreInOneLeafEach) {
    constexpr std::uint32_t kCount = 50'000;
    const auto trees = points(kCount).build(kCount, kCount);
    ASSERT_TRUE(trees);
    EXPECT_LT(trees->records.size(), kCount * 2U);
    EXPECT_TRUE(trees->blocks.empty());
    EXPECT_LE(trees->node_visits_max, 6U);
    EXPECT_LT(trees->bytes(), kCount * 80U);
}

/// A blocklist whose members lie between all others: one rule, however many ranges.
TEST(Tree, ASetIsNeverMultipliedOut) {
    constexpr std::uint32_t kCount = 20'000;
    Rules rules;
    ClassRanges scattered;
    for (std::uint32_t i = 0; i < kCount; i += 2) scattered.push_back({i, i});
    rules.add(scattered, {{0, kCount - 1}});
    for (std::uint32_t i = 1; i < kCount; i += 2) rules.add({{i, i}}, {{i, i}});
    const auto trees = rules.build(kCount, kCount);
    ASSERT_TRUE(trees);
    EXPECT_LT(trees->bytes(), kCount * 80U);
}

TEST(Tree, WhatNoCutTellsApartIsABlock) {
    Rules rules;
    std::mt19937 random{5};
    const auto below = [&](std::uint32_t n) { return static_cast<std::uint32_t>(random() % n); };
    for (int i = 0; i < 5'000; ++i) {  // sets of 50 scattered classes of 2,000, every rule
        std::array<ClassRanges, 2> sides;
        for (ClassRanges& side : sides) {
            for (std::uint32_t at = below(40); at < 2'000; at += 2 + below(76)) side.push_back({at, at});
        }
        rules.add(sides[0], sides[1], i % 10 == 0);
    }
    const auto trees = rules.build(2'000, 2'000);
    ASSERT_TRUE(trees);
    EXPECT_FALSE(trees->blocks.empty());
    EXPECT_LT(trees->bytes(), 64U << 20);
}

TEST(Tree, WhatStandsBehindARuleForAllIsLeftOut) {
    Rules rules;
    for (std::uint32_t i = 0; i < 10; ++i) rules.add({{i, i}}, {{i, i}});
    rules.add({{0, 9}}, {{0, 9}}, true);  // watches, does not decide
    rules.add({{0, 9}}, {{0, 9}});
    for (std::uint32_t i = 0; i < 50'000; ++i) rules.add({{i % 10, i % 10}}, {{0, 9}});
    const auto trees = rules.build(10, 10);
    ASSERT_TRUE(trees);
    ASSERT_EQ(trees->blocks.size(), 1U);
    EXPECT_EQ(trees->blocks[0].rule_count, 12U);
}

TEST(Tree, TheWorkEndsWhenItIsTooMuch) {
    const auto trees = points(50'000).build(50'000, 50'000, 100'000);
    ASSERT_FALSE(trees);
    EXPECT_GT(trees.error().bytes, 100'000U);
    EXPECT_LT(trees.error().bytes, 4'000'000U);
}

TEST(TreeCut, CutsWherePacketsHaveFewestTermsLeft) {
    Rules rules;
    for (std::uint32_t i = 0; i < 64; ++i) rules.add({{0, 99}}, {{i, i}});  // sources say nothing
    TermIndices all(64);
    for (std::uint32_t i = 0; i < 64; ++i) all[i] = i;
    const Region region{.first = {}, .last = {99, 63, 0, 0}};
    const auto cut = best_cut(rules.terms, all, region);
    ASSERT_TRUE(cut);
    EXPECT_EQ(cut->dimension, 1U);
    EXPECT_EQ(cut->children, 64U);
    EXPECT_EQ(cut->expected, 1.0);
    EXPECT_EQ(child_region(region, *cut, 5).first[1], 5U);
    EXPECT_EQ(child_region(region, *cut, 5).last[1], 5U);
    EXPECT_FALSE(best_cut(rules.terms, all, Region{.first = {0, 3, 0, 0}, .last = {99, 3, 0, 0}}));
}

/// In every dimension, by random terms in random regions: a term is given to a child exactly where it has a class
/// there.
TEST(TreeCut, ATermGoesToTheChildrenWhereItHasAClass) {
    std::mt19937 random{test::seed_of_this_run()};
    const auto below = [&](std::uint32_t n) { return static_cast<std::uint32_t>(random() % n); };
    for (int round = 0; round < 2'000; ++round) {
        SCOPED_TRACE(test::seed_line() + " round " + std::to_string(round));
        const std::size_t d = random() % abi::kDimensionCount;
        Region region;
        region.first[d] = below(50);
        region.last[d] = region.first[d] + below(200);
        TreeCut cut{.dimension = d, .shift = static_cast<std::uint8_t>(random() % 6)};
        cut.children = static_cast<std::uint32_t>(((region.width(d) - 1) >> cut.shift) + 1);
        ClassRanges ranges;
        for (std::uint32_t at = below(40); at < 300; at = ranges.back().last + 2 + below(60))
            ranges.push_back({at, at + static_cast<std::uint32_t>(random() % 30)});
        TreeTerm term;
        term.ranges.fill(&ranges);

        std::vector<std::uint32_t> expected, put;
        for (std::uint32_t child = 0; child < cut.children; ++child) {
            const Region part = child_region(region, cut, child);
            EXPECT_EQ(part.first[d], region.first[d] + (child << cut.shift));
            EXPECT_EQ(part.last[d], std::min(region.last[d], part.first[d] + (1U << cut.shift) - 1));
            bool has = false;
            for (const abi::ClassRange& r : ranges) has = has || (r.first <= part.last[d] && part.first[d] <= r.last);
            if (has) expected.push_back(child);
        }
        for_each_child(term, region, cut, [&](std::uint32_t child) { put.push_back(child); });
        ASSERT_EQ(put, expected);
    }
}

TEST(TreeCut, WhereAllTermsCoverTheRegionNothingIsCut) {
    Rules rules;
    for (int i = 0; i < 100; ++i) rules.add({{0, 99}}, {{0, 99}});
    TermIndices all(rules.terms.size());
    for (std::uint32_t i = 0; i < all.size(); ++i) all[i] = i;
    EXPECT_FALSE(best_cut(rules.terms, all, {{}, {99, 99, 0, 0}}));
}

}  // namespace
}  // namespace sluice::cp
