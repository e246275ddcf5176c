#include "controlplane/telemetry/collector.hpp"

#include <algorithm>
#include <numeric>

namespace sluice::cp {
namespace {

/// `last` of two times, `first` of two times that are set.
abi::MonoTime later(abi::MonoTime a, abi::MonoTime b) noexcept { return std::max(a, b); }
abi::MonoTime earlier(abi::MonoTime a, abi::MonoTime b) noexcept {
    if (a.ns == 0 || b.ns == 0) return std::max(a, b);
    return std::min(a, b);
}

void add_worker(PortTotals& into, const abi::PortCounters& from) noexcept {
    into.rx_packets += from.rx_packets.read();
    into.rx_bytes += from.rx_bytes.read();
    into.tx_packets += from.tx_packets.read();
    into.tx_bytes += from.tx_bytes.read();
    into.originated += from.originated_packets.read();
    into.forwarded += from.forwarded_packets.read();
    into.consumed += from.consumed_packets.read();
    for (std::size_t r = 0; r < into.drops.size(); ++r) into.drops[r] += from.drops[r].read();
}

void add_worker(Totals& into, const abi::WorkerCounters& from) noexcept {
    into.flows_created += from.flows_created.read();
    into.flows_expired += from.flows_expired.read();
    into.flows_closed += from.flows_closed.read();
    into.flows_ended_by_policy += from.flows_ended_by_policy.read();
    into.syn_early_drop += from.syn_early_drop.read();
    into.closing_early_drop += from.closing_early_drop.read();
    into.flows_ended_by_request += from.flows_ended_by_request.read();
    into.flows_rejudged += from.flows_rejudged.read();
    into.tcp_handshakes += from.tcp_handshakes.read();
    into.tcp_handshakes_failed += from.tcp_handshakes_failed.read();
    into.flows_kept_on_change += from.flows_kept_on_change.read();
    into.lookups += from.lookups.read();
    into.events_written += from.events_written.read();
    into.events_suppressed += from.events_suppressed.read();
    into.rejects_limited += from.rejects_limited.read();
    into.tcp_inexact_rst += from.tcp_inexact_rst.read();
    into.udp_zero_csum6 += from.udp_zero_csum6.read();
    into.flow_reopen += from.flow_reopen.read();
    into.tcp_overshoot += from.tcp_overshoot.read();
    into.flow_pickup += from.flow_pickup.read();
    into.tcp_window_unknown += from.tcp_window_unknown.read();
    into.tcp_seq_logged += from.tcp_seq_logged.read();
    into.frag_reassembled += from.frag_reassembled.read();
    into.frag_duplicates += from.frag_duplicates.read();
    into.icmp_related += from.icmp_related.read();
    into.set_hits += from.set_hits.read();
    into.syn_cookies_sent += from.syn_cookies_sent.read();
    into.syn_cookies_accepted += from.syn_cookies_accepted.read();
    into.syn_proxy_repeats += from.syn_proxy_repeats.read();
    into.syn_proxy_unanswered += from.syn_proxy_unanswered.read();
    into.syn_proxy_refused += from.syn_proxy_refused.read();
    into.syn_proxy_data += from.syn_proxy_data.read();
}

RuleTotals read_rule_of(const abi::RuleCounters& from) noexcept {
    return {from.hits.read(),
            from.packets.read(),
            from.bytes.read(),
            {from.first_hit_ns.read()},
            {from.last_hit_ns.read()}};
}

}  // namespace

std::uint64_t PortTotals::dropped() const noexcept {
    return std::accumulate(drops.begin(), drops.end(), std::uint64_t{0});
}

PortTotals& PortTotals::operator+=(const PortTotals& o) noexcept {
    rx_packets += o.rx_packets;
    rx_bytes += o.rx_bytes;
    tx_packets += o.tx_packets;
    tx_bytes += o.tx_bytes;
    originated += o.originated;
    forwarded += o.forwarded;
    consumed += o.consumed;
    rx_missed += o.rx_missed;
    for (std::size_t r = 0; r < drops.size(); ++r) drops[r] += o.drops[r];
    return *this;
}

RuleTotals& RuleTotals::operator+=(const RuleTotals& o) noexcept {
    hits += o.hits;
    packets += o.packets;
    bytes += o.bytes;
    first_hit = earlier(first_hit, o.first_hit);
    last_hit = later(last_hit, o.last_hit);
    return *this;
}

Totals& Totals::operator+=(const Totals& o) {
    for (const auto& [name, port] : o.ports) ports[name] += port;
    if (rules.size() < o.rules.size()) rules.resize(o.rules.size());
    for (std::size_t s = 0; s < o.rules.size(); ++s) rules[s] += o.rules[s];
    flows_created += o.flows_created;
    flows_expired += o.flows_expired;
    flows_closed += o.flows_closed;
    flows_ended_by_policy += o.flows_ended_by_policy;
    syn_early_drop += o.syn_early_drop;
    closing_early_drop += o.closing_early_drop;
    flows_ended_by_request += o.flows_ended_by_request;
    flows_rejudged += o.flows_rejudged;
    tcp_handshakes += o.tcp_handshakes;
    tcp_handshakes_failed += o.tcp_handshakes_failed;
    flows_kept_on_change += o.flows_kept_on_change;
    lookups += o.lookups;
    events_written += o.events_written;
    events_suppressed += o.events_suppressed;
    rejects_limited += o.rejects_limited;
    tcp_inexact_rst += o.tcp_inexact_rst;
    udp_zero_csum6 += o.udp_zero_csum6;
    flow_reopen += o.flow_reopen;
    tcp_overshoot += o.tcp_overshoot;
    flow_pickup += o.flow_pickup;
    tcp_window_unknown += o.tcp_window_unknown;
    tcp_seq_logged += o.tcp_seq_logged;
    frag_reassembled += o.frag_reassembled;
    frag_duplicates += o.frag_duplicates;
    icmp_related += o.icmp_related;
    set_hits += o.set_hits;
    set_changes += o.set_changes;
    set_expired += o.set_expired;
    syn_cookies_sent += o.syn_cookies_sent;
    syn_cookies_accepted += o.syn_cookies_accepted;
    syn_proxy_repeats += o.syn_proxy_repeats;
    syn_proxy_unanswered += o.syn_proxy_unanswered;
    syn_proxy_refused += o.syn_proxy_refused;
    syn_proxy_data += o.syn_proxy_data;
    publishes_adopted += o.publishes_adopted;
    publishes_refused += o.publishes_refused;
    publishes_stalled += o.publishes_stalled;
    reverts += o.reverts;
    transitions += o.transitions;
    flows_kept += o.flows_kept;
    for (std::size_t i = 0; i < flows_lost.size(); ++i) flows_lost[i] += o.flows_lost[i];
    return *this;
}

void Collector::attach(std::shared_ptr<const TelemetrySegments> segments, std::vector<std::string> port_names) {
    const std::lock_guard lock{mutex_};
    // The last look at a dataplane that is gone: what it counted after our last copy is still in its memory.
    if (segments_ != nullptr && segments_->boot_id() != segments->boot_id()) base_ += read_totals();
    if (segments_ == nullptr || segments_->boot_id() != segments->boot_id()) windows_.clear();
    segments_ = std::move(segments);
    port_names_ = std::move(port_names);
    port_names_.resize(segments_->port_count());
    windows_.resize(segments_->worker_count());
    collect_locked();
}

void Collector::collect() {
    const std::lock_guard lock{mutex_};
    collect_locked();
}

std::shared_ptr<const Snapshot> Collector::snapshot() const {
    const std::lock_guard lock{mutex_};
    return latest_;
}

Totals Collector::read_totals() const {
    Totals totals;
    totals.rules.resize(segments_->rule_slots());
    for (std::uint32_t w = 0; w < segments_->worker_count(); ++w) {
        const auto& counters = segments_->worker(w);
        add_worker(totals, counters);
        for (std::size_t p = 0; p < port_names_.size(); ++p) {
            add_worker(totals.ports[port_names_[p]], counters.ports[p]);
        }
        const auto rules = segments_->rules(w);
        for (std::size_t s = 0; s < rules.size(); ++s) {
            totals.rules[s] += read_rule_of(rules[s]);
        }
    }
    const auto& manager = segments_->manager();
    for (std::size_t p = 0; p < port_names_.size(); ++p) {
        totals.ports[port_names_[p]].rx_missed += manager.port_rx_missed[p].read();
    }
    totals.publishes_adopted = manager.publishes_adopted.read();
    totals.publishes_refused = manager.publishes_refused.read();
    totals.publishes_stalled = manager.publishes_stalled.read();
    totals.reverts = manager.reverts.read();
    totals.transitions = manager.transitions.read();
    totals.flows_kept = manager.flows_kept.read();
    totals.set_changes = manager.set_changes.read();
    totals.set_expired = manager.set_expired.read();
    for (std::size_t i = 0; i < totals.flows_lost.size(); ++i) totals.flows_lost[i] = manager.flows_lost[i].read();
    return totals;
}

void Collector::read_levels(Snapshot& into) {
    const auto& manager = segments_->manager();
    into.flow_capacity = manager.flow_capacity.read();
    into.set_members = manager.set_members.read();
    into.set_members_max = manager.set_members_max.read();
    into.flow_half_open_max = manager.flow_half_open_max.read();
    into.flows_kept = manager.flows_kept.read();
    for (const abi::Counter& lost : manager.flows_lost) into.flows_lost += lost.read();
    into.generation = manager.generation.read();
    into.fail_open = manager.fail_open.read() != 0;
    into.tsc_hz = manager.tsc_hz.read();
    const std::uint64_t steering = manager.steering.read();  // an untrusted number
    if (steering < abi::kSteeringModeCount) into.steering = static_cast<abi::SteeringMode>(steering);
    const double elapsed_ns = static_cast<double>(into.collected.ns - latest_->collected.ns);
    for (std::uint32_t w = 0; w < segments_->worker_count(); ++w) {
        const auto& counters = segments_->worker(w);
        WorkerLevels level{counters.lcore,
                           counters.generation.read(),
                           counters.flows.read(),
                           counters.busy_ns.read(),
                           {counters.heartbeat_ns.read()},
                           0,
                           counters.rejudge_left.read()};
        level.misplaced = counters.steering_misplaced.read();
        level.times = WorkerTimes::read(counters.times);
        windows_[w].add(into.collected, level.times);
        level.recent = windows_[w].recent();
        for (std::size_t p = 0; p < port_names_.size(); ++p) {
            const abi::PortCounters& port = counters.ports[p];
            level.received += port.rx_packets.read();
            level.handed_out += port.handed_out_packets.read();
            level.handed_in += port.handed_in_packets.read();
            level.hand_over_full += port.drops[static_cast<std::size_t>(abi::DropReason::hand_over_full)].read();
        }
        if (w < latest_->workers.size() && level.busy_ns >= latest_->workers[w].busy_ns && elapsed_ns > 0) {
            const double busy_ns = static_cast<double>(level.busy_ns - latest_->workers[w].busy_ns);
            level.busy_ratio = std::min(1.0, busy_ns / elapsed_ns);
        }
        into.flows += level.flows;
        into.frag_held_bytes += counters.frag_held_bytes.read();
        into.flows_half_open += counters.flows_half_open.read();
        into.sources += counters.sources.read();
        into.flows_proxied += counters.flows_proxied.read();
        into.syn_cookies_active |= counters.syn_cookies_active.read() != 0;
        const std::uint64_t pressure = counters.flow_pressure.read();  // an untrusted number
        if (pressure < abi::kFlowPressureCount) {
            into.pressure = std::max(into.pressure, static_cast<abi::FlowPressure>(pressure));
        }
        into.workers.push_back(level);
    }
    for (std::size_t p = 0; p < port_names_.size(); ++p) {
        PortLevels level{port_names_[p], manager.port_link_up[p].read() != 0, 0};
        std::uint64_t out = 0, in = 0;
        for (std::uint32_t w = 0; w < segments_->worker_count(); ++w) {
            const abi::PortCounters& port = segments_->worker(w).ports[p];
            level.held += port.held_packets.read();
            out += port.handed_out_packets.read();
            in += port.handed_in_packets.read();
        }
        if (out > in)
            level.held += out - in;  // in the rings between workers; read one after the other, it may seem less
        into.ports.push_back(std::move(level));
    }
}

void Collector::collect_locked() {
    auto fresh = std::make_shared<Snapshot>();
    fresh->collected = abi::MonoTime::now();
    fresh->totals = base_;
    if (segments_ != nullptr) {
        fresh->totals += read_totals();
        read_levels(*fresh);
    }
    for (const auto& [slot, baseline] : rule_baseline_) {
        if (slot >= fresh->totals.rules.size()) continue;
        auto& rule = fresh->totals.rules[slot];
        rule.hits -= baseline.hits;
        rule.packets -= baseline.packets;
        rule.bytes -= baseline.bytes;
        rule.first_hit = rule.hits == 0 ? abi::MonoTime{} : later(rule.first_hit, baseline.first_hit);
        if (rule.hits == 0) rule.last_hit = {};
    }
    latest_ = std::move(fresh);
}

bool Collector::all_judged(std::uint64_t generation) const {
    const std::lock_guard lock{mutex_};
    if (segments_ == nullptr || segments_->worker_count() == 0) return false;
    for (std::uint32_t w = 0; w < segments_->worker_count(); ++w) {
        const auto& counters = segments_->worker(w);
        if (counters.generation.read() != generation || counters.rejudge_left.read() != 0) return false;
    }
    return true;
}

RuleTotals Collector::read_rule(std::uint32_t slot) const {
    RuleTotals total = slot < base_.rules.size() ? base_.rules[slot] : RuleTotals{};
    for (std::uint32_t w = 0; segments_ != nullptr && w < segments_->worker_count(); ++w) {
        const auto rules = segments_->rules(w);
        if (slot < rules.size()) total += read_rule_of(rules[slot]);
    }
    return total;
}

void Collector::rebase_rule(abi::RuleSlot slot) {
    const std::lock_guard lock{mutex_};
    const auto index = static_cast<std::uint32_t>(slot);
    RuleTotals baseline = read_rule(index);
    baseline.first_hit = abi::MonoTime::now();
    rule_baseline_[index] = baseline;
}

}  // namespace sluice::cp
