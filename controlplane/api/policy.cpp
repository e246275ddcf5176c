/// /v1/policy: read, replace, edit, plan.
#include <boost/json.hpp>

#include "controlplane/api/commit_options.hpp"
#include "controlplane/api/once.hpp"
#include "controlplane/api/plan_json.hpp"
#include "controlplane/api/problem.hpp"
#include "controlplane/api/resources.hpp"

namespace sluice::cp::api {
namespace json = boost::json;
namespace {

constexpr std::string_view kYaml = "application/yaml";
constexpr std::string_view kJson = "application/json";

struct Wanted {
    bool dry_run{};
    PlanOptions plan{};
};

Expected<Wanted, std::string> wanted_of(const Request& request) {
    Wanted wanted;
    bool has_time = false;
    for (const auto& [name, value] : request.query) {
        if (name == kAtParameter) {
            has_time = true;
        } else if (name == "flows_since") {
            if (value.empty()) return Unexpected<std::string>("flows_since is a time, or how long ago, such as 24h");
            wanted.plan.flows_since = value;
        } else if (value == "true" || value == "false") {
            wanted.dry_run = value == "true";
        } else {
            return Unexpected<std::string>("dry_run is true or false");
        }
    }
    if (!wanted.dry_run && !wanted.plan.flows_since.empty())
        return Unexpected<std::string>("flows_since goes with dry_run=true");
    if (wanted.dry_run && has_time) return Unexpected<std::string>("a dry run has no time; leave out at");
    return wanted;
}

PlanOptions plan_of(const Wanted& wanted, const Request& request) {
    auto options = wanted.plan;
    options.caller = caller_of(request);
    return options;
}

Response plan_response(const Expected<DryRunResult, Problem>& result, const Request& request) {
    if (!result) return problem_response(result.error(), request.id);
    return json_response(200, json::serialize(plan_json(*result)));
}

Response put_policy(const Request& request, PolicyService& service) {
    const auto wanted = wanted_of(request);
    if (!wanted) return problem_response(400, "bad-query", wanted.error(), request.id);
    const auto type = media_type(request.header("Content-Type").value_or(""));
    const auto format = type == kJson ? PolicyFormat::json : PolicyFormat::yaml;
    if (wanted->dry_run)
        return plan_response(service.dry_run(request.body, format, plan_of(*wanted, request)), request);
    CommitOptions options;
    if (const auto problem = read_commit_options(request, service, options))
        return problem_response(*problem, request.id);
    return answer_once(request, service,
                       [&] { return commit_response(service.put(request.body, format, options), request); });
}

Response patch_policy(const Request& request, PolicyService& service) {
    const auto wanted = wanted_of(request);
    if (!wanted) return problem_response(400, "bad-query", wanted.error(), request.id);
    if (wanted->dry_run) return plan_response(service.dry_run_patch(request.body, plan_of(*wanted, request)), request);
    CommitOptions options;
    if (const auto problem = read_commit_options(request, service, options))
        return problem_response(*problem, request.id);
    if (options.if_none_match_any) {
        return problem_response(400, "bad-precondition", "PATCH edits a policy that exists; send If-Match", request.id);
    }
    return answer_once(request, service,
                       [&] { return commit_response(service.patch(request.body, options), request); });
}

bool not_modified(const Request& request, const CurrentPolicy& current) {
    const auto header = request.header("If-None-Match");
    if (!header) return false;
    const auto tags = parse_entity_tags(*header);
    if (!tags) return false;
    if (tags->any) return true;
    for (const auto& tag : tags->tags) {
        if (tag == current.hash) return true;  // weak comparison (RFC 9110 section 13.1.2)
    }
    return false;
}

Response get_policy(const Request& request, PolicyService& service) {
    const auto current = service.current();
    if (!current) {
        return problem_response(404, "no-policy", "no policy is stored yet; PUT one with `If-None-Match: *`",
                                request.id);
    }
    const auto stored_type = current->format == PolicyFormat::json ? kJson : kYaml;
    const auto accept = request.header("Accept").value_or("*/*");
    const int object_quality = accept_quality(accept, kJson, true);
    const int stored_quality = accept_quality(accept, stored_type);
    const bool as_object =
        object_quality > 0 && (object_quality > accept_quality(accept, kYaml, true) || stored_type == kJson);
    if (!as_object && stored_quality == 0) {
        return problem_response(406, "not-acceptable",
                                "the policy is offered as " + std::string{stored_type} + " and application/json",
                                request.id);
    }
    Response response;
    if (not_modified(request, *current)) {
        response.status = 304;
    } else if (as_object) {
        response = json_response(
            200, json::serialize(json::object{{"name", valid_utf8(current->name)},
                                              {"version", valid_utf8(current->version)},
                                              {"hash", current->hash},
                                              {"generation", current->generation},
                                              {"format", current->format == PolicyFormat::json ? "json" : "yaml"},
                                              {"text", valid_utf8(current->text)}}));
    } else {
        response.content_type = stored_type;
        response.body = current->text;
    }
    response.headers.push_back({"ETag", '"' + current->hash + '"'});
    response.headers.push_back({"Vary", "Accept"});
    return response;
}

}  // namespace

void add_policy_routes(Router& router, PolicyService& service) {
    router.add({.method = "GET",
                .pattern = "/v1/policy",
                .roles = kEveryRole,
                .handler = [&service](const Request& r, const PathParameters&) { return get_policy(r, service); }});
    router.add({.method = "PUT",
                .pattern = "/v1/policy",
                .roles = {Role::editor},
                .dry_run_roles = kEveryRole,
                .lane = Lane::commits,
                .body_types = {"application/yaml", "text/yaml", "application/x-yaml", "application/json"},
                .query_parameters = {"dry_run", "flows_since", "at"},
                .handler = [&service](const Request& r, const PathParameters&) { return put_policy(r, service); }});
    router.add({.method = "PATCH",
                .pattern = "/v1/policy",
                .roles = {Role::editor},
                .dry_run_roles = kEveryRole,
                .lane = Lane::commits,
                .body_types = {"application/json"},
                .query_parameters = {"dry_run", "flows_since", "at"},
                .handler = [&service](const Request& r, const PathParameters&) { return patch_policy(r, service); }});
}

}  // namespace sluice::cp::api
