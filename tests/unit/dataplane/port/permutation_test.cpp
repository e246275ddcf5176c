/// The order in which the memory source walks its flows.
#include "dataplane/port/permutation.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace sluice::dp {
namespace {

std::vector<std::uint32_t> all_of(std::uint32_t count, std::uint64_t key, std::size_t burst) {
    Permutation order{count, key};
    std::vector<std::uint32_t> numbers(count + burst);
    std::size_t got = 0;
    while (order.left() != 0) got += order.next({numbers.data() + got, burst});
    numbers.resize(got);
    return numbers;
}

TEST(Permutation, HasEachNumberOnce) {
    for (const std::uint32_t count : {1U, 2U, 3U, 31U, 64U, 65U, 1'000U, 4'096U, 100'032U, 131'073U}) {
        for (const std::uint64_t key :
             {std::uint64_t{0}, std::uint64_t{1}, UINT64_MAX, std::uint64_t{0x123456789abcdef}}) {
            const auto numbers = all_of(count, key, 32);
            ASSERT_EQ(numbers.size(), count);
            std::vector<bool> seen(count);
            for (const std::uint32_t n : numbers) {
                ASSERT_LT(n, count);
                ASSERT_FALSE(seen[n]) << n << " came twice of " << count << ", key " << key;
                seen[n] = true;
            }
        }
    }
}

TEST(Permutation, GivesNothingBehindItsEnd) {
    Permutation order{40, 7};
    std::vector<std::uint32_t> numbers(32);
    EXPECT_EQ(order.next(numbers), 32U);
    EXPECT_EQ(order.next(numbers), 8U);
    EXPECT_EQ(order.next(numbers), 0U);
    EXPECT_EQ(Permutation{}.left(), 0U);
}

TEST(Permutation, KeysGiveOtherOrders) { EXPECT_NE(all_of(1'000, 1, 32), all_of(1'000, 2, 32)); }

/// Neighbours in time would share cache lines, or a prefetcher would guess the next one from a constant step.
TEST(Permutation, HasNoLocality) {
    const auto numbers = all_of(100'032, 5, 32);
    std::size_t near = 0, same_step = 0;
    for (std::size_t i = 2; i < numbers.size(); ++i) {
        const std::uint32_t step = numbers[i] - numbers[i - 1];
        near += step + 64 < 128 ? 1 : 0;
        same_step += step == numbers[i - 1] - numbers[i - 2] ? 1 : 0;
    }
    EXPECT_LT(near, numbers.size() / 200);  // by chance: 127 of 100,032
    EXPECT_LT(same_step, numbers.size() / 200);
}

}  // namespace
}  // namespace sluice::dp
