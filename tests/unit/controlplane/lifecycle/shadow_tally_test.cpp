/// What is counted about a candidate, without a dataplane: events go in, a report comes out.
#include "controlplane/lifecycle/shadow_tally.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "controlplane/lifecycle/shadow_judge.hpp"

namespace sluice::cp {
namespace {

using abi::Verdict;

constexpr abi::RuleSlot kWebSlot{7}, kOtherSlot{8};
const WireHint kWires{.wires = {{"outside", "inside"}}};

PreparedPtr candidate(const std::string& rules, const std::string& more = "") {
    const std::string text =
        "sluice: 1\nname: next\ndefault: {action: deny}\n"
        "zones:\n  wan: {ports: [outside]}\n  lan: {ports: [inside]}\n" +
        more + "rules:\n" + rules;
    auto source = read_source(text, PolicyFormat::yaml, {.wires = &kWires});
    if (!source) {
        ADD_FAILURE() << source.error().front().detail;
        return nullptr;
    }
    SlotMap slots;
    auto prepared = prepare(std::move(*source), slots, 1);
    EXPECT_TRUE(prepared) << prepared.error().detail;
    return prepared ? *prepared : nullptr;
}

abi::IpAddr address(std::uint32_t host) { return abi::IpAddr::of_v4(abi::Ipv4Addr::of_host(host)); }

RingEvent decided(Verdict verdict, std::uint16_t dport, abi::RuleSlot slot = kWebSlot, std::uint8_t in_port = 0) {
    RingEvent e;
    e.time = abi::MonoTime::now();
    e.kind = abi::EventKind::new_flow;
    e.family = abi::IpFamily::v4;
    e.proto = abi::L4Proto::tcp;
    e.verdict = verdict;
    e.slot = slot;
    e.in_port = in_port;
    e.src = address(0xc6336407);
    e.dst = address(0xc6336450);
    e.sport = abi::L4Port::of_host(40'000);
    e.dport = abi::L4Port::of_host(dport);
    return e;
}

EventBatch batch_of(std::vector<RingEvent> events) {
    auto names = std::make_shared<Names>();
    names->ports = {"outside", "inside", "dmz"};
    auto rules = std::make_shared<SharedList<std::string>>();
    rules->resize(16);
    (*rules)[static_cast<std::size_t>(kWebSlot)] = "web-in";
    (*rules)[static_cast<std::size_t>(kOtherSlot)] = "other";
    names->rules = rules;
    return {.boot_id = 1, .events = std::move(events), .names = names, .clock = {}};
}

class ShadowTallyTest : public testing::Test {
protected:
    ShadowReport asked(ShadowTally& tally, std::vector<RingEvent> events) {
        tally.add(batch_of(std::move(events)));
        ShadowReport report;
        tally.tell(report);
        return report;
    }
    static std::uint64_t count(const ShadowReport& report, Verdict live, Verdict shadow) {
        return report.by_verdict[static_cast<std::size_t>(live)][static_cast<std::size_t>(shadow)];
    }
};

const std::string kAllowWeb = "  - {id: web-in, from: wan, to: lan, service: tcp/443, action: allow}\n";

TEST_F(ShadowTallyTest, CountsByVerdictsAndByPairsOfRules) {
    ShadowTally tally{candidate(kAllowWeb), {}};
    tally.use_wires(kWires);
    const auto report =
        asked(tally, {decided(Verdict::allow, 443), decided(Verdict::allow, 80), decided(Verdict::allow, 80),
                      decided(Verdict::deny, 443, kOtherSlot), decided(Verdict::reject, 22, kOtherSlot)});
    EXPECT_EQ(report.flows, 5U);
    EXPECT_EQ(report.changed, 4U);
    EXPECT_EQ(count(report, Verdict::allow, Verdict::allow), 1U);
    EXPECT_EQ(count(report, Verdict::allow, Verdict::deny), 2U);
    EXPECT_EQ(count(report, Verdict::deny, Verdict::allow), 1U);
    EXPECT_EQ(count(report, Verdict::reject, Verdict::deny), 1U);
    ASSERT_EQ(report.pairs.size(), 3U);
    const auto& most = report.pairs[0];
    EXPECT_EQ(most.flows, 2U);
    EXPECT_EQ(most.live_rule, "web-in");
    EXPECT_EQ(most.live, Verdict::allow);
    EXPECT_EQ(most.shadow_rule, "default");
    EXPECT_EQ(most.shadow, Verdict::deny);
    ASSERT_EQ(most.examples.size(), 2U);
    EXPECT_EQ(most.examples[0].dport, 80U);
    EXPECT_EQ(most.examples[0].in_port, "outside");
    EXPECT_EQ(most.examples[0].from_zone, "wan");
    EXPECT_EQ(most.examples[0].to_zone, "lan");
    EXPECT_EQ(report.flows_left_out, 0U);
}

TEST_F(ShadowTallyTest, TheSameVerdictByAnotherRuleIsNoChange) {
    ShadowTally tally{candidate(kAllowWeb), {}};
    tally.use_wires(kWires);
    const auto report = asked(tally, {decided(Verdict::allow, 443, kOtherSlot), decided(Verdict::allow, 443)});
    EXPECT_EQ(report.changed, 0U);
    EXPECT_EQ(report.other_rule, 1U);
    EXPECT_TRUE(report.pairs.empty());
}

TEST_F(ShadowTallyTest, TheZonesAreTheCandidatesByPortOfArrival) {
    ShadowTally tally{candidate(kAllowWeb), {}};
    tally.use_wires(kWires);
    const auto report = asked(tally, {decided(Verdict::allow, 443, kWebSlot, 1)});
    EXPECT_EQ(count(report, Verdict::allow, Verdict::deny), 1U) << "from lan to wan nothing is allowed";
    EXPECT_EQ(report.pairs.at(0).examples.at(0).from_zone, "lan");
}

TEST_F(ShadowTallyTest, WhatItIsNotAskedAboutIsCountedAsNotSeen) {
    ShadowTally tally{candidate(kAllowWeb), {}};
    EXPECT_EQ(asked(tally, {decided(Verdict::allow, 443)}).unseen.unplaced, 1U) << "no wires are known";
    tally.use_wires(kWires);
    auto sampled = decided(Verdict::allow, 443);
    sampled.suppressed = 40;
    const auto report = asked(tally, {sampled, decided(Verdict::allow, 443, kWebSlot, 2)});
    EXPECT_EQ(report.flows, 1U);
    EXPECT_EQ(report.unseen.sampled, 40U);
    EXPECT_EQ(report.unseen.unplaced, 2U) << "the port dmz has no zone in it";
    EXPECT_EQ(report.unseen.total(), 42U);
}

TEST_F(ShadowTallyTest, OtherEventsAndThoseOfBeforeAreNotItsOwn) {
    ShadowTally tally{candidate(kAllowWeb), abi::MonoTime::now()};
    tally.use_wires(kWires);
    auto start = decided(Verdict::allow, 443);
    start.kind = abi::EventKind::flow_start;
    auto old = decided(Verdict::allow, 443);
    old.time = {1};
    old.suppressed = 9;
    const auto report = asked(tally, {start, old});
    EXPECT_EQ(report.flows, 0U);
    EXPECT_EQ(report.unseen.total(), 0U);
}

TEST_F(ShadowTallyTest, MoreThanABatchOfALookupIsAsked) {
    ShadowTally tally{candidate(kAllowWeb), {}};
    tally.use_wires(kWires);
    std::vector<RingEvent> events;
    for (std::uint16_t i = 0; i < 1000; ++i) events.push_back(decided(Verdict::allow, i % 2 == 0 ? 443 : 80));
    const auto report = asked(tally, std::move(events));
    EXPECT_EQ(report.flows, 1000U);
    EXPECT_EQ(report.changed, 500U);
    EXPECT_EQ(report.pairs.at(0).examples.size(), ShadowTally::kExamplesPerPair);
}

TEST_F(ShadowTallyTest, ExamplesAreTheNewest) {
    ShadowTally tally{candidate(kAllowWeb), {}};
    tally.use_wires(kWires);
    std::vector<RingEvent> events;
    for (std::uint16_t i = 1; i <= 9; ++i) events.push_back(decided(Verdict::allow, i));
    const auto report = asked(tally, std::move(events));
    ASSERT_EQ(report.pairs.at(0).examples.size(), 3U);
    EXPECT_EQ(report.pairs[0].examples[0].dport, 9U);
    EXPECT_EQ(report.pairs[0].examples[2].dport, 7U);
}

// Whatever an attacker sends, and however many rules both policies have: memory is bounded, and the rest is summed.
TEST_F(ShadowTallyTest, PairsBeyondTheCapAreSummed) {
    std::string rules;
    constexpr std::uint16_t kRules = ShadowTally::kPairsMax + 200;
    for (std::uint16_t i = 0; i < kRules; ++i) {
        const auto port = std::to_string(1000 + i);
        rules += "  - {id: r" + port + ", from: wan, to: lan, service: tcp/" + port + ", action: allow}\n";
    }
    ShadowTally tally{candidate(rules), {}};
    tally.use_wires(kWires);
    std::vector<RingEvent> events;
    for (std::uint16_t i = 0; i < kRules; ++i) {
        events.push_back(decided(Verdict::deny, static_cast<std::uint16_t>(1000 + i)));
    }
    events.push_back(decided(Verdict::deny, 1005));
    const auto report = asked(tally, std::move(events));
    EXPECT_EQ(report.changed, kRules + 1U);
    ASSERT_EQ(report.pairs.size(), ShadowTally::kPairsTold);
    EXPECT_EQ(report.pairs[0].shadow_rule, "r1005") << "what came most is told first";
    std::uint64_t told = 0;
    for (const auto& pair : report.pairs) told += pair.flows;
    EXPECT_EQ(told + report.flows_left_out, report.changed);
}

TEST_F(ShadowTallyTest, MembersOfSetsAreAskedFor) {
    const auto policy = candidate("  - {id: no, from: bad, to: lan, action: deny}\n" + kAllowWeb,
                                  "sets:\n  bad: {members: api, max_ips: 10}\n");
    ShadowTally tally{policy, {}};
    tally.use_wires(kWires);
    EXPECT_EQ(asked(tally, {decided(Verdict::allow, 443)}).changed, 0U);
    auto members = std::make_shared<dp::OwnSetTable>(16);
    abi::ChangeSets batch;
    batch.epoch = batch.is_first = 1;
    batch.count = 1;
    batch.changes[0] = {.set = policy->view.sets[0].id,
                        .member = dp::member_around(address(0xc6336407), abi::IpFamily::v4, 32),
                        .op = abi::SetOp::add};
    ASSERT_TRUE((*members)->apply(batch, {}, nullptr, 0));
    tally.use_members(members);
    const auto report = asked(tally, {decided(Verdict::allow, 443)});
    EXPECT_EQ(report.changed, 1U);
    EXPECT_EQ(report.pairs.at(0).shadow_rule, "no");
}

TEST_F(ShadowTallyTest, MembersRunOutWhereTheyStand) {
    const auto policy = candidate("  - {id: no, from: bad, to: lan, action: deny}\n" + kAllowWeb,
                                  "sets:\n  bad: {members: api, max_ips: 10}\n");
    ShadowTally tally{policy, {}};
    tally.use_wires(kWires);
    auto members = std::make_shared<dp::OwnSetTable>(16);
    abi::ChangeSets batch;
    batch.epoch = batch.is_first = 1;
    batch.count = 1;
    constexpr std::uint64_t kUnix = 1'000'000'000'000'000'000, kSecond = 1'000'000'000;
    batch.changes[0] = {.set = policy->view.sets[0].id,
                        .expires_unix_ns = kUnix + kSecond,
                        .member = dp::member_around(address(0xc6336407), abi::IpFamily::v4, 32),
                        .op = abi::SetOp::add};
    // As if it had been read long ago: its second is over by now.
    const abi::MonoTime read{abi::MonoTime::now().ns - 2 * kSecond};
    ASSERT_TRUE((*members)->apply(batch, {read, kUnix}, nullptr, 0));
    EXPECT_EQ((*members)->counts().members, 1U);
    tally.use_members(members);
    EXPECT_EQ(asked(tally, {decided(Verdict::allow, 443)}).changed, 0U);
    EXPECT_EQ((*members)->counts().members, 0U);
}

// --------------------------------------------------------------------------------------------------------- its thread
ShadowJudge::ReadMembers no_members() {
    return [](const Policy&) -> Expected<ShadowJudge::Members, std::string> {
        ADD_FAILURE() << "it has no sets";
        return ShadowJudge::Members{};
    };
}

TEST(ShadowJudge, JudgesWhatWasSubmittedBeforeItStops) {
    ShadowJudge judge{candidate(kAllowWeb), kWires, 5, no_members()};
    for (int i = 0; i < 100; ++i) {
        judge.submit(std::make_shared<const EventBatch>(batch_of({decided(Verdict::allow, 80)})));
    }
    judge.stop();
    const auto report = judge.report(8);
    EXPECT_EQ(report.flows, 100U);
    EXPECT_EQ(report.unseen.lost, 3U) << "since it runs";
    EXPECT_EQ(report.version, "next@" + report.hash.substr(0, 6));
    EXPECT_GT(report.since_ns, 0);
    judge.submit(std::make_shared<const EventBatch>(batch_of({decided(Verdict::allow, 80)})));
    EXPECT_EQ(judge.report(8).flows, 100U);
}

TEST(ShadowJudge, WhatItCannotKeepUpWithIsCounted) {
    std::atomic<bool> go{false};
    const auto slow = [&](const Policy&) -> Expected<ShadowJudge::Members, std::string> {
        while (!go) std::this_thread::sleep_for(std::chrono::milliseconds{1});
        return Unexpected<std::string>("the disk is gone");
    };
    ShadowJudge judge{
        candidate(kAllowWeb, "sets:\n  bad: {members: api, max_ips: 10}\n"), kWires, 0, slow, {.queue_events_max = 10}};
    const auto one =
        std::make_shared<const EventBatch>(batch_of(std::vector<RingEvent>(4, decided(Verdict::allow, 80))));
    for (int i = 0; i < 100; ++i) judge.submit(one);
    EXPECT_GT(judge.report(0).unseen.queue, 0U);
    go = true;
    judge.stop();
    const auto report = judge.report(0);
    EXPECT_EQ(report.flows + report.unseen.queue, 400U) << "nothing is forgotten";
    judge.set_watching(true, {});
    EXPECT_NE(judge.report(0).trouble.find("the disk is gone"), std::string::npos);
}

// However often sets change, and however long it takes to read their members: events are judged meanwhile.
TEST(ShadowJudge, ReadsMembersForATenthOfTheTime) {
    std::atomic<int> reads{0};
    const auto slow = [&](const Policy&) -> Expected<ShadowJudge::Members, std::string> {
        ++reads;
        std::this_thread::sleep_for(std::chrono::milliseconds{30});
        return std::make_shared<dp::OwnSetTable>(16);
    };
    ShadowJudge judge{candidate(kAllowWeb, "sets:\n  bad: {members: api, max_ips: 10}\n"),
                      kWires,
                      0,
                      slow,
                      {.members_every = std::chrono::milliseconds{0}}};
    const auto one = std::make_shared<const EventBatch>(batch_of({decided(Verdict::allow, 80)}));
    const auto begun = std::chrono::steady_clock::now();
    std::chrono::steady_clock::duration took{};
    std::uint64_t told = 0;
    for (; reads < 3 && took < std::chrono::seconds{30}; ++told) {
        judge.members_changed();
        judge.submit(one);
        std::this_thread::sleep_for(std::chrono::milliseconds{5});
        took = std::chrono::steady_clock::now() - begun;
    }
    judge.stop();
    EXPECT_EQ(judge.report(0).flows, told);
    EXPECT_GE(reads, 3) << "they are followed";
    EXPECT_LE(reads, 2 + took / std::chrono::milliseconds{300});
}

TEST(ShadowJudge, SaysForHowLongNobodyToldIt) {
    ShadowJudge judge{candidate(kAllowWeb), kWires, 0, no_members()};
    std::this_thread::sleep_for(std::chrono::milliseconds{20});
    EXPECT_FALSE(judge.report(0).watching);
    EXPECT_FALSE(judge.report(0).trouble.empty());
    judge.set_watching(true, {});
    const auto then = judge.report(0).unwatched_ms;
    EXPECT_GE(then, 20U);
    std::this_thread::sleep_for(std::chrono::milliseconds{20});
    EXPECT_EQ(judge.report(0).unwatched_ms, then);
    EXPECT_EQ(judge.report(0).trouble, "");
    judge.set_watching(false, "the dataplane is not there");
    std::this_thread::sleep_for(std::chrono::milliseconds{5});
    EXPECT_GE(judge.report(0).unwatched_ms, then + 5);
    EXPECT_EQ(judge.report(0).trouble, "the dataplane is not there");
}

}  // namespace
}  // namespace sluice::cp
