#include "controlplane/compiler/slot_map.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>

#include "tests/harness/seed.hpp"

namespace sluice::cp {
namespace {

Policy with_rules(std::initializer_list<std::string_view> ids) {
    Policy p;
    for (const std::string_view id : ids) p.rules.push_back({.id = std::string{id}});
    return p;
}

std::uint32_t slot(const SlotMap& map, std::string_view id) {
    const auto s = map.find(id);
    return s ? static_cast<std::uint32_t>(*s) : 0;
}

TEST(SlotMap, KeepsASlotWithItsIdWhereverTheRuleStands) {
    SlotMap map;
    ASSERT_TRUE(map.assign(with_rules({"a", "b", "c"})));
    EXPECT_EQ(slot(map, "a"), 16U) << "behind the built-ins";
    EXPECT_EQ(slot(map, "c"), 18U);
    ASSERT_TRUE(map.assign(with_rules({"d", "c", "a"})));
    EXPECT_EQ(slot(map, "a"), 16U);
    EXPECT_EQ(slot(map, "c"), 18U);
    EXPECT_EQ(slot(map, "d"), 19U) << "a fresh one, although 17 is free";
    EXPECT_FALSE(map.find("b"));
    EXPECT_EQ(map.id_of(abi::RuleSlot{17}), "b") << "old counters are still its own";
    ASSERT_TRUE(map.assign(with_rules({"b"})));
    EXPECT_EQ(slot(map, "b"), 17U) << "back again";
}

TEST(SlotMap, ReusesTheSlotThatWasFreedFirstOnceAllAreTaken) {
    SlotMap map{20};
    ASSERT_TRUE(map.assign(with_rules({"a", "b", "c", "d"})));
    ASSERT_TRUE(map.assign(with_rules({"a", "c", "d"})));  // frees b
    ASSERT_TRUE(map.assign(with_rules({"c", "d"})));       // then a
    map.flows_judged();
    ASSERT_TRUE(map.assign(with_rules({"c", "d", "e"})));
    EXPECT_EQ(slot(map, "e"), 17U) << "b's";
    EXPECT_EQ(map.id_of(abi::RuleSlot{17}), "e");
    ASSERT_TRUE(map.assign(with_rules({"c", "d", "e", "f"})));
    EXPECT_EQ(slot(map, "f"), 16U) << "a's";
}

TEST(SlotMap, DoesNotGiveAReturningRulesSlotAway) {
    SlotMap map{18};
    ASSERT_TRUE(map.assign(with_rules({"a", "b"})));
    ASSERT_TRUE(map.assign(with_rules({"b"})));
    map.flows_judged();
    const auto refused = map.assign(with_rules({"new", "a"}));  // a returns, b goes: only b's slot could be taken
    ASSERT_FALSE(refused) << "under which its flows still stand";
    EXPECT_EQ(refused.error().resting, 1U);
    ASSERT_TRUE(map.assign(with_rules({"a"})));
    map.flows_judged();
    ASSERT_TRUE(map.assign(with_rules({"new", "a"})));
    EXPECT_EQ(slot(map, "a"), 16U);
    EXPECT_EQ(slot(map, "new"), 17U);
}

// Else the flows of the removed rule, until the sweep has come to them, would be told as the new rule's and fill its
// limits.
TEST(SlotMap, ASlotRestsUntilTheFlowsOfItsRuleAreJudged) {
    SlotMap map{18};
    ASSERT_TRUE(map.assign(with_rules({"a", "b"})));
    const auto at_once = map.assign(with_rules({"a", "c"}));
    ASSERT_FALSE(at_once) << "freed by the very policy that wants it";
    EXPECT_EQ(at_once.error().resting, 1U);
    EXPECT_EQ(slot(map, "b"), 17U) << "nothing has changed";
    ASSERT_TRUE(map.assign(with_rules({"a"})));
    EXPECT_FALSE(map.assign(with_rules({"a", "c"}))) << "the sweep is under way";
    EXPECT_EQ(map.id_of(abi::RuleSlot{17}), "b");
    EXPECT_EQ(map.last_of("b"), abi::RuleSlot{17});
    map.flows_judged();
    ASSERT_TRUE(map.assign(with_rules({"a", "c"})));
    EXPECT_EQ(slot(map, "c"), 17U);
    EXPECT_FALSE(map.last_of("b"));
}

TEST(SlotMap, SlotsReadFromATextRestToo) {
    SlotMap map{18};
    ASSERT_TRUE(map.assign(with_rules({"a", "b"})));
    ASSERT_TRUE(map.assign(with_rules({"a"})));
    map.flows_judged();
    auto read = SlotMap::from_text(map.to_text(), 18);
    ASSERT_TRUE(read);
    EXPECT_FALSE(read->assign(with_rules({"a", "c"}))) << "nobody knows what happened meanwhile";
    read->flows_judged();
    EXPECT_TRUE(read->assign(with_rules({"a", "c"})));
}

TEST(SlotMap, RefusesWithFiguresAndStaysAsItWas) {
    SlotMap map{18};
    ASSERT_TRUE(map.assign(with_rules({"a", "b"})));
    const std::string before = map.to_text();
    const auto refused = map.assign(with_rules({"x", "y", "z"}));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().needed, 19U);
    EXPECT_EQ(refused.error().capacity, 18U);
    EXPECT_EQ(map.to_text(), before);
}

// Ids come and go by the hundred, and slots pass on: every rule has a slot of its own, and one that stays keeps it.
TEST(SlotMap, FindsEveryIdHoweverManyCameAndWent) {
    SCOPED_TRACE(test::seed_line());
    std::mt19937 random{test::seed_of_this_run()};
    constexpr std::uint32_t kCapacity = 400;
    SlotMap map{kCapacity};
    std::map<std::string, abi::RuleSlot> had;
    for (int turn = 0; turn < 300; ++turn) {
        std::set<std::string> ids;
        for (const auto& [id, slot] : had)
            if (random() % 8 != 0) ids.insert(id);
        while (ids.size() < 100 + random() % 80) ids.insert("id-" + std::to_string(random() % 5000));
        Policy p;
        for (const std::string& id : ids) p.rules.push_back({.id = id});
        const SlotMap before = map;
        map.flows_judged();
        ASSERT_TRUE(map.assign(p));
        std::set<abi::RuleSlot> taken;
        std::map<std::string, abi::RuleSlot> has;
        for (const std::string& id : ids) {
            const auto slot = map.find(id);
            ASSERT_TRUE(slot) << id;
            ASSERT_TRUE(taken.insert(*slot).second) << id;
            ASSERT_EQ(map.id_of(*slot), id);
            if (had.contains(id)) {
                ASSERT_EQ(had[id], *slot);
                ASSERT_EQ(before.find(id), *slot) << "the copy is as it was";
            }
            has.emplace(id, *slot);
        }
        for (const auto& [id, slot] : had) {
            if (ids.contains(id)) continue;
            ASSERT_FALSE(map.find(id)) << id;
        }
        auto read = SlotMap::from_text(map.to_text(), kCapacity);
        ASSERT_TRUE(read);
        ASSERT_EQ(read->to_text(), map.to_text());
        had = std::move(has);
    }
}

/// Rules that come, go, return, are renamed, moved or edited in their place; all others are shared with `before`.
Policy edited(const Policy& before, std::mt19937& random) {
    Policy after = before;
    const auto id = [&] { return "id-" + std::to_string(random() % 90); };
    for (auto edits = random() % 4; edits != 0; --edits) {
        const auto at = static_cast<std::ptrdiff_t>(random() % (after.rules.size() + 1));
        const bool is_end = static_cast<std::size_t>(at) == after.rules.size();
        const auto taken = [&](const std::string& wanted) {
            return std::ranges::any_of(std::as_const(after).rules, [&](const Rule& r) { return r.id == wanted; });
        };
        const std::string fresh = id();
        switch (random() % 5) {
            case 0:
            case 1:
                if (!taken(fresh)) after.rules.insert(after.rules.begin() + at, Rule{.id = fresh});
                break;
            case 2:
                if (!is_end) after.rules.erase(after.rules.begin() + at);
                break;
            case 3:
                if (!is_end && !taken(fresh)) after.rules[static_cast<std::size_t>(at)] = Rule{.id = fresh};
                break;
            default:
                if (is_end) break;
                const auto moved = after.rules.handle(static_cast<std::size_t>(at));
                after.rules.erase(after.rules.begin() + at);
                if (random() % 2 == 0) {
                    after.rules.push_back(moved);
                } else {
                    after.rules.push_back(Rule{*moved});
                }
        }
    }
    return after;
}

// Whatever was edited, an edited policy gets the slots that it would get as a whole, or is refused in the same words.
TEST(SlotMap, AnEditedPolicyGetsTheSlotsThatItWouldGetWhole) {
    SCOPED_TRACE(test::seed_line());
    std::mt19937 random{test::seed_of_this_run()};
    int refused = 0, quick_ones = 0;
    for (int round = 0; round < 60; ++round) {
        SlotMap map{50 + static_cast<std::uint32_t>(random() % 12)};
        Policy policy;
        for (int n = 0; n < 30; ++n) policy.rules.push_back({.id = "id-" + std::to_string(n)});
        auto slots = map.assign(policy);
        ASSERT_TRUE(slots);
        SlotMap assigned = map;
        SlotMap written = map, read = *SlotMap::from_text(map.to_text(), map.capacity());
        for (int turn = 0; turn < 40; ++turn) {
            if (random() % 5 == 0) map.flows_judged();
            if (random() % 2 == 0) {
                // What is written down of changes makes the same map again, over several turns too.
                const auto applied = read.apply(map.changes_since(written));
                ASSERT_TRUE(applied) << applied.error();
                ASSERT_EQ(read.to_text(), map.to_text());
                written = map;
            }
            // Somebody else has assigned meanwhile: what is known of before is worth nothing then.
            if (random() % 10 == 0) (void)map.assign(with_rules({"a"}));
            const Policy after = edited(policy, random);
            const SlotMap::Before before{&policy, &*slots, &assigned};
            quick_ones += map.same_as(assigned) ? 1 : 0;
            SlotMap whole = map;
            const auto expected = whole.assign(after);
            auto got = map.assign(after, &before);
            ASSERT_EQ(got.has_value(), expected.has_value());
            if (!got) {
                ++refused;
                ASSERT_EQ(got.error().to_string(), expected.error().to_string());
                if (!map.same_as(assigned)) {  // as it was
                    slots = map.assign(policy);
                    if (!slots) break;
                    assigned = map;
                }
                continue;
            }
            ASSERT_EQ(*got, *expected);
            ASSERT_EQ(map.to_text(), whole.to_text());
            for (std::size_t i = 0; i < after.rules.size(); ++i) ASSERT_EQ(map.find(after.rules[i].id), (*got)[i]);
            policy = after;
            slots = std::move(got);
            assigned = map;
        }
    }
    EXPECT_GT(refused, 0);
    EXPECT_GT(quick_ones, 100);
}

TEST(SlotMap, CopiesAreTheSameUntilOneChanges) {
    SlotMap map{64};
    ASSERT_TRUE(map.assign(with_rules({"a", "b"})));
    SlotMap copy = map;
    EXPECT_TRUE(copy.same_as(map));
    ASSERT_TRUE(copy.assign(with_rules({"b", "a"})));
    EXPECT_TRUE(copy.same_as(map)) << "the same rules in another order";
    ASSERT_TRUE(copy.assign(with_rules({"a"})));
    EXPECT_FALSE(copy.same_as(map));
    EXPECT_TRUE(map.find("b"));
    EXPECT_FALSE(copy.find("b"));
}

TEST(SlotMap, ReadsWhatItWrote) {
    SlotMap map{20};
    ASSERT_TRUE(map.assign(with_rules({"a", "b", "c", "d"})));
    ASSERT_TRUE(map.assign(with_rules({"a", "c"})));
    EXPECT_EQ(map.to_text(), "live 16 a\nlive 18 c\nfree 17 b\nfree 19 d\n");
    auto read = SlotMap::from_text(map.to_text(), 20);
    ASSERT_TRUE(read) << read.error();
    EXPECT_EQ(read->to_text(), map.to_text());
    read->flows_judged();
    ASSERT_TRUE(read->assign(with_rules({"a", "c", "e"})));
    EXPECT_EQ(slot(*read, "e"), 17U) << "the order of freeing survives";
}

TEST(SlotMap, ChangesAreThoseOfTheSlotsThatHaveSome) {
    SlotMap map{20};
    ASSERT_TRUE(map.assign(with_rules({"a", "b", "c"})));
    const SlotMap before = map;
    EXPECT_EQ(map.changes_since(before), "");
    ASSERT_TRUE(map.assign(with_rules({"a", "d"})));
    EXPECT_EQ(map.changes_since(before), "live 19 d\nfree 17 b\nfree 18 c\n");
    map.flows_judged();
    ASSERT_TRUE(map.assign(with_rules({"a", "d", "e", "c"})));
    EXPECT_EQ(map.changes_since(before), "none 17\nlive 17 e\nlive 19 d\n") << "c is back, b's slot is another's";
    SlotMap read = before;
    ASSERT_TRUE(read.apply(map.changes_since(before)));
    EXPECT_EQ(read.to_text(), map.to_text());
}

TEST(SlotMap, RefusesChangesThatAreNotItsOwn) {
    for (const std::string_view changes :
         {"none 16 a\n", "none 18\n", "none\n", "live 17 x\n", "live 18 a\n", "gone 16\n", "live 18\n", "free 18 d"}) {
        SlotMap map{64};
        ASSERT_TRUE(map.assign(with_rules({"a", "b"})));
        const auto applied = map.apply(changes);
        ASSERT_FALSE(applied) << changes;
        EXPECT_EQ(applied.error().substr(0, 8), "slots:1:");
    }
    SlotMap map{18};
    ASSERT_TRUE(map.assign(with_rules({"a", "b"})));
    ASSERT_TRUE(map.apply("none 19\nlive 18 c\n")) << "slots of a bigger dataplane";
    EXPECT_EQ(map.to_text(), "live 16 a\nlive 17 b\n");
}

TEST(SlotMap, ForgetsSlotsThatASmallerDataplaneDoesNotHave) {
    SlotMap map{20};
    ASSERT_TRUE(map.assign(with_rules({"a", "b", "c", "d"})));
    const auto read = SlotMap::from_text(map.to_text(), 18);
    ASSERT_TRUE(read);
    EXPECT_EQ(read->to_text(), "live 16 a\nlive 17 b\n");
    EXPECT_FALSE(read->find("d"));
}

TEST(SlotMap, RefusesATextThatIsNotItsOwn) {
    for (const std::string_view text :
         {"live 16 a", "alive 16 a\n", "live 15 a\n", "live 16\n", "live 16 a b\n", "live x a\n", "live 4294967295 a\n",
          "live 16 a\nlive 16 b\n", "live 16 a\nfree 17 a\n", "live 99999999999 a\n", "\n", "live -1 a\n"}) {
        const auto read = SlotMap::from_text(text, 64);
        ASSERT_FALSE(read) << text;
        EXPECT_EQ(read.error().substr(0, 6), "slots:");
    }
    EXPECT_TRUE(SlotMap::from_text("", 64));
}

}  // namespace
}  // namespace sluice::cp
