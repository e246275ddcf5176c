#include "controlplane/identity/base64url.hpp"

#include <gtest/gtest.h>

namespace sluice::cp {
namespace {

TEST(Base64url, DecodesWhatRfc4648Has) {
    // Section 10, without padding, and the two characters that differ from base64.
    EXPECT_EQ(decode_base64url(""), "");
    EXPECT_EQ(decode_base64url("Zg"), "f");
    EXPECT_EQ(decode_base64url("Zm8"), "fo");
    EXPECT_EQ(decode_base64url("Zm9v"), "foo");
    EXPECT_EQ(decode_base64url("Zm9vYmFy"), "foobar");
    EXPECT_EQ(decode_base64url("-_-_"), std::string("\xfb\xff\xbf"));
}

TEST(Base64url, TakesOneSpellingOnly) {
    for (const auto* text : {"Z", "Zm9vY", "Zg=", "Zg==", "=", "Z=g", "Zm9v=", "Zh", "Zm9", "+/+/", "Zm 9v", "Zm9v\n"})
        EXPECT_FALSE(decode_base64url(text)) << text;
}

}  // namespace
}  // namespace sluice::cp
