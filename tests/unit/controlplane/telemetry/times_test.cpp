// What people and Prometheus are told about a worker's histograms, from memory that a dataplane would write.
#include "controlplane/telemetry/times.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "controlplane/telemetry/collector.hpp"
#include "controlplane/telemetry/metrics.hpp"
#include "tests/unit/controlplane/publish/test_dataplane.hpp"

namespace sluice::cp {
namespace {

using test::TestTelemetry;

constexpr std::size_t bucket_ns(std::uint32_t bound) {
    std::size_t i = 0;
    while (abi::kLatencyBoundsNs[i] != bound) ++i;
    return i;
}

TEST(Quantile, LiesInsideItsBucket) {
    constexpr std::array<std::uint32_t, 3> kBounds{10, 20, 40};
    const auto at = [&](std::vector<std::uint64_t> counts, double part) { return quantile(counts, kBounds, part); };
    EXPECT_EQ(at({0, 0, 0, 0}, 0.5), std::nullopt);
    EXPECT_DOUBLE_EQ(*at({4, 0, 0, 0}, 0.5), 5);
    EXPECT_DOUBLE_EQ(*at({0, 10, 0, 0}, 0.99), 19.9);
    EXPECT_DOUBLE_EQ(*at({50, 0, 50, 0}, 0.5), 10);
    EXPECT_DOUBLE_EQ(*at({50, 0, 50, 0}, 0.75), 30);
    EXPECT_DOUBLE_EQ(*at({1, 0, 0, 9}, 0.99), 40) << "more than the last bound is not known";
}

TEST(TimesWindow, TellsOfTheLastTenToTwentySeconds) {
    TimesWindow window;
    WorkerTimes times;
    const auto at = [&](std::uint64_t s) { window.add({s * 1'000'000'000}, times); };
    times.latency[bucket_ns(50'000'000)] = 1'000;  // long ago, before we looked
    at(100);
    EXPECT_EQ(window.recent().packets, 0U);
    EXPECT_EQ(window.recent().p50_us, std::nullopt);
    EXPECT_EQ(window.recent().cycles_each[0], std::nullopt);
    times.latency[bucket_ns(20'000)] = 100;
    times.stages[1].packets[3] = 100;
    times.stages[1].sum_cycles = 4'200;
    at(105);
    EXPECT_EQ(window.recent().packets, 100U);
    EXPECT_DOUBLE_EQ(*window.recent().p50_us, 17.5);
    EXPECT_DOUBLE_EQ(*window.recent().cycles_each[1], 42);
    at(112);
    EXPECT_EQ(window.recent().packets, 100U);
    times.latency[bucket_ns(80'000)] = 300;
    at(123);
    EXPECT_EQ(window.recent().packets, 300U) << "the first hundred are too old";
    EXPECT_DOUBLE_EQ(*window.recent().p50_us, 70);
    times.latency = {};  // a number that goes back is nobody's business but the writer's
    at(124);
    EXPECT_EQ(window.recent().packets, 0U);
}

struct Attached {
    explicit Attached(TestTelemetry& t) {
        auto mapped =
            TelemetrySegments::map({UniqueFd{::dup(t.fd(0))}, UniqueFd{::dup(t.fd(1))}, UniqueFd{::dup(t.fd(2))}});
        EXPECT_TRUE(mapped.has_value());
        collector.attach(*mapped, {"outside", "inside"});
    }
    std::string text() {
        collector.collect();
        return metrics_text(*collector.snapshot(), {}, Names{}, false);
    }
    Collector collector;
};

TEST(Metrics, HistogramsAreCumulativeAndInSeconds) {
    TestTelemetry t{1, 2, 2};
    Attached a{t};
    auto& times = t.worker(1).times;
    times.bursts.set(9);
    times.latency.packets[bucket_ns(15'000)].set(3);
    times.latency.packets[bucket_ns(80'000)].set(2);
    times.latency.packets.back().set(1);
    times.latency.sum_ns.set(60'250'000);
    times.stages[static_cast<std::size_t>(abi::Stage::track)].packets[4].set(7);
    times.stages[static_cast<std::size_t>(abi::Stage::track)].sum_cycles.set(511);
    t.manager().tsc_hz.set(2'100'000'000);
    const std::string text = a.text();
    for (const char* line : {"sluice_worker_latency_seconds_bucket{worker=\"1\",le=\"1e-05\"} 0",
                             "sluice_worker_latency_seconds_bucket{worker=\"1\",le=\"1.5e-05\"} 3",
                             "sluice_worker_latency_seconds_bucket{worker=\"1\",le=\"8.000000000000001e-05\"} 5",
                             "sluice_worker_latency_seconds_bucket{worker=\"1\",le=\"+Inf\"} 6",
                             "sluice_worker_latency_seconds_count{worker=\"1\"} 6",
                             "sluice_worker_latency_seconds_sum{worker=\"1\"} 0.06025",
                             "sluice_worker_latency_seconds_count{worker=\"0\"} 0",
                             "sluice_stage_cycles_bucket{stage=\"track\",worker=\"1\",le=\"50\"} 0",
                             "sluice_stage_cycles_bucket{stage=\"track\",worker=\"1\",le=\"100\"} 7",
                             "sluice_stage_cycles_count{stage=\"track\",worker=\"1\"} 7",
                             "sluice_stage_cycles_sum{stage=\"track\",worker=\"1\"} 511",
                             "sluice_worker_bursts_measured_total{worker=\"1\"} 9", "sluice_tsc_hertz 2100000000"}) {
        EXPECT_NE(text.find(std::string{line} + "\n"), std::string::npos) << line << '\n' << text;
    }
    EXPECT_EQ(text.find("stage=\"rest\""), std::string::npos) << "it is no packet's";
    EXPECT_DOUBLE_EQ(*a.collector.snapshot()->workers[1].recent.p50_us, 15);

    std::FILE* promtool = ::popen("promtool check metrics 2>&1", "w");
    ASSERT_NE(promtool, nullptr);
    ASSERT_EQ(std::fwrite(text.data(), 1, text.size(), promtool), text.size());
    EXPECT_EQ(::pclose(promtool), 0);
}

TEST(Metrics, HistogramsOfANewDataplaneBeginAnew) {
    TestTelemetry old{1, 1, 2}, fresh{2, 1, 2};
    Attached a{old};
    old.worker(0).times.latency.packets[2].set(50);
    (void)a.text();
    EXPECT_EQ(a.collector.snapshot()->workers[0].recent.packets, 50U);
    auto mapped = TelemetrySegments::map(
        {UniqueFd{::dup(fresh.fd(0))}, UniqueFd{::dup(fresh.fd(1))}, UniqueFd{::dup(fresh.fd(2))}});
    a.collector.attach(*mapped, {"outside", "inside"});
    fresh.worker(0).times.latency.packets[2].set(4);
    EXPECT_NE(a.text().find("sluice_worker_latency_seconds_count{worker=\"0\"} 4\n"), std::string::npos);
    EXPECT_EQ(a.collector.snapshot()->workers[0].recent.packets, 4U);
}

}  // namespace
}  // namespace sluice::cp
