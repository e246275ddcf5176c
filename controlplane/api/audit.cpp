/// /v1/audit: who did or tried what, from where, why; and whether the chain is whole.
#include <chrono>

#include <boost/json.hpp>

#include "controlplane/api/field_choice.hpp"
#include "controlplane/api/problem.hpp"
#include "controlplane/api/resources.hpp"
#include "controlplane/api/wire_text.hpp"
#include "controlplane/lifecycle/record_query.hpp"

namespace sluice::cp::api {
namespace json = boost::json;
namespace {

constexpr std::size_t kEntriesPerPageMax = 1000;

json::object state_json(const AuditState& state) { return {{"hash", state.hash}, {"generation", state.generation}}; }

json::object head_json(const AuditHead& head) { return {{"number", head.number}, {"hash", head.hash}}; }

/// `at_ns` beside `time`: the hash is over every digit of it.
json::object entry_json(const AuditEntry& entry) {
    const auto& r = entry.record;
    return {{"number", entry.number},
            {"time", time_text_of_ns(r.at_ns)},
            {"at_ns", std::to_string(r.at_ns)},
            {"actor", valid_utf8(r.actor)},
            {"origin", valid_utf8(r.origin)},
            {"action", valid_utf8(r.action)},
            {"before", state_json(r.before)},
            {"after", state_json(r.after)},
            {"approval", valid_utf8(r.approval)},
            {"reason", valid_utf8(r.reason)},
            {"result", valid_utf8(r.result)},
            {"detail", valid_utf8(r.detail)},
            {"request_id", valid_utf8(r.request_id)},
            {"prev", entry.prev},
            {"hash", entry.hash}};
}

Response storage_failed(const FileError& error, const Request& request) {
    return problem_response(500, "storage-failed", error.what, request.id);
}

Response get_audit(const Request& request, PolicyService& service) {
    AuditQuery query;
    const auto fields = FieldChoice::of(request, "AuditEntry");
    if (!fields) return problem_response(400, "bad-query", fields.error(), request.id);
    const auto now_ns =
        std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
            .count();
    for (const auto& [name, value] : request.query) {
        if (name == kFieldsParameter) continue;
        const auto number = parse_number(value);
        if (name == "actor") {
            query.actor = value;
        } else if (name == "action") {
            query.action = value;
        } else if (name == "since" || name == "until") {
            const auto moment = parse_record_time(value, now_ns);
            if (!moment) return problem_response(400, "bad-query", no_record_time(name, value), request.id);
            if (name == "since") query.since_ns = *moment;
            if (name == "until") query.until_ns = moment;
        } else if (name == "limit") {
            if (!number || *number == 0 || *number > kEntriesPerPageMax) {
                return problem_response(400, "bad-query", "limit is a whole number from 1 to 1000", request.id);
            }
            query.count_max = static_cast<std::size_t>(*number);
        } else {
            if (!number) return problem_response(400, "bad-cursor", "the cursor is not one of ours", request.id);
            query.before = number;
        }
    }
    const auto page = service.audit().page(query);
    if (!page) return storage_failed(page.error(), request);
    json::array entries;
    for (const auto& entry : page->entries) {
        auto item = entry_json(entry);
        fields->apply(item);
        entries.push_back(std::move(item));
    }
    return json_response(
        200, json::serialize(
                 json::object{{"entries", std::move(entries)},
                              {"next", page->next ? json::value(std::to_string(*page->next)) : json::value(nullptr)}}));
}

Response verify(const Request&, PolicyService& service) {
    const auto check = service.audit().verify();
    return json_response(200,
                         json::serialize(json::object{
                             {"whole", check.whole},
                             {"first", check.first},
                             {"entries", check.entries},
                             {"head", head_json(check.head)},
                             {"witness", check.witness ? json::value(head_json(*check.witness)) : json::value(nullptr)},
                             {"broken", check.broken == 0 ? json::value(nullptr) : json::value(check.broken)},
                             {"what", valid_utf8(check.what)}}));
}

}  // namespace

void add_audit_routes(Router& router, PolicyService& service) {
    router.add({.method = "GET",
                .pattern = "/v1/audit",
                .roles = {Role::auditor},
                .query_parameters = {"since", "until", "actor", "action", "limit", "cursor", "fields"},
                .handler = [&service](const Request& r, const PathParameters&) { return get_audit(r, service); }});
    router.add({.method = "GET",
                .pattern = "/v1/audit:verify",
                .roles = {Role::auditor},
                .handler = [&service](const Request& r, const PathParameters&) { return verify(r, service); }});
}

}  // namespace sluice::cp::api
