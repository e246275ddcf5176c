#include "dataplane/acl/check.hpp"

#include <vector>

#include <gtest/gtest.h>

namespace sluice::dp {
namespace {

TEST(Check, TakesUtf8WithoutControlCharacters) {
    for (const std::string_view good : {"", "a", "edge-1", "b\u00fcro", "\u94f6\u884c", "\U0001f525", "\xef\xbf\xbf"})
        EXPECT_TRUE(is_clean_utf8(good)) << good;
}

/// RFC 3629 section 3: overlong forms, surrogates, above U+10FFFF, lone and missing tails.
TEST(Check, RefusesWhatIsNoUtf8) {
    for (const std::string_view bad :
         {"\x80", "\xc0\xaf", "\xc1\xbf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf0\x80\x80\x80", "\xf4\x90\x80\x80",
          "\xf5\x80\x80\x80", "\xff", "\xc3", "\xe2\x82", "\xf0\x9f\x94", "\xc3(", "a\n", "\x7f", "\x1b[0m"})
        EXPECT_FALSE(is_clean_utf8(bad)) << testing::PrintToString(bad);
    EXPECT_FALSE(is_clean_utf8(std::string_view{"a\0b", 3}));
}

TEST(Check, NotesTheFirstFailureOnly) {
    Check check{"some section"};
    EXPECT_TRUE(check.require(true, abi::RefuseReason::bounds, "fine"));
    EXPECT_FALSE(check.require(false, abi::RefuseReason::order, "item ", 7U, " is wrong"));
    EXPECT_FALSE(check.require(false, abi::RefuseReason::text, "and another"));
    const Refusal refusal = check.take();
    EXPECT_EQ(refusal.reason, abi::RefuseReason::order);
    EXPECT_EQ(refusal.where, "some section: item 7 is wrong");
}

/// Every combination of an offset and a count near the edges and near 2^64 against arithmetic that cannot wrap.
TEST(Check, HandsOutAnArrayOnlyInsideTheSection) {
    alignas(8) std::array<std::byte, 64> section{};
    std::vector<std::uint64_t> edges;
    for (const std::uint64_t base :
         {std::uint64_t{0}, std::uint64_t{16}, std::uint64_t{56}, std::uint64_t{64}, std::uint64_t{1} << 32,
          std::uint64_t{1} << 60, std::uint64_t{1} << 63, std::uint64_t{0}}) {
        for (std::uint64_t d = 0; d < 17; ++d) {
            edges.push_back(base + d);
            edges.push_back(base - d);
        }
    }
    for (const std::uint64_t offset : edges) {
        for (const std::uint64_t count : edges) {
            Check check{"section"};
            check.open(section, 16);
            std::span<const std::uint64_t> out;
            const bool inside = offset % 8 == 0 && offset >= 16 && offset <= 64 && count <= (64 - offset) / 8;
            ASSERT_EQ(check.array("a", {.offset = offset, .count = count}, out), inside) << offset << " " << count;
            ASSERT_EQ(out.size(), inside ? count : 0);
        }
    }
}

}  // namespace
}  // namespace sluice::dp
