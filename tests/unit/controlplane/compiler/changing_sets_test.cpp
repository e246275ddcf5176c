/// Sets with members over the API in tables: what the tables ask, what their answers decide, and when they are too
/// many.
#include "controlplane/compiler/changing_sets.hpp"

#include <gtest/gtest.h>

#include "controlplane/compiler/compiler.hpp"
#include "dataplane/acl/set_table.hpp"
#include "tests/harness/policies.hpp"

namespace sluice::test {
namespace {

PolicyBuilder two_zones(const std::vector<std::string>& sets) {
    PolicyBuilder b;
    b.zone("outside", {"p0"}).zone("inside", {"p1"});
    for (const std::string& name : sets)
        b.policy.sets.push_back({.name = name, .nets = {}, .pos = {}, .by_api = true, .members_max = 10});
    return b;
}

TEST(ChangingSets, IdIsTheBeginningOfTheSha256OfTheName) {
    // printf blocked | sha256sum
    EXPECT_EQ(cp::set_id("blocked"), cp::set_id(std::string{"blocked"}));
    EXPECT_NE(cp::set_id("blocked"), cp::set_id("blocked2"));
    EXPECT_NE(cp::set_id(""), abi::kNoSet);
}

TEST(ChangingSets, TablesAskOncePerSetAndSide) {
    auto b = two_zones({"a", "b", "unused"});
    b.rule({.id = "r1", .from = {"a"}})
        .rule({.id = "r2", .from = {"a", "b"}, .to = {"b"}})
        .rule({.id = "r3", .from = {"a"}});
    const CompiledTables tables{b.build()};
    EXPECT_EQ(tables.view().sets.size(), 3U);
    ASSERT_EQ(tables.view().set_uses.size(), 3U);
    for (const abi::SetUse& use : tables.view().set_uses) EXPECT_NE(tables.view().set_name(use.set), "unused");
}

TEST(ChangingSets, BothSidesAndWhatThePolicyKnowsBesideThem) {
    auto b = two_zones({"a"});
    b.set("known", {"192.0.2.0/24"});
    b.rule({.id = "both", .from = {"a"}, .to = {"a"}, .action = cp::Action::deny});
    b.rule({.id = "either", .from = {"inside&a", "known"}, .action = cp::Action::allow});
    const CompiledTables tables{b.build()};
    dp::OwnSetTable members{16};
    abi::ChangeSets batch;
    batch.epoch = 1;
    batch.is_first = 1;
    for (const char* text : {"10.0.0.1", "10.0.0.2"}) {
        const cp::Prefix p = prefix(text);
        batch.changes[batch.count++] = {.set = cp::set_id("a"),
                                        .member = {.addr = p.addr, .family = p.family, .bits = p.bits},
                                        .op = abi::SetOp::add};
    }
    ASSERT_TRUE(members->apply(batch, {}, nullptr, 1));
    dp::TableView view = tables.view();
    view.members = members->view(view, nullptr, 0);
    const auto decides = [&](std::uint16_t zone, const char* src, const char* dst) {
        const auto k = key(zone, src, static_cast<std::uint16_t>(1 - zone), dst, abi::L4Proto::tcp, 80);
        dp::LookupResult r;
        const std::uint32_t met = dp::lookup(view, {&k, 1}, {&r, 1});
        return std::string{view.rule_id(r.rule)} + (met != 0 ? "!" : "");
    };
    EXPECT_EQ(decides(0, "10.0.0.1", "10.0.0.2"), "both!");
    EXPECT_EQ(decides(0, "10.0.0.1", "10.0.0.3"), "default!");
    EXPECT_EQ(decides(1, "10.0.0.1", "10.0.0.3"), "either!");
    EXPECT_EQ(decides(0, "192.0.2.9", "10.0.0.3"), "either");
    EXPECT_EQ(decides(1, "10.0.0.3", "10.0.0.1"), "default!");
}

TEST(ChangingSets, WhoIsInNeverBlockIsDecidedAsIfHeWereNoMember) {
    auto b = two_zones({"a", "b"});
    b.set("regulator", {"10.9.0.0/24", "2001:db8:9::/48"}).never_block({"regulator", "192.0.2.7"});
    b.rule({.id = "no", .from = {"a"}, .to = {"any"}, .action = cp::Action::reject});
    b.rule({.id = "no-to", .to = {"inside&a"}, .action = cp::Action::deny});
    b.rule({.id = "rest", .from = {"any!b"}, .action = cp::Action::allow});
    const CompiledTables tables{b.build()};
    dp::OwnSetTable members{16};
    abi::ChangeSets batch;
    batch.epoch = 1;
    batch.is_first = 1;
    for (const char* set : {"a", "b"}) {
        for (const char* text : {"10.0.0.0/8", "192.0.2.0/24", "2001:db8::/32"}) {
            const cp::Prefix p = prefix(text);
            batch.changes[batch.count++] = {.set = cp::set_id(set),
                                            .member = {.addr = p.addr, .family = p.family, .bits = p.bits},
                                            .op = abi::SetOp::add};
        }
    }
    ASSERT_TRUE(members->apply(batch, {}, nullptr, 1));
    dp::TableView view = tables.view();
    view.members = members->view(view, nullptr, 0);
    const auto decides = [&](const char* src, const char* dst) {
        const auto k = key(0, src, 1, dst, abi::L4Proto::tcp, 80);
        dp::LookupResult r;
        dp::lookup(view, {&k, 1}, {&r, 1});
        return std::string{view.rule_id(r.rule)};
    };
    EXPECT_EQ(decides("10.8.0.1", "203.0.113.1"), "no");
    EXPECT_EQ(decides("10.9.0.1", "203.0.113.1"), "rest");
    EXPECT_EQ(decides("192.0.2.7", "203.0.113.1"), "rest");
    EXPECT_EQ(decides("192.0.2.8", "203.0.113.1"), "no");
    EXPECT_EQ(decides("2001:db8:9::1", "2001:db9::1"), "rest");
    EXPECT_EQ(decides("2001:db8:a::1", "2001:db9::1"), "no");
    EXPECT_EQ(decides("203.0.113.1", "10.9.0.1"), "rest");
    EXPECT_EQ(decides("203.0.113.1", "10.8.0.1"), "no-to");
    EXPECT_EQ(decides("10.9.0.1", "10.8.0.1"), "no-to") << "the other end is nobody's to protect";
}

TEST(ChangingSets, ASetThatIsLeftOutIsAskedAsOneThatIsNamed) {
    auto b = two_zones({"a", "b"});
    b.set("known", {"192.0.2.0/24"});
    b.rule({.id = "not-a", .from = {"outside!a"}, .to = {"any!b"}, .action = cp::Action::allow});
    b.rule({.id = "known-not-a", .from = {"inside&known!a"}, .to = {"b"}, .action = cp::Action::allow});
    const CompiledTables tables{b.build()};
    EXPECT_EQ(tables.view().set_uses.size(), 2U) << "a in from, b in to, each once";
    dp::OwnSetTable members{16};
    abi::ChangeSets batch;
    batch.epoch = 1;
    batch.is_first = 1;
    for (const auto& [set, text] :
         {std::pair{"a", "10.0.0.1"}, std::pair{"a", "192.0.2.1"}, std::pair{"b", "10.0.0.9"}}) {
        const cp::Prefix p = prefix(text);
        batch.changes[batch.count++] = {.set = cp::set_id(set),
                                        .member = {.addr = p.addr, .family = p.family, .bits = p.bits},
                                        .op = abi::SetOp::add};
    }
    const auto decides = [&](bool with_members, std::uint16_t zone, const char* src, const char* dst) {
        dp::TableView view = tables.view();
        if (with_members) view.members = members->view(view, nullptr, 0);
        const auto k = key(zone, src, static_cast<std::uint16_t>(1 - zone), dst, abi::L4Proto::tcp, 80);
        dp::LookupResult r;
        dp::lookup(view, {&k, 1}, {&r, 1});
        return std::string{view.rule_id(r.rule)};
    };
    EXPECT_EQ(decides(false, 0, "10.0.0.1", "10.0.0.9"), "not-a") << "nobody is in an empty set";
    ASSERT_TRUE(members->apply(batch, {}, nullptr, 1));
    EXPECT_EQ(decides(true, 0, "10.0.0.2", "10.0.0.8"), "not-a");
    EXPECT_EQ(decides(true, 0, "10.0.0.1", "10.0.0.8"), "default");
    EXPECT_EQ(decides(true, 0, "10.0.0.2", "10.0.0.9"), "default");
    EXPECT_EQ(decides(true, 1, "192.0.2.2", "10.0.0.9"), "known-not-a");
    EXPECT_EQ(decides(true, 1, "192.0.2.1", "10.0.0.9"), "default");
    EXPECT_EQ(decides(true, 1, "192.0.2.2", "10.0.0.8"), "default");
}

TEST(ChangingSets, TooManyQuestionsAreRefusedWithFigures) {
    std::vector<std::string> names;
    for (int i = 0; i < 17; ++i) names.push_back("s" + std::to_string(i));
    auto b = two_zones(names);
    for (const auto& name : names) b.rule({.id = "r-" + name, .from = {name}});
    cp::SlotMap slots;
    ASSERT_TRUE(slots.assign(b.policy));
    const auto refused = cp::compile(b.policy, slots, {.generation = 1});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, "too-many-sets");
    EXPECT_EQ(refused.error().needed, 17U);
    EXPECT_EQ(refused.error().allowed, 16U);
}

TEST(ChangingSets, TooManyZonesForTheQuestionsAreRefusedToo) {
    PolicyBuilder b;
    for (int z = 0; z < 64; ++z) b.zone("z" + std::to_string(z), {"p" + std::to_string(z)});
    for (int i = 0; i < 9; ++i) {
        const std::string name = "s" + std::to_string(i);
        b.policy.sets.push_back({.name = name, .nets = {}, .pos = {}, .by_api = true, .members_max = 10});
        b.rule({.id = "r-" + name, .from = {name}});
    }
    cp::SlotMap slots;
    ASSERT_TRUE(slots.assign(b.policy));
    const auto refused = cp::compile(b.policy, slots, {.generation = 1});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, "too-many-sets");
    EXPECT_EQ(refused.error().needed, 64U * 64 * 512);
}

}  // namespace
}  // namespace sluice::test
