/// The benches' rules: read right, made without overlaps, and the same for both sides of a comparison.
#include "tests/bench/rig/rules.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <sstream>

#include "tests/bench/rig/traces.hpp"
#include "tests/harness/policies.hpp"

namespace sluice::bench {
namespace {

std::uint64_t seed() {
    const char* const given = std::getenv("SEED");
    return given != nullptr ? std::strtoull(given, nullptr, 10) : 20'261'125;
}

std::vector<FilterRule> read(const std::string& text) {
    std::istringstream in{text};
    auto rules = read_filters(in);
    EXPECT_TRUE(rules) << (rules ? "" : rules.error());
    return rules ? *rules : std::vector<FilterRule>{};
}

constexpr const char* kFilters =
    "@192.0.2.9/24\t198.51.100.80/32\t0 : 65535\t443 : 443\t0x06/0xFF\t0x0000/0x0200\t\n"
    "@0.0.0.0/0\t198.51.100.0/25\t88 : 88\t1000 : 2000\t0x11/0xFF\t0x0000/0x0000\t\n"
    "\n"
    "@10.0.0.0/8\t0.0.0.0/0\t0 : 65535\t25 : 25\t0x00/0x00\t0x0000/0x0000\t\n"
    "@10.0.0.0/8\t198.18.0.1/32\t0 : 65535\t0 : 65535\t0x00/0x00\t0x0000/0x0000\t\n"
    "@10.9.0.0/16\t198.18.0.2/32\t0 : 65535\t0 : 65535\t0x01/0xFF\t0x0000/0x0000\t\n";

TEST(ReadFilters, TakesWhatThePolicyLanguageHas) {
    const auto rules = read(kFilters);
    ASSERT_EQ(rules.size(), 5U);
    EXPECT_EQ(rules[0].src.addr, 0xc0000200U);  // host bits are cut off
    EXPECT_EQ(rules[0].src.bits, 24);
    EXPECT_EQ(rules[0].services[0].proto, 6);
    EXPECT_EQ(rules[0].services[0].first, 443);
    EXPECT_TRUE(rules[0].deny);
    EXPECT_FALSE(rules[1].deny);
    EXPECT_EQ(rules[1].services[0].last, 2000);
    ASSERT_EQ(rules[2].services.size(), 2U);  // a port of any protocol: TCP and UDP have ports
    EXPECT_EQ(rules[2].services[1].proto, 17);
    EXPECT_TRUE(rules[3].services[0].any_proto);
    EXPECT_EQ(rules[4].services[0].last, 0xffff);
}

TEST(ReadFilters, NamesTheLineThatIsNone) {
    for (const char* const wrong :
         {"@192.0.2.9/33\t0.0.0.0/0\t0 : 1\t0 : 1\t0x06/0xFF\t0x0/0x0", "192.0.2.9/24 0.0.0.0/0 0 : 1 0 : 1 0x06/0xFF",
          "@192.0.2.9/24\t0.0.0.0/0\t0 : 1\t9 : 1\t0x06/0xFF\t0x0/0x0",
          "@1.2.3.256/24\t0.0.0.0/0\t0 : 1\t0 : 1\t0x06/0xFF",
          "@192.0.2.9/24\t0.0.0.0/0\t0 : 1\t0 : 1\t0x06/0x0F\t0x0/0x0"}) {
        std::istringstream in{kFilters + std::string{wrong} + "\n"};
        const auto rules = read_filters(in);
        ASSERT_FALSE(rules) << wrong;
        EXPECT_NE(rules.error().find("line 7"), std::string::npos) << rules.error();
    }
    std::istringstream empty{"\n"};
    EXPECT_FALSE(read_filters(empty));
}

/// The obvious answer: the first rule that fits, by the rule's own fields.
std::size_t first_match(const std::vector<FilterRule>& rules, const AclKey& key) {
    const auto in = [](const Net& net, std::uint32_t wire) {
        const std::uint32_t addr = __builtin_bswap32(wire);
        return net.bits == 0 || (addr ^ net.addr) >> (32 - net.bits) == 0;
    };
    for (std::size_t r = 0; r < rules.size(); ++r) {
        if (!in(rules[r].src, key.src) || !in(rules[r].dst, key.dst)) continue;
        for (const Service& s : rules[r].services) {
            const std::uint16_t port = __builtin_bswap16(key.dport);
            if (s.any_proto || (s.proto == key.proto && s.first <= port && port <= s.last)) return r;
        }
    }
    return rules.size();
}

void expect_same_answers(const std::vector<FilterRule>& rules, std::size_t count) {
    const test::CompiledTables tables{policy_of(rules)};
    for (const AclKey& key : random_trace(rules, count, seed())) {
        const std::size_t expected = first_match(rules, key);
        ASSERT_LT(expected, rules.size()) << "a packet of the trace is inside no rule, SEED=" << seed();
        ASSERT_EQ(static_cast<std::size_t>(tables.lookup(lookup_key(key)).rule), expected) << "SEED=" << seed();
    }
}

TEST(Rules, ThePolicyMadeOfThemDecidesAsTheyDo) {
    expect_same_answers(read(kFilters), 5'000);
    expect_same_answers(made_rules(300, 6), 3'000);
}

TEST(Rules, MadeOnesDoNotOverlap) {
    const auto rules = made_rules(1'000, 17);
    const auto targets = targets_of(rules);
    ASSERT_EQ(targets.size(), 1'000U);
    for (std::size_t i = 0; i < targets.size(); ++i) {
        AclKey key{
            .proto = 17, .src = __builtin_bswap32(targets[i].src_net | 77), .dst = __builtin_bswap32(targets[i].dst)};
        key.dport = __builtin_bswap16(targets[i].dport);
        std::size_t matches = 0;
        for (const FilterRule& rule : rules) matches += first_match({rule}, key) == 0 ? 1 : 0;
        EXPECT_EQ(matches, 1U) << "target " << i;
    }
}

TEST(Rules, TheTraceMeetsAllOfThem) {
    const auto rules = made_rules(50, 6);
    std::vector<int> hits(rules.size());
    for (const AclKey& key : random_trace(rules, 5'000, seed())) ++hits[first_match(rules, key)];
    for (const int h : hits) EXPECT_GT(h, 40);  // 100 on average
}

}  // namespace
}  // namespace sluice::bench
