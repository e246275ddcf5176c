/// How far an edit of few rules reaches (as change_reach.hpp, for edits that are compiled beside the tables): found
/// without looking at rules that stay where they are, by walking along the hulls of their terms.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "controlplane/compiler/change_reach.hpp"
#include "controlplane/compiler/slot_map.hpp"

namespace sluice::cp {

struct WholeTables;

/// Bit per slot of rules that allow, enforced, and don't pass on: what a flow can stand under that needs no second
/// look.
std::vector<std::uint64_t> quiet_slots(const Policy& policy, const RuleSlots& slots);

/// As `untouched_slots`, or less. Preconditions: `base.policy` is an edit of `whole.policy`, `after` is one of
/// `base.policy`, and they share what they leave alone; zones, sets, defaults, schedules and rules that pass are the
/// same in all three.
std::vector<std::uint64_t> untouched_by_edits(const WholeTables& whole, const ChangeBase& base, const Policy& after,
                                              const RuleSlots& slots);

}  // namespace sluice::cp
