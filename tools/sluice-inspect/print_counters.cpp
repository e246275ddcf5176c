/// `counters` and `status`. The JSON of `counters` is flat: name{label="value"} to number, as in a scenario's
/// expect.counters.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include <sluice/abi/drop_reasons.hpp>
#include <sluice/abi/layout.hpp>
#include <sluice/abi/telemetry.hpp>

#include "tools/sluice-inspect/print.hpp"

namespace sluice::inspect {

namespace {

/// One port over all workers.
struct PortSums {
    std::string name;
    std::uint64_t rx_packets{}, rx_bytes{}, tx_packets{}, tx_bytes{}, originated{}, forwarded{}, consumed{}, held{};
    std::array<std::uint64_t, abi::kDropReasonCount> drops{};

    std::uint64_t in() const { return rx_packets + originated; }
    std::uint64_t out() const {
        std::uint64_t sum = forwarded + consumed + held;
        for (const std::uint64_t d : drops) sum += d;
        return sum;
    }
};

class Counters {
public:
    static Expected<Counters, std::string> read(const Connection& connection);

    Expected<void, std::string> add_rules(const Connection& connection);

    std::vector<PortSums> ports;
    std::vector<std::pair<std::string, std::uint64_t>> others;  ///< workers' and manager's, by name{label}

    bool conserved() const {
        std::uint64_t forwarded = 0, sent = 0;
        for (const auto& p : ports) {
            if (p.in() != p.out()) return false;
            forwarded += p.forwarded;
            sent += p.tx_packets;
        }
        return forwarded == sent;
    }
};

std::string port_name(const abi::PortName& name) {
    return {name.text.data(), strnlen(name.text.data(), name.text.size())};
}

void add_port(PortSums& sum, const abi::PortCounters& c) {
    sum.rx_packets += c.rx_packets.read();
    sum.rx_bytes += c.rx_bytes.read();
    sum.tx_packets += c.tx_packets.read();
    sum.tx_bytes += c.tx_bytes.read();
    sum.originated += c.originated_packets.read();
    sum.forwarded += c.forwarded_packets.read();
    sum.consumed += c.consumed_packets.read();
    // What one worker has handed out and no other has taken in yet is in our hands, too: their sum, modulo 2^64.
    sum.held += c.held_packets.read() + c.handed_out_packets.read() - c.handed_in_packets.read();
    for (std::size_t r = 0; r < c.drops.size(); ++r) sum.drops[r] += c.drops[r].read();
}

/// Sums: who wants the histograms asks the control plane's /metrics.
void add_times(Counters& counters, std::uint32_t w, const abi::SampledTimes& times) {
    std::uint64_t packets = 0;
    for (const abi::Counter& bucket : times.latency.packets) packets += bucket.read();
    counters.others.emplace_back(fmt::format("bursts_measured{{worker=\"{}\"}}", w), times.bursts.read());
    counters.others.emplace_back(fmt::format("latency_packets{{worker=\"{}\"}}", w), packets);
    counters.others.emplace_back(fmt::format("latency_sum_ns{{worker=\"{}\"}}", w), times.latency.sum_ns.read());
    for (std::size_t s = 0; s < times.stages.size(); ++s) {
        counters.others.emplace_back(fmt::format("stage_cycles{{stage=\"{}\",worker=\"{}\"}}", abi::kStageNames[s], w),
                                     times.stages[s].sum_cycles.read());
    }
}

Expected<Counters, std::string> Counters::read(const Connection& connection) {
    auto view = View::map(connection.telemetry()[0]);
    if (!view) return Unexpected<std::string>{view.error()};
    const auto bytes = view->bytes();
    abi::TelemetryHeader header;
    std::memcpy(&header, bytes.data(), std::min(bytes.size(), sizeof header));
    const std::uint64_t end = header.first_block + header.block_bytes * header.worker_count;
    if (bytes.size() < sizeof header || header.magic != abi::kTelemetryMagic ||
        header.worker_count > abi::kWorkersMax || header.port_count > abi::kPortsMax ||
        header.block_bytes < sizeof(abi::WorkerCounters) || header.block_bytes > bytes.size() ||
        header.first_block > bytes.size() || end > bytes.size() ||
        header.first_block < sizeof header + sizeof(abi::ManagerCounters) ||
        (header.first_block | header.block_bytes) % abi::kCacheLine != 0) {
        return Unexpected<std::string>{"the counters' header makes no sense"};
    }
    Counters counters;
    counters.ports.resize(header.port_count);
    const auto& manager = *reinterpret_cast<const abi::ManagerCounters*>(bytes.data() + sizeof header);
    for (std::uint32_t p = 0; p < header.port_count; ++p) {
        counters.ports[p].name = port_name(connection.hello().ports[p]);
        const std::string label = fmt::format("{{port=\"{}\"}}", counters.ports[p].name);
        counters.others.emplace_back("rx_missed" + label, manager.port_rx_missed[p].read());
        counters.others.emplace_back("link_up" + label, manager.port_link_up[p].read());
    }
    const std::pair<const char*, const abi::Counter*> manager_fields[] = {
        {"generation", &manager.generation},
        {"publishes_adopted", &manager.publishes_adopted},
        {"publishes_refused", &manager.publishes_refused},
        {"publishes_stalled", &manager.publishes_stalled},
        {"reverts", &manager.reverts},
        {"transitions", &manager.transitions},
        {"fail_open", &manager.fail_open},
        {"flow_capacity", &manager.flow_capacity},
        {"flow_half_open_max", &manager.flow_half_open_max},
        {"flows_kept", &manager.flows_kept},
        {"steering", &manager.steering},
        {"tsc_hz", &manager.tsc_hz},
        {"set_members", &manager.set_members},
        {"set_members_max", &manager.set_members_max},
        {"set_changes", &manager.set_changes},
        {"set_expired", &manager.set_expired}};
    for (const auto& [name, counter] : manager_fields) counters.others.emplace_back(name, counter->read());
    for (std::size_t i = 0; i < abi::kFlowLossCount; ++i) {
        counters.others.emplace_back(fmt::format("flows_lost{{cause=\"{}\"}}", abi::kFlowLosses[i].name),
                                     manager.flows_lost[i].read());
    }
    if (auto ok = counters.add_rules(connection); !ok) return Unexpected<std::string>{ok.error()};
    for (std::uint32_t w = 0; w < header.worker_count; ++w) {
        const auto& worker =
            *reinterpret_cast<const abi::WorkerCounters*>(bytes.data() + header.first_block + header.block_bytes * w);
        for (std::uint32_t p = 0; p < header.port_count; ++p) add_port(counters.ports[p], worker.ports[p]);
        const std::pair<const char*, const abi::Counter*> fields[] = {
            {"bursts", &worker.bursts},
            {"idle_sleeps", &worker.idle_sleeps},
            {"busy_ns", &worker.busy_ns},
            {"flows", &worker.flows},
            {"flows_created", &worker.flows_created},
            {"flows_expired", &worker.flows_expired},
            {"flows_closed", &worker.flows_closed},
            {"flows_ended_by_policy", &worker.flows_ended_by_policy},
            {"flows_ended_by_request", &worker.flows_ended_by_request},
            {"flows_rejudged", &worker.flows_rejudged},
            {"flows_kept_on_change", &worker.flows_kept_on_change},
            {"rejudge_left", &worker.rejudge_left},
            {"flows_half_open", &worker.flows_half_open},
            {"tcp_handshakes", &worker.tcp_handshakes},
            {"tcp_handshakes_failed", &worker.tcp_handshakes_failed},
            {"syn_early_drop", &worker.syn_early_drop},
            {"closing_early_drop", &worker.closing_early_drop},
            {"flow_pressure", &worker.flow_pressure},
            {"sources", &worker.sources},
            {"lookups", &worker.lookups},
            {"events_written", &worker.events_written},
            {"events_suppressed", &worker.events_suppressed},
            {"tcp_inexact_rst", &worker.tcp_inexact_rst},
            {"udp_zero_csum6", &worker.udp_zero_csum6},
            {"flow_reopen", &worker.flow_reopen},
            {"tcp_overshoot", &worker.tcp_overshoot},
            {"flow_pickup", &worker.flow_pickup},
            {"tcp_window_unknown", &worker.tcp_window_unknown},
            {"tcp_seq_logged", &worker.tcp_seq_logged},
            {"rejects_limited", &worker.rejects_limited},
            {"frag_reassembled", &worker.frag_reassembled},
            {"frag_duplicates", &worker.frag_duplicates},
            {"frag_held_bytes", &worker.frag_held_bytes},
            {"set_hits", &worker.set_hits},
            {"icmp_related", &worker.icmp_related},
            {"steering_misplaced", &worker.steering_misplaced},
            {"syn_cookies_sent", &worker.syn_cookies_sent},
            {"syn_cookies_accepted", &worker.syn_cookies_accepted},
            {"syn_proxy_repeats", &worker.syn_proxy_repeats},
            {"syn_proxy_unanswered", &worker.syn_proxy_unanswered},
            {"syn_proxy_refused", &worker.syn_proxy_refused},
            {"syn_proxy_data", &worker.syn_proxy_data},
            {"syn_cookies_active", &worker.syn_cookies_active},
            {"flows_proxied", &worker.flows_proxied},
            {"worker_generation", &worker.generation}};
        for (const auto& [name, counter] : fields) {
            counters.others.emplace_back(fmt::format("{}{{worker=\"{}\"}}", name, w), counter->read());
        }
        add_times(counters, w, worker.times);
        std::uint64_t out = 0, in = 0;
        for (std::uint32_t p = 0; p < header.port_count; ++p) {
            out += worker.ports[p].handed_out_packets.read();
            in += worker.ports[p].handed_in_packets.read();
        }
        counters.others.emplace_back(fmt::format("handed_out{{worker=\"{}\"}}", w), out);
        counters.others.emplace_back(fmt::format("handed_in{{worker=\"{}\"}}", w), in);
    }
    return counters;
}

/// Hits by slot, over all workers; which rule has which slot says `generation`. Slots never hit are left out.
Expected<void, std::string> Counters::add_rules(const Connection& connection) {
    auto view = View::map(connection.telemetry()[1]);
    if (!view) return Unexpected<std::string>{view.error()};
    const auto bytes = view->bytes();
    abi::TelemetryHeader header;
    std::memcpy(&header, bytes.data(), std::min(bytes.size(), sizeof header));
    constexpr std::uint64_t kSlotsMax = 1U << 20;
    if (bytes.size() < sizeof header || header.magic != abi::kTelemetryMagic || header.rule_slots > kSlotsMax ||
        header.worker_count > abi::kWorkersMax || header.block_bytes < header.rule_slots * sizeof(abi::RuleCounters) ||
        header.block_bytes > bytes.size() || header.first_block > bytes.size() ||
        header.first_block + header.block_bytes * header.worker_count > bytes.size() ||
        (header.first_block | header.block_bytes) % abi::kCacheLine != 0) {
        return Unexpected<std::string>{"the rule counters' header makes no sense"};
    }
    for (std::uint32_t slot = 0; slot < header.rule_slots; ++slot) {
        std::uint64_t hits = 0;
        for (std::uint32_t w = 0; w < header.worker_count; ++w) {
            const auto* block = bytes.data() + header.first_block + header.block_bytes * w;
            hits += reinterpret_cast<const abi::RuleCounters*>(block)[slot].hits.read();
        }
        if (hits != 0) others.emplace_back(fmt::format("rule_hits{{slot=\"{}\"}}", slot), hits);
    }
    return {};
}

/// Every figure of a port by name, in the words of the conservation law.
std::vector<std::pair<std::string, std::uint64_t>> named(const PortSums& p) {
    const std::string label = fmt::format("{{port=\"{}\"}}", p.name);
    std::vector<std::pair<std::string, std::uint64_t>> all = {
        {"rx_packets" + label, p.rx_packets}, {"rx_bytes" + label, p.rx_bytes},
        {"tx_packets" + label, p.tx_packets}, {"tx_bytes" + label, p.tx_bytes},
        {"originated" + label, p.originated}, {"forwarded" + label, p.forwarded},
        {"consumed" + label, p.consumed},     {"held" + label, p.held}};
    for (std::size_t r = 0; r < p.drops.size(); ++r) {
        all.emplace_back(fmt::format("drop{{port=\"{}\",reason=\"{}\"}}", p.name, abi::kDropReasons[r].name),
                         p.drops[r]);
    }
    return all;
}

void print_json(const Counters& counters) {
    std::string text = fmt::format("{{\"conserved\": {}, \"counters\": {{", counters.conserved());
    std::string separator = "\n  ";
    const auto add = [&](const auto& list) {
        for (const auto& [name, value] : list) {
            text += fmt::format("{}{}: {}", separator, json_text(name), value);
            separator = ",\n  ";
        }
    };
    for (const auto& port : counters.ports) add(named(port));
    add(counters.others);
    fmt::print("{}\n}}}}\n", text);
}

void print_text(const Counters& counters) {
    for (const auto& port : counters.ports) {
        fmt::print("port {}: rx {} + originated {} = forwarded {} + dropped {} + consumed {} + held {}: {}\n",
                   port.name, port.rx_packets, port.originated, port.forwarded,
                   port.out() - port.forwarded - port.consumed - port.held, port.consumed, port.held,
                   port.in() == port.out() ? "balanced" : "NOT BALANCED");
        fmt::print("  sent through it: {} packets, {} bytes\n", port.tx_packets, port.tx_bytes);
        for (std::size_t r = 0; r < port.drops.size(); ++r) {
            if (port.drops[r] != 0) fmt::print("  drop {:<20} {}\n", abi::kDropReasons[r].name, port.drops[r]);
        }
    }
    for (const auto& [name, value] : counters.others) fmt::print("{} {}\n", name, value);
}

std::string hex(const abi::Digest256& digest) {
    std::string text;
    for (const std::uint8_t byte : digest.bytes) text += fmt::format("{:02x}", byte);
    return text;
}

}  // namespace

int print_counters(const Connection& connection, bool json) {
    // A worker in mid-burst has counted arrivals and not yet ends: what does not balance is read again.
    Expected<Counters, std::string> counters = Counters::read(connection);
    for (int i = 0; i < 1'000 && counters && !counters->conserved(); ++i) counters = Counters::read(connection);
    if (!counters) {
        fmt::print(stderr, "sluice-inspect: {}\n", counters.error());
        return 1;
    }
    if (json) {
        print_json(*counters);
    } else {
        print_text(*counters);
    }
    return counters->conserved() ? 0 : 1;
}

int print_status(const Connection& connection, bool json) {
    static constexpr const char* kSources[] = {"none", "publisher", "descriptor_store", "last_good", "reverted"};
    const abi::ProcessState& s = connection.hello().state;
    const abi::MonoTime now = abi::MonoTime::now();
    const std::uint64_t confirm_ms = s.confirm_deadline > now ? (s.confirm_deadline.ns - now.ns) / 1'000'000 : 0;
    const std::string_view source = s.source < std::size(kSources) ? kSources[s.source] : "?";
    if (json) {
        fmt::print(
            "{{\"pid\": {}, \"generation\": {}, \"digest\": \"{}\", \"policy\": \"{}\", \"source\": \"{}\", "
            "\"previous_generation\": {}, \"confirm_within_ms\": {}, \"workers\": {}, \"stalled_workers\": {}, "
            "\"ports\": {}, \"fail_open\": {}, \"age_ms\": {}}}\n",
            s.pid, s.running_generation, hex(s.running_digest), hex(s.running_policy_version), source,
            s.previous_generation, confirm_ms, s.worker_count, s.stalled_workers, s.port_count, s.fail_open != 0,
            (now.ns - s.started.ns) / 1'000'000);
        return 0;
    }
    if (s.running_generation == 0) {
        fmt::print("pid {} runs no policy: {} passes\n", s.pid, s.fail_open != 0 ? "everything" : "nothing");
    } else {
        fmt::print("pid {} runs generation {} (digest {}, from {})\n", s.pid, s.running_generation,
                   hex(s.running_digest).substr(0, 12), source);
    }
    if (confirm_ms != 0) {
        fmt::print("returns to generation {} in {} ms unless confirmed\n", s.previous_generation, confirm_ms);
    }
    fmt::print("{} ports, {} workers, stalled {:#x}\n", s.port_count, s.worker_count, s.stalled_workers);
    return 0;
}

}  // namespace sluice::inspect
