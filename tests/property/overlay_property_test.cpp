/// Edits compiled beside the tables (controlplane/compiler/overlay.hpp): on random policies, after each of a row of
/// random edits, the large tables and the overlay together answer as the reference does; what is said to be untouched
/// is decided as before; and the validator takes it. Takes SEED.
#include "controlplane/compiler/overlay.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "controlplane/compiler/changing_sets.hpp"
#include "controlplane/compiler/reference.hpp"
#include "dataplane/acl/isa.hpp"
#include "dataplane/acl/set_table.hpp"
#include "dataplane/acl/validator.hpp"
#include "tests/harness/policies.hpp"
#include "tests/harness/random_policies.hpp"
#include "tests/harness/seed.hpp"

namespace sluice::test {
namespace {

constexpr std::uint64_t kMadeAt = 1'790'000'000;  // an instant in 2026
constexpr std::array<cp::UnixSeconds, 3> kAsked{kMadeAt, kMadeAt + 86'400, kMadeAt + 30 * 86'400};

struct Tally {
    std::map<std::string, std::uint64_t> whole;  ///< by the reason
    std::uint64_t beside{}, keys{}, by_new_rule{}, behind_hidden{}, observed{}, untouched{}, same{};
};

/// Members of sets over the API, as a table and as a list.
class Members {
public:
    Members(const SetsByApi& sets, Random& random) : table_{4096} {
        auto batch = std::make_unique<abi::ChangeSets>();
        batch->epoch = 1;
        batch->is_first = 1;
        for (const std::string& name : sets.names) {
            for (const cp::Prefix& p : sets.known) {
                auto& members = lists_[name];
                if (random() % 3 != 0 || batch->count == abi::kSetChangesMax ||
                    std::ranges::find(members, p) != members.end())
                    continue;
                batch->changes[batch->count++] = {.set = cp::set_id(name),
                                                  .member = {.addr = p.addr, .family = p.family, .bits = p.bits},
                                                  .op = abi::SetOp::add};
                members.push_back(p);
            }
        }
        (void)table_->apply(*batch, {}, nullptr, 0);
    }

    dp::SetView view(const dp::TableView& tables) { return table_->view(tables, nullptr, 0); }
    cp::Membership list() const {
        return [this](std::string_view set, abi::IpFamily family, const abi::IpAddr& addr) {
            const auto at = lists_.find(std::string{set});
            return at != lists_.end() && cp::any_holds(at->second, family, addr);
        };
    }

private:
    dp::OwnSetTable table_;
    std::map<std::string, std::vector<cp::Prefix>> lists_;
};

/// A policy and what was compiled of it.
struct Edition {
    cp::Policy policy;
    cp::RuleSlots slots;
    cp::CompiledGeneration compiled;

    cp::ChangeBase base() const { return {&policy, slots, compiled.manifest.generation, {}, nullptr}; }
};

std::string words(const dp::TableView& view, const dp::LookupResult& r) {
    return std::string{view.rule_id(r.rule)} + " (observed " +
           (r.observe == abi::kNoRule ? std::string{"none"} : std::string{view.rule_id(r.observe)}) + ")";
}
std::string words(const cp::Policy& policy, const dp::LookupResult& r) {
    const auto id = [&](abi::RuleIndex rule) { return std::string{cp::reference_rule_id(policy, rule)}; };
    return id(r.rule) + " (observed " + (r.observe == abi::kNoRule ? "none" : id(r.observe)) + ")";
}

/// `before`, if it is not null, is what ran until now.
void compare(const Edition& now, const Edition* before, const Pool& pool, Members& members, Random& random,
             Tally& tally) {
    auto view = dp::validate(now.compiled.manifest_bytes(), now.compiled.section_bytes(), {.rule_slots_max = 4096});
    ASSERT_TRUE(view) << view.error().where;
    std::vector<dp::LookupKey> keys(dp::kLookupBatchMax);
    for (const cp::UnixSeconds at : kAsked) {
        dp::TableView tables = view->at(static_cast<std::uint64_t>(at));
        tables.members = members.view(tables);
        for (dp::LookupKey& key : keys)
            key = pool.key(random, before != nullptr && random() % 3 == 0 ? before->policy : now.policy);
        for (const dp::Isa isa : {dp::Isa::scalar, dp::Isa::avx2, dp::Isa::avx512}) {
            if (!dp::supported(isa)) continue;
            std::vector<dp::LookupResult> got(keys.size());
            dp::lookup_using(isa, tables, keys, got);
            for (std::size_t k = 0; k < keys.size(); ++k) {
                const auto expected = cp::reference_lookup(now.policy, keys[k], at, members.list());
                ASSERT_EQ(words(tables, got[k]), words(now.policy, expected))
                    << to_text(keys[k]) << " at " << at << ", " << tables.overlay.hidden.size() << " hidden, "
                    << tables.overlay.rules.size() << " new, " << tables.overlay.places.size() << " places";
                if (isa != dp::Isa::scalar) continue;
                ++tally.keys;
                tally.by_new_rule += got[k].rule >= tables.rules.size() ? 1 : 0;
                tally.observed += got[k].observe != abi::kNoRule ? 1 : 0;
                const auto place = std::ranges::find(tables.overlay.places, got[k].rule, &abi::OverlayPlace::rule);
                tally.behind_hidden +=
                    got[k].rule < tables.rules.size() && place != tables.overlay.places.end() ? 1 : 0;
                if (before == nullptr) continue;
                const auto was = cp::reference_lookup(before->policy, keys[k], at, members.list());
                if (cp::reference_verdict(before->policy, was.rule) != abi::Verdict::allow) continue;
                const auto slot = static_cast<std::size_t>(was.rule < before->slots.size() ? before->slots[was.rule]
                                                                                           : abi::kSlotDefault);
                const bool untouched =
                    slot / 64 < tables.untouched.size() && (tables.untouched[slot / 64] >> (slot % 64) & 1U) != 0;
                const bool same = cp::reference_rule_id(before->policy, was.rule) == tables.rule_id(got[k].rule) &&
                                  tables.rule(got[k].rule).verdict == abi::Verdict::allow;
                tally.untouched += untouched ? 1 : 0;
                tally.same += same ? 1 : 0;
                ASSERT_TRUE(same || !untouched)
                    << to_text(keys[k]) << ": " << cp::reference_rule_id(before->policy, was.rule)
                    << " is said to be untouched, and now " << tables.rule_id(got[k].rule) << " decides";
            }
        }
    }
}

void add_times(cp::Policy& policy, Random& random) {
    for (cp::Rule& rule : policy.rules) {
        if (random() % 6 == 0) rule.expires = static_cast<cp::UnixSeconds>(kMadeAt + (random() % 2 + 1) * 43'200);
    }
}

void edit_many_times(std::uint64_t seed, Tally& tally) {
    SCOPED_TRACE("SEED=" + std::to_string(seed));
    const Pool pool{seed};
    Random random{seed};
    Edition now;
    now.policy = pool.policy(random_rules(random, 1 + random() % (random() % 8 == 0 ? 400 : 25)));
    if (random() % 3 == 0) add_layers(now.policy, random);
    if (random() % 3 == 0) add_times(now.policy, random);
    SetsByApi sets;
    if (random() % 3 == 0) {
        sets = put_sets_on_api(now.policy, random);
        add_never_block(now.policy, sets.known, random);
    }
    Members members{sets, random};
    cp::SlotMap slots{4096};
    std::uint32_t next_id = 0;
    std::uint64_t generation = 1;
    const auto compile_whole = [&] {
        auto compiled =
            cp::compile(now.policy, now.slots, {.generation = generation, .created_unix_ns = kMadeAt * 1'000'000'000});
        if (compiled) now.compiled = std::move(*compiled);
        return compiled.has_value();
    };
    auto assigned = slots.assign(now.policy);
    ASSERT_TRUE(assigned);
    now.slots = std::move(*assigned);
    if (!compile_whole()) return;  // too many combinations
    for (int turn = 0; turn < 14; ++turn) {
        const Edition before = now;
        for (std::uint64_t n = 1 + random() % 3; n != 0; --n) change_rule(now.policy, pool, random, next_id);
        settle_layers(now.policy);
        slots.flows_judged();
        assigned = slots.assign(now.policy);
        ASSERT_TRUE(assigned);
        now.slots = std::move(*assigned);
        ++generation;
        auto beside = cp::compile_beside(before.compiled, now.policy, now.slots, before.base(),
                                         {.generation = generation, .created_unix_ns = kMadeAt * 1'000'000'000});
        if (beside) {
            ++tally.beside;
            now.compiled = std::move(*beside);
        } else {
            ++tally.whole[beside.error()];
            if (!compile_whole()) return;
        }
        ASSERT_NO_FATAL_FAILURE(compare(now, beside ? &before : nullptr, pool, members, random, tally))
            << "turn " << turn;
    }
}

TEST(OverlayProperty, AnswersAsTheReferenceAfterEveryEdit) {
    const std::uint64_t first = seed_of_this_run();
    Tally tally;
    for (std::uint64_t run = 0; run < 120; ++run) {
        edit_many_times(first + run, tally);
        if (testing::Test::HasFatalFailure()) return;
    }
    std::uint64_t whole = 0;
    for (const auto& [why, count] : tally.whole) {
        std::printf("%lu as a whole: %s\n", count, why.c_str());
        whole += count;
    }
    std::printf(
        "%lu edits beside, %lu as a whole; %lu packets, %lu by a new rule, %lu by one behind a hidden one, %lu "
        "observed; %lu flows decided as before, %lu of them known to be; SEED=%lu\n",
        tally.beside, whole, tally.keys, tally.by_new_rule, tally.behind_hidden, tally.observed, tally.same,
        tally.untouched, first);
    EXPECT_GT(tally.beside, whole) << "hardly an edit was compiled beside";
    EXPECT_GT(tally.by_new_rule, tally.keys / 100);
    EXPECT_GT(tally.behind_hidden, tally.keys / 200);
    EXPECT_GT(tally.observed, tally.keys / 200);
    EXPECT_GT(tally.untouched * 4, tally.same) << "sound, but of no use";
}

}  // namespace
}  // namespace sluice::test
