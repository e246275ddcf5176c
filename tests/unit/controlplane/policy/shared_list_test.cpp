#include "controlplane/policy/shared_list.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace sluice::cp {
namespace {

using Words = SharedList<std::string>;

std::string text(const Words& words) {
    std::string all;
    for (const std::string& word : words) all += word;
    return all;
}

TEST(SharedList, CopiesShareUntilOneIsWrittenTo) {
    Words one{"a", "b", "c"};
    Words two = one;
    EXPECT_TRUE(two.same(1, one, 1));
    two[1] = "x";
    EXPECT_EQ(text(one), "abc");
    EXPECT_EQ(text(two), "axc");
    EXPECT_FALSE(two.same(1, one, 1));
    EXPECT_TRUE(two.same(2, one, 2));
    for (std::string& word : one) word += "!";
    EXPECT_EQ(text(two), "axc");
    const std::string* const own = &one[0];
    one[0] = "y";
    EXPECT_EQ(&std::as_const(one)[0], own) << "what nobody shares is written to in its place";
}

TEST(SharedList, ReadingSharesNothingAnew) {
    const Words one{"a", "b"};
    const Words two = one;
    EXPECT_EQ(text(one), "ab");
    EXPECT_EQ(one.at(1), one.back());
    EXPECT_TRUE(one.same(0, two, 0) && one.same(1, two, 1));
}

TEST(SharedList, IsEditedLikeAVector) {
    Words words{"a", "b", "c", "d"};
    const Words before = words;
    words.erase(words.begin() + 1);
    words.insert(words.begin(), "n");
    words.push_back(before.handle(1));
    EXPECT_EQ(text(words), "nacdb");
    std::rotate(words.begin(), words.begin() + 1, words.end());
    EXPECT_EQ(text(words), "acdbn");
    words.insert(words.end(), before.begin(), before.begin() + 2);
    words.resize(8);
    EXPECT_EQ(text(words), "acdbnab");
    EXPECT_EQ(words.size(), 8U);
    words.resize(2);
    EXPECT_EQ(text(words), "ac");
    EXPECT_EQ(text(before), "abcd");
}

/// Many blocks, edited at random, beside a vector that is edited alike.
TEST(SharedList, ManyBlocksAreStillAVector) {
    std::mt19937 random{7};
    SharedList<int> list;
    std::vector<int> plain;
    for (int i = 0; i < 3000; ++i) {
        list.push_back(i);
        plain.push_back(i);
    }
    SharedList<int> before = list;
    const std::vector<int> plain_before = plain;
    for (int turn = 0; turn < 3000; ++turn) {
        const auto at = static_cast<std::ptrdiff_t>(random() % plain.size());
        switch (random() % 4) {
            case 0:
                list.insert(list.begin() + at, turn);
                plain.insert(plain.begin() + at, turn);
                break;
            case 1:
                list.erase(list.begin() + at);
                plain.erase(plain.begin() + at);
                break;
            case 2: {
                const auto end =
                    at + static_cast<std::ptrdiff_t>(
                             random() % std::min<std::size_t>(20, plain.size() - static_cast<std::size_t>(at)));
                list.erase(list.begin() + at, list.begin() + end);
                plain.erase(plain.begin() + at, plain.begin() + end);
                break;
            }
            default: list[static_cast<std::size_t>(at)] = plain[static_cast<std::size_t>(at)] = -turn; break;
        }
        if (plain.size() < 100) break;
    }
    EXPECT_TRUE(std::ranges::equal(std::as_const(list), plain));
    EXPECT_TRUE(std::ranges::equal(std::as_const(before), plain_before)) << "it keeps what it had";
    // Pieces of another list, and what they share.
    SharedList<int> pieces;
    pieces.append(before, 0, 700);
    pieces.push_back(-1);
    pieces.append(before, 701, before.size());
    ASSERT_EQ(pieces.size(), before.size());
    const auto places = shared_places(before, pieces);
    for (std::size_t i = 0; i < places.size(); ++i) ASSERT_EQ(places[i], i == 700 ? kNotShared : i) << i;
    SharedList<int> taken = std::move(pieces);
    EXPECT_TRUE(pieces.empty());  // NOLINT(bugprone-use-after-move): it may be used again
    pieces.push_back(1);
    EXPECT_EQ(std::as_const(pieces).back(), 1);
    taken.clear();
    EXPECT_TRUE(taken.empty());
}

std::string places(const Words& before, const Words& after) {
    std::string out;
    for (const std::uint32_t place : shared_places(before, after))
        out += place == kNotShared ? "-" : std::to_string(place);
    return out;
}

std::string gaps(const Words& before, const Words& after) {
    std::string out;
    for (const SharedGap& gap : shared_gaps(before, after)) {
        out += std::to_string(gap.before_first) + "-" + std::to_string(gap.before_last) + ":" +
               std::to_string(gap.after_first) + "-" + std::to_string(gap.after_last) + " ";
    }
    return out;
}

TEST(SharedList, FindsWhatStandsBetweenWhatTwoListsShare) {
    const Words before{"a", "b", "c", "d", "e"};
    Words after = before;
    EXPECT_EQ(gaps(before, after), "");
    EXPECT_EQ(gaps(before, {}), "0-5:0-0 ");
    EXPECT_EQ(gaps({}, before), "0-0:0-5 ");
    after[1] = "x";
    EXPECT_EQ(gaps(before, after), "1-2:1-2 ");
    after.insert(after.begin() + 2, "n");
    EXPECT_EQ(gaps(before, after), "1-2:1-3 ");
    after.erase(after.begin());
    EXPECT_EQ(gaps(before, after), "0-2:0-2 ");
    after.erase(after.end() - 1);
    after.push_back("e");
    EXPECT_EQ(gaps(before, after), "0-2:0-2 4-5:4-5 ");
    EXPECT_EQ(shared_runs(before, after), (std::vector<SharedRun>{{.before = 2, .after = 2, .count = 2}}));
}

TEST(SharedList, FindsWhatTwoListsShareAlongEdits) {
    const Words before{"a", "b", "c", "d", "e"};
    Words after = before;
    EXPECT_EQ(places(before, after), "01234");
    after[1] = "x";
    EXPECT_EQ(places(before, after), "0-234");
    after.insert(after.begin() + 2, "n");
    EXPECT_EQ(places(before, after), "0--234");
    after.erase(after.begin());
    EXPECT_EQ(places(before, after), "--234");
    EXPECT_EQ(places(before, Words{"a", "b"}), "--") << "equal is not the same";
    Words moved;
    moved.push_back(before.handle(3));
    moved.push_back(before.handle(0));
    moved.push_back(before.handle(4));
    EXPECT_EQ(places(before, moved), "3-4") << "one of those that changed places";
    EXPECT_EQ(places({}, before), "-----");
    EXPECT_EQ(places(before, {}), "");
}

}  // namespace
}  // namespace sluice::cp
