#include "controlplane/identity/key_set.hpp"

#include <cjose/jwk.h>
#include <gtest/gtest.h>

#include "tests/unit/controlplane/identity/signed_tokens.hpp"

namespace sluice::cp {
namespace {

using test::Signer;

std::size_t kept(const std::string& json) {
    const auto set = KeySet::parse(json);
    return set ? (*set)->size() : 0;
}

TEST(KeySet, KeepsWhatCanVerifyAndLeavesOutTheRest) {
    const auto good = Signer::rsa("a"), elliptic = Signer::p256("b");
    EXPECT_EQ(kept(test::set_of({good.jwk(), elliptic.jwk()})), 2U);
    const auto with = [](std::string jwk, const std::string& more) { return jwk.insert(1, more + ","); };
    EXPECT_EQ(kept(test::set_of({with(good.jwk(), R"("use":"enc")"), elliptic.jwk()})), 1U);
    EXPECT_EQ(kept(test::set_of({with(good.jwk(), R"("key_ops":["sign"])"), elliptic.jwk()})), 1U);
    EXPECT_EQ(kept(test::set_of({with(good.jwk(), R"("key_ops":["verify"],"x5c":["A"])")})), 1U);
    EXPECT_EQ(kept(test::set_of({R"({"kty":"oct","kid":"s","k":"c2VjcmV0"})", elliptic.jwk(), "7", "{}"})), 1U);
    EXPECT_EQ(kept(test::set_of({Signer::rsa("small", 1024).jwk()})), 0U);
}

// What the issuer's server says must not end the process, whatever it is.
TEST(KeySet, NumbersThatAreNoBase64urlAreLeftOut) {
    const auto good = Signer::p256("b"), other = Signer::rsa("r");
    for (const std::string_view number : {"x", "y", "n", "e"}) {
        for (const std::string_view wrong : {"=", "A=A", "AAAAA", "A", "A+B/", "Ab==", " AAA"}) {
            const std::string name = "\"" + std::string{number} + "\":\"";
            auto jwk = good.jwk().find(name) != std::string::npos ? good.jwk() : other.jwk();
            const auto at = jwk.find(name);
            ASSERT_NE(at, std::string::npos) << number;
            jwk.replace(at + name.size(), jwk.find('"', at + name.size()) - at - name.size(), wrong);
            EXPECT_EQ(kept(test::set_of({jwk, Signer::p256("c").jwk()})), 1U) << jwk;
        }
    }
}

TEST(KeySet, WhatIsNoSetIsSaidInASentence) {
    for (const auto* text : {"", "[]", "{}", R"({"keys": {}})", R"({"keys": []})", R"({"keys": [{"kty":"RSA"}]})"}) {
        const auto set = KeySet::parse(text);
        ASSERT_FALSE(set) << text;
        EXPECT_FALSE(set.error().empty());
    }
    EXPECT_FALSE(KeySet::parse(std::string(kKeySetBytesMax + 1, ' ')));
}

TEST(KeySet, AKeyIsFoundByIdAndKindAndToldFromAnotherOfItsId) {
    const auto first = Signer::rsa("a"), second = Signer::rsa("a"), elliptic = Signer::p256("e");
    const auto set = *KeySet::parse(test::set_of({first.jwk(), elliptic.jwk()}));
    ASSERT_NE(set->find("a", JwsAlgorithm::rs256), nullptr);
    EXPECT_NE(set->find("a", JwsAlgorithm::ps256), nullptr);
    EXPECT_EQ(set->find("a", JwsAlgorithm::es256), nullptr);
    EXPECT_EQ(set->find("e", JwsAlgorithm::rs256), nullptr);
    EXPECT_EQ(set->find("b", JwsAlgorithm::rs256), nullptr);
    EXPECT_EQ(set->find("", JwsAlgorithm::es256)->id, "e") << "the only one";
    const auto other = *KeySet::parse(test::set_of({second.jwk(), Signer::rsa("c").jwk()}));
    EXPECT_EQ(other->find("", JwsAlgorithm::rs256), nullptr) << "there are two";
    EXPECT_TRUE(set->has(set->find("a", JwsAlgorithm::rs256)->digest));
    EXPECT_FALSE(other->has(set->find("a", JwsAlgorithm::rs256)->digest));
    auto only = first.jwk();
    only.insert(1, R"("alg":"PS256",)");
    const auto bound = *KeySet::parse(test::set_of({only}));
    EXPECT_EQ(bound->find("a", JwsAlgorithm::rs256), nullptr) << "the set says which algorithm";
    EXPECT_NE(bound->find("a", JwsAlgorithm::ps256), nullptr);
}

}  // namespace
}  // namespace sluice::cp
