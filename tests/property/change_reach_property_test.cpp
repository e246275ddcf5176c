/// Which live flows a change of the policy concerns: for random policies and changes of them, a flow whose rule is said
/// to be untouched is decided by the same rule in the same way afterwards. The reference matcher decides.
#include "controlplane/compiler/change_reach.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "controlplane/compiler/reference.hpp"
#include "tests/harness/policies.hpp"
#include "tests/harness/random_policies.hpp"
#include "tests/harness/seed.hpp"

namespace sluice::test {
namespace {

/// A change of a rule, or a set gains or loses a member.
void change(cp::Policy& policy, const Pool& pool, Random& random, std::uint32_t& next_id) {
    const auto pick = [&](std::size_t below) { return static_cast<std::size_t>(random() % below); };
    if (policy.sets.empty() || policy.rules.empty() || pick(10) != 0) return change_rule(policy, pool, random, next_id);
    auto& nets = policy.sets[pick(policy.sets.size())].nets;
    if (nets.size() > 1 && pick(2) == 0) {
        nets.erase(nets.begin() + static_cast<std::ptrdiff_t>(pick(nets.size())));
        return;
    }
    const dp::LookupKey key = pool.key(random);
    nets.push_back({key.family, static_cast<std::uint8_t>(key.family == abi::IpFamily::v4 ? 32 : 128), key.src});
}

struct Tally {
    std::uint64_t keys{}, untouched{}, same{};
};

void compare(const cp::Policy& before, const cp::Policy& after, const Pool& pool, Random& random, Tally& tally,
             const cp::Membership& members = {}) {
    cp::SlotMap slots;
    const auto slots_before = slots.assign(before);
    ASSERT_TRUE(slots_before);
    const auto assigned = slots.assign(after);
    ASSERT_TRUE(assigned);
    const auto& slots_after = *assigned;
    const auto bits = cp::untouched_slots({&before, *slots_before, 1, {}}, after, slots_after);
    for (int k = 0; k < 60; ++k) {
        const dp::LookupKey key = pool.key(random, k % 2 == 0 ? before : after);
        const abi::RuleIndex was = cp::reference_lookup(before, key, members).rule,
                             is = cp::reference_lookup(after, key, members).rule;
        if (cp::reference_verdict(before, was) != abi::Verdict::allow) continue;  // no flow
        const auto log = [](const cp::Policy& p, abi::RuleIndex r) {
            return r < p.rules.size() ? p.rules[r].log : p.default_log;
        };
        const bool same = cp::reference_rule_id(before, was) == cp::reference_rule_id(after, is) &&
                          cp::reference_verdict(after, is) == abi::Verdict::allow && log(before, was) == log(after, is);
        const auto slot =
            static_cast<std::size_t>(was < slots_before->size() ? (*slots_before)[was] : abi::kSlotDefault);
        const bool untouched = slot / 64 < bits.size() && (bits[slot / 64] >> (slot % 64) & 1U) != 0;
        ++tally.keys;
        tally.same += same ? 1 : 0;
        tally.untouched += untouched ? 1 : 0;
        ASSERT_TRUE(same || !untouched) << to_text(key) << ": " << cp::reference_rule_id(before, was)
                                        << " is said to be untouched, and now " << cp::reference_rule_id(after, is)
                                        << " decides";
    }
}

Tally compare_many(std::uint64_t first, bool layered) {
    Tally tally;
    for (std::uint64_t run = 0; run < 1'500; ++run) {
        SCOPED_TRACE("SEED=" + std::to_string(first + run));
        const Pool pool{first + run};
        Random random{first + run};
        cp::Policy before = pool.policy(random_rules(random, 1 + random() % 12));
        if (layered) add_layers(before, random);
        cp::Policy after = before;
        std::uint32_t next_id = 0;
        for (std::uint64_t n = 1 + random() % 3; n != 0; --n) change(after, pool, random, next_id);
        if (layered) {
            // Some rules come into other layers; most stay where they are.
            settle_layers(after);
            if (random() % 8 == 0) add_layers(after, random);
        }
        if (random() % 20 == 0) after.default_action = cp::Action::allow;
        compare(before, after, pool, random, tally);
        if (testing::Test::HasFatalFailure()) return tally;
    }
    std::printf("%llu flows, %llu decided as before, %llu of them known to be; SEED=%llu\n",
                static_cast<unsigned long long>(tally.keys), static_cast<unsigned long long>(tally.same),
                static_cast<unsigned long long>(tally.untouched), static_cast<unsigned long long>(first));
    return tally;
}

/// Members stay who they are; whom never_block protects from them may change.
Tally compare_with_members(std::uint64_t first) {
    Tally tally;
    for (std::uint64_t run = 0; run < 1'500; ++run) {
        SCOPED_TRACE("SEED=" + std::to_string(first + run));
        const Pool pool{first + run};
        Random random{first + run};
        cp::Policy before = pool.policy(random_rules(random, 1 + random() % 12));
        if (random() % 2 == 0) add_layers(before, random);
        const SetsByApi sets = put_sets_on_api(before, random);
        add_never_block(before, sets.known, random);
        cp::Policy after = before;
        std::uint32_t next_id = 0;
        for (std::uint64_t n = random() % 3; n != 0; --n) change(after, pool, random, next_id);
        settle_layers(after);
        if (random() % 2 == 0) add_never_block(after, sets.known, random);
        if (random() % 10 == 0) after.default_action = cp::Action::allow;
        std::map<std::string_view, std::vector<cp::Prefix>> members;
        for (const std::string& name : sets.names) {
            for (const cp::Prefix& p : sets.known) {
                if (random() % 2 == 0) members[name].push_back(p);
            }
        }
        compare(before, after, pool, random, tally,
                [&](std::string_view set, abi::IpFamily family, const abi::IpAddr& addr) {
                    const auto at = members.find(set);
                    return at != members.end() && cp::any_holds(at->second, family, addr);
                });
        if (testing::Test::HasFatalFailure()) return tally;
    }
    return tally;
}

TEST(ChangeReach, AlsoOfMembersAndOfWhomNeverBlockProtects) {
    const Tally tally = compare_with_members(seed_of_this_run());
    EXPECT_GT(tally.untouched * 3, tally.same) << "sound, but of no use";
}

TEST(ChangeReach, P12_WhatIsDecidedOtherwiseIsJudgedAgain) {
    const Tally tally = compare_many(seed_of_this_run(), false);
    EXPECT_GT(tally.untouched * 2, tally.same) << "sound, but of no use";
}

TEST(ChangeReach, P12_WhatLayersDecideOtherwiseIsJudgedAgain) {
    const Tally tally = compare_many(seed_of_this_run() + 1'000'000, true);
    EXPECT_GT(tally.untouched * 10, tally.same) << "sound, but of no use";
}

}  // namespace
}  // namespace sluice::test
