/// P6: compiled tables answer as the reference does, rule and observe rule, on random policies and keys; and the three
/// bodies of the lookup answer alike. rapidcheck prints its seed and shrinks a failure to few rules.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <optional>
#include <ostream>
#include <span>
#include <sstream>

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "controlplane/compiler/reference.hpp"
#include "dataplane/acl/isa.hpp"
#include "tests/harness/policies.hpp"
#include "tests/harness/random_policies.hpp"
#include "tests/harness/seed.hpp"

namespace sluice::test {

void showValue(const RawRule& r, std::ostream& os) {
    os << "RawRule{" << r.from << "," << r.to << "," << r.service << "," << r.action << "}";
}

}  // namespace sluice::test

namespace rc {

template <>
struct Arbitrary<sluice::test::RawRule> {
    static Gen<sluice::test::RawRule> arbitrary() {
        using sluice::test::RawRule;
        const auto number = gen::resize(kNominalSize, gen::inRange<std::uint32_t>(0, RawRule::kMax));
        return gen::build<RawRule>(gen::set(&RawRule::from, number), gen::set(&RawRule::to, number),
                                   gen::set(&RawRule::service, number), gen::set(&RawRule::action, number));
    }
};

}  // namespace rc

namespace sluice::test {
namespace {

using dp::Isa;

struct Difference {
    dp::LookupKey key{};
    std::string text;
};

std::string answer(const dp::LookupResult& r) {
    return "rule " + std::to_string(r.rule) +
           (r.observe == abi::kNoRule ? std::string{} : " observed " + std::to_string(r.observe));
}

/// The first of `keys` (one batch) on which some body differs from the reference.
std::optional<Difference> difference_in(const cp::Policy& policy, const dp::TableView& view,
                                        std::span<const dp::LookupKey> keys) {
    std::vector<dp::LookupResult> expected, got(keys.size());
    for (const dp::LookupKey& key : keys) expected.push_back(cp::reference_lookup(policy, key));
    for (const Isa isa : {Isa::scalar, Isa::avx2, Isa::avx512}) {
        if (!dp::supported(isa)) continue;
        dp::lookup_using(isa, view, keys, got);
        for (std::size_t i = 0; i < keys.size(); ++i) {
            if (got[i].rule == expected[i].rule && got[i].observe == expected[i].observe) continue;
            return Difference{.key = keys[i],
                              .text = "body " + std::to_string(static_cast<int>(isa)) + ", " + to_text(keys[i]) +
                                      ": got " + answer(got[i]) + ", expected " + answer(expected[i])};
        }
    }
    return std::nullopt;
}

std::optional<Difference> first_difference(const Pool& pool, const cp::Policy& policy, std::uint64_t seed,
                                           std::size_t key_count) {
    const CompiledTables tables{policy};
    Random random{seed};
    std::vector<dp::LookupKey> keys;
    for (std::size_t done = 0; done < key_count; done += keys.size()) {
        keys.resize(1 + random() % dp::kLookupBatchMax);
        for (dp::LookupKey& key : keys) key = pool.key(random, policy);
        if (auto difference = difference_in(policy, tables.view(), keys)) return difference;
    }
    return std::nullopt;
}

/// Drops rules, halves first, as long as the one key still differs: what rapidcheck would do, but asking one key and
/// not thousands a step, so that a failure among 1,000 rules is small in a second.
std::string smallest_case(const Pool& pool, std::vector<RawRule> rules, Difference difference) {
    for (std::size_t chunk = std::max<std::size_t>(1, rules.size() / 2);; chunk /= 2) {
        for (std::size_t at = 0; at < rules.size();) {
            std::vector<RawRule> fewer = rules;
            const auto first = fewer.begin() + static_cast<std::ptrdiff_t>(at);
            fewer.erase(first, first + static_cast<std::ptrdiff_t>(std::min(chunk, rules.size() - at)));
            const cp::Policy policy = pool.policy(fewer);
            const CompiledTables tables{policy};
            if (auto still = difference_in(policy, tables.view(), std::span{&difference.key, 1})) {
                rules = std::move(fewer);
                difference = std::move(*still);
            } else {
                at += chunk;
            }
        }
        if (chunk <= 1) break;
    }
    std::ostringstream text;
    text << difference.text << "; with " << rules.size() << " rules left:";
    for (const RawRule& rule : rules) {
        text << " ";
        showValue(rule, text);
    }
    return text.str();
}

/// Few rules and keys a case, so that rapidcheck can shrink a failure to the last number.
RC_GTEST_PROP(AclProperty, P6CompiledEqualsReferenceSmall, ()) {
    const auto pool_seed = *rc::gen::noShrink(rc::gen::arbitrary<std::uint64_t>()).as("pool seed");
    const auto rules = *rc::gen::scale(0.3, rc::gen::arbitrary<std::vector<RawRule>>()).as("rules");
    const Pool pool{pool_seed};
    const auto difference = first_difference(pool, pool.policy(rules), pool_seed, 500);
    if (difference) RC_FAIL(difference->text);
}

/// 100 policies of up to 1,000 rules, 10^6 keys.
RC_GTEST_PROP(AclProperty, P6CompiledEqualsReference, ()) {
    const auto pool_seed = *rc::gen::noShrink(rc::gen::arbitrary<std::uint64_t>()).as("pool seed");
    const auto rules = *rc::gen::noShrink(rc::gen::scale(10.0, rc::gen::arbitrary<std::vector<RawRule>>()));
    const Pool pool{pool_seed};
    const auto difference = first_difference(pool, pool.policy(rules), pool_seed, 10'000);
    if (difference) RC_FAIL(smallest_case(pool, rules, *difference));
}

TEST(AclProperty, P6HoldsAt10000Rules) {
    Random random{seed_of_this_run()};
    const Pool pool{random()};
    const std::vector<RawRule> rules = random_rules(random, 10'000);
    const auto difference = first_difference(pool, pool.policy(rules), random(), 5'000);
    EXPECT_FALSE(difference) << seed_line() << ": " << difference->text;
}

/// Rules in layers, of which many pass packets on; and enough of those are met.
TEST(AclProperty, P6LayeredEqualsReference) {
    Random random{seed_of_this_run()};
    std::size_t passing = 0;
    for (int round = 0; round < 150; ++round) {
        SCOPED_TRACE(seed_line() + " round " + std::to_string(round));
        const Pool pool{random()};
        cp::Policy policy = pool.policy(random_rules(random, 2 + random() % (round % 10 == 0 ? 300 : 30)));
        add_layers(policy, random);
        const CompiledTables tables{policy};
        passing += tables.view().trees.entry_count > 2 ? 1 : 0;
        std::vector<dp::LookupKey> keys;
        for (std::size_t done = 0; done < 2'000; done += keys.size()) {
            keys.resize(1 + random() % dp::kLookupBatchMax);
            for (dp::LookupKey& key : keys) key = pool.key(random, policy);
            const auto difference = difference_in(policy, tables.view(), keys);
            ASSERT_FALSE(difference) << difference->text;
            for (const dp::LookupKey& key : keys)
                ASSERT_FALSE(
                    policy.passes_on(std::min<std::size_t>(tables.lookup(key).rule, policy.rules.size() - 1)) &&
                    tables.lookup(key).rule < policy.rules.size());
        }
    }
    EXPECT_GT(passing, 40U) << "hardly a policy with three layers";
}

/// Figures for people, no judgement: a bench decides, not a test on a busy machine.
TEST(AclProperty, PrintsWhatItCosts) {
    using Clock = std::chrono::steady_clock;
    const auto us = [](Clock::duration d) { return std::chrono::duration<double, std::micro>(d).count(); };
    Random random{1};
    const Pool pool{1};
    for (const std::size_t count : {std::size_t{10}, std::size_t{1'000}}) {
        const cp::Policy policy = pool.policy(random_rules(random, count));
        cp::SlotMap slots;
        ASSERT_TRUE(slots.assign(policy));
        const auto t0 = Clock::now();
        const auto compiled = cp::compile(policy, slots, {.generation = 1});
        const auto t1 = Clock::now();
        ASSERT_TRUE(compiled);
        const auto view =
            dp::validate(compiled->manifest_bytes(), compiled->section_bytes(), {.rule_slots_max = slots.capacity()});
        const auto t2 = Clock::now();
        ASSERT_TRUE(view) << view.error().where;
        std::printf("%5zu rules: compile %.0f us, validate %.0f us, %lu bytes, at most %u nodes", count, us(t1 - t0),
                    us(t2 - t1), compiled->bytes(), view->trees.node_visits_max);
        std::vector<dp::LookupKey> keys;
        for (int i = 0; i < 64 * 256; ++i) keys.push_back(pool.key(random, policy));
        std::vector<dp::LookupResult> results(keys.size());
        for (const Isa isa : {Isa::scalar, Isa::avx2, Isa::avx512}) {
            if (!dp::supported(isa)) continue;
            const auto start = Clock::now();
            for (std::size_t i = 0; i < keys.size(); i += 64)
                dp::lookup_using(isa, *view, std::span{keys}.subspan(i, 64), std::span{results}.subspan(i, 64));
            std::printf(", %s %.0f ns",
                        isa == Isa::scalar ? "scalar"
                        : isa == Isa::avx2 ? "avx2"
                                           : "avx512",
                        us(Clock::now() - start) * 1000 / static_cast<double>(keys.size()));
        }
        std::printf(" a lookup\n");
    }
}

}  // namespace
}  // namespace sluice::test
