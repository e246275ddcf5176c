/// Edges of the lookup: ends of lines, batches, words of rows, observe rules. Random policies are the property tests'.
#include "dataplane/acl/lookup.hpp"

#include <gtest/gtest.h>

#include "dataplane/acl/isa.hpp"
#include "tests/harness/policies.hpp"

namespace sluice::dp {
namespace {

using abi::L4Proto;
using cp::Action;
using test::CompiledTables;
using test::key;
using test::PolicyBuilder;

PolicyBuilder one_zone() {
    PolicyBuilder b;
    b.zone("z", {"p0"});
    return b;
}

TEST(Lookup, FindsBothEndsOfEveryPrefixAndNothingBeside) {
    PolicyBuilder b = one_zone();
    b.rule({.id = "first-v4", .from = {"0.0.0.0/32"}}).rule({.id = "last-v4", .from = {"255.255.255.255/32"}});
    b.rule({.id = "half-v4", .from = {"128.0.0.0/2"}}).rule({.id = "in-one-root", .from = {"10.1.128.0/25"}});
    b.rule({.id = "first-v6", .from = {"::/128"}});
    b.rule({.id = "last-v6", .from = {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"}});
    b.rule({.id = "deep-v6", .from = {"2001:db8::ffff:ffff:ffff:fff0/124"}});
    b.rule({.id = "all-v6", .from = {"::/0"}});
    const CompiledTables t{b.build()};
    const auto v4 = [&](std::string_view src) { return t.rule_for(key(0, src, 0, "192.0.2.1", L4Proto::tcp, 1)); };
    const auto v6 = [&](std::string_view src) { return t.rule_for(key(0, src, 0, "2001:db8::1", L4Proto::tcp, 1)); };
    EXPECT_EQ(v4("0.0.0.0"), "first-v4");
    EXPECT_EQ(v4("0.0.0.1"), "default");
    EXPECT_EQ(v4("255.255.255.255"), "last-v4");
    EXPECT_EQ(v4("255.255.255.254"), "default");
    EXPECT_EQ(v4("127.255.255.255"), "default");
    EXPECT_EQ(v4("128.0.0.0"), "half-v4");
    EXPECT_EQ(v4("191.255.255.255"), "half-v4");
    EXPECT_EQ(v4("192.0.0.0"), "default");
    EXPECT_EQ(v4("10.1.127.255"), "default");
    EXPECT_EQ(v4("10.1.128.0"), "in-one-root");
    EXPECT_EQ(v4("10.1.128.127"), "in-one-root");
    EXPECT_EQ(v4("10.1.128.128"), "default");
    EXPECT_EQ(v6("::"), "first-v6");
    EXPECT_EQ(v6("::1"), "all-v6");
    EXPECT_EQ(v6("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), "last-v6");
    EXPECT_EQ(v6("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe"), "all-v6");
    EXPECT_EQ(v6("2001:db8::ffff:ffff:ffff:ffef"), "all-v6");
    EXPECT_EQ(v6("2001:db8::ffff:ffff:ffff:fff0"), "deep-v6");
    EXPECT_EQ(v6("2001:db8::ffff:ffff:ffff:ffff"), "deep-v6");
    EXPECT_EQ(v6("2001:db8:0:1::"), "all-v6");
}

TEST(Lookup, KnowsTheEndsOfPortsAndProtocols) {
    PolicyBuilder b = one_zone();
    b.rule({.id = "zero", .service = {"tcp/0"}}).rule({.id = "last", .service = {"tcp/65535"}});
    b.rule({.id = "any-tcp", .service = {"tcp"}}).rule({.id = "gre", .service = {"proto/47"}});
    b.rule({.id = "proto-255", .service = {"proto/255"}}).rule({.id = "udp-range", .service = {"udp/8000-8100"}});
    const CompiledTables t{b.build()};
    const auto ask = [&](L4Proto proto, std::uint16_t port) {
        return t.rule_for(key(0, "192.0.2.1", 0, "192.0.2.2", proto, port));
    };
    EXPECT_EQ(ask(L4Proto::tcp, 0), "zero");
    EXPECT_EQ(ask(L4Proto::tcp, 1), "any-tcp");
    EXPECT_EQ(ask(L4Proto::tcp, 65534), "any-tcp");
    EXPECT_EQ(ask(L4Proto::tcp, 65535), "last");
    EXPECT_EQ(ask(L4Proto::udp, 7999), "default");
    EXPECT_EQ(ask(L4Proto::udp, 8000), "udp-range");
    EXPECT_EQ(ask(L4Proto::udp, 8100), "udp-range");
    EXPECT_EQ(ask(L4Proto::udp, 8101), "default");
    EXPECT_EQ(ask(L4Proto::gre, 0), "gre");
    EXPECT_EQ(ask(L4Proto{255}, 0), "proto-255");
    EXPECT_EQ(ask(L4Proto{0}, 0), "default");
}

TEST(Lookup, TakesIcmpForIpv4OnlyAndIcmp6ForIpv6Only) {
    PolicyBuilder b = one_zone();
    b.rule({.id = "ping4", .service = {"icmp/8"}}).rule({.id = "icmp4", .service = {"icmp"}});
    b.rule({.id = "ping6", .service = {"icmp6/128"}}).rule({.id = "any", .to = {"192.0.2.9", "2001:db8::9"}});
    const CompiledTables t{b.build()};
    const std::uint16_t echo4 = 8 << 8, echo6 = 128 << 8;
    EXPECT_EQ(t.rule_for(key(0, "192.0.2.1", 0, "192.0.2.2", L4Proto::icmp, echo4)), "ping4");
    EXPECT_EQ(t.rule_for(key(0, "192.0.2.1", 0, "192.0.2.2", L4Proto::icmp, 13 << 8)), "icmp4");
    EXPECT_EQ(t.rule_for(key(0, "2001:db8::1", 0, "2001:db8::2", L4Proto::icmp6, echo6)), "ping6");
    EXPECT_EQ(t.rule_for(key(0, "2001:db8::1", 0, "2001:db8::2", L4Proto::icmp, echo4)), "default");
    EXPECT_EQ(t.rule_for(key(0, "192.0.2.1", 0, "192.0.2.2", L4Proto::icmp6, echo6)), "default");
    EXPECT_EQ(t.rule_for(key(0, "2001:db8::1", 0, "2001:db8::9", L4Proto::icmp, echo4)), "any");
}

TEST(Lookup, RecordsTheFirstObserveRuleBeforeTheDecisionOnly) {
    PolicyBuilder b = one_zone();
    b.rule({.id = "watch-a", .service = {"tcp/80"}, .action = Action::allow, .mode = abi::RuleMode::observe});
    b.rule({.id = "watch-b", .service = {"tcp"}, .mode = abi::RuleMode::observe});
    b.rule({.id = "decide", .service = {"tcp"}, .action = Action::reject});
    b.rule({.id = "too-late", .mode = abi::RuleMode::observe});
    const CompiledTables t{b.build()};
    const auto ask = [&](L4Proto proto, std::uint16_t port) {
        return t.lookup(key(0, "192.0.2.1", 0, "192.0.2.2", proto, port));
    };
    EXPECT_EQ(ask(L4Proto::tcp, 80).observe, 0U);
    EXPECT_EQ(ask(L4Proto::tcp, 80).rule, 2U);
    EXPECT_EQ(ask(L4Proto::tcp, 81).observe, 1U);
    EXPECT_EQ(ask(L4Proto::udp, 80).observe, 3U) << "before the default";
    EXPECT_EQ(ask(L4Proto::udp, 80).rule, 4U);
}

/// Term counts around the widths of words and vectors: 1, 63..65, 4 and 8 words, and one beside each.
TEST(Lookup, AnswersAlikeInEveryBodyAtEveryRowWidth) {
    for (const std::uint32_t count : {0U, 1U, 63U, 64U, 65U, 255U, 256U, 257U, 511U, 512U, 513U, 577U, 1000U, 1024U}) {
        PolicyBuilder b = one_zone();
        for (std::uint32_t i = 0; i < count; ++i) {
            b.rule({.id = "r" + std::to_string(i),
                    .service = {"tcp/" + std::to_string(i)},
                    .mode = i % 7 == 3 ? abi::RuleMode::observe : abi::RuleMode::enforce});
        }
        const CompiledTables t{b.build()};
        for (std::uint32_t port = 0; port <= count; ++port) {
            const LookupKey k = key(0, "192.0.2.1", 0, "192.0.2.2", L4Proto::tcp, static_cast<std::uint16_t>(port));
            const bool observe = port < count && port % 7 == 3;
            for (const Isa isa : {Isa::scalar, Isa::avx2, Isa::avx512}) {
                if (!supported(isa)) continue;
                LookupResult r;
                lookup_using(isa, t.view(), std::span{&k, 1}, std::span{&r, 1});
                ASSERT_EQ(r.rule, observe ? count : port) << count << " rules, body " << static_cast<int>(isa);
                ASSERT_EQ(r.observe, observe ? port : abi::kNoRule);
            }
        }
    }
}

TEST(Lookup, AnswersABatchLikeSingleKeys) {
    const CompiledTables t{one_zone()
                               .rule({.id = "a", .from = {"10.0.0.0/8"}, .service = {"tcp/1-9"}})
                               .rule({.id = "b", .to = {"2001:db8::/32"}})
                               .build()};
    std::vector<LookupKey> keys;
    for (std::uint16_t i = 0; i < kLookupBatchMax; ++i) {
        keys.push_back(i % 3 == 0
                           ? key(0, "2001:db8::1", 0, i % 2 == 0 ? "2001:db8::2" : "2001:db9::2", L4Proto::udp, i)
                           : key(0, i % 2 == 0 ? "10.1.2.3" : "11.1.2.3", 0, "192.0.2.1", L4Proto::tcp, i));
    }
    for (std::size_t n = 0; n <= keys.size(); ++n) {
        std::vector<LookupResult> results(n);
        lookup(t.view(), std::span{keys}.first(n), results);
        for (std::size_t i = 0; i < n; ++i) ASSERT_EQ(results[i].rule, t.lookup(keys[i]).rule) << n << " " << i;
    }
}

}  // namespace
}  // namespace sluice::dp
