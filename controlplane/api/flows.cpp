/// /v1/flows: live flows, a page at a time; and ending those that a filter names.
#include <cstdio>

#include <boost/json.hpp>

#include "controlplane/api/problem.hpp"
#include "controlplane/api/resources.hpp"
#include "controlplane/api/wire_text.hpp"

namespace sluice::cp::api {
namespace json = boost::json;
namespace {

constexpr std::uint32_t kFlowsPerPage = 100;

json::object flow_json(const FlowView& flow) {
    const auto& record = flow.record;
    const std::uint16_t dport = record.dport.to_host();
    const bool icmp = record.proto == abi::L4Proto::icmp || record.proto == abi::L4Proto::icmp6;
    json::object out{{"src", address_text(record.family, record.src)},
                     {"sport", record.sport.to_host()},
                     {"dst", address_text(record.family, record.dst)},
                     {"dport", icmp ? 0 : dport},
                     {"proto", protocol_text(record.proto)},
                     {"state", flow_state_text(record.state)},
                     {"rule", flow.rule},
                     {"from_zone", flow.from_zone},
                     {"to_zone", flow.to_zone},
                     {"generation", record.generation},
                     {"worker", record.worker},
                     {"packets", json::array{record.packets[0], record.packets[1]}},
                     {"bytes", json::array{record.bytes[0], record.bytes[1]}},
                     {"age_s", static_cast<double>(record.age_ms) / 1000.0},
                     {"idle_s", static_cast<double>(record.idle_ms) / 1000.0}};
    if (record.kept != 0) out["kept"] = true;
    if (record.proxied != 0) out["proxied"] = true;
    if (icmp) {
        out["icmp_type"] = dport >> 8U;
        out["icmp_code"] = dport & 0xffU;
    }
    return out;
}

Response get_flows(const Request& request, PolicyService& service) {
    FlowQuery query{.count_max = kFlowsPerPage, .cursor = {}, .filter = {}};
    for (const auto& [name, value] : request.query) {
        if (name == "limit") {
            const auto number = parse_number(value);
            if (!number || *number == 0 || *number > kFlowsPerPageMax) {
                return problem_response(400, "bad-query", "limit is a whole number from 1 to 1000", request.id);
            }
            query.count_max = static_cast<std::uint32_t>(*number);
        } else if (name == "filter") {
            query.filter = value;
        } else {
            query.cursor = value;
        }
    }
    const auto page = service.flows(query);
    if (!page) return problem_response(page.error(), request.id);
    json::array flows;
    flows.reserve(page->flows.size());
    for (const auto& flow : page->flows) flows.push_back(flow_json(flow));
    json::object out{{"flows", std::move(flows)}};
    out["next"] = page->next ? json::value(*page->next) : json::value(nullptr);
    return json_response(200, json::serialize(out));
}

Response delete_flows(const Request& request, PolicyService& service) {
    EndFlowsQuery query;
    for (const auto& [name, value] : request.query) {
        if (name == "filter") {
            query.filter = value;
        } else if (value != "true" && value != "false") {
            return problem_response(400, "bad-query", name + " is true or false", request.id);
        } else {
            (name == "all" ? query.all : query.answer) = value == "true";
        }
    }
    const auto result = service.end_flows(query);
    if (!result) return problem_response(result.error(), request.id);
    // Who ended what is kept where the service manager keeps the log; each flow's end stands in the flow log as well.
    std::fprintf(stderr, "sluice-controlplane: request %s ended %llu flows%s%s: %s\n", request.id.c_str(),
                 static_cast<unsigned long long>(result->ended), query.answer ? ", answering their ends" : "",
                 result->complete ? "" : ", not all looked at", query.all ? "all" : query.filter.c_str());
    return json_response(200, json::serialize(json::object{{"ended", result->ended}, {"complete", result->complete}}));
}

}  // namespace

void add_flow_routes(Router& router, PolicyService& service) {
    router.add({.method = "GET",
                .pattern = "/v1/flows",
                .lane = Lane::walks,
                .query_parameters = {"limit", "cursor", "filter"},
                .handler = [&service](const Request& r, const PathParameters&) { return get_flows(r, service); }});
    router.add({.method = "DELETE",
                .pattern = "/v1/flows",
                .lane = Lane::walks,
                .query_parameters = {"filter", "all", "answer"},
                .handler = [&service](const Request& r, const PathParameters&) { return delete_flows(r, service); }});
}

}  // namespace sluice::cp::api
