/// /v1/rules
#include <boost/json.hpp>

#include "controlplane/api/field_choice.hpp"
#include "controlplane/api/problem.hpp"
#include "controlplane/api/resources.hpp"
#include "controlplane/api/wire_text.hpp"

namespace sluice::cp::api {
namespace json = boost::json;

void add_rule_routes(Router& router, PolicyService& service) {
    router.add({.method = "GET",
                .pattern = "/v1/rules",
                .roles = kEveryRole,
                .query_parameters = {"fields"},
                .handler = [&service](const Request& request, const PathParameters&) {
                    const auto fields = FieldChoice::of(request, "RuleStats");
                    if (!fields) return problem_response(400, "bad-query", fields.error(), request.id);
                    json::array out;
                    for (const auto& rule : service.rules()) {
                        json::object item{{"id", rule.id},     {"action", rule.action},   {"mode", rule.mode},
                                          {"hits", rule.hits}, {"packets", rule.packets}, {"bytes", rule.bytes}};
                        item["first_hit"] =
                            rule.first_hit ? json::value(time_text(*rule.first_hit)) : json::value(nullptr);
                        item["last_hit"] =
                            rule.last_hit ? json::value(time_text(*rule.last_hit)) : json::value(nullptr);
                        fields->apply(item);
                        out.push_back(std::move(item));
                    }
                    return json_response(200, json::serialize(out));
                }});
}

}  // namespace sluice::cp::api
