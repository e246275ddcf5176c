// So many per second: exact at the edges, and beside a model that knows every spending.
#include "dataplane/flow/rate.hpp"

#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "dataplane/flow/error_budget.hpp"
#include "tests/harness/seed.hpp"

namespace sluice::dp {
namespace {

bool take(Rate& rate, std::uint32_t per_second, std::uint32_t now) {
    if (!rate.allows(per_second, per_second, now)) return false;
    rate.spend(per_second, per_second, now);
    return true;
}

TEST(Rate, ASecondsWorthAtOnceThenOneEachShare) {
    Rate rate;
    const std::uint32_t now = 0xffffffffU - 20;  // and over the wrap of the tick
    for (int i = 0; i < 5; ++i) EXPECT_TRUE(take(rate, 5, now)) << i;
    EXPECT_FALSE(take(rate, 5, now));
    EXPECT_FALSE(take(rate, 5, now + 19)) << "a fifth of a second is 20 ticks";
    EXPECT_TRUE(take(rate, 5, now + 20));
    EXPECT_FALSE(take(rate, 5, now + 20));
    EXPECT_FALSE(rate.rested(now + 119));
    EXPECT_TRUE(rate.rested(now + 120));
    for (int i = 0; i < 5; ++i) EXPECT_TRUE(take(rate, 5, now + 120)) << i;
    EXPECT_FALSE(take(rate, 5, now + 120));
}

TEST(Rate, ALowerLimitIsNeverOwedMoreThanItsOwnSecond) {
    Rate rate;
    for (int i = 0; i < 1000; ++i) EXPECT_TRUE(take(rate, 1000, 7));
    EXPECT_FALSE(take(rate, 1, 7));
    EXPECT_FALSE(take(rate, 1, 106));
    EXPECT_TRUE(take(rate, 1, 107)) << "not after 1,000 s";
}

TEST(Rate, TheHighestLimitDoesNotOverflow) {
    Rate rate;
    constexpr std::uint32_t kMost = 10'000'000;
    for (std::uint32_t i = 0; i < kMost; ++i) ASSERT_TRUE(take(rate, kMost, 1)) << i;
    EXPECT_FALSE(take(rate, kMost, 1));
    for (std::uint32_t i = 0; i < kMost / 100; ++i) ASSERT_TRUE(take(rate, kMost, 2)) << i;
    EXPECT_FALSE(take(rate, kMost, 2));
}

// What passed in any window: at most a bucket and what came back in it.
TEST(Rate, NoWindowLetsMorePassThanBurstAndRate) {
    const std::uint32_t s = sluice::test::seed_of_this_run();
    SCOPED_TRACE(testing::Message() << "SEED=" << s);
    std::mt19937 random{s};
    for (int round = 0; round < 50; ++round) {
        const auto per_second = static_cast<std::uint32_t>(1 + random() % 300);
        const auto burst = static_cast<std::uint32_t>(1 + random() % 50);
        Rate rate;
        std::vector<std::uint32_t> passed;
        for (std::uint32_t now = 0; now < 600; now += static_cast<std::uint32_t>(random() % 3)) {
            if (!rate.allows(per_second, burst, now)) continue;
            rate.spend(per_second, burst, now);
            passed.push_back(now);
        }
        ASSERT_FALSE(passed.empty());
        for (std::size_t from = 0; from < passed.size(); ++from) {
            for (std::size_t to = from; to < passed.size(); ++to) {
                const std::uint64_t ticks = passed[to] - passed[from];
                ASSERT_LE((to - from + 1) * 100, burst * 100 + per_second * ticks) << per_second << " " << burst;
            }
        }
    }
}

TEST(ErrorBudget, I12_AtMost100InAnySecondAndOtherFlowsHaveTheirOwn) {
    ErrorBudget budget;
    std::vector<std::uint32_t> passed;
    for (std::uint32_t now = 0; now < 1000; ++now) {
        for (int n = 0; n < 100; ++n) {  // 10,000 a second
            if (budget.take(0x1234'5678'9abc'def0, now)) passed.push_back(now);
        }
    }
    std::size_t worst = 0;
    for (std::size_t from = 0, to = 0; from < passed.size(); ++from) {
        while (to < passed.size() && passed[to] < passed[from] + 100) ++to;
        worst = std::max(worst, to - from);
    }
    EXPECT_LE(worst, 100U);
    EXPECT_GE(worst, 95U);
    EXPECT_GE(passed.size(), 10U * 80) << "what is right and slow goes on";
    EXPECT_TRUE(budget.take(0x1234'5679'9abc'def0, 999));
    EXPECT_FALSE(budget.take(0x1234'5678'0000'0000, 999)) << "the low bits choose the flow's place in the index only";
}

}  // namespace
}  // namespace sluice::dp
