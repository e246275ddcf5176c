/// Keys that come, go and can't be had, and the tokens that they signed; issuer_test.py has the rest, over sockets.
#include "controlplane/api/issuer_tokens.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <ctime>

#include "controlplane/api/issuer_fetch.hpp"
#include "controlplane/api/issuer_keys.hpp"
#include "tests/unit/controlplane/identity/signed_tokens.hpp"

namespace sluice::cp::api {
namespace {

using namespace std::chrono_literals;
using cp::test::Signer;

/// Shows what it is told to.
struct Shown {
    std::mutex mutex;
    std::string keys;  ///< empty = it can't be had
    std::atomic<int> reads{};
};
class ShownSource : public KeySource {
public:
    explicit ShownSource(Shown& shown) : shown_{shown} {}
    Expected<std::string, std::string> read(std::chrono::milliseconds) override {
        ++shown_.reads;
        const std::lock_guard lock{shown_.mutex};
        if (shown_.keys.empty()) return Unexpected<std::string>("it is down");
        return shown_.keys;
    }

private:
    Shown& shown_;
};

class IssuerTokensTest : public testing::Test {
protected:
    void begin(IssuerTimes times = {.demand_every = 1h, .retry_every = 1h}) {
        keys.emplace(config, times);
        tokens.emplace(*keys);
        keys->start(std::make_unique<ShownSource>(shown));
    }
    void show(const std::string& text) {
        const std::lock_guard lock{shown.mutex};
        shown.keys = text;
    }
    std::string token(const Signer& signer, std::int64_t expires_in_s = 600) const {
        const auto end = std::to_string(std::time(nullptr) + expires_in_s);
        return signer.sign(
            "RS256",
            R"({"iss":"https://login.example","aud":"sluice","sub":"anna","groups":["ops"],"exp":)" + end + "}");
    }
    AuthDecision read(const std::string& text) {
        bool lasting = false;
        return tokens->read(text, digest(text), lasting);
    }

    const Signer first = Signer::rsa("1"), second = Signer::rsa("2");
    IssuerConfig config{.issuer = "https://login.example", .audience = "sluice", .roles = {{"ops", {Role::operator_}}}};
    Shown shown;
    TokenDigester digest;
    std::optional<IssuerKeys> keys;
    std::optional<IssuerTokens> tokens;
};

TEST_F(IssuerTokensTest, AreKnownOnceReadAndJudgedWithEveryRequest) {
    show(cp::test::set_of({first.jwk()}));
    begin();
    const auto text = token(first);
    EXPECT_EQ(tokens->known(digest(text)), nullptr);
    const auto who = read(text);
    ASSERT_EQ(who.result, AuthResult::granted);
    EXPECT_EQ(who.actor, "oidc:anna@https://login.example");
    EXPECT_EQ(who.roles, Roles{Role::operator_});
    EXPECT_EQ(tokens->judge(tokens->known(digest(text))).result, AuthResult::granted);
    const auto old = read(token(first, -31));
    EXPECT_EQ(old.result, AuthResult::expired);
    EXPECT_TRUE(old.roles.empty());
    EXPECT_EQ(read(token(first, -25)).result, AuthResult::granted) << "clocks may differ by half a minute";
}

TEST_F(IssuerTokensTest, AKeyThatIsNotThereIsLookedForOnceInAWhile) {
    show(cp::test::set_of({first.jwk()}));
    begin();
    const auto old = read(token(first));
    ASSERT_EQ(old.result, AuthResult::granted);
    show(cp::test::set_of({second.jwk()}));
    EXPECT_EQ(read(token(second)).result, AuthResult::granted);
    EXPECT_EQ(shown.reads, 2);
    EXPECT_EQ(tokens->judge(old.claims).result, AuthResult::token_key_unknown) << "its key is withdrawn";
    for (int i = 0; i < 20; ++i) EXPECT_EQ(read(token(Signer::rsa("3", 1024))).result, AuthResult::token_key_unknown);
    EXPECT_EQ(shown.reads, 2);
}

TEST_F(IssuerTokensTest, KeysThatCantBeHadStayInForceUntilTheyAreTooOld) {
    config.keys_age_max_s = 1;
    config.refresh_s = 3600;
    show(cp::test::set_of({first.jwk()}));
    begin({.demand_every = 0ms, .retry_every = 1h});
    const auto who = read(token(first));
    ASSERT_EQ(who.result, AuthResult::granted);
    show("");
    EXPECT_NE(keys->renewed(), nullptr);
    EXPECT_NE(keys->view().trouble, "");
    EXPECT_EQ(keys->view().read_failures, 1U);
    const auto hang = std::chrono::steady_clock::now() + 10s;
    while (tokens->judge(who.claims).result == AuthResult::granted && std::chrono::steady_clock::now() < hang)
        std::this_thread::sleep_for(10ms);
    EXPECT_EQ(tokens->judge(who.claims).result, AuthResult::token_keys_missing);
    EXPECT_EQ(keys->view().keys, 0U);
    show(cp::test::set_of({first.jwk()}));
    EXPECT_EQ(read(token(first)).result, AuthResult::granted);
    EXPECT_EQ(keys->view().trouble, "");
}

TEST_F(IssuerTokensTest, WhatFailedIsTriedAgainByItself) {
    begin({.demand_every = 1h, .retry_every = 5ms});
    show(cp::test::set_of({first.jwk()}));
    const auto hang = std::chrono::steady_clock::now() + 10s;
    while (keys->current() == nullptr && std::chrono::steady_clock::now() < hang) std::this_thread::sleep_for(5ms);
    EXPECT_NE(keys->current(), nullptr);
}

TEST(IssuerUrl, IsHttpsOrOnLoopback) {
    const auto url = parse_issuer_url("https://login.example:8443/a/keys?x=1");
    ASSERT_TRUE(url);
    EXPECT_TRUE(url->tls);
    EXPECT_EQ(url->host, "login.example");
    EXPECT_EQ(url->port, "8443");
    EXPECT_EQ(url->authority, "login.example:8443");
    EXPECT_EQ(url->target, "/a/keys?x=1");
    EXPECT_EQ(parse_issuer_url("https://login.example")->port, "443");
    EXPECT_EQ(parse_issuer_url("http://[::1]:81/k")->host, "::1");
    EXPECT_EQ(parse_issuer_url("http://127.0.0.1/k")->port, "80");
    for (const auto* text :
         {"", "ftp://x/", "http://login.example/k", "http://localhost/k", "http://127.0.0.1.example/k", "https://",
          "https://u@h/", "https://h:0/", "https://h:x/", "https://h:99999/", "https://h/a b", "https://h/#f",
          "https://[::1/k", "http://10.0.0.1/k", "https://h?x"})
        EXPECT_FALSE(parse_issuer_url(text)) << text;
}

}  // namespace
}  // namespace sluice::cp::api
