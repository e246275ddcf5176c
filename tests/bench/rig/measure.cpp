#include "tests/bench/rig/measure.hpp"

#include <time.h>

#include <algorithm>
#include <cstdio>

namespace sluice::bench {

namespace {

double seconds(clockid_t clock) noexcept {
    timespec t{};
    clock_gettime(clock, &t);
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

std::string number_text(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.6g", value);
    return text;
}

/// The source's share taken off each run; what is left can't be less than nothing.
std::vector<double> net_nanoseconds(const std::vector<Run>& runs, const std::vector<Run>& source) {
    std::vector<double> net;
    for (std::size_t i = 0; i < runs.size(); ++i) {
        net.push_back(std::max(nanoseconds_each(runs[i]) - nanoseconds_each(source[i]), 0.01));
    }
    return net;
}

}  // namespace

Stopwatch::Stopwatch() noexcept : wall_{seconds(CLOCK_MONOTONIC)}, cpu_{seconds(CLOCK_THREAD_CPUTIME_ID)} {}

Run Stopwatch::stop(std::uint64_t count) const noexcept {
    const double cpu = seconds(CLOCK_THREAD_CPUTIME_ID) - cpu_;
    return {count, seconds(CLOCK_MONOTONIC) - wall_, cpu};
}

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    const std::size_t middle = values.size() / 2;
    return values.size() % 2 != 0 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

double spread(const std::vector<double>& values) {
    const auto [least, most] = std::minmax_element(values.begin(), values.end());
    return (*most - *least) / median(values);
}

double mega_per_second(const Run& run) { return static_cast<double>(run.count) / run.cpu_s * 1e-6; }
double mega_per_second_wall(const Run& run) { return static_cast<double>(run.count) / run.wall_s * 1e-6; }
double nanoseconds_each(const Run& run) { return run.cpu_s * 1e9 / static_cast<double>(run.count); }

std::vector<double> each(const std::vector<Run>& runs, double (*figure)(const Run&)) {
    std::vector<double> values;
    for (const Run& run : runs) values.push_back(figure(run));
    return values;
}

std::vector<double> ratios(const std::vector<double>& ours, const std::vector<double>& theirs) {
    std::vector<double> values;
    for (std::size_t i = 0; i < ours.size(); ++i) values.push_back(ours[i] / theirs[i]);
    return values;
}

std::vector<std::vector<Run>> take_turns(int turns, const std::vector<std::function<Run()>>& pieces,
                                         const std::function<bool()>& good) {
    std::vector<std::vector<Run>> runs(pieces.size());
    for (int turn = -1; turn < turns; ++turn) {
        for (std::size_t k = 0; k < pieces.size(); ++k) {
            const std::size_t p = (k + static_cast<std::size_t>(turn + 1)) % pieces.size();
            const Run run = pieces[p]();
            if (!good()) return runs;
            if (turn >= 0) runs[p].push_back(run);
        }
    }
    return runs;
}

Result::Result(std::string_view bench, std::string_view variant, double tsc_hz)
    : head_{"\"bench\": " + quoted(bench) + ", \"variant\": " + quoted(variant)}, tsc_hz_{tsc_hz} {}

void Result::put(std::string& to, std::string_view name, const std::string& value) {
    to += (to.empty() ? "" : ", ") + quoted(name) + ": " + value;
}

Result& Result::param(std::string_view name, std::uint64_t value) {
    put(params_, name, std::to_string(value));
    return *this;
}
Result& Result::param(std::string_view name, std::string_view value) {
    put(params_, name, quoted(value));
    return *this;
}
Result& Result::number(std::string_view name, double value) {
    put(fields_, name, number_text(value));
    return *this;
}
Result& Result::count(std::string_view name, std::uint64_t value) {
    put(fields_, name, std::to_string(value));
    return *this;
}
Result& Result::text(std::string_view name, std::string_view value) {
    put(fields_, name, quoted(value));
    return *this;
}

Result& Result::ours(const std::vector<Run>& runs) {
    ours_ = runs;
    mpps_ = number_text(median(each(runs, mega_per_second)));
    cycles_ = number_text(median(each(runs, nanoseconds_each)) * tsc_hz_ * 1e-9);
    spread_ = number_text(spread(each(runs, mega_per_second)));
    return number("mpps_wall", median(each(runs, mega_per_second_wall)));
}

Result& Result::against(std::string_view peer, const std::vector<Run>& runs) {
    peer_ = runs;
    const auto by_turn = ratios(each(ours_, mega_per_second), each(runs, mega_per_second));
    peer_name_ = quoted(peer);
    peer_mpps_ = number_text(median(each(runs, mega_per_second)));
    ratio_ = number_text(median(by_turn));
    number("ratio_spread", spread(by_turn));
    number("peer_mpps_wall", median(each(runs, mega_per_second_wall)));
    number("peer_cycles", median(each(runs, nanoseconds_each)) * tsc_hz_ * 1e-9);
    return number("peer_spread", spread(each(runs, mega_per_second)));
}

Result& Result::peer_alone(std::string_view peer, const std::vector<Run>& runs) {
    peer_name_ = quoted(peer);
    peer_mpps_ = number_text(median(each(runs, mega_per_second)));
    return number("peer_spread", spread(each(runs, mega_per_second)));
}

Result& Result::net_of(const std::vector<Run>& source) {
    const auto net = net_nanoseconds(ours_, source);
    number("source_cycles", median(each(source, nanoseconds_each)) * tsc_hz_ * 1e-9);
    number("net_mpps", 1e3 / median(net));
    number("net_cycles", median(net) * tsc_hz_ * 1e-9);
    if (!peer_.empty()) number("net_ratio", median(ratios(net_nanoseconds(peer_, source), net)));
    return *this;
}

std::string Result::json() const {
    return "{" + head_ + ", \"params\": {" + params_ + "}, \"mpps\": " + mpps_ + ", \"cycles\": " + cycles_ +
           ", \"peer\": " + peer_name_ + ", \"peer_mpps\": " + peer_mpps_ + ", \"ratio\": " + ratio_ +
           ", \"runs\": " + std::to_string(ours_.size()) + ", \"spread\": " + spread_ +
           (fields_.empty() ? "" : ", " + fields_) + "}";
}

std::string quoted(std::string_view text) {
    std::string out{'"'};
    for (const char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        out += c < ' ' ? ' ' : c;
    }
    return out + '"';
}

}  // namespace sluice::bench
