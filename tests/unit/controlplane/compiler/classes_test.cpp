#include "controlplane/compiler/classes.hpp"

#include <limits>
#include <random>

#include <gtest/gtest.h>

#include "tests/harness/seed.hpp"

namespace sluice::cp {
namespace {

using Lists = std::vector<Ranges<std::uint32_t>>;
constexpr std::uint32_t kEnd = std::numeric_limits<std::uint32_t>::max();

struct Numbered {
    Intervals<std::uint32_t> line;
    std::uint32_t count;
    std::vector<ClassRanges> lists;
};

Numbered numbered(const Lists& lists, std::uint32_t last = kEnd) {
    std::vector<Cut<std::uint32_t>> cuts;
    for (ListIndex l = 0; l < lists.size(); ++l) add_cuts(cuts, l, lists[l]);
    ClassNumbers numbers{lists.size()};
    Numbered out;
    out.line = numbers.add_line(cuts, last);
    out.count = numbers.count();
    out.lists = numbers.take_lists();
    return out;
}

std::vector<std::pair<std::uint32_t, std::uint32_t>> pieces(const Lists& lists, std::uint32_t last = kEnd) {
    std::vector<std::pair<std::uint32_t, std::uint32_t>> out;
    for (const auto& i : numbered(lists, last).line) out.emplace_back(i.first, i.class_index);
    return out;
}

TEST(Classes, TheLineIsCutWhereTheSetOfListsChanges) {
    using Pieces = std::vector<std::pair<std::uint32_t, std::uint32_t>>;
    EXPECT_EQ(pieces({}), (Pieces{{0, 0}}));
    EXPECT_EQ(pieces({{{10, 19}}}), (Pieces{{0, 0}, {10, 1}, {20, 0}}));
    EXPECT_EQ(pieces({{{0, kEnd}}}), (Pieces{{0, 0}})) << "no cut behind the end";
    EXPECT_EQ(pieces({{{0, 9}}, {{10, kEnd}}}), (Pieces{{0, 0}, {10, 1}}));
    EXPECT_EQ(pieces({{{5, 20}}, {{10, 15}}}), (Pieces{{0, 0}, {5, 1}, {10, 2}, {16, 1}, {21, 0}}));
    EXPECT_EQ(pieces({{{0, 99}}}, 99), (Pieces{{0, 0}})) << "what is behind the line's end is no class";
    EXPECT_EQ(pieces({{{0, 99}}}, 100), (Pieces{{0, 0}, {100, 1}}));
}

TEST(Classes, ManyCutsAreSortedLikeFew) {
    SCOPED_TRACE(test::seed_line());
    std::mt19937 random{test::seed_of_this_run()};
    for (const std::size_t count : {0U, 2047U, 2048U, 5000U}) {
        std::vector<Cut<std::uint32_t>> cuts(count);
        for (std::uint32_t i = 0; i < count; ++i) {
            // All digits, and often the same place.
            cuts[i] = {static_cast<std::uint32_t>(random()) >> random() % 32 << random() % 32, i};
        }
        auto sorted = cuts;
        std::sort(sorted.begin(), sorted.end());
        sort_cuts(cuts);
        EXPECT_TRUE(std::is_sorted(cuts.begin(), cuts.end(), [](const auto& a, const auto& b) { return a.at < b.at; }));
        std::sort(cuts.begin(), cuts.end());
        EXPECT_EQ(cuts, sorted) << "none more, none less";
    }
}

TEST(Classes, EqualSetsAreOneClass) {
    Lists lists(3);
    for (std::uint32_t i = 0; i < 99; ++i) lists[i % 3].push_back({i * 10, i * 10 + 4});
    const Numbered n = numbered(lists);
    EXPECT_EQ(n.count, 4U) << "none, and each of three alone";
    for (const ClassRanges& ranges : n.lists) EXPECT_EQ(ranges.size(), 1U) << "33 members, one range of one class";
}

TEST(Classes, APrefixIsOneRangeWhateverLiesInIt) {
    const Numbered n =
        numbered({{{100, 999}}, {{200, 299}}, {{250, 259}}, {{100, 149}}, {{300, 399}, {2000, 2099}}, {{1500, 1599}}});
    for (std::size_t l = 0; l < 4; ++l) EXPECT_EQ(n.lists[l].size(), 1U) << l;
    EXPECT_EQ(n.lists[4].size(), 2U) << "once inside the prefix, once outside";
}

TEST(Classes, SeveralLinesAreOneNumbering) {
    std::vector<Cut<std::uint32_t>> first, second;
    add_cuts(first, 0, {{10, 19}});
    add_cuts(second, 0, {{5, 5}});
    add_cuts(second, 1, {{7, 7}});
    ClassNumbers numbers{2};
    numbers.add_line(first, kEnd);
    const auto line = numbers.add_line(second, kEnd);
    EXPECT_EQ(line[1].class_index, 1U) << "the same list is the same class on both lines";
    EXPECT_EQ(numbers.count(), 3U);
    EXPECT_EQ(numbers.take_lists(), (std::vector<ClassRanges>{{{1, 1}}, {{2, 2}}}));
}

/// On random lists, an address is in a list exactly where its class is in the list's ranges, and two classes differ in
/// some list.
TEST(Classes, ClassesSayOfEveryPlaceWhichListsHoldIt) {
    const std::uint32_t seed = test::seed_of_this_run();
    std::mt19937_64 random{seed};
    for (int round = 0; round < 200; ++round) {
        Lists lists(1 + random() % 20);
        for (auto& list : lists) {
            for (std::uint64_t r = random() % 12; r > 0; --r) {
                const auto first = static_cast<std::uint32_t>(random() % 500);
                list.push_back({first, first + static_cast<std::uint32_t>(random() % 60)});
            }
            normalise(list);
        }
        const Numbered n = numbered(lists);
        std::vector<std::vector<bool>> of_class(n.count);
        for (std::uint32_t at = 0; at < 600; ++at) {
            auto interval = n.line.begin();
            while (interval + 1 != n.line.end() && (interval + 1)->first <= at) ++interval;
            std::vector<bool> holds;
            for (std::size_t l = 0; l < lists.size(); ++l) {
                const auto inside = [](const auto& ranges, std::uint32_t x) {
                    return std::any_of(ranges.begin(), ranges.end(),
                                       [&](const auto& r) { return r.first <= x && x <= r.last; });
                };
                const bool held = inside(lists[l], at);
                ASSERT_EQ(inside(n.lists[l], interval->class_index), held) << "seed " << seed << " round " << round;
                holds.push_back(held);
            }
            auto& known = of_class[interval->class_index];
            if (known.empty()) known = holds;
            ASSERT_EQ(known, holds) << "seed " << seed << " round " << round;
        }
    }
}

}  // namespace
}  // namespace sluice::cp
