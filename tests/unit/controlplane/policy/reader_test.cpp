#include "controlplane/policy/reader.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <string>

#include "controlplane/policy/address.hpp"
#include "controlplane/policy/duration.hpp"
#include "controlplane/policy/schema.hpp"

namespace sluice::cp {
namespace {

constexpr std::string_view kHead = R"(sluice: 1
name: edge
default: {action: deny, log: start}
zones:
  internet: {ports: [wan0]}
  dmz: {ports: [dmz0, dmz1]}
sets:
  web: {nets: [10.20.1.0/24, "2001:db8:20:1::/64"]}
  ops: {nets: [10.9.0.5]}
services:
  mgmt: [tcp/22, tcp/3389]
)";

std::string words(const PolicyErrors& errors) {
    std::string text;
    for (const auto& e : errors) {
        text += std::to_string(e.pos.line) + ":" + std::to_string(e.pos.column) + " " + e.code + " " + e.pointer + " " +
                e.detail + "\n";
    }
    return text;
}

Policy read(std::string_view tail, const ReadOptions& options = {}) {
    auto policy = read_policy(std::string{kHead} + std::string{tail}, PolicyFormat::yaml, options);
    if (!policy) {
        ADD_FAILURE() << words(policy.error());
        return {};
    }
    return *policy;
}

std::string rule(std::string_view fields) { return "rules:\n  - {id: r, " + std::string{fields} + "}\n"; }

TEST(Reader, ReadsHowFlowsAreTracked) {
    const auto standard = read(rule("from: any, to: any, action: deny"));
    EXPECT_EQ(standard.seq_check, abi::SeqCheck::strict);
    for (const auto& [key, member] : kTimeoutKeys) {
        EXPECT_EQ(standard.timeouts.*member, abi::FlowTimeouts{}.*member) << key;
        std::string text = "timeouts: {" + std::string{key} + ": 77s}\n";
        const auto set = read(text + rule("from: any, to: any, action: deny"));
        EXPECT_EQ(set.timeouts.*member, 77'000U) << key;
    }
    EXPECT_EQ(read("seq_check: off\n" + rule("from: any, to: any, action: deny")).seq_check, abi::SeqCheck::off);
    EXPECT_EQ(read("seq_check: log\n" + rule("from: any, to: any, action: deny")).seq_check, abi::SeqCheck::log);
}

TEST(Reader, ReadsWhatIsLeftOut) {
    const auto policy =
        read(rule("from: {zone: dmz, not: [ops, web, ops]}, to: [{set: [web, 10.0.0.1], not: ops}, "
                  "{not: ops}], action: deny"));
    const Rule& r = policy.rules[0];
    ASSERT_EQ(r.from.size(), 1U);
    EXPECT_EQ(r.from[0].zone, 1U);
    EXPECT_TRUE(r.from[0].any_addr);
    EXPECT_EQ(r.from[0].except, (std::vector<std::uint16_t>{0, 1}));
    ASSERT_EQ(r.to.size(), 2U);
    EXPECT_FALSE(r.to[0].any_addr);
    EXPECT_EQ(r.to[0].sets, (std::vector<std::uint16_t>{0}));
    EXPECT_EQ(r.to[0].nets.size(), 1U);
    EXPECT_EQ(r.to[0].except, (std::vector<std::uint16_t>{1}));
    EXPECT_FALSE(r.to[1].zone);
    EXPECT_TRUE(r.to[1].any_addr);
    EXPECT_EQ(r.to[1].except, (std::vector<std::uint16_t>{1}));
}

TEST(Reader, ReadsLayers) {
    const std::string rules =
        "rules:\n  - {id: a, from: any, to: any, action: deny, layer: 0}\n"
        "  - {id: b, from: any, to: any, action: pass, layer: 10}\n  - {id: c, from: any, to: any, action: allow}\n";
    const auto policy = read(rules);
    EXPECT_EQ(policy.rules[0].layer, 0);
    EXPECT_EQ(policy.rules[1].layer, 10);
    EXPECT_EQ(policy.rules[2].layer, kLayerStandard);
    EXPECT_TRUE(policy.passes_on(1));
    EXPECT_EQ(policy.behind_layer_of(1), 2U);
    EXPECT_EQ(read("layer: 20\n" + rules).rules[2].layer, 20);
    EXPECT_NE(read(rules).version, read("layer: 20\n" + rules).version);
    const auto last = read(rule("from: any, to: any, action: pass, layer: 10"));
    EXPECT_FALSE(last.passes_on(0)) << "nothing stands behind";
}

TEST(Reader, ReadsLimits) {
    const auto none = read(rule("from: any, to: any, action: allow"));
    EXPECT_FALSE(none.rules[0].limits.any() || none.default_limits.any());
    const auto all =
        read(rule("from: any, to: any, action: allow, limits: {states: 1, states_per_source: 2, "
                  "new_per_second: 3, new_per_second_per_source: 4}"));
    EXPECT_EQ(all.rules[0].limits, (abi::RuleLimits{1, 2, 3, 4}));
    for (const auto& [key, member] : kRuleLimitKeys) {
        const auto one = read(rule("from: any, to: any, action: allow, limits: {" + std::string{key} + ": 77}"));
        abi::RuleLimits expected{};
        expected.*member = 77;
        EXPECT_EQ(one.rules[0].limits, expected) << key;
    }
    const auto others = read_policy(R"(sluice: 1
name: n
default: {action: allow, limits: {states: 1000000000}}
zones: {wan: {ports: [p], limits: {states: 5, new_per_second: 10000000}}, lan: {ports: [q]}}
)",
                                    PolicyFormat::yaml, {});
    ASSERT_TRUE(others) << words(others.error());
    EXPECT_EQ(others->default_limits, (abi::RuleLimits{.states_max = 1'000'000'000}));
    EXPECT_EQ(others->zones[0].limits.states_max, 5U);
    EXPECT_EQ(others->zones[0].limits.new_per_second_max, 10'000'000U);
    EXPECT_EQ(others->zones[1].limits.states_max, 0U);
}

TEST(Reader, ReadsWhatBecomesOfAFloodOfSyns) {
    const auto limits = [](std::string_view text) {
        return read(rule("from: any, to: any, action: allow, limits: {" + std::string{text} + "}")).rules[0].limits;
    };
    EXPECT_EQ(limits("half_open: 5000"), (abi::RuleLimits{.half_open_max = 5000}));
    EXPECT_EQ(limits("half_open: 5000, over: refuse"), (abi::RuleLimits{.half_open_max = 5000}));
    EXPECT_EQ(limits("half_open: 5000, over: syn-cookie"),
              (abi::RuleLimits{.half_open_max = 5000, .over = abi::HalfOpenOver::syn_cookie}));
    EXPECT_EQ(limits("over: syn-cookie"), (abi::RuleLimits{.over = abi::HalfOpenOver::syn_cookie}));
    const auto deny = rule("from: any, to: any, action: deny");
    EXPECT_EQ(read(deny).syn_proxy, abi::SynProxySettings{});
    const auto set = read("syn_proxy: {mss: 1380, wscale: 9, sack: off, timestamps: on}\n" + deny).syn_proxy;
    EXPECT_EQ(set, (abi::SynProxySettings{1380, 9, abi::SynPromise::off, abi::SynPromise::on}));
    EXPECT_EQ(read("syn_proxy: {sack: learn}\n" + deny).syn_proxy.sack, abi::SynPromise::learn);
}

TEST(Reader, ReadsWhoElseMustAgreeToAChange) {
    const auto deny = rule("from: any, to: any, action: deny");
    EXPECT_EQ(read(deny).approvals, Approvals{});
    EXPECT_EQ(read("approvals: {needed: 2}\n" + deny).approvals, (Approvals{2, 86'400'000}));
    EXPECT_EQ(read("approvals: {needed: 5, within: 90m}\n" + deny).approvals, (Approvals{5, 5'400'000}));
}

TEST(Reader, ReadsWhatBecomesOfLiveFlows) {
    EXPECT_EQ(read(rule("from: any, to: any, action: deny")).on_change, abi::OnChange::reevaluate);
    EXPECT_FALSE(read(rule("from: any, to: any, action: deny")).rules[0].on_change);
    EXPECT_EQ(read("on_change: keep\n" + rule("from: any, to: any, action: deny")).on_change, abi::OnChange::keep);
    const auto killing = read(rule("from: any, to: any, action: reject, on_change: kill"));
    EXPECT_EQ(killing.rules[0].on_change, abi::OnChange::kill);
    EXPECT_EQ(read(rule("from: any, to: any, action: pass, on_change: reevaluate")).rules[0].on_change,
              abi::OnChange::reevaluate);
}

// What the field table calls the standard is what a policy without the key means.
TEST(Reader, TheStandardsOfTimeoutsAreTheDefaults) {
    const auto* timeouts = document_schema().find("timeouts");
    ASSERT_NE(timeouts, nullptr);
    EXPECT_EQ(timeouts->object->fields.size(), kTimeoutKeys.size());
    for (const auto& [key, member] : kTimeoutKeys) {
        const auto* field = timeouts->object->find(key);
        ASSERT_NE(field, nullptr) << key;
        EXPECT_EQ(field->standard, duration_text(abi::FlowTimeouts{}.*member)) << key;
    }
}

TEST(Reader, ReadsTheWholeOfASmallPolicy) {
    const auto policy = read(R"(wire: {arp: deny, other: allow}
rules:
  - {id: web-in, from: internet, to: web, service: https, action: allow, log: both}
  - {id: trial, from: any, to: dmz, action: reject, mode: observe, log: end}
)");
    EXPECT_EQ(policy.name, "edge");
    EXPECT_EQ(policy.default_action, Action::deny);
    EXPECT_EQ(policy.default_log, abi::RuleLog::start);
    EXPECT_EQ(policy.wire_arp, abi::WireAction::deny);
    EXPECT_EQ(policy.wire_nd, abi::WireAction::allow);
    EXPECT_EQ(policy.wire_other, abi::WireAction::allow);
    ASSERT_EQ(policy.zones.size(), 2U);
    EXPECT_EQ(policy.zones[1].name, "dmz");
    EXPECT_EQ(policy.zones[1].ports, (std::vector<std::string>{"dmz0", "dmz1"}));
    ASSERT_EQ(policy.sets.size(), 2U);
    EXPECT_EQ(to_text(policy.sets[0].nets[1]), "2001:db8:20:1::/64");
    ASSERT_EQ(policy.rules.size(), 2U);
    const auto& web_in = policy.rules[0];
    EXPECT_EQ(web_in.id, "web-in");
    EXPECT_EQ(web_in.action, Action::allow);
    EXPECT_EQ(web_in.mode, abi::RuleMode::enforce);
    EXPECT_EQ(web_in.log, abi::RuleLog::both);
    ASSERT_EQ(web_in.from.size(), 1U);
    EXPECT_EQ(web_in.from[0].zone, 0);
    EXPECT_TRUE(web_in.from[0].any_addr);
    ASSERT_EQ(web_in.to.size(), 1U);
    EXPECT_FALSE(web_in.to[0].any_addr);
    EXPECT_EQ(web_in.to[0].sets, std::vector<std::uint16_t>{0});
    EXPECT_EQ(web_in.service, (std::vector<ServiceTerm>{{abi::L4Proto::tcp, 443, 443}}));
    EXPECT_EQ(policy.pos_of_rule(0).line, 14U);
    EXPECT_EQ(policy.pos_of_rule(0).column, 5U);
    const auto& trial = policy.rules[1];
    EXPECT_EQ(trial.action, Action::reject);
    EXPECT_EQ(trial.mode, abi::RuleMode::observe);
    EXPECT_EQ(trial.log, abi::RuleLog::end);
    EXPECT_FALSE(trial.from[0].zone.has_value());
    EXPECT_TRUE(trial.from[0].any_addr);
    EXPECT_TRUE(trial.service.empty());
}

TEST(Reader, ListMeansOrAndZoneWithSetMeansAnd) {
    const auto policy =
        read(rule("from: [dmz, web, 192.0.2.0/24, ops], to: {zone: internet, set: [ops, 192.0.2.1]}, action: pass"));
    const auto& r = policy.rules.at(0);
    ASSERT_EQ(r.from.size(), 2U);  // the zone, and all addresses together
    EXPECT_EQ(r.from[0].zone, 1);
    EXPECT_TRUE(r.from[0].any_addr);
    EXPECT_FALSE(r.from[1].zone.has_value());
    EXPECT_FALSE(r.from[1].any_addr);
    EXPECT_EQ(r.from[1].sets, (std::vector<std::uint16_t>{0, 1}));
    ASSERT_EQ(r.from[1].nets.size(), 1U);
    ASSERT_EQ(r.to.size(), 1U);
    EXPECT_EQ(r.to[0].zone, 0);
    EXPECT_FALSE(r.to[0].any_addr);
    EXPECT_EQ(r.to[0].sets, std::vector<std::uint16_t>{1});
    EXPECT_EQ(to_text(r.to[0].nets.at(0)), "192.0.2.1");
    EXPECT_EQ(r.to[0].nets.at(0).bits, 32);
    EXPECT_EQ(r.action, Action::pass);
}

TEST(Reader, OwnServicesMayGiveBuiltInNamesAnotherMeaning) {
    const auto policy = read(rule("from: any, to: any, service: [mgmt, ping, udp/5000-5010], action: allow"));
    EXPECT_EQ(policy.rules.at(0).service.size(), 5U);
    auto text = std::string{kHead};
    text.replace(text.find("mgmt:"), 5, "https:");
    const auto own = read_policy(text + rule("from: any, to: any, service: https, action: allow"), PolicyFormat::yaml);
    ASSERT_TRUE(own) << words(own.error());
    EXPECT_EQ(own->rules.at(0).service,
              (std::vector<ServiceTerm>{{abi::L4Proto::tcp, 22, 22}, {abi::L4Proto::tcp, 3389, 3389}}));
}

TEST(Reader, ReadsTests) {
    const auto policy = read(rule("from: any, to: any, action: allow") + R"(tests:
  - {from: 198.51.100.7@internet, to: "10.20.1.8@dmz:443/tcp", expect: allow, by: r}
  - {from: "2001:db8::7@internet:1024", to: "[2001:db8:20:1::8]:echo-request/icmp6", expect: deny, by: default}
  - {from: 198.51.100.7@internet, to: 10.20.1.8, service: ping, expect: reject}
  - {from: 198.51.100.7@internet, to: "10.20.1.8:47/proto", expect: reject}
)");
    ASSERT_EQ(policy.tests.size(), 4U);
    EXPECT_EQ(policy.tests[0].from_zone, 0);
    EXPECT_EQ(policy.tests[0].to_zone, 1);
    EXPECT_EQ(policy.tests[0].sport, 49152);
    EXPECT_EQ(policy.tests[0].dport_or_icmp, 443);
    EXPECT_EQ(policy.tests[0].expect, abi::Verdict::allow);
    EXPECT_EQ(policy.tests[0].by, "r");
    EXPECT_EQ(policy.tests[0].text_to, "10.20.1.8@dmz:443/tcp");
    EXPECT_EQ(policy.tests[1].family, abi::IpFamily::v6);
    EXPECT_EQ(policy.tests[1].sport, 1024);
    EXPECT_EQ(policy.tests[1].proto, abi::L4Proto::icmp6);
    EXPECT_EQ(policy.tests[1].dport_or_icmp, 128 << 8);
    EXPECT_EQ(policy.tests[1].to_zone, 1);
    EXPECT_EQ(policy.tests[2].proto, abi::L4Proto::icmp);
    EXPECT_EQ(policy.tests[2].expect, abi::Verdict::reject);
    EXPECT_EQ(policy.tests[3].proto, abi::L4Proto::gre);
    EXPECT_EQ(policy.tests[3].dport_or_icmp, 0);
}

TEST(Reader, ReadsWhatATestGivesAndWhomNothingBlocks) {
    const auto policy = read_policy(R"(sluice: 1
name: n
default: {action: deny}
zones: {lan: {ports: [p]}, wan: {ports: [q]}}
never_block: [10.9.0.0/24, regulator, regulator]
sets: {blocked: {members: api}, regulator: {nets: [203.0.113.128/25]}, other: {members: api}}
rules: [{id: no, from: blocked, to: any, action: deny}]
tests:
  - {from: 192.0.2.66@lan, to: "10.0.0.2:1/tcp", given: {other: 10.0.0.2, blocked: [192.0.2.66, 10.0.0.0/8]}, expect: deny}
  - {from: 192.0.2.66@lan, to: "10.0.0.2:1/tcp", expect: deny}
)",
                                    PolicyFormat::yaml);
    ASSERT_TRUE(policy) << words(policy.error());
    EXPECT_EQ(policy->never_block.sets, std::vector<std::uint16_t>{1});
    ASSERT_EQ(policy->never_block.nets.size(), 1U);
    EXPECT_EQ(policy->never_block.nets[0].bits, 24);
    ASSERT_EQ(policy->tests[0].given.size(), 2U);
    EXPECT_EQ(policy->tests[0].given[0].set, 2);
    EXPECT_EQ(policy->tests[0].given[0].members.size(), 1U);
    EXPECT_EQ(policy->tests[0].given[1].set, 0);
    EXPECT_EQ(policy->tests[0].given[1].members[1].bits, 8);
    EXPECT_TRUE(policy->tests[1].given.empty());
}

TEST(Reader, ZoneOfATestFollowsTheWire) {
    const std::string tail = R"(tests:
  - {from: 198.51.100.7@internet, to: "10.20.1.8:443/tcp", expect: deny}
)";
    auto text = std::string{kHead};
    text.insert(text.find("sets:"), "  core: {ports: [lan0]}\n");
    EXPECT_FALSE(read_policy(text + tail, PolicyFormat::yaml));  // three zones, and nothing known about wires
    const WireHint wire{{{"lan0", "wan0"}}};
    const auto policy = read_policy(text + tail, PolicyFormat::yaml, {&wire});
    ASSERT_TRUE(policy) << words(policy.error());
    EXPECT_EQ(policy->tests.at(0).to_zone, 2);
    const WireHint two{{{"lan0", "wan0"}, {"wan0", "dmz1"}}};
    EXPECT_FALSE(read_policy(text + tail, PolicyFormat::yaml, {&two}));
}

TEST(Reader, JsonAndYamlSayTheSame) {
    const auto yaml = read(rule("from: any, to: web, service: tcp/443, action: allow"));
    const auto json = read_policy(R"({"sluice": 1, "name": "edge", "default": {"action": "deny", "log": "start"},
        "zones": {"internet": {"ports": ["wan0"]}, "dmz": {"ports": ["dmz0", "dmz1"]}},
        "sets": {"web": {"nets": ["10.20.1.0/24", "2001:db8:20:1::/64"]}, "ops": {"nets": ["10.9.0.5"]}},
        "services": {"mgmt": ["tcp/22", "tcp/3389"]},
        "rules": [{"id": "r", "from": "any", "to": "web", "service": "tcp/443", "action": "allow"}]})",
                                  PolicyFormat::json);
    ASSERT_TRUE(json) << words(json.error());
    EXPECT_EQ(json->version, yaml.version);
    EXPECT_EQ(json->pos_of_rule(0).line, 5U);
    EXPECT_EQ(json->pos_of_rule(0).column, 19U);
}

TEST(Reader, ReportsAllErrorsInTheOrderOfTheText) {
    const auto policy = read_policy(R"(sluice: 2
name: Edge
zones: {lan: {ports: [a, a]}}
rules:
  - {id: r, from: dzm, to: any, action: alow, extra: 1}
default: {action: pass}
)",
                                    PolicyFormat::yaml);
    ASSERT_FALSE(policy);
    std::string codes;
    for (const auto& error : policy.error()) codes += error.code + " ";
    EXPECT_EQ(codes, "bad-version bad-name port-in-two-zones undefined-name bad-choice unknown-key bad-choice ");
}

// The figure a reader may look at: a policy of 1,000 rules. The bound is a hang limit, not the goal.
TEST(Reader, ReadsAThousandRulesQuickly) {
    auto text = std::string{kHead} + "rules:\n";
    for (int i = 0; i < 1000; ++i) {
        text += "  - {id: rule-" + std::to_string(i) + ", from: internet, to: [web, 10.1." + std::to_string(i / 250) +
                "." + std::to_string(i % 250) + "/32], service: tcp/" + std::to_string(1000 + i) +
                ", action: allow, log: end}\n";
    }
    const auto started = std::chrono::steady_clock::now();
    const auto policy = read_policy(text, PolicyFormat::yaml);
    const auto ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - started).count();
    ASSERT_TRUE(policy) << words(policy.error());
    EXPECT_EQ(policy->rules.size(), 1000U);
    RecordProperty("read_1000_rules_ms", std::to_string(ms));
    std::printf("1,000 rules of YAML (%zu bytes): %.1f ms\n", text.size(), ms);
    EXPECT_LT(ms, 5000);
}

}  // namespace
}  // namespace sluice::cp
