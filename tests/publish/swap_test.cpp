/// CASES P1, P2 and Q7: policies are switched under traffic whose packets show a mixture. One thousand switches and a
/// million packets; ten times the one and a hundred times the other in the long run.
#include <gtest/gtest.h>

#include <chrono>

#include "tests/harness/seed.hpp"
#include "tests/publish/live_dataplane.hpp"

namespace sluice::test {
namespace {

std::uint64_t swaps_wanted() { return (long_run() ? 10'000 : 1'000) / (kSanitized ? 4 : 1); }
std::uint64_t packets_wanted() { return (long_run() ? 100'000'000 : 1'000'000) / (kSanitized ? 20 : 1); }

/// More than a small machine has CPUs: any of them may be cut off anywhere.
constexpr std::uint32_t kWorkers = 3;

struct SwapRun {
    std::uint64_t swaps{}, packets{}, generations_seen{};
    Complaints complaints;
    std::vector<double> ack_ms;
};

/// Publishes until there were enough switches and packets; every answer must be `adopted`.
void publish_all(SwapRun& run, Colours& colours, const std::string& socket, Published& published,
                 const std::atomic<std::uint64_t>& packets) {
    Client client{socket};
    ASSERT_TRUE(client.claim());
    for (std::uint64_t g = 1; run.swaps < swaps_wanted() || packets < packets_wanted(); ++g) {
        const CompiledTables& tables = colours.tables(g);
        published.offered.store(g, std::memory_order_release);
        const auto start = std::chrono::steady_clock::now();
        const abi::Answer answer = client.publish(tables, 0, 60'000);
        ASSERT_EQ(answer.kind, abi::AnswerKind::adopted) << answer.where.data();
        ASSERT_EQ(answer.generation, g);
        published.acknowledged.store(g, std::memory_order_release);
        run.ack_ms.push_back(
            std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
        ++run.swaps;
    }
}

const SwapRun& swap_run() {
    static SwapRun run;
    static const bool done = [] {
        Colours colours;
        Published published;
        std::atomic<std::uint64_t> packets{0}, generations_seen{0};
        const std::uint32_t seed = seed_of_this_run();
        {
            LiveDataplane dataplane{kWorkers, [&](LiveWorker& worker, const std::atomic<bool>& stop) {
                                        Painter painter{colours, worker, published, run.complaints, seed};
                                        std::uint64_t before = 0;
                                        while (!stop) {
                                            painter.round(true);
                                            packets += painter.packets() - before;
                                            before = painter.packets();
                                            painter.pause();
                                        }
                                        generations_seen += painter.generations_seen();
                                    }};
            publish_all(run, colours, dataplane.socket(), published, packets);
        }
        run.packets = packets;
        run.generations_seen = generations_seen;
        std::sort(run.ack_ms.begin(), run.ack_ms.end());
        std::printf("%lu swaps, %lu packets, %lu switches seen by %u workers; offer to ack p50 %.2f ms, max %.1f ms\n",
                    run.swaps, run.packets, run.generations_seen, kWorkers, run.ack_ms[run.ack_ms.size() / 2],
                    run.ack_ms.back());
        return true;
    }();
    (void)done;
    return run;
}

TEST(Swap, P1_Q7_NoPacketMeetsAMixture) {
    const SwapRun& run = swap_run();
    EXPECT_EQ(run.complaints.count(), 0U) << run.complaints.text();
    // Worth something only if switches fell among packets. Every worker has run each generation, for all were adopted;
    // a round in which the machine had no time for us may have met two of them, and counts one.
    EXPECT_GE(run.generations_seen, run.swaps * kWorkers * 9 / 10);
}

/// The Painter holds every packet against what was acknowledged before it was sent; here: there was enough to hold.
TEST(Swap, P2_Q7_NothingOlderThanWhatWasAcknowledged) {
    const SwapRun& run = swap_run();
    EXPECT_EQ(run.complaints.text().find("acknowledged"), std::string::npos) << run.complaints.text();
    EXPECT_GE(run.swaps, swaps_wanted());
    EXPECT_GE(run.packets, packets_wanted());
}

}  // namespace
}  // namespace sluice::test
