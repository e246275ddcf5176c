#include "controlplane/telemetry/telemetry.hpp"

namespace sluice::cp {
namespace {

using namespace std::chrono_literals;

constexpr auto kDrainEvery = 25ms;
constexpr auto kCollectEvery = 1s;
constexpr std::size_t kRecentEventsMax = 16'384;

}  // namespace

Telemetry::Telemetry(FlowLogConfig flow_log, EventKeeper keeper)
    : events_{kRecentEventsMax},
      log_last_written_{FlowLog::last_written(flow_log)},
      keeper_{std::move(keeper)},
      lines_{std::move(flow_log), events_} {}

Telemetry::~Telemetry() { stop(); }

void Telemetry::start() {
    lines_.start();
    thread_ = std::thread{[this] { run(); }};
}

void Telemetry::stop() {
    {
        const std::lock_guard lock{mutex_};
        stopping_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
    lines_.stop();
    events_.close();
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
    // Of the first dataplane that this process meets, a part may be written down already, from before our own restart.
    std::vector<std::uint64_t> next;
    if (!attached_before_) {
        const auto boot_id = (*segments)->boot_id();
        if (keeper_.next) next = keeper_.next(boot_id);
        lines_.skip_before(boot_id, log_last_written_);
    }
    reader_.attach(
        std::move(*segments), [](const RingEvent&) {}, next);
    attached_before_ = true;
    return {};
}

void Telemetry::drain_locked() {
    auto batch = std::make_shared<EventBatch>();
    auto decided = std::make_shared<EventBatch>();
    reader_.drain([&](const RingEvent& event) {
        (event.kind == abi::EventKind::new_flow ? decided : batch)->events.push_back(event);
    });
    for (const auto& drained : {batch, decided}) {
        drained->boot_id = reader_.boot_id();
        drained->names = names_.names();
    }
    if (keeper_.decided && !decided->events.empty()) keeper_.decided(std::move(decided));
    if (batch->events.empty()) return;
    if (keeper_.take) keeper_.take(batch);
    lines_.submit(std::move(batch));
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
            watch_overload_locked();
            collect_at = now + kCollectEvery;
        }
        wake_.wait_for(lock, kDrainEvery, [&] { return stopping_; });
    }
    drain_locked();
}

void Telemetry::add_to(ControlMetrics& metrics) const {
    const auto lines = lines_.stats();
    metrics.flow_log_lines = lines.written;
    metrics.flow_log_failed = lines.failed;
    const std::lock_guard lock{mutex_};
    metrics.events_read = reader_.read();
    metrics.events_lost = reader_.lost();
    metrics.events_invalid = reader_.invalid();
    const auto now = abi::MonoTime::now();
    for (std::size_t s = 0; s < kOverloadStepCount; ++s) {
        metrics.overload[s] = overload_.on(static_cast<OverloadStep>(s), now);
    }
}

void Telemetry::watch_overload_locked() {
    const auto snapshot = collector_.snapshot();
    const Totals& t = snapshot->totals;
    std::uint64_t refused = 0;
    for (const auto& [name, port] : t.ports) {
        for (const auto reason : {abi::DropReason::flow_table_full, abi::DropReason::flow_index_full}) {
            refused += port.drops[static_cast<std::size_t>(reason)];
        }
    }
    overload_.add(abi::MonoTime::now(),
                  {t.events_suppressed, reader_.lost(), t.syn_early_drop + t.closing_early_drop, refused});
}

std::string Telemetry::overload() const {
    const std::lock_guard lock{mutex_};
    const auto step = overload_.highest(abi::MonoTime::now());
    return step ? std::string{kOverloadSteps[static_cast<std::size_t>(*step)]} : "none";
}

std::uint64_t Telemetry::events_lost() const {
    const std::lock_guard lock{mutex_};
    return reader_.lost();
}

std::string Telemetry::flow_log_trouble() const { return lines_.stats().trouble; }

}  // namespace sluice::cp
