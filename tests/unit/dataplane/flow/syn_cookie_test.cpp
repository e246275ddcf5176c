#include "dataplane/flow/syn_cookie.hpp"

#include <random>
#include <set>

#include <gtest/gtest.h>

#include "tests/harness/seed.hpp"

namespace sluice::dp {
namespace {

constexpr std::uint32_t kSpan = SynCookies::kSpanTicks;

CookieContext somebody(std::uint32_t n = 7) {
    CookieContext c{.ends = {.proto = abi::L4Proto::tcp}, .family = abi::IpFamily::v4, .domain = FlowDomain{0}};
    c.ends.src = abi::IpAddr::of_v4(abi::Ipv4Addr::of_host(0xc6336400 + n));
    c.ends.dst = abi::IpAddr::of_v4(abi::Ipv4Addr::of_host(0xc6336450));
    c.ends.sport = abi::L4Port::of_host(40'000);
    c.ends.dport = abi::L4Port::of_host(443);
    c.client_isn = 1000;
    c.promised_wscale = 7;
    return c;
}

TEST(SynCookie, TellsWhatTheClientOfferedRoundedDown) {
    SynCookies cookies{HashSecret{1, 2}};
    cookies.turn(0);
    struct Row {
        std::uint16_t offered, told;
    };
    for (const Row& row : {Row{216, 216},
                           {535, 216},
                           {536, 536},
                           {1219, 536},
                           {1400, 1400},
                           {1459, 1440},
                           {1460, 1460},
                           {8959, 1460},
                           {8960, 8960},
                           {65'535, 8960}}) {
        for (std::uint8_t wscale = 0; wscale <= kNoScale; ++wscale) {
            for (const bool sack : {false, true}) {
                const auto cookie = cookies.make(somebody(), {row.offered, wscale, sack});
                ASSERT_TRUE(cookie);
                EXPECT_TRUE(cookies.check(somebody(), cookie->number, cookie->timestamp));
                EXPECT_TRUE(cookies.check(somebody(), cookie->number, std::nullopt)) << "a client without timestamps";
                EXPECT_EQ(SynCookies::facts_of(cookie->number), (CookieFacts{row.told, wscale, sack}));
            }
        }
    }
    EXPECT_FALSE(cookies.make(somebody(), {215, 7, true})) << "a client may not get more than it takes";
}

TEST(SynCookie, HoldsForItsSpanAndTheNext) {
    SynCookies cookies{HashSecret{1, 2}};
    cookies.turn(5);
    const auto first = cookies.make(somebody(), {1460, 7, true});
    cookies.turn(kSpan - 1);
    EXPECT_EQ(cookies.make(somebody(), {1460, 7, true})->number, first->number)
        << "a repeated SYN gets the same answer";
    EXPECT_EQ(cookies.make(somebody(), {1460, 7, true})->timestamp, first->timestamp);
    cookies.turn(2 * kSpan - 1);
    EXPECT_TRUE(cookies.check(somebody(), first->number, first->timestamp));
    const auto second = cookies.make(somebody(), {1460, 7, true});
    EXPECT_NE(second->number, first->number);
    cookies.turn(2 * kSpan);
    EXPECT_FALSE(cookies.check(somebody(), first->number, first->timestamp));
    EXPECT_TRUE(cookies.check(somebody(), second->number, second->timestamp));
    cookies.turn(5 * kSpan);
    EXPECT_FALSE(cookies.check(somebody(), second->number, second->timestamp));
    const auto third = cookies.make(somebody(), {1460, 7, true});
    cookies.turn(8 * kSpan);
    EXPECT_FALSE(cookies.check(somebody(), third->number, third->timestamp)) << "behind a pause both keys are new";
    SynCookies reborn{HashSecret{1, 3}};
    reborn.turn(8 * kSpan);
    EXPECT_FALSE(reborn.check(somebody(), cookies.make(somebody(), {1460, 7, true})->number, std::nullopt));
}

// Everything that the MAC covers: another of it, and the cookie is none. One in 2^23 is by chance.
TEST(SynCookie, IsGoodForOneHandshakeOnly) {
    SynCookies cookies{HashSecret{11, 12}};
    cookies.turn(0);
    const CookieContext c = somebody();
    const auto cookie = cookies.make(c, {1460, 7, true});
    for (std::uint32_t bit = 0; bit < 32; ++bit) {
        EXPECT_FALSE(cookies.check(c, cookie->number ^ (1U << bit), cookie->timestamp)) << bit;
        EXPECT_FALSE(cookies.check(c, cookie->number, cookie->timestamp ^ (1U << bit))) << bit;
    }
    const auto refused = [&](auto change) {
        CookieContext other = c;
        change(other);
        return !cookies.check(other, cookie->number, cookie->timestamp);
    };
    EXPECT_TRUE(refused([](auto& o) { o.ends.src = somebody(8).ends.src; }));
    EXPECT_TRUE(refused([](auto& o) { o.ends.dst = somebody(8).ends.src; }));
    EXPECT_TRUE(refused([](auto& o) { o.ends.sport = abi::L4Port::of_host(40'001); }));
    EXPECT_TRUE(refused([](auto& o) { o.ends.dport = abi::L4Port::of_host(444); }));
    EXPECT_TRUE(refused([](auto& o) { o.family = abi::IpFamily::v6; }));
    EXPECT_TRUE(refused([](auto& o) { o.domain = FlowDomain{2}; }));
    EXPECT_TRUE(refused([](auto& o) { ++o.client_isn; }));
    EXPECT_TRUE(refused([](auto& o) { o.promised_wscale = 8; }));
}

TEST(SynCookie, GuessesAreWorthAsMuchAsTheirBits) {
    const std::uint64_t s = test::seed_of_this_run();
    SCOPED_TRACE("SEED=" + std::to_string(s));
    std::mt19937_64 random{s};
    SynCookies cookies{HashSecret{random(), random()}};
    cookies.turn(static_cast<std::uint32_t>(random() >> 40));
    // 2^23 to 1: more than three in two million would be one chance in some 10^4.
    int guessed = 0;
    for (int n = 0; n < 2'000'000; ++n) {
        guessed += cookies.check(somebody(), static_cast<std::uint32_t>(random()), std::nullopt) ? 1 : 0;
    }
    EXPECT_LE(guessed, 5);
    std::set<std::uint32_t> tags;
    for (std::uint32_t n = 0; n < 1000; ++n) tags.insert(cookies.make(somebody(n), {1460, 7, true})->number);
    EXPECT_GT(tags.size(), 995U) << "numbers of different clients have nothing in common";
}

}  // namespace
}  // namespace sluice::dp
