/// One look at the whole: what is stored, what runs, whether they agree, and why not.
#include <algorithm>

#include "controlplane/lifecycle/policy_service_impl.hpp"
#include "controlplane/policy/sha256.hpp"
#include "controlplane/telemetry/event_json.hpp"

namespace sluice::cp {
namespace {

using std::chrono::system_clock;

std::string source_text(std::uint8_t source) {
    switch (static_cast<abi::StateSource>(source)) {
        case abi::StateSource::none: return "none";
        case abi::StateSource::publisher: return "publisher";
        case abi::StateSource::descriptor_store: return "descriptor_store";
        case abi::StateSource::last_good: return "last_good";
        case abi::StateSource::reverted: return "reverted";
    }
    return "none";
}

std::optional<system_clock::time_point> utc(abi::MonoTime time) {
    if (time.ns == 0) return std::nullopt;
    using namespace std::chrono;
    return system_clock::time_point{duration_cast<system_clock::duration>(nanoseconds{UtcClock{}.utc_ns(time)})};
}

std::string zone_of(const PreparedPtr& active, const std::string& port) {
    if (active == nullptr) return "";
    for (const auto& zone : active->policy.zones) {
        if (std::find(zone.ports.begin(), zone.ports.end(), port) != zone.ports.end()) return zone.name;
    }
    return "";
}

}  // namespace

SystemStatus PolicyServiceImpl::status() {
    const auto now = shared();
    telemetry_.collector().collect();
    const auto snapshot = telemetry_.collector().snapshot();
    SystemStatus status;
    status.dataplane_connected = now.connected;
    status.in_sync = now.runs(now.current);
    if (now.current != nullptr) {
        status.policy_name = now.current->policy.name;
        status.version = now.current->version;
        status.hash = now.current->hash;
        status.generation = now.current->generation();
    }
    status.source = "none";
    if (now.hello && now.connected) {
        const auto& state = now.hello->state;
        status.running_generation = state.running_generation;
        if (state.running_generation != 0) status.running_hash = to_hex(state.running_policy_version);
        status.source = source_text(state.source);
        status.confirm_deadline = utc(state.confirm_deadline);
        if (now.pending != nullptr) status.guard = now.guard;
        status.dataplane_started = utc(state.started);
        status.fail_open = state.fail_open != 0;
    }
    status.steering = abi::to_string(snapshot->steering);
    status.flows = snapshot->flows;
    status.flow_capacity = snapshot->flow_capacity;
    status.flows_half_open = snapshot->flows_half_open;
    status.flow_half_open_max = snapshot->flow_half_open_max;
    status.overload = telemetry_.overload();
    status.flow_pressure = abi::to_string(snapshot->pressure);
    status.flows_proxied = snapshot->flows_proxied;
    status.syn_cookies = snapshot->syn_cookies_active;
    status.flows_kept = snapshot->flows_kept;
    status.flows_lost = snapshot->flows_lost;
    for (std::size_t w = 0; w < snapshot->workers.size(); ++w) {
        const auto& worker = snapshot->workers[w];
        const bool stalled = now.hello && (now.hello->state.stalled_workers >> w & 1U) != 0;
        status.workers.push_back({static_cast<std::uint32_t>(w), worker.lcore, worker.generation, worker.flows, stalled,
                                  worker.received, worker.handed_out, worker.handed_in, worker.recent});
    }
    for (const auto& port : snapshot->ports) {
        const auto& totals = snapshot->totals.ports.at(port.name);
        status.ports.push_back({port.name, zone_of(now.active(), port.name), port.link_up, totals.rx_packets,
                                totals.tx_packets, totals.dropped()});
    }

    status.flow_log_trouble = telemetry_.flow_log_trouble();
    const auto records = records_.stats();
    status.records_enabled = records.enabled;
    status.records_bytes = records.bytes;
    status.records_segments = records.segments;
    status.records_lost = records.lost_queue + records.lost_disk + records.lost_sync;
    if (records.oldest_ns != 0) {
        using namespace std::chrono;
        status.records_oldest =
            system_clock::time_point{duration_cast<system_clock::duration>(nanoseconds{records.oldest_ns})};
    }
    status.records_trouble = records.trouble;

    status.audit_head = store_->audit().head();
    status.audit_trouble = store_->audit().trouble();
    if (!check_at_start_.whole) {
        status.audit_trouble += (status.audit_trouble.empty() ? "" : "; ") + check_at_start_.what;
    }

    auto& why = status.not_ready;
    if (!now.connected) {
        why.push_back("the dataplane is not there: " + client_.trouble());
    } else if (!now.publisher) {
        why.push_back("another process (" + std::to_string(now.other_publisher_pid) + ") publishes to the dataplane");
    }
    if (now.current == nullptr && now.pending == nullptr) why.push_back("no policy has been put yet");
    if (!now.trouble.empty()) why.push_back(now.trouble);
    if (now.connected && now.current != nullptr && !status.in_sync && now.pending == nullptr && now.trouble.empty()) {
        why.push_back("the dataplane runs another policy than the stored one");
    }
    if (!now.telemetry_trouble.empty()) why.push_back("counters can't be read: " + now.telemetry_trouble);
    if (!now.write_trouble.empty()) why.push_back(now.write_trouble);
    if (auto trouble = last_good_.trouble(); !trouble.empty()) why.push_back(std::move(trouble));
    return status;
}

}  // namespace sluice::cp
