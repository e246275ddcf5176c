#include "controlplane/compiler/policy_tests.hpp"

#include <algorithm>
#include <span>

#include "controlplane/compiler/reference.hpp"
#include "dataplane/acl/lookup.hpp"

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

std::string disagreement(const Policy& policy, const PolicyTest& test, const dp::LookupResult& compiled,
                         const dp::LookupResult& reference) {
    const auto name = [&](abi::RuleIndex rule) {
        return rule == abi::kNoRule ? std::string{"none"} : std::string{reference_rule_id(policy, rule)};
    };
    return "internal error: for the test from " + test.text_from + " to " + test.text_to +
           " the compiled tables answer " + name(compiled.rule) + " (observed " + name(compiled.observe) +
           "), the reference " + name(reference.rule) + " (observed " + name(reference.observe) + ")";
}

}  // namespace

Expected<std::vector<TestOutcome>, std::string> run_policy_tests(const Policy& policy, const dp::TableView& tables,
                                                                 UnixSeconds now) {
    std::vector<TestOutcome> outcomes;
    for (const PolicyTest& test : policy.tests) {
        const dp::LookupKey key = key_of(test);
        dp::LookupResult compiled;
        const UnixSeconds at = test.at.value_or(now);
        dp::lookup(tables.at(static_cast<std::uint64_t>(at)), std::span{&key, 1}, std::span{&compiled, 1});
        const dp::LookupResult reference = reference_lookup(policy, key, at);
        const abi::Verdict got = tables.rules[compiled.rule].verdict;
        const std::string_view got_rule = tables.rule_id(compiled.rule);
        if (compiled.rule != reference.rule || compiled.observe != reference.observe ||
            got != reference_verdict(policy, reference.rule) || got_rule != reference_rule_id(policy, reference.rule))
            return Unexpected<std::string>{disagreement(policy, test, compiled, reference)};
        outcomes.push_back({.from = test.text_from,
                            .to = test.text_to,
                            .expect = std::string{to_string(test.expect)},
                            .got = std::string{to_string(got)},
                            .by = test.by,
                            .got_rule = std::string{got_rule},
                            .passed = got == test.expect && (test.by.empty() || test.by == got_rule),
                            .pos = test.pos});
    }
    return outcomes;
}

bool all_passed(const std::vector<TestOutcome>& outcomes) {
    return std::all_of(outcomes.begin(), outcomes.end(), [](const TestOutcome& o) { return o.passed; });
}

}  // namespace sluice::cp
