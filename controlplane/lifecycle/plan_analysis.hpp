/// The part of a plan that speaks about packets: which are decided otherwise, and what is odd about the new policy.
/// What controlplane/analysis finds, in words; every example is asked of the compiled tables before it is told.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/abi/net_order.hpp>

#include "controlplane/analysis/findings.hpp"
#include "controlplane/analysis/semantic_diff.hpp"
#include "controlplane/policy/model.hpp"
#include "controlplane/policy/reader.hpp"
#include "controlplane/policy/schedule.hpp"
#include "dataplane/acl/table_view.hpp"

namespace sluice::cp {

/// As `explain` is asked; the zones are those of the new policy.
struct PlanPacket {
    std::string in_port{}, from_zone{}, to_zone{};
    abi::IpFamily family{};
    abi::IpAddr src{}, dst{};
    abi::L4Proto proto{};
    std::uint16_t dport_or_icmp{};
};

/// Packets that the new policy decides otherwise, all those that take one of each list.
struct PlanBox {
    ChangeKind change{};
    abi::IpFamily family{};
    std::vector<std::string> from{}, to{};  ///< zones of the new policy
    std::vector<std::string> src{}, dst{}, service{};
    bool shortened{};  ///< a list was too long to be told whole
    Decision before{}, after{};
    PlanPacket example{};
};

struct PlanEffect {
    std::vector<PlanBox> boxes;
    std::uint64_t boxes_left_out{};        ///< found, and too many to be told
    std::vector<std::string> unfinished;   ///< rules whose packets may change verdict beyond the boxes
    std::vector<std::string> less_looked;  ///< as `unfinished`, for logs, rules and observe rules alone
    bool complete() const noexcept { return unfinished.empty() && less_looked.empty() && boxes_left_out == 0; }
};

struct PlanFinding {
    FindingKind kind{};
    std::string rule{};
    SourcePos pos{};
    std::vector<std::string> others{};
    std::string detail{};  ///< what, and the remedy
    std::optional<PlanPacket> example{};
    double watched_s{};
};

struct PlanFindings {
    std::vector<PlanFinding> told;
    std::array<std::uint64_t, kFindingKindCount> counts{};  ///< by kind, those not told included
    std::uint64_t rules{}, unexamined{}, unpaired{};        ///< as Findings
};

struct PlanAnalysis {
    PlanEffect effect;
    PlanFindings findings;
    std::vector<std::string> contradictions;  ///< examples that the tables answer otherwise: a bug, and left out above
};

/// A policy and its tables.
struct AnalysedPolicy {
    const Policy* policy{};
    const dp::TableView* view{};
};

/// `before` may have no policy: then nothing is compared. Both policies are looked at as they stand at `now`; nothing
/// is found about rules that depend on time, nor because of them.
PlanAnalysis analyse(const AnalysedPolicy& before, const AnalysedPolicy& after, const WireHint& wires,
                     const UnusedFor& unused_for, UnixSeconds now = unix_now());

}  // namespace sluice::cp
