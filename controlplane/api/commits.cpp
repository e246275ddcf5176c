/// /v1/commits/{generation}: confirm, roll back, look.
#include <boost/json.hpp>

#include "controlplane/api/change_json.hpp"
#include "controlplane/api/commit_options.hpp"
#include "controlplane/api/once.hpp"
#include "controlplane/api/plan_json.hpp"
#include "controlplane/api/problem.hpp"
#include "controlplane/api/resources.hpp"
#include "controlplane/api/wire_text.hpp"

namespace sluice::cp::api {
namespace json = boost::json;
namespace {

std::string_view state_text(CommitState state) noexcept {
    switch (state) {
        case CommitState::adopted: return "adopted";
        case CommitState::unchanged: return "unchanged";
        case CommitState::pending_confirmation: return "pending_confirmation";
        case CommitState::stalled: return "stalled";
        case CommitState::waiting: return "waiting";
    }
    return "invalid";
}

std::string_view state_text(CommitStanding standing) noexcept {
    switch (standing) {
        case CommitStanding::unsettled: return "unsettled";
        case CommitStanding::pending_confirmation: return "pending_confirmation";
        case CommitStanding::adopted: return "adopted";
        case CommitStanding::superseded: return "superseded";
        case CommitStanding::rolled_back: return "rolled_back";
        case CommitStanding::reverted: return "reverted";
        case CommitStanding::left_by_guard: return "left_by_guard";
        case CommitStanding::discarded: return "discarded";
    }
    return "invalid";
}

json::value deadline_json(const std::optional<std::chrono::system_clock::time_point>& deadline) {
    return deadline ? json::value(time_text(*deadline)) : json::value(nullptr);
}

json::value change_or_null(const std::optional<Change>& change) {
    return change ? json::value(change_json(*change)) : json::value(nullptr);
}

std::optional<std::uint64_t> generation_of(const PathParameters& parameters) {
    const auto number = parse_number(parameters.at(0));
    return number && *number != 0 ? number : std::nullopt;
}

Response bad_generation(const Request& request) {
    return problem_response(400, "bad-generation", "a generation is a whole number from 1", request.id);
}

json::value time_of(const AuditEntry& entry) {
    return entry.number == 0 ? json::value(nullptr) : json::value(time_text_of_ns(entry.record.at_ns));
}

Response get_commit(const Request& request, const PathParameters& parameters, PolicyService& service) {
    const auto generation = generation_of(parameters);
    if (!generation) return bad_generation(request);
    const auto view = service.commit_view(*generation);
    if (!view) return problem_response(view.error(), request.id);
    const AuditRecord& asked = view->asked.record;
    const bool is_known = view->asked.number != 0;
    return json_response(200,
                         json::serialize(json::object{{"generation", view->generation},
                                                      {"state", state_text(view->standing)},
                                                      {"hash", view->hash},
                                                      {"by", is_known ? valid_utf8(asked.actor) : std::string{}},
                                                      {"reason", is_known ? valid_utf8(asked.reason) : std::string{}},
                                                      {"asked", time_of(view->asked)},
                                                      {"settled", time_of(view->settled)},
                                                      {"detail", valid_utf8(view->settled.record.detail)},
                                                      {"confirm_deadline", deadline_json(view->confirm_deadline)},
                                                      {"guard", view->guard}}));
}

}  // namespace

Response commit_response(const Expected<CommitResult, Problem>& result, const Request& request) {
    if (!result) return problem_response(result.error(), request.id);
    json::array stalled;
    for (const auto& worker : result->stalled_workers) stalled.emplace_back(worker);
    const bool waits = result->state == CommitState::waiting;
    const bool accepted =
        waits || result->state == CommitState::pending_confirmation || result->state == CommitState::stalled;
    Response response =
        json_response(accepted ? 202 : 200,
                      json::serialize(json::object{{"state", state_text(result->state)},
                                                   {"version", result->version},
                                                   {"generation", result->generation},
                                                   {"hash", result->hash},
                                                   {"stalled_workers", std::move(stalled)},
                                                   {"confirm_deadline", deadline_json(result->confirm_deadline)},
                                                   {"tests", tests_json(result->tests)},
                                                   {"warnings", errors_json(result->warnings)},
                                                   {"change", change_or_null(result->change)}}));
    if (waits) {
        // Nothing is in force yet: its tag would be taken for that of the policy.
        if (result->change)
            response.headers.push_back({"Location", "/v1/changes/" + std::to_string(result->change->id)});
        return response;
    }
    response.headers.push_back({"ETag", '"' + result->hash + '"'});
    if (accepted) response.headers.push_back({"Location", "/v1/commits/" + std::to_string(result->generation)});
    return response;
}

void add_commit_routes(Router& router, PolicyService& service) {
    router.add(
        {.method = "GET",
         .pattern = "/v1/commits/{generation}",
         .roles = kEveryRole,
         .lane = Lane::walks,  // it asks the dataplane
         .handler = [&service](const Request& r, const PathParameters& p) { return get_commit(r, p, service); }});
    router.add({.method = "POST",
                .pattern = "/v1/commits/{generation}:confirm",
                .roles = {Role::approver},
                .lane = Lane::commits,
                .handler = [&service](const Request& r, const PathParameters& p) {
                    const auto generation = generation_of(p);
                    if (!generation) return bad_generation(r);
                    return answer_once(r, service,
                                       [&] { return commit_response(service.confirm(*generation, caller_of(r)), r); });
                }});
    router.add({.method = "POST",
                .pattern = "/v1/commits/{generation}:rollback",
                .roles = {Role::operator_, Role::editor, Role::approver},
                .lane = Lane::commits,
                .handler = [&service](const Request& r, const PathParameters& p) {
                    const auto generation = generation_of(p);
                    if (!generation) return bad_generation(r);
                    return answer_once(r, service,
                                       [&] { return commit_response(service.rollback(*generation, caller_of(r)), r); });
                }});
}

}  // namespace sluice::cp::api
