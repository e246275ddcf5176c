// The queues of who dies first, beside plain lists.
#include "dataplane/flow/eviction.hpp"

#include <algorithm>
#include <list>
#include <random>

#include <gtest/gtest.h>

#include "tests/harness/seed.hpp"

namespace sluice::dp {
namespace {

using enum Standing;

TEST(Standing, WhoAgreedAndWhoLeft) {
    using P = FlowPhase;
    for (const P p : {P::syn_sent, P::syn_crossed, P::syn_acked_ahead, P::syn_received, P::udp_oneway, P::icmp_oneway,
                      P::other_oneway}) {
        EXPECT_EQ(standing(p), half_open) << static_cast<int>(p);
    }
    for (const P p : {P::closing, P::time_wait, P::closed}) EXPECT_EQ(standing(p), closing) << static_cast<int>(p);
    for (const P p : {P::free, P::established, P::fin_wait_original, P::fin_wait_reply, P::udp_stream, P::icmp_answered,
                      P::other_stream}) {
        EXPECT_EQ(standing(p), assured) << static_cast<int>(p);
    }
}

TEST(EvictionQueues, AgreeWithListsUnderRandomMoves) {
    constexpr std::uint32_t kEntries = 40;
    const std::uint32_t s = sluice::test::seed_of_this_run();
    SCOPED_TRACE(testing::Message() << "SEED=" << s);
    std::mt19937 random{s};
    EvictionQueues queues{kEntries};
    std::array<std::list<std::uint32_t>, 2> lists;
    std::array<Standing, kEntries> where;
    where.fill(assured);
    for (int step = 0; step < 100'000; ++step) {
        const auto entry = static_cast<std::uint32_t>(random() % kEntries);
        const auto to = static_cast<Standing>(random() % 3);
        const Standing from = where[entry];
        queues.move(entry, from, to);
        if (from != to) {
            if (from != assured) lists[static_cast<std::size_t>(from)].remove(entry);
            if (to != assured) lists[static_cast<std::size_t>(to)].push_back(entry);
            where[entry] = to;
        }
        for (const Standing q : {half_open, closing}) {
            const auto& list = lists[static_cast<std::size_t>(q)];
            ASSERT_EQ(queues.count(q), list.size()) << "step " << step;
            ASSERT_EQ(queues.oldest(q), list.empty() ? EvictionQueues::kNobody : list.front()) << "step " << step;
        }
    }
}

}  // namespace
}  // namespace sluice::dp
