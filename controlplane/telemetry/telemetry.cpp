#include "controlplane/telemetry/telemetry.hpp"

namespace sluice::cp {
namespace {

using namespace std::chrono_literals;

constexpr auto kDrainEvery = 25ms;
constexpr auto kCollectEvery = 1s;
constexpr std::size_t kRecentEventsMax = 16'384;

}  // namespace

Telemetry::Telemetry(FlowLogConfig flow_log)
    : events_{kRecentEventsMax}, log_last_written_{FlowLog::last_written(flow_log)}, flow_log_{std::move(flow_log)} {}

Telemetry::~Telemetry() { stop(); }

void Telemetry::start() {
    thread_ = std::thread{[this] { run(); }};
}

void Telemetry::stop() {
    {
        const std::lock_guard lock{mutex_};
        stopping_ = true;
    }
    wake_.notify_all();
    events_.close();
    if (thread_.joinable()) thread_.join();
}

Expected<void, std::string> Telemetry::attach(const TelemetryFds& fds, std::vector<std::string> port_names) {
    auto segments = TelemetrySegments::map(fds);
    if (!segments) return Unexpected<std::string>(segments.error());
    if ((*segments)->port_count() != port_names.size()) {
        return Unexpected<std::string>("telemetry and hello disagree about the ports");
    }
    const std::lock_guard lock{mutex_};
    drain_locked();  // what the predecessor left in its rings, under its own names
    names_.set_ports(port_names);
    collector_.attach(*segments, std::move(port_names));
    // Of the first dataplane that this process meets, the log may hold a part already, from before our own restart.
    reader_.attach(
        std::move(*segments), [](const abi::FlowEvent&) {}, attached_before_ ? abi::MonoTime{} : log_last_written_);
    attached_before_ = true;
    return {};
}

void Telemetry::drain_locked() {
    const auto names = names_.names();
    const UtcClock clock;
    std::vector<std::string> lines;
    reader_.drain([&](const abi::FlowEvent& event) { lines.push_back(event_json(event, *names, clock)); });
    flow_log_.write(lines);
    events_.push(std::move(lines));
}

void Telemetry::run() {
    auto collect_at = std::chrono::steady_clock::now();
    std::unique_lock lock{mutex_};
    while (!stopping_) {
        drain_locked();
        if (const auto now = std::chrono::steady_clock::now(); now >= collect_at) {
            lock.unlock();
            collector_.collect();
            lock.lock();
            collect_at = now + kCollectEvery;
        }
        wake_.wait_for(lock, kDrainEvery, [&] { return stopping_; });
    }
    drain_locked();
}

void Telemetry::add_to(ControlMetrics& metrics) const {
    const std::lock_guard lock{mutex_};
    metrics.events_read = reader_.read();
    metrics.events_lost = reader_.lost();
    metrics.events_invalid = reader_.invalid();
    metrics.flow_log_lines = flow_log_.lines_written();
    metrics.flow_log_failed = flow_log_.lines_failed();
}

std::string Telemetry::flow_log_trouble() const {
    const std::lock_guard lock{mutex_};
    return flow_log_.trouble();
}

}  // namespace sluice::cp
