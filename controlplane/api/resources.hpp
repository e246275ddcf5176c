/// The resources of the REST interface: each file adds its routes. They speak to the policy service and to nothing
/// else.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string_view>

#include "controlplane/api/auth_decision.hpp"
#include "controlplane/api/http_message.hpp"
#include "controlplane/api/router.hpp"
#include "controlplane/lifecycle/policy_service.hpp"

namespace sluice::cp::api {

class IssuerKeys;  // issuer_keys.hpp

/// What the server counts about itself. Any thread; relaxed is enough, nothing is ordered by them.
struct ApiCounters {
    std::atomic<std::uint64_t> connections{};                           ///< level
    std::atomic<std::uint64_t> refused_by_all{}, refused_by_address{};  ///< connections, over the cap of all or theirs
    std::atomic<std::uint64_t> slow_handshakes{}, slow_headers{}, slow_bodies{};  ///< closed because of it
    std::atomic<std::uint64_t> displaced{};              ///< strangers that had to go for others
    std::atomic<std::uint64_t> requests_limited{};       ///< 429: their client asks too often
    std::atomic<std::uint64_t> event_streams{};          ///< level
    std::atomic<std::uint64_t> event_streams_dropped{};  ///< did not read
    std::atomic<std::uint64_t> requests{};
    std::array<std::atomic<std::uint64_t>, kAuthResults> auth_failures{};  ///< by AuthResult
    std::atomic<std::uint64_t> auth_throttled{};
    std::atomic<std::uint64_t> role_refusals{};
    std::atomic<std::uint64_t> certificate_expires_unix_s{};  ///< of the server's own; set once
    const IssuerKeys* issuer{};                               ///< null: no issuer of tokens is configured; set once
};

/// The longest promise to confirm: a day. Longer is no protection any more.
inline constexpr std::uint64_t kConfirmSecondsMax = 86'400;
inline constexpr std::uint32_t kFlowsPerPageMax = 1000;
inline constexpr std::uint32_t kRecordsPerPageMax = 10'000;

void add_index_routes(Router& router);
void add_openapi_routes(Router& router);
void add_policy_routes(Router& router, PolicyService& service);
void add_commit_routes(Router& router, PolicyService& service);
void add_history_routes(Router& router, PolicyService& service);
void add_audit_routes(Router& router, PolicyService& service);
void add_token_routes(Router& router, PolicyService& service);
void add_freeze_routes(Router& router, PolicyService& service);
void add_change_routes(Router& router, PolicyService& service);
void add_draft_routes(Router& router, PolicyService& service);
void add_shadow_routes(Router& router, PolicyService& service);
void add_status_routes(Router& router, PolicyService& service, const ApiCounters& counters);
void add_rule_routes(Router& router, PolicyService& service);
void add_set_routes(Router& router, PolicyService& service);
void add_flow_routes(Router& router, PolicyService& service);
void add_explain_routes(Router& router, PolicyService& service);
void add_event_routes(Router& router, PolicyService& service);
void add_health_routes(Router& router, PolicyService& service);
void add_metric_routes(Router& router, PolicyService& service, const ApiCounters& counters);

Router make_router(PolicyService& service, const ApiCounters& counters);

/// Answer to a commit: used by PUT, PATCH, confirm and rollback.
Response commit_response(const Expected<CommitResult, Problem>& result, const Request& request);

/// openapi.yaml as JSON; made by the build.
std::string_view openapi_json() noexcept;

}  // namespace sluice::cp::api
