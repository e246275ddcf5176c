/// /v1/history: what was in force when, by whom and why; what it changed; and putting it in force again.
#include <boost/json.hpp>

#include "controlplane/api/commit_options.hpp"
#include "controlplane/api/field_choice.hpp"
#include "controlplane/api/once.hpp"
#include "controlplane/api/plan_json.hpp"
#include "controlplane/api/problem.hpp"
#include "controlplane/api/resources.hpp"
#include "controlplane/api/wire_text.hpp"

namespace sluice::cp::api {
namespace json = boost::json;
namespace {

constexpr std::size_t kRowsPerPage = 50, kRowsPerPageMax = 1000;

json::object adoption_json(const Adoption& adoption) {
    const auto& asked = adoption.asked.record;
    return {{"entry", adoption.entry},
            {"generation", adoption.ref.generation},
            {"version", valid_utf8(adoption.label)},
            {"hash", adoption.ref.hash},
            {"format", adoption.ref.extension},
            {"time", time_text_of_ns(adoption.at_ns)},
            {"actor", valid_utf8(asked.actor)},
            {"origin", valid_utf8(asked.origin)},
            {"action", asked.action},
            {"reason", valid_utf8(asked.reason)},
            {"approval", valid_utf8(adoption.approval)},
            {"request_id", asked.request_id},
            {"audit", adoption.asked.number},
            {"text_kept", adoption.text_kept}};
}

Response get_history(const Request& request, PolicyService& service) {
    std::size_t count_max = kRowsPerPage;
    std::optional<std::uint64_t> before;
    const auto fields = FieldChoice::of(request, "Adoption");
    if (!fields) return problem_response(400, "bad-query", fields.error(), request.id);
    for (const auto& [name, value] : request.query) {
        if (name == kFieldsParameter) continue;
        const auto number = parse_number(value);
        if (name == "limit") {
            if (!number || *number == 0 || *number > kRowsPerPageMax) {
                return problem_response(400, "bad-query", "limit is a whole number from 1 to 1000", request.id);
            }
            count_max = static_cast<std::size_t>(*number);
        } else {
            if (!number) return problem_response(400, "bad-cursor", "the cursor is not one of ours", request.id);
            before = number;
        }
    }
    const auto page = service.history(count_max, before);
    if (!page) return problem_response(page.error(), request.id);
    json::array rows;
    for (const auto& adoption : page->adoptions) {
        auto row = adoption_json(adoption);
        row["current"] = adoption.entry == page->current_entry;
        fields->apply(row);
        rows.push_back(std::move(row));
    }
    return json_response(
        200, json::serialize(
                 json::object{{"history", std::move(rows)},
                              {"next", page->next ? json::value(std::to_string(*page->next)) : json::value(nullptr)}}));
}

Response bad_generation(const Request& request) {
    return problem_response(400, "bad-generation", "a generation is a whole number from 1", request.id);
}

Response get_adoption(const Request& request, const PathParameters& parameters, PolicyService& service) {
    const auto generation = parse_number(parameters.at(0));
    std::optional<std::uint64_t> against;
    for (const auto& [name, value] : request.query) {
        against = parse_number(value);
        if (!against || *against == 0) return bad_generation(request);
    }
    if (!generation || *generation == 0) return bad_generation(request);
    const auto view = service.history_view(*generation, against);
    if (!view) return problem_response(view.error(), request.id);
    return json_response(
        200, json::serialize(json::object{
                 {"adoption", adoption_json(view->adoption)},
                 {"text", valid_utf8(view->text)},
                 {"against", view->against ? json::value(adoption_json(*view->against)) : json::value(nullptr)},
                 {"changes", changes_json(view->changes)}}));
}

Response restore(const Request& request, const PathParameters& parameters, PolicyService& service) {
    const auto generation = parse_number(parameters.at(0));
    if (!generation || *generation == 0) return bad_generation(request);
    CommitOptions options;
    if (const auto problem = read_commit_options(request, service, options)) {
        return problem_response(*problem, request.id);
    }
    if (options.if_none_match_any) {
        return problem_response(400, "bad-precondition", "something is in force already; send If-Match", request.id);
    }
    return answer_once(request, service,
                       [&] { return commit_response(service.restore(*generation, options), request); });
}

}  // namespace

void add_history_routes(Router& router, PolicyService& service) {
    router.add({.method = "GET",
                .pattern = "/v1/history",
                .roles = kEveryRole,
                .query_parameters = {"limit", "cursor", "fields"},
                .handler = [&service](const Request& r, const PathParameters&) { return get_history(r, service); }});
    router.add(
        {.method = "GET",
         .pattern = "/v1/history/{generation}",
         .roles = kEveryRole,
         .query_parameters = {"against"},
         .handler = [&service](const Request& r, const PathParameters& p) { return get_adoption(r, p, service); }});
    router.add({.method = "POST",
                .pattern = "/v1/history/{generation}:restore",
                .roles = {Role::operator_, Role::editor},
                .lane = Lane::commits,
                .query_parameters = {"at"},
                .handler = [&service](const Request& r, const PathParameters& p) { return restore(r, p, service); }});
}

}  // namespace sluice::cp::api
