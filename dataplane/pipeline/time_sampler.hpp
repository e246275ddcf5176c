/// Measures some bursts for telemetry: how long their packets were in our hands, and how many cycles each stage took.
///
/// One burst in `every`, the distance drawn at random between 1 and twice that: with a fixed one and two ports in turns
/// a worker would measure one port only. A burst that is measured costs nine reads of the cycle counter and some forty
/// counters; `tools/bench established --no-times` is the control run.
///
/// A packet's time begins before the call that receives its burst and ends when the send of its burst has returned. If
/// it goes to another worker, the moment travels with it (Packet::received), and the owner measures it. Fragments count
/// once for their datagram, from the last one's arrival. Packets of our own making are not counted.
#pragma once

#include <array>
#include <cstdint>

#include <sluice/abi/times.hpp>

#include "dataplane/pipeline/burst.hpp"
#include "dataplane/pipeline/packet.hpp"
#include "dataplane/pipeline/stage_cycles.hpp"
#include "dataplane/pipeline/tsc.hpp"

namespace sluice::dp {

class TimeSampler {
public:
    /// `seed`: of the distances; two workers shall not measure in step.
    TimeSampler(const TimeSampling& config, const TscRate& tsc, std::uint64_t seed, abi::SampledTimes& out) noexcept;

    /// Before a receive. Where the burst's cycles go if it is measured, else nullptr.
    StageCycles* before_receive() noexcept {
        if (bursts_left_ != 0) return nullptr;
        begin();
        return &cycles_;
    }
    /// Something was received, from a port or from another worker.
    void after_receive(Burst& burst, std::size_t count, bool from_port) noexcept {
        if (clock_ == nullptr) return;
        if (bursts_left_ != 0) {
            --bursts_left_;
        } else if (from_port) {
            burst.received = stamp_of(begun_);
        }
        if (!from_port) look_for_stamps(burst, count);
    }
    /// The burst has left; `judged`: its first packets, others went to other workers; `measured`: what before_receive
    /// said about it.
    void after_send(const Burst& burst, std::size_t received, std::size_t judged, bool measured) noexcept {
        if (measured || stamped_) finish(burst, received, judged, measured);
    }

private:
    void begin() noexcept;
    void look_for_stamps(const Burst& burst, std::size_t count) noexcept;
    void finish(const Burst& burst, std::size_t received, std::size_t judged, bool measured) noexcept;
    void count_stages(std::size_t count) noexcept;
    void count_latency(std::uint64_t cycles, std::uint64_t packets) noexcept;
    std::uint32_t draw_distance() noexcept;
    static std::uint32_t stamp_of(std::uint64_t cycles) noexcept;
    /// Of a stamp that was set less than a minute ago.
    static std::uint64_t cycles_since(std::uint32_t stamp, std::uint64_t now) noexcept;

    CycleClock clock_;
    std::uint32_t every_;
    std::uint32_t bursts_left_;  ///< until the next one that is measured
    std::uint64_t random_;
    TscRate tsc_;
    abi::SampledTimes& out_;
    std::array<std::uint64_t, abi::kLatencyBoundsNs.size()> latency_bounds_{};  ///< cycles
    StageCycles cycles_;
    std::uint64_t begun_{};
    bool stamped_{};                                 ///< the burst has packets that another worker measures
    std::array<std::uint32_t, kBurstMax> stamps_{};  ///< theirs; only if stamped_
};

}  // namespace sluice::dp
