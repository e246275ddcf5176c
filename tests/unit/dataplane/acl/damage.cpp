#include "tests/unit/dataplane/acl/damage.hpp"

#include <set>

#include <gtest/gtest.h>

#include "tests/harness/policies.hpp"

namespace sluice::dp {

const cp::CompiledGeneration& valid_generation() {
    static const test::CompiledTables tables{
        test::PolicyBuilder{}
            .zone("outside", {"p0"})
            .zone("inside", {"p1"})
            .set("web", {"198.51.100.80/32", "2001:db8:51::80/128"})
            .rule({.id = "web-in",
                   .from = {"outside"},
                   .to = {"web"},
                   .service = {"tcp/443"},
                   .action = cp::Action::allow})
            .rule({.id = "watch", .from = {"inside"}, .mode = abi::RuleMode::observe})
            .rule({.id = "ping", .service = {"icmp/8", "icmp6/128"}, .action = cp::Action::pass})
            .build()};
    return tables.compiled();
}

void expect_refused(std::span<const Damage> damages) {
    std::set<std::string> sentences;
    for (const Damage& damage : damages) {
        SCOPED_TRACE(damage.name);
        test::EditableGeneration g{valid_generation()};
        damage.apply(g);
        if (damage.fix_digests) g.fix_digests();
        const auto view = g.validate(kLimits);
        ASSERT_FALSE(view) << "accepted";
        EXPECT_EQ(to_string(view.error().reason), to_string(damage.reason)) << view.error().where;
        EXPECT_NE(view.error().where.find(": "), std::string::npos) << "names no place: " << view.error().where;
        sentences.insert(view.error().where);
    }
    EXPECT_GT(sentences.size(), damages.size() * 3 / 5);
}

}  // namespace sluice::dp
