#include "controlplane/compiler/reference.hpp"

#include <gtest/gtest.h>

#include "tests/harness/policies.hpp"

namespace sluice::cp {
namespace {

using abi::L4Proto;
using test::key;

Policy sample() {
    return test::PolicyBuilder{}
        .zone("out", {"p0"})
        .zone("in", {"p1"})
        .set("web", {"198.51.100.80/32"})
        .set("empty", {})
        .rule({.id = "nobody", .from = {"empty"}, .action = Action::allow})
        .rule({.id = "web-in", .from = {"out"}, .to = {"in&web"}, .service = {"tcp/443"}, .action = Action::allow})
        .rule({.id = "leave", .from = {"in"}, .action = Action::pass})
        .default_action(Action::reject)
        .build();
}

TEST(Reference, NamesTheFirstFieldThatExcludesARule) {
    const Policy p = sample();
    const auto why = [&](std::size_t rule, const dp::LookupKey& k) {
        return std::string{first_excluding_field(p, p.rules[rule], k).value_or("")};
    };
    EXPECT_EQ(why(1, key(1, "192.0.2.1", 1, "198.51.100.90", L4Proto::udp, 443)), "from");
    EXPECT_EQ(why(1, key(0, "192.0.2.1", 1, "198.51.100.90", L4Proto::udp, 443)), "to");
    EXPECT_EQ(why(1, key(0, "192.0.2.1", 0, "198.51.100.80", L4Proto::udp, 443)), "to") << "the zone counts too";
    EXPECT_EQ(why(1, key(0, "192.0.2.1", 1, "198.51.100.80", L4Proto::udp, 443)), "service");
    EXPECT_EQ(why(1, key(0, "192.0.2.1", 1, "198.51.100.80", L4Proto::tcp, 443)), "");
    EXPECT_EQ(why(0, key(0, "192.0.2.1", 1, "198.51.100.80", L4Proto::tcp, 443)), "from")
        << "an empty set holds nobody";
    EXPECT_EQ(why(2, key(1, "2001:db8::1", 0, "2001:db8::2", L4Proto::gre)), "");
}

TEST(Reference, NamesTheSetThatLeavesOut) {
    Policy p = test::PolicyBuilder{}
                   .zone("out", {"p0"})
                   .zone("in", {"p1"})
                   .set("ops", {"10.9.0.0/24"})
                   .set("lent", {})
                   .rule({.id = "core", .from = {"in!ops"}, .to = {"out!lent"}, .action = Action::allow})
                   .rule({.id = "two", .from = {"in!ops", "10.9.0.7/32"}, .action = Action::allow})
                   .build();
    p.sets[1].by_api = true;
    const auto lent = [](std::string_view set, abi::IpFamily, const abi::IpAddr& addr) {
        return set == "lent" && addr == test::address("192.0.2.1");
    };
    const auto why = [&](std::size_t rule, std::uint16_t zone, const char* src, const char* dst) {
        const auto k = key(zone, src, static_cast<std::uint16_t>(1 - zone), dst, L4Proto::tcp, 22);
        return std::string{first_excluding_field(p, p.rules[rule], k, lent).value_or("")} + "/" +
               std::string{excluding_set(p, p.rules[rule], k, lent)};
    };
    EXPECT_EQ(why(0, 1, "10.8.0.1", "192.0.2.2"), "/");
    EXPECT_EQ(why(0, 1, "10.9.0.1", "192.0.2.2"), "from/ops");
    EXPECT_EQ(why(0, 0, "10.9.0.1", "192.0.2.2"), "from/") << "the zone does not fit either";
    EXPECT_EQ(why(0, 1, "10.8.0.1", "192.0.2.1"), "to/lent");
    EXPECT_EQ(why(0, 1, "2001:db8::1", "2001:db8::2"), "/") << "no IPv6 address is in a set of IPv4 ones";
    EXPECT_EQ(why(1, 1, "10.9.0.7", "192.0.2.2"), "/") << "another alternative names it";
    EXPECT_EQ(why(1, 1, "10.9.0.8", "192.0.2.2"), "from/ops");
}

TEST(Reference, ResolvesPassToTheDefaultAndNamesThePassRule) {
    const Policy p = sample();
    const auto result = reference_lookup(p, key(1, "192.0.2.1", 0, "192.0.2.2", L4Proto::udp, 1));
    EXPECT_EQ(reference_rule_id(p, result.rule), "leave");
    EXPECT_EQ(reference_verdict(p, result.rule), abi::Verdict::reject);
    EXPECT_EQ(reference_rule_id(p, 3), "default");
    EXPECT_EQ(reference_verdict(p, 3), abi::Verdict::reject);
}

TEST(Reference, PassLeavesToTheNextLayerAndInTheLastToTheDefault) {
    const Policy p = test::PolicyBuilder{}
                         .zone("out", {"p0"})
                         .zone("in", {"p1"})
                         .rule({.id = "friend", .from = {"192.0.2.0/28"}, .action = Action::pass, .layer = 10})
                         .rule({.id = "try", .mode = abi::RuleMode::observe, .layer = 10})
                         .rule({.id = "block", .from = {"192.0.2.0/24"}, .layer = 10})
                         .rule({.id = "lab", .from = {"192.0.2.1"}, .action = Action::pass, .layer = 20})
                         .rule({.id = "org", .to = {"10.0.0.0/8"}, .action = Action::allow, .layer = 20})
                         .rule({.id = "leave", .service = {"tcp/443"}, .action = Action::pass, .layer = 50})
                         .default_action(Action::reject)
                         .build();
    const auto who = [&](const char* src, const char* dst, std::uint16_t port) {
        const auto r = reference_lookup(p, key(0, src, 1, dst, L4Proto::tcp, port));
        return std::string{reference_rule_id(p, r.rule)} +
               (r.observe == abi::kNoRule ? "" : "/" + std::string{reference_rule_id(p, r.observe)});
    };
    EXPECT_EQ(who("192.0.2.99", "10.0.0.1", 80), "block/try");
    EXPECT_EQ(who("192.0.2.9", "10.0.0.1", 80), "org") << "the rest of its layer is not asked";
    EXPECT_EQ(who("192.0.2.1", "10.0.0.1", 80), "default") << "passed on twice";
    EXPECT_EQ(who("192.0.2.1", "10.0.0.1", 443), "leave") << "pass in the last layer decides as the default";
    EXPECT_EQ(who("198.51.100.1", "10.0.0.1", 80), "org/try");
}

}  // namespace
}  // namespace sluice::cp
