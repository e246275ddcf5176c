/// Which rules differ between two policies, by id: what a plan prints. A rule counts as changed if what it says
/// differs, with its sets and nets written out, or if it stands elsewhere among the others.
#pragma once

#include <string>
#include <vector>

#include "controlplane/policy/model.hpp"

namespace sluice::cp {

struct PlanDiff {
    std::vector<std::string> added, changed, removed;
};

/// `before` may be null: then all is new. `default` and `builtin:arp|nd|other` stand among the ids.
PlanDiff plan_diff(const Policy* before, const Policy& after);

}  // namespace sluice::cp
