/// /v1/events: where a stream starts. The session, the event hub and the feed do the following.
#include "controlplane/api/event_feed.hpp"
#include "controlplane/api/problem.hpp"
#include "controlplane/api/resources.hpp"

namespace sluice::cp::api {

void add_event_routes(Router& router, PolicyService& service) {
    router.add(
        {.method = "GET",
         .pattern = "/v1/events",
         .roles = kEveryRole,
         .query_parameters = {"topics", "filter"},
         .handler = [&service](const Request& request, const PathParameters&) {
             std::optional<EventTopics> topics{EventTopics{}};
             std::optional<EventFilter> filter;
             for (const auto& [name, value] : request.query) {
                 if (name == "topics") {
                     topics = event_topics_from(value);
                     continue;
                 }
                 auto parsed = EventFilter::parse(value);
                 if (!parsed) {
                     return problem_response(
                         400, "bad-filter",
                         "column " + std::to_string(parsed.error().column) + ": " + parsed.error().detail, request.id);
                 }
                 filter = std::move(*parsed);
             }
             if (!topics) {
                 return problem_response(400, "bad-query", "topics is flows, policy, or flows,policy", request.id);
             }
             auto start = event_start(service, *topics, request.header("Last-Event-ID").value_or(std::string_view{}));
             if (!start) {
                 return problem_response(400, "bad-last-event-id",
                                         "Last-Event-ID is the id of an event, as this server sent it", request.id);
             }
             start->filter = std::move(filter);
             Response response;
             response.content_type = "text/event-stream";
             response.stream = std::make_shared<EventFeed>(service, std::move(*start));
             return response;
         }});
}

}  // namespace sluice::cp::api
