/// /v1/freeze: when policies are not to be changed.
#include <algorithm>
#include <chrono>

#include <boost/json.hpp>

#include "controlplane/api/commit_options.hpp"
#include "controlplane/api/field_reader.hpp"
#include "controlplane/api/once.hpp"
#include "controlplane/api/problem.hpp"
#include "controlplane/api/resources.hpp"
#include "controlplane/api/wire_text.hpp"
#include "controlplane/lifecycle/audit_records.hpp"
#include "controlplane/lifecycle/record_query.hpp"
#include "controlplane/store/freeze_store.hpp"
#include "controlplane/store/wall_clock.hpp"

namespace sluice::cp::api {
namespace json = boost::json;
namespace {

constexpr std::int64_t kFreezeMaxNs = 92LL * 86'400 * 1'000'000'000;

Response freeze_response(PolicyService& service) {
    const auto window = service.freezes().window();
    const bool over = !window || window->until_ns <= wall_clock_ns();
    json::value shown = nullptr;
    if (!over) {
        shown = json::object{{"from", time_text_of_ns(window->from_ns)},
                             {"until", time_text_of_ns(window->until_ns)},
                             {"reason", valid_utf8(window->reason)},
                             {"set_by", valid_utf8(window->set_by)},
                             {"set_at", time_text_of_ns(window->set_at_ns)}};
    }
    return json_response(200, json::serialize(json::object{{"frozen", !over && window->holds(wall_clock_ns())},
                                                           {"window", std::move(shown)}}));
}

/// A point in time; "how long ago", which the same reader takes, is none.
void read_time(FieldReader& reader, const char* name, std::int64_t& into) {
    const auto* value = reader.find(name);
    if (value == nullptr) return;
    const auto* string = value->if_string();
    const auto text = string == nullptr ? std::string{} : std::string(string->data(), string->size());
    const auto time = text.find('T') == std::string::npos ? std::nullopt : parse_record_time(text, 0);
    if (time) {
        into = *time;
    } else {
        reader.fail(name, "bad-time", std::string{name} + " is a time, such as 2026-12-24T18:00:00+08:00");
    }
}

Expected<Freeze, Problem> read_freeze(const Request& request) {
    const auto object = read_object(request.body);
    if (!object) return Unexpected(object.error());
    PolicyErrors errors;
    FieldReader reader{*object, errors};
    const auto now = wall_clock_ns();
    Freeze freeze{.from_ns = now, .set_at_ns = now};
    read_time(reader, "from", freeze.from_ns);
    if (!reader.has("until")) reader.fail("until", "missing-field", "until is required: when the freeze is over");
    read_time(reader, "until", freeze.until_ns);
    reader.refuse_unknown();
    if (errors.empty() && (freeze.until_ns <= std::max(now, freeze.from_ns)))
        reader.fail("until", "out-of-range", "until lies behind from, and in the future");
    if (errors.empty() && freeze.until_ns - freeze.from_ns > kFreezeMaxNs)
        reader.fail("until", "out-of-range", "a freeze lasts for at most 92 days");
    if (!errors.empty()) return Unexpected(bad_fields("bad-freeze", "freeze", std::move(errors)));
    return freeze;
}

Response not_stored(const FileError& error, const Request& request) {
    return problem_response(error.disk_full() ? 507 : 500, error.disk_full() ? "storage-full" : "storage-failed",
                            error.what + "; nothing was changed", request.id);
}

Response put_freeze(const Request& request, PolicyService& service) {
    const auto freeze = read_freeze(request);
    if (!freeze) return problem_response(freeze.error(), request.id);
    auto entry =
        with_result(record_of("freeze.set", caller_of(request)), "done",
                    "from " + time_text_of_ns(freeze->from_ns) + " until " + time_text_of_ns(freeze->until_ns));
    if (entry.reason.empty())
        return problem_response(400, "reason-missing", "say why in Sluice-Reason: who is refused is told", request.id);
    if (const auto set = service.freezes().set(*freeze, std::move(entry)); !set)
        return not_stored(set.error(), request);
    return freeze_response(service);
}

Response lift_freeze(const Request& request, PolicyService& service) {
    const auto lifted =
        service.freezes().lift(with_result(record_of("freeze.lift", caller_of(request)), "done", "before its end"));
    if (!lifted) return not_stored(lifted.error(), request);
    return freeze_response(service);
}

}  // namespace

void add_freeze_routes(Router& router, PolicyService& service) {
    router.add({.method = "GET",
                .pattern = "/v1/freeze",
                .roles = kEveryRole,
                .handler = [&service](const Request&, const PathParameters&) { return freeze_response(service); }});
    router.add({.method = "PUT",
                .pattern = "/v1/freeze",
                .roles = {Role::approver, Role::admin},
                .lane = Lane::commits,
                .body_types = {"application/json"},
                .handler = once(
                    service, [&service](const Request& r, const PathParameters&) { return put_freeze(r, service); })});
    router.add({.method = "DELETE",
                .pattern = "/v1/freeze",
                .roles = {Role::approver, Role::admin},
                .lane = Lane::commits,
                .handler = once(
                    service, [&service](const Request& r, const PathParameters&) { return lift_freeze(r, service); })});
}

}  // namespace sluice::cp::api
