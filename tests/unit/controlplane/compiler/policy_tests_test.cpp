#include "controlplane/compiler/policy_tests.hpp"

#include <gtest/gtest.h>

#include "tests/harness/policies.hpp"

namespace sluice::cp {
namespace {

PolicyTest test_for(std::string_view dst, std::uint16_t port, abi::Verdict expect, std::string by) {
    return {.family = abi::IpFamily::v4,
            .src = test::address("192.0.2.1"),
            .dst = test::address(dst),
            .from_zone = 0,
            .to_zone = 0,
            .proto = abi::L4Proto::tcp,
            .dport_or_icmp = port,
            .expect = expect,
            .by = std::move(by),
            .text_from = "192.0.2.1@z",
            .text_to = std::string{dst} + ":" + std::to_string(port) + "/tcp",
            .pos = {.line = 7, .column = 3}};
}

test::PolicyBuilder sample() {
    test::PolicyBuilder b;
    b.zone("z", {"p0"});
    b.rule({.id = "watch", .service = {"tcp/443"}, .mode = abi::RuleMode::observe});
    b.rule({.id = "web", .to = {"198.51.100.80"}, .service = {"tcp/443"}, .action = Action::allow});
    b.rule({.id = "rest", .to = {"198.51.100.0/24"}, .action = Action::pass});
    b.policy.tests = {test_for("198.51.100.80", 443, abi::Verdict::allow, "web"),
                      test_for("198.51.100.80", 443, abi::Verdict::allow, ""),
                      test_for("198.51.100.81", 443, abi::Verdict::deny, "rest"),
                      test_for("203.0.113.1", 443, abi::Verdict::deny, "default")};
    return b;
}

TEST(PolicyTests, PassWhereVerdictAndRuleAreAsExpected) {
    const Policy p = sample().build();
    const test::CompiledTables t{p};
    const auto outcomes = run_policy_tests(p, t.view());
    ASSERT_TRUE(outcomes) << outcomes.error();
    ASSERT_EQ(outcomes->size(), 4U);
    EXPECT_TRUE(all_passed(*outcomes));
    EXPECT_EQ((*outcomes)[2].got_rule, "rest");
    EXPECT_EQ((*outcomes)[2].got, "deny") << "pass is the default's verdict";
    EXPECT_EQ((*outcomes)[0].to, "198.51.100.80:443/tcp");
    EXPECT_EQ((*outcomes)[0].pos.line, 7U);
}

TEST(PolicyTests, FailOnAnotherVerdictAndOnAnotherRule) {
    test::PolicyBuilder b = sample();
    b.policy.tests = {test_for("198.51.100.80", 443, abi::Verdict::deny, ""),
                      test_for("198.51.100.80", 443, abi::Verdict::allow, "watch"),
                      test_for("198.51.100.80", 443, abi::Verdict::allow, "web")};
    const Policy p = b.build();
    const test::CompiledTables t{p};
    const auto outcomes = run_policy_tests(p, t.view());
    ASSERT_TRUE(outcomes);
    EXPECT_FALSE((*outcomes)[0].passed);
    EXPECT_EQ((*outcomes)[0].got, "allow");
    EXPECT_FALSE((*outcomes)[1].passed) << "an observe rule decides nothing";
    EXPECT_TRUE((*outcomes)[2].passed);
    EXPECT_FALSE(all_passed(*outcomes));
}

/// Saturdays and Sundays only; the tables are those of the week in which the tests are.
TEST(PolicyTests, AskAboutTheirInstant) {
    test::PolicyBuilder b;
    b.zone("z", {"p0"});
    b.rule({.id = "weekend", .service = {"tcp/22"}, .action = Action::allow});
    b.policy.schedules = {{"weekend", "UTC", 0x60, 0, 24 * 60, {}}};
    b.policy.rules[0].when = 0;
    auto saturday = test_for("198.51.100.80", 22, abi::Verdict::allow, "weekend");
    auto monday = test_for("198.51.100.80", 22, abi::Verdict::deny, "default");
    saturday.at = parse_instant("2026-12-05T02:00+08:00").value() + 86'400;
    monday.at = parse_instant("2026-12-07T12:00Z").value();
    b.policy.tests = {saturday, monday, monday};
    b.policy.tests[2].at.reset();
    const Policy p = b.build();
    const test::CompiledTables t{p};  // compiled in 1970: the instants of tests are written out all the same
    const auto outcomes = run_policy_tests(p, t.view(), *saturday.at);
    ASSERT_TRUE(outcomes) << outcomes.error();
    EXPECT_TRUE((*outcomes)[0].passed);
    EXPECT_TRUE((*outcomes)[1].passed);
    EXPECT_FALSE((*outcomes)[2].passed) << "asked about now, which is Saturday";
    EXPECT_EQ((*outcomes)[2].got_rule, "weekend");
}

/// What one test gives the next one has not.
TEST(PolicyTests, SetsHaveTheMembersThatATestGives) {
    test::PolicyBuilder b;
    b.zone("z", {"p0"}).set_by_api("blocked").set_by_api("friends");
    b.rule({.id = "in", .from = {"friends"}, .action = Action::allow});
    b.rule({.id = "no", .from = {"blocked"}, .action = Action::reject});
    b.rule({.id = "rest", .to = {"any!blocked"}, .action = Action::allow});
    const auto ask = [](std::vector<GivenMembers> given, abi::Verdict expect, std::string by) {
        auto asked = test_for("198.51.100.80", 443, expect, std::move(by));
        asked.given = std::move(given);
        return asked;
    };
    const auto net = [](std::string_view text) { return std::vector<Prefix>{test::prefix(text)}; };
    b.policy.tests = {ask({}, abi::Verdict::allow, "rest"),
                      ask({{0, {test::prefix("10.0.0.1"), test::prefix("192.0.2.0/24")}}}, abi::Verdict::reject, "no"),
                      ask({}, abi::Verdict::allow, "rest"),
                      ask({{1, net("192.0.2.1")}, {0, net("0.0.0.0/0")}}, abi::Verdict::allow, "in"),
                      ask({{0, net("198.51.100.80")}}, abi::Verdict::deny, "default"),
                      ask({{0, net("192.0.2.2")}}, abi::Verdict::allow, "rest"),
                      ask({{0, net("::/0")}}, abi::Verdict::allow, "rest"),
                      ask({{0, net("192.0.2.1")}}, abi::Verdict::allow, "rest")};
    const Policy p = b.build();
    const test::CompiledTables t{p};
    const auto outcomes = run_policy_tests(p, t.view());
    ASSERT_TRUE(outcomes) << outcomes.error();
    for (std::size_t i = 0; i + 1 < outcomes->size(); ++i)
        EXPECT_TRUE((*outcomes)[i].passed) << i << ": " << (*outcomes)[i].got << " by " << (*outcomes)[i].got_rule;
    EXPECT_EQ(outcomes->back().got_rule, "no") << "and it fails where it expects something else";
}

TEST(PolicyTests, FlowsThatComeTooOftenAreRefusedByTheLimitThatIsNamed) {
    test::PolicyBuilder b;
    b.zone("z", {"p0"});
    b.rule({.id = "web", .service = {"tcp/443"}, .action = Action::allow});
    b.rule({.id = "ssh", .service = {"tcp/22"}, .action = Action::reject});
    b.policy.rules[0].limits = {.new_per_second_max = 100, .new_per_second_per_source_max = 20};
    b.policy.zones[0].limits = {.new_per_second_max = 500};
    b.policy.default_action = Action::allow;
    b.policy.default_limits = {.new_per_second_max = 7};
    const auto ask = [](std::uint16_t port, std::uint32_t repeat, abi::Verdict expect, std::string by,
                        TestLimit limit) {
        auto asked = test_for("198.51.100.80", port, expect, std::move(by));
        asked.repeat_per_second = repeat;
        asked.limit = limit;
        return asked;
    };
    using enum abi::Verdict;
    b.policy.tests = {ask(443, 0, allow, "web", TestLimit::none),    ask(443, 20, allow, "web", TestLimit::none),
                      ask(443, 21, deny, "web", TestLimit::source),  ask(443, 21, deny, "", TestLimit::none),
                      ask(443, 501, deny, "web", TestLimit::zone),   ask(22, 501, reject, "ssh", TestLimit::none),
                      ask(80, 7, allow, "default", TestLimit::none), ask(80, 8, deny, "default", TestLimit::rule),
                      ask(443, 21, allow, "web", TestLimit::none),   ask(443, 21, deny, "web", TestLimit::zone),
                      ask(443, 20, deny, "web", TestLimit::source)};
    const Policy p = b.build();
    const test::CompiledTables t{p};
    const auto outcomes = run_policy_tests(p, t.view());
    ASSERT_TRUE(outcomes) << outcomes.error();
    for (std::size_t i = 0; i < outcomes->size(); ++i)
        EXPECT_EQ((*outcomes)[i].passed, i < 8)
            << i << ": " << (*outcomes)[i].got << " at " << (*outcomes)[i].got_limit;
    EXPECT_EQ((*outcomes)[0].repeat, "");
    EXPECT_EQ((*outcomes)[8].repeat, "21/s");
    EXPECT_EQ((*outcomes)[8].got, "deny");
    EXPECT_EQ((*outcomes)[8].got_limit, "new_per_second_per_source");
    EXPECT_EQ((*outcomes)[9].limit, "zone");
    EXPECT_EQ((*outcomes)[10].got_limit, "");

    // Tables of a policy with other limits.
    test::PolicyBuilder other = b;
    other.policy.rules[0].limits.new_per_second_per_source_max = 21;
    const test::CompiledTables wrong{other.build()};
    const auto error = run_policy_tests(p, wrong.view());
    ASSERT_FALSE(error);
    EXPECT_NE(error.error().find("refused by limit new_per_second_per_source"), std::string::npos) << error.error();
}

TEST(PolicyTests, CallTablesOfAnotherPolicyAnInternalError) {
    const Policy p = sample().build();
    test::PolicyBuilder other = sample();
    other.policy.rules[1].action = Action::reject;
    const test::CompiledTables wrong{other.build()};
    const auto outcomes = run_policy_tests(p, wrong.view());
    ASSERT_FALSE(outcomes);
    EXPECT_NE(outcomes.error().find("internal error"), std::string::npos);
    EXPECT_NE(outcomes.error().find("198.51.100.80:443/tcp"), std::string::npos);
}

}  // namespace
}  // namespace sluice::cp
