/// How far a change of the policy reaches: which rules go on deciding all that they decided, so that their live flows
/// need not be judged again (SettingsSection::untouched).
///
/// A sound over-approximation. What a rule decides is what it matches less what rules before it match. So a rule that
/// still says the same and still matches all that it did is untouched, unless a rule that is new in front of it, or
/// matches more there than before, overlaps it. Rules that matched before as they do now change nothing for those
/// behind them, whatever they say; neither do rules that went, for those that stay. Rules that moved are taken for gone
/// and new. Where comparing would take too long, every rule is touched; also where rules that pass packets to later
/// layers, or the layers that they pass them over, are others than before.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <sluice/abi/tables.hpp>

#include "controlplane/compiler/terms.hpp"
#include "controlplane/policy/model.hpp"

namespace sluice::cp {

/// The generation that the new one is compared with. Borrowed.
struct ChangeBase {
    const Policy* policy{};
    std::span<const abi::RuleSlot> slots;  ///< of its rules
    std::uint64_t generation{};
    abi::Digest128 rules_digest{};
    const TermBuilder* terms{};  ///< of `policy`; null: made here
};

/// Bit per slot; empty: none is untouched. `slots` are those of `after`'s rules, `terms` its terms; null: made here.
/// Rules that both policies share are compared in no time.
std::vector<std::uint64_t> untouched_slots(const ChangeBase& base, const Policy& after,
                                           std::span<const abi::RuleSlot> slots, const TermBuilder* terms = nullptr);

/// What a rule with this action does, `pass` resolved.
abi::Verdict verdict_of(Action action, Action default_action) noexcept;

}  // namespace sluice::cp
