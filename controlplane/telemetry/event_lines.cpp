#include "controlplane/telemetry/event_lines.hpp"

#include "controlplane/telemetry/event_json.hpp"

namespace sluice::cp {
namespace {

/// Half a second of 130,000 events, some 10 MB.
constexpr std::size_t kQueueEventsMax = 65'536;
constexpr std::chrono::seconds kLookAgain{1};

}  // namespace

EventLines::EventLines(FlowLogConfig flow_log, EventRing& events)
    : events_{events}, flow_log_{std::move(flow_log)}, queue_{kQueueEventsMax} {}

EventLines::~EventLines() { stop(); }

void EventLines::start() {
    thread_ = std::thread{[this] { run(); }};
}

void EventLines::stop() {
    queue_.close();
    if (thread_.joinable()) thread_.join();
}

void EventLines::submit(EventBatchPtr batch) {
    const auto count = batch->events.size();
    if (queue_.push(std::move(batch))) return;
    const std::lock_guard lock{mutex_};
    overrun_ += count;
    stats_.failed += count;
    stats_.trouble = "events come faster than lines can be written";
}

void EventLines::skip_before(std::uint64_t boot_id, abi::MonoTime time) {
    const std::lock_guard lock{mutex_};
    skip_boot_id_ = boot_id;
    skip_before_ = time;
}

EventLines::Stats EventLines::stats() const {
    const std::lock_guard lock{mutex_};
    return stats_;
}

void EventLines::run() {
    for (;;) {
        const auto taken = queue_.take(std::chrono::steady_clock::now() + kLookAgain);
        for (const auto& batch : taken.batches) write(*batch);
        if (taken.closed) return;
    }
}

void EventLines::write(const EventBatch& batch) {
    abi::MonoTime before{};
    {
        const std::lock_guard lock{mutex_};
        if (batch.boot_id == skip_boot_id_) before = skip_before_;
    }
    std::vector<std::string> lines;
    lines.reserve(batch.events.size());
    for (const RingEvent& event : batch.events) {
        if (event.time >= before) lines.push_back(event_json(event, *batch.names, batch.clock));
    }
    flow_log_.write(lines);
    {
        const std::lock_guard lock{mutex_};
        stats_ = {flow_log_.lines_written(), flow_log_.lines_failed() + overrun_, flow_log_.trouble()};
    }
    events_.push(std::move(lines));
}

}  // namespace sluice::cp
