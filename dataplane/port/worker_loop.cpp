#include "dataplane/port/worker_loop.hpp"

#include <sched.h>
#include <sys/prctl.h>
#include <time.h>

#include "dataplane/port/eal.hpp"

namespace sluice::dp {

namespace {

/// The worker's time in rounds that had packets; converted to nanoseconds once per millisecond of it, not per round.
class BusyTime {
public:
    BusyTime(const TscRate& tsc, abi::WorkerCounters& counters) noexcept : tsc_{tsc}, counters_{counters} {}

    void add(TscSpan round) noexcept {
        sum_.cycles += round.cycles;
        if (sum_ > tsc_.of_ms(1)) flush();
    }
    void flush() noexcept {
        if (sum_.cycles == 0) return;
        counters_.busy_ns.add(tsc_.to_ns(sum_));
        sum_ = {};
    }

private:
    const TscRate& tsc_;
    abi::WorkerCounters& counters_;
    TscSpan sum_;
};

/// The cycle rate was measured once, to a part in a million, and the kernel steers its own clock all the time: a second
/// is off by microseconds, a month by seconds.
constexpr std::uint64_t kSetClockEveryMs = 1'000;

}  // namespace

void run_worker(Worker& worker, abi::WorkerCounters& counters, IdleSleep idle, const TscRate& tsc,
                const std::atomic<bool>& stop) {
    prctl(PR_SET_TIMERSLACK, 1'000);  // ns; the default of 50 us would be longer than the first sleeps
    counters.lcore = static_cast<std::uint32_t>(sched_getcpu());
    worker.go_online();
    BusyTime busy{tsc, counters};
    const TscSpan set_clock_every = tsc.of_ms(kSetClockEveryMs);
    TscTime now = tsc_now();
    TscTime clock_set = now;
    worker.set_clock(now, abi::MonoTime::now());
    while (!stop.load(std::memory_order_relaxed)) {
        if (now.since(clock_set) >= set_clock_every) {
            clock_set = now;
            worker.set_clock(now, abi::MonoTime::now());
        }
        const std::size_t count = worker.run_once(now);
        const TscTime after = tsc_now();  // also the next round's time, unless we sleep
        if (count != 0) busy.add(after.since(now));
        now = after;
        const std::uint32_t sleep_us = idle.after_round(count);
        if (sleep_us == 0) continue;
        busy.flush();
        counters.idle_sleeps.add(1);
        const timespec time{0, static_cast<long>(sleep_us) * 1'000};
        nanosleep(&time, nullptr);
        now = tsc_now();
    }
    worker.go_offline();
}

}  // namespace sluice::dp
