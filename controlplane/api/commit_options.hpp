/// What the header of a change says: on which condition, for how long on probation, by whom and why.
#pragma once

#include <optional>
#include <string_view>

#include "controlplane/api/http_message.hpp"
#include "controlplane/lifecycle/policy_service.hpp"

namespace sluice::cp::api {

/// If-Match, If-None-Match, Confirm-Timeout, Confirm-Guard, Break-Glass, `?at=` and the caller. A problem is a 400.
std::optional<Problem> read_commit_options(const Request& request, PolicyService& service, CommitOptions& options);

/// Of the query; handlers leave it to read_commit_options.
inline constexpr std::string_view kAtParameter = "at";

/// Who asks, for the audit. `Sluice-Reason` has been looked at by the gateway.
Caller caller_of(const Request& request);

/// Is Allow-Lock-Out what it may be?
std::optional<Problem> lock_out_trouble(const Request& request);

/// Sentence: what is wrong with the reason, or nothing.
std::optional<std::string> reason_trouble(const Request& request);

}  // namespace sluice::cp::api
