/// Between the thread that drains the rings and one that writes: bounded, and never a reason to wait for the first.
/// What does not fit any more is refused, and whoever owns the queue counts it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <utility>
#include <vector>

#include "controlplane/telemetry/event_batch.hpp"

namespace sluice::cp {

class BatchQueue {
public:
    explicit BatchQueue(std::size_t events_max) : events_max_{events_max} {}

    /// False: full, or closed; the batch is not kept.
    bool push(EventBatchPtr batch) {
        {
            const std::lock_guard lock{mutex_};
            // An empty queue takes a batch of any size: a drain is at most a ring's length for each worker.
            if (closed_ || (!batches_.empty() && events_ + batch->events.size() > events_max_)) return false;
            events_ += batch->events.size();
            batches_.push_back(std::move(batch));
        }
        more_.notify_one();
        return true;
    }

    struct Taken {
        std::vector<EventBatchPtr> batches;  ///< in order; may be none
        bool closed{};                       ///< there will be no more
    };
    /// Waits until there is something, but no longer than until `deadline`.
    Taken take(std::chrono::steady_clock::time_point deadline) {
        std::unique_lock lock{mutex_};
        more_.wait_until(lock, deadline, [&] { return closed_ || !batches_.empty(); });
        events_ = 0;
        return {std::exchange(batches_, {}), closed_};
    }

    void close() {
        {
            const std::lock_guard lock{mutex_};
            closed_ = true;
        }
        more_.notify_one();
    }

private:
    const std::size_t events_max_;
    std::mutex mutex_;
    std::condition_variable more_;
    std::vector<EventBatchPtr> batches_;
    std::size_t events_{};
    bool closed_{false};
};

}  // namespace sluice::cp
