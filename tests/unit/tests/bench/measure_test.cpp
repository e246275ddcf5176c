/// What the benches make of their times: worked out by hand here.
#include "tests/bench/rig/measure.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sluice::bench {
namespace {

/// A million packets in so many milliseconds of CPU time; the wall's clock took twice as long.
Run run(double cpu_ms) { return {1'000'000, cpu_ms * 2e-3, cpu_ms * 1e-3}; }

TEST(Measure, MedianIsTheMiddleOneWhateverTheOrder) {
    EXPECT_DOUBLE_EQ(median({5}), 5);
    EXPECT_DOUBLE_EQ(median({9, 1, 2}), 2);
    EXPECT_DOUBLE_EQ(median({1, 100, 3, 2}), 2.5);
    EXPECT_DOUBLE_EQ(median({7, 1, 3, 9, 5}), 5);
}

TEST(Measure, SpreadIsTheWholeRangeOverTheMedian) {
    EXPECT_DOUBLE_EQ(spread({4}), 0);
    EXPECT_DOUBLE_EQ(spread({4, 4, 4}), 0);
    EXPECT_DOUBLE_EQ(spread({12, 8, 10}), 0.4);
    EXPECT_DOUBLE_EQ(spread({1, 2, 3, 4}), 3 / 2.5);
}

TEST(Measure, FiguresAreByCpuTimeAndTheWallStandsBeside) {
    EXPECT_DOUBLE_EQ(mega_per_second(run(100)), 10);
    EXPECT_DOUBLE_EQ(mega_per_second_wall(run(100)), 5);
    EXPECT_DOUBLE_EQ(nanoseconds_each(run(100)), 100);
}

TEST(Measure, RatiosAreTakenByTurn) { EXPECT_EQ(ratios({10, 30}, {5, 10}), (std::vector<double>{2, 3})); }

TEST(Measure, TheStopwatchCountsItsOwnThreadsTime) {
    const Stopwatch watch;
    volatile std::uint64_t sink = 0;
    for (std::uint64_t i = 0; i < 1'000'000; ++i) sink = sink + i;
    const auto r = watch.stop(7);
    EXPECT_EQ(r.count, 7U);
    EXPECT_GT(r.cpu_s, 0);
    EXPECT_GT(r.wall_s, 0);
    EXPECT_LT(r.cpu_s, r.wall_s + 0.05);
}

TEST(TakeTurns, EachBeginsWithAnotherAndTheFirstIsThrownAway) {
    std::string order;
    double next = 1;
    const auto piece = [&](char name) {
        return [&order, &next, name] {
            order += name;
            return run(next++);
        };
    };
    const auto runs = take_turns(2, {piece('a'), piece('b')}, [] { return true; });
    EXPECT_EQ(order, "abbaab");
    ASSERT_EQ(runs.size(), 2U);
    EXPECT_EQ(each(runs[0], nanoseconds_each), (std::vector<double>{4, 5}));
    EXPECT_EQ(each(runs[1], nanoseconds_each), (std::vector<double>{3, 6}));
}

TEST(TakeTurns, EndsAtOnceWhenSomethingIsWrong) {
    int calls = 0;
    take_turns(5, {[&] { return ++calls, run(1); }}, [&] { return calls < 3; });
    EXPECT_EQ(calls, 3);
}

TEST(Result, IsTheLineThatTheContractNames) {
    Result result{"established", "marked-good", 2e9};
    result.param("flows", std::uint64_t{64}).param("set", "a \"b\"");
    // Ours: 10, 5 and 4 Mpps; theirs 20, 20 and 10; the source alone 50, 50 and 50 ns.
    result.ours({run(100), run(200), run(250)}).against("rte_acl", {run(50), run(50), run(100)});
    result.net_of({run(50), run(50), run(50)});
    EXPECT_EQ(result.json(),
              "{\"bench\": \"established\", \"variant\": \"marked-good\", \"params\": {\"flows\": 64, \"set\": \"a "
              "\\\"b\\\"\"}, \"mpps\": 5, \"cycles\": 400, \"peer\": \"rte_acl\", \"peer_mpps\": 20, \"ratio\": 0.4, "
              "\"runs\": 3, \"spread\": 1.2, \"mpps_wall\": 2.5, \"ratio_spread\": 0.625, \"peer_mpps_wall\": 10, "
              "\"peer_cycles\": 100, \"peer_spread\": 0.5, \"source_cycles\": 100, \"net_mpps\": 6.66667, "
              "\"net_cycles\": 300, \"net_ratio\": 0.0002}");
}

TEST(Result, SaysNullWhereThereIsNoFigure) {
    Result result{"classify", "vector", 2e9};
    result.text("refused", "too-big").count("flows", 12'345'678).peer_alone("rte_acl", {run(100)});
    EXPECT_EQ(result.json(),
              "{\"bench\": \"classify\", \"variant\": \"vector\", \"params\": {}, \"mpps\": null, \"cycles\": null, "
              "\"peer\": \"rte_acl\", \"peer_mpps\": 10, \"ratio\": null, \"runs\": 0, \"spread\": null, \"refused\": "
              "\"too-big\", \"flows\": 12345678, \"peer_spread\": 0}");
}

}  // namespace
}  // namespace sluice::bench
