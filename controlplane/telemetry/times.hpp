/// A worker's histograms (abi/times.hpp) as the outside sees them: copies since its process started for Prometheus,
/// and what the last ten to twenty seconds were like for people.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include <sluice/abi/clock.hpp>
#include <sluice/abi/times.hpp>

namespace sluice::cp {

/// A copy. All of it are untrusted numbers.
struct WorkerTimes {
    struct Stage {
        std::array<std::uint64_t, abi::kStageBoundsCycles.size() + 1> packets{};
        std::uint64_t sum_cycles{};
    };
    static WorkerTimes read(const abi::SampledTimes& from) noexcept;

    std::uint64_t bursts{};
    std::array<std::uint64_t, abi::kLatencyBoundsNs.size() + 1> latency{};
    std::uint64_t latency_sum_ns{};
    std::array<Stage, abi::kPacketStageCount> stages{};
};

struct RecentTimes {
    std::uint64_t packets{};                                                ///< whose latency was measured
    std::optional<double> p50_us, p99_us;                                   ///< nothing: no packet was
    std::array<std::optional<double>, abi::kPacketStageCount> cycles_each;  ///< mean by Stage
};

/// Two copies of some time ago.
class TimesWindow {
public:
    static constexpr std::uint64_t kTurnNs = 10'000'000'000;

    /// At each collection.
    void add(abi::MonoTime now, const WorkerTimes& times) noexcept;
    /// Since ten to twenty seconds before the last `add`, or since the first.
    RecentTimes recent() const noexcept;

private:
    bool begun_{};
    abi::MonoTime turned_{};
    WorkerTimes older_, newer_, latest_;
};

/// Where `part` (0 to 1) of all that was counted lies below, in the bounds' unit; nothing if nothing was counted. It is
/// looked for inside its bucket in a straight line; what lies above all bounds is said to be the last one.
std::optional<double> quantile(std::span<const std::uint64_t> counts, std::span<const std::uint32_t> bounds,
                               double part) noexcept;

}  // namespace sluice::cp
