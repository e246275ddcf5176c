/// /v1/flows: live flows, a page at a time, and ending those that a filter names; with a time, flows that were
/// recorded.
#include <algorithm>
#include <limits>
#include <stdexcept>

#include <boost/json.hpp>

#include "controlplane/api/commit_options.hpp"
#include "controlplane/api/field_choice.hpp"
#include "controlplane/api/once.hpp"
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

constexpr std::string_view kJsonLines = "application/jsonl";
constexpr std::uint32_t kRecordsPerPieceOfExport = 2'000;

Response json_lines(RecordQuery query, std::optional<std::uint64_t> limit, const FieldChoice& fields,
                    PolicyService& service, const Request& request) {
    // The first page is asked for at once: what is wrong with the question must have its status.
    auto left = limit.value_or(std::numeric_limits<std::uint64_t>::max());
    const auto count = [](std::uint64_t wanted) {
        return static_cast<std::uint32_t>(std::min<std::uint64_t>(wanted, kRecordsPerPieceOfExport));
    };
    query.count_max = count(left);
    auto first = service.flow_records(query);
    if (!first) return problem_response(first.error(), request.id);
    Response response;
    response.content_type = kJsonLines;
    response.pieces = [query, left, count, fields, &service, page = std::optional{std::move(*first)},
                       blocks = std::uint64_t{}, records = std::uint64_t{}]() mutable -> std::optional<std::string> {
        if (!page) return std::nullopt;
        std::string piece;
        for (const auto& line : page->lines) piece.append(fields.apply(valid_utf8(line))).push_back('\n');
        left -= page->lines.size();
        blocks += page->damaged_blocks;
        records += page->records_lost;
        if (page->next && left != 0) {
            query.cursor = *page->next;
            query.count_max = count(left);
            auto next = service.flow_records(query);
            // The stream ends short of its end: the reader sees that it is not whole.
            if (!next) throw std::runtime_error{next.error().detail};
            page = std::move(*next);
            return piece;
        }
        page.reset();
        if (blocks != 0) {
            piece += R"({"event":"damage","blocks":)" + std::to_string(blocks) + R"(,"records":)" +
                     std::to_string(records) + "}\n";
        }
        return piece;
    };
    return response;
}

Response records_page(RecordQuery query, std::optional<std::uint64_t> limit, const FieldChoice& fields,
                      PolicyService& service, const Request& request) {
    query.count_max = static_cast<std::uint32_t>(limit.value_or(kFlowsPerPage));
    const auto page = service.flow_records(query);
    if (!page) return problem_response(page.error(), request.id);
    std::string body{R"({"records":[)"};
    for (const auto& line : page->lines)
        body.append(&line == &page->lines.front() ? "" : ",").append(fields.apply(valid_utf8(line)));
    body += R"(],"next":)" + (page->next ? json::serialize(json::value(*page->next)) : "null");
    body += R"(,"damaged_blocks":)" + std::to_string(page->damaged_blocks) + R"(,"records_lost":)" +
            std::to_string(page->records_lost) + R"(,"older_unread":)" + (page->older_unread ? "true" : "false") + "}";
    return json_response(200, std::move(body));
}

/// A time, the newest, or the cursor of a page of records.
bool asks_for_records(const Request& request) {
    for (const auto& [name, value] : request.query) {
        if (name == "since" || name == "until" || name == "last" || (name == "cursor" && value.starts_with('r')))
            return true;
    }
    return false;
}

Response get_records(const Request& request, PolicyService& service) {
    const auto accept = request.header("Accept").value_or("");
    const bool lines = accept_quality(accept, kJsonLines, true) > accept_quality(accept, "application/json", true);
    RecordQuery query;
    std::optional<std::uint64_t> limit;
    const auto fields = FieldChoice::of(request, "FlowRecord");
    if (!fields) return problem_response(400, "bad-query", fields.error(), request.id);
    for (const auto& [name, value] : request.query) {
        if (name == "limit") {
            limit = parse_number(value);
            if (!limit || *limit == 0 || (!lines && *limit > kRecordsPerPageMax)) {
                return problem_response(400, "bad-query",
                                        "limit is a whole number from 1" + std::string{lines ? "" : " to 10000"},
                                        request.id);
            }
        } else if (name == "last") {
            const auto number = parse_number(value);
            if (!number || *number == 0 || *number > kRecordsPerPageMax)
                return problem_response(400, "bad-query", "last is a whole number from 1 to 10000", request.id);
            query.last = static_cast<std::uint32_t>(*number);
        } else if (name == "filter") {
            query.filter = value;
        } else if (name == "since") {
            query.since = value;
        } else if (name == "until") {
            query.until = value;
        } else if (name == "cursor") {
            query.cursor = value;
        }
    }
    for (const auto& [name, value] : request.query) {
        if (value.empty() && (name == "since" || name == "until"))
            return problem_response(400, "bad-query", name + " is empty; leave it out or give a time", request.id);
    }
    if (query.last && lines)
        return problem_response(400, "bad-query", "last is one page: ask for it with Accept: application/json",
                                request.id);
    if (query.last && (limit || query.cursor))
        return problem_response(400, "bad-query", "last is one page, the newest; leave out limit and cursor",
                                request.id);
    return lines ? json_lines(std::move(query), limit, *fields, service, request)
                 : records_page(std::move(query), limit, *fields, service, request);
}

Response get_flows(const Request& request, PolicyService& service) {
    if (asks_for_records(request)) return get_records(request, service);
    FlowQuery query{.count_max = kFlowsPerPage, .cursor = {}, .filter = {}};
    const auto fields = FieldChoice::of(request, "Flow");
    if (!fields) return problem_response(400, "bad-query", fields.error(), request.id);
    for (const auto& [name, value] : request.query) {
        if (name == "limit") {
            const auto number = parse_number(value);
            if (!number || *number == 0 || *number > kFlowsPerPageMax) {
                return problem_response(400, "bad-query", "limit is a whole number from 1 to 1000", request.id);
            }
            query.count_max = static_cast<std::uint32_t>(*number);
        } else if (name == "filter") {
            query.filter = value;
        } else if (name == "cursor") {
            query.cursor = value;
        }
    }
    const auto page = service.flows(query);
    if (!page) return problem_response(page.error(), request.id);
    json::array flows;
    flows.reserve(page->flows.size());
    for (const auto& flow : page->flows) {
        auto item = flow_json(flow);
        fields->apply(item);
        flows.push_back(std::move(item));
    }
    json::object out{{"flows", std::move(flows)}};
    out["next"] = page->next ? json::value(*page->next) : json::value(nullptr);
    return json_response(200, json::serialize(out));
}

Response delete_flows(const Request& request, PolicyService& service) {
    EndFlowsQuery query;
    query.caller = caller_of(request);
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
    return json_response(200, json::serialize(json::object{{"ended", result->ended}, {"complete", result->complete}}));
}

}  // namespace

void add_flow_routes(Router& router, PolicyService& service) {
    router.add({.method = "GET",
                .pattern = "/v1/flows",
                .roles = kEveryRole,
                .lane = Lane::walks,
                .query_parameters = {"limit", "cursor", "filter", "since", "until", "last", "fields"},
                .handler = [&service](const Request& r, const PathParameters&) { return get_flows(r, service); }});
    router.add({.method = "DELETE",
                .pattern = "/v1/flows",
                .roles = {Role::operator_},
                .lane = Lane::walks,
                .query_parameters = {"filter", "all", "answer"},
                .handler = once(service, [&service](const Request& r, const PathParameters&) {
                    return delete_flows(r, service);
                })});
}

}  // namespace sluice::cp::api
