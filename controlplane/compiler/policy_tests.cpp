#include "controlplane/compiler/policy_tests.hpp"

#include <algorithm>
#include <memory>
#include <span>

#include "controlplane/compiler/changing_sets.hpp"
#include "controlplane/compiler/rate_refusal.hpp"
#include "controlplane/compiler/reference.hpp"
#include "controlplane/policy/rate.hpp"
#include "dataplane/acl/lookup.hpp"
#include "dataplane/acl/set_table.hpp"

namespace sluice::cp {

namespace {

dp::LookupKey key_of(const PolicyTest& test) {
    return {.src = test.src,
            .dst = test.dst,
            .from = abi::ZoneId{test.from_zone},
            .to = abi::ZoneId{test.to_zone},
            .dport_or_icmp = test.dport_or_icmp,
            .family = test.family,
            .proto = test.proto};
}

/// The members that a test gives, as the dataplane has them. Null: it gives none.
std::unique_ptr<dp::OwnSetTable> given_table(const Policy& policy, const PolicyTest& test) {
    static_assert(kGivenMembersMax <= abi::kSetChangesMax, "they are one batch");
    std::size_t count = 0;
    for (const GivenMembers& given : test.given) count += given.members.size();
    if (count == 0) return nullptr;
    auto table = std::make_unique<dp::OwnSetTable>(static_cast<std::uint32_t>(count));
    abi::ChangeSets batch;
    batch.epoch = 1;
    batch.is_first = 1;
    for (const GivenMembers& given : test.given) {
        for (const Prefix& p : given.members) {
            batch.changes[batch.count++] = {.set = set_id(policy.sets[given.set].name),
                                            .member = {.addr = p.addr, .family = p.family, .bits = p.bits},
                                            .op = abi::SetOp::add};
        }
    }
    (void)(*table)->apply(batch, {}, nullptr, 0);  // the reader takes only what is well-formed
    return table;
}

/// The same as a plain list.
Membership given_members(const Policy& policy, const PolicyTest& test) {
    return [&policy, &test](std::string_view set, abi::IpFamily family, const abi::IpAddr& addr) {
        return std::ranges::any_of(test.given, [&](const GivenMembers& given) {
            return policy.sets[given.set].name == set && any_holds(given.members, family, addr);
        });
    };
}

/// What was found, by names: tables number rules in their own way.
struct Found {
    std::string_view rule, observe;
    TestLimit refused{};
    bool operator==(const Found&) const = default;
};

TestLimit refused_by_tables(const dp::TableView& tables, const PolicyTest& test, abi::RuleIndex rule) {
    return refused_by(test.repeat_per_second, tables.zones[test.from_zone].limits, tables.rule(rule).limits);
}

TestLimit refused_by_policy(const Policy& policy, const PolicyTest& test, abi::RuleIndex rule) {
    return refused_by(test.repeat_per_second, policy.zones[test.from_zone].limits,
                      rule < policy.rules.size() ? policy.rules[rule].limits : policy.default_limits);
}

std::string disagreement(const PolicyTest& test, const Found& compiled, const Found& reference) {
    const auto words = [](const Found& found) {
        std::string text = std::string{found.rule} + " (observed " + std::string{found.observe} + ")";
        if (found.refused != TestLimit::none) text += " refused by limit " + std::string{to_string(found.refused)};
        return text;
    };
    return "internal error: for the test from " + test.text_from + " to " + test.text_to +
           " the compiled tables answer " + words(compiled) + ", the reference " + words(reference);
}

}  // namespace

Expected<std::vector<TestOutcome>, std::string> run_policy_tests(const Policy& policy, const dp::TableView& tables,
                                                                 UnixSeconds now) {
    std::vector<TestOutcome> outcomes;
    for (const PolicyTest& test : policy.tests) {
        const dp::LookupKey key = key_of(test);
        dp::LookupResult compiled;
        const UnixSeconds at = test.at.value_or(now);
        dp::TableView view = tables.at(static_cast<std::uint64_t>(at));
        const auto given = given_table(policy, test);
        if (given != nullptr) view.members = (*given)->view(view, nullptr, 0);
        dp::lookup(view, std::span{&key, 1}, std::span{&compiled, 1});
        const dp::LookupResult reference = reference_lookup(policy, key, at, given_members(policy, test));
        abi::Verdict got = tables.rule(compiled.rule).verdict;
        const auto of_tables = [&](abi::RuleIndex rule) {
            return rule == abi::kNoRule ? std::string_view{"none"} : tables.rule_id(rule);
        };
        const auto of_policy = [&](abi::RuleIndex rule) {
            return rule == abi::kNoRule ? std::string_view{"none"} : reference_rule_id(policy, rule);
        };
        const std::string_view got_rule = tables.rule_id(compiled.rule);
        const bool may_pass = got == abi::Verdict::allow;  // limits are asked about nothing else
        const auto none = TestLimit::none;
        const Found got_both{got_rule, of_tables(compiled.observe),
                             may_pass ? refused_by_tables(tables, test, compiled.rule) : none};
        const Found expected{of_policy(reference.rule), of_policy(reference.observe),
                             may_pass ? refused_by_policy(policy, test, reference.rule) : none};
        if (got_both != expected || got != reference_verdict(policy, reference.rule))
            return Unexpected<std::string>{disagreement(test, got_both, expected)};
        if (got_both.refused != none) got = abi::Verdict::deny;
        outcomes.push_back({.from = test.text_from,
                            .to = test.text_to,
                            .expect = std::string{to_string(test.expect)},
                            .got = std::string{to_string(got)},
                            .by = test.by,
                            .got_rule = std::string{got_rule},
                            .repeat = test.repeat_per_second == 0 ? "" : rate_text(test.repeat_per_second),
                            .limit = std::string{to_string(test.limit)},
                            .got_limit = std::string{to_string(got_both.refused)},
                            .passed = got == test.expect && (test.by.empty() || test.by == got_rule) &&
                                      (test.limit == none || test.limit == got_both.refused),
                            .pos = test.pos});
    }
    return outcomes;
}

bool all_passed(const std::vector<TestOutcome>& outcomes) {
    return std::all_of(outcomes.begin(), outcomes.end(), [](const TestOutcome& o) { return o.passed; });
}

}  // namespace sluice::cp
