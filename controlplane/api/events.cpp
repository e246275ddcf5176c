/// /v1/events: where a stream starts. The session and the event hub do the following.
#include "controlplane/api/problem.hpp"
#include "controlplane/api/resources.hpp"

namespace sluice::cp::api {

void add_event_routes(Router& router, PolicyService& service) {
    router.add({.method = "GET",
                .pattern = "/v1/events",
                .roles = kEveryRole,
                .query_parameters = {"topics"},
                .handler = [&service](const Request& request, const PathParameters&) {
                    for (const auto& [name, value] : request.query) {
                        if (value != "flows") return problem_response(400, "bad-query", "topics is flows", request.id);
                    }
                    const std::uint64_t newest = service.newest_event();
                    std::uint64_t after = newest;
                    if (const auto header = request.header("Last-Event-ID"); header && !header->empty()) {
                        const auto id = parse_number(*header);
                        if (!id) {
                            return problem_response(400, "bad-last-event-id", "Last-Event-ID is the id of an event",
                                                    request.id);
                        }
                        // An id from before a restart of this process may be larger than any that is known now: such a
                        // client starts with what is here.
                        after = *id <= newest ? *id : 0;
                    }
                    Response response;
                    response.content_type = "text/event-stream";
                    response.stream = EventStart{after};
                    return response;
                }});
}

}  // namespace sluice::cp::api
