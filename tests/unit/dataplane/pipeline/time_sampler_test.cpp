// What is measured of a burst, and of which bursts; the clock is the test's. Then the same through whole workers, one
// alone and two that hand packets to each other.
#include "dataplane/pipeline/time_sampler.hpp"

#include <algorithm>
#include <memory>
#include <numeric>

#include <gtest/gtest.h>

#include "tests/harness/frames.hpp"
#include "tests/harness/harness.hpp"
#include "tests/harness/team.hpp"

namespace sluice::test {
namespace {

using dp::Fate;
using dp::Stage;

/// Cycles that are nanoseconds, too.
constexpr dp::TscRate kRate{.hz = 1'000'000'000};
std::uint64_t cycles_now;
dp::CycleClock clock() {
    return []() noexcept { return cycles_now; };
}

template <typename Histogram>
std::uint64_t packets_in(const Histogram& histogram) {
    return std::accumulate(histogram.packets.begin(), histogram.packets.end(), std::uint64_t{0},
                           [](std::uint64_t sum, const abi::Counter& bucket) { return sum + bucket.read(); });
}
/// The bound of the only bucket that has packets; 0: not one bucket.
template <typename Histogram, typename Bounds>
std::uint64_t only_bound(const Histogram& histogram, const Bounds& bounds) {
    std::uint64_t found = 0;
    for (std::size_t i = 0; i < histogram.packets.size(); ++i) {
        if (histogram.packets[i].read() == 0) continue;
        if (found != 0) return 0;
        found = i == bounds.size() ? UINT64_MAX : bounds[i];
    }
    return found;
}

struct Sampler {
    explicit Sampler(std::uint32_t every = 1, dp::CycleClock with = clock())
        : times{std::make_unique<abi::SampledTimes>()}, sampler{{with, every}, kRate, 7, *times} {
        cycles_now = 5'000'000'000;
    }
    /// A burst of a port; each stage takes `step` cycles more than the one before. Returns whether it was measured.
    bool burst_of(std::size_t packets, std::size_t forwarded, std::uint64_t step = 0) {
        return burst_of(packets, packets, forwarded, step);
    }
    bool burst_of(std::size_t packets, std::size_t judged, std::size_t forwarded, std::uint64_t step) {
        dp::StageCycles* const stages = sampler.before_receive();
        for (std::size_t i = 0; i < packets; ++i) burst->fate[i] = i < forwarded ? Fate::forward : Fate::drop;
        burst->received = 0;
        lap(stages, Stage::rx, step);
        sampler.after_receive(*burst, packets, true);
        for (std::size_t s = 1; s < abi::kPacketStageCount; ++s) {
            lap(stages, static_cast<Stage>(s), step == 0 ? 0 : step + s);
        }
        sampler.after_send(*burst, packets, judged, stages != nullptr);
        return stages != nullptr;
    }
    static void lap(dp::StageCycles* stages, Stage stage, std::uint64_t cycles) {
        cycles_now += cycles;
        if (stages != nullptr) stages->lap(stage);
    }
    std::unique_ptr<abi::SampledTimes> times;
    dp::TimeSampler sampler;
    std::unique_ptr<dp::Burst> burst{std::make_unique<dp::Burst>()};
};

TEST(TimeSampler, CountsForwardedPacketsByLatencyAndAllByCycles) {
    Sampler s;
    EXPECT_TRUE(s.burst_of(4, 3, 100));  // 7 * 100 + 1 + ... + 6 = 721 ns
    EXPECT_EQ(s.times->bursts.read(), 1U);
    EXPECT_EQ(packets_in(s.times->latency), 3U);
    EXPECT_EQ(only_bound(s.times->latency, abi::kLatencyBoundsNs), 1'000U);
    EXPECT_EQ(s.times->latency.sum_ns.read(), 3 * 721U);
    for (std::size_t stage = 0; stage < abi::kPacketStageCount; ++stage) {
        EXPECT_EQ(s.times->stages[stage].sum_cycles.read(), 100 + stage) << stage;
        EXPECT_EQ(packets_in(s.times->stages[stage]), 4U) << stage;
        EXPECT_EQ(only_bound(s.times->stages[stage], abi::kStageBoundsCycles), 50U) << stage;
    }
}

TEST(TimeSampler, PacketsThatWentToOtherWorkersCostCyclesAndAreTheirsToTime) {
    Sampler s;
    EXPECT_TRUE(s.burst_of(8, 3, 8, 100));
    EXPECT_EQ(packets_in(s.times->latency), 3U);
    EXPECT_EQ(packets_in(s.times->stages[0]), 8U);
}

TEST(TimeSampler, ABoundIsInsideItsBucket) {
    for (const auto& [cycles, bound] : {std::pair{20U, 5U}, {21U, 10U}, {40U, 10U}, {200'001U, 0xffffffffU}}) {
        Sampler s;
        s.burst_of(4, 0, cycles);
        const std::uint64_t wanted = bound == 0xffffffffU ? UINT64_MAX : bound;
        EXPECT_EQ(only_bound(s.times->stages[0], abi::kStageBoundsCycles), wanted) << cycles;
        EXPECT_EQ(packets_in(s.times->latency), 0U) << "nothing was forwarded";
    }
}

TEST(TimeSampler, WithoutAClockNothingIsMeasured) {
    Sampler s{1, nullptr};
    for (int i = 0; i < 300; ++i) EXPECT_FALSE(s.burst_of(4, 4, 10));
    EXPECT_EQ(s.times->bursts.read(), 0U);
    EXPECT_EQ(packets_in(s.times->latency), 0U);
}

TEST(TimeSampler, OneInSoManyOnAverageAndNotInStepWithPorts) {
    Sampler s{64};
    std::array<int, 2> by_port{};
    constexpr int kBursts = 64 * 4'000;
    for (int i = 0; i < kBursts; ++i) by_port[i % 2] += s.burst_of(1, 1) ? 1 : 0;
    EXPECT_NEAR(by_port[0] + by_port[1], 4'000, 200);
    EXPECT_NEAR(by_port[0], by_port[1], 400);
    EXPECT_EQ(s.times->bursts.read(), static_cast<std::uint64_t>(by_port[0] + by_port[1]));
    EXPECT_EQ(packets_in(s.times->latency), s.times->bursts.read());
}

TEST(TimeSampler, AnIdlePortDoesNotUseUpTheMeasurement) {
    Sampler s;
    EXPECT_NE(s.sampler.before_receive(), nullptr);
    cycles_now += 1'000'000;  // nothing came for so long
    EXPECT_TRUE(s.burst_of(1, 1, 100));
    EXPECT_EQ(s.times->latency.sum_ns.read(), 721U) << "from the receive that brought something";
}

cp::Policy policy() {
    PolicyBuilder p;
    p.zone("outside", {"p0"}).zone("inside", {"p1"});
    p.rule({.id = "in", .from = {"outside"}, .to = {"inside"}, .service = {"udp/53"}, .action = cp::Action::allow});
    return p.build();
}

TEST(WorkerTimes, EachForwardedPacketIsCountedOnceWhereItsFlowIs) {
    constexpr std::uint32_t kFlows = 200;
    Team t{{.workers = 2, .times = {clock(), 1}}};
    t.use(policy());
    cycles_now = 5'000'000'000;
    for (std::uint32_t n = 0; n < kFlows; ++n) {
        Udp udp{.sport = static_cast<std::uint16_t>(10'000 + n), .dport = 53};
        ASSERT_TRUE(t.arrive(0, 0, frame(Ipv4{}, udp)));
        udp.dport = 54;
        ASSERT_TRUE(t.arrive(0, 0, frame(Ipv4{}, udp)));  // denied: no latency
    }
    while (t.run(0) != 0) {
    }
    constexpr std::uint64_t kWaitNs = 90'000;
    cycles_now += kWaitNs;
    while (t.run(1) != 0) {
    }
    EXPECT_EQ(t.take_sent().size(), kFlows);
    const abi::SampledTimes& here = t.counters(0).times;
    const abi::SampledTimes& there = t.counters(1).times;
    const std::uint64_t handed = packets_in(there.latency);
    EXPECT_EQ(packets_in(here.latency) + handed, kFlows);
    EXPECT_GT(handed, kFlows / 4);
    EXPECT_EQ(here.latency.sum_ns.read(), 0U) << "the clock stood still meanwhile";
    EXPECT_EQ(only_bound(there.latency, abi::kLatencyBoundsNs), 100'000U);
    EXPECT_NEAR(static_cast<double>(there.latency.sum_ns.read()) / static_cast<double>(handed), kWaitNs, 64);
    EXPECT_EQ(packets_in(there.stages[0]), t.handed_over()) << "the denied, too";
}

TEST(WorkerTimes, NothingIsMeasuredBeforeThereIsAPolicy) {
    Harness h{{.fail_open = true, .times = {clock(), 1}}};
    EXPECT_EQ(h.fate(0, frame(Ipv4{}, Udp{.dport = 53})), "forward");
    EXPECT_EQ(h.counters().times.bursts.read(), 0U);
    h.use(policy());
    EXPECT_EQ(h.fate(0, frame(Ipv4{}, Udp{.dport = 53})), "forward");
    EXPECT_EQ(h.fate(0, frame(Ipv4{}, Udp{.dport = 54})), "policy_deny");
    EXPECT_EQ(h.counters().times.bursts.read(), 2U);
    EXPECT_EQ(packets_in(h.counters().times.latency), 1U);
}

}  // namespace
}  // namespace sluice::test
