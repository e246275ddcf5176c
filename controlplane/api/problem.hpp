/// Errors as problem documents (RFC 9457). The `code` is stable and is the last part of `type`; `detail` is for people.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "controlplane/api/http_message.hpp"
#include "controlplane/lifecycle/policy_service.hpp"

namespace boost::json {
class object;
class array;
}  // namespace boost::json

namespace sluice::cp::api {

/// A policy of 100,000 broken rules must not become an answer of 100,000 errors: the rest is counted.
inline constexpr std::size_t kProblemErrorsMax = 1000;

Response problem_response(const Problem& problem, std::string_view request_id,
                          const std::vector<std::string>& reasons = {});

/// Shorthand for problems of the transport itself.
Response problem_response(int status, std::string_view code, std::string_view detail, std::string_view request_id);

boost::json::array errors_json(const PolicyErrors& errors, std::size_t count_max = kProblemErrorsMax);

/// Bytes that are no UTF-8 become U+FFFD: a policy may hold anything, an answer is JSON.
std::string valid_utf8(std::string_view text);

/// Reason phrase of an HTTP status (RFC 9110 section 15).
std::string_view reason_phrase(int status) noexcept;

}  // namespace sluice::cp::api
