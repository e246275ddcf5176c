#include "controlplane/compiler/tree_shadow.hpp"

#include <algorithm>
#include <cstdint>
#include <deque>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "tests/harness/seed.hpp"

namespace sluice::cp {
namespace {

constexpr std::uint32_t kClasses = 6;

/// Terms over two dimensions of few classes, so that every point can be asked.
struct Terms {
    std::deque<ClassRanges> ranges;
    std::vector<TreeTerm> all;
    ClassRanges one{{0, 0}};

    void add(ClassRanges first, ClassRanges second, bool observe = false) {
        ranges.push_back(std::move(first));
        ranges.push_back(std::move(second));
        all.push_back({.ranges = {&ranges[ranges.size() - 2], &ranges.back(), &one, &one},
                       .rule = static_cast<abi::RuleIndex>(all.size()),
                       .observe = observe});
    }
    /// Those that touch the region.
    TermIndices in(const Region& region) const {
        TermIndices found;
        for (std::uint32_t t = 0; t < all.size(); ++t) {
            bool touches = true;
            for (std::size_t d = 0; d < abi::kDimensionCount; ++d)
                touches = touches && !touching(*all[t].ranges[d], region.first[d], region.last[d]).empty();
            if (touches) found.push_back(t);
        }
        return found;
    }
    bool matches(std::uint32_t t, std::uint32_t x, std::uint32_t y) const {
        return !touching(*all[t].ranges[0], x, x).empty() && !touching(*all[t].ranges[1], y, y).empty();
    }
    /// The observe rules in front of the deciding one, and that.
    std::vector<std::uint32_t> met(const TermIndices& some, std::uint32_t x, std::uint32_t y) const {
        std::vector<std::uint32_t> rules;
        for (const std::uint32_t t : some) {
            if (!matches(t, x, y)) continue;
            rules.push_back(t);
            if (!all[t].observe) break;
        }
        return rules;
    }
};

Region region(std::uint32_t x0, std::uint32_t x1, std::uint32_t y0, std::uint32_t y1) {
    return {.first = {x0, y0, 0, 0}, .last = {x1, y1, 0, 0}};
}

TermIndices left(const Terms& terms, const Region& region) {
    TermIndices some = terms.in(region);
    drop_unreached(terms.all, some, region);
    return some;
}

TEST(TreeShadow, ATermInsideOneBeforeItGoesWhereThatTakesItWhole) {
    Terms terms;
    terms.add({{0, 3}}, {{0, 5}});
    terms.add({{1, 4}}, {{2, 3}});
    EXPECT_EQ(left(terms, region(0, 5, 0, 5)), (TermIndices{0, 1})) << "it reaches out of the first";
    EXPECT_EQ(left(terms, region(0, 3, 0, 5)), (TermIndices{0})) << "not in this part";
    EXPECT_EQ(left(terms, region(4, 5, 0, 5)), (TermIndices{1}));
}

TEST(TreeShadow, NothingGoesBehindAnObserveRule) {
    Terms terms;
    terms.add({{0, 5}}, {{0, 5}}, true);
    terms.add({{1, 4}}, {{2, 3}});
    terms.add({{2, 3}}, {{2, 3}}, true);
    EXPECT_EQ(left(terms, region(0, 5, 0, 5)), (TermIndices{0, 1})) << "but an observe rule behind a decision does";
}

TEST(TreeShadow, ATermWithGapsTakesNothingButWhereItHasNone) {
    Terms terms;
    terms.add({{0, 1}, {4, 5}}, {{0, 5}});
    terms.add({{1, 4}}, {{1, 1}});
    EXPECT_EQ(left(terms, region(0, 5, 0, 5)), (TermIndices{0, 1}));
    EXPECT_EQ(left(terms, region(0, 1, 0, 5)), (TermIndices{0}));
}

/// Every packet of a region meets the same rules with and without what was dropped.
TEST(TreeShadow, NoPacketSeesADifference) {
    std::mt19937_64 random{test::seed_of_this_run()};
    std::size_t dropped = 0;
    const auto below = [&](std::uint32_t n) { return static_cast<std::uint32_t>(random() % n); };
    const auto some_ranges = [&] {
        ClassRanges ranges;
        for (std::uint32_t at = below(3); at < kClasses; at += 2 + below(3)) {
            const std::uint32_t last = std::min(kClasses - 1, at + below(4));
            ranges.push_back({at, last});
            at = last;
        }
        if (ranges.empty()) ranges.push_back({0, kClasses - 1});
        if (below(2) == 0) ranges = {{ranges.front().first, ranges.back().last}};
        return ranges;
    };
    for (int turn = 0; turn < 2'000; ++turn) {
        Terms terms;
        const std::uint32_t count = 1 + below(turn % 10 == 0 ? 80 : 12);
        for (std::uint32_t i = 0; i < count; ++i) terms.add(some_ranges(), some_ranges(), below(4) == 0);
        const std::uint32_t x = below(kClasses), y = below(kClasses);
        const Region part = region(x, x + below(kClasses - x), y, y + below(kClasses - y));
        const TermIndices before = terms.in(part), after = left(terms, part);
        dropped += before.size() - after.size();
        for (std::uint32_t i = part.first[0]; i <= part.last[0]; ++i) {
            for (std::uint32_t j = part.first[1]; j <= part.last[1]; ++j)
                ASSERT_EQ(terms.met(before, i, j), terms.met(after, i, j)) << "turn " << turn;
        }
    }
    EXPECT_GT(dropped, 1'000U);
}

}  // namespace
}  // namespace sluice::cp
