/// How long packets are in a worker's hands, and where its cycles go: what each worker writes about some of its bursts
/// (dataplane/pipeline/time_sampler.hpp), as histograms that count up for as long as the process lives.
///
/// Readers take bucket by bucket while the writer goes on: a sum may be of a burst more or less than the buckets are.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include <sluice/abi/counter.hpp>

namespace sluice::abi {

/// The steps of a packet's walk, and what a worker does beside it.
/// `rest`: ageing, fragments, dumps, events, the heartbeat; and ports on which nothing arrived. Of no packet.
enum class Stage : std::uint8_t { rx, parse, track, classify, admit, act, tx, rest };
inline constexpr std::size_t kStageCount = 8;
inline constexpr std::size_t kPacketStageCount = 7;  ///< those of a packet's walk stand first
inline constexpr std::array<std::string_view, kStageCount> kStageNames{"rx",    "parse", "track", "classify",
                                                                       "admit", "act",   "tx",    "rest"};

/// Upper bounds, each inside its bucket; one bucket more is for what lies above them all. Chosen so that what a
/// firewall is asked for (15 and 80 us) are bounds, and a quantile is known to about a third of itself.
inline constexpr std::array<std::uint32_t, 31> kLatencyBoundsNs{
    250,     500,     1'000,   1'500,   2'000,     3'000,     4'000,     5'000,      6'000,     8'000,   10'000,
    15'000,  20'000,  30'000,  40'000,  50'000,    60'000,    80'000,    100'000,    150'000,   200'000, 300'000,
    400'000, 500'000, 600'000, 800'000, 1'000'000, 2'000'000, 5'000'000, 20'000'000, 50'000'000};
inline constexpr std::array<std::uint32_t, 13> kStageBoundsCycles{5,   10,    20,    50,    100,    200,   300,
                                                                  500, 1'000, 2'000, 5'000, 10'000, 50'000};

/// Packets that were forwarded, by the time from their receive to the return of the send that took them. A packet that
/// changed workers counts at its flow's, the wait between them included. What lay in a device's queue before is not in.
struct LatencyHistogram {
    std::array<Counter, kLatencyBoundsNs.size() + 1> packets;
    Counter sum_ns;
};

/// Packets, forwarded or not, by the cycles of the time-stamp counter that their burst took in a stage, divided by the
/// burst's packets. sum / packets is the mean.
struct StageHistogram {
    std::array<Counter, kStageBoundsCycles.size() + 1> packets;
    Counter sum_cycles;
};

struct SampledTimes {
    Counter bursts;  ///< that were measured
    LatencyHistogram latency;
    std::array<StageHistogram, kPacketStageCount> stages;  ///< by Stage
};

}  // namespace sluice::abi
