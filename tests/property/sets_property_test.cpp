/// Sets whose members change without a generation: on random policies, after each of a row of random changes, compiled
/// tables with the set table beside them answer as the reference does with a plain list of members; all bodies alike.
/// Takes SEED.
#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "controlplane/compiler/changing_sets.hpp"
#include "controlplane/compiler/reference.hpp"
#include "dataplane/acl/isa.hpp"
#include "dataplane/acl/set_table.hpp"
#include "tests/harness/policies.hpp"
#include "tests/harness/random_policies.hpp"
#include "tests/harness/seed.hpp"

namespace sluice::test {
namespace {

using abi::SetOp;

/// Members as a list, and the batches that make them.
class Model {
public:
    explicit Model(SetsByApi sets) : names_{std::move(sets.names)}, known_{std::move(sets.known)} {}
    bool empty() const { return names_.empty() || known_.empty(); }

    /// The next batch; some are whole replacements.
    abi::ChangeSets change(Random& random) {
        abi::ChangeSets batch;
        batch.epoch = 7;
        batch.number = ++number_;
        batch.is_first = number_ == 1 ? 1 : 0;
        const auto put = [&](SetOp op, const std::string& name, const cp::Prefix* p) {
            abi::SetChange& c = batch.changes[batch.count++];
            c.set = cp::set_id(name);
            c.op = op;
            if (p != nullptr) c.member = {.addr = p->addr, .family = p->family, .bits = p->bits};
        };
        const std::string& name = names_[random() % names_.size()];
        auto& members = members_[name];
        const auto kind = random() % 8;
        if (kind == 0) {
            members.clear();
            put(SetOp::begin, name, nullptr);
            for (std::size_t i = random() % 40; i > 0; --i) {
                const cp::Prefix& p = known_[random() % known_.size()];
                put(SetOp::stage, name, &p);
                add(members, p);
            }
            put(SetOp::commit, name, nullptr);
        } else if (kind == 1) {
            members.clear();
            put(SetOp::drop, name, nullptr);
        } else {
            for (std::size_t i = 1 + random() % 8; i > 0; --i) {
                const cp::Prefix& p = known_[random() % known_.size()];
                const bool adds = random() % 3 != 0;
                put(adds ? SetOp::add : SetOp::remove, name, &p);
                std::erase(members, p);
                if (adds) members.push_back(p);
            }
        }
        return batch;
    }

    cp::Membership membership() const {
        return [this](std::string_view name, abi::IpFamily family, const abi::IpAddr& addr) {
            const auto at = members_.find(std::string{name});
            return at != members_.end() && cp::any_holds(at->second, family, addr);
        };
    }

private:
    static void add(std::vector<cp::Prefix>& members, const cp::Prefix& p) {
        if (std::ranges::find(members, p) == members.end()) members.push_back(p);
    }

    std::vector<std::string> names_;
    std::vector<cp::Prefix> known_;  ///< where the pool's keys are near
    std::map<std::string, std::vector<cp::Prefix>> members_;
    std::uint64_t number_{};
};

TEST(SetsProperty, CompiledEqualsReferenceAfterEveryChange) {
    Random random{seed_of_this_run()};
    std::size_t asked = 0, hits = 0;
    for (int round = 0; round < 60; ++round) {
        const Pool pool{random()};
        cp::Policy policy = pool.policy(random_rules(random, 1 + random() % 60));
        if (random() % 2 == 0) add_layers(policy, random);
        SetsByApi sets = put_sets_on_api(policy, random);
        add_never_block(policy, sets.known, random);
        Model model{std::move(sets)};
        if (model.empty()) continue;
        cp::SlotMap slots;
        ASSERT_TRUE(slots.assign(policy));
        const auto compiled = cp::compile(policy, slots, {.generation = 1});
        if (!compiled) {  // more questions than tables have room for
            ASSERT_EQ(compiled.error().code, "too-many-sets") << compiled.error().detail << seed_line();
            continue;
        }
        auto view =
            dp::validate(compiled->manifest_bytes(), compiled->section_bytes(), {.rule_slots_max = slots.capacity()});
        ASSERT_TRUE(view) << view.error().where;
        dp::OwnSetTable table{4096};
        for (int step = 0; step < 30; ++step) {
            const auto effect = table->apply(model.change(random), {}, nullptr, 1);
            ASSERT_TRUE(effect) << effect.error().where << "; " << seed_line();
            view->members = table->view(*view, nullptr, 0);
            std::vector<dp::LookupKey> keys(dp::kLookupBatchMax);
            for (dp::LookupKey& key : keys) key = pool.key(random, policy);
            for (const dp::Isa isa : {dp::Isa::scalar, dp::Isa::avx2, dp::Isa::avx512}) {
                if (!dp::supported(isa)) continue;
                std::vector<dp::LookupResult> got(keys.size());
                hits += dp::lookup_using(isa, *view, keys, got);
                for (std::size_t i = 0; i < keys.size(); ++i) {
                    const auto expected = cp::reference_lookup(policy, keys[i], model.membership());
                    ASSERT_TRUE(got[i].rule == expected.rule && got[i].observe == expected.observe)
                        << seed_line() << " round " << round << " step " << step << " body " << static_cast<int>(isa)
                        << ": " << to_text(keys[i]) << ": got rule " << got[i].rule << ", expected " << expected.rule;
                }
                asked += keys.size();
            }
            // Now and then what left is emptied, as by a manager whose workers have moved on.
            if (random() % 3 == 0) table->readers_have_moved();
            while (table->clean(100)) {
            }
        }
    }
    EXPECT_GT(asked, 10'000U);
    EXPECT_GT(hits, 100U);
}

/// Does a rule leave members to later layers? Then they are its author's to think of, in never_block or not.
bool passes_members_on(const cp::Policy& policy, std::size_t rule) {
    const auto names_one = [&](const std::vector<cp::Endpoint>& side) {
        return std::ranges::any_of(side, [&](const cp::Endpoint& e) {
            return std::ranges::any_of(e.sets, [&](std::uint16_t set) { return policy.sets[set].by_api; });
        });
    };
    return policy.passes_on(rule) && (names_one(policy.rules[rule].from) || names_one(policy.rules[rule].to));
}

/// Who may change sets may do it as he likes: what is allowed while they are empty stays allowed to everybody in
/// never_block, if nobody else is a member.
TEST(SetsProperty, NobodyInNeverBlockIsCutOffByMembers) {
    Random random{seed_of_this_run()};
    std::size_t allowed = 0, matters = 0;
    for (int round = 0; round < 600; ++round) {
        const Pool pool{random()};
        cp::Policy policy = pool.policy(random_rules(random, 1 + random() % 30));
        if (random() % 2 == 0) add_layers(policy, random);
        const SetsByApi sets = put_sets_on_api(policy, random);
        add_never_block(policy, sets.known, random);
        bool comparable = !policy.never_block.nets.empty();
        for (std::size_t r = 0; comparable && r < policy.rules.size(); ++r) comparable = !passes_members_on(policy, r);
        if (!comparable) continue;
        const cp::NeverBlock never = policy.never_block;
        const cp::Membership all = [&](std::string_view, abi::IpFamily family, const abi::IpAddr& addr) {
            return cp::any_holds(never.nets, family, addr);
        };
        for (int k = 0; k < 100; ++k) {
            dp::LookupKey key = pool.key(random, policy);
            const cp::Prefix& net = never.nets[random() % never.nets.size()];
            if (net.family == key.family) (random() % 2 == 0 ? key.src : key.dst) = net.addr;
            const auto verdict = [&](const cp::Membership& members) {
                return cp::reference_verdict(policy, cp::reference_lookup(policy, key, members).rule);
            };
            if (verdict({}) != abi::Verdict::allow) continue;
            ++allowed;
            ASSERT_EQ(verdict(all), abi::Verdict::allow) << seed_line() << " round " << round << ": " << to_text(key);
            policy.never_block = {};
            matters += verdict(all) == abi::Verdict::allow ? 0 : 1;
            policy.never_block = never;
        }
    }
    EXPECT_GT(allowed, 1'000U);
    EXPECT_GT(matters, 20U) << "cut off without never_block";
}

}  // namespace
}  // namespace sluice::test
