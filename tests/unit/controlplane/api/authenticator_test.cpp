#include "controlplane/api/authenticator.hpp"

#include <gtest/gtest.h>

#include <future>

#include "controlplane/store/wall_clock.hpp"
#include "tests/unit/controlplane/api/first_token.hpp"
#include "tests/unit/controlplane/api/memory_policy_service.hpp"

namespace sluice::cp::api {
namespace {

class AuthenticatorTest : public testing::Test {
protected:
    void SetUp() override { test::make_first_token(service, "0123456789"); }

    AuthDecision ask(const std::string& header, const std::string& peer = "192.0.2.7") {
        const auto decision = authenticator.recognise(header, peer);
        return decision ? *decision : authenticator.verify(header, peer);
    }
    AuthResult result(const std::string& header, const std::string& peer = "192.0.2.7") {
        return ask(header, peer).result;
    }
    static std::string bearer(const std::string& token) { return "Bearer " + token; }

    test::MemoryPolicyService service;
    Authenticator authenticator{service.tokens()};
};

TEST_F(AuthenticatorTest, OnlyTheWholeTokenOpens) {
    EXPECT_EQ(authenticator.recognise(std::nullopt, "192.0.2.7")->result, AuthResult::missing);
    EXPECT_EQ(result("Bearer 0123456789"), AuthResult::granted);
    EXPECT_EQ(result("bearer  0123456789"), AuthResult::granted);
    for (const auto* wrong : {"", "Bearer", "Bearer ", "0123456789", "Basic 0123456789", "Bearer 012345678",
                              "Bearer 01234567890", "Bearer 0123456789 "}) {
        EXPECT_EQ(result(wrong), AuthResult::wrong) << wrong;
    }
}

TEST_F(AuthenticatorTest, SaysWhoAsksAndWithWhichRoles) {
    const auto text = test::make_token(service, "ci-deploy", {Role::editor});
    const auto who = ask(bearer(text));
    EXPECT_EQ(who.result, AuthResult::granted);
    EXPECT_EQ(who.actor, "token:ci-deploy/" + *id_in(text));
    EXPECT_EQ(who.roles, Roles{Role::editor});
    const auto first = ask("Bearer 0123456789");
    EXPECT_EQ(first.actor, "token:first-start/00000000");
    EXPECT_EQ(first.roles, kEveryRole);
    auto other = text;
    other.back() = other.back() == 'A' ? 'B' : 'A';
    EXPECT_EQ(result(bearer(other)), AuthResult::wrong) << "the id alone is nothing";
}

TEST_F(AuthenticatorTest, AHashIsComputedOnceForEachText) {
    for (int i = 0; i < 5; ++i) EXPECT_EQ(result("Bearer 0123456789"), AuthResult::granted);
    EXPECT_EQ(authenticator.computed(), 1U);
    for (int i = 0; i < 100; ++i) EXPECT_EQ(result("Bearer wrong-wrong"), AuthResult::wrong) << i;
    EXPECT_EQ(authenticator.computed(), 2U) << "who repeats the same mistake costs nothing and is not kept out";
    EXPECT_EQ(result("Bearer sluice_7f3a9c21_" + std::string(43, 'a')), AuthResult::wrong);
    EXPECT_EQ(authenticator.computed(), 2U) << "there is no such id";
}

TEST_F(AuthenticatorTest, RevokedAndExpiredCountFromTheNextRequestOn) {
    const auto text = test::make_token(service, "anna", {Role::viewer});
    const auto who = ask(bearer(text));
    ASSERT_EQ(who.result, AuthResult::granted);
    EXPECT_TRUE(authenticator.still_live(who));
    ASSERT_TRUE(service.tokens().revoke(*id_in(text), {}));
    EXPECT_EQ(result(bearer(text)), AuthResult::revoked);
    EXPECT_FALSE(authenticator.still_live(who));
    EXPECT_TRUE(ask(bearer(text)).roles.empty());
    const auto old = test::make_token(service, "bao", {Role::viewer}, wall_clock_ns() - 1);
    EXPECT_EQ(result(bearer(old)), AuthResult::expired);
    const auto soon = test::make_token(service, "chi", {Role::viewer}, wall_clock_ns() + 50'000'000);
    const auto granted = ask(bearer(soon));
    const auto hang = std::chrono::steady_clock::now() + std::chrono::seconds{10};
    while (authenticator.still_live(granted) && std::chrono::steady_clock::now() < hang) {
        std::this_thread::sleep_for(std::chrono::milliseconds{5});
    }
    EXPECT_FALSE(authenticator.still_live(granted)) << "it goes on behind its end";
    EXPECT_EQ(result(bearer(soon)), AuthResult::expired);
}

TEST_F(AuthenticatorTest, GuessingIsBoundedByAddressAndTurnsNobodyAwayWhoIsKnown) {
    ASSERT_EQ(result("Bearer 0123456789"), AuthResult::granted);
    int wrong = 0;
    AuthDecision last;
    for (int i = 0; i < 50; ++i) {
        last = ask("Bearer guess-" + std::to_string(i), "2001:db8::" + std::to_string(i));
        wrong += last.result == AuthResult::wrong ? 1 : 0;
    }
    EXPECT_GE(wrong, 20) << "the burst";
    EXPECT_LE(wrong, 22) << "one /64 is one address";
    EXPECT_EQ(last.result, AuthResult::throttled);
    EXPECT_GE(last.retry_after.count(), 1);
    EXPECT_EQ(last.actor, "anonymous");
    EXPECT_EQ(result("Bearer 0123456789", "2001:db8::1"), AuthResult::granted) << "who is known is let in";
    const auto computed = authenticator.computed();
    EXPECT_LE(computed, 23U) << "what is turned away costs no hash";
    EXPECT_EQ(result("Bearer guess-x", "2001:db8:0:1::1"), AuthResult::wrong) << "another address has its own";
}

TEST_F(AuthenticatorTest, GuessingFromEverywhereIsBoundedAltogether) {
    int throttled = 0;
    for (int i = 0; i < 100; ++i) {
        const auto peer = "192.0.2." + std::to_string(i);
        throttled += ask("Bearer guess-" + std::to_string(i), peer).result == AuthResult::throttled ? 1 : 0;
    }
    EXPECT_LE(authenticator.computed(), 45U);
    EXPECT_GE(throttled, 55);
}

// After a restart of the control plane nobody is known, and all come at once.
TEST_F(AuthenticatorTest, ManyWithTheRightTokenAtOnceAreLetIn) {
    std::vector<std::future<AuthResult>> asked;
    for (int i = 0; i < 64; ++i) {
        const auto decision = authenticator.recognise("Bearer 0123456789", "192.0.2.7");
        if (decision) {
            EXPECT_EQ(decision->result, AuthResult::granted);
            continue;
        }
        asked.push_back(std::async(std::launch::deferred,
                                   [this] { return authenticator.verify("Bearer 0123456789", "192.0.2.7").result; }));
    }
    EXPECT_EQ(asked.size(), 64U);
    for (auto& answer : asked) EXPECT_EQ(answer.get(), AuthResult::granted);
    EXPECT_EQ(authenticator.computed(), 1U);
}

TEST(FirstToken, IsTakenOverOnceAndANewTextReplacesIt) {
    test::MemoryPolicyService service;
    auto& tokens = service.tokens();
    ASSERT_TRUE(adopt_first_token(tokens, std::nullopt, test::kCheapHash));
    EXPECT_FALSE(tokens.find(kFirstTokenId)) << "no file, no token";
    ASSERT_TRUE(adopt_first_token(tokens, "first-text", test::kCheapHash));
    const auto first = tokens.find(kFirstTokenId);
    ASSERT_TRUE(first);
    EXPECT_TRUE(fits_hash("first-text", first->hash));
    ASSERT_TRUE(adopt_first_token(tokens, "first-text", test::kCheapHash));
    EXPECT_EQ(tokens.find(kFirstTokenId)->hash, first->hash) << "a restart changes nothing";
    ASSERT_TRUE(adopt_first_token(tokens, token_text("7f3a9c21", std::string(43, 'a')), test::kCheapHash));
    EXPECT_EQ(tokens.find(kFirstTokenId)->hash, first->hash) << "a token of the store's own is not the first one";
    test::make_token(service, "anna", {Role::admin});
    ASSERT_TRUE(tokens.revoke(kFirstTokenId, {}));
    ASSERT_TRUE(adopt_first_token(tokens, "first-text", test::kCheapHash));
    EXPECT_FALSE(tokens.find(kFirstTokenId)->live(wall_clock_ns())) << "the file is no way back";
    ASSERT_TRUE(adopt_first_token(tokens, "second-text", test::kCheapHash));
    EXPECT_TRUE(tokens.find(kFirstTokenId)->live(wall_clock_ns())) << "another text is: its writer owns the directory";
}

}  // namespace
}  // namespace sluice::cp::api
