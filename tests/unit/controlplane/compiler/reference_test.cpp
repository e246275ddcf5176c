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

TEST(Reference, ResolvesPassToTheDefaultAndNamesThePassRule) {
    const Policy p = sample();
    const auto result = reference_lookup(p, key(1, "192.0.2.1", 0, "192.0.2.2", L4Proto::udp, 1));
    EXPECT_EQ(reference_rule_id(p, result.rule), "leave");
    EXPECT_EQ(reference_verdict(p, result.rule), abi::Verdict::reject);
    EXPECT_EQ(reference_rule_id(p, 3), "default");
    EXPECT_EQ(reference_verdict(p, 3), abi::Verdict::reject);
}

}  // namespace
}  // namespace sluice::cp
