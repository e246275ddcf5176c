/// The body of POST /v1/explain as a question to the policy service.
#pragma once

#include <string_view>

#include "controlplane/lifecycle/policy_service.hpp"

namespace sluice::cp::api {

/// 400 `bad-json` or `bad-question` with every error and its pointer.
Expected<ExplainQuery, Problem> parse_explain_query(std::string_view body);

}  // namespace sluice::cp::api
