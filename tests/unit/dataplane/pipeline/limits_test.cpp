// `limits:` of rules, sources and zones, as packets meet them (CASES X3). What the policy's words become is tested with
// the reader; here the counts: exact, given back by every way a flow can end, kept when policies are switched.
#include "dataplane/pipeline/limits.hpp"

#include <map>
#include <random>

#include <gtest/gtest.h>

#include "tests/harness/seed.hpp"
#include "tests/unit/dataplane/pipeline/edge.hpp"

namespace sluice::test {
namespace {

using abi::DropReason;
using namespace std::chrono_literals;

cp::Policy limited(const abi::RuleLimits& limits, const std::string& id = "in", abi::RuleLog log = abi::RuleLog::none) {
    PolicyBuilder p;
    p.zone("outside", {"p0"}).zone("inside", {"p1"});
    p.rule({.id = id, .from = {"outside"}, .to = {"inside"}, .action = cp::Action::allow, .log = log});
    p.rule({.id = "out", .from = {"inside"}, .to = {"outside"}, .action = cp::Action::allow});
    cp::Policy policy = p.build();
    policy.rules[0].limits = limits;
    return policy;
}

std::string udp(Harness& h, const std::string& src, std::uint16_t sport) {
    return h.fate(kOutside, frame(Ipv4{.src = src}, Udp{.sport = sport, .dport = 443}));
}

TEST(Limits, X3_StatesPerSourceAreExactAndOtherSourcesGoOn) {
    Harness h;
    h.use(limited({.states_per_source_max = 3}));
    for (std::uint16_t n = 0; n < 3; ++n) {
        EXPECT_EQ(udp(h, "198.51.100.7", static_cast<std::uint16_t>(1000 + n)), "forward");
    }
    EXPECT_EQ(udp(h, "198.51.100.7", 2000), "src_limit");
    EXPECT_EQ(udp(h, "198.51.100.7", 1001), "forward") << "flows that are there are not asked";
    EXPECT_EQ(udp(h, "198.51.100.8", 2000), "forward");
    EXPECT_EQ(h.counters().sources.read(), 2U);
    h.advance(31s);
    EXPECT_EQ(h.flows(), 0U);
    EXPECT_EQ(h.counters().sources.read(), 0U);
    EXPECT_EQ(udp(h, "198.51.100.7", 2000), "forward");
}

TEST(Limits, AnIPv6SourceIsItsSlash64) {
    Harness h;
    h.use(limited({.states_per_source_max = 1}));
    const auto from = [&](const char* src) {
        return h.fate(kOutside, frame(Ipv6{.src = src}, Udp{.sport = 1000, .dport = 443}));
    };
    EXPECT_EQ(from("2001:db8:51:1::7"), "forward");
    EXPECT_EQ(from("2001:db8:51:1:ffff::8"), "src_limit");
    EXPECT_EQ(from("2001:db8:51:2::7"), "forward");
}

TEST(Limits, StatesOfARuleAndTheEventThatNamesIt) {
    Harness h;
    h.use(limited({.states_max = 2}));
    EXPECT_EQ(udp(h, "198.51.100.7", 1), "forward");
    EXPECT_EQ(udp(h, "198.51.100.8", 1), "forward");
    EXPECT_TRUE(h.events().empty());
    EXPECT_EQ(udp(h, "198.51.100.9", 1), "rule_limit");
    const auto events = h.events();
    ASSERT_EQ(events.size(), 1U);
    EXPECT_EQ(events[0].kind, abi::EventKind::limited);
    EXPECT_EQ(events[0].drop, DropReason::rule_limit);
    EXPECT_EQ(events[0].slot, abi::kSlotFirstFree);
    EXPECT_EQ(events[0].verdict, abi::Verdict::allow);
    EXPECT_EQ(h.rule("in").hits.read(), 3U) << "the rule has decided all three";
    EXPECT_EQ(h.fate(kInside, frame(out<Ipv4>(), Udp{.sport = 9, .dport = 9})), "forward") << "another rule's";
}

TEST(Limits, RatesOfARuleAndOfASource) {
    Harness h;
    h.use(limited({.new_per_second_max = 5, .new_per_second_per_source_max = 2}));
    EXPECT_EQ(udp(h, "198.51.100.7", 1), "forward");
    EXPECT_EQ(udp(h, "198.51.100.7", 2), "forward");
    EXPECT_EQ(udp(h, "198.51.100.7", 3), "rate_limit");
    EXPECT_EQ(udp(h, "198.51.100.7", 2), "forward");
    EXPECT_EQ(udp(h, "198.51.100.8", 1), "forward");
    EXPECT_EQ(udp(h, "198.51.100.8", 2), "forward");
    EXPECT_EQ(udp(h, "198.51.100.9", 1), "forward");
    EXPECT_EQ(udp(h, "198.51.100.9", 2), "rate_limit") << "the rule's five";
    h.advance(200ms);
    EXPECT_EQ(udp(h, "198.51.100.9", 2), "forward") << "a fifth of a second: one for the rule";
    EXPECT_EQ(udp(h, "198.51.100.10", 1), "rate_limit");
    h.advance(1s);
    EXPECT_EQ(udp(h, "198.51.100.7", 3), "forward");
    EXPECT_EQ(udp(h, "198.51.100.7", 4), "forward");
    EXPECT_EQ(udp(h, "198.51.100.7", 5), "rate_limit");
}

TEST(Limits, AZoneCountsWhatArrivesThereWhateverTheRule) {
    Harness h;
    cp::Policy policy = edge().build();
    policy.zones[0].limits = {.states_max = 3, .new_per_second_max = 2};
    h.use(policy);
    EXPECT_EQ(udp(h, "198.51.100.7", 1), "forward");
    EXPECT_EQ(h.fate(kOutside, frame(Ipv4{}, Icmp{})), "forward");
    EXPECT_EQ(udp(h, "198.51.100.7", 2), "zone_limit") << "the rate";
    h.advance(1s);
    EXPECT_EQ(udp(h, "198.51.100.7", 2), "forward");
    EXPECT_EQ(udp(h, "198.51.100.7", 3), "zone_limit") << "the flows";
    EXPECT_EQ(h.fate(kInside, frame(out<Ipv4>(), Udp{.sport = 9, .dport = 9})), "forward") << "the other zone's";
    h.advance(31s);
    EXPECT_EQ(udp(h, "198.51.100.7", 3), "forward") << "the web flows have ended";
}

TEST(Limits, EveryEndGivesBack) {
    Harness h{{.flow_entries_max = 8}};  // two half-open ones
    const abi::RuleLimits one{.states_max = 1, .states_per_source_max = 1};
    h.use(limited(one));
    connect<Ipv4>(h);
    EXPECT_EQ(udp(h, "198.51.100.7", 1), "rule_limit");
    // Reused: the SYN over a reset connection ends one flow and makes another.
    EXPECT_EQ(h.fate(kOutside, frame(Ipv4{}, tcp_in(kRst, 1001))), "forward");
    EXPECT_EQ(h.fate(kOutside, frame(Ipv4{}, tcp_in(kSyn, 900'000))), "forward");
    EXPECT_EQ(udp(h, "198.51.100.7", 1), "rule_limit");
    // Evicted by flows of another rule.
    for (std::uint16_t n = 1; n <= 2; ++n) {
        EXPECT_EQ(h.fate(kInside, frame(out<Ipv4>(), Udp{.sport = n, .dport = 9})), "forward");
    }
    EXPECT_EQ(h.counters().syn_early_drop.read(), 1U);
    EXPECT_EQ(udp(h, "198.51.100.7", 1), "forward");
    // Ended by a policy that denies it.
    PolicyBuilder none;
    none.zone("outside", {"p0"}).zone("inside", {"p1"});
    h.use(none.build());
    EXPECT_EQ(udp(h, "198.51.100.7", 1), "policy_deny");
    h.use(limited(one));
    EXPECT_EQ(udp(h, "198.51.100.7", 2), "forward");
    h.advance(31s);
    EXPECT_EQ(h.counters().sources.read(), 0U);
    EXPECT_EQ(udp(h, "198.51.100.7", 3), "forward");
}

TEST(Limits, CountsFollowTheRuleAcrossPolicies) {
    Harness h;
    h.use(limited({}));
    for (std::uint16_t n = 1; n <= 3; ++n) EXPECT_EQ(udp(h, "198.51.100.7", n), "forward");
    // A limit that comes later counts what is there: by rule at once, by source as flows show themselves.
    h.use(limited({.states_max = 4, .states_per_source_max = 3}));
    for (std::uint16_t n = 1; n <= 3; ++n) EXPECT_EQ(udp(h, "198.51.100.7", n), "forward");
    EXPECT_EQ(udp(h, "198.51.100.7", 4), "src_limit");
    EXPECT_EQ(udp(h, "198.51.100.8", 1), "forward");
    EXPECT_EQ(udp(h, "198.51.100.9", 1), "rule_limit");
    // The same rule, other limits: nothing is forgotten.
    h.use(limited({.states_per_source_max = 3}));
    EXPECT_EQ(udp(h, "198.51.100.7", 4), "src_limit");
    // Another rule takes the flows over, one by one, and refuses none of them.
    h.use(limited({.states_per_source_max = 2}, "other"));
    for (std::uint16_t n = 1; n <= 3; ++n) EXPECT_EQ(udp(h, "198.51.100.7", n), "forward") << n;
    EXPECT_EQ(udp(h, "198.51.100.7", 4), "src_limit");
    h.use(limited({}, "other"));
    EXPECT_EQ(udp(h, "198.51.100.7", 4), "forward");
    for (std::uint16_t n = 1; n <= 3; ++n) EXPECT_EQ(udp(h, "198.51.100.7", n), "forward");
    EXPECT_EQ(udp(h, "198.51.100.8", 1), "forward");
    EXPECT_EQ(h.counters().sources.read(), 0U) << "no limit by source, nothing counted";
}

void close_by_reset(Harness& h) {
    connect<Ipv4>(h);
    ASSERT_EQ(h.fate(kOutside, frame(Ipv4{}, tcp_in(kRst, 1001))), "forward");
}

// D3: what a limit refuses can't make us forget an ended flow either.
TEST(Limits, D3_ASynThatALimitRefusesLeavesTheEndedFlowAlone) {
    Harness h;
    h.use(limited({.new_per_second_max = 1}, "in", abi::RuleLog::both));
    close_by_reset(h);
    (void)h.events();
    EXPECT_EQ(h.fate(kOutside, frame(Ipv4{}, tcp_in(kSyn, 900'000))), "rate_limit");
    const auto flows = h.dump();
    ASSERT_EQ(flows.size(), 1U);
    EXPECT_EQ(flows[0].state, abi::FlowState::closed);
    EXPECT_EQ(h.fate(kOutside, frame(Ipv4{}, tcp_in(kAck, 1001, 5001))), "tcp_closed") << "and not tcp_no_flow";
    EXPECT_EQ(h.counters().flow_reopen.read(), 0U);
    for (const auto& event : h.events()) EXPECT_NE(event.kind, abi::EventKind::flow_end);
    h.advance(1s);
    EXPECT_EQ(h.fate(kOutside, frame(Ipv4{}, tcp_in(kSyn, 900'000))), "forward");
    EXPECT_EQ(h.counters().flow_reopen.read(), 1U);
    EXPECT_EQ(h.flows(), 1U);
}

// What is reopened takes the ended flow's place in each count, and in no count that was not its own.
TEST(Limits, AReopenedFlowTakesThePlaceOfTheEndedOne) {
    const std::pair<const char*, abi::RuleLimits> cases[] = {{"rule", {.states_max = 1}},
                                                             {"source", {.states_per_source_max = 1}}};
    for (const auto& [what, limits] : cases) {
        SCOPED_TRACE(what);
        Harness h;
        cp::Policy policy = limited(limits);
        policy.zones[0].limits = {.states_max = 1};
        h.use(policy);
        close_by_reset(h);
        EXPECT_NE(udp(h, "198.51.100.7", 1), "forward");
        EXPECT_EQ(h.fate(kOutside, frame(Ipv4{}, tcp_in(kSyn, 900'000))), "forward");
        EXPECT_EQ(h.flows(), 1U);
        EXPECT_NE(udp(h, "198.51.100.7", 1), "forward");
    }
    Harness h;
    h.use(limited({}));
    close_by_reset(h);
    EXPECT_EQ(udp(h, "198.51.100.7", 1), "forward");
    EXPECT_EQ(udp(h, "198.51.100.7", 2), "forward");
    h.use(limited({.states_max = 1}));  // three stand there
    EXPECT_EQ(h.fate(kOutside, frame(Ipv4{}, tcp_in(kSyn, 900'000))), "rule_limit");
    EXPECT_EQ(h.flows(), 3U);
}

/// A limit that cannot be counted is no hole: who finds no place is refused, under a name of its own.
TEST(Limits, AFullTableOfSourcesRefusesTheNext) {
    Harness h{{.flow_entries_max = 2048}};  // room for 1,024 sources, and 512 half-open flows
    h.use(limited({.states_per_source_max = 5}));
    std::uint32_t forwarded = 0, refused = 0;
    for (std::uint32_t n = 0; n < 1500; ++n) {
        const Ipv4 in{.src = "203.0." + std::to_string(113 + n / 250) + "." + std::to_string(1 + n % 250)};
        const Ipv4 back{.src = in.dst, .dst = in.src};
        const std::string fate = h.fate(kOutside, frame(in, Udp{.sport = 7, .dport = 443}));
        if (fate == "forward") {
            ++forwarded;
            ASSERT_EQ(h.fate(kInside, frame(back, Udp{.sport = 443, .dport = 7})), "forward");
        } else {
            ASSERT_EQ(fate, "src_table_full");
            ++refused;
        }
        (void)h.events();
    }
    EXPECT_EQ(h.counters().sources.read(), forwarded);
    EXPECT_LE(forwarded, 1024U);
    EXPECT_GE(forwarded, 950U);
    EXPECT_EQ(h.drops(DropReason::src_table_full), refused);
    EXPECT_EQ(h.fate(kInside, frame(out<Ipv4>(), Udp{.sport = 9, .dport = 9})), "forward")
        << "rules without such a limit";
}

TEST(IcmpErrors, I12_AtMostAHundredASecondAboutOneFlowAndAnothersGoOn) {
    Harness h;
    h.use(edge().build());
    const auto ask = [](std::uint16_t sport) { return Udp{.sport = sport, .dport = 53}; };
    const auto error = [&](std::uint16_t sport) {
        return frame(Ipv4{.src = "203.0.113.1"},
                     Icmp{.type = 3, .code = 1, .id = 0, .seq = 0, .payload = datagram(out<Ipv4>(), ask(sport))});
    };
    for (const std::uint16_t sport : {std::uint16_t{1001}, std::uint16_t{1002}}) {
        EXPECT_EQ(h.fate(kInside, frame(out<Ipv4>(), ask(sport))), "forward");
    }
    std::uint32_t passed = 0, limited = 0;
    for (int n = 0; n < 10'000; ++n) {  // in one second
        if (n % 10 == 0) h.advance(1ms);
        const std::string fate = h.fate(kOutside, error(1001));
        passed += fate == "forward" ? 1 : 0;
        limited += fate == "icmp_ratelimit" ? 1 : 0;
    }
    EXPECT_LE(passed, 100U);
    EXPECT_GE(passed, 90U);
    EXPECT_EQ(passed + limited, 10'000U);
    EXPECT_EQ(h.fate(kOutside, error(1002)), "forward");
    h.advance(250ms);
    EXPECT_EQ(h.fate(kOutside, error(1001)), "forward");
}

// ------------------------------------------------------------------------------ the class itself, beside plain counts
TEST(LimitsShare, X3_IsRoundedUpForEachWorker) {
    for (const auto& [workers, limit, share] : {std::tuple{1U, 7U, 7U}, {2U, 7U, 4U}, {4U, 8U, 2U}, {4U, 1U, 1U}}) {
        dp::Limits limits{{.worker_count = workers, .rule_slots = 32, .sources_max = 16, .hash_secret = {1, 2}}};
        const abi::RuleLimits of_rule{.states_max = limit};
        const dp::CountedFlow flow{
            .slot = abi::kSlotFirstFree, .family = abi::IpFamily::v4, .source = {}, .in_port = 0};
        std::uint32_t made = 0;
        while (!limits.refusal(flow, of_rule, 0) && made < 100) {
            (void)limits.started(flow, of_rule, 0);
            ++made;
        }
        EXPECT_EQ(made, share) << limit << " over " << workers;
    }
}

TEST(LimitsRandom, AgreeWithPlainCounts) {
    SCOPED_TRACE(seed_line());
    std::mt19937 random{seed_of_this_run()};
    dp::Limits limits{{.worker_count = 1, .rule_slots = 32, .sources_max = 4096, .hash_secret = {1, 2}}};
    struct Live {
        dp::CountedFlow flow;
        bool source_counted;
    };
    std::vector<Live> live;
    std::array<abi::RuleLimits, 4> of_rule{};
    const auto count = [&](auto&& same) {
        return static_cast<std::uint32_t>(std::count_if(live.begin(), live.end(), same));
    };
    const auto pick = [&](std::uint32_t below) { return static_cast<std::uint32_t>(random() % below); };
    for (int step = 0; step < 20'000; ++step) {
        const std::uint32_t which = pick(4);
        dp::CountedFlow flow{.slot = abi::RuleSlot{16 + which},
                             .family = abi::IpFamily::v4,
                             .source = abi::IpAddr::of_v4(abi::Ipv4Addr::of_host(pick(6))),
                             .in_port = static_cast<std::uint8_t>(pick(2))};
        switch (pick(5)) {
            case 0:  // other limits
                of_rule[which] = {};
                if (pick(2) == 0) of_rule[which].states_max = 1 + pick(20);
                if (pick(2) == 0) of_rule[which].states_per_source_max = 1 + pick(5);
                break;
            case 1:  // an end
                if (live.empty()) break;
                std::swap(live[random() % live.size()], live.back());
                limits.ended(live.back().flow, live.back().source_counted);
                live.pop_back();
                break;
            case 2: {  // judged again
                if (live.empty()) break;
                Live& one = live[random() % live.size()];
                const abi::RuleSlot from = one.flow.slot;
                one.flow.slot = flow.slot;
                one.source_counted = limits.moved(one.flow, from, one.source_counted, of_rule[which], 0);
                EXPECT_EQ(one.source_counted, of_rule[which].by_source());
                break;
            }
            default: {
                const std::uint32_t states = count([&](const Live& l) { return l.flow.slot == flow.slot; });
                const std::uint32_t by_source = count([&](const Live& l) {
                    return l.source_counted && l.flow.slot == flow.slot && l.flow.source == flow.source;
                });
                const abi::RuleLimits& r = of_rule[which];
                std::optional<DropReason> expected;
                if (r.states_per_source_max != 0 && by_source >= r.states_per_source_max)
                    expected = DropReason::src_limit;
                if (r.states_max != 0 && states >= r.states_max) expected = DropReason::rule_limit;
                ASSERT_EQ(limits.refusal(flow, r, 0), expected) << "step " << step;
                if (expected || live.size() == 60) break;
                live.push_back({flow, limits.started(flow, r, 0)});
            }
        }
    }
    for (const Live& one : live) limits.ended(one.flow, one.source_counted);
    EXPECT_EQ(limits.sources(), 0U);
}

}  // namespace
}  // namespace sluice::test
