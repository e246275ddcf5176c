/// What /metrics says, in Prometheus' text format. The names are a contract: dashboards and alerts are written against
/// them. Rule series only on demand: 50,000 of them make a scrape of megabytes.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "controlplane/telemetry/collector.hpp"
#include "controlplane/telemetry/names.hpp"
#include "controlplane/telemetry/overload.hpp"

namespace sluice::cp {

/// Seconds from the request to the answer of the dataplane.
class ApplyDurations {
public:
    static constexpr std::array kBoundsSeconds{0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0};
    void add(double seconds) noexcept;

    std::array<std::uint64_t, kBoundsSeconds.size() + 1> counts{};  ///< last: above all bounds
    double sum_seconds{};
};

/// What the store of flow records says.
struct RecordMetrics {
    std::uint64_t written{};
    std::map<std::string, std::uint64_t> lost;              ///< by reason
    std::map<std::string, std::uint64_t> segments_removed;  ///< by cause
    std::uint64_t damaged_blocks{};
    std::uint64_t bytes{}, segments{};  ///< levels
    double oldest_age_s{};
};

/// What the shadow policy was asked about.
struct ShadowMetrics {
    bool running{};
    std::array<std::array<std::uint64_t, abi::kVerdictCount>, abi::kVerdictCount> flows{};  ///< live, shadow
    std::map<std::string, std::uint64_t> unseen{};                                          ///< by reason
};

/// The control plane's own part.
struct ControlMetrics {
    std::string policy_name, version, hash;  ///< empty hash = no policy
    std::uint64_t stored_generation{};
    std::uint64_t rules_expiring{}, rules_expired{};                  ///< levels; expiring: within 14 days
    std::vector<std::pair<std::string, std::int64_t>> rule_expiries;  ///< id, UTC in seconds
    std::uint64_t overlay_rules{};    ///< level: rules that changed since the tables were compiled
    std::uint64_t overlays_folded{};  ///< compiled into the tables
    std::uint64_t texts_spelled{};    ///< written whole while nobody waited
    bool connected{}, in_sync{}, confirm_pending{};
    bool frozen{};
    std::uint64_t freezes_broken{};
    std::map<std::string, std::uint64_t> changes_waiting;  ///< by state; levels
    std::map<std::string, std::uint64_t> changes_ended;    ///< by outcome
    std::uint64_t changes_missed{}, approvals_broken{};
    std::map<std::string, std::uint64_t> publishes;  ///< by result
    ApplyDurations apply;
    std::uint64_t events_read{}, events_lost{}, events_invalid{};
    std::array<bool, kOverloadStepCount> overload{};
    std::uint64_t flow_log_lines{}, flow_log_failed{};
    RecordMetrics records;
    ShadowMetrics shadow;
    std::uint64_t audit_entries{};  ///< number of the last one: the chain goes on over restarts
    std::uint64_t audit_write_failures{}, audit_waiting{};
    bool audit_whole{true};
};

std::string metrics_text(const Snapshot& snapshot, const ControlMetrics& control, const Names& names, bool with_rules);

}  // namespace sluice::cp
