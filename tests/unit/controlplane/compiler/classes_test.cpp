#include "controlplane/compiler/classes.hpp"

#include <gtest/gtest.h>

namespace sluice::cp {
namespace {

struct Piece {
    std::uint32_t at{};
    std::uint64_t lists{};
    bool operator==(const Piece&) const = default;
};

std::vector<Piece> pieces(const std::vector<Ranges<std::uint32_t>>& lists) {
    std::vector<Cut<std::uint32_t>> cuts;
    for (ListIndex l = 0; l < lists.size(); ++l) add_cuts(cuts, l, lists[l]);
    std::sort(cuts.begin(), cuts.end());
    std::vector<Piece> out;
    sweep(cuts, lists.size(), [&](std::uint32_t at, const ListSet& set) {
        out.push_back({.at = at, .lists = set.words().empty() ? 0 : set.words()[0]});
    });
    return out;
}

TEST(Classes, SweepCutsTheLineWhereTheSetOfListsChanges) {
    EXPECT_EQ(pieces({}), (std::vector<Piece>{{0, 0}}));
    EXPECT_EQ(pieces({{{10, 19}}}), (std::vector<Piece>{{0, 0}, {10, 1}, {20, 0}}));
    EXPECT_EQ(pieces({{{0, 0xffffffff}}}), (std::vector<Piece>{{0, 1}})) << "no cut behind the end";
    EXPECT_EQ(pieces({{{0, 9}}, {{10, 0xffffffff}}}), (std::vector<Piece>{{0, 1}, {10, 2}}));
    EXPECT_EQ(pieces({{{5, 20}}, {{10, 15}}}), (std::vector<Piece>{{0, 0}, {5, 1}, {10, 3}, {16, 1}, {21, 0}}));
}

TEST(Classes, EqualSetsAreOneClassAndTheFirstPassCountsThem) {
    std::vector<Cut<std::uint32_t>> cuts;
    for (std::uint32_t i = 0; i < 100; ++i) add_cuts(cuts, i % 3, {{i * 10, i * 10 + 4}});
    std::sort(cuts.begin(), cuts.end());
    ClassCount count;
    ClassTable table;
    sweep(cuts, 3, [&](std::uint32_t, const ListSet& set) {
        count.see(set);
        table.intern(set);
    });
    EXPECT_EQ(table.count(), 4U) << "none, and each of three alone";
    EXPECT_EQ(count.count(), table.count());
}

TEST(Classes, RowsHoldTheTermsOfTheirListsAndThoseOfAnyList) {
    std::vector<Cut<std::uint32_t>> cuts;
    add_cuts(cuts, 0, {{10, 19}});
    add_cuts(cuts, 1, {{15, 29}});
    std::sort(cuts.begin(), cuts.end());
    ClassTable table;
    sweep(cuts, 2, [&](std::uint32_t, const ListSet& set) { table.intern(set); });
    // Term 0 any, 1 list 0, 2 list 1, 64 list 0: two words a row.
    std::vector<ListIndex> list_of_term(65, 1);
    list_of_term[0] = kAnyList;
    list_of_term[1] = 0;
    list_of_term[64] = 0;
    const auto rows = term_rows(table, list_of_term, 2, 2);
    const std::uint64_t ones = ~std::uint64_t{0};
    EXPECT_EQ(rows, (std::vector<std::uint64_t>{1, 0, 3, 1, ones, 1, ones - 2, 0}));
}

}  // namespace
}  // namespace sluice::cp
