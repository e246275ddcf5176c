/// What a change of the policy means for packets: exactly those that are decided otherwise, as boxes with an example
/// each. Work is bounded; where it ends early, the answer says which rules' packets it did not look at to the end.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/abi/verdict.hpp>

#include "controlplane/analysis/example.hpp"
#include "controlplane/analysis/rule_boxes.hpp"

namespace sluice::cp {

/// verdict: allow, deny or reject became another. log: the same verdict, logged otherwise. rule: the same verdict and
/// log, counted on another rule. observed: another observe rule would have decided, or says something else.
enum class ChangeKind : std::uint8_t { verdict, log, rule, observed };
constexpr std::string_view to_string(ChangeKind kind) noexcept {
    constexpr std::array<std::string_view, 4> kNames{"verdict", "log", "rule", "observed"};
    return kNames[static_cast<std::size_t>(kind)];
}

/// What a policy says about a packet. `rule` is empty for a packet that no observe rule matches.
struct Decision {
    std::string rule;
    abi::Verdict verdict{};
    bool operator==(const Decision&) const = default;
};

struct ChangedBox {
    ChangeKind kind{};
    Box packets{};
    Decision before{}, after{};
    ExamplePacket example{};
};

struct DiffLimits {
    std::uint64_t verdict_units{7'000'000};  ///< some third of a second
    std::uint64_t other_units{1'000'000};    ///< for each of: rules and logs, observe rules
    std::size_t pieces_max{10'000};          ///< before they are put together
};

struct SemanticDiff {
    std::vector<ChangedBox> boxes;  ///< by kind, then in the order of the rules; no packet twice within a kind
    /// Rules whose packets may change beyond the boxes told, by kind: verdict; log and rule; observed.
    std::array<std::vector<std::string>, 3> unfinished;
    bool verdicts_complete() const noexcept { return unfinished[0].empty(); }
};

/// `rules` holds both policies.
SemanticDiff semantic_diff(const Policy& before, const Policy& after, const RuleBoxes& rules,
                           const DiffLimits& limits = {});

}  // namespace sluice::cp
