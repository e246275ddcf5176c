#include "tests/bench/rig/paced_source.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <random>

#include "dataplane/port/eal.hpp"

namespace sluice::bench {

/// Below kSteps each value has a place of its own; above, the first five bits tell.
std::size_t LatencyCounts::place_of(std::uint64_t cycles) noexcept {
    if (cycles < kSteps) return static_cast<std::size_t>(cycles);
    const auto doublings = static_cast<unsigned>(std::bit_width(cycles)) - 5;  // kSteps is 2^4
    const std::uint64_t step = (cycles >> doublings) - kSteps;
    return std::min<std::size_t>((doublings + 1) * kSteps + step, 40 * kSteps - 1);
}

double LatencyCounts::upper_edge(std::size_t place) noexcept {
    if (place < kSteps) return static_cast<double>(place);
    const auto doublings = static_cast<int>(place / kSteps) - 1;
    return std::ldexp(static_cast<double>(kSteps + place % kSteps + 1), doublings);
}

std::uint64_t LatencyCounts::total() const noexcept {
    return std::accumulate(counts_.begin(), counts_.end(), std::uint64_t{0});
}

double LatencyCounts::quantile(double part) const noexcept {
    const double wanted = part * static_cast<double>(total());
    double below = 0;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
        below += counts_[i];
        if (below >= wanted && below > 0) return upper_edge(i);
    }
    return 0;
}

PacedSource::PacedSource(dp::PacketSource& source, std::uint64_t seed) : source_{source}, gaps_(kGaps) {
    std::mt19937_64 random{seed};
    std::exponential_distribution<float> gap{1.0F};
    for (float& g : gaps_) g = gap(random);
    // The mean of this table shall be 1, not only that of the law.
    const float mean = std::accumulate(gaps_.begin(), gaps_.end(), 0.0F) / static_cast<float>(kGaps);
    for (float& g : gaps_) g /= mean;
}

void PacedSource::pace(double cycles_each) noexcept {
    is_paced_ = true;
    cycles_each_ = cycles_each;
    begin_ = dp::tsc_now().cycles;
    next_due_ = 0;
    due_count_ = due_sent_ = 0;
    latency_.clear();
}

std::size_t PacedSource::receive(dp::PortIndex port, std::span<dp::Packet> out) noexcept {
    if (!is_paced_) return source_.receive(port, out);
    const auto now = static_cast<double>(dp::tsc_now().cycles - begin_);
    const std::size_t room = std::min(out.size(), due_.size());
    double due = next_due_;
    std::size_t count = 0;
    while (count < room && due <= now) {
        due_[count] = due;
        due += static_cast<double>(gaps_[(gap_ + count) % kGaps]) * cycles_each_;
        ++count;
    }
    if (count == 0) return 0;
    const std::size_t got = source_.receive(port, out.first(count));  // fewer if this side has said all of its round
    next_due_ = got < count ? due_[got] : due;
    gap_ += got;
    due_count_ = got;
    due_sent_ = 0;
    return got;
}

std::size_t PacedSource::send(dp::PortIndex port, std::span<const dp::Packet> packets) noexcept {
    const std::size_t taken = source_.send(port, packets);
    if (!is_paced_) return taken;
    const auto now = static_cast<double>(dp::tsc_now().cycles - begin_);
    for (std::size_t i = 0; i < taken && due_sent_ < due_count_; ++i) {
        latency_.add(static_cast<std::uint64_t>(std::max(0.0, now - due_[due_sent_++])));
    }
    return taken;
}

}  // namespace sluice::bench
