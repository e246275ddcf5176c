/// /v1/changes: changes of the policy that wait for approvals, or for their time; who approves, rejects and withdraws.
#include <boost/json.hpp>

#include "controlplane/api/change_json.hpp"
#include "controlplane/api/commit_options.hpp"
#include "controlplane/api/field_choice.hpp"
#include "controlplane/api/once.hpp"
#include "controlplane/api/plan_json.hpp"
#include "controlplane/api/problem.hpp"
#include "controlplane/api/resources.hpp"
#include "controlplane/api/wire_text.hpp"
#include "controlplane/lifecycle/audit_records.hpp"

namespace sluice::cp::api {
namespace json = boost::json;
namespace {

constexpr std::size_t kChangesPerPage = 50, kChangesPerPageMax = 1000;

json::value time_or_null(std::int64_t ns) { return ns == 0 ? json::value(nullptr) : json::value(time_text_of_ns(ns)); }

json::value number_or_null(std::uint64_t number) { return number == 0 ? json::value(nullptr) : json::value(number); }

std::optional<std::uint64_t> id_of(const PathParameters& parameters) {
    const auto number = parse_number(parameters.at(0));
    return number && *number != 0 ? number : std::nullopt;
}

Response bad_id(const Request& request) {
    return problem_response(400, "bad-change", "a change has a whole number from 1", request.id);
}

Response list_changes(const Request& request, PolicyService& service) {
    std::size_t count_max = kChangesPerPage;
    std::optional<std::uint64_t> before;
    std::optional<ChangeState> state;
    const auto fields = FieldChoice::of(request, "Change");
    if (!fields) return problem_response(400, "bad-query", fields.error(), request.id);
    for (const auto& [name, value] : request.query) {
        if (name == kFieldsParameter) continue;
        const auto number = parse_number(value);
        if (name == "state") {
            state = change_state_from(value);
            if (!state) {
                return problem_response(400, "bad-query",
                                        "state is pending, scheduled, applying, applied, rejected, withdrawn, expired, "
                                        "stale or failed",
                                        request.id);
            }
        } else if (name == "limit") {
            if (!number || *number == 0 || *number > kChangesPerPageMax)
                return problem_response(400, "bad-query", "limit is a whole number from 1 to 1000", request.id);
            count_max = static_cast<std::size_t>(*number);
        } else {
            if (!number || *number == 0)
                return problem_response(400, "bad-cursor", "the cursor is not one of ours", request.id);
            before = number;
        }
    }
    const auto page = service.changes().list(state, count_max, before);
    if (!page) return problem_response(change_problem({.storage = page.error()}, 0), request.id);
    json::array rows;
    for (const auto& change : page->changes) {
        auto row = change_json(change);
        fields->apply(row);
        rows.push_back(std::move(row));
    }
    return json_response(
        200, json::serialize(
                 json::object{{"changes", std::move(rows)},
                              {"next", page->next ? json::value(std::to_string(*page->next)) : json::value(nullptr)}}));
}

Response get_change(const Request& request, std::uint64_t id, PolicyService& service) {
    const auto view = service.change_view(id);
    if (!view) return problem_response(view.error(), request.id);
    return json_response(
        200, json::serialize(json::object{
                 {"change", change_json(view->change)},
                 {"text", valid_utf8(view->change.text)},
                 {"changes", view->changes ? json::value(changes_json(*view->changes)) : json::value(nullptr)}}));
}

Response approve(const Request& request, std::uint64_t id, PolicyService& service) {
    if (const auto no = lock_out_trouble(request)) return problem_response(*no, request.id);
    return answer_once(request, service,
                       [&] { return commit_response(service.approve_change(id, caller_of(request), false), request); });
}

/// Without the approvals that are missing.
Response break_glass(const Request& request, std::uint64_t id, PolicyService& service) {
    if (const auto no = lock_out_trouble(request)) return problem_response(*no, request.id);
    if (request.header("Break-Glass").value_or("") != "true")
        return problem_response(400, "bad-break-glass",
                                "who applies a change without its approvals sends Break-Glass: true", request.id);
    if (caller_of(request).reason.empty())
        return problem_response(400, "reason-missing", "who breaks the glass says why, in Sluice-Reason", request.id);
    return answer_once(request, service,
                       [&] { return commit_response(service.approve_change(id, caller_of(request), true), request); });
}

Response ended(const Expected<Change, Problem>& change, const Request& request) {
    if (!change) return problem_response(change.error(), request.id);
    return json_response(200, json::serialize(json::object{{"change", change_json(*change)}}));
}

Response reject(const Request& request, std::uint64_t id, PolicyService& service) {
    const auto caller = caller_of(request);
    if (caller.reason.empty())
        return problem_response(400, "reason-missing", "say why in Sluice-Reason: its author is told", request.id);
    return answer_once(request, service, [&] { return ended(service.reject_change(id, caller), request); });
}

Response withdraw(const Request& request, std::uint64_t id, PolicyService& service) {
    return ended(service.withdraw_change(id, caller_of(request)), request);
}

using Answer = Response (*)(const Request&, std::uint64_t, PolicyService&);

Handler with_id(Answer answer, PolicyService& service) {
    return [answer, &service](const Request& request, const PathParameters& parameters) {
        const auto id = id_of(parameters);
        return id ? answer(request, *id, service) : bad_id(request);
    };
}

}  // namespace

json::object change_json(const Change& change) {
    json::value base = nullptr;
    if (!change.base.hash.empty()) {
        base = {{"generation", change.base.generation},
                {"hash", change.base.hash},
                {"version", valid_utf8(change.base.version)}};
    }
    json::array approvals;
    for (const auto& approval : change.approvals) {
        approvals.push_back(json::object{{"by", valid_utf8(approval.by)},
                                         {"time", time_text_of_ns(approval.at_ns)},
                                         {"reason", valid_utf8(approval.reason)},
                                         {"break_glass", approval.glass}});
    }
    return {{"id", change.id},
            {"kind", change.kind},
            {"state", to_text(change.state)},
            {"base", std::move(base)},
            {"version", valid_utf8(change.version)},
            {"hash", change.hash},
            {"format", change.format},
            {"bytes", change.bytes},
            {"by", valid_utf8(change.by)},
            {"origin", valid_utf8(change.origin)},
            {"reason", valid_utf8(change.reason)},
            {"made", time_text_of_ns(change.made_ns)},
            {"needed", change.needed},
            {"approvals", std::move(approvals)},
            {"expires", change.state == ChangeState::pending ? time_or_null(change.expires_ns) : json::value(nullptr)},
            {"at", time_or_null(change.at_ns)},
            {"confirm_s", number_or_null(change.confirm_ms / 1000)},
            {"guard", change.guard},
            {"break_glass", change.break_glass},
            {"ended", time_or_null(change.ended_ns)},
            {"detail", valid_utf8(change.detail)},
            {"generation", number_or_null(change.generation)}};
}

void add_change_routes(Router& router, PolicyService& service) {
    router.add({.method = "GET",
                .pattern = "/v1/changes",
                .roles = kEveryRole,
                .query_parameters = {"state", "limit", "cursor", "fields"},
                .handler = [&service](const Request& r, const PathParameters&) { return list_changes(r, service); }});
    router.add(
        {.method = "GET", .pattern = "/v1/changes/{id}", .roles = kEveryRole, .handler = with_id(get_change, service)});
    // Whoever may have sent one; the service lets its author only.
    router.add({.method = "DELETE",
                .pattern = "/v1/changes/{id}",
                .roles = {Role::operator_, Role::editor, Role::approver},
                .lane = Lane::commits,
                .handler = with_id(withdraw, service)});
    router.add({.method = "POST",
                .pattern = "/v1/changes/{id}:approve",
                .roles = {Role::approver, Role::admin},
                .lane = Lane::commits,
                .handler = with_id(approve, service)});
    router.add({.method = "POST",
                .pattern = "/v1/changes/{id}:reject",
                .roles = {Role::approver, Role::admin},
                .lane = Lane::commits,
                .handler = with_id(reject, service)});
    router.add({.method = "POST",
                .pattern = "/v1/changes/{id}:apply",
                .roles = {Role::admin},
                .lane = Lane::commits,
                .handler = with_id(break_glass, service)});
}

}  // namespace sluice::cp::api
