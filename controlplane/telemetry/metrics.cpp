#include "controlplane/telemetry/metrics.hpp"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <deque>
#include <limits>
#include <sstream>
#include <utility>

namespace sluice::cp {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

/// Collects families; a family's series are added where it is declared.
class Families {
public:
    MetricFamily& family(std::string name, MetricType type, std::string help) {
        return families_.emplace_back(MetricFamily{std::move(name), std::move(help), type, {}});
    }
    void counter(std::string name, std::string help, std::uint64_t value) {
        add(family(std::move(name), MetricType::Counter, std::move(help)), {}, static_cast<double>(value));
    }
    void gauge(std::string name, std::string help, double value) {
        add(family(std::move(name), MetricType::Gauge, std::move(help)), {}, value);
    }
    static void add(MetricFamily& family, Labels labels, double value) {
        ClientMetric metric;
        metric.label = std::move(labels);
        if (family.type == MetricType::Counter) metric.counter.value = value;
        if (family.type == MetricType::Gauge) metric.gauge.value = value;
        family.metric.push_back(std::move(metric));
    }
    static void add(MetricFamily& family, Labels labels, std::uint64_t value) {
        add(family, std::move(labels), static_cast<double>(value));
    }
    /// `counts`: of each bucket alone, one more than there are bounds. A bucket's bound is bounds[i] * unit.
    template <typename Counts, typename Bounds>
    static void add_histogram(MetricFamily& family, Labels labels, const Counts& counts, const Bounds& bounds,
                              double per_unit, double sum) {
        ClientMetric metric;
        metric.label = std::move(labels);
        std::uint64_t cumulative = 0;
        for (std::size_t i = 0; i < counts.size(); ++i) {
            cumulative += counts[i];
            const bool last = i == bounds.size();
            metric.histogram.bucket.push_back({cumulative, last ? std::numeric_limits<double>::infinity()
                                                                : static_cast<double>(bounds[i]) / per_unit});
        }
        metric.histogram.sample_count = cumulative;
        metric.histogram.sample_sum = sum;
        family.metric.push_back(std::move(metric));
    }
    std::string text() const {
        std::ostringstream out;
        prometheus::TextSerializer{}.Serialize(out, std::vector<MetricFamily>{families_.begin(), families_.end()});
        return out.str();
    }

private:
    std::deque<MetricFamily> families_;  // a deque: references to families stay good
};

template <typename Add>
void per_port(Families& all, const Totals& totals, std::string name, std::string help, Add&& add) {
    auto& family = all.family(std::move(name), MetricType::Counter, std::move(help));
    for (const auto& [port, values] : totals.ports) add(family, port, values);
}

void port_families(Families& all, const Totals& totals) {
    per_port(all, totals, "sluice_packets_total",
             "Packets by port of arrival and by what became of them; received + originated = their sum + held.",
             [](MetricFamily& f, const std::string& port, const PortTotals& p) {
                 Families::add(f, {{"port", port}, {"verdict", "forwarded"}}, p.forwarded);
                 Families::add(f, {{"port", port}, {"verdict", "dropped"}}, p.dropped());
                 Families::add(f, {{"port", port}, {"verdict", "consumed"}}, p.consumed);
             });
    const auto simple = [&](const char* name, const char* help, std::uint64_t PortTotals::*member) {
        per_port(all, totals, name, help, [member](MetricFamily& f, const std::string& port, const PortTotals& p) {
            Families::add(f, {{"port", port}}, p.*member);
        });
    };
    simple("sluice_rx_packets_total", "Packets received on the port.", &PortTotals::rx_packets);
    simple("sluice_tx_packets_total", "Packets sent through the port.", &PortTotals::tx_packets);
    per_port(all, totals, "sluice_bytes_total", "Layer-2 bytes through the port.",
             [](MetricFamily& f, const std::string& port, const PortTotals& p) {
                 Families::add(f, {{"port", port}, {"direction", "rx"}}, p.rx_bytes);
                 Families::add(f, {{"port", port}, {"direction", "tx"}}, p.tx_bytes);
             });
    simple("sluice_originated_packets_total", "Packets of our own making, on behalf of arrivals on the port.",
           &PortTotals::originated);
    simple("sluice_rx_missed_total", "Packets that the device dropped before we saw them.", &PortTotals::rx_missed);
    // All reasons from the first scrape on, so that an alert on a rate sees the first drop too.
    per_port(all, totals, "sluice_drop_reasons_total", "Packets dropped, by reason and port of arrival.",
             [](MetricFamily& f, const std::string& port, const PortTotals& p) {
                 for (std::size_t r = 0; r < abi::kDropReasonCount; ++r) {
                     Families::add(f, {{"port", port}, {"reason", std::string{abi::kDropReasons[r].name}}}, p.drops[r]);
                 }
             });
}

/// Of the running dataplane process: with it they begin at 0 again, as Prometheus expects of counters.
void worker_families(Families& all, const Snapshot& s) {
    auto& packets = all.family("sluice_worker_packets_total", MetricType::Counter,
                               "Packets that the worker received from devices, that it handed over to the workers that "
                               "own their flows, and that others handed to it.");
    auto& full = all.family("sluice_worker_hand_over_full_total", MetricType::Counter,
                            "Packets that the worker dropped because the ring to their flow's worker was full.");
    auto& misplaced =
        all.family("sluice_worker_misplaced_total", MetricType::Counter,
                   "Spot checks that found a packet which its device should have given to another worker.");
    auto& flows = all.family("sluice_worker_flows", MetricType::Gauge, "Flows that the worker owns.");
    for (std::size_t w = 0; w < s.workers.size(); ++w) {
        const WorkerLevels& level = s.workers[w];
        const std::string worker = std::to_string(w);
        Families::add(packets, {{"way", "received"}, {"worker", worker}}, level.received);
        Families::add(packets, {{"way", "handed_out"}, {"worker", worker}}, level.handed_out);
        Families::add(packets, {{"way", "handed_in"}, {"worker", worker}}, level.handed_in);
        Families::add(full, {{"worker", worker}}, level.hand_over_full);
        Families::add(misplaced, {{"worker", worker}}, level.misplaced);
        Families::add(flows, {{"worker", worker}}, level.flows);
    }
    auto& mode =
        all.family("sluice_steering", MetricType::Gauge,
                   "1 for how packets come to their flow's worker: there is one, devices place them, or workers "
                   "hand them over.");
    for (std::uint8_t m = 0; m < abi::kSteeringModeCount; ++m) {
        const auto steering = static_cast<abi::SteeringMode>(m);
        Families::add(mode, {{"mode", abi::to_string(steering)}}, s.steering == steering ? 1.0 : 0.0);
    }
}

/// The same: of the running process, and of the bursts that it measured.
void time_families(Families& all, const Snapshot& s) {
    constexpr double kNsPerSecond = 1e9;
    auto& latency = all.family("sluice_worker_latency_seconds", MetricType::Histogram,
                               "Time of forwarded packets from their receive to the end of their send, in measured "
                               "bursts; waiting for their flow's worker is in, waiting in a device is not.");
    auto& cycles = all.family("sluice_stage_cycles", MetricType::Histogram,
                              "Cycles that a stage took for a packet (its burst's by its packets), in measured bursts; "
                              "sluice_tsc_hertz says how long one is.");
    auto& bursts = all.family("sluice_worker_bursts_measured_total", MetricType::Counter,
                              "Bursts that the two histograms above are of.");
    for (std::size_t w = 0; w < s.workers.size(); ++w) {
        const WorkerTimes& times = s.workers[w].times;
        const std::string worker = std::to_string(w);
        Families::add_histogram(latency, {{"worker", worker}}, times.latency, abi::kLatencyBoundsNs, kNsPerSecond,
                                static_cast<double>(times.latency_sum_ns) / kNsPerSecond);
        for (std::size_t stage = 0; stage < times.stages.size(); ++stage) {
            Families::add_histogram(cycles, {{"stage", std::string{abi::kStageNames[stage]}}, {"worker", worker}},
                                    times.stages[stage].packets, abi::kStageBoundsCycles, 1,
                                    static_cast<double>(times.stages[stage].sum_cycles));
        }
        Families::add(bursts, {{"worker", worker}}, times.bursts);
    }
    all.gauge("sluice_tsc_hertz", "Cycles a second of the dataplane's clock.", static_cast<double>(s.tsc_hz));
}

void level_families(Families& all, const Snapshot& s) {
    auto& link = all.family("sluice_port_link_up", MetricType::Gauge, "1 while the port has a link.");
    auto& held = all.family("sluice_port_held_packets", MetricType::Gauge, "Packets in our hands right now.");
    for (const auto& port : s.ports) {
        Families::add(link, {{"port", port.name}}, port.link_up ? 1.0 : 0.0);
        Families::add(held, {{"port", port.name}}, port.held);
    }
    all.gauge("sluice_frag_held_bytes", "Frames of fragments whose datagram is not whole yet.",
              static_cast<double>(s.frag_held_bytes));
    all.gauge("sluice_flows", "Flows being tracked.", static_cast<double>(s.flows));
    all.gauge("sluice_flow_table_capacity", "Flows that can be tracked.", static_cast<double>(s.flow_capacity));
    all.gauge("sluice_set_members", "Members of sets (members: api), replacements that are on their way included.",
              static_cast<double>(s.set_members));
    all.gauge("sluice_set_members_max", "Members that there is room for.", static_cast<double>(s.set_members_max));
    all.gauge("sluice_flows_half_open", "Flows that the other side has not agreed to.",
              static_cast<double>(s.flows_half_open));
    all.gauge("sluice_flow_half_open_max", "Half-open flows that may be tracked.",
              static_cast<double>(s.flow_half_open_max));
    auto& pressure = all.family("sluice_flow_pressure", MetricType::Gauge,
                                "1 for what a new flow cost in the last second, by the worst of the workers: nothing, "
                                "the oldest half-open flow, the oldest closing one, or full: it was refused.");
    for (std::uint8_t p = 0; p < abi::kFlowPressureCount; ++p) {
        const auto level = static_cast<abi::FlowPressure>(p);
        Families::add(pressure, {{"level", abi::to_string(level)}}, s.pressure == level ? 1.0 : 0.0);
    }
    all.gauge("sluice_flows_proxied", "Flows whose numbers are translated, because a SYN cookie began them.",
              static_cast<double>(s.flows_proxied));
    all.gauge("sluice_syn_cookies_active", "1 while SYNs are answered with cookies (in the last second, any worker).",
              s.syn_cookies_active ? 1 : 0);
    all.gauge("sluice_limited_sources", "Sources with flows of rules that limit by source.",
              static_cast<double>(s.sources));
    auto& busy = all.family("sluice_lcore_busy_ratio", MetricType::Gauge,
                            "Share of the last second that the worker's core spent on packets.");
    auto& generation =
        all.family("sluice_lcore_generation", MetricType::Gauge, "Generation that the worker's last burst ran under.");
    auto& rejudge = all.family("sluice_lcore_rejudge_left", MetricType::Gauge,
                               "Places of its flow table that the worker has still to look at after a switch.");
    for (const auto& worker : s.workers) {
        Families::add(busy, {{"lcore", std::to_string(worker.lcore)}}, worker.busy_ratio);
        Families::add(generation, {{"lcore", std::to_string(worker.lcore)}}, worker.generation);
        Families::add(rejudge, {{"lcore", std::to_string(worker.lcore)}}, worker.rejudge_left);
    }
    all.gauge("sluice_fail_open", "1 while traffic passes without a policy because the configuration says so.",
              s.fail_open ? 1 : 0);
    all.gauge("sluice_generation", "Generation that the dataplane runs; 0 = none.", static_cast<double>(s.generation));
}

void total_families(Families& all, const Totals& t) {
    all.counter("sluice_flows_created_total", "Flows admitted.", t.flows_created);
    auto& ended = all.family("sluice_flows_ended_total", MetricType::Counter, "Flows that went away, by cause.");
    Families::add(ended, {{"cause", "expired"}}, t.flows_expired);
    Families::add(ended, {{"cause", "closed"}}, t.flows_closed);
    Families::add(ended, {{"cause", "policy"}}, t.flows_ended_by_policy);
    Families::add(ended, {{"cause", "syn_early_drop"}}, t.syn_early_drop);
    Families::add(ended, {{"cause", "closing_early_drop"}}, t.closing_early_drop);
    Families::add(ended, {{"cause", "request"}}, t.flows_ended_by_request);
    all.counter("sluice_flows_kept_total", "Flows that a restarted dataplane took over from the process before it.",
                t.flows_kept);
    auto& lost = all.family("sluice_flows_lost_total", MetricType::Counter,
                            "Flows that a restarted dataplane could not take over, by cause.");
    for (std::size_t i = 0; i < abi::kFlowLossCount; ++i) {
        Families::add(lost, {{"cause", std::string{abi::kFlowLosses[i].name}}}, t.flows_lost[i]);
    }
    auto& handshakes = all.family("sluice_tcp_handshakes_total", MetricType::Counter,
                                  "TCP connections that were established, and those that came to nothing: SYNs that no "
                                  "rule or limit let in, flows that ended before their handshake was over.");
    Families::add(handshakes, {{"result", "established"}}, t.tcp_handshakes);
    Families::add(handshakes, {{"result", "failed"}}, t.tcp_handshakes_failed);
    all.counter("sluice_flows_rejudged_total", "Live flows about which the policy was asked again after a change.",
                t.flows_rejudged);
    all.counter("sluice_flows_kept_on_change_total",
                "Judgements that a flow goes on although no rule allows it (on_change: keep).", t.flows_kept_on_change);
    all.counter("sluice_lookups_total", "Classifier decisions.", t.lookups);
    all.counter(
        "sluice_set_hits_total",
        "Classifier decisions about packets from or to a member of a set that the policy asks for (members: api).",
        t.set_hits);
    all.counter("sluice_set_changes_total", "Members that were added to sets or removed on request.", t.set_changes);
    all.counter("sluice_set_expired_total", "Members of sets whose time was over.", t.set_expired);
    all.counter("sluice_rejects_limited_total", "Rejected packets without an answer because of the rate limit.",
                t.rejects_limited);
    all.counter("sluice_frag_reassembled_total", "Datagrams whose fragments were all there, judged as one packet.",
                t.frag_reassembled);
    auto& notes = all.family("sluice_observations_total", MetricType::Counter,
                             "Oddities that were let pass or handled, by kind.");
    Families::add(notes, {{"kind", "tcp_inexact_rst"}}, t.tcp_inexact_rst);
    Families::add(notes, {{"kind", "tcp_overshoot"}}, t.tcp_overshoot);
    Families::add(notes, {{"kind", "flow_pickup"}}, t.flow_pickup);
    Families::add(notes, {{"kind", "tcp_window_unknown"}}, t.tcp_window_unknown);
    Families::add(notes, {{"kind", "tcp_seq_logged"}}, t.tcp_seq_logged);
    Families::add(notes, {{"kind", "udp_zero_csum6"}}, t.udp_zero_csum6);
    Families::add(notes, {{"kind", "flow_reopen"}}, t.flow_reopen);
    Families::add(notes, {{"kind", "frag_duplicate"}}, t.frag_duplicates);
    Families::add(notes, {{"kind", "icmp_related"}}, t.icmp_related);
    auto& cookies = all.family("sluice_syn_proxy_total", MetricType::Counter,
                               "Handshakes that the firewall makes in the server's stead, by what happened.");
    Families::add(cookies, {{"event", "cookie_sent"}}, t.syn_cookies_sent);
    Families::add(cookies, {{"event", "cookie_accepted"}}, t.syn_cookies_accepted);
    Families::add(cookies, {{"event", "syn_repeated"}}, t.syn_proxy_repeats);
    Families::add(cookies, {{"event", "server_silent"}}, t.syn_proxy_unanswered);
    Families::add(cookies, {{"event", "server_refused"}}, t.syn_proxy_refused);
    Families::add(cookies, {{"event", "early_data_dropped"}}, t.syn_proxy_data);
    auto& switches =
        all.family("sluice_generations_total", MetricType::Counter, "What became of generations in the dataplane.");
    Families::add(switches, {{"result", "adopted"}}, t.publishes_adopted);
    Families::add(switches, {{"result", "refused"}}, t.publishes_refused);
    Families::add(switches, {{"result", "stalled"}}, t.publishes_stalled);
    Families::add(switches, {{"result", "reverted"}}, t.reverts);
    all.counter("sluice_transitions_total", "Times at which rules came into force or went by their schedule or expiry.",
                t.transitions);
}

void record_families(Families& all, const RecordMetrics& r) {
    all.counter("sluice_flow_records_written_total", "Flow records written to segment files.", r.written);
    auto& lost = all.family("sluice_flow_records_lost_total", MetricType::Counter,
                            "Flow events without a record: the ring ran over, the queue to the disk was full, the disk "
                            "took no more, or a sync failed.");
    for (const char* reason : {"ring", "queue", "disk", "sync"}) {
        const auto found = r.lost.find(reason);
        Families::add(lost, {{"reason", reason}}, found == r.lost.end() ? 0 : found->second);
    }
    auto& removed = all.family("sluice_flow_records_segments_removed_total", MetricType::Counter,
                               "Segment files that went because of the bound on size or on age.");
    for (const char* cause : {"size", "age"}) {
        const auto found = r.segments_removed.find(cause);
        Families::add(removed, {{"cause", cause}}, found == r.segments_removed.end() ? 0 : found->second);
    }
    all.counter("sluice_flow_records_damaged_blocks_total",
                "Damaged blocks that were met at the start and by readers, each time.", r.damaged_blocks);
    all.gauge("sluice_flow_records_bytes", "Bytes of all segment files.", static_cast<double>(r.bytes));
    all.gauge("sluice_flow_records_segments", "Segment files.", static_cast<double>(r.segments));
    all.gauge("sluice_flow_records_oldest_age_seconds", "Age of the oldest flow record; 0 = there is none.",
              r.oldest_age_s);
}

void shadow_families(Families& all, const ShadowMetrics& s) {
    all.gauge("sluice_shadow_running", "1 while a shadow policy is asked about new flows.", s.running ? 1 : 0);
    auto& flows = all.family("sluice_shadow_flows_total", MetricType::Counter,
                             "New flows that the shadow policy was asked about, by the verdict that they got and the "
                             "one that they would have got. No total: sluice_shadow_unseen_flows_total stands beside.");
    for (std::size_t live = 0; live < abi::kVerdictCount; ++live) {
        for (std::size_t would = 0; would < abi::kVerdictCount; ++would) {
            Families::add(flows,
                          {{"live", std::string{abi::to_string(static_cast<abi::Verdict>(live))}},
                           {"shadow", std::string{abi::to_string(static_cast<abi::Verdict>(would))}}},
                          s.flows[live][would]);
        }
    }
    auto& unseen = all.family("sluice_shadow_unseen_flows_total", MetricType::Counter,
                              "New flows that the shadow policy was not asked about: sampled away by workers, lost in "
                              "the rings (events of any kind, so at most), too fast for it, or from a port that has no "
                              "place in it.");
    for (const char* reason : {"sampled", "lost", "queue", "unplaced"}) {
        const auto found = s.unseen.find(reason);
        Families::add(unseen, {{"reason", reason}}, found == s.unseen.end() ? 0 : found->second);
    }
}

void control_families(Families& all, const Totals& t, const ControlMetrics& c) {
    auto& events = all.family("sluice_events_total", MetricType::Counter, "Flow events, by what became of them.");
    Families::add(events, {{"result", "read"}}, c.events_read);
    Families::add(events, {{"result", "lost"}}, c.events_lost);
    Families::add(events, {{"result", "invalid"}}, c.events_invalid);
    Families::add(events, {{"result", "suppressed"}}, t.events_suppressed);
    auto& overload = all.family("sluice_overload", MetricType::Gauge,
                                "1 for what was given up in the last two seconds, the cheapest first: sampled events, "
                                "events, flows that nobody has answered, new flows. Flows of two ends never are.");
    for (std::size_t s = 0; s < kOverloadStepCount; ++s) {
        Families::add(overload, {{"step", std::string{kOverloadSteps[s]}}}, c.overload[s] ? 1.0 : 0.0);
    }
    auto& log = all.family("sluice_flow_log_lines_total", MetricType::Counter, "Lines of the flow log, by result.");
    Families::add(log, {{"result", "written"}}, c.flow_log_lines);
    Families::add(log, {{"result", "failed"}}, c.flow_log_failed);

    all.counter("sluice_audit_entries_total", "Entries of the audit since its first; goes on over restarts.",
                c.audit_entries);
    all.counter("sluice_audit_write_failures_total", "Entries that the disk did not take at once.",
                c.audit_write_failures);
    all.gauge("sluice_audit_entries_waiting", "Entries in memory that the disk has not taken yet.",
              static_cast<double>(c.audit_waiting));
    all.gauge("sluice_audit_chain_whole", "1 if the audit was whole when the control plane started.",
              c.audit_whole ? 1 : 0);

    all.gauge("sluice_change_frozen", "1 while a change freeze holds.", c.frozen ? 1 : 0);
    all.counter("sluice_freezes_broken_total", "Changes of the policy in spite of a freeze.", c.freezes_broken);
    const auto of = [](const std::map<std::string, std::uint64_t>& counts, const char* key) {
        const auto found = counts.find(key);
        return found == counts.end() ? std::uint64_t{0} : found->second;
    };
    auto& waiting = all.family("sluice_changes_waiting", MetricType::Gauge,
                               "Changes of the policy that wait: pending for approvals, scheduled for their time, "
                               "applying for the dataplane or a confirmation.");
    for (const char* state : {"pending", "scheduled", "applying"})
        Families::add(waiting, {{"state", state}}, static_cast<double>(of(c.changes_waiting, state)));
    auto& ended = all.family("sluice_changes_total", MetricType::Counter,
                             "Changes of the policy that waited, by what came of them. stale: the policy was changed "
                             "meanwhile; expired: not approved in time.");
    for (const char* outcome : {"applied", "rejected", "withdrawn", "expired", "stale", "failed"})
        Families::add(ended, {{"outcome", outcome}}, of(c.changes_ended, outcome));
    all.counter("sluice_changes_missed_total",
                "Changes of the policy that were to be applied at a time of their own, and were not.",
                c.changes_missed);
    all.counter("sluice_approvals_broken_total", "Changes of the policy in spite of missing approvals.",
                c.approvals_broken);
    all.gauge("sluice_overlay_rules",
              "Rules that changed since the tables were compiled and stand in tables beside them; packets that open a "
              "flow are looked up in both.",
              static_cast<double>(c.overlay_rules));
    all.counter("sluice_overlays_folded_total", "Times that such rules were compiled into the tables.",
                c.overlays_folded);
    all.counter("sluice_policy_texts_spelled_total",
                "Times that the policy's text was written whole, so that the next edit is short beside it.",
                c.texts_spelled);
    auto& publishes = all.family(
        "sluice_publishes_total", MetricType::Counter,
        "Commits, by result. invalid: errors, failing tests, or too big for any dataplane or this one; refused: by the "
        "dataplane; guarded: left again because its guard tripped; reverted: because nobody confirmed it; rolled_back: "
        "because "
        "somebody said so; waiting: for approvals or its time.");
    for (const char* result : {"adopted", "pending", "stalled", "invalid", "refused", "failed", "unchanged", "guarded",
                               "reverted", "rolled_back", "waiting"}) {
        Families::add(publishes, {{"result", result}}, of(c.publishes, result));
    }
    auto& apply = all.family("sluice_policy_apply_duration_seconds", MetricType::Histogram,
                             "From the request to the dataplane's answer.");
    Families::add_histogram(apply, {}, c.apply.counts, ApplyDurations::kBoundsSeconds, 1, c.apply.sum_seconds);

    auto& version = all.family("sluice_policy_version_info", MetricType::Gauge, "The stored policy; the value is 1.");
    if (!c.hash.empty()) {
        Families::add(version, {{"hash", c.hash}, {"name", c.policy_name}, {"version", c.version}}, 1.0);
    }
    all.gauge("sluice_stored_generation", "Generation of the stored policy.", static_cast<double>(c.stored_generation));
    all.gauge("sluice_rules_expiring", "Rules of the stored policy that turn to observe within 14 days.",
              static_cast<double>(c.rules_expiring));
    all.gauge("sluice_rules_expired", "Rules of the stored policy that have expired and observe only.",
              static_cast<double>(c.rules_expired));
    all.gauge("sluice_dataplane_connected", "1 while the dataplane answers.", c.connected ? 1 : 0);
    all.gauge("sluice_policy_in_sync", "1 while the dataplane runs what is stored.", c.in_sync ? 1 : 0);
    all.gauge("sluice_confirm_pending", "1 while a commit waits for its confirmation.", c.confirm_pending ? 1 : 0);
}

void rule_families(Families& all, const Totals& t, const Names& names) {
    auto& hits = all.family("sluice_rule_hits_total", MetricType::Counter, "Decisions of the rule.");
    for (std::size_t s = 0; s < t.rules.size() && s < names.rules->size(); ++s) {
        if (!(*names.rules)[s].empty()) Families::add(hits, {{"rule", (*names.rules)[s]}}, t.rules[s].hits);
    }
    auto& packets = all.family("sluice_rule_packets_total", MetricType::Counter, "Packets of flows it decided.");
    for (std::size_t s = 0; s < t.rules.size() && s < names.rules->size(); ++s) {
        if (!(*names.rules)[s].empty()) Families::add(packets, {{"rule", (*names.rules)[s]}}, t.rules[s].packets);
    }
    auto& bytes = all.family("sluice_rule_bytes_total", MetricType::Counter, "Bytes of flows it decided.");
    for (std::size_t s = 0; s < t.rules.size() && s < names.rules->size(); ++s) {
        if (!(*names.rules)[s].empty()) Families::add(bytes, {{"rule", (*names.rules)[s]}}, t.rules[s].bytes);
    }
}

}  // namespace

void ApplyDurations::add(double seconds) noexcept {
    std::size_t i = 0;
    while (i < kBoundsSeconds.size() && seconds > kBoundsSeconds[i]) ++i;
    ++counts[i];
    sum_seconds += seconds;
}

std::string metrics_text(const Snapshot& snapshot, const ControlMetrics& control, const Names& names, bool with_rules) {
    Families all;
    port_families(all, snapshot.totals);
    level_families(all, snapshot);
    worker_families(all, snapshot);
    time_families(all, snapshot);
    total_families(all, snapshot.totals);
    control_families(all, snapshot.totals, control);
    record_families(all, control.records);
    shadow_families(all, control.shadow);
    if (with_rules) {
        rule_families(all, snapshot.totals, names);
        auto& expiry = all.family("sluice_rule_expiry_timestamp_seconds", MetricType::Gauge,
                                  "When a rule that expires turns to observe, in seconds since 1970.");
        for (const auto& [rule, at] : control.rule_expiries)
            Families::add(expiry, {{"rule", rule}}, static_cast<double>(at));
    }
    return all.text();
}

}  // namespace sluice::cp
