/// One thread that drains the event rings 40 times a second and copies the counters once a second. It writes nothing
/// down itself: what it drained goes, as a batch that is shared, to the lines of the flow log and to whoever else asked
/// for it, and neither can make it wait.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "controlplane/telemetry/collector.hpp"
#include "controlplane/telemetry/event_batch.hpp"
#include "controlplane/telemetry/event_lines.hpp"
#include "controlplane/telemetry/event_reader.hpp"
#include "controlplane/telemetry/event_ring.hpp"
#include "controlplane/telemetry/metrics.hpp"
#include "controlplane/telemetry/names.hpp"

namespace sluice::cp {

/// Somebody else who writes events down. Called on the draining thread: neither may wait.
struct EventKeeper {
    std::function<void(EventBatchPtr)> take;
    /// Where in the rings of that boot it goes on: sequence by worker. Nothing: it knows of none.
    std::function<std::vector<std::uint64_t>(std::uint64_t boot_id)> next;
    /// What was decided about new flows, while the dataplane is asked to tell it (TablesClient::watch_flows). That is
    /// no part of any log: neither `take` nor the flow log gets it. May be empty.
    std::function<void(EventBatchPtr)> decided{};
};

class Telemetry {
public:
    explicit Telemetry(FlowLogConfig flow_log, EventKeeper keeper = {});
    ~Telemetry();
    Telemetry(const Telemetry&) = delete;
    Telemetry& operator=(const Telemetry&) = delete;

    void start();
    void stop();

    /// Error: why the segments can't be used; the old ones stay.
    Expected<void, std::string> attach(const TelemetryFds& fds, std::vector<std::string> port_names);

    Collector& collector() noexcept { return collector_; }
    NameBook& names() noexcept { return names_; }
    EventRing& events() noexcept { return events_; }
    /// Fills in what the event side knows.
    void add_to(ControlMetrics& metrics) const;
    /// The last step of the overload ladder that was taken of late; "none".
    std::string overload() const;
    /// Of all rings, since the start: events that were overwritten before they were read.
    std::uint64_t events_lost() const;
    /// Why lines of the flow log are being lost, for people; empty while all is well.
    std::string flow_log_trouble() const;

private:
    void run();
    void drain_locked();
    void watch_overload_locked();

    Collector collector_;
    NameBook names_;
    EventRing events_;
    const abi::MonoTime log_last_written_;
    const EventKeeper keeper_;
    EventLines lines_;

    mutable std::mutex mutex_;  // reader_, overload_, stopping_
    std::condition_variable wake_;
    EventReader reader_;
    OverloadLadder overload_;
    bool stopping_{false};
    bool attached_before_{false};
    std::thread thread_;
};

}  // namespace sluice::cp
