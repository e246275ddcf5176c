#include "controlplane/lifecycle/flow_effect.hpp"

#include <gtest/gtest.h>

#include <random>

#include "controlplane/lifecycle/flow_places.hpp"
#include "tests/harness/policies.hpp"
#include "tests/harness/seed.hpp"

namespace sluice::cp {
namespace {

using abi::EventKind;

const WireHint kWires{{{"p0", "p1"}}};

test::PolicyBuilder world() {
    test::PolicyBuilder builder;
    builder.zone("outside", {"p0"}).zone("inside", {"p1"});
    return builder;
}
test::RuleSpec web(Action action) {
    return {.id = "web", .from = {"outside"}, .to = {"198.51.100.80"}, .service = {"tcp/443"}, .action = action};
}

/// One policy that allows the web, and one that does not.
struct Pair {
    Policy before = world().rule(web(Action::allow)).build();
    Policy after = world().rule(web(Action::reject)).build();
    test::CompiledTables tables_before{before}, tables_after{after};
    FlowTally tally(const WireHint& wires = kWires) {
        return {{&before, &tables_before.view()}, {&after, &tables_after.view()}, wires};
    }
};

struct Written {
    RecordContext context;
    FlowRecord record;
    Written(EventKind kind, std::string_view src, std::uint16_t dport, std::int64_t time_s = 100,
            std::int64_t started_s = 0) {
        context.kind = kind;
        context.family = abi::IpFamily::v4;
        context.proto = abi::L4Proto::tcp;
        context.rule = "web";
        context.from_zone = "outside";
        context.to_zone = "inside";
        context.in_port = "p0";
        record.context = &context;
        record.time_ns = time_s * 1'000'000'000;
        record.started_ns = started_s * 1'000'000'000;
        record.src = test::address(src);
        record.dst = test::address("198.51.100.80");
        record.dport = dport;
    }
};
void add(FlowTally& tally, const Written& written) {
    FlowRecord record = written.record;
    record.context = &written.context;
    tally.add(record);
}

TEST(FlowEffect, GroupsByRulesAndByWhoBeganTheFlows) {
    Pair pair;
    auto tally = pair.tally();
    for (int i = 0; i < 3; ++i) add(tally, {EventKind::flow_start, "192.0.2.1", 443});
    for (int i = 0; i < 200; ++i) add(tally, {EventKind::flow_start, "203.0.113." + std::to_string(i % 20), 443});
    add(tally, {EventKind::flow_denied, "192.0.2.1", 22});  // denied by both
    const auto effect = tally.take();
    EXPECT_EQ(effect.flows, 204U);
    EXPECT_EQ(effect.changed, 203U);
    EXPECT_EQ(effect.other_rule, 0U);
    ASSERT_EQ(effect.groups.size(), 1U);
    const FlowGroup& group = effect.groups[0];
    EXPECT_EQ(group.before, (Decision{"web", abi::Verdict::allow}));
    EXPECT_EQ(group.after, (Decision{"web", abi::Verdict::reject}));
    EXPECT_EQ(group.flows, 203U);
    ASSERT_EQ(group.peers.size(), 10U) << "who began most";
    EXPECT_EQ(group.peers[0].flows, 10U);
    EXPECT_EQ(group.flows_left_out, 203U - 100U);
    const PlanPacket& example = group.peers[0].example;
    EXPECT_EQ(example.in_port, "p0");
    EXPECT_EQ(example.from_zone, "outside");
    EXPECT_EQ(example.to_zone, "inside");
    EXPECT_EQ(example.dport_or_icmp, 443U);
    EXPECT_EQ(example.src, group.peers[0].src);
}

TEST(FlowEffect, TheSameVerdictByAnotherRuleIsCountedApart) {
    const Policy before = world().rule(web(Action::allow)).build();
    auto renamed = web(Action::allow);
    renamed.id = "shop";
    const Policy after = world().rule(renamed).build();
    const test::CompiledTables was{before}, is{after};
    FlowTally tally{{&before, &was.view()}, {&after, &is.view()}, kWires};
    add(tally, {EventKind::flow_start, "192.0.2.1", 443});
    add(tally, {EventKind::flow_start, "192.0.2.1", 80});
    const auto effect = tally.take();
    EXPECT_EQ(effect.changed, 0U);
    EXPECT_EQ(effect.other_rule, 1U);
    EXPECT_TRUE(effect.groups.empty());
}

TEST(FlowEffect, AFlowThatWasLoggedTwiceCountsOnce) {
    Pair pair;
    auto tally = pair.tally();
    add(tally, {EventKind::flow_end, "192.0.2.1", 443, 95, 40});  // began before anything that was read
    add(tally, {EventKind::flow_start, "192.0.2.1", 443, 100});
    add(tally, {EventKind::flow_end, "192.0.2.1", 443, 101, 100});  // the end of the one before
    add(tally, {EventKind::flow_start, "192.0.2.2", 443, 102});
    add(tally, {EventKind::flow_end, "192.0.2.2", 443, 110, 102});
    EXPECT_EQ(tally.take().flows, 3U);
    auto ends = pair.tally();  // a rule that logs ends alone
    for (int i = 0; i < 5; ++i) add(ends, {EventKind::flow_end, "192.0.2.1", 443, 200 + i, 200});
    EXPECT_EQ(ends.take().flows, 5U);
}

TEST(FlowEffect, WhatNoRuleDecidedIsNoFlow) {
    Pair pair;
    auto tally = pair.tally();
    for (const auto kind : {EventKind::drop, EventKind::observed, EventKind::seq_check, EventKind::limited,
                            EventKind::flow_kept, EventKind::syn_cookie})
        add(tally, {kind, "192.0.2.1", 443});
    EXPECT_EQ(tally.take().flows, 0U);
}

TEST(FlowEffect, WhatBecomesOfLiveFlowsIsWhatTheRuleSays) {
    for (const auto on_change : {abi::OnChange::reevaluate, abi::OnChange::keep, abi::OnChange::kill}) {
        Pair pair;
        pair.after.on_change = on_change;
        const test::CompiledTables is{pair.after};
        FlowTally tally{{&pair.before, &pair.tables_before.view()}, {&pair.after, &is.view()}, kWires};
        abi::FlowRecord live{.src = test::address("192.0.2.1"), .dst = test::address("198.51.100.80")};
        live.family = abi::IpFamily::v4;
        live.proto = abi::L4Proto::tcp;
        live.dport = abi::L4Port::of_host(443);
        tally.add(live, "outside", "inside");
        live.kept = 1;  // without rights already
        tally.add(live, "outside", "inside");
        live.kept = 0;
        live.state = abi::FlowState::killed;
        tally.add(live, "outside", "inside");
        const auto effect = tally.take();
        EXPECT_EQ(effect.flows, 1U);
        EXPECT_EQ(effect.kept, on_change == abi::OnChange::keep ? 1U : 0U);
        EXPECT_EQ(effect.ended, on_change == abi::OnChange::reevaluate ? 1U : 0U);
        EXPECT_EQ(effect.answered, on_change == abi::OnChange::kill ? 1U : 0U);
        ASSERT_EQ(effect.groups.size(), 1U);
        EXPECT_EQ(effect.groups[0].on_change, on_change);
    }
}

TEST(FlowEffect, MoreSourcesThanThereIsRoomForAreCountedAllTheSame) {
    Pair pair;
    auto tally = pair.tally();
    constexpr std::uint32_t kSources = 70'000;
    Written flow{EventKind::flow_start, "192.0.2.1", 443};
    for (std::uint32_t i = 0; i < kSources; ++i) {
        flow.record.src = abi::IpAddr::of_v4(abi::Ipv4Addr::of_host(0x0a000000 + i));
        add(tally, flow);
    }
    const auto effect = tally.take();
    EXPECT_EQ(effect.changed, kSources);
    ASSERT_EQ(effect.groups.size(), 1U);
    EXPECT_EQ(effect.groups[0].flows, kSources);
    EXPECT_EQ(effect.groups[0].flows_left_out, kSources - 10U);
}

TEST(FlowEffect, RandomFlowsAreWhatBothTablesSayOneByOne) {
    std::mt19937_64 random{test::seed_of_this_run()};
    Pair pair;
    auto tally = pair.tally();
    std::uint64_t changed = 0;
    for (int i = 0; i < 5000; ++i) {
        Written flow{EventKind::flow_start, "192.0.2." + std::to_string(random() % 250),
                     static_cast<std::uint16_t>(random() % 2 == 0 ? 443 : 444)};
        if (random() % 2 == 0) flow.record.dst = test::address("198.51.100.81");
        if (random() % 4 == 0) {
            flow.context.from_zone = "inside";
            flow.context.to_zone = "outside";
            flow.context.in_port = "p1";
        }
        const std::uint16_t from = flow.context.in_port == "p0" ? 0 : 1;
        dp::LookupKey key{.src = flow.record.src,
                          .dst = flow.record.dst,
                          .from = abi::ZoneId{from},
                          .to = abi::ZoneId{static_cast<std::uint16_t>(1 - from)},
                          .dport_or_icmp = flow.record.dport,
                          .family = abi::IpFamily::v4,
                          .proto = abi::L4Proto::tcp};
        const auto verdict = [&](const test::CompiledTables& tables) {
            return tables.view().rules[tables.lookup(key).rule].verdict;
        };
        changed += verdict(pair.tables_before) != verdict(pair.tables_after) ? 1 : 0;
        add(tally, flow);
    }
    const auto effect = tally.take();
    EXPECT_EQ(effect.flows, 5000U);
    EXPECT_EQ(effect.changed, changed);
    EXPECT_GT(changed, 0U);
}

TEST(FlowPlaces, ZonesOfAnotherNameAreFoundByTheirPorts) {
    const Policy before = world().build();
    test::PolicyBuilder other;
    other.zone("wan", {"p0"}).zone("lan", {"p1"});
    const Policy after = other.build();
    FlowPlaces places{before, after, kWires};
    const auto* by_all = places.of("p0", "outside", "inside");
    ASSERT_NE(by_all, nullptr);
    EXPECT_EQ(by_all->from_after, abi::ZoneId{0});
    EXPECT_EQ(by_all->in_port, "p0");
    const auto* by_names = places.of("", "inside", "outside");
    ASSERT_NE(by_names, nullptr);
    EXPECT_EQ(by_names->from_after, abi::ZoneId{1});
    EXPECT_EQ(by_names->in_port, "p1");
    const auto* by_port = places.of("p1", "some", "thing");  // zones had other names when it was recorded
    ASSERT_NE(by_port, nullptr);
    EXPECT_EQ(by_port->from_before, abi::ZoneId{1});
    EXPECT_EQ(places.of("p9", "some", "thing"), nullptr);
}

TEST(FlowPlaces, OfTwoPlacesNeitherIsTaken) {
    test::PolicyBuilder was, is;
    was.zone("outside", {"p0", "p2"}).zone("inside", {"p1", "p3"});
    is.zone("outside", {"p0"}).zone("guests", {"p2"}).zone("inside", {"p1", "p3"});
    const Policy before = was.build(), after = is.build();
    FlowPlaces places{before, after, {{{"p0", "p1"}, {"p2", "p3"}}}};
    EXPECT_EQ(places.of("", "outside", "inside"), nullptr) << "it may be a guest";
    const auto* guest = places.of("p2", "outside", "inside");
    ASSERT_NE(guest, nullptr);
    EXPECT_EQ(guest->from_after, abi::ZoneId{1});
}

}  // namespace
}  // namespace sluice::cp
