#include "controlplane/store/text_edit.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "tests/harness/seed.hpp"

namespace sluice::cp {
namespace {

constexpr std::size_t kNoLimit = 1U << 30;

std::string lines(unsigned first, unsigned count) {
    std::string text;
    for (unsigned n = first; n < first + count; ++n) text += "  - {id: rule-" + std::to_string(n) + ", action: deny}\n";
    return text;
}

std::string made(std::string_view before, std::string_view edit) {
    EditedText text{before};
    EXPECT_TRUE(text.apply(edit));
    return text.text();
}

TEST(TextEdit, OneLineOfManyIsAShortEdit) {
    const std::string before = lines(0, 1000), after = lines(0, 499) + "  - {id: other}\n" + lines(500, 500);
    const auto edit = text_edit(before, after, kNoLimit);
    ASSERT_TRUE(edit);
    EXPECT_LT(edit->size(), 120U);
    EXPECT_EQ(made(before, *edit), after);
}

TEST(TextEdit, LinesFarFromEachOtherAreAnEditEach) {
    const std::string before = lines(0, 1000);
    const std::string after = lines(0, 100) + "new\n" + lines(100, 400) + lines(510, 290) + "x\ny\n" + lines(801, 199);
    const auto edit = text_edit(before, after, kNoLimit);
    ASSERT_TRUE(edit);
    EXPECT_LT(edit->size(), 400U);
    EXPECT_EQ(made(before, *edit), after);
}

TEST(TextEdit, WhatHasLittleInCommonIsNoEdit) {
    EXPECT_FALSE(text_edit(lines(0, 1000), lines(2000, 1000), 4096));
    EXPECT_TRUE(text_edit(lines(0, 1000), lines(2000, 1000), kNoLimit));
}

TEST(TextEdit, WhatIsKnownToBeTheSameIsNotLookedFor) {
    const std::string before = lines(0, 1000), after = "head\n" + lines(0, 500) + "new\n" + lines(501, 499) + "tail\n";
    const std::size_t first = lines(0, 500).size(), second = lines(501, 499).size();
    const std::vector<KeptText> kept{
        {.before = 0, .after = 5, .bytes = first},
        {.before = before.size() - second, .after = after.size() - 5 - second, .bytes = second}};
    const auto edit = text_edit(before, after, kNoLimit, kept);
    ASSERT_TRUE(edit);
    EXPECT_LT(edit->size(), 300U);
    EXPECT_EQ(made(before, *edit), after);
    // Some of it, and what is not the same at its ends, or stands where it can't.
    EXPECT_EQ(made(before, *text_edit(before, after, kNoLimit, std::span{kept}.first(1))), after);
    for (const KeptText& wrong : {KeptText{.before = 0, .after = 6, .bytes = 100},
                                  {.before = 0, .after = 5, .bytes = first + 5},
                                  {.before = before.size(), .after = 0, .bytes = 1},
                                  {.before = 1, .after = 1, .bytes = ~std::size_t{0}}}) {
        EXPECT_EQ(made(before, *text_edit(before, after, kNoLimit, {{wrong}})), after) << wrong.before;
    }
    const std::vector<KeptText> backwards{kept[1], kept[0]};
    EXPECT_EQ(made(before, *text_edit(before, after, kNoLimit, backwards)), after);
    EXPECT_FALSE(text_edit(before, after, 60, std::vector<KeptText>{kept[0]})) << "as long as it may be";
}

TEST(TextEdit, EdgesOfATextAreEditsToo) {
    const std::vector<std::string> texts{
        "", "a", "\n", "a\n", "a\nb\n", "b\na\n", lines(0, 3), lines(1, 3), lines(0, 2) + "x"};
    for (const auto& before : texts) {
        for (const auto& after : texts) {
            const auto edit = text_edit(before, after, kNoLimit);
            ASSERT_TRUE(edit);
            EXPECT_EQ(made(before, *edit), after) << before << "->" << after;
        }
    }
}

// However a text is changed, and however often: the edits in a row make it.
TEST(TextEdit, ARowOfRandomEditsMakesTheText) {
    SCOPED_TRACE(sluice::test::seed_line());
    std::mt19937_64 random{sluice::test::seed_of_this_run()};
    for (int round = 0; round < 40; ++round) {
        const std::string whole = lines(0, 1 + static_cast<unsigned>(random() % 300));
        std::string text = whole;
        std::vector<std::string> edits;
        for (int n = 0; n < 30; ++n) {
            const std::string before = text;
            for (auto changes = 1 + random() % 4; changes != 0; --changes) {
                const auto at = random() % (text.size() + 1);
                text.erase(at, random() % 3 == 0 ? random() % 200 : random() % 3);
                const auto where = random() % (text.size() + 1);
                text.insert(where, random() % 2 == 0 ? lines(static_cast<unsigned>(random() % 999), 1 + random() % 5)
                                                     : std::string(random() % 3, 'z'));
            }
            auto edit = text_edit(before, text, kNoLimit);
            ASSERT_TRUE(edit);
            edits.push_back(std::move(*edit));
        }
        EditedText edited{whole};
        for (const auto& edit : edits) ASSERT_TRUE(edited.apply(edit));
        ASSERT_EQ(edited.text(), text);
    }
}

// A damaged edit is refused or makes another text; it never reaches beyond what it was given.
TEST(TextEdit, DamagedEditsAreRefusedOrSeen) {
    SCOPED_TRACE(sluice::test::seed_line());
    std::mt19937_64 random{sluice::test::seed_of_this_run()};
    const std::string before = lines(0, 200), after = lines(0, 90) + "new\n" + lines(95, 100);
    const std::string edit = *text_edit(before, after, kNoLimit);
    std::size_t refused = 0;
    for (int n = 0; n < 3000; ++n) {
        std::string damaged = edit;
        if (random() % 4 == 0) {
            damaged.resize(random() % damaged.size());
        } else {
            damaged[random() % damaged.size()] ^= static_cast<char>(1U << random() % 8);
        }
        EditedText text{before};
        if (!text.apply(damaged)) {
            ++refused;
            EXPECT_EQ(text.text(), before);
        } else {
            EXPECT_NE(text.text(), after);
        }
    }
    EXPECT_GT(refused, 1000U);
}

}  // namespace
}  // namespace sluice::cp
