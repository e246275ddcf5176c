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

struct Spared {
    Policy policy;
    std::string by(const char* src, const char* dst = "198.51.100.80") const {
        const auto k = key(0, src, 1, dst, L4Proto::tcp, 22);
        return std::string{reference_rule_id(policy, reference_lookup(policy, k, everybody).rule)};
    }
    /// 10.9.0.0/24 and 192.0.2.1 are members of every set.
    static bool everybody(std::string_view, abi::IpFamily family, const abi::IpAddr& addr) {
        return any_holds({test::prefix("10.9.0.0/24"), test::prefix("192.0.2.1")}, family, addr);
    }
};

test::PolicyBuilder two_sets_by_api() {
    test::PolicyBuilder b;
    b.zone("out", {"p0"}).zone("in", {"p1"}).set("regulator", {"10.9.0.128/25"}).set_by_api("a").set_by_api("b");
    return b;
}

TEST(Reference, WhoIsInNeverBlockIsNotCutOffForBeingAMember) {
    auto b = two_sets_by_api();
    b.rule({.id = "no", .from = {"a", "10.9.0.7"}, .action = Action::reject});
    b.rule({.id = "watch", .from = {"out"}, .to = {"a"}, .action = Action::deny, .mode = abi::RuleMode::observe});
    b.rule({.id = "but", .from = {"out!b"}, .action = Action::allow});
    Spared s{b.build()};
    EXPECT_EQ(s.by("10.9.0.1"), "no");
    EXPECT_EQ(s.by("10.9.0.200"), "no");
    EXPECT_EQ(s.by("192.0.2.2"), "but");
    b.never_block({"regulator", "10.9.0.0/26"});
    s.policy = b.build();
    EXPECT_EQ(s.by("10.9.0.1"), "but") << "neither refused as one of a nor left out as one of b";
    EXPECT_EQ(s.by("10.9.0.200"), "but") << "in a set that never_block names";
    EXPECT_EQ(s.by("10.9.0.7"), "no") << "the author's own word";
    EXPECT_EQ(s.by("10.9.0.64"), "no");
    EXPECT_EQ(s.by("192.0.2.1"), "no");
    const auto watched = [&](const char* dst) {
        return reference_lookup(s.policy, key(0, "192.0.2.2", 1, dst, L4Proto::tcp, 22), Spared::everybody).observe;
    };
    EXPECT_EQ(watched("192.0.2.1"), 1U);
    EXPECT_EQ(watched("10.9.0.1"), abi::kNoRule) << "it would not have refused";
    const auto k = key(0, "10.9.0.1", 1, "198.51.100.80", L4Proto::tcp, 22);
    EXPECT_TRUE(kept_by_never_block(s.policy, s.policy.rules[0], k, Spared::everybody));
    EXPECT_FALSE(kept_by_never_block(s.policy, s.policy.rules[2], k, Spared::everybody)) << "it matches";
    EXPECT_FALSE(kept_by_never_block(s.policy, s.policy.rules[0],
                                     key(0, "192.0.2.2", 1, "198.51.100.80", L4Proto::tcp, 22), Spared::everybody));
    EXPECT_FALSE(kept_by_never_block(s.policy, s.policy.rules[0], k)) << "a member of nothing";
}

TEST(Reference, WhoIsInNeverBlockIsAMemberOfWhatLetsIn) {
    auto b = two_sets_by_api();
    b.rule({.id = "partners", .from = {"a"}, .action = Action::allow});
    b.rule({.id = "others", .from = {"any!b"}, .action = Action::deny});
    b.default_action(Action::allow).never_block({"10.9.0.0/24"});
    const Spared s{b.build()};
    EXPECT_EQ(s.by("10.9.0.1"), "partners");
    EXPECT_EQ(s.by("192.0.2.2"), "others");
}

/// In the last layer a rule that passes does what the default does; in those before it passes on.
TEST(Reference, NeverBlockAsksWhatPassingComesTo) {
    auto b = two_sets_by_api();
    b.rule({.id = "leave", .from = {"a"}, .action = Action::pass});
    b.rule({.id = "in", .from = {"out"}, .action = Action::allow});
    b.never_block({"10.9.0.0/24"});
    EXPECT_EQ(Spared{b.build()}.by("10.9.0.1"), "in") << "passing is to be denied here";
    b.default_action(Action::allow);
    EXPECT_EQ(Spared{b.build()}.by("10.9.0.1"), "leave");
    b.default_action(Action::deny);
    for (Rule& rule : b.policy.rules) rule.layer = 10;
    b.rule({.id = "app", .from = {"out"}, .action = Action::allow});
    EXPECT_EQ(Spared{b.build()}.by("10.9.0.1"), "app") << "it is left to the next layer, as its author says";
    auto quarantine = two_sets_by_api();
    quarantine.rule({.id = "customers", .from = {"out!a"}, .action = Action::pass, .layer = 10});
    quarantine.rule({.id = "guard", .action = Action::deny, .layer = 10});
    quarantine.rule({.id = "app", .from = {"out"}, .action = Action::allow}).never_block({"10.9.0.0/24"});
    EXPECT_EQ(Spared{quarantine.build()}.by("10.9.0.1"), "app") << "nobody takes it out of what is passed on";
    EXPECT_EQ(Spared{quarantine.build()}.by("192.0.2.1"), "guard");
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
