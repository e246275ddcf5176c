#include "controlplane/compiler/lines.hpp"

#include <gtest/gtest.h>

#include "tests/harness/policies.hpp"

namespace sluice::cp {
namespace {

TEST(Lines, AnyServiceIsOneRangeAndNoNextHeaderStandsBeside) {
    test::PolicyBuilder b;
    b.zone("z", {"p0"});
    b.rule({.id = "any"}).rule({.id = "https", .service = {"tcp/443"}}).rule({.id = "none", .service = {"proto/59"}});
    const TermBuilder builder{b.policy};
    const TransportClasses classes = transport_classes(builder.services());
    const auto any = classes.of_list[builder.terms()[0].service];
    ASSERT_EQ(any.size(), 1U);
    EXPECT_EQ(classes.count, 3U);
    const auto protos = proto_table(classes.proto);
    for (std::uint32_t proto = 0; proto < 256; ++proto) EXPECT_EQ(protos[proto] <= any[0].last, proto != 59) << proto;
    const auto tcp = direct_table(classes.tcp, 65'536);
    EXPECT_NE(tcp[443], tcp[442]);
    EXPECT_EQ(tcp[442], tcp[444]);
    EXPECT_EQ(tcp[0], protos[47]) << "any service is one class wherever nothing else is said";
}

TEST(Lines, PairsOfZonesHaveTheClassesThatRulesTellApart) {
    test::PolicyBuilder b;
    b.zone("a", {"p0"}).zone("b", {"p1"}).zone("c", {"p2"});
    b.rule({.id = "r0", .from = {"a"}, .to = {"b"}}).rule({.id = "r1", .to = {"c"}}).rule({.id = "r2"});
    const ZoneClasses classes = zone_classes(TermBuilder{b.policy}.terms(), 3);
    EXPECT_EQ(classes.count, 3U) << "a to b, anything to c, the rest";
    EXPECT_EQ(classes.pairs[0 * 3 + 2], classes.pairs[2 * 3 + 2]);
    EXPECT_NE(classes.pairs[0 * 3 + 1], classes.pairs[1 * 3 + 0]);
    EXPECT_EQ(classes.pairs[0], classes.pairs[1 * 3 + 1]);
    EXPECT_EQ(zone_classes({}, 0).count, 1U);
}

/// A set of both families is one class where nothing else asks about its members.
TEST(Lines, BothFamiliesAreOneNumbering) {
    test::PolicyBuilder b;
    b.zone("z", {"p0"});
    b.set("web", {"198.51.100.80/32", "198.51.100.90/32", "2001:db8::80/128"});
    b.rule({.id = "r", .from = {"web"}});
    const TermBuilder builder{b.policy};
    const AddressClasses classes = address_classes(builder.terms(), &Term::from, builder.addresses());
    EXPECT_EQ(classes.count, 2U);
    EXPECT_EQ(classes.of_list[0], (ClassRanges{{1, 1}}));
    EXPECT_EQ(classes.v4.size(), 5U);
    EXPECT_EQ(classes.v6.size(), 3U);
    const AddressClasses none = address_classes(builder.terms(), &Term::to, builder.addresses());
    EXPECT_EQ(none.count, 1U) << "nobody asks where it goes";
}

/// A rule that names an empty set matches nothing and makes no term.
TEST(Lines, WhatMatchesNothingIsNoTerm) {
    test::PolicyBuilder b;
    b.zone("z", {"p0"}).set("empty", {});
    b.rule({.id = "never", .to = {"empty"}}).rule({.id = "r"});
    const ClassifiedTerms classified{TermBuilder{b.policy}, b.policy};
    ASSERT_EQ(classified.terms.size(), 1U);
    EXPECT_EQ(classified.terms[0].rule, 1U);
}

}  // namespace
}  // namespace sluice::cp
