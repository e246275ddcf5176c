/// Counters as the outside sees them: summed over workers, and over all dataplane processes that have run since the
/// control plane started.
///
/// Theory of operation. Once a second the mapped counters are copied; everybody else reads the copy. A dataplane's
/// memfds outlive it as long as we map them: when the next one says hello, its predecessor's last values are read once
/// more and added to a base, so nothing that was counted is lost and no counter ever goes back (CASES A9). Ports are
/// added up by name, because another configuration may number them otherwise. A rule slot that passes to another rule
/// gets a baseline, so that the new rule starts at zero.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "controlplane/telemetry/segments.hpp"
#include "controlplane/telemetry/times.hpp"

namespace sluice::cp {

struct PortTotals {
    std::uint64_t rx_packets{}, rx_bytes{}, tx_packets{}, tx_bytes{};
    std::uint64_t originated{}, forwarded{}, consumed{}, rx_missed{};
    std::array<std::uint64_t, abi::kDropReasonCount> drops{};
    std::uint64_t dropped() const noexcept;
    PortTotals& operator+=(const PortTotals& other) noexcept;
};

struct RuleTotals {
    std::uint64_t hits{}, packets{}, bytes{};
    abi::MonoTime first_hit{}, last_hit{};
    RuleTotals& operator+=(const RuleTotals& other) noexcept;
};

/// What only counts up.
struct Totals {
    std::map<std::string, PortTotals> ports;  ///< by name
    std::vector<RuleTotals> rules;            ///< by slot
    std::uint64_t flows_created{}, flows_expired{}, flows_closed{}, flows_ended_by_policy{};
    std::uint64_t syn_early_drop{}, closing_early_drop{};
    std::uint64_t flows_ended_by_request{}, flows_rejudged{}, flows_kept_on_change{};
    std::uint64_t lookups{}, events_written{}, events_suppressed{}, rejects_limited{};
    std::uint64_t tcp_inexact_rst{}, udp_zero_csum6{}, flow_reopen{}, tcp_overshoot{};
    std::uint64_t tcp_handshakes{}, tcp_handshakes_failed{};
    std::uint64_t flow_pickup{}, tcp_window_unknown{}, tcp_seq_logged{};
    std::uint64_t frag_reassembled{}, frag_duplicates{}, icmp_related{};
    std::uint64_t set_hits{}, set_changes{}, set_expired{};
    std::uint64_t syn_cookies_sent{}, syn_cookies_accepted{};
    std::uint64_t syn_proxy_repeats{}, syn_proxy_unanswered{}, syn_proxy_refused{}, syn_proxy_data{};
    std::uint64_t publishes_adopted{}, publishes_refused{}, publishes_stalled{}, reverts{}, transitions{};
    std::uint64_t flows_kept{};  ///< over restarts of the dataplane
    std::array<std::uint64_t, abi::kFlowLossCount> flows_lost{};
    Totals& operator+=(const Totals& other);
};

struct WorkerLevels {
    std::uint32_t lcore{};
    std::uint64_t generation{}, flows{}, busy_ns{};
    abi::MonoTime heartbeat{};
    double busy_ratio{};  ///< of the time since the last collection
    std::uint64_t rejudge_left{};
    std::uint64_t received{}, handed_out{}, handed_in{}, hand_over_full{};  ///< packets, since its process started
    std::uint64_t misplaced{};
    WorkerTimes times;  ///< since its process started
    RecentTimes recent;
};
struct PortLevels {
    std::string name;
    bool link_up{};
    std::uint64_t held{};
};

struct Snapshot {
    Totals totals;
    std::vector<WorkerLevels> workers;
    std::vector<PortLevels> ports;  ///< in the dataplane's order
    std::uint64_t flows{}, flow_capacity{}, generation{}, frag_held_bytes{};
    std::uint64_t set_members{}, set_members_max{};
    std::uint64_t flows_half_open{}, flow_half_open_max{}, sources{}, flows_proxied{};
    bool syn_cookies_active{};
    abi::SteeringMode steering{};
    abi::FlowPressure pressure{};              ///< the highest of the workers'
    std::uint64_t flows_kept{}, flows_lost{};  ///< when the running dataplane process started
    bool fail_open{};
    std::uint64_t tsc_hz{};  ///< of the dataplane's machine; 0 = not known
    abi::MonoTime collected{};
};

class Collector {
public:
    /// A dataplane said hello. The same boot again (only the connection was lost) goes on where it was.
    void attach(std::shared_ptr<const TelemetrySegments> segments, std::vector<std::string> port_names);
    /// Copies the counters; at 1 Hz, and whenever somebody must not see an old copy.
    void collect();
    /// Never null.
    std::shared_ptr<const Snapshot> snapshot() const;
    /// Every worker runs this generation and has judged its flows by it; read from the counters as they are now.
    bool all_judged(std::uint64_t generation) const;
    /// The slot belongs to another rule from now on.
    void rebase_rule(abi::RuleSlot slot);

private:
    Totals read_totals() const;
    RuleTotals read_rule(std::uint32_t slot) const;
    void read_levels(Snapshot& into);
    void collect_locked();

    mutable std::mutex mutex_;
    std::shared_ptr<const TelemetrySegments> segments_;
    std::vector<std::string> port_names_;
    Totals base_;                                        // of dataplanes that are gone
    std::map<std::uint32_t, RuleTotals> rule_baseline_;  // by slot; first_hit = when it was set
    std::vector<TimesWindow> windows_;                   // by worker, of the running dataplane
    std::shared_ptr<const Snapshot> latest_{std::make_shared<Snapshot>()};
};

}  // namespace sluice::cp
