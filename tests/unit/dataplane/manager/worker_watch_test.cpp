/// Which workers count as stalled, by heartbeats that the test writes.
#include "dataplane/manager/worker_watch.hpp"

#include <gtest/gtest.h>

namespace sluice::dp {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

struct Watched {
    abi::WorkerCounters counters;
    WorkerWatch watch{{&counters}, {100 * kSecond}};

    bool stalled_at(std::uint64_t now_ns) {
        (void)watch.check({now_ns});
        return watch.stalled() != 0;
    }
};

TEST(WorkerWatch, AHeartThatStandsStillForASecondIsAStall) {
    Watched w;
    EXPECT_FALSE(w.stalled_at(100 * kSecond + kSecond / 2));  // not started yet
    w.counters.heartbeat_ns.set(100 * kSecond + kSecond / 2);
    EXPECT_FALSE(w.stalled_at(101 * kSecond));
    EXPECT_FALSE(w.stalled_at(102 * kSecond));
    EXPECT_TRUE(w.stalled_at(102 * kSecond + 1));
    EXPECT_TRUE(w.watch.all_stalled());
    w.counters.heartbeat_ns.set(103 * kSecond);
    EXPECT_FALSE(w.stalled_at(103 * kSecond));
}

/// A worker's clock counts cycles; after days it is a second off the manager's. A worker that turns is not stalled for
/// that (the watchdog would end a healthy process), and one that does not turn is, whatever its last beat said.
TEST(WorkerWatch, ClocksThatHaveDriftedApartAreNoStall) {
    for (const std::int64_t off : {-3, 3}) {
        Watched w;
        std::uint64_t now = 200 * kSecond;
        for (int i = 0; i < 50; ++i, now += kSecond / 10) {
            w.counters.heartbeat_ns.set(now + static_cast<std::uint64_t>(off) * kSecond);
            EXPECT_FALSE(w.stalled_at(now)) << off;
        }
        EXPECT_TRUE(w.stalled_at(now + kSecond)) << off;
    }
}

}  // namespace
}  // namespace sluice::dp
