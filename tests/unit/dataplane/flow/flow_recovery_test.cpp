#include "dataplane/flow/flow_recovery.hpp"

#include <functional>
#include <map>
#include <random>
#include <string>

#include <gtest/gtest.h>

#include "tests/harness/seed.hpp"
#include "tests/unit/dataplane/flow/slab_memory.hpp"

namespace sluice::dp::test {
namespace {

using abi::FlowLoss;

std::uint64_t lost(const FlowTable& t, FlowLoss why) { return t.recovered().lost[static_cast<std::size_t>(why)]; }

/// Every place can be used, and used again: free lists and index hold what the slab says.
void expect_all_room(FlowTable& t, std::uint32_t entries, std::uint32_t lines) {
    std::uint32_t v6 = 0;
    for (std::uint32_t i = 0; i < entries; ++i) {
        if (t.next_live(i, i + 1) == i && t.hot(FlowHandle{i}).has(flow_flag::v6)) ++v6;
    }
    std::uint32_t n = 1'000'000;
    for (std::uint32_t i = v6; i < lines && t.count() < entries; ++i) ASSERT_NE(add(t, v6_key(n++)), kNoFlow);
    while (t.count() < entries) ASSERT_NE(add(t, v4_key(n++)), kNoFlow);
    ASSERT_EQ(add(t, v4_key(n++)), kNoFlow);
    for (std::uint32_t i = 0; i < entries; ++i) t.erase(FlowHandle{i});
    ASSERT_EQ(t.count(), 0U);
}

TEST(FlowRecovery, FindsWhatAnEarlierTableLeft) {
    constexpr std::uint32_t kEntries = 2'000, kLines = 1'000;
    SCOPED_TRACE(sluice::test::seed_line());
    std::mt19937_64 random{sluice::test::seed_of_this_run()};
    SlabMemory memory{kEntries, kLines};
    std::map<std::uint32_t, std::uint32_t> v4, v6;  // key number -> mark
    {
        FlowTable t{memory.config()};
        for (int step = 0; step < 20'000; ++step) {
            const auto n = static_cast<std::uint32_t>(random() % 1'400);
            const auto mark = static_cast<std::uint32_t>(random() % 1'000'000);
            const bool is_v6 = random() % 2 == 0;
            auto& model = is_v6 ? v6 : v4;
            if (const auto held = model.find(n); held != model.end()) {
                t.erase(is_v6 ? find(t, v6_key(n)) : find(t, v4_key(n)));
                model.erase(held);
            } else if ((is_v6 ? add(t, v6_key(n), 50, mark) : add(t, v4_key(n), 50, mark)) != kNoFlow) {
                model[n] = mark;
            }
        }
    }
    FlowTable t{memory.config({.now_tick = 60, .rule_slots = 100}, {77, 88})};  // another secret
    EXPECT_EQ(t.recovered().kept, v4.size() + v6.size());
    EXPECT_EQ(t.recovered().lost_total(), 0U);
    EXPECT_EQ(t.count(), v4.size() + v6.size());
    const auto expect_as_left = [&](FlowHandle h, std::uint32_t mark) {
        ASSERT_NE(h, kNoFlow);
        EXPECT_EQ(t.hot(h).seq_end[0], mark);
        EXPECT_EQ(t.hot(h).last_seen_tick, 50U);
        EXPECT_EQ(t.hot(h).policy_seq, 0U) << "judged by nobody that this process knows";
        EXPECT_EQ(t.cold(h).started_tick, 50U);
    };
    for (const auto& [n, mark] : v4) expect_as_left(find(t, v4_key(n)), mark);
    for (const auto& [n, mark] : v6) {
        expect_as_left(find(t, v6_key(n)), mark);
        EXPECT_EQ(t.key_v6(find(t, v6_key(n))), v6_key(n));
    }
    expect_all_room(t, kEntries, kLines);
}

TEST(FlowRecovery, DeadlinesGoOnFromWhatWasSeenLast) {
    SlabMemory memory{64, 8};
    {
        FlowTable t{memory.config()};
        ASSERT_NE(add(t, v6_key(1), 1'000), kNoFlow);
        ASSERT_NE(add(t, v4_key(1), 1'000), kNoFlow);
    }
    FlowTable t{memory.config({.now_tick = 5'000})};
    const std::uint32_t over = 1'000 + TimeoutTable{}[FlowPhase::udp_stream];
    std::array<FlowHandle, 8> out;
    for (std::uint32_t now = 5'000; now < over; now += 20) ASSERT_EQ(t.collect_expired(now, out), 0U) << now;
    std::size_t found = 0;
    for (std::uint32_t now = over; now < over + 50 && found == 0; ++now) found = t.collect_expired(now, out);
    ASSERT_EQ(found, 1U);
    EXPECT_EQ(out[0], find(t, v6_key(1)));
}

struct Damage {
    const char* what;
    std::function<void(FlowHot&, FlowV6Line&)> hit;
    FlowLoss loss;
    bool v6{};
};

TEST(FlowRecovery, EachEntryThatMakesNoSenseIsDroppedAndCounted) {
    const Damage damages[] = {
        {"no phase", [](FlowHot& e, FlowV6Line&) { e.phase = FlowPhase{kFlowPhaseCount}; }, FlowLoss::damaged},
        {"last phase of all", [](FlowHot& e, FlowV6Line&) { e.phase = FlowPhase{255}; }, FlowLoss::damaged},
        {"UDP's phase", [](FlowHot& e, FlowV6Line&) { e.phase = FlowPhase::udp_stream; }, FlowLoss::damaged},
        {"TCP's phase", [](FlowHot& e, FlowV6Line&) { e.v4.proto = abi::L4Proto::udp; }, FlowLoss::damaged},
        {"swapped ends", [](FlowHot& e, FlowV6Line&) { std::swap(e.v4.low_addr, e.v4.high_addr); }, FlowLoss::damaged},
        {"swapped ports of one end",
         [](FlowHot& e, FlowV6Line&) {
             e.v4.high_addr = e.v4.low_addr;
             e.v4.low_port = abi::L4Port::of_host(2);
             e.v4.high_port = abi::L4Port::of_host(1);
         },
         FlowLoss::damaged},
        {"asker", [](FlowHot& e, FlowV6Line&) { e.v4.asker = Asker::low_asks; }, FlowLoss::damaged},
        {"ICMP that nobody asked",
         [](FlowHot& e, FlowV6Line&) {
             e.v4.proto = abi::L4Proto::icmp;
             e.phase = FlowPhase::icmp_oneway;
         },
         FlowLoss::damaged},
        {"no asker",
         [](FlowHot& e, FlowV6Line&) {
             e.v4.proto = abi::L4Proto::icmp;
             e.phase = FlowPhase::icmp_oneway;
             e.v4.asker = Asker{5};
         },
         FlowLoss::damaged},
        {"slot", [](FlowHot& e, FlowV6Line&) { e.set_rule(abi::RuleSlot{100}, {}); }, FlowLoss::damaged},
        {"over and going on",
         [](FlowHot& e, FlowV6Line&) {
             e.set_marked();
             e.set_kept();
         },
         FlowLoss::damaged},
        {"closed by a RST that UDP has not",
         [](FlowHot& e, FlowV6Line&) {
             e.v4.proto = abi::L4Proto::udp;
             e.phase = FlowPhase::closed;
         },
         FlowLoss::damaged},
        {"extension", [](FlowHot& e, FlowV6Line&) { e.extension[1] = 1; }, FlowLoss::damaged},
        {"far ahead", [](FlowHot& e, FlowV6Line&) { e.last_seen_tick = 60 + 101; }, FlowLoss::damaged},
        {"half a circle back", [](FlowHot& e, FlowV6Line&) { e.last_seen_tick = 60 + 0x80000000U; }, FlowLoss::damaged},
        {"no such domain", [](FlowHot& e, FlowV6Line&) { e.v4.domain = FlowDomain{16}; }, FlowLoss::damaged},
        {"no such wire", [](FlowHot& e, FlowV6Line&) { e.v4.domain = FlowDomain{2}; }, FlowLoss::wire},
        {"line behind the end", [](FlowHot& e, FlowV6Line&) { e.v6.line = 8; }, FlowLoss::damaged, true},
        {"line far behind", [](FlowHot& e, FlowV6Line&) { e.v6.line = 0xffffffff; }, FlowLoss::damaged, true},
        {"beside the line's number", [](FlowHot& e, FlowV6Line&) { e.v6.must_be_zero[2] = 1; }, FlowLoss::damaged,
         true},
        {"behind the key", [](FlowHot&, FlowV6Line& l) { l.must_be_zero[5] = 1; }, FlowLoss::damaged, true},
        {"swapped ends, v6", [](FlowHot&, FlowV6Line& l) { std::swap(l.key.low_addr, l.key.high_addr); },
         FlowLoss::damaged, true},
        {"IPv4 as IPv6", [](FlowHot& e, FlowV6Line&) { e.set(flow_flag::v6); }, FlowLoss::damaged},
    };
    for (const Damage& damage : damages) {
        SCOPED_TRACE(damage.what);
        SlabMemory memory{16, 8};
        FlowHandle victim{};
        {
            FlowTable t{memory.config()};
            for (std::uint32_t n = 0; n < 4; ++n) {
                ASSERT_NE(add(t, v4_key(n)), kNoFlow);
                ASSERT_NE(add(t, v6_key(n)), kNoFlow);
            }
            victim = damage.v6 ? find(t, v6_key(2)) : find(t, v4_key(2));
        }
        FlowHot& e = memory.slab().hot[static_cast<std::size_t>(victim)];
        damage.hit(e, memory.slab().v6[damage.v6 && e.v6.line < 8 ? e.v6.line : 0]);
        FlowTable t{memory.config({.now_tick = 60, .rule_slots = 100, .wires = 1})};
        EXPECT_EQ(t.recovered().kept, 7U);
        EXPECT_EQ(lost(t, damage.loss), 1U);
        EXPECT_EQ(t.recovered().lost_total(), 1U);
        EXPECT_EQ(e.phase, FlowPhase::free);
        EXPECT_NE(find(t, v4_key(3)), kNoFlow);
        EXPECT_NE(find(t, v6_key(3)), kNoFlow);
        expect_all_room(t, 16, 8);
    }
}

TEST(FlowRecovery, TwoEntriesCannotShareALineOrAKey) {
    SlabMemory memory{16, 8};
    {
        FlowTable t{memory.config()};
        for (std::uint32_t n = 0; n < 4; ++n) {
            ASSERT_NE(add(t, v4_key(n)), kNoFlow);
            ASSERT_NE(add(t, v6_key(n)), kNoFlow);
        }
        t.hot(find(t, v6_key(3))).v6.line = t.hot(find(t, v6_key(2))).v6.line;
        t.hot(find(t, v4_key(3))).v4 = v4_key(1);
    }
    FlowTable t{memory.config({.now_tick = 60})};
    EXPECT_EQ(t.recovered().kept, 6U);
    EXPECT_EQ(lost(t, FlowLoss::damaged), 2U);
    for (std::uint32_t n = 100; n < 105; ++n) ASSERT_NE(add(t, v6_key(n)), kNoFlow);
    EXPECT_NE(find(t, v6_key(2)), kNoFlow) << "the line of the one that stayed was given to another";
    expect_all_room(t, 16, 8);
}

// The clock that was read last may have been the other process's.
TEST(FlowRecovery, TimesALittleAheadBecomeNow) {
    SlabMemory memory{16, 8};
    {
        FlowTable t{memory.config()};
        ASSERT_NE(add(t, v4_key(1), 160), kNoFlow);
        ASSERT_NE(add(t, v4_key(2), 0xfffffff0U), kNoFlow);  // before the wrap
    }
    FlowTable t{memory.config({.now_tick = 60})};
    ASSERT_EQ(t.recovered().kept, 2U);
    EXPECT_EQ(t.hot(find(t, v4_key(1))).last_seen_tick, 60U);
    EXPECT_EQ(t.cold(find(t, v4_key(1))).started_tick, 60U);
    EXPECT_EQ(t.hot(find(t, v4_key(2))).last_seen_tick, 0xfffffff0U);
}

TEST(FlowRecovery, FlowsGoToATableOfAnotherSizeAndOtherWires) {
    SlabMemory old{32, 16};
    {
        FlowTable t{old.config()};
        for (std::uint32_t n = 0; n < 8; ++n) {
            FlowKeyV4 v4 = v4_key(n);
            FlowKeyV6 v6 = v6_key(n);
            v4.domain = v6.domain = FlowDomain{static_cast<std::uint16_t>(n % 4)};
            ASSERT_NE(add(t, v4, 500, n), kNoFlow);
            ASSERT_NE(add(t, v6, 500, n), kNoFlow);
        }
    }
    FlowMove move{.ticks = 0U - 400U, .domain = {}, .ports_swap = {}};
    move.domain.fill(FlowMove::kNoWire);
    move.domain[0] = 2;  // the wire of old ports 0 and 1
    move.domain[2] = 0;  // that of 2 and 3, which have changed places
    move.ports_swap[2] = true;
    SlabMemory memory{64, 64};
    FlowTable t{memory.config()};
    t.take_over(old.slab(), move, {.now_tick = 200});
    EXPECT_EQ(t.recovered().kept, 8U);
    EXPECT_EQ(lost(t, FlowLoss::wire), 8U);
    for (const std::uint32_t n : {0U, 2U, 4U, 6U}) {
        FlowKeyV4 v4 = v4_key(n);
        FlowKeyV6 v6 = v6_key(n);
        v4.domain = v6.domain = FlowDomain{static_cast<std::uint16_t>(n % 4 == 0 ? 2 : 0)};
        for (const FlowHandle h : {find(t, v4), find(t, v6)}) {
            ASSERT_NE(h, kNoFlow) << n;
            const FlowHot& e = t.hot(h);
            EXPECT_EQ(e.seq_end[1], n);
            EXPECT_EQ(e.last_seen_tick, 100U);
            EXPECT_EQ(t.cold(h).started_tick, 100U);
            EXPECT_EQ(e.policy_seq, 0U);
            EXPECT_EQ(e.has(flow_flag::original_from_high_port), n % 4 == 2);
        }
        EXPECT_EQ(t.hot(find(t, v4)).phase, FlowPhase::established);
        EXPECT_EQ(t.hot(find(t, v6)).phase, FlowPhase::udp_stream);
    }
    // The same again into one that is too small, for lines first, then for entries.
    SlabMemory small{6, 2};
    FlowTable s{small.config()};
    move.domain.fill(0);
    s.take_over(old.slab(), move, {.now_tick = 200});
    EXPECT_EQ(s.count(), 6U);
    EXPECT_EQ(lost(s, FlowLoss::room), 10U);
    // And once more: what is there already is a twin.
    s.take_over(old.slab(), move, {.now_tick = 200});
    EXPECT_EQ(lost(s, FlowLoss::damaged), 6U);
}

// Whatever the memory holds, a table stands on it: only entries are lost, and what was not hit stays.
TEST(FlowRecovery, RandomDamageCostsEntriesOnly) {
    constexpr std::uint32_t kEntries = 16, kLines = 8, kFlows = 6;
    SCOPED_TRACE(sluice::test::seed_line());
    std::mt19937_64 random{sluice::test::seed_of_this_run()};
    SlabMemory whole{kEntries, kLines};
    {
        FlowTable t{whole.config()};
        for (std::uint32_t n = 0; n < kFlows; ++n) {
            ASSERT_NE(add(t, v4_key(n), 50, n), kNoFlow);
            ASSERT_NE(add(t, v6_key(n), 50, n), kNoFlow);
        }
    }
    const RecoveryLimits limits{.now_tick = 60, .rule_slots = 100, .wires = 1};
    std::uint64_t dropped = 0, kept = 0;
    for (int round = 0; round < 100'000; ++round) {
        SlabMemory memory = whole;
        const auto hits = 1 + random() % 12;
        const std::size_t hot_bytes = kEntries * sizeof(FlowHot);
        for (std::uint64_t hit = 0; hit < hits; ++hit) {
            // Hot lines most of the time: there is the most to get wrong.
            const std::size_t at = random() % (random() % 4 == 0 ? memory.bytes() : hot_bytes);
            memory.data()[at] = static_cast<std::byte>(random() % 3 == 0 ? random() % 20 : random());
        }
        FlowTable t{memory.config(limits)};
        ASSERT_EQ(t.count(), t.recovered().kept) << "round " << round;
        ASSERT_LE(t.recovered().kept + t.recovered().lost_total(), kEntries) << "round " << round;
        dropped += t.recovered().lost_total();
        kept += t.recovered().kept;
        if (round % 100 == 0) expect_all_room(t, kEntries, kLines);
        if (round % 100 == 50) {
            SlabMemory other{kEntries / 2, kLines};
            FlowTable copy{other.config()};
            FlowMove move;
            move.domain.fill(0);
            copy.take_over(memory.slab(), move, limits);
            ASSERT_EQ(copy.count(), copy.recovered().kept);
        }
        if (HasFatalFailure()) FAIL() << "round " << round;
    }
    EXPECT_GT(dropped, 50'000U);
    EXPECT_GT(kept, 500'000U);
}

// A process that is broken off while it takes over, and the next one that does the same.
TEST(FlowRecovery, MayBeDoneTwice) {
    SlabMemory memory{16, 8};
    {
        FlowTable t{memory.config()};
        for (std::uint32_t n = 0; n < 4; ++n) {
            ASSERT_NE(add(t, v4_key(n)), kNoFlow);
            ASSERT_NE(add(t, v6_key(n)), kNoFlow);
        }
        t.erase(find(t, v4_key(1)));
        t.erase(find(t, v6_key(2)));
    }
    FlowTable once{memory.config({.now_tick = 60})};
    FlowTable twice{memory.config({.now_tick = 70}, {5, 6})};
    EXPECT_EQ(twice.recovered(), once.recovered());
    EXPECT_EQ(twice.recovered().kept, 6U);
    expect_all_room(twice, 16, 8);
}

}  // namespace
}  // namespace sluice::dp::test
