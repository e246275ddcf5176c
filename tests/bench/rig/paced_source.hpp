/// Another source's packets at a given rate instead of as fast as they are fetched: each is due at a moment of its own,
/// and what it has waited when its send returns is its latency, whoever was to blame. Moments are drawn as independent
/// arrivals are (exponential gaps), from a table, so that drawing costs nothing.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "dataplane/port/packet_source.hpp"

namespace sluice::bench {

/// Counts by cycles: 16 steps to each doubling, so that a quantile is known to 6 %. Fits into the first cache.
class LatencyCounts {
public:
    void add(std::uint64_t cycles) noexcept { ++counts_[place_of(cycles)]; }
    void clear() noexcept { counts_ = {}; }
    std::uint64_t total() const noexcept;
    /// Cycles that `part` (0 to 1) of all stay within; 0 if there are none.
    double quantile(double part) const noexcept;

private:
    static constexpr unsigned kSteps = 16;
    static std::size_t place_of(std::uint64_t cycles) noexcept;
    static double upper_edge(std::size_t place) noexcept;
    std::array<std::uint32_t, 40 * kSteps> counts_{};
};

class PacedSource final : public dp::PacketSource {
public:
    /// `source` outlives it. Until the first `pace` all that there is comes at once.
    PacedSource(dp::PacketSource& source, std::uint64_t seed);

    /// From now on one packet in `cycles_each`, on average; what was counted before is forgotten.
    void pace(double cycles_each) noexcept;
    void at_once() noexcept { is_paced_ = false; }
    const LatencyCounts& latency() const noexcept { return latency_; }

    std::size_t receive(dp::PortIndex port, std::span<dp::Packet> out) noexcept override;
    std::size_t send(dp::PortIndex port, std::span<const dp::Packet> packets) noexcept override;
    void release(std::span<const dp::Packet> packets) noexcept override { source_.release(packets); }
    bool allocate(std::uint32_t bytes, dp::Packet& out) noexcept override { return source_.allocate(bytes, out); }
    bool link_up(dp::PortIndex port) const noexcept override { return source_.link_up(port); }
    std::uint64_t made() const noexcept override { return source_.made(); }
    std::uint64_t sent() const noexcept override { return source_.sent(); }
    std::uint64_t starved() const noexcept override { return source_.starved(); }

private:
    static constexpr std::size_t kGaps = 1U << 14;

    dp::PacketSource& source_;
    std::vector<float> gaps_;  ///< of mean 1
    bool is_paced_{};
    double cycles_each_{}, next_due_{};  ///< since begin_
    std::size_t gap_{};
    std::uint64_t begin_{};
    std::array<double, dp::kBurstMax> due_{};  ///< of the burst that the worker has in hand
    std::size_t due_count_{}, due_sent_{};
    LatencyCounts latency_;
};

}  // namespace sluice::bench
