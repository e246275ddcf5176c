/// What a token must have, before its key is asked and after; tests/unit/controlplane/api/issuer_test.py has the whole
/// list, at the process that ships.
#include "controlplane/identity/jwt.hpp"

#include <gtest/gtest.h>

#include "tests/unit/controlplane/identity/signed_tokens.hpp"

namespace sluice::cp {
namespace {

constexpr const char* kClaims =
    R"({"iss":"https://login.example","aud":"sluice","sub":"anna","exp":2000000000.5,"nbf":5,"iat":7,"groups":["a","b c",7]})";

class Jwt : public testing::Test {
protected:
    Expected<JwtClaims, JwtFault> read(const std::string& text) { return read_jwt(text, *keys, config); }
    JwtFault fault(const std::string& claims) {
        const auto read_claims = read(rsa.sign("RS256", claims));
        EXPECT_FALSE(read_claims) << claims;
        return read_claims ? JwtFault::signature : read_claims.error();
    }

    const test::Signer rsa = test::Signer::rsa("r"), elliptic = test::Signer::p256("e");
    std::shared_ptr<const KeySet> keys = *KeySet::parse(test::set_of({rsa.jwk(), elliptic.jwk()}));
    IssuerConfig config{.issuer = "https://login.example", .audience = "sluice"};
};

TEST_F(Jwt, SaysWhoUntilWhenAndWithWhichGroups) {
    for (const auto& text : {rsa.sign("RS256", kClaims), rsa.sign("PS256", kClaims), elliptic.sign("ES256", kClaims)}) {
        ASSERT_TRUE(looks_like_jwt(text));
        const auto claims = read(text);
        ASSERT_TRUE(claims);
        EXPECT_EQ(claims->subject, "anna");
        EXPECT_EQ(claims->values, (std::vector<std::string>{"a", "b c"}));
        EXPECT_EQ(claims->expires_s, 2'000'000'000);
        EXPECT_EQ(claims->not_before_s, 7);
        EXPECT_TRUE(keys->has(claims->key_digest));
    }
}

TEST_F(Jwt, EveryByteIsSigned) {
    const auto text = elliptic.sign("ES256", kClaims);
    for (std::size_t i = 0; i < text.size(); ++i) {
        auto changed = text;
        changed[i] = changed[i] == 'A' ? 'B' : 'A';
        // The last character of a part may have bits that no byte has: only one spelling is taken.
        EXPECT_FALSE(read(changed)) << i;
    }
    for (std::size_t length = 0; length < text.size(); ++length) EXPECT_FALSE(read(text.substr(0, length))) << length;
}

TEST_F(Jwt, AlgorithmsThatAreNotOnTheListAreRefusedWhateverTheirKey) {
    for (const auto* algorithm : {"RS384", "RS512", "PS384", "PS512"})
        EXPECT_EQ(read(rsa.sign(algorithm, kClaims)).error(), JwtFault::algorithm) << algorithm;
}

TEST_F(Jwt, WhoseAndForWhomIsAskedBeforeTheKey) {
    const auto stranger = test::Signer::rsa("x");
    EXPECT_EQ(read(stranger.sign("RS256", kClaims)).error(), JwtFault::key_unknown);
    EXPECT_EQ(read(stranger.sign("RS256", R"({"iss":"https://other"})")).error(), JwtFault::issuer);
    EXPECT_EQ(read(stranger.sign("RS256", R"({"iss":"https://login.example","aud":"x"})")).error(), JwtFault::audience);
    EXPECT_EQ(read(test::Signer::rsa("r").sign("RS256", kClaims)).error(), JwtFault::signature);
}

TEST_F(Jwt, ClaimsOfAnotherTypeAreNone) {
    const std::string begin = R"({"iss":"https://login.example","aud":"sluice",)";
    for (const auto* rest :
         {R"("exp":1})", R"("sub":"a"})", R"("sub":7,"exp":1})", R"("sub":"","exp":1})", R"("sub":"a b","exp":1})",
          R"("sub":"a","exp":"1"})", R"("sub":"a","exp":-1})", R"("sub":"a","exp":1e300})",
          R"("sub":"a","exp":1,"nbf":"x"})", R"("sub":"a","exp":1,"iat":null})", R"("sub":"a")"})
        EXPECT_EQ(fault(begin + rest), JwtFault::malformed) << rest;
    EXPECT_EQ(fault("[]"), JwtFault::malformed);
}

TEST_F(Jwt, TheRoleClaimMayLieInsideAnother) {
    config.roles_claim = {"realm", "roles"};
    const std::string begin = R"({"iss":"https://login.example","aud":["x","sluice"],"sub":"a","exp":9,)";
    EXPECT_EQ(read(rsa.sign("RS256", begin + R"("realm":{"roles":["v"]}})"))->values, std::vector<std::string>{"v"});
    EXPECT_EQ(read(rsa.sign("RS256", begin + R"("realm":{"roles":" v  w "}})"))->values,
              (std::vector<std::string>{"v", "w"}));
    for (const auto* realm : {R"("realm":["roles"]})", R"("realm":{"roles":7}})", R"("roles":["v"]})"})
        EXPECT_TRUE(read(rsa.sign("RS256", begin + realm))->values.empty()) << realm;
}

TEST(LooksLikeJwt, TokensOfOurOwnDoNot) {
    EXPECT_FALSE(looks_like_jwt("sluice_7f3a9c21_" + std::string(43, 'a')));
    for (const auto* text : {"", "eyJ", "eyJ.a", "eyJ.a.b.c", "a.b.c", "eyJ.a b.c", "eyJ.a=.c"})
        EXPECT_FALSE(looks_like_jwt(text)) << text;
    EXPECT_TRUE(looks_like_jwt("eyJ.a."));
    EXPECT_FALSE(looks_like_jwt("eyJ.." + std::string(kJwtBytesMax, 'a')));
}

}  // namespace
}  // namespace sluice::cp
