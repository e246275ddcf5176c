/// How the benches measure: each piece of work is timed by the thread's CPU clock and by the wall clock; pieces are run
/// in turns (A, B, A, B, ...), so that what the machine does meanwhile meets both; medians are told, with their spread.
///
/// Figures are by CPU time: on a shared machine it holds still where wall time does not. Both are printed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::bench {

/// One timed piece of work.
struct Run {
    std::uint64_t count{};  ///< packets or lookups
    double wall_s{}, cpu_s{};
};

class Stopwatch {
public:
    Stopwatch() noexcept;
    Run stop(std::uint64_t count) const noexcept;

private:
    double wall_, cpu_;
};

/// Of an even number of values: the mean of the middle two. Precondition: not empty.
double median(std::vector<double> values);
/// (largest - smallest) / median; 0 for a single value.
double spread(const std::vector<double>& values);

/// Millions a second, by CPU time and by the wall, and nanoseconds each.
double mega_per_second(const Run& run);
double mega_per_second_wall(const Run& run);
double nanoseconds_each(const Run& run);

/// Some figure of each run, in order.
std::vector<double> each(const std::vector<Run>& runs, double (*figure)(const Run&));

/// By turn: the i-th of one divided by the i-th of the other. The two have the same length.
std::vector<double> ratios(const std::vector<double>& ours, const std::vector<double>& theirs);

/// Calls each of `pieces` in turn, `turns` times; result by piece. Each turn begins with another one, so that none
/// always finds the caches as the same other one has left them. One turn before that is not kept: it pays for cold
/// caches, page faults and branch history. A false of `good` ends everything (the result is then useless).
std::vector<std::vector<Run>> take_turns(int turns, const std::vector<std::function<Run()>>& pieces,
                                         const std::function<bool()>& good);

/// One result as a line of JSON: `{"bench", "variant", "params": {}, "mpps", "cycles", "peer", "peer_mpps", "ratio",
/// "runs", "spread"}` and what a bench adds.
class Result {
public:
    Result(std::string_view bench, std::string_view variant, double tsc_hz);
    Result& param(std::string_view name, std::uint64_t value);
    Result& param(std::string_view name, std::string_view value);
    /// Sets mpps, mpps_wall, cycles (of CPU time, each), runs and spread.
    Result& ours(const std::vector<Run>& runs);
    /// Sets peer, peer_mpps, peer_cycles, ratio (the median of the ratios by turn) and ratio_spread.
    Result& against(std::string_view peer, const std::vector<Run>& runs);
    /// A peer whose figure stands alone, because we have none: sets peer and peer_mpps.
    Result& peer_alone(std::string_view peer, const std::vector<Run>& runs);
    /// Sets source_cycles and net_mpps, net_cycles: each turn's own cost of the source taken off. With a peer also
    /// net_ratio. Call it last.
    Result& net_of(const std::vector<Run>& source);
    Result& number(std::string_view name, double value);  ///< six digits: for measured things
    Result& count(std::string_view name, std::uint64_t value);
    Result& text(std::string_view name, std::string_view value);
    std::string json() const;

private:
    void put(std::string& to, std::string_view name, const std::string& value);
    std::string head_, params_, fields_;
    double tsc_hz_;
    std::vector<Run> ours_, peer_;
    std::string mpps_{"null"}, cycles_{"null"}, peer_name_{"null"}, peer_mpps_{"null"}, ratio_{"null"}, spread_{"null"};
};

std::string quoted(std::string_view text);

}  // namespace sluice::bench
