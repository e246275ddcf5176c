#include "controlplane/compiler/term_box.hpp"

#include <algorithm>
#include <vector>

#include <gtest/gtest.h>

#include "controlplane/compiler/term_hulls.hpp"
#include "tests/harness/policies.hpp"

namespace sluice::cp {
namespace {

using test::PolicyBuilder;

/// Rules whose boxes meet, or cover each other, or do not.
PolicyBuilder some() {
    PolicyBuilder b;
    b.zone("a", {}).zone("b", {}).set("far", {"10.0.0.0/24", "10.9.0.0/24"});
    b.rule({.id = "wide", .from = {"10.0.0.0/8"}, .service = {"tcp/1-1000"}});
    b.rule({.id = "narrow", .from = {"10.1.0.0/16"}, .service = {"tcp/80"}});
    b.rule({.id = "port", .from = {"10.1.0.0/16"}, .service = {"tcp/2000"}});
    b.rule({.id = "v6", .from = {"2001:db8::/32"}, .to = {"2001:db8:1::/48"}});
    b.rule({.id = "between", .from = {"10.5.0.0/24"}});
    b.rule({.id = "ends", .from = {"far"}});
    b.rule({.id = "zone", .from = {"a"}, .to = {"b"}});
    b.rule({.id = "other-zone", .from = {"b"}, .to = {"b"}});
    return b;
}

TEST(TermBox, MeetsAndCovers) {
    const PolicyBuilder b = some();
    const TermBuilder terms{b.policy};
    const TermBoxes boxes{terms};
    const auto box = [&](std::size_t rule) { return boxes.of(rule).at(0); };
    EXPECT_TRUE(overlaps(box(0), box(1)) && overlaps(box(1), box(0)));
    EXPECT_TRUE(covers(box(0), box(1)));
    EXPECT_FALSE(covers(box(1), box(0)));
    EXPECT_FALSE(overlaps(box(1), box(2))) << "other ports";
    EXPECT_FALSE(overlaps(box(0), box(3))) << "other families";
    EXPECT_FALSE(overlaps(box(4), box(5))) << "between the ends";
    EXPECT_FALSE(overlaps(box(6), box(7))) << "other zones";
    EXPECT_TRUE(covers(box(3), box(3)));
}

TEST(TermBox, HullsFindAllThatMayMeet) {
    const PolicyBuilder b = some();
    const TermBuilder terms{b.policy};
    const TermHulls hulls{terms, b.policy.rules.size()};
    const TermBoxes boxes{terms};
    for (std::size_t rule = 0; rule < b.policy.rules.size(); ++rule) {
        std::vector<std::uint32_t> met;
        hulls.for_each_met(hull_of(boxes.of(rule).at(0)), 0, [&](std::uint32_t other) {
            met.push_back(other);
            return true;
        });
        for (std::uint32_t other = 0; other < b.policy.rules.size(); ++other) {
            const bool told = std::find(met.begin(), met.end(), other) != met.end();
            EXPECT_TRUE(told || !overlaps(boxes.of(rule).at(0), boxes.of(other).at(0))) << rule << " and " << other;
        }
        std::size_t count = 0;
        hulls.for_each_met(hull_of(boxes.of(rule).at(0)), rule + 1, [&](std::uint32_t other) {
            EXPECT_GT(other, rule);
            return ++count < 1;
        });
        EXPECT_LE(count, 1U) << "it was told to stop";
    }
    std::vector<std::uint32_t> met;
    hulls.for_each_met(hull_of(boxes.of(3).at(0)), 0, [&](std::uint32_t other) {
        met.push_back(other);
        return true;
    });
    EXPECT_EQ(met, (std::vector<std::uint32_t>{3, 6, 7})) << "IPv6, and those of any address";
}

}  // namespace
}  // namespace sluice::cp
