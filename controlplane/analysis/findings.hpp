/// What is odd about a policy by itself, each with the rule, the others that make it so, and a packet that shows it.
/// docs/POLICY.md has the definitions.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "controlplane/analysis/example.hpp"
#include "controlplane/analysis/rule_boxes.hpp"

namespace sluice::cp {

enum class FindingKind : std::uint8_t { shadowed, redundant, contradictory, over_broad, never_hit };
inline constexpr std::size_t kFindingKindCount = 5;
constexpr std::string_view to_string(FindingKind kind) noexcept {
    constexpr std::array<std::string_view, kFindingKindCount> kNames{"shadowed", "redundant", "contradictory",
                                                                     "over_broad", "never_hit"};
    return kNames[static_cast<std::size_t>(kind)];
}

struct Finding {
    FindingKind kind{};
    std::uint32_t rule{};                    ///< index; rules.size() = the default
    std::vector<std::uint32_t> others{};     ///< rules that make it so, in order
    std::optional<ExamplePacket> example{};  ///< none only if no packet can match the rule
    double watched_s{};                      ///< never_hit: since when nothing was counted
};

/// How long a rule has been counted without a hit; nothing: it has hits, or nobody counts it.
using UnusedFor = std::function<std::optional<double>(std::string_view rule_id)>;

/// In units of Budget (first_match.hpp).
struct FindingLimits {
    std::uint64_t units{15'000'000};         ///< for all rules and all but contradictions: some half a second
    std::uint64_t pair_units{6'000'000};     ///< for the contradictions of all rules
    std::uint64_t rule_units{10'000};        ///< for one rule
    std::uint64_t hard_rule_units{200'000};  ///< for one that was not settled so, while there is some left
    std::size_t told_per_kind_max{200};      ///< the rest is counted
    std::size_t others_max{8};
};

struct Findings {
    std::vector<Finding> told;                              ///< in the order of the rules
    std::array<std::uint64_t, kFindingKindCount> counts{};  ///< by kind, those not told included
    std::uint64_t rules{}, unexamined{};                    ///< unexamined: work ended before, or in, them
    std::uint64_t unpaired{};  ///< rules whose contradictions were not looked for, or not to the end
};

/// About `after`, whose items stand in `rules`. What a change touched is looked at first.
Findings find_oddities(const Policy& after, const RuleBoxes& rules, const UnusedFor& unused_for,
                       const FindingLimits& limits = {});

}  // namespace sluice::cp
