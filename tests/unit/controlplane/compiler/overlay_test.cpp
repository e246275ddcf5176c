/// Edits beside the tables, case by case; random ones are tests/property/overlay_property_test.cpp's.
#include "controlplane/compiler/overlay.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "dataplane/acl/lookup.hpp"
#include "tests/harness/policies.hpp"

namespace sluice::test {
namespace {

using cp::Action;

PolicyBuilder base() {
    PolicyBuilder b;
    b.zone("outside", {"p0"}).zone("inside", {"p1"});
    b.rule({.id = "web", .from = {"outside"}, .to = {"10.0.0.80"}, .service = {"tcp/443"}, .action = Action::allow});
    b.rule({.id = "ssh", .from = {"outside"}, .to = {"10.0.0.0/24"}, .service = {"tcp/22"}, .action = Action::deny});
    b.rule({.id = "watch", .from = {"outside"}, .to = {"10.0.0.0/24"}, .mode = abi::RuleMode::observe});
    b.rule({.id = "net", .from = {"outside"}, .to = {"10.0.0.0/24"}, .action = Action::reject});
    b.rule({.id = "out", .from = {"inside"}, .to = {"outside"}, .action = Action::allow});
    return b;
}

cp::Rule rule(const RuleSpec& spec) {
    PolicyBuilder b;
    b.zone("outside", {"p0"}).zone("inside", {"p1"});
    b.rule(spec);
    return b.policy.rules[0];
}

struct Beside {
    cp::Policy before, after;
    cp::RuleSlots slots_before, slots_after;
    cp::CompiledGeneration whole;
    Expected<cp::CompiledGeneration, std::string> edited = Unexpected<std::string>("not compiled");

    Beside(cp::Policy was, cp::Policy is) : before{std::move(was)}, after{std::move(is)} {
        cp::SlotMap slots;
        slots_before = *slots.assign(before);
        slots_after = *slots.assign(after);
        whole = std::move(*cp::compile(before, slots_before, {.generation = 1}));
        edited =
            cp::compile_beside(whole, after, slots_after, {&before, slots_before, 1, {}, nullptr}, {.generation = 2});
    }
    dp::TableView view() const {
        const auto view = dp::validate(edited->manifest_bytes(), edited->section_bytes(), {.rule_slots_max = 1024});
        EXPECT_TRUE(view) << view.error().where;
        return *view;
    }
    std::string decided(const dp::LookupKey& key) const {
        dp::LookupResult r;
        const dp::TableView tables = view();
        dp::lookup(tables, {&key, 1}, {&r, 1});
        return std::string{tables.rule_id(r.rule)} +
               (r.observe == abi::kNoRule ? "" : ", " + std::string{tables.rule_id(r.observe)} + " watched");
    }
    bool untouched(std::string_view id) const {
        const dp::TableView tables = view();
        for (std::size_t i = 0; i < after.rules.size(); ++i) {
            const auto slot = static_cast<std::size_t>(slots_after[i]);
            if (std::as_const(after).rules[i].id == id)
                return slot / 64 < tables.untouched.size() && (tables.untouched[slot / 64] >> (slot % 64) & 1U) != 0;
        }
        return false;
    }
};

const dp::LookupKey kWeb = key(0, "192.0.2.1", 1, "10.0.0.80", abi::L4Proto::tcp, 443);
const dp::LookupKey kSsh = key(0, "192.0.2.1", 1, "10.0.0.9", abi::L4Proto::tcp, 22);
const dp::LookupKey kOut = key(1, "10.0.0.9", 0, "192.0.2.1", abi::L4Proto::udp, 53);

TEST(Overlay, WhatWentLeavesItsPacketsToThoseBehind) {
    const cp::Policy before = base().build();
    cp::Policy after = before;
    after.rules.erase(after.rules.begin() + 1);
    const Beside b{before, after};
    ASSERT_TRUE(b.edited) << b.edited.error();
    EXPECT_EQ(b.decided(kSsh), "net, watch watched");
    EXPECT_EQ(b.decided(kWeb), "web");
    EXPECT_EQ(b.decided(kOut), "out");
    EXPECT_EQ(b.view().overlay.places.size(), 2U) << "watch and net, which takes all that ssh took";
    // The large tables are those of before, byte for byte: they need not be sent.
    for (const auto kind : {abi::SectionKind::rules, abi::SectionKind::trees, abi::SectionKind::src_v4})
        EXPECT_EQ(b.edited->section(kind).bytes().data(), b.whole.section(kind).bytes().data());
}

TEST(Overlay, WithNothingBehindWhatWentTheDefaultDecides) {
    const cp::Policy before = base().build();
    cp::Policy after = before;
    after.rules.erase(after.rules.begin() + 4);
    const Beside b{before, after};
    ASSERT_TRUE(b.edited) << b.edited.error();
    EXPECT_TRUE(b.view().has_overlay && b.view().overlay.places.empty());
    EXPECT_EQ(b.decided(kOut), abi::kIdDefault);
    EXPECT_EQ(b.decided(kWeb), "web");
}

TEST(Overlay, NewRulesStandInTheirPlaces) {
    const cp::Policy before = base().build();
    cp::Policy after = before;
    after.rules.insert(
        after.rules.begin() + 1,
        rule({.id = "jump", .from = {"outside&192.0.2.1"}, .service = {"tcp/22"}, .action = Action::allow}));
    after.rules.push_back(rule({.id = "last", .from = {"inside"}, .action = Action::deny}));
    const Beside b{before, after};
    ASSERT_TRUE(b.edited) << b.edited.error();
    EXPECT_EQ(b.decided(kSsh), "jump");
    EXPECT_EQ(b.decided(key(0, "192.0.2.2", 1, "10.0.0.9", abi::L4Proto::tcp, 22)), "ssh");
    EXPECT_EQ(b.decided(kOut), "out") << "last stands behind it";
    EXPECT_EQ(b.decided(key(1, "10.0.0.9", 1, "10.0.0.8", abi::L4Proto::udp, 53)), "last");
    EXPECT_TRUE(b.untouched("web"));
    EXPECT_TRUE(b.untouched("out")) << "jump takes nothing from it";
}

TEST(Overlay, AnObserveRuleComesAndGoes) {
    const cp::Policy before = base().build();
    cp::Policy gone = before, more = before;
    gone.rules.erase(gone.rules.begin() + 2);
    more.rules.insert(more.rules.begin(), rule({.id = "first", .from = {"outside"}, .mode = abi::RuleMode::observe}));
    const dp::LookupKey ping = key(0, "192.0.2.1", 1, "10.0.0.9", abi::L4Proto::icmp, 0x800);
    EXPECT_EQ((Beside{before, gone}.decided(ping)), "net");
    EXPECT_EQ((Beside{before, more}.decided(ping)), "net, first watched");
    EXPECT_EQ((Beside{before, more}.decided(kWeb)), "web, first watched");
}

TEST(Overlay, AnEditedRuleKeepsItsFlowsApartFromThoseBehind) {
    const cp::Policy before = base().build();
    cp::Policy logs = before, widens = before;
    logs.rules[0].log = abi::RuleLog::both;
    widens.rules[0] = rule({.id = "web", .action = Action::allow});
    const Beside same{before, logs}, wide{before, widens};
    EXPECT_TRUE(same.untouched("out")) << "web takes what it took";
    EXPECT_FALSE(same.untouched("web"));
    EXPECT_FALSE(wide.untouched("out"));
    EXPECT_EQ(wide.decided(kOut), "web");
}

/// What it refuses it leaves to them whom never_block spares; allowed, it takes those too.
TEST(Overlay, ARuleThatRefusesNoLongerTakesThoseWhoWereSpared) {
    PolicyBuilder b;
    b.zone("outside", {"p0"}).zone("inside", {"p1"}).set_by_api("bad").default_action(Action::allow);
    b.rule({.id = "no", .from = {"bad"}, .to = {"10.0.0.0/8"}, .action = Action::deny});
    b.rule({.id = "web", .from = {"192.0.2.0/24"}, .to = {"10.0.0.80"}, .action = Action::allow});
    b.never_block({"192.0.2.7"});
    const cp::Policy denies = b.build();
    cp::Policy allows = denies, rejects = denies;
    allows.rules[0].action = Action::allow;
    rejects.rules[0].action = Action::reject;
    const auto default_untouched = [](const Beside& beside) {
        const dp::TableView tables = beside.view();
        return !tables.untouched.empty() && (tables.untouched[0] >> static_cast<unsigned>(abi::kSlotDefault) & 1U) != 0;
    };
    const Beside wider{denies, allows}, narrower{allows, denies}, same{denies, rejects};
    EXPECT_FALSE(wider.untouched("web"));
    EXPECT_FALSE(default_untouched(wider));
    for (const Beside* beside : {&narrower, &same}) {
        EXPECT_TRUE(beside->untouched("web"));
        EXPECT_TRUE(default_untouched(*beside));
    }
}

TEST(Overlay, TheSamePolicyHasTheSameDigestHoweverItWasCompiled) {
    const cp::Policy before = base().build();
    cp::Policy after = before;
    after.rules.erase(after.rules.begin() + 1);
    const Beside b{before, after};
    const auto whole = cp::compile(after, b.slots_after, {.generation = 9, .created_unix_ns = 5});
    ASSERT_TRUE(whole && b.edited);
    EXPECT_EQ(whole->manifest.generation_digest, b.edited->manifest.generation_digest);
    EXPECT_NE(whole->manifest.generation_digest, b.whole.manifest.generation_digest) << "the slots are others";
}

TEST(Overlay, EditsUponEdits) {
    const cp::Policy before = base().build();
    cp::Policy first = before;
    first.rules.erase(first.rules.begin() + 1);
    const Beside b{before, first};
    ASSERT_TRUE(b.edited);
    // What stood for everything behind ssh goes too: those behind that are met now.
    cp::Policy second = first;
    second.rules.erase(second.rules.begin() + 2);
    cp::SlotMap slots;
    ASSERT_TRUE(slots.assign(before));
    const auto slots_second = slots.assign(second);
    const auto again = cp::compile_beside(*b.edited, second, *slots_second, {&first, b.slots_after, 2, {}, nullptr},
                                          {.generation = 3});
    ASSERT_TRUE(again) << again.error();
    const auto view = dp::validate(again->manifest_bytes(), again->section_bytes(), {.rule_slots_max = 1024});
    ASSERT_TRUE(view) << view.error().where;
    dp::LookupResult r;
    dp::lookup(*view, {&kSsh, 1}, {&r, 1});
    EXPECT_EQ(view->rule_id(r.rule), abi::kIdDefault);
    EXPECT_EQ(view->rule_id(r.observe), "watch");
}

/// What is said when the whole has to be compiled.
std::string why_whole(const cp::Policy& before, const cp::Policy& after) {
    const Beside b{before, after};
    return b.edited ? "" : b.edited.error();
}

TEST(Overlay, SaysWhyTheWholeIsBetter) {
    PolicyBuilder layered = base();
    for (std::size_t i = 3; i < 5; ++i) layered.policy.rules[i].layer = 60;
    const cp::Policy before = layered.build();
    cp::Policy passes = before, timed = before, layers = before, none = before;
    passes.rules[1].action = Action::pass;
    EXPECT_EQ(why_whole(before, passes), "a new rule passes packets on");
    EXPECT_EQ(why_whole(passes, before), "a rule that passes packets on is another one");
    timed.rules[0].expires = 1'900'000'000;
    EXPECT_EQ(why_whole(before, timed), "a new rule depends on time");
    layers.rules.erase(layers.rules.begin() + 3, layers.rules.end());
    EXPECT_EQ(why_whole(before, layers), "the last layer is another one");
    none.rules.clear();
    EXPECT_EQ(why_whole(before, none), "all rules are other ones");
    EXPECT_EQ(why_whole(before, before), "");
}

}  // namespace
}  // namespace sluice::test
