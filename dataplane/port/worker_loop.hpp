/// A worker's thread: rounds until told to stop, with less and less haste while nothing arrives.
#pragma once

#include <atomic>
#include <cstdint>

#include "dataplane/pipeline/worker.hpp"

namespace sluice::dp {

/// 64 empty rounds, then sleeps that double from `first_us` to `longest_us`; the first packet ends it. With 20 us an
/// idle worker takes 7 % of a core instead of all of it and adds some 0.1 ms to a lone packet.
class IdleSleep {
public:
    IdleSleep(std::uint32_t first_us, std::uint32_t longest_us) noexcept
        : first_us_{first_us}, longest_us_{longest_us} {}

    /// How long to sleep after a round that received `count` packets; 0 = not at all.
    std::uint32_t after_round(std::size_t count) noexcept {
        if (count != 0) {
            empty_rounds_ = 0;
            next_us_ = first_us_;
            return 0;
        }
        if (++empty_rounds_ <= kEmptyRounds) return 0;
        const std::uint32_t sleep = next_us_;
        next_us_ = next_us_ * 2 < longest_us_ ? next_us_ * 2 : longest_us_;
        return sleep;
    }

private:
    static constexpr std::uint32_t kEmptyRounds = 64;
    std::uint32_t first_us_, longest_us_;
    std::uint32_t next_us_{first_us_};
    std::uint32_t empty_rounds_{};
};

/// On the worker's own thread. Comes online, runs, and goes offline before it returns.
void run_worker(Worker& worker, abi::WorkerCounters& counters, IdleSleep idle, const TscRate& tsc,
                const std::atomic<bool>& stop);

}  // namespace sluice::dp
