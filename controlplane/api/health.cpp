/// /livez and /readyz. Alive = the I/O thread answers; ready = the dataplane runs the stored policy.
#include "controlplane/api/problem.hpp"
#include "controlplane/api/resources.hpp"

namespace sluice::cp::api {

void add_health_routes(Router& router, PolicyService& service) {
    router.add(
        {.method = "GET",
         .pattern = "/livez",
         .access = Access::open,
         .lane = Lane::inline_,
         .handler = [](const Request&, const PathParameters&) { return json_response(200, R"({"live":true})"); }});
    router.add(
        {.method = "GET",
         .pattern = "/readyz",
         .access = Access::monitoring,
         .roles = kEveryRole,
         .handler = [&service](const Request& request, const PathParameters&) {
             const auto reasons = service.status().not_ready;
             if (reasons.empty()) return json_response(200, R"({"ready":true})");
             std::string detail;
             for (const auto& reason : reasons) detail += (detail.empty() ? "" : "; ") + reason;
             return problem_response(
                 Problem{.status = 503, .code = "not-ready", .title = "Not ready", .detail = detail, .errors = {}},
                 request.id, reasons);
         }});
}

}  // namespace sluice::cp::api
