#include "dataplane/steering/spsc_ring.hpp"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <numeric>
#include <thread>
#include <vector>

namespace sluice::dp {
namespace {

constexpr auto kAll = [](int) { return true; };

std::vector<int> pop(SpscRing<int>& ring, std::size_t most) {
    std::vector<int> out(most);
    out.resize(ring.pop_while(std::span{out}, kAll));
    return out;
}

TEST(SpscRing, GivesBackInOrderAndTakesNoMoreThanItHolds) {
    SpscRing<int> ring{5};
    EXPECT_EQ(ring.capacity(), 8U);
    std::vector<int> in(10);
    std::iota(in.begin(), in.end(), 0);
    EXPECT_EQ(ring.push(in), 8U);
    EXPECT_EQ(ring.push(in), 0U);
    EXPECT_EQ(ring.size(), 8U);
    EXPECT_EQ(pop(ring, 3), (std::vector{0, 1, 2}));
    EXPECT_EQ(ring.push(std::span{in}.last(2)), 2U);
    EXPECT_EQ(pop(ring, 10), (std::vector{3, 4, 5, 6, 7, 8, 9}));
    EXPECT_EQ(pop(ring, 10), std::vector<int>{});
    EXPECT_EQ(ring.size(), 0U);
}

TEST(SpscRing, AllOrNothing) {
    SpscRing<int> ring{8};
    const std::vector<int> in(5, 1);
    EXPECT_TRUE(ring.push_all(in));
    EXPECT_FALSE(ring.push_all(in));
    EXPECT_EQ(ring.size(), 5U);
    EXPECT_TRUE(ring.push_all(std::span{in}.first(3)));
    EXPECT_EQ(pop(ring, 10).size(), 8U);
}

TEST(SpscRing, StopsWhereTheReaderWantsNoMore) {
    SpscRing<int> ring{8};
    ring.push(std::vector{1, 1, 2, 1});
    std::array<int, 8> out{};
    EXPECT_EQ(ring.pop_while(std::span{out}, [](int i) { return i == 1; }), 2U);
    EXPECT_EQ(ring.pop_while(std::span{out}, [](int i) { return i == 1; }), 0U);
    EXPECT_EQ(pop(ring, 8), (std::vector{2, 1}));
}

/// A small ring, so that it is full and empty all the time. Under TSan also: nothing is read before it is written.
TEST(SpscRing, LosesNothingBetweenTwoThreads) {
    constexpr std::uint64_t kCount = 300'000;
    struct Item {
        std::uint64_t number;
        std::uint64_t* told;  ///< as a packet's bytes: written before it is pushed, read after it is popped
    };
    SpscRing<Item> ring{16};
    std::vector<std::uint64_t> told(kCount);
    std::atomic<bool> over{false};
    std::thread writer{[&] {
        for (std::uint64_t begun = 0; begun < kCount && !over.load(std::memory_order_relaxed);) {
            std::array<Item, 7> items{};
            std::size_t n = 0;
            for (; n < items.size() && begun + n < kCount; ++n) {
                told[begun + n] = ~(begun + n);
                items[n] = {begun + n, &told[begun + n]};
            }
            const std::size_t pushed = ring.push({items.data(), n});
            if (pushed == 0) std::this_thread::yield();
            begun += pushed;
        }
    }};
    std::uint64_t next = 0;
    while (next < kCount && !testing::Test::HasFailure()) {
        std::array<Item, 5> items;
        const std::size_t n = ring.pop_while(std::span{items}, [](const Item&) { return true; });
        if (n == 0) std::this_thread::yield();
        for (std::size_t i = 0; i < n; ++i) {
            if (items[i].number != next || *items[i].told != ~next) {
                ADD_FAILURE() << "expected " << next << ", got " << items[i].number;
                break;
            }
            ++next;
        }
    }
    over.store(true, std::memory_order_relaxed);
    writer.join();
    EXPECT_EQ(next, kCount);
}

}  // namespace
}  // namespace sluice::dp
