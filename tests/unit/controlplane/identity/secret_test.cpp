#include "controlplane/identity/secret.hpp"

#include <gtest/gtest.h>

#include <set>

namespace sluice::cp {
namespace {

constexpr HashCost kCheap{.passes = 1, .memory_bytes = 8192};

TEST(TokenText, NamesItsIdAndIsNeverTheSame) {
    std::set<std::string> texts;
    for (int i = 0; i < 100; ++i) {
        const auto id = new_token_id();
        const auto text = token_text(id, new_secret());
        EXPECT_EQ(text.size(), 59U);
        EXPECT_EQ(id_in(text), id);
        texts.insert(text);
    }
    EXPECT_EQ(texts.size(), 100U);
}

TEST(TokenText, WhatHasAnotherFormHasNoId) {
    const auto good = token_text("7f3a9c21", std::string(43, 'a'));
    ASSERT_TRUE(id_in(good));
    for (const auto& text :
         {std::string{}, good + "a", good.substr(1), "Sluice_" + good.substr(7),
          token_text("7F3A9C21", std::string(43, 'a')), token_text("7f3a9c2_", std::string(43, 'a')),
          token_text("7f3a9c21", std::string(42, 'a') + "="), token_text(kFirstTokenId, std::string(43, 'a'))}) {
        EXPECT_FALSE(id_in(text)) << text;
    }
}

// RFC 9106; the parameters are OWASP's least, and stand in what is kept.
TEST(SecretHash, IsArgon2idAndFitsItsTextOnly) {
    const auto hash = hash_secret("correct horse");
    EXPECT_TRUE(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$")) << hash;
    EXPECT_EQ(hash.find("correct"), std::string::npos);
    EXPECT_TRUE(fits_hash("correct horse", hash));
    EXPECT_FALSE(fits_hash("correct horsf", hash));
}

TEST(SecretHash, EveryOneHasItsSaltAndNoHashFitsNothing) {
    const auto one = hash_secret("a", kCheap), other = hash_secret("a", kCheap);
    EXPECT_NE(one, other);
    EXPECT_TRUE(fits_hash("a", one) && fits_hash("a", other));
    for (const auto& hash : {std::string{}, std::string{"a"}, std::string(500, 'x'), one.substr(0, one.size() - 1)}) {
        EXPECT_FALSE(fits_hash("a", hash)) << hash;
    }
}

TEST(TokenDigester, IsOfThisProcessOnly) {
    const TokenDigester one, other;
    EXPECT_EQ(one("a"), one("a"));
    EXPECT_NE(one("a"), one("b"));
    EXPECT_NE(one("a"), other("a"));
}

}  // namespace
}  // namespace sluice::cp
