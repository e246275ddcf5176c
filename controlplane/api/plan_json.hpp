/// Test outcomes and plans as JSON, shared by the resources of policies, commits and the history.
#pragma once

#include <vector>

#include <boost/json/fwd.hpp>

#include "controlplane/lifecycle/policy_service.hpp"

namespace sluice::cp::api {

boost::json::array tests_json(const std::vector<TestOutcome>& tests);
boost::json::array changes_json(const std::vector<PlanChange>& changes);
boost::json::object plan_json(const DryRunResult& plan);

}  // namespace sluice::cp::api
