/// What a plan says about flows instead of packets: those that live now, and those that were recorded. Each is asked of
/// the tables in force and of the planned ones, by the lookup that workers use, and what differs is grouped by the
/// rules that decide and by who began the flow.
///
/// Recorded flows are counted once each: at their start, or where no start was logged, at their end. A rule that logs
/// both is known by its starts, so of its ends only those of flows count that began before the first start that was
/// read. What was not recorded (`log: none`, sampled, lost) can't be told; `suppressed` and `lost` say how much that
/// was where it is known.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include <sluice/abi/messages.hpp>

#include "controlplane/lifecycle/flow_places.hpp"
#include "controlplane/lifecycle/plan_analysis.hpp"
#include "controlplane/records/flow_record.hpp"
#include "dataplane/acl/lookup.hpp"

namespace sluice::cp {

struct FlowPeer {
    abi::IpFamily family{};
    abi::IpAddr src{};
    std::uint64_t flows{};
    PlanPacket example{};  ///< the first of them
};

/// Flows that one rule decides and another would.
struct FlowGroup {
    Decision before{}, after{};
    abi::OnChange on_change{};  ///< what becomes of live ones
    std::uint64_t flows{};
    std::vector<FlowPeer> peers{};   ///< those with most flows first
    std::uint64_t flows_left_out{};  ///< of peers that are not told
};

struct FlowEffect {
    std::uint64_t flows{};                      ///< looked at
    std::uint64_t changed{};                    ///< would have another verdict
    std::uint64_t other_rule{};                 ///< the same verdict by another rule
    std::uint64_t unplaced{};                   ///< their ports or zones are no more, so nobody can tell
    std::uint64_t kept{}, ended{}, answered{};  ///< of `changed`: what becomes of live ones that lose their rule
    std::vector<FlowGroup> groups{};            ///< of `changed`; those with most flows first
    std::uint64_t groups_left_out{};
    std::string incomplete{};  ///< why not all were looked at; empty = all were
};

struct LiveEffect : FlowEffect {
    std::uint64_t live{};  ///< that the dataplane has
};

struct RecordedEffect : FlowEffect {
    std::int64_t since_ns{}, until_ns{};  ///< UTC; of what was looked at
    std::uint64_t records{};              ///< read
    std::uint64_t suppressed{};           ///< events that were sampled away before they were records
    std::uint64_t lost{};                 ///< records that can't be read
};

class FlowTally {
public:
    /// Both policies must outlive this.
    FlowTally(const AnalysedPolicy& before, const AnalysedPolicy& after, const WireHint& wires);

    void add(const FlowRecord& record);
    /// `in_port` may be unknown; zones by their names in `before`.
    void add(const abi::FlowRecord& live, std::string_view from_zone, std::string_view to_zone);
    /// Everything that was added, decided and sorted.
    FlowEffect take();

private:
    static constexpr std::size_t kBatch = 64;

    struct Group {
        std::uint64_t flows{};
        std::uint64_t others{};  ///< of peers for whom there was no room
    };
    struct PeerKey {
        std::uint64_t group{};
        abi::IpFamily family{};
        abi::IpAddr src{};
        bool operator==(const PeerKey&) const = default;
    };
    struct PeerHash {
        std::size_t operator()(const PeerKey& key) const noexcept;
    };
    struct Peer {
        std::uint64_t flows{};
        dp::LookupKey key{};  ///< of the first, as `after` is asked
        std::string in_port{};
    };
    struct Starts {
        std::int64_t first_ns{}, last_ns{};
    };

    bool counted_at_start(const FlowRecord& record) const;
    void ask(dp::LookupKey key, const FlowPlaces::Place* place);
    void decide();
    void count(const dp::LookupKey& key, const std::string& in_port, abi::RuleIndex was, abi::RuleIndex is);
    FlowGroup told(std::uint64_t key) const;
    PlanPacket packet_of(const Peer& peer) const;

    const AnalysedPolicy before_, after_;
    FlowPlaces places_;
    std::map<std::string, Starts, std::less<>> starts_;  ///< by rule
    std::array<dp::LookupKey, kBatch> was_{}, is_{};
    std::array<std::string, kBatch> in_ports_{};
    std::size_t waiting_{};
    std::unordered_map<std::uint64_t, Group> groups_;  ///< by both rules
    std::unordered_map<PeerKey, Peer, PeerHash> peers_;
    FlowEffect effect_;
};

}  // namespace sluice::cp
