/// The part of a plan that tells what its author changed, field by field.
#pragma once

#include <set>
#include <string_view>
#include <vector>

#include "controlplane/lifecycle/plan_diff.hpp"

namespace sluice::cp {

/// `moved`: ids of rules that stand elsewhere among the others.
std::vector<PlanChange> plan_changes(const Policy& before, const Policy& after,
                                     const std::set<std::string_view>& moved);

}  // namespace sluice::cp
