#include "controlplane/telemetry/times.hpp"

#include <cstddef>
#include <numeric>

namespace sluice::cp {
namespace {

template <std::size_t N>
void copy(const std::array<abi::Counter, N>& from, std::array<std::uint64_t, N>& to) noexcept {
    for (std::size_t i = 0; i < N; ++i) to[i] = from[i].read();
}

std::uint64_t less(std::uint64_t now, std::uint64_t before) noexcept { return now > before ? now - before : 0; }

template <std::size_t N>
std::array<std::uint64_t, N> less(const std::array<std::uint64_t, N>& now,
                                  const std::array<std::uint64_t, N>& before) noexcept {
    std::array<std::uint64_t, N> difference;
    for (std::size_t i = 0; i < N; ++i) difference[i] = less(now[i], before[i]);
    return difference;
}

template <std::size_t N>
std::uint64_t sum(const std::array<std::uint64_t, N>& counts) noexcept {
    return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
}

}  // namespace

WorkerTimes WorkerTimes::read(const abi::SampledTimes& from) noexcept {
    WorkerTimes times;
    times.bursts = from.bursts.read();
    copy(from.latency.packets, times.latency);
    times.latency_sum_ns = from.latency.sum_ns.read();
    for (std::size_t s = 0; s < times.stages.size(); ++s) {
        copy(from.stages[s].packets, times.stages[s].packets);
        times.stages[s].sum_cycles = from.stages[s].sum_cycles.read();
    }
    return times;
}

void TimesWindow::add(abi::MonoTime now, const WorkerTimes& times) noexcept {
    latest_ = times;
    if (!begun_) {
        begun_ = true;
        turned_ = now;
        older_ = newer_ = times;
    } else if (now.ns - turned_.ns >= kTurnNs) {
        turned_ = now;
        older_ = newer_;
        newer_ = times;
    }
}

RecentTimes TimesWindow::recent() const noexcept {
    RecentTimes recent;
    const auto latency = less(latest_.latency, older_.latency);
    recent.packets = sum(latency);
    constexpr double kNsPerUs = 1'000;
    if (const auto p50 = quantile(latency, abi::kLatencyBoundsNs, 0.5)) recent.p50_us = *p50 / kNsPerUs;
    if (const auto p99 = quantile(latency, abi::kLatencyBoundsNs, 0.99)) recent.p99_us = *p99 / kNsPerUs;
    for (std::size_t s = 0; s < latest_.stages.size(); ++s) {
        const std::uint64_t packets = sum(less(latest_.stages[s].packets, older_.stages[s].packets));
        if (packets == 0) continue;
        const std::uint64_t cycles = less(latest_.stages[s].sum_cycles, older_.stages[s].sum_cycles);
        recent.cycles_each[s] = static_cast<double>(cycles) / static_cast<double>(packets);
    }
    return recent;
}

std::optional<double> quantile(std::span<const std::uint64_t> counts, std::span<const std::uint32_t> bounds,
                               double part) noexcept {
    const double all = static_cast<double>(std::accumulate(counts.begin(), counts.end(), std::uint64_t{0}));
    if (all == 0) return std::nullopt;
    const double wanted = part * all;
    double below = 0;
    for (std::size_t i = 0; i < bounds.size(); ++i) {
        const auto here = static_cast<double>(counts[i]);
        if (below + here >= wanted && here > 0) {
            const double from = i == 0 ? 0 : bounds[i - 1];
            return from + (bounds[i] - from) * (wanted - below) / here;
        }
        below += here;
    }
    return bounds.back();
}

}  // namespace sluice::cp
