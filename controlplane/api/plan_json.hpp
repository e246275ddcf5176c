/// Test outcomes and plans as JSON, shared by the policy and the commit resources.
#pragma once

#include <vector>

#include <boost/json/fwd.hpp>

#include "controlplane/lifecycle/policy_service.hpp"

namespace sluice::cp::api {

boost::json::array tests_json(const std::vector<TestOutcome>& tests);
boost::json::object plan_json(const DryRunResult& plan);

}  // namespace sluice::cp::api
