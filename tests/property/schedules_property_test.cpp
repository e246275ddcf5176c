/// Rules that depend on time: at any instant the tables answer as the reference does, which looks at the clock of the
/// schedule's zone and knows nothing of periods. Random policies with schedules in zones whose clocks are put forward
/// and back (by half an hour too), expiries, and instants at, beside and between all edges; every body of the lookup.
/// The manager's way through time, from transition to transition, sees the same periods.
///   SEED=n schedules_property_test   runs the same again
#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "controlplane/compiler/compiler.hpp"
#include "controlplane/compiler/periods.hpp"
#include "controlplane/compiler/reference.hpp"
#include "dataplane/acl/isa.hpp"
#include "dataplane/acl/validator.hpp"
#include "tests/harness/policies.hpp"
#include "tests/harness/random_policies.hpp"
#include "tests/harness/seed.hpp"

namespace sluice::test {
namespace {

using cp::UnixSeconds;

constexpr std::array kZones{"UTC",
                            "Europe/Berlin",
                            "America/New_York",
                            "Asia/Shanghai",
                            "Australia/Lord_Howe",  // half an hour
                            "America/Sao_Paulo",
                            "Africa/Casablanca",  // four times a year
                            "Pacific/Apia",
                            "Asia/Kathmandu"};
constexpr UnixSeconds kYear = 365 * 86'400;

cp::Schedule random_schedule(Random& random, std::size_t number) {
    // Mostly around the hours at which clocks are put forward and back.
    const auto minute = [&] {
        return static_cast<std::uint16_t>(random() % 2 == 0 ? random() % 16 * 15 : random() % 1441);
    };
    return {"s" + std::to_string(number),
            kZones[random() % kZones.size()],
            static_cast<std::uint8_t>(random() % 3 == 0 ? cp::kEveryDay : 1 + random() % 127),
            static_cast<std::uint16_t>(std::min<int>(minute(), 1439)),
            minute(),
            {}};
}

/// Every other rule depends on time; a few of those observe anyway.
void make_timed(cp::Policy& policy, Random& random, UnixSeconds now) {
    const std::size_t count = 1 + random() % 4;
    for (std::size_t s = 0; s < count; ++s) policy.schedules.push_back(random_schedule(random, s));
    for (std::size_t r = 0; r < policy.rules.size(); ++r) {
        cp::Rule& rule = policy.rules[r];
        if (random() % 2 == 0) continue;
        if (random() % 4 != 0) rule.when = static_cast<std::uint16_t>(random() % count);
        if (random() % 3 == 0) rule.expires = now + static_cast<UnixSeconds>(random() % (4 * kYear)) - kYear;
    }
}

std::vector<UnixSeconds> instants(const cp::Policy& policy, Random& random, const cp::WrittenOut& range) {
    std::vector<UnixSeconds> all;
    const auto add = [&](UnixSeconds at) {
        for (const UnixSeconds beside : {at - 1, at, at + 1}) {
            if (range.contains(beside)) all.push_back(beside);
        }
    };
    for (const cp::Schedule& schedule : policy.schedules) {
        const auto edges = cp::schedule_edges(schedule, range.first, range.last);
        for (int n = 0; n < 12; ++n) add(edges[random() % edges.size()]);
    }
    for (const cp::Rule& rule : policy.rules) {
        if (rule.expires) add(*rule.expires);
    }
    for (int n = 0; n < 12; ++n)
        all.push_back(range.first +
                      static_cast<UnixSeconds>(random() % static_cast<std::uint64_t>(range.last - range.first)));
    return all;
}

std::string answer(const dp::LookupResult& r) { return std::to_string(r.rule) + "/" + std::to_string(r.observe); }

void expect_as_reference(const cp::Policy& policy, const dp::TableView& then, UnixSeconds at,
                         const std::vector<dp::LookupKey>& keys) {
    std::vector<dp::LookupResult> got(keys.size());
    for (const dp::Isa isa : {dp::Isa::scalar, dp::Isa::avx2, dp::Isa::avx512}) {
        if (!dp::supported(isa)) continue;
        dp::lookup_using(isa, then, keys, got);
        for (std::size_t k = 0; k < keys.size(); ++k) {
            const auto expected = cp::reference_lookup(policy, keys[k], at);
            ASSERT_TRUE(got[k].rule == expected.rule && got[k].observe == expected.observe)
                << cp::instant_text(at) << " " << to_text(keys[k]) << ": got " << answer(got[k]) << ", expected "
                << answer(expected) << ", body " << static_cast<int>(isa);
        }
    }
}

TEST(SchedulesProperty, TablesAnswerAsTheClockOfTheZoneSays) {
    Random random{seed_of_this_run()};
    for (int round = 0; round < 60; ++round) {
        SCOPED_TRACE(seed_line() + " round " + std::to_string(round));
        const Pool pool{random()};
        cp::Policy policy = pool.policy(random_rules(random, 1 + random() % 24));
        const auto now = static_cast<UnixSeconds>(1'700'000'000 + random() % 400'000'000);
        make_timed(policy, random, now);
        if (random() % 2 == 0) add_layers(policy, random);
        cp::SlotMap slots{4096};
        ASSERT_TRUE(slots.assign(policy));
        const auto compiled = cp::compile(
            policy, slots, {.generation = 1, .created_unix_ns = static_cast<std::uint64_t>(now) * 1'000'000'000});
        ASSERT_TRUE(compiled) << compiled.error().detail;
        const auto view = dp::validate(compiled->manifest_bytes(), compiled->section_bytes(), {.rule_slots_max = 4096});
        ASSERT_TRUE(view) << view.error().where;
        std::vector<dp::LookupKey> keys;
        for (int k = 0; k < 32; ++k) keys.push_back(pool.key(random, policy));
        for (const UnixSeconds at : instants(policy, random, cp::written_out(policy, now))) {
            expect_as_reference(policy, view->at(static_cast<std::uint64_t>(at)), at, keys);
            if (HasFatalFailure()) return;
        }
        // Behind the end the last one stays; before everything there is one as well.
        EXPECT_EQ(view->period_at(~std::uint64_t{0}), view->trees.transitions.back().period);
        EXPECT_EQ(view->period_at(0), view->trees.transitions.front().period);
    }
}

}  // namespace
}  // namespace sluice::test
