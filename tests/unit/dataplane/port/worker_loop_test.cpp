/// A worker's own loop, with the machine's clocks and ports in memory.
#include "dataplane/port/worker_loop.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "dataplane/port/eal.hpp"
#include "tests/harness/memory_io.hpp"

namespace sluice::dp {
namespace {

constexpr std::uint64_t kPatienceNs = 10'000'000'000;

struct Looped {
    test::MemoryIo io{64};
    abi::WorkerCounters counters;
    std::vector<abi::RuleCounters> rules{std::vector<abi::RuleCounters>(64)};
    abi::EventRingHeader ring;
    std::vector<abi::EventSlot> ring_slots{std::vector<abi::EventSlot>(64)};
    TablesQsbr tables;
    WorkerConfig config;

    explicit Looped(const TscRate& tsc) {
        config.port_count = 2;
        config.wire_partner.fill(kNoPort);
        config.wire_partner[0] = PortIndex{1};
        config.wire_partner[1] = PortIndex{0};
        config.flow_entries_max = 1024;
        config.fail_open = true;  // packets pass without tables
        config.tsc = tsc;
        io.link[0] = io.link[1] = true;
        io.tx_room[0] = io.tx_room[1] = SIZE_MAX;
    }
    /// Runs the loop until it has slept `sleeps` times; returns how long that took.
    std::uint64_t run_until_asleep(std::uint64_t sleeps) {
        const abi::MonoTime begin = abi::MonoTime::now();
        Worker worker{config, io, {&counters, rules, &ring, ring_slots}, tables};
        std::atomic<bool> stop{false};
        std::thread thread{[&] { run_worker(worker, counters, IdleSleep{20, 320}, config.tsc, stop); }};
        while (counters.idle_sleeps.read() < sleeps && abi::MonoTime::now().ns - begin.ns < kPatienceNs) {
            std::this_thread::yield();
        }
        stop = true;
        thread.join();
        return abi::MonoTime::now().ns - begin.ns;
    }
};

TEST(WorkerLoop, CountsTheTimeOfRoundsThatHadPackets) {
    const TscRate tsc = TscCalibration{}.finish();
    Looped idle{tsc};
    idle.run_until_asleep(10);
    EXPECT_EQ(idle.counters.busy_ns.read(), 0U);

    Looped busy{tsc};
    for (int i = 0; i < 40; ++i) ASSERT_TRUE(busy.io.arrive(0, test::FrameBytes(60)));
    const std::uint64_t took_ns = busy.run_until_asleep(10);
    EXPECT_EQ(busy.counters.ports[0].forwarded_packets.read(), 40U);
    EXPECT_GT(busy.counters.busy_ns.read(), 0U);
    EXPECT_LT(busy.counters.busy_ns.read(), took_ns);
}

/// The rate is measured once and wrong by a part in a million, and the kernel's clock is steered: the worker sets its
/// clock again and again, or its events would be seconds off after a month.
TEST(WorkerLoop, ItsClockFollowsTheMachines) {
    TscRate drifted = TscCalibration{}.finish();
    drifted.origin_mono.ns -= 5'000'000'000;
    Looped looped{drifted};
    looped.run_until_asleep(10);
    EXPECT_GT(looped.counters.heartbeat_ns.read() + 4'000'000'000, abi::MonoTime::now().ns);
}

}  // namespace
}  // namespace sluice::dp
