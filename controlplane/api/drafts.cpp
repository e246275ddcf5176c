/// /v1/drafts: policies that are worked on: kept, planned, and put in force while what they were written over still is.
#include <boost/json.hpp>

#include "controlplane/api/commit_options.hpp"
#include "controlplane/api/once.hpp"
#include "controlplane/api/plan_json.hpp"
#include "controlplane/api/problem.hpp"
#include "controlplane/api/resources.hpp"
#include "controlplane/api/wire_text.hpp"
#include "controlplane/lifecycle/audit_records.hpp"

namespace sluice::cp::api {
namespace json = boost::json;
namespace {

constexpr std::string_view kJson = "application/json";
constexpr std::size_t kHashDigits = 64;

/// `errors` hides the rest: who has to mend it first need not know what it is based on.
std::string_view state_of(const Draft& draft, const std::optional<CurrentPolicy>& current) {
    const auto in_force = current ? current->hash : std::string{};
    if (draft.errors != 0) return "errors";
    if (draft.hash == in_force) return "in_force";
    return draft.base.hash == in_force ? "ready" : "behind";
}

json::object draft_json(const Draft& draft, const std::optional<CurrentPolicy>& current) {
    json::value base = nullptr;
    if (!draft.base.hash.empty()) {
        base = {{"generation", draft.base.generation},
                {"hash", draft.base.hash},
                {"version", valid_utf8(draft.base.version)}};
    }
    return {{"name", draft.name},
            {"state", state_of(draft, current)},
            {"format", draft.format},
            {"bytes", draft.bytes},
            {"version", valid_utf8(draft.version)},
            {"hash", draft.hash},
            {"errors", draft.errors},
            {"base", std::move(base)},
            {"saved_by", valid_utf8(draft.saved_by)},
            {"saved_at", time_text_of_ns(draft.saved_at_ns)},
            {"reason", valid_utf8(draft.reason)}};
}

Response with_etag(Response response, const Draft& draft) {
    response.headers.push_back({"ETag", '"' + draft.tag + '"'});
    return response;
}

Response refused(const DraftTrouble& trouble, const std::string& name, const Request& request) {
    return problem_response(draft_problem(trouble, name), request.id);
}

Response bad_name(const Request& request) {
    return problem_response(400, "bad-draft-name",
                            "a draft's name has 1 to 63 of a-z, 0-9 and -, and begins with a letter or a digit",
                            request.id);
}

/// If-Match with one tag, or If-None-Match: *; both may be left out.
Expected<DraftCondition, std::string> condition_of(const Request& request) {
    DraftCondition condition;
    if (const auto header = request.header("If-Match")) {
        const auto tags = parse_entity_tags(*header);
        if (!tags || tags->any || tags->tags.size() != 1 || tags->weak[0])
            return Unexpected<std::string>("If-Match is the ETag of the draft as it was read");
        condition.tag = tags->tags[0];
    }
    if (const auto header = request.header("If-None-Match")) {
        if (*header != "*" || condition.tag)
            return Unexpected<std::string>(
                "If-None-Match can only be *, and not beside If-Match: there is no such draft");
        condition.absent = true;
    }
    return condition;
}

Response list_drafts(const Request& request, PolicyService& service) {
    const auto drafts = service.drafts().list();
    if (!drafts) return refused({DraftTrouble::Kind::storage, drafts.error()}, {}, request);
    const auto current = service.current();
    json::array out;
    for (const auto& draft : *drafts) out.push_back(draft_json(draft, current));
    return json_response(200, json::serialize(json::object{{"drafts", std::move(out)}}));
}

/// The draft, or the answer that says why not.
std::variant<Draft, Response> find_draft(const Request& request, const std::string& name, PolicyService& service) {
    if (!is_draft_name(name)) return bad_name(request);
    auto found = service.drafts().find(name);
    if (!found) return refused({DraftTrouble::Kind::storage, found.error()}, name, request);
    if (!*found) return refused({DraftTrouble::Kind::absent, {}}, name, request);
    return std::move(**found);
}

Response get_draft(const Request& request, const std::string& name, PolicyService& service) {
    const auto found = find_draft(request, name, service);
    if (const auto* response = std::get_if<Response>(&found)) return *response;
    const auto& draft = std::get<Draft>(found);
    return with_etag(json_response(200, json::serialize(json::object{{"draft", draft_json(draft, service.current())},
                                                                     {"text", valid_utf8(draft.text)}})),
                     draft);
}

Response put_draft(const Request& request, const std::string& name, PolicyService& service) {
    if (!is_draft_name(name)) return bad_name(request);
    auto condition = condition_of(request);
    if (!condition) return problem_response(400, "bad-precondition", condition.error(), request.id);
    DraftSave wanted{.name = name, .body = request.body, .condition = std::move(*condition)};
    wanted.format =
        media_type(request.header("Content-Type").value_or("")) == kJson ? PolicyFormat::json : PolicyFormat::yaml;
    wanted.caller = caller_of(request);
    for (const auto& [parameter, value] : request.query) {
        const auto generation = value == "current" ? std::optional<std::uint64_t>{0} : parse_number(value);
        if (!generation || value == "0")
            return problem_response(400, "bad-query", "base is current, or a generation of the history", request.id);
        wanted.base = generation;
    }
    const auto saved = service.save_draft(wanted);
    if (!saved) return problem_response(saved.error(), request.id);
    return with_etag(
        json_response(200, json::serialize(json::object{{"draft", draft_json(saved->draft, service.current())},
                                                        {"errors", errors_json(saved->errors)}})),
        saved->draft);
}

Response delete_draft(const Request& request, const std::string& name, PolicyService& service) {
    if (!is_draft_name(name)) return bad_name(request);
    const auto condition = condition_of(request);
    if (!condition || condition->absent)
        return problem_response(400, "bad-precondition", "If-Match is the ETag of the draft as it was read",
                                request.id);
    auto entry = with_result(record_of("draft.delete", caller_of(request)), "done", "draft " + name);
    const auto gone = service.drafts().remove(name, *condition, std::move(entry));
    if (!gone) return refused(gone.error(), name, request);
    return json_response(200, json::serialize(json::object{{"draft", draft_json(*gone, service.current())}}));
}

Response plan_draft(const Request& request, const std::string& name, PolicyService& service) {
    PlanOptions options;
    options.caller = caller_of(request);
    for (const auto& [parameter, value] : request.query) {
        if (value.empty())
            return problem_response(400, "bad-query", "flows_since is a time, or how long ago, such as 24h",
                                    request.id);
        options.flows_since = value;
    }
    const auto found = find_draft(request, name, service);
    if (const auto* response = std::get_if<Response>(&found)) return *response;
    const auto& draft = std::get<Draft>(found);
    const auto format = draft.format == "json" ? PolicyFormat::json : PolicyFormat::yaml;
    const auto plan = service.dry_run(draft.text, format, options);
    if (!plan) return problem_response(plan.error(), request.id);
    return with_etag(json_response(200, json::serialize(plan_json(*plan))), draft);
}

Response apply_draft(const Request& request, const std::string& name, PolicyService& service) {
    if (!is_draft_name(name)) return bad_name(request);
    std::string hash;
    for (const auto& [parameter, value] : request.query) {
        if (parameter == kAtParameter) continue;
        if (value.size() != kHashDigits)
            return problem_response(400, "bad-query", "hash is that of the plan, 64 hex digits", request.id);
        hash = value;
    }
    CommitOptions options;
    if (const auto problem = read_commit_options(request, service, options))
        return problem_response(*problem, request.id);
    return answer_once(request, service,
                       [&] { return commit_response(service.apply_draft(name, hash, options), request); });
}

using Answer = Response (*)(const Request&, const std::string&, PolicyService&);

Handler with_name(Answer answer, PolicyService& service) {
    return [answer, &service](const Request& request, const PathParameters& parameters) {
        return answer(request, parameters.at(0), service);
    };
}

}  // namespace

void add_draft_routes(Router& router, PolicyService& service) {
    router.add({.method = "GET",
                .pattern = "/v1/drafts",
                .roles = kEveryRole,
                .handler = [&service](const Request& r, const PathParameters&) { return list_drafts(r, service); }});
    router.add({.method = "GET",
                .pattern = "/v1/drafts/{name}",
                .roles = kEveryRole,
                .handler = with_name(get_draft, service)});
    router.add({.method = "PUT",
                .pattern = "/v1/drafts/{name}",
                .roles = {Role::editor},
                .lane = Lane::commits,
                .body_types = {"application/yaml", "text/yaml", "application/x-yaml", "application/json"},
                .query_parameters = {"base"},
                .handler = once(service, with_name(put_draft, service))});
    router.add({.method = "DELETE",
                .pattern = "/v1/drafts/{name}",
                .roles = {Role::editor},
                .lane = Lane::commits,
                .handler = once(service, with_name(delete_draft, service))});
    router.add({.method = "POST",
                .pattern = "/v1/drafts/{name}:plan",
                .roles = kEveryRole,
                .lane = Lane::plans,
                .query_parameters = {"flows_since"},
                .handler = with_name(plan_draft, service)});
    router.add({.method = "POST",
                .pattern = "/v1/drafts/{name}:apply",
                .roles = {Role::editor},
                .lane = Lane::commits,
                .query_parameters = {"hash", "at"},
                .handler = with_name(apply_draft, service)});
}

}  // namespace sluice::cp::api
