#include "controlplane/compiler/terms.hpp"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

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

TEST(Terms, ASetLeftOutIsTakenFromTheList) {
    EXPECT_EQ(terms_of({"any!s"}), 1U);
    EXPECT_EQ(terms_of({"a!s", "b!s"}), 1U) << "zones with the same left out join";
    EXPECT_EQ(terms_of({"a", "a&t!s"}), 1U) << "a whole zone needs none of its addresses";
    EXPECT_EQ(terms_of({"a!s", "a!t"}), 2U) << "each leaves out its own";
    EXPECT_EQ(terms_of({"a!s", "a&s"}), 2U) << "what one leaves out another may name";
    PolicyBuilder b = three_zones();
    b.set("inner", {"10.1.0.0/16", "2001:db8::/32"}).rule({.id = "r", .from = {"s!inner"}, .to = {"any!inner"}});
    const TermBuilder terms{b.policy};
    ASSERT_EQ(terms.addresses().size(), 2U);
    EXPECT_EQ(terms.addresses()[0].v4, (Ranges<std::uint32_t>{{0x0a000000, 0x0a00ffff}, {0x0a020000, 0x0affffff}}));
    EXPECT_TRUE(terms.addresses()[0].v6.empty());
    EXPECT_EQ(terms.addresses()[1].v4, (Ranges<std::uint32_t>{{0, 0x0a00ffff}, {0x0a020000, 0xffffffff}}));
    EXPECT_EQ(terms.addresses()[1].v6.size(), 2U) << "and each family by itself";
    PolicyBuilder nothing = three_zones();
    nothing.rule({.id = "r", .from = {"a&s!s"}});
    EXPECT_TRUE(TermBuilder{nothing.policy}.addresses()[0].v4.empty());
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

std::string told(const TermBuilder& terms) {
    std::string text;
    for (const Term& t : terms.terms()) {
        text += std::to_string(t.rule) + " " + t.from.zones.to_string().substr(abi::kZonesMax - 3) + "/" +
                std::to_string(t.from.addresses) + " " + t.to.zones.to_string().substr(abi::kZonesMax - 3) + "/" +
                std::to_string(t.to.addresses) + " " + std::to_string(t.service) + "\n";
    }
    for (const AddressList& list : terms.addresses()) {
        for (const auto& r : list.v4) text += std::to_string(r.first) + "-" + std::to_string(r.last) + ",";
        text += "\n";
    }
    return text + std::to_string(terms.services().size());
}

// What a policy takes over from the one that it was edited from makes no difference that anybody can see.
TEST(Terms, OfAnEditedPolicyAreThoseOfThePolicyByItself) {
    PolicyBuilder b = three_zones();
    b.rule({.id = "x", .from = {"a&s", "b&t"}, .service = {"tcp/1"}});
    b.rule({.id = "y", .from = {"192.0.2.1"}, .to = {"t"}, .service = {"tcp/2"}});
    b.rule({.id = "z", .to = {"a", "s"}, .service = {"tcp/3"}});
    const TermBuilder first{b.policy};
    Policy edited = b.policy;
    edited.rules.erase(edited.rules.begin());
    edited.rules.insert(edited.rules.end(), edited.rules[0]);
    edited.rules.back().service = std::as_const(b.policy).rules[0].service;
    const TermBuilder second{edited, &b.policy, &first};
    EXPECT_EQ(told(second), told(TermBuilder{edited}));
    Policy again = edited;
    again.rules.insert(again.rules.begin(), std::as_const(b.policy).rules[0]);
    EXPECT_EQ(told(TermBuilder{again, &edited, &second}), told(TermBuilder{again}));
}

TEST(Terms, WhoIsInNeverBlockIsTakenFromMembersAndGivenBackWhereTheyAreLeftOut) {
    PolicyBuilder b = three_zones();
    b.set_by_api("bad").never_block({"s", "192.0.2.0/24"});
    b.rule({.id = "no", .from = {"a&bad", "a&t"}, .action = Action::deny});
    b.rule({.id = "in", .from = {"t!bad", "b&s!bad"}, .action = Action::allow});
    const TermBuilder terms{b.policy};
    const auto all = terms.terms();
    ASSERT_EQ(all.size(), 5U) << "t and never_block share nobody";
    const auto& lists = terms.addresses();
    EXPECT_EQ(all[0].from.members, 0U);
    EXPECT_EQ(lists[all[0].from.addresses].v4, (Ranges<std::uint32_t>{{0x0b000000, 0x0bffffff}})) << "the author's own";
    EXPECT_NE(all[1].from.members, 0U);
    EXPECT_EQ(lists[all[1].from.addresses].v4,
              (Ranges<std::uint32_t>{{0, 0x09ffffff}, {0x0b000000, 0xc00001ff}, {0xc0000300, 0xffffffff}}));
    EXPECT_EQ(lists[all[1].from.addresses].v6.size(), 1U);
    std::size_t left_out = 0;
    for (std::size_t i = 2; i < all.size(); ++i) left_out += all[i].from.except != 0 ? 1 : 0;
    EXPECT_EQ(left_out, 2U) << "and s of b stands there once more, whoever is bad";
    b.policy.never_block = {};
    EXPECT_EQ(TermBuilder{b.policy}.terms().size(), 4U);
    EXPECT_EQ(TermBuilder{b.policy}.terms()[1].from.addresses, kAnyList);
}

// An edit may bring a later layer, so that what refused before passes on now; the rule itself is shared.
TEST(Terms, AreMadeAnewWhereNeverBlockAsksForOthers) {
    PolicyBuilder b = three_zones();
    b.set_by_api("bad").never_block({"s"}).rule({.id = "x", .from = {"bad"}, .action = Action::pass, .layer = 10});
    const TermBuilder first{b.policy};
    Policy later = b.policy;
    later.rules.push_back({.id = "y", .from = {{}}, .to = {{}}, .layer = 20});
    const TermBuilder second{later, &b.policy, &first};
    EXPECT_EQ(told(second), told(TermBuilder{later}));
    EXPECT_NE(first.terms()[0].from.addresses, kAnyList);
    EXPECT_EQ(second.terms()[0].from.addresses, kAnyList);
    Policy others = b.policy;
    others.never_block.sets = {1};
    EXPECT_EQ(told(TermBuilder{others, &b.policy, &first}), told(TermBuilder{others}));
}

// `never_block` may name sets that hold nobody: then it protects nobody, and not everybody.
TEST(Terms, AnEmptyNeverBlockProtectsNobody) {
    PolicyBuilder b = three_zones();
    b.set_by_api("bad").set("nobody", {}).never_block({"nobody"});
    b.rule({.id = "in", .from = {"a!bad"}, .action = Action::allow});
    EXPECT_EQ(TermBuilder{b.policy}.terms().size(), 1U);
}

TEST(Terms, TakeNothingOverWhereAnotherSetHasTheName) {
    PolicyBuilder b = three_zones();
    b.rule({.id = "x", .from = {"s"}});
    const TermBuilder first{b.policy};
    Policy other = b.policy;
    other.sets[0].nets = std::as_const(b.policy).sets[1].nets;
    EXPECT_EQ(told(TermBuilder{other, &b.policy, &first}), told(TermBuilder{other}));
    Policy wider = b.policy;
    wider.zones.push_back({.name = "d", .ports = {}, .pos = {}});
    EXPECT_EQ(told(TermBuilder{wider, &b.policy, &first}), told(TermBuilder{wider}));
}

}  // namespace
}  // namespace sluice::cp
