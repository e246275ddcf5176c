/// Switching under readers: no worker ever sees tables that are gone, and none goes back in time. Meant for TSan and
/// ASan as much as for itself.
#include "dataplane/manager/generations.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <utility>
#include <vector>

#include "tests/unit/dataplane/manager/rig.hpp"

namespace sluice::test {
namespace {

using dp::Generations;

/// A generation without sections: switching does not look inside.
std::shared_ptr<dp::Generation> numbered(std::uint64_t number) {
    auto generation = std::make_shared<dp::Generation>();
    generation->manifest.generation = number;
    generation->view.generation = number;
    return generation;
}

TEST(Generations, KeepsWhatAWorkerMayStillRead) {
    dp::TablesQsbr tables;
    Generations generations{tables};
    tables.online(0);
    const auto node_of = [&] { return tables.current(); };
    auto first = numbered(1);
    const std::weak_ptr<const dp::Generation> alive = first;
    generations.switch_to(std::move(first), abi::StateSource::publisher, {});
    const auto* const held = node_of();
    tables.quiesce(0, held);
    generations.switch_to(numbered(2), abi::StateSource::publisher, {});
    generations.switch_to(numbered(3), abi::StateSource::publisher, {});
    EXPECT_EQ(generations.late_workers(generations.sequence()), 1U);
    EXPECT_EQ(generations.collect(), 3U);
    EXPECT_FALSE(alive.expired());  // the worker has not moved: its tables are still there
    EXPECT_EQ(held->view.generation, 1U);
    tables.quiesce(0, node_of());
    EXPECT_EQ(generations.collect(), 1U);
    EXPECT_TRUE(alive.expired());
    EXPECT_EQ(generations.late_workers(generations.sequence()), 0U);
}

TEST(Generations, AnOfflineWorkerHoldsNothing) {
    dp::TablesQsbr tables;
    Generations generations{tables};
    tables.online(0);
    generations.switch_to(numbered(1), abi::StateSource::publisher, {});
    generations.switch_to(numbered(2), abi::StateSource::publisher, {});
    EXPECT_EQ(generations.collect(), 2U);
    tables.offline(0);
    EXPECT_EQ(generations.collect(), 1U);
}

/// A generation that says what it was compared with, and which slots it leaves untouched.
struct Compared {
    dp::Generation generation;
    abi::SettingsSection settings;
    std::vector<std::uint64_t> untouched;
};
std::shared_ptr<dp::Generation> compared(std::uint64_t number, std::uint64_t base, std::uint64_t slots,
                                         std::uint64_t rules_digest = 0) {
    constexpr auto rules = static_cast<std::size_t>(abi::SectionKind::rules) - 1;
    auto c = std::make_shared<Compared>();
    c->untouched = {slots};
    c->settings.base_generation = base;
    c->settings.base_rules = {rules_digest, 0};
    c->generation.manifest.generation = c->generation.view.generation = number;
    c->generation.manifest.sections[rules].digest = {number, 0};
    c->generation.view.settings = &c->settings;
    c->generation.view.untouched = c->untouched;
    return {c, &c->generation};
}

using Since = std::vector<std::uint32_t>;
Since since(const dp::TablesQsbr& tables, std::size_t slots) {
    const auto all = tables.current()->valid_since;
    return {all.begin(), all.begin() + static_cast<std::ptrdiff_t>(std::min(slots, all.size()))};
}

TEST(ValidSince, UntouchedSlotsKeepTheirNumber) {
    dp::TablesQsbr tables;
    Generations g{tables};
    g.switch_to(compared(1, 0, 0), abi::StateSource::publisher, {});
    EXPECT_TRUE(tables.current()->valid_since.empty()) << "nothing ran before: everything is judged";
    g.switch_to(compared(2, 1, 0b0110, 1), abi::StateSource::publisher, {});
    EXPECT_EQ(since(tables, 4), (Since{3, 2, 2, 3}));
    g.switch_to(compared(3, 2, 0b0011, 2), abi::StateSource::publisher, {});
    EXPECT_EQ(since(tables, 4), (Since{3, 2, 4, 4}));
}

TEST(LiveSlots, AreThoseOfTheRules) {
    dp::TablesQsbr tables;
    Generations g{tables};
    std::vector<abi::RuleRecord> rules(3);
    rules[0].slot = abi::RuleSlot{70};
    rules[1].slot = abi::RuleSlot{2};
    rules[2].slot = abi::RuleSlot{64};
    auto generation = compared(1, 0, 0);
    generation->view.rules = rules;
    g.switch_to(std::move(generation), abi::StateSource::publisher, {});
    const auto live = tables.current()->live_slots;
    ASSERT_EQ(live.size(), 2U);
    EXPECT_EQ(live[0], 0b100U);
    EXPECT_EQ(live[1], 0b1000001U);
}

TEST(ValidSince, AnotherBaseIsNoBase) {
    dp::TablesQsbr tables;
    Generations g{tables};
    g.switch_to(compared(1, 0, 0), abi::StateSource::publisher, {});
    g.switch_to(compared(2, 7, 0b1111, 1), abi::StateSource::publisher, {});
    EXPECT_TRUE(tables.current()->valid_since.empty()) << "another generation";
    g.switch_to(compared(3, 2, 0b1111, 99), abi::StateSource::publisher, {});
    EXPECT_TRUE(tables.current()->valid_since.empty()) << "the same number with other rules";
    auto zones = compared(4, 3, 0b1111, 3);
    zones->manifest.sections[static_cast<std::size_t>(abi::SectionKind::zones) - 1].digest = {5, 5};
    g.switch_to(std::move(zones), abi::StateSource::publisher, {});
    EXPECT_TRUE(tables.current()->valid_since.empty()) << "other zones";
}

TEST(ValidSince, ARevertJudgesEverything) {
    dp::TablesQsbr tables;
    Generations g{tables};
    g.switch_to(compared(1, 0, 0), abi::StateSource::publisher, {});
    g.switch_to(compared(2, 1, 0b1111, 1), abi::StateSource::publisher, {5});
    EXPECT_FALSE(tables.current()->valid_since.empty());
    ASSERT_TRUE(g.revert(2, abi::StateSource::reverted));
    EXPECT_TRUE(tables.current()->valid_since.empty());
    // What follows on the generation that was gone back to may be compared with it again.
    g.switch_to(compared(3, 1, 0b0001, 1), abi::StateSource::publisher, {});
    EXPECT_EQ(since(tables, 2), (Since{4, 5}));
}

TEST(ValidSince, NumbersWrapAndNeverGetTooOldToCompare) {
    dp::TablesQsbr tables;
    Generations g{tables, 0xffff'fffdULL};
    g.switch_to(compared(1, 0, 0), abi::StateSource::publisher, {});
    g.switch_to(compared(2, 1, 1, 1), abi::StateSource::publisher, {});
    g.switch_to(compared(3, 2, 1, 2), abi::StateSource::publisher, {});
    EXPECT_EQ(tables.current()->policy_seq, 1U) << "0 is left out";
    EXPECT_EQ(since(tables, 2), (Since{0xffff'fffeU, 1}));
}

/// Period 1 from second 100 on, period 0 again from 200 on; the pairs of zones of period p are p.
struct Timed {
    dp::Generation generation;
    std::vector<abi::Transition> transitions{{0, 0, 0}, {100, 1, 0}, {200, 0, 0}};
    std::vector<std::uint16_t> pairs{0, 1};
};
std::shared_ptr<dp::Generation> timed(std::uint64_t number) {
    auto t = std::make_shared<Timed>();
    t->generation.manifest.generation = t->generation.view.generation = number;
    t->generation.view.trees.zone_count = 1;
    t->generation.view.trees.all_zone_pairs = t->pairs.data();
    t->generation.view.trees.transitions = t->transitions;
    return {t, &t->generation};
}
std::uint16_t period_of(const dp::TablesQsbr& tables) { return *tables.current()->view.trees.zone_pairs; }

TEST(Transitions, AreSwitchesUnderTheSameGenerationAndJudgeAllFlowsAgain) {
    dp::TablesQsbr tables;
    Generations g{tables};
    EXPECT_FALSE(g.tell_time(10)) << "nothing runs";
    g.switch_to(timed(1), abi::StateSource::publisher, {});
    EXPECT_EQ(period_of(tables), 0);
    EXPECT_FALSE(g.tell_time(99));
    const auto seq = tables.current()->policy_seq;
    EXPECT_TRUE(g.tell_time(100));
    EXPECT_EQ(period_of(tables), 1);
    EXPECT_EQ(tables.current()->view.generation, 1U);
    EXPECT_EQ(tables.current()->policy_seq, seq + 1);
    EXPECT_TRUE(tables.current()->valid_since.empty()) << "no slot is excepted";
    EXPECT_FALSE(g.tell_time(150));
    EXPECT_TRUE(g.tell_time(200));
    EXPECT_EQ(period_of(tables), 0);
    EXPECT_TRUE(g.tell_time(150)) << "somebody put the clock back";
    EXPECT_EQ(period_of(tables), 1);
    EXPECT_EQ(g.previous(), nullptr) << "there is nothing to return to";
    EXPECT_EQ(g.running()->manifest.generation, 1U);
}

TEST(Transitions, ASwitchIsForThePeriodThatIsInForceThen) {
    dp::TablesQsbr tables;
    Generations g{tables};
    g.tell_time(150);
    g.switch_to(timed(1), abi::StateSource::last_good, {});
    EXPECT_EQ(period_of(tables), 1);
    g.switch_to(numbered(2), abi::StateSource::publisher, {});
    g.tell_time(250);
    EXPECT_TRUE(g.revert(2, abi::StateSource::reverted));
    EXPECT_EQ(period_of(tables), 0);
}

TEST(Transitions, WaitForWorkersThatHoldTheNodes) {
    dp::TablesQsbr tables;
    Generations g{tables};
    tables.online(0);
    g.switch_to(timed(1), abi::StateSource::publisher, {});
    while (g.may_switch()) g.switch_to(timed(g.running()->manifest.generation + 1), abi::StateSource::publisher, {});
    EXPECT_FALSE(g.tell_time(100));
    EXPECT_EQ(period_of(tables), 0);
    tables.quiesce(0, tables.current());
    EXPECT_TRUE(g.tell_time(100)) << "with the next call";
    EXPECT_EQ(period_of(tables), 1);
}

/// A publisher compares two policies at one instant: flows judged in another period are not excepted.
TEST(Transitions, OneThatWaitsTakesTheExceptionsFromASwitch) {
    dp::TablesQsbr tables;
    Generations g{tables};
    auto first = timed(1), second = timed(2);
    auto settings = std::make_shared<abi::SettingsSection>();
    settings->base_generation = 1;
    const std::vector<std::uint64_t> untouched{1};
    second->view.settings = settings.get();
    second->view.untouched = untouched;
    g.switch_to(std::move(first), abi::StateSource::publisher, {});
    tables.online(0);
    while (g.may_switch()) g.switch_to(g.running(), abi::StateSource::publisher, {});
    EXPECT_FALSE(g.tell_time(100));
    tables.quiesce(0, tables.current());
    g.switch_to(std::move(second), abi::StateSource::publisher, {});
    EXPECT_TRUE(tables.current()->valid_since.empty());
    EXPECT_EQ(period_of(tables), 1);
}

TEST(Generations, NeverMoreThanFourUnretired) {
    dp::TablesQsbr tables;
    Generations generations{tables};
    tables.online(0);
    std::uint64_t g = 0;
    while (generations.may_switch()) {
        generations.switch_to(numbered(++g), abi::StateSource::publisher, {});
        ASSERT_LE(g, dp::kUnretiredMax);
    }
    EXPECT_EQ(g, dp::kUnretiredMax);
}

TEST(Generations, NoSwitchHasThePolicySequenceThatMeansNeverJudged) {
    dp::TablesQsbr tables;
    Generations generations{tables, 0xffff'fffeU};
    const auto switched = [&](std::uint64_t number) {
        generations.switch_to(numbered(number), abi::StateSource::publisher, {});
        return std::pair{tables.current()->sequence, tables.current()->policy_seq};
    };
    EXPECT_EQ(switched(1), std::pair(std::uint64_t{0xffff'ffff}, std::uint32_t{0xffff'ffff}));
    EXPECT_EQ(switched(2), std::pair(std::uint64_t{0x1'0000'0001}, std::uint32_t{1})) << "0 is left out";
    EXPECT_EQ(switched(3), std::pair(std::uint64_t{0x1'0000'0002}, std::uint32_t{2}));
}

TEST(Generations, PreviousIsTheLastConfirmedOne) {
    dp::TablesQsbr tables;
    Generations generations{tables};
    generations.switch_to(numbered(1), abi::StateSource::publisher, {});
    generations.switch_to(numbered(2), abi::StateSource::publisher, {100});
    generations.switch_to(numbered(3), abi::StateSource::publisher, {200});
    EXPECT_EQ(generations.previous()->manifest.generation, 1U);
    EXPECT_FALSE(generations.confirm(2));
    EXPECT_TRUE(generations.confirm(3));
    generations.switch_to(numbered(4), abi::StateSource::publisher, {});
    EXPECT_EQ(generations.previous()->manifest.generation, 3U);
    EXPECT_FALSE(generations.revert(3, abi::StateSource::reverted));
    EXPECT_TRUE(generations.revert(4, abi::StateSource::reverted));
    EXPECT_EQ(generations.running()->manifest.generation, 3U);
    EXPECT_EQ(generations.previous(), nullptr);
    EXPECT_EQ(generations.highest_seen(), 4U);
}

TEST(Generations, SwitchedUnderReadersTheyOnlyMoveForward) {
    constexpr std::uint32_t kReaders = 3;
    constexpr std::uint64_t kSwitches = 3'000;
    dp::TablesQsbr tables;
    std::atomic<bool> stop{false};
    std::atomic<std::uint64_t> reads{0}, backwards{0}, torn{0};
    {
        Generations generations{tables};
        std::vector<std::thread> readers;
        for (std::uint32_t r = 0; r < kReaders; ++r) {
            readers.emplace_back([&, r] {
                std::uint64_t last = 0;
                while (!stop) {
                    tables.online(r);
                    for (int burst = 0; burst < 50 && !stop; ++burst) {
                        const dp::ActiveTables* now = tables.current();
                        if (now != nullptr) {
                            if (now->sequence < last) ++backwards;
                            // Freed memory would show here, and to the sanitizers.
                            if (now->view.generation + 1 != now->sequence) ++torn;
                            last = now->sequence;
                            ++reads;
                        }
                        tables.quiesce(r, now);
                    }
                    tables.offline(r);
                }
            });
        }
        for (std::uint64_t g = 1; g <= kSwitches; ++g) {
            ASSERT_TRUE(eventually([&] { return generations.may_switch(); }));
            // The first switch has sequence 2.
            generations.switch_to(numbered(g), abi::StateSource::publisher, {});
        }
        EXPECT_TRUE(eventually([&] { return generations.late_workers(generations.sequence()) == 0; }));
        EXPECT_TRUE(eventually([&] { return generations.collect() == 1; }));
        EXPECT_TRUE(eventually([&] { return reads > 0; }));
        stop = true;
        for (auto& reader : readers) reader.join();
    }
    EXPECT_EQ(backwards, 0U);
    EXPECT_EQ(torn, 0U);
}

}  // namespace
}  // namespace sluice::test
