/// What the service shows of a policy that runs: counters, explanations, flows, events.
#include "controlplane/lifecycle/policy_service_impl.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <fstream>

#include <sluice/abi/last_good.hpp>

#include "controlplane/policy/sha256.hpp"
#include "tests/unit/controlplane/lifecycle/policy_service_rig.hpp"

namespace sluice::cp {
namespace {

TEST_F(PolicyServiceTest, CountersFollowTheRuleNotItsPlace) {
    start_service();
    must_put(policy_text(kWebIn + kSshOut));
    dataplane->telemetry().rule(0, 16).hits.set(7);  // the first rule's slot
    dataplane->telemetry().rule(0, 16).last_hit_ns.set(abi::MonoTime::now().ns);
    must_put(policy_text(kTrial + kSshOut + kWebIn));
    const auto rules = service->rules();
    ASSERT_EQ(rules[2].id, "web-in");
    EXPECT_EQ(rules[2].hits, 7U);
    EXPECT_TRUE(rules[2].last_hit.has_value());
    EXPECT_FALSE(rules[2].first_hit.has_value());
    EXPECT_EQ(rules[0].hits, 0U);
    EXPECT_NE(service->metrics(true).find("sluice_rule_hits_total{rule=\"web-in\"} 7\n"), std::string::npos);
    EXPECT_EQ(service->metrics(false).find("sluice_rule_hits_total"), std::string::npos);
    EXPECT_NE(service->metrics(false).find("sluice_publishes_total{result=\"adopted\"} 2\n"), std::string::npos);
}

abi::IpAddr v4(std::uint32_t host) { return abi::IpAddr::of_v4(abi::Ipv4Addr::of_host(host)); }

/// "later" is there on Saturdays and Sundays, "gone" observes since the year 2001.
TEST_F(PolicyServiceTest, WhatDependsOnTimeIsAskedAboutAndShownAsItStands) {
    start_service();
    std::string text = policy_text(
        "  - {id: gone, from: internet, to: any, service: tcp/22, action: allow, expires: 2001-01-01}\n"
        "  - {id: soon, from: internet, to: any, service: tcp/23, action: allow, expires: \"" +
        instant_text(unix_now() + 86'400) +
        "\"}\n"
        "  - {id: later, from: internet, to: any, action: allow, when: weekend}\n");
    text.insert(text.find("rules:"),
                "schedules:\n  weekend: {tz: UTC, days: [sat, sun], from: \"00:00\", to: \"24:00\"}\n");
    must_put(text);
    ExplainQuery query{"outside", abi::IpFamily::v4, v4(0xc6336407), v4(0xc6336450), abi::L4Proto::tcp, 40000, 22};
    const UnixSeconds monday = unix_now() / 604'800 * 604'800 + 11 * 86'400;  // 1 January 1970 was a Thursday
    query.at = monday - 1;
    auto answer = service->explain(query);
    ASSERT_TRUE(answer) << answer.error().detail;
    EXPECT_EQ(answer->rule, "later");
    EXPECT_EQ(answer->observed, "gone");
    query.at = monday;
    answer = service->explain(query);
    ASSERT_TRUE(answer) << answer.error().detail;
    EXPECT_NE(answer->rule, "later");
    ASSERT_FALSE(answer->skipped.empty());
    EXPECT_EQ(answer->skipped.back().rule, "later");
    EXPECT_EQ(answer->skipped.back().field, "when");
    query.at = monday + 20LL * 365 * 86'400;
    EXPECT_EQ(service->explain(query).error().code, "too-far-away");
    const auto rules = service->rules();
    EXPECT_EQ(rules[0].mode, "observe");
    EXPECT_EQ(rules[1].mode, "enforce");
    EXPECT_NE(service->metrics(false).find("sluice_rules_expired 1\n"), std::string::npos);
    EXPECT_NE(service->metrics(false).find("sluice_rules_expiring 1\n"), std::string::npos);
    EXPECT_NE(service->metrics(true).find("sluice_rule_expiry_timestamp_seconds{rule=\"soon\"}"), std::string::npos);
}

TEST_F(PolicyServiceTest, ExplainSaysWhoDecidesAndWhyOthersDidNot) {
    start_service();
    must_put(policy_text(kTrial + kSshOut + kWebIn));
    ExplainQuery query{"outside", abi::IpFamily::v4, v4(0xc6336407), v4(0xc6336450), abi::L4Proto::tcp, 40000, 443};
    auto answer = service->explain(query);
    ASSERT_TRUE(answer) << answer.error().detail;
    EXPECT_EQ(answer->verdict, abi::Verdict::allow);
    EXPECT_EQ(answer->rule, "web-in");
    EXPECT_EQ(answer->from_zone, "internet");
    EXPECT_EQ(answer->to_zone, "servers");
    ASSERT_EQ(answer->skipped.size(), 2U);
    EXPECT_EQ(answer->skipped[1].rule, "ssh-closed");
    EXPECT_EQ(answer->skipped[1].field, "service");

    query.dport_or_icmp = 5432;
    answer = service->explain(query);
    EXPECT_EQ(answer->rule, "default");
    EXPECT_EQ(answer->observed, "trial");
    query.in_port = "inside";
    answer = service->explain(query);
    EXPECT_EQ(answer->skipped[0].field, "from");
    query.in_port = "wan7";
    EXPECT_EQ(service->explain(query).error().code, "unknown-port");
    EXPECT_NE(service->explain(query).error().detail.find("; its ports are outside, inside"), std::string::npos);
    query.in_port = "internet";
    EXPECT_NE(service->explain(query).error().detail.find("that is a zone, its ports are outside"), std::string::npos);
}

TEST_F(PolicyServiceTest, ExplainNamesTheSetThatLeavesOut) {
    start_service();
    must_put(policy_text("  - {id: but-web, from: internet, to: {zone: servers, not: web}, action: allow}\n"));
    ExplainQuery query{"outside", abi::IpFamily::v4, v4(0xc6336407), v4(0xc6336450), abi::L4Proto::tcp, 40000, 443};
    auto answer = service->explain(query);
    ASSERT_TRUE(answer) << answer.error().detail;
    ASSERT_EQ(answer->skipped.size(), 1U);
    EXPECT_EQ(answer->skipped[0].field, "to");
    EXPECT_EQ(answer->skipped[0].not_in, "web");
    query.dst = v4(0xc6336451);
    answer = service->explain(query);
    EXPECT_EQ(answer->rule, "but-web");
    query.in_port = "inside";
    answer = service->explain(query);
    EXPECT_EQ(answer->skipped[0].field, "from");
    EXPECT_EQ(answer->skipped[0].not_in, "") << "the zone does not fit";
}

TEST_F(PolicyServiceTest, ExplainTellsWhoPassedThePacketOn) {
    start_service();
    must_put(policy_text(
        "  - {id: regulator, from: {zone: internet, set: 203.0.113.128/25}, to: any, action: pass, layer: 10}\n"
        "  - {id: block, from: 203.0.113.0/24, to: any, action: deny, layer: 10}\n"
        "  - {id: org, from: internet, to: any, service: tcp/22, action: reject, layer: 20}\n" +
        kWebIn));
    ExplainQuery query{"outside", abi::IpFamily::v4, v4(0xcb007181), v4(0xc6336450), abi::L4Proto::tcp, 40000, 443};
    auto answer = service->explain(query);
    ASSERT_TRUE(answer) << answer.error().detail;
    EXPECT_EQ(answer->rule, "web-in");
    EXPECT_EQ(answer->passed, std::vector<std::string>{"regulator"});
    ASSERT_EQ(answer->skipped.size(), 1U) << "block was not asked";
    EXPECT_EQ(answer->skipped[0].rule, "org");
    query.src = v4(0xcb007101);
    answer = service->explain(query);
    EXPECT_EQ(answer->rule, "block");
    EXPECT_TRUE(answer->passed.empty());
    query.src = v4(0xcb007181);
    query.dport_or_icmp = 22;
    EXPECT_EQ(service->explain(query)->rule, "org");
}

TEST_F(PolicyServiceTest, PlanTellsPacketsAndWhatIsOddWithExamplesThatExplainConfirms) {
    start_service();
    must_put(policy_text(kWebIn + kSshOut));
    const std::string wide = "  - {id: wide, from: internet, to: web, service: tcp/1-1000, action: allow}\n";
    const auto plan = service->dry_run(policy_text(wide + kWebIn + kSshOut), PolicyFormat::yaml, {});
    ASSERT_TRUE(plan && plan->ok);
    EXPECT_TRUE(plan->warnings.empty()) << plan->warnings.front().detail;
    const auto& effect = plan->analysis.effect;
    EXPECT_TRUE(effect.complete());
    std::size_t rejected = 0, denied = 0, counted = 0;
    for (const auto& box : effect.boxes) {
        EXPECT_EQ(box.from, std::vector<std::string>{"internet"});
        EXPECT_EQ(box.to, std::vector<std::string>{"servers"});
        EXPECT_EQ(box.after.rule, "wide");
        rejected += box.change == ChangeKind::verdict && box.before.rule == "ssh-closed" ? 1 : 0;
        denied += box.change == ChangeKind::verdict && box.before.rule == "default" ? 1 : 0;
        counted += box.change == ChangeKind::log && box.before.rule == "web-in" ? 1 : 0;
        const auto& p = box.example;
        const auto now = service->explain({p.in_port, p.family, p.src, p.dst, p.proto, 40000, p.dport_or_icmp});
        ASSERT_TRUE(now);
        EXPECT_EQ(now->rule, box.before.rule);
    }
    EXPECT_EQ(rejected, 2U) << "of each family";
    EXPECT_EQ(denied, 2U);
    EXPECT_EQ(counted, 2U);
    ASSERT_EQ(plan->analysis.findings.told.size(), 2U);
    const auto& hidden = plan->analysis.findings.told[0];
    EXPECT_EQ(hidden.kind, FindingKind::shadowed);
    EXPECT_EQ(hidden.rule, "web-in");
    EXPECT_EQ(hidden.others, std::vector<std::string>{"wide"});
    EXPECT_NE(hidden.pos.line, 0U);
    EXPECT_NE(hidden.detail.find("remove it"), std::string::npos);
    ASSERT_TRUE(hidden.example);
}

TEST_F(PolicyServiceTest, PlanNamesRulesThatWereNeverHit) {
    unused_after = std::chrono::seconds{0};
    start_service();
    must_put(policy_text(kWebIn + kSshOut));
    dataplane->telemetry().rule(0, 16).hits.set(7);  // the first rule's slot
    const auto plan = service->dry_run(policy_text(kTrial + kWebIn + kSshOut), PolicyFormat::yaml, {});
    ASSERT_TRUE(plan && plan->ok);
    ASSERT_EQ(plan->analysis.findings.told.size(), 1U) << "one has hits, one is new";
    EXPECT_EQ(plan->analysis.findings.told[0].kind, FindingKind::never_hit);
    EXPECT_EQ(plan->analysis.findings.told[0].rule, "ssh-closed");
    EXPECT_GE(plan->analysis.findings.told[0].watched_s, 0);
    EXPECT_LT(plan->analysis.findings.told[0].watched_s, 60);
}

TEST_F(PolicyServiceTest, FlowsHaveNamesAndCursors) {
    start_service();
    must_put(policy_text(kWebIn));
    std::vector<abi::FlowRecord> flows(1200);
    for (auto& flow : flows) {
        flow.family = abi::IpFamily::v4;
        flow.slot = abi::RuleSlot{16};
        flow.generation = 1;
        flow.from_zone = abi::ZoneId{0};
        flow.to_zone = abi::ZoneId{1};
    }
    dataplane->set_flows(flows);
    const auto first = service->flows({.count_max = 1000, .cursor = std::nullopt, .filter = {}});
    ASSERT_TRUE(first) << first.error().detail;
    EXPECT_EQ(first->flows.size(), 1000U);
    EXPECT_EQ(first->flows[0].rule, "web-in");
    EXPECT_EQ(first->flows[0].from_zone, "internet");
    ASSERT_TRUE(first->next);
    const auto rest = service->flows({.count_max = 1000, .cursor = first->next, .filter = {}});
    EXPECT_EQ(rest->flows.size(), 200U);
    EXPECT_FALSE(rest->next);
    EXPECT_EQ(service->flows({.count_max = 1, .cursor = "nonsense", .filter = {}}).error().status, 400);
    EXPECT_EQ(service->flows({.count_max = 1, .cursor = "7-0", .filter = {}}).error().status, 410);
}

TEST_F(PolicyServiceTest, FlowsAreEndedByFilter) {
    start_service();
    must_put(policy_text(kWebIn));
    dataplane->set_flows(std::vector<abi::FlowRecord>(5));
    const auto ended = service->end_flows({.filter = "rule==web-in and from_zone==internet", .answer = true});
    ASSERT_TRUE(ended) << ended.error().detail;
    EXPECT_EQ(ended->ended, 5U) << "part by part";
    EXPECT_TRUE(ended->complete);
    EXPECT_TRUE(dataplane->ended_answered());
    EXPECT_TRUE(service->end_flows({.filter = {}, .all = true}));
    EXPECT_FALSE(dataplane->ended_answered());
    EXPECT_EQ(service->end_flows({.filter = " "}).error().code, "filter-needed");
    EXPECT_EQ(service->end_flows({.filter = "proto==tcp", .all = true}).error().code, "filter-and-all");
    const auto wrong = service->end_flows({.filter = "rule==web-on"});
    EXPECT_EQ(wrong.error().status, 400);
    EXPECT_EQ(wrong.error().code, "bad-filter");
    EXPECT_EQ(service->flows({.count_max = 1, .cursor = {}, .filter = "dport"}).error().code, "bad-filter");
}

/// Of the first rule of the first policy.
abi::FlowEvent a_flow_starts() {
    abi::FlowEvent event;
    event.kind = abi::EventKind::flow_start;
    event.family = abi::IpFamily::v4;
    event.proto = abi::L4Proto::tcp;
    event.verdict = abi::Verdict::allow;
    event.slot = abi::RuleSlot{16};
    event.generation = 1;
    event.from_zone = abi::ZoneId{0};
    event.time = abi::MonoTime::now();
    return event;
}

TEST_F(PolicyServiceTest, EventsCarryTheNamesOfTheirRule) {
    start_service();
    must_put(policy_text(kWebIn));
    dataplane->telemetry().emit(0, a_flow_starts());
    const auto page = service->events_after(0, 10, 20s);
    ASSERT_EQ(page.lines.size(), 1U);
    EXPECT_NE(page.lines[0].json.find(R"("rule":"web-in")"), std::string::npos);
    EXPECT_NE(page.lines[0].json.find(R"("from":"internet")"), std::string::npos);
    EXPECT_EQ(service->newest_event(), 1U);
}

// A6: a disk that takes no more lines is told, and stops nothing.
TEST_F(PolicyServiceTest, LostLinesOfTheFlowLogStandInTheStatus) {
    config.flow_log_path = dir + "/missing/flows.jsonl";
    start_service();
    must_put(policy_text(kWebIn));
    EXPECT_EQ(service->status().flow_log_trouble, "");
    dataplane->telemetry().emit(0, a_flow_starts());
    EXPECT_EQ(service->events_after(0, 10, 20s).lines.size(), 1U);
    ASSERT_TRUE(soon([&] { return !service->status().flow_log_trouble.empty(); }));
    EXPECT_NE(service->status().flow_log_trouble.find("cannot open " + config.flow_log_path), std::string::npos);
    EXPECT_TRUE(ready());
}

}  // namespace
}  // namespace sluice::cp
