/// /v1/shadow: a candidate that is asked about new flows beside the policy in force, and decides nothing.
#include <boost/json.hpp>

#include "controlplane/api/commit_options.hpp"
#include "controlplane/api/once.hpp"
#include "controlplane/api/problem.hpp"
#include "controlplane/api/resources.hpp"
#include "controlplane/api/wire_text.hpp"
#include "controlplane/store/draft_store.hpp"

namespace sluice::cp::api {
namespace json = boost::json;
namespace {

constexpr std::string_view kJson = "application/json";

json::value time_or_null(std::int64_t utc_ns) {
    return utc_ns == 0 ? json::value(nullptr) : json::value(time_text_of_ns(utc_ns));
}

json::object decision(abi::Verdict verdict, const std::string& rule) {
    return {{"verdict", abi::to_string(verdict)}, {"rule", valid_utf8(rule)}};
}

json::object flow_json(const ShadowFlow& flow) {
    json::object out{{"time", time_text_of_ns(flow.time_ns)},      {"in_port", valid_utf8(flow.in_port)},
                     {"from_zone", valid_utf8(flow.from_zone)},    {"to_zone", valid_utf8(flow.to_zone)},
                     {"src", address_text(flow.family, flow.src)}, {"dst", address_text(flow.family, flow.dst)},
                     {"proto", protocol_text(flow.proto)}};
    if (flow.proto == abi::L4Proto::icmp || flow.proto == abi::L4Proto::icmp6) {
        out["icmp_type"] = flow.dport >> 8;
        out["icmp_code"] = flow.dport & 0xff;
    } else if (flow.sport != 0 || flow.dport != 0) {
        out["sport"] = flow.sport;
        out["dport"] = flow.dport;
    }
    return out;
}

json::object shadow_json(const ShadowReport& report) {
    json::array verdicts, pairs;
    for (std::size_t live = 0; live < abi::kVerdictCount; ++live) {
        for (std::size_t would = 0; would < abi::kVerdictCount; ++would) {
            if (report.by_verdict[live][would] == 0) continue;
            verdicts.push_back(json::object{{"live", abi::to_string(static_cast<abi::Verdict>(live))},
                                            {"shadow", abi::to_string(static_cast<abi::Verdict>(would))},
                                            {"flows", report.by_verdict[live][would]}});
        }
    }
    for (const auto& pair : report.pairs) {
        json::array examples;
        for (const auto& flow : pair.examples) examples.push_back(flow_json(flow));
        pairs.push_back(json::object{{"live", decision(pair.live, pair.live_rule)},
                                     {"shadow", decision(pair.shadow, pair.shadow_rule)},
                                     {"flows", pair.flows},
                                     {"last", time_text_of_ns(pair.last_ns)},
                                     {"examples", std::move(examples)}});
    }
    const auto& unseen = report.unseen;
    return {{"name", valid_utf8(report.name)},
            {"version", valid_utf8(report.version)},
            {"hash", report.hash},
            {"draft", report.draft.empty() ? json::value(nullptr) : json::value(report.draft)},
            {"started_by", valid_utf8(report.started_by)},
            {"started_at", time_text_of_ns(report.started_ns)},
            {"reason", valid_utf8(report.reason)},
            {"since", time_or_null(report.since_ns)},
            {"watching", report.watching},
            {"unwatched_s", static_cast<double>(report.unwatched_ms) / 1e3},
            {"trouble", valid_utf8(report.trouble)},
            {"flows", report.flows},
            {"changed", report.changed},
            {"other_rule", report.other_rule},
            {"unseen",
             {{"total", unseen.total()},
              {"sampled", unseen.sampled},
              {"lost", unseen.lost},
              {"queue", unseen.queue},
              {"unplaced", unseen.unplaced}}},
            {"verdicts", std::move(verdicts)},
            {"pairs", std::move(pairs)},
            {"flows_left_out", report.flows_left_out}};
}

Response answer(const std::optional<ShadowReport>& report) {
    return json_response(
        200,
        json::serialize(json::object{{"shadow", report ? json::value(shadow_json(*report)) : json::value(nullptr)}}));
}

Response answer(const Expected<ShadowReport, Problem>& report, const Request& request) {
    if (!report) return problem_response(report.error(), request.id);
    return answer(std::optional{*report});
}

Response put_shadow(const Request& request, PolicyService& service) {
    ShadowStart wanted{.body = request.body, .caller = caller_of(request)};
    wanted.format =
        media_type(request.header("Content-Type").value_or("")) == kJson ? PolicyFormat::json : PolicyFormat::yaml;
    return answer(service.start_shadow(wanted), request);
}

Response shadow_draft(const Request& request, const std::string& name, PolicyService& service) {
    if (!is_draft_name(name))
        return problem_response(400, "bad-draft-name",
                                "a draft's name has 1 to 63 of a-z, 0-9 and -, and begins with a letter or a digit",
                                request.id);
    return answer(service.start_shadow({.draft = name, .caller = caller_of(request)}), request);
}

}  // namespace

void add_shadow_routes(Router& router, PolicyService& service) {
    router.add({.method = "GET",
                .pattern = "/v1/shadow",
                .roles = kEveryRole,
                .handler = [&service](const Request&, const PathParameters&) { return answer(service.shadow()); }});
    router.add({.method = "PUT",
                .pattern = "/v1/shadow",
                .roles = {Role::editor},
                .lane = Lane::commits,
                .body_types = {"application/yaml", "text/yaml", "application/x-yaml", "application/json"},
                .handler = once(
                    service, [&service](const Request& r, const PathParameters&) { return put_shadow(r, service); })});
    router.add({.method = "DELETE",
                .pattern = "/v1/shadow",
                .roles = {Role::editor},
                .lane = Lane::commits,
                .handler = once(service, [&service](const Request& r, const PathParameters&) {
                    return answer(service.stop_shadow(caller_of(r)), r);
                })});
    router.add({.method = "POST",
                .pattern = "/v1/drafts/{name}:shadow",
                .roles = {Role::editor},
                .lane = Lane::commits,
                .handler = once(service, [&service](const Request& r, const PathParameters& parameters) {
                    return shadow_draft(r, parameters.at(0), service);
                })});
}

}  // namespace sluice::cp::api
