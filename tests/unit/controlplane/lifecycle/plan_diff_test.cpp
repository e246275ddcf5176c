#include "controlplane/lifecycle/plan_diff.hpp"

#include <gtest/gtest.h>

#include <map>
#include <tuple>

#include "controlplane/policy/reader.hpp"
#include "tests/harness/policies.hpp"

namespace sluice::cp {
namespace {

using Ids = std::vector<std::string>;

Policy policy_of(const Ids& ids, const std::vector<std::string>& web = {"198.51.100.80/32"}) {
    test::PolicyBuilder builder;
    builder.zone("outside", {"p0"}).zone("inside", {"p1"}).set("other", {"192.0.2.0/24"}).set("web", web);
    for (const auto& id : ids) {
        builder.rule({.id = id, .from = {"outside"}, .to = {id == "a" ? "web" : "any"}, .action = Action::allow});
    }
    return builder.build();
}

TEST(PlanDiff, AddedChangedRemoved) {
    const auto before = policy_of({"a", "b", "c"});
    auto diff = plan_diff(&before, policy_of({"a", "c", "d"}));
    EXPECT_EQ(diff.added, Ids{"d"});
    EXPECT_EQ(diff.removed, Ids{"b"});
    EXPECT_TRUE(diff.changed.empty());
    diff = plan_diff(&before, before);
    EXPECT_TRUE(diff.added.empty() && diff.changed.empty() && diff.removed.empty());
    EXPECT_EQ(plan_diff(nullptr, before).added, (Ids{"a", "b", "c", "default"}));
}

TEST(PlanDiff, AnotherContentOfASetIsAChangeOfTheRulesThatUseIt) {
    const auto before = policy_of({"a", "b"});
    EXPECT_EQ(plan_diff(&before, policy_of({"a", "b"}, {"198.51.100.81/32"})).changed, Ids{"a"});
}

TEST(PlanDiff, AMovedRuleIsAChange) {
    const auto before = policy_of({"a", "b", "c", "d"});
    EXPECT_EQ(plan_diff(&before, policy_of({"d", "a", "b", "c"})).changed, Ids{"d"});
    EXPECT_EQ(plan_diff(&before, policy_of({"b", "a", "d", "c"})).changed.size(), 2U);
}

TEST(PlanDiff, AnotherLimitIsAChange) {
    const auto before = policy_of({"a", "b"});
    auto after = before;
    after.rules[1].limits.states_max = 5;
    after.default_limits.states_max = 7;
    EXPECT_EQ(plan_diff(&before, after).changed, (Ids{"b", "default"}));
}

TEST(PlanDiff, DefaultAndWireStandAmongTheIds) {
    const auto before = policy_of({"a"});
    auto after = before;
    after.default_action = Action::reject;
    after.wire_nd = abi::WireAction::deny;
    EXPECT_EQ(plan_diff(&before, after).changed, (Ids{"default", "builtin:nd"}));
}

/// `~ rule a  to: web -> any`, one per change.
Ids lines(const Policy& before, const Policy& after) {
    Ids out;
    for (const auto& change : plan_diff(&before, after).changes) {
        auto line = change.op + " " + change.kind + " " + change.id;
        for (const auto& field : change.fields) line += "|" + field.name + ":" + field.before + ">" + field.after;
        out.push_back(line);
    }
    return out;
}

Policy read(const std::string& text) {
    auto policy = read_policy(text, PolicyFormat::yaml, {});
    EXPECT_TRUE(policy.has_value()) << (policy ? "" : policy.error().front().detail);
    return policy ? std::move(*policy) : Policy{};
}

const std::string kBase = R"(sluice: 1
name: edge
default: {action: deny}
zones:
  outside: {ports: [p0]}
  inside: {ports: [p1]}
sets:
  shop: {nets: [198.51.100.80]}
services:
  web: [tcp/80]
rules:
  - {id: web-in, from: outside, to: shop, service: web, action: allow}
  - {id: ops, from: outside, to: inside, service: ssh, action: deny}
tests:
  - {from: 192.0.2.1@outside, to: "198.51.100.80@inside:80/tcp", expect: allow}
)";

std::string with(const std::string& from, const std::string& to) {
    auto text = kBase;
    const auto at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
}

TEST(PlanChanges, OfNeverBlockAndOfWhatTestsGive) {
    const auto policy = [](const std::string& never_block, const std::string& given) {
        auto text = with("sets:\n", "sets:\n  blocked: {members: api}\n");
        const std::string test = "expect: allow}";
        return read(text.replace(text.find(test), test.size(), given + test) + never_block);
    };
    const auto before = policy("never_block: [shop, 10.9.0.0/24]\n", "given: {blocked: [10.0.0.9, 10.1.0.0/16]}, ");
    EXPECT_EQ(
        lines(before, policy("never_block: [10.9.0.0/25, shop]\n", "given: {blocked: [10.1.0.0/16, 10.0.0.9]}, ")),
        Ids{"change never_block |member:10.9.0.0/24>|member:>10.9.0.0/25"});
    const std::string test = "test 192.0.2.1@outside -> 198.51.100.80@inside:80/tcp expect allow";
    EXPECT_EQ(lines(before, policy("", "")), (Ids{"remove never_block |member:10.9.0.0/24>|member:shop>", "add " + test,
                                                  "remove " + test + " given blocked: 10.0.0.9, 10.1.0.0/16"}));
}

TEST(PlanChanges, OfSetsWhoseMembersComeByTheApi) {
    const auto policy = [](const std::string& set) { return read(with("sets:\n", "sets:\n" + set)); };
    const std::string here = "  more: {nets: [10.0.0.0/8]}\n", api = "  more: {members: api}\n",
                      larger = "  more: {members: api, max_ips: 200000}\n";
    EXPECT_EQ(lines(policy(here), policy(api)),
              Ids{"change set more|net:10.0.0.0/8>|members:as they stand here>by the API, at most 100000"});
    EXPECT_EQ(lines(policy(api), policy(larger)),
              Ids{"change set more|members:by the API, at most 100000>by the API, at most 200000"});
    EXPECT_EQ(lines(read(kBase), policy(api)), Ids{"add set more|members:>by the API, at most 100000"});
    EXPECT_EQ(lines(read(kBase), policy(here)), Ids{"add set more|net:>10.0.0.0/8"});
}

TEST(PlanChanges, OfTestsThatRepeat) {
    const std::string test = "expect: allow}";
    const auto repeated = [&](const std::string& more) { return read(with(test, more)); };
    const std::string name = "test 192.0.2.1@outside -> 198.51.100.80@inside:80/tcp expect ";
    EXPECT_EQ(lines(read(kBase), repeated("expect: allow, repeat: 20/s}")),
              (Ids{"add " + name + "allow repeat 20/s", "remove " + name + "allow"}));
    EXPECT_EQ(lines(repeated("expect: deny, repeat: 20/s}"), repeated("expect: deny, repeat: 20/s, limit: zone}")),
              (Ids{"add " + name + "deny limit zone repeat 20/s", "remove " + name + "deny repeat 20/s"}));
}

TEST(PlanChanges, NothingThatDiffersIsHidden) {
    const auto before = read(kBase);
    EXPECT_EQ(lines(before, before), Ids{});
    const std::vector<std::tuple<std::string, std::string, Ids>> cases{
        {"name: edge", "name: rim", {"change name |:edge>rim"}},
        {"{action: deny}\nz", "{action: allow, log: both}\nz", {"change default |action:deny>allow|log:none>both"}},
        {"zones:", "wire: {arp: deny}\nzones:", {"change wire |arp:allow>deny"}},
        {"zones:", "approvals: {needed: 2}\nzones:", {"change approvals |:none>2 within 1d"}},
        {"zones:",
         "seq_check: log\ntimeouts: {udp_stream: 90s, icmp: 60s}\nzones:",
         {"change tracking |seq_check:strict>log|udp_stream:3m>90s"}},
        {"service: web, action: allow",
         "service: web, action: allow, limits: {states: 5, new_per_second_per_source: 9}",
         {"change rule web-in|limits:none>states 5, new_per_second_per_source 9"}},
        {"service: web, action: allow",
         "service: web, action: allow, limits: {half_open: 9, over: syn-cookie}",
         {"change rule web-in|limits:none>half_open 9, over syn-cookie"}},
        {"zones:",
         "syn_proxy: {mss: 1380, timestamps: on}\nzones:",
         {"change tracking |syn_proxy mss:1460>1380|syn_proxy timestamps:learn>on"}},
        {"inside: {ports: [p1]}",
         "inside: {ports: [p1], limits: {new_per_second: 9}}",
         {"change zone inside|limits:none>new_per_second 9"}},
        {"{action: deny}\nz",
         "{action: allow, limits: {states_per_source: 3}}\nz",
         {"change default |action:deny>allow|limits:none>states_per_source 3"}},
        {"198.51.100.80]", "198.51.100.80, 0.0.0.0/0]", {"change set shop|net:>0.0.0.0/0"}},
        {"[tcp/80]",
         "[tcp/81]",
         {"change service web|term:tcp/80>|term:>tcp/81", "change rule web-in|service:tcp/80>tcp/81"}},
        {"to: shop", "to: [inside, 192.0.2.9]", {"change rule web-in|to:shop>192.0.2.9, inside"}},
        {"service: ssh, action: deny",
         "action: reject, mode: observe, log: start",
         {"change rule ops|action:deny>reject|service:tcp/22>any|mode:enforce>observe|log:none>start"}},
        {"expect: allow}",
         "expect: allow, by: web-in}",
         {"add test 192.0.2.1@outside -> 198.51.100.80@inside:80/tcp expect allow by web-in",
          "remove test 192.0.2.1@outside -> 198.51.100.80@inside:80/tcp expect allow"}},
        {"rules:", "never_block: [shop, 10.9.0.0/24]\nrules:", {"add never_block |member:>10.9.0.0/24|member:>shop"}},
        {"service: web", "service: tcp/80", {"change wording |:>other words or another order, with the same meaning"}},
    };
    for (const auto& [from, to, expected] : cases) EXPECT_EQ(lines(before, read(with(from, to))), expected) << to;
}

TEST(PlanChanges, SwappedZonesAndMovedRulesShow) {
    const auto before = read(kBase);
    auto after = before;
    std::swap(after.zones[0].ports, after.zones[1].ports);
    EXPECT_EQ(lines(before, after),
              (Ids{"change zone outside|port:p0>|port:>p1", "change zone inside|port:p1>|port:>p0"}));
    after = before;
    std::swap(after.rules[0], after.rules[1]);
    EXPECT_EQ(lines(before, after).size(), 1U);
    EXPECT_EQ(lines(before, after).front().substr(0, 9), "move rule");
}

TEST(PlanChanges, AFirstPolicyIsListedWhole) {
    const auto after = read(kBase);
    std::map<std::string, int> kinds;
    for (const auto& change : plan_diff(nullptr, after).changes) ++kinds[change.kind];
    EXPECT_EQ(kinds["zone"], 2);
    EXPECT_EQ(kinds["rule"], 2);
    EXPECT_EQ(kinds["set"] + kinds["service"] + kinds["test"] + kinds["default"] + kinds["wire"], 5);
}

}  // namespace
}  // namespace sluice::cp
