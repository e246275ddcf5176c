#include "tests/unit/dataplane/acl/damage.hpp"

#include <set>
#include <utility>

#include <gtest/gtest.h>

#include "tests/harness/policies.hpp"

namespace sluice::dp {

namespace {

test::PolicyBuilder valid_policy() {
    return test::PolicyBuilder{}
        .zone("outside", {"p0"})
        .zone("inside", {"p1"})
        .set("web", {"198.51.100.80/32", "2001:db8:51::80/128"})
        .rule({.id = "web-in", .from = {"outside"}, .to = {"web"}, .service = {"tcp/443"}, .action = cp::Action::allow})
        .rule({.id = "watch", .from = {"inside"}, .mode = abi::RuleMode::observe})
        .rule({.id = "ping", .service = {"icmp/8", "icmp6/128"}, .action = cp::Action::pass});
}

}  // namespace

const cp::CompiledGeneration& valid_generation() {
    static const test::CompiledTables tables{valid_policy().build()};
    return tables.compiled();
}

const cp::CompiledGeneration& edited_generation() {
    static cp::SlotMap slots;
    static const test::CompiledTables tables = [] {
        test::PolicyBuilder b = valid_policy();
        const cp::Policy before = b.build();
        b.policy.rules[0].log = abi::RuleLog::both;
        b.rule({.id = "extra", .from = {"outside"}, .service = {"tcp/22"}, .action = cp::Action::deny});
        std::swap(b.policy.rules[2], b.policy.rules[3]);
        cp::Policy after = before;
        after.rules[0] = b.policy.rules[0];
        after.rules.insert(after.rules.begin() + 2, b.policy.rules[2]);
        return test::CompiledTables{before, after, slots, 2};
    }();
    return tables.compiled();
}

void expect_refused(std::span<const Damage> damages, const cp::CompiledGeneration& of) {
    std::set<std::string> sentences;
    std::shared_ptr<const LargeTables> known;
    ASSERT_TRUE(test::EditableGeneration{of}.validate(kLimits, known));
    for (const Damage& damage : damages) {
        SCOPED_TRACE(damage.name);
        test::EditableGeneration g{of};
        damage.apply(g);
        if (damage.fix_digests) g.fix_digests();
        const auto view = g.validate(kLimits);
        ASSERT_FALSE(view) << "accepted";
        EXPECT_EQ(to_string(view.error().reason), to_string(damage.reason)) << view.error().where;
        EXPECT_NE(view.error().where.find(": "), std::string::npos) << "names no place: " << view.error().where;
        sentences.insert(view.error().where);
        // Of what went before only what is the same is known.
        auto large = known;
        const auto again = g.validate(kLimits, large);
        ASSERT_FALSE(again) << "accepted behind another one";
        EXPECT_EQ(again.error().where, view.error().where);
    }
    EXPECT_GT(sentences.size(), damages.size() * 3 / 5);
}

}  // namespace sluice::dp
