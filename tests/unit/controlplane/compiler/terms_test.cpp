#include "controlplane/compiler/terms.hpp"

#include <gtest/gtest.h>

#include "tests/harness/policies.hpp"

namespace sluice::cp {
namespace {

using test::PolicyBuilder;

PolicyBuilder three_zones() {
    PolicyBuilder b;
    b.zone("a", {}).zone("b", {}).zone("c", {}).set("s", {"10.0.0.0/8"}).set("t", {"11.0.0.0/8"});
    return b;
}

std::uint64_t terms_of(const std::vector<std::string>& from, const std::vector<std::string>& to = {"any"}) {
    PolicyBuilder b = three_zones();
    b.rule({.id = "r", .from = from, .to = to, .service = {"tcp/1", "udp/2", "icmp"}});
    return TermBuilder{b.policy}.term_count();
}

TEST(Terms, ServicesAndMembersOfSetsMultiplyNothing) {
    PolicyBuilder b = three_zones();
    std::vector<std::string> nets;
    for (int i = 0; i < 200; ++i) nets.push_back("192.0.2." + std::to_string(i));
    b.set("many", nets).rule({.id = "r", .from = {"many"}, .to = {"many"}, .service = {"tcp/1-9", "udp/5"}});
    EXPECT_EQ(TermBuilder{b.policy}.term_count(), 1U);
}

TEST(Terms, GroupsAlternativesWhereNothingIsLost) {
    EXPECT_EQ(terms_of({"a", "b"}), 1U) << "zones join";
    EXPECT_EQ(terms_of({"s", "t", "192.0.2.1"}), 1U) << "addresses of any zone join";
    EXPECT_EQ(terms_of({"a&s", "a&t"}), 1U) << "addresses of one zone join";
    EXPECT_EQ(terms_of({"a&s", "b&s"}), 1U) << "zones with the same addresses join";
    EXPECT_EQ(terms_of({"a", "a&s"}), 1U) << "a whole zone needs none of its addresses";
    EXPECT_EQ(terms_of({"any", "s", "b&t"}), 1U) << "any needs nothing else";
    EXPECT_EQ(terms_of({"a&s", "b&t"}), 2U) << "joining would let a&t pass";
    EXPECT_EQ(terms_of({"a", "s"}), 2U);
    EXPECT_EQ(terms_of({"a&s", "b&t"}, {"a", "t"}), 4U);
}

TEST(Terms, SharesEqualListsBetweenRules) {
    PolicyBuilder b = three_zones();
    b.rule({.id = "x", .from = {"s", "t"}, .service = {"tcp/1", "tcp/2"}});
    b.rule({.id = "y", .from = {"t", "s"}, .to = {"s", "t", "s"}, .service = {"tcp/2", "tcp/1"}});
    const TermBuilder terms{b.policy};
    EXPECT_EQ(terms.addresses().size(), 1U);
    EXPECT_EQ(terms.services().size(), 1U);
}

TEST(Terms, StandInEvaluationOrder) {
    PolicyBuilder b = three_zones();
    b.rule({.id = "x", .from = {"a&s", "b&t"}}).rule({.id = "y"}).rule({.id = "z", .to = {"a", "s"}});
    std::vector<std::uint32_t> rules;
    for (const Term& t : TermBuilder{b.policy}.terms()) rules.push_back(t.rule);
    EXPECT_EQ(rules, (std::vector<std::uint32_t>{0, 0, 1, 2, 2}));
}

}  // namespace
}  // namespace sluice::cp
