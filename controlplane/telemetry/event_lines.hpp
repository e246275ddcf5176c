/// Flow events as lines of JSON, for the flow log and for those who follow. On a thread of its own: text costs more
/// than events do, and a disk may stand still; neither may make the rings run over. Lines that come faster than they
/// can be written are lost and counted, like those that the disk does not take.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <thread>

#include "controlplane/telemetry/batch_queue.hpp"
#include "controlplane/telemetry/event_ring.hpp"
#include "controlplane/telemetry/flow_log.hpp"

namespace sluice::cp {

class EventLines {
public:
    EventLines(FlowLogConfig flow_log, EventRing& events);
    ~EventLines();
    EventLines(const EventLines&) = delete;
    EventLines& operator=(const EventLines&) = delete;

    /// Until then batches wait in the queue.
    void start();
    /// What was submitted is written first.
    void stop();

    /// Never waits.
    void submit(EventBatchPtr batch);
    /// Events of that boot before `time` stand in the log already, from before our own restart: they are left out.
    void skip_before(std::uint64_t boot_id, abi::MonoTime time);

    struct Stats {
        std::uint64_t written{}, failed{};
        std::string trouble;  ///< why lines are being lost; empty while all is well
    };
    Stats stats() const;

private:
    void run();
    void write(const EventBatch& batch);

    EventRing& events_;
    FlowLog flow_log_;  // the thread's own
    BatchQueue queue_;
    mutable std::mutex mutex_;  // what follows
    Stats stats_;
    std::uint64_t overrun_{};
    std::uint64_t skip_boot_id_{};
    abi::MonoTime skip_before_{};
    std::thread thread_;
};

}  // namespace sluice::cp
