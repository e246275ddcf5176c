#include "dataplane/pipeline/time_sampler.hpp"

#include <algorithm>
#include <limits>

namespace sluice::dp {

namespace {

/// A stamp counts 64 cycles: fine enough for a histogram, and 32 bits of it go round in more than a minute.
constexpr unsigned kStampShift = 6;
constexpr std::uint32_t kNever = std::numeric_limits<std::uint32_t>::max();

template <typename Bounds>
std::size_t bucket_of(const Bounds& bounds, std::uint64_t value) noexcept {
    return static_cast<std::size_t>(std::lower_bound(bounds.begin(), bounds.end(), value) - bounds.begin());
}

}  // namespace

TimeSampler::TimeSampler(const TimeSampling& config, const TscRate& tsc, std::uint64_t seed,
                         abi::SampledTimes& out) noexcept
    : clock_{config.clock},
      every_{std::max(1U, config.every)},
      bursts_left_{kNever},
      random_{seed * 2 + 1},  // never 0
      tsc_{tsc},
      out_{out},
      cycles_{.clock = config.clock} {
    for (std::size_t i = 0; i < latency_bounds_.size(); ++i) {
        latency_bounds_[i] = static_cast<std::uint64_t>(abi::kLatencyBoundsNs[i]) * tsc.hz / 1'000'000'000U;
    }
    if (clock_ != nullptr) bursts_left_ = draw_distance();
}

/// 0 to 2 * every - 2, so that `every` is the mean of the bursts from one measured to the next.
std::uint32_t TimeSampler::draw_distance() noexcept {
    random_ ^= random_ << 13;  // Marsaglia's xorshift64
    random_ ^= random_ >> 7;
    random_ ^= random_ << 17;
    return static_cast<std::uint32_t>(random_ >> 32) % (2 * every_ - 1);
}

std::uint32_t TimeSampler::stamp_of(std::uint64_t cycles) noexcept {
    const auto stamp = static_cast<std::uint32_t>(cycles >> kStampShift);
    return stamp == 0 ? 1 : stamp;  // 0 means: not measured
}

std::uint64_t TimeSampler::cycles_since(std::uint32_t stamp, std::uint64_t now) noexcept {
    const auto since = static_cast<std::int32_t>(static_cast<std::uint32_t>(now >> kStampShift) - stamp);
    return since < 0 ? 0 : std::uint64_t{static_cast<std::uint32_t>(since)} << kStampShift;  // cores' counters differ
}

void TimeSampler::begin() noexcept {
    cycles_.sum = {};
    cycles_.begin();
    begun_ = cycles_.last;
}

void TimeSampler::look_for_stamps(const Burst& burst, std::size_t count) noexcept {
    std::uint32_t any = 0;
    for (std::size_t i = 0; i < count; ++i) any |= burst.packet[i].received;
    stamped_ = any != 0;
    if (!stamped_) return;
    for (std::size_t i = 0; i < count; ++i) stamps_[i] = burst.packet[i].received;
}

void TimeSampler::finish(const Burst& burst, std::size_t received, std::size_t judged, bool measured) noexcept {
    const std::uint64_t now = measured ? cycles_.last : clock_();  // `last`: the end of tx
    if (stamped_) {
        for (std::size_t i = 0; i < judged; ++i) {
            if (stamps_[i] != 0 && burst.fate[i] == Fate::forward) count_latency(cycles_since(stamps_[i], now), 1);
        }
    } else if (burst.received != 0) {
        const auto left =
            std::count(burst.fate.begin(), burst.fate.begin() + static_cast<std::ptrdiff_t>(judged), Fate::forward);
        if (left != 0) count_latency(now - begun_, static_cast<std::uint64_t>(left));
    }
    stamped_ = false;
    if (!measured) return;
    count_stages(received);
    bursts_left_ = draw_distance();
}

void TimeSampler::count_latency(std::uint64_t cycles, std::uint64_t packets) noexcept {
    out_.latency.packets[bucket_of(latency_bounds_, cycles)].add(packets);
    out_.latency.sum_ns.add(tsc_.to_ns({cycles}) * packets);
}

void TimeSampler::count_stages(std::size_t count) noexcept {
    out_.bursts.add(1);
    for (std::size_t s = 0; s < abi::kPacketStageCount; ++s) {
        abi::StageHistogram& stage = out_.stages[s];
        // A bound is inside its bucket: what is above it by a part of a cycle is not.
        const std::uint64_t each = (cycles_.sum[s] + count - 1) / count;
        stage.packets[bucket_of(abi::kStageBoundsCycles, each)].add(count);
        stage.sum_cycles.add(cycles_.sum[s]);
    }
}

}  // namespace sluice::dp
