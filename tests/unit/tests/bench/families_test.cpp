/// Made rules and traces: what they promise, and that the search for dear packets counts as a lookup goes.
#include <gtest/gtest.h>

#include <set>
#include <tuple>

#include "controlplane/compiler/reference.hpp"
#include "tests/bench/rig/families.hpp"
#include "tests/bench/rig/six_networks.hpp"
#include "tests/bench/rig/traces.hpp"
#include "tests/bench/rig/worst_packets.hpp"
#include "tests/harness/policies.hpp"
#include "tests/harness/seed.hpp"

namespace sluice::bench {
namespace {

using test::seed_of_this_run;

constexpr Family kFamilies[] = {Family::acl, Family::fw, Family::ipc, Family::cloud};

std::uint32_t decided(const dp::TableView& table, const AclKey& key, abi::IpFamily family) {
    const dp::LookupKey asked = lookup_key(key, family);
    dp::LookupResult result;
    dp::lookup(table, {&asked, 1}, {&result, 1});
    return result.rule;
}

TEST(Families, AreAsManyAsAskedForAndTheSameEachTime) {
    for (const Family family : kFamilies) {
        const auto rules = family_rules(family, 3'000, 7), again = family_rules(family, 3'000, 7);
        ASSERT_EQ(rules.size(), 3'000U);
        std::set<std::tuple<std::uint32_t, unsigned, const void*, std::uint32_t, unsigned, const void*, unsigned, bool,
                            unsigned, unsigned>>
            names;
        for (std::size_t i = 0; i < rules.size(); ++i) {
            const FilterRule& r = rules[i];
            const Service& s = r.services.front();
            names.insert({r.src.addr, r.src.bits, r.src_set.get(), r.dst.addr, r.dst.bits, r.dst_set.get(), s.proto,
                          s.any_proto, s.first, s.last});
            EXPECT_EQ(r.src.addr, again[i].src.addr);
            EXPECT_LE(s.first, s.last);
        }
        EXPECT_EQ(names.size(), rules.size()) << "a rule stands twice";
    }
    EXPECT_NE(family_rules(Family::acl, 10, 1)[0].src.addr, family_rules(Family::acl, 10, 2)[0].src.addr);
}

TEST(Families, InIPv6ThePacketsAreDecidedByTheSameRules) {
    for (const Family family : kFamilies) {
        const auto rules = family_rules(family, 400, seed_of_this_run());
        const test::CompiledTables four{policy_of(rules)}, six{policy_of(rules, abi::IpFamily::v6)};
        for (const AclKey& key : random_trace(rules, 2'000, seed_of_this_run())) {
            ASSERT_EQ(decided(four.view(), key, abi::IpFamily::v4), decided(six.view(), key, abi::IpFamily::v6));
        }
    }
}

TEST(SixNetworks, NestAsThoseOfIPv4Do) {
    const auto contains = [](const cp::Prefix& net, const abi::IpAddr& host) {
        for (unsigned bit = 0; bit < net.bits; ++bit) {
            if (((net.addr.bytes[bit / 8] ^ host.bytes[bit / 8]) >> (7 - bit % 8) & 1) != 0) return false;
        }
        return true;
    };
    for (const std::uint32_t addr : {0xc6336450U, 0U, ~0U, 0x0a00ff01U}) {
        for (unsigned bits = 0; bits <= 32; ++bits) {
            const std::uint32_t mask = bits == 0 ? 0 : ~0U << (32 - bits);
            const cp::Prefix net = six_prefix({addr & mask, static_cast<std::uint8_t>(bits)});
            EXPECT_TRUE(contains(net, six_host(addr))) << bits;
            if (bits == 0) continue;
            EXPECT_FALSE(contains(net, six_host(addr ^ 1U << (32 - bits)))) << bits;
        }
    }
    EXPECT_EQ(six_prefix({0xc6336400U, 24}).bits, 48);
}

TEST(WorstPackets, TheirCostIsCountedAlongTheLookupsOwnWay) {
    for (const Family family : kFamilies) {
        const auto rules = family_rules(family, 1'500, seed_of_this_run());
        const test::CompiledTables tables{policy_of(rules)};
        for (const AclKey& key : random_trace(rules, 2'000, seed_of_this_run())) {
            const LookupCost cost = lookup_cost(tables.view(), lookup_key(key));
            ASSERT_EQ(cost.rule, decided(tables.view(), key, abi::IpFamily::v4));
            ASSERT_LE(cost.nodes, tables.view().trees.node_visits_max);
            ASSERT_GE(cost.lines, cost.nodes);
        }
    }
}

TEST(WorstPackets, CostMoreThanOthers) {
    const auto rules = family_rules(Family::ipc, 3'000, seed_of_this_run());
    const test::CompiledTables tables{policy_of(rules)};
    const auto mean = [&](const std::vector<AclKey>& trace) {
        std::uint64_t lines = 0;
        for (const AclKey& key : trace) lines += lookup_cost(tables.view(), lookup_key(key)).lines;
        return static_cast<double>(lines) / static_cast<double>(trace.size());
    };
    const auto worst = worst_trace(tables.view(), rules, 500, seed_of_this_run(), abi::IpFamily::v4);
    ASSERT_EQ(worst.size(), 500U);
    EXPECT_GT(mean(worst), 1.2 * mean(random_trace(rules, 500, seed_of_this_run())));
}

TEST(Traces, ZipfRepeatsAFewPacketsOften) {
    const auto rules = made_rules(5'000, 6);
    const auto distinct = [](const std::vector<AclKey>& trace) {
        std::set<std::tuple<std::uint32_t, std::uint32_t, std::uint16_t, std::uint16_t>> seen;
        for (const AclKey& key : trace) seen.insert({key.src, key.dst, key.sport, key.dport});
        return seen.size();
    };
    EXPECT_GT(distinct(random_trace(rules, 20'000, 1)), 19'000U);
    const std::size_t skewed = distinct(zipf_trace(rules, 20'000, 1));
    EXPECT_LT(skewed, 10'000U);
    EXPECT_GT(skewed, 1'000U);
}

}  // namespace
}  // namespace sluice::bench
