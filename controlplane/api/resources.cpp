#include "controlplane/api/resources.hpp"

#include <boost/json.hpp>

namespace sluice::cp::api {

void add_index_routes(Router& router) {
    router.add({.method = "GET",
                .pattern = "/",
                .roles = kEveryRole,
                .lane = Lane::inline_,
                .handler = [](const Request&, const PathParameters&) {
                    const boost::json::object index{{"product", "sluice"},
                                                    {"links",
                                                     {{"openapi", "/v1/openapi.json"},
                                                      {"policy", "/v1/policy"},
                                                      {"history", "/v1/history"},
                                                      {"audit", "/v1/audit"},
                                                      {"audit_verify", "/v1/audit:verify"},
                                                      {"tokens", "/v1/tokens"},
                                                      {"freeze", "/v1/freeze"},
                                                      {"drafts", "/v1/drafts"},
                                                      {"changes", "/v1/changes"},
                                                      {"shadow", "/v1/shadow"},
                                                      {"status", "/v1/status"},
                                                      {"rules", "/v1/rules"},
                                                      {"sets", "/v1/sets"},
                                                      {"flows", "/v1/flows"},
                                                      {"explain", "/v1/explain"},
                                                      {"events", "/v1/events"},
                                                      {"live", "/livez"},
                                                      {"ready", "/readyz"},
                                                      {"metrics", "/metrics"},
                                                      {"rule_metrics", "/metrics/rules"}}}};
                    return json_response(200, boost::json::serialize(index));
                }});
}

void add_openapi_routes(Router& router) {
    for (const auto* path : {"/openapi.json", "/v1/openapi.json"}) {
        router.add({.method = "GET",
                    .pattern = path,
                    .roles = kEveryRole,
                    .lane = Lane::inline_,
                    .handler = [](const Request&, const PathParameters&) {
                        return json_response(200, std::string{openapi_json()});
                    }});
    }
}

Router make_router(PolicyService& service, const ApiCounters& counters) {
    Router router;
    add_index_routes(router);
    add_openapi_routes(router);
    add_policy_routes(router, service);
    add_commit_routes(router, service);
    add_history_routes(router, service);
    add_audit_routes(router, service);
    add_token_routes(router, service);
    add_freeze_routes(router, service);
    add_draft_routes(router, service);
    add_change_routes(router, service);
    add_shadow_routes(router, service);
    add_status_routes(router, service, counters);
    add_rule_routes(router, service);
    add_set_routes(router, service);
    add_flow_routes(router, service);
    add_explain_routes(router, service);
    add_event_routes(router, service);
    add_health_routes(router, service);
    add_metric_routes(router, service, counters);
    return router;
}

}  // namespace sluice::cp::api
