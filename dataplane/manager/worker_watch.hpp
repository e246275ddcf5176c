/// Which workers still turn. A worker stores its heartbeat every loop, idle or not; one whose heartbeat has not changed
/// for kStallNs is stalled: it is named in `status` and in answers, and the others go on without it. Only the change
/// counts, by the manager's clock: a worker's clock is cycles, and what it says may be off.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include <sluice/abi/clock.hpp>
#include <sluice/abi/telemetry.hpp>

namespace sluice::dp {

/// A loop takes microseconds and sleeps sleep_us_max at most; on a starved machine the scheduler may hold a thread back
/// for tens of milliseconds.
inline constexpr std::uint64_t kStallNs = 1'000'000'000;

class WorkerWatch {
public:
    struct Change {
        std::uint32_t worker{};
        bool stalled{};
    };

    WorkerWatch(std::vector<const abi::WorkerCounters*> workers, abi::MonoTime started)
        : workers_{std::move(workers)}, beats_(workers_.size(), Beat{0, started}) {}

    /// What changed since the last call.
    std::vector<Change> check(abi::MonoTime now) {
        std::vector<Change> changes;
        for (std::uint32_t w = 0; w < workers_.size(); ++w) {
            Beat& last = beats_[w];
            if (const std::uint64_t beat = workers_[w]->heartbeat_ns.read(); beat != last.value) last = {beat, now};
            const bool stalled = now > last.seen && now.ns - last.seen.ns > kStallNs;
            const std::uint64_t bit = std::uint64_t{1} << w;
            if (stalled != ((stalled_ & bit) != 0)) changes.push_back({w, stalled});
            stalled_ = stalled ? stalled_ | bit : stalled_ & ~bit;
        }
        return changes;
    }
    bool all_started() const noexcept {
        return std::all_of(workers_.begin(), workers_.end(), [](const auto* w) { return w->heartbeat_ns.read() != 0; });
    }
    std::uint64_t stalled() const noexcept { return stalled_; }
    /// Nothing is forwarded any more: a reason to let the supervisor's watchdog run out.
    bool all_stalled() const noexcept {
        return static_cast<std::size_t>(__builtin_popcountll(stalled_)) == workers_.size();
    }

private:
    struct Beat {
        std::uint64_t value{};
        abi::MonoTime seen{};  ///< when it was first seen here
    };

    std::vector<const abi::WorkerCounters*> workers_;
    std::vector<Beat> beats_;
    std::uint64_t stalled_{};
};

}  // namespace sluice::dp
