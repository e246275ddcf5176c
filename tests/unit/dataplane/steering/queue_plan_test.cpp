#include "dataplane/steering/queue_plan.hpp"

#include <gtest/gtest.h>

#include <map>

namespace sluice::dp {
namespace {

using Queues = std::vector<std::uint16_t>;

TEST(QueuePlan, EachWorkerHasItsOwnQueueIfThereAreEnough) {
    const auto ports = plan_queues(Queues{4, 16}, 4);
    for (const PortQueues& p : ports) {
        EXPECT_EQ(p.receive, (Queues{0, 1, 2, 3}));
        EXPECT_EQ(p.transmit, (Queues{0, 1, 2, 3}));
        EXPECT_FALSE(p.transmit_is_shared);
    }
}

TEST(QueuePlan, PortsWithOneQueueAreReadByDifferentWorkers) {
    const auto ports = plan_queues(Queues{1, 1}, 2);
    EXPECT_EQ(ports[0].receive, (Queues{0, kNoQueue}));
    EXPECT_EQ(ports[1].receive, (Queues{kNoQueue, 0}));
    for (const PortQueues& p : ports) {
        EXPECT_EQ(p.transmit, (Queues{0, 0}));
        EXPECT_TRUE(p.transmit_is_shared);
    }
}

/// Whatever devices have: a queue has one reader, a worker one queue of a port, everybody can send.
TEST(QueuePlan, EveryQueueHasOneReader) {
    for (std::uint32_t workers = 1; workers <= 9; ++workers) {
        for (std::uint16_t a = 1; a <= 10; ++a) {
            for (std::uint16_t b = 1; b <= 10; ++b) {
                for (const PortQueues& p : plan_queues(Queues{a, b}, workers)) {
                    std::map<std::uint16_t, int> readers;
                    for (const std::uint16_t q : p.receive) ++readers[q];
                    readers.erase(kNoQueue);
                    for (const auto& [queue, count] : readers) EXPECT_EQ(count, 1) << queue;
                    EXPECT_EQ(readers.begin()->first, 0);
                    EXPECT_EQ(readers.rbegin()->first, readers.size() - 1);
                    ASSERT_EQ(p.transmit.size(), workers);
                    for (const std::uint16_t q : p.transmit) EXPECT_LT(q, readers.size());
                    EXPECT_EQ(p.transmit_is_shared, readers.size() < workers);
                }
            }
        }
    }
}

}  // namespace
}  // namespace sluice::dp
