#include "dataplane/port/worker_loop.hpp"

#include <sched.h>
#include <sys/prctl.h>
#include <time.h>

#include "dataplane/port/eal.hpp"

namespace sluice::dp {

void run_worker(Worker& worker, abi::WorkerCounters& counters, IdleSleep idle, const std::atomic<bool>& stop) {
    prctl(PR_SET_TIMERSLACK, 1'000);  // ns; the default of 50 us would be longer than the first sleeps
    counters.lcore = static_cast<std::uint32_t>(sched_getcpu());
    worker.go_online();
    while (!stop.load(std::memory_order_relaxed)) {
        const std::uint32_t sleep_us = idle.after_round(worker.run_once(tsc_now()));
        if (sleep_us == 0) continue;
        counters.idle_sleeps.add(1);
        const timespec time{0, static_cast<long>(sleep_us) * 1'000};
        nanosleep(&time, nullptr);
    }
    worker.go_offline();
}

}  // namespace sluice::dp
