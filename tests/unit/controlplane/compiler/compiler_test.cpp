/// What single policies compile to, asked through the lookup that workers use. Random policies are the property tests'
/// (tests/property/acl_property_test.cpp).
#include "controlplane/compiler/compiler.hpp"

#include <algorithm>
#include <cstring>

#include <gtest/gtest.h>

#include "controlplane/compiler/reference.hpp"
#include "dataplane/acl/lookup.hpp"
#include "tests/harness/policies.hpp"
#include "tests/harness/random_policies.hpp"

namespace sluice::cp {
namespace {

using abi::L4Proto;
using test::CompiledTables;
using test::key;
using test::PolicyBuilder;

PolicyBuilder two_zones() {
    PolicyBuilder b;
    b.zone("outside", {"p0"}).zone("inside", {"p1"});
    b.set("web", {"198.51.100.80/32", "2001:db8:51::80/128"});
    return b;
}

bool same_bytes(const SharedSection& a, const SharedSection& b) { return std::ranges::equal(a.bytes(), b.bytes()); }

TEST(Compiler, AnswersWithTheFirstRuleThatMatches) {
    const CompiledTables t{
        two_zones()
            .rule({.id = "ssh", .from = {"outside"}, .service = {"tcp/22"}, .action = Action::reject})
            .rule({.id = "web-in",
                   .from = {"outside"},
                   .to = {"web"},
                   .service = {"tcp/80", "tcp/443"},
                   .action = Action::allow})
            .rule({.id = "ping", .service = {"icmp/8", "icmp6/128"}, .action = Action::allow})
            .rule({.id = "egress", .from = {"inside"}, .to = {"outside"}, .action = Action::allow})
            .build()};
    EXPECT_EQ(t.rule_for(key(0, "192.0.2.1", 1, "198.51.100.80", L4Proto::tcp, 443)), "web-in");
    EXPECT_EQ(t.rule_for(key(0, "2001:db8::1", 1, "2001:db8:51::80", L4Proto::tcp, 443)), "web-in");
    EXPECT_EQ(t.rule_for(key(0, "192.0.2.1", 1, "198.51.100.81", L4Proto::tcp, 443)), "default");
    EXPECT_EQ(t.rule_for(key(0, "192.0.2.1", 1, "198.51.100.80", L4Proto::udp, 443)), "default");
    EXPECT_EQ(t.rule_for(key(0, "192.0.2.1", 1, "198.51.100.80", L4Proto::tcp, 22)), "ssh");
    EXPECT_EQ(t.rule_for(key(1, "192.0.2.1", 0, "198.51.100.80", L4Proto::tcp, 22)), "egress");
    EXPECT_EQ(t.rule_for(key(0, "192.0.2.1", 1, "198.51.100.90", L4Proto::icmp, 8 << 8)), "ping");
    EXPECT_EQ(t.rule_for(key(0, "192.0.2.1", 1, "198.51.100.90", L4Proto::icmp, 13 << 8)), "default");
    EXPECT_EQ(t.rule_for(key(0, "2001:db8::1", 1, "2001:db8::2", L4Proto::icmp6, 128 << 8)), "ping");
    EXPECT_EQ(t.view().port_zone[0], abi::ZoneId{0});
    EXPECT_EQ(t.view().port_zone[1], abi::ZoneId{1});
}

// F18: no next header (59) is nobody's service. A rule without services means all that carry something.
TEST(Compiler, NoNextHeaderNeedsARuleThatNamesIt) {
    const Policy policy =
        two_zones()
            .rule({.id = "seen", .from = {"inside"}, .mode = abi::RuleMode::observe})
            .rule({.id = "egress", .from = {"inside"}, .action = Action::allow})
            .rule({.id = "named", .from = {"outside"}, .service = {"proto/59"}, .action = Action::allow})
            .rule({.id = "tcp-too", .service = {"proto/59", "tcp/1-65535"}, .action = Action::reject})
            .build();
    const CompiledTables t{policy};
    constexpr L4Proto kNoNextHeader{59};
    for (const auto& [k, rule] : {std::pair{key(1, "2001:db8::1", 0, "2001:db8::2", kNoNextHeader), "tcp-too"},
                                  {key(0, "2001:db8::1", 1, "2001:db8::2", kNoNextHeader), "named"},
                                  {key(1, "2001:db8::1", 0, "2001:db8::2", L4Proto{58}, 0xffff), "egress"},
                                  {key(1, "2001:db8::1", 0, "2001:db8::2", L4Proto{60}), "egress"},
                                  {key(1, "2001:db8::1", 0, "2001:db8::2", L4Proto{255}), "egress"},
                                  {key(1, "2001:db8::1", 0, "2001:db8::2", L4Proto::udp, 65535), "egress"},
                                  {key(1, "192.0.2.1", 0, "192.0.2.2", L4Proto::icmp, 0), "egress"},
                                  {key(1, "192.0.2.1", 0, "192.0.2.2", L4Proto::tcp, 0), "egress"}}) {
        EXPECT_EQ(t.rule_for(k), rule) << static_cast<unsigned>(k.proto);
        EXPECT_EQ(reference_rule_id(policy, reference_lookup(policy, k).rule), rule) << static_cast<unsigned>(k.proto);
    }
    EXPECT_EQ(first_excluding_field(policy, policy.rules[1], key(1, "2001:db8::1", 0, "2001:db8::2", kNoNextHeader)),
              "service");
}

Policy some_policy(std::size_t rules) {
    test::Random random{7};
    return test::Pool{7}.policy(test::random_rules(random, rules));
}

Expected<CompiledGeneration, CompileRefusal> compiled(const Policy& policy, const CompileOptions& options) {
    SlotMap slots{1U << 20};
    EXPECT_TRUE(slots.assign(policy));
    return compile(policy, slots, options);
}

TEST(Compiler, MakesEqualBytesFromEqualPolicies) {
    const auto a = compiled(some_policy(300), {.generation = 1, .created_unix_ns = 5});
    const auto b = compiled(some_policy(300), {.generation = 2, .created_unix_ns = 6});
    ASSERT_TRUE(a && b);
    EXPECT_TRUE(std::ranges::equal(a->sections, b->sections, same_bytes));
    EXPECT_EQ(a->manifest.generation_digest, b->manifest.generation_digest) << "it names content, not a number";
    EXPECT_EQ(b->manifest.generation, 2U);
    CompiledGeneration again = *a;
    renumber(again, 2, 6);
    EXPECT_EQ(std::memcmp(&again.manifest, &b->manifest, sizeof(abi::Manifest)), 0);
}

TEST(Compiler, LeavesSectionsAloneThatAChangeDoesNotTouch) {
    Policy policy = some_policy(300);
    const auto before = compiled(policy, {.generation = 1});
    policy.rules[3].action = policy.rules[3].action == Action::allow ? Action::deny : Action::allow;
    policy.version.bytes[0] ^= 1;
    const auto after = compiled(policy, {.generation = 2});
    ASSERT_TRUE(before && after);
    for (std::size_t i = 0; i < abi::kSectionKindCount; ++i) {
        const bool rules = i + 1 == static_cast<std::size_t>(abi::SectionKind::rules);
        EXPECT_EQ(same_bytes(before->sections[i], after->sections[i]), !rules) << i;
    }
    EXPECT_NE(before->manifest.generation_digest, after->manifest.generation_digest);
}

TEST(Compiler, ResolvesPassToTheDefaultAndRemembersIt) {
    const CompiledTables t{
        two_zones().rule({.id = "leave", .action = Action::pass}).default_action(Action::reject).build()};
    EXPECT_EQ(t.view().rules[0].verdict, abi::Verdict::reject);
    EXPECT_EQ(t.view().rules[0].is_pass, 1);
    EXPECT_EQ(t.rule_for(key(0, "192.0.2.1", 1, "192.0.2.2", L4Proto::udp, 1)), "leave");
}

TEST(Compiler, CarriesSettingsAndSlots) {
    PolicyBuilder b = two_zones();
    b.rule({.id = "old"}).rule({.id = "kept", .log = abi::RuleLog::both});
    SlotMap slots;
    const CompiledTables first{b.build(), slots, 1};
    b.policy.rules.erase(b.policy.rules.begin());
    b.policy.timeouts.icmp_ms = 5'000;
    b.policy.seq_check = abi::SeqCheck::log;
    b.wire(abi::WireAction::deny, abi::WireAction::allow, abi::WireAction::allow);
    b.default_action(Action::deny, abi::RuleLog::start);
    const CompiledTables second{b.build(), slots, 2};
    EXPECT_EQ(second.view().rules[0].slot, first.view().rules[1].slot);
    EXPECT_EQ(second.view().rules[0].log, abi::RuleLog::both);
    EXPECT_EQ(second.view().rules[1].log, abi::RuleLog::start);
    EXPECT_EQ(second.compiled().manifest.rule_slots, static_cast<std::uint32_t>(first.view().rules[1].slot) + 1);
    EXPECT_EQ(second.view().settings->timeouts.icmp_ms, 5'000U);
    EXPECT_EQ(first.view().settings->seq_check, abi::SeqCheck::strict);
    EXPECT_EQ(second.view().settings->seq_check, abi::SeqCheck::log);
    EXPECT_EQ(second.view().settings->wire_arp, abi::WireAction::deny);
    EXPECT_EQ(second.view().settings->wire_other, abi::WireAction::allow);
}

TEST(Compiler, LimitsStandWithTheirRuleTheDefaultAndTheZone) {
    PolicyBuilder b = two_zones();
    b.rule({.id = "r", .action = Action::allow}).default_action(Action::allow);
    b.policy.rules[0].limits = {1, 2, 3, 4};
    b.policy.default_limits = {.states_max = 5, .half_open_max = 8, .over = abi::HalfOpenOver::syn_cookie};
    b.policy.syn_proxy = {.mss = 1380, .wscale = 9, .timestamps = abi::SynPromise::off};
    b.policy.zones[1].limits = {.states_max = 6, .new_per_second_max = 7};
    const CompiledTables t{b.build()};
    EXPECT_EQ(t.view().rules[0].limits, (abi::RuleLimits{1, 2, 3, 4}));
    EXPECT_EQ(t.view().rules[1].limits,
              (abi::RuleLimits{.states_max = 5, .half_open_max = 8, .over = abi::HalfOpenOver::syn_cookie}));
    EXPECT_EQ(t.view().settings->syn_proxy, b.policy.syn_proxy);
    EXPECT_EQ(t.view().zones[0].limits.states_max, 0U);
    EXPECT_EQ(t.view().zones[1].limits.states_max, 6U);
    EXPECT_EQ(t.view().zones[1].limits.new_per_second_max, 7U);
}

TEST(Compiler, EveryRuleSaysWhatBecomesOfLiveFlows) {
    PolicyBuilder b = two_zones();
    b.rule({.id = "own"}).rule({.id = "as-the-policy"});
    b.policy.on_change = abi::OnChange::keep;
    b.policy.rules[0].on_change = abi::OnChange::kill;
    const CompiledTables t{b.build()};
    EXPECT_EQ(t.view().rules[0].on_change, abi::OnChange::kill);
    EXPECT_EQ(t.view().rules[1].on_change, abi::OnChange::keep);
    EXPECT_EQ(t.view().rules[2].on_change, abi::OnChange::keep);
    EXPECT_TRUE(t.view().untouched.empty()) << "compared with nothing";
}

TEST(Compiler, SaysWhichSlotsItsBaseLeavesUntouched) {
    PolicyBuilder b = two_zones();
    b.rule({.id = "web", .service = {"tcp/443"}, .action = Action::allow});
    SlotMap slots;
    const cp::Policy before = b.build();
    const auto slots_before = slots.assign(before);
    ASSERT_TRUE(slots_before);
    b.rule({.id = "late", .action = Action::deny});
    const cp::Policy after = b.build();
    ASSERT_TRUE(slots.assign(after));
    const auto compiled = compile(
        after, slots, {.generation = 2, .base = cp::ChangeBase{&before, *slots_before, 1, abi::Digest128{7, 8}}});
    ASSERT_TRUE(compiled);
    const auto view =
        dp::validate(compiled->manifest_bytes(), compiled->section_bytes(), {.rule_slots_max = 1024, .ports = {}});
    ASSERT_TRUE(view) << view.error().where;
    EXPECT_EQ(view->settings->base_generation, 1U);
    EXPECT_EQ(view->settings->base_rules, (abi::Digest128{7, 8}));
    ASSERT_EQ(view->untouched.size(), 1U);
    EXPECT_EQ(view->untouched[0], std::uint64_t{1} << 16) << "web; the default lost what late takes";
    const auto alone = compile(after, slots, {.generation = 2});
    ASSERT_TRUE(alone);
    EXPECT_EQ(compiled->manifest.generation_digest, alone->manifest.generation_digest)
        << "a control plane that was restarted knows the policy and not the base";
}

TEST(Compiler, RefusesARuleWithoutASlot) {
    const Policy policy = two_zones().rule({.id = "r"}).build();
    const auto refused = compile(policy, SlotMap{}, {.generation = 1});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, "slot-missing");
}

TEST(Compiler, X7RefusesTooManyTermsWithFiguresBeforeBuilding) {
    PolicyBuilder b;
    for (int z = 0; z < 200; ++z) b.zone("z" + std::to_string(z), {});
    std::vector<std::string> sides;  // every zone with an address of its own: nothing can be joined
    for (int z = 0; z < 200; ++z) sides.push_back("z" + std::to_string(z) + "&10.0.0." + std::to_string(z));
    for (int r = 0; r < 5; ++r) b.rule({.id = "bomb-" + std::to_string(r), .from = sides, .to = sides});
    const auto refused = compiled(b.policy, {.generation = 1, .terms_max = 150'000});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, "too-many-terms");
    EXPECT_EQ(refused.error().needed, 200'000U);
    EXPECT_EQ(refused.error().allowed, 150'000U);
    EXPECT_NE(refused.error().detail.find("\"bomb-0\" alone makes 40,000"), std::string::npos)
        << refused.error().detail;
}

/// 10,000 rules with wide port ranges and crossing prefixes: within the budget it compiles, over it it is refused as
/// soon as that shows, with the figure reached by then.
TEST(Compiler, X7CompilesARuleBombWithinBudgetAndRefusesItAbove) {
    PolicyBuilder b;
    b.zone("z", {});
    test::Random random{11};
    for (int r = 0; r < 10'000; ++r) {
        Rule rule{.id = "r" + std::to_string(r)};
        const auto net = [&] {
            Prefix p{.family = abi::IpFamily::v4, .bits = static_cast<std::uint8_t>(8 + random() % 25)};
            const auto mask = static_cast<std::uint32_t>(~std::uint64_t{0} << (32 - p.bits));
            p.addr = abi::IpAddr::of_v4(abi::Ipv4Addr::of_host(static_cast<std::uint32_t>(random()) & mask));
            return Endpoint{.any_addr = false, .nets = {p}};
        };
        rule.from = {net()};
        rule.to = {net()};
        const auto first = static_cast<std::uint16_t>(random() % 4'000);
        rule.service = {
            {.proto = abi::L4Proto::tcp, .first = first, .last = static_cast<std::uint16_t>(first + 61'000)}};
        b.policy.rules.push_back(std::move(rule));
    }
    const auto ok = compiled(b.policy, {.generation = 1});
    ASSERT_TRUE(ok) << ok.error().detail;
    const auto refused = compiled(b.policy, {.generation = 1, .bytes_max = ok->bytes() / 2});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, "tables-too-big");
    EXPECT_GT(refused.error().needed, ok->bytes() / 2);
    EXPECT_LE(refused.error().needed, ok->bytes());
    EXPECT_NE(refused.error().detail.find("10,000 terms"), std::string::npos) << refused.error().detail;
}

TEST(Compiler, CutsALongNameAtACharacter) {
    PolicyBuilder b = two_zones();
    b.policy.name = std::string(62, 'a') + "\u00fc";  // the last character has two bytes, one would fit
    const CompiledTables t{b.build()};
    EXPECT_EQ(std::string_view{t.compiled().manifest.policy_name.data()}, std::string(62, 'a'));
}

}  // namespace
}  // namespace sluice::cp
