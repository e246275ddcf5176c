/// Counts what a candidate says about flows that the policy in force has decided. The live side is the verdict that the
/// flow got and the rule that gave it, as the worker told; the candidate is asked by the lookup that workers use.
/// Bounded in memory: pairs of rules beyond a number are summed.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "controlplane/lifecycle/prepared_policy.hpp"
#include "controlplane/lifecycle/shadow_report.hpp"
#include "controlplane/policy/reader.hpp"
#include "controlplane/telemetry/event_batch.hpp"
#include "dataplane/acl/lookup.hpp"
#include "dataplane/acl/set_table.hpp"

namespace sluice::cp {

class ShadowTally {
public:
    static constexpr std::size_t kPairsMax = 1000;  ///< kept
    static constexpr std::size_t kPairsTold = 100;  ///< in a report
    static constexpr std::size_t kExamplesPerPair = 3;

    /// Events from before `since` are somebody else's.
    ShadowTally(PreparedPtr candidate, abi::MonoTime since) : candidate_{std::move(candidate)}, since_{since} {}

    /// Where packets go from each port. Without wires nothing can be placed.
    void use_wires(const WireHint& wires);
    /// What sets whose members come over the API have; null = none of them has a member.
    void use_members(std::shared_ptr<dp::OwnSetTable> members) { members_ = std::move(members); }

    /// Events of the kind `new_flow`; others are passed over.
    void add(const EventBatch& batch);
    /// Fills in what is counted here.
    void tell(ShadowReport& report) const;
    const PreparedPtr& candidate() const noexcept { return candidate_; }

private:
    struct Place {
        abi::ZoneId from{}, to{};
    };
    struct Pair {
        std::string live_rule;
        abi::Verdict live{};
        abi::RuleIndex shadow{};
        std::uint64_t flows{};
        std::int64_t last_ns{};
        std::deque<ShadowFlow> examples{};  ///< newest first
    };

    void count(const RingEvent& event, const EventBatch& batch, const Place& place, abi::RuleIndex rule);
    Pair* pair_of(std::string_view live_rule, abi::Verdict live, abi::RuleIndex shadow);

    const PreparedPtr candidate_;
    const abi::MonoTime since_;
    std::shared_ptr<dp::OwnSetTable> members_;
    std::unordered_map<std::string, Place> places_;  ///< by port of arrival
    std::unordered_map<std::string, Pair> pairs_;    ///< by live rule, its verdict and the candidate's rule
    std::string key_;
    std::uint64_t flows_{}, changed_{}, other_rule_{}, others_{}, sampled_{}, unplaced_{};
    std::array<std::array<std::uint64_t, abi::kVerdictCount>, abi::kVerdictCount> by_verdict_{};
};

}  // namespace sluice::cp
