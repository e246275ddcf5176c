/// /v1/explain: the body is read strictly, all its errors at once.
#include <algorithm>

#include <boost/json.hpp>

#include "controlplane/api/explain_query.hpp"
#include "controlplane/api/field_reader.hpp"
#include "controlplane/api/problem.hpp"
#include "controlplane/api/resources.hpp"
#include "controlplane/api/wire_text.hpp"
#include "controlplane/policy/schedule.hpp"

namespace sluice::cp::api {
namespace json = boost::json;
namespace {

constexpr std::uint16_t kSourcePortDefault = 49'152;

std::optional<abi::L4Proto> read_protocol(FieldReader& reader) {
    const auto* value = reader.find("proto");
    std::optional<abi::L4Proto> proto;
    if (value == nullptr) {
        reader.fail("proto", "missing-field", "proto is required");
        return std::nullopt;
    }
    if (const auto* string = value->if_string()) proto = parse_protocol({string->data(), string->size()});
    if (const auto* number = value->if_int64(); number != nullptr && *number >= 0 && *number <= 255) {
        proto = static_cast<abi::L4Proto>(*number);
    }
    if (!proto)
        reader.fail("proto", "bad-protocol", "proto is tcp, udp, icmp, icmp6, proto/N or a number from 0 to 255");
    return proto;
}

void read_addresses(FieldReader& reader, ExplainQuery& query) {
    for (const auto& [name, target] : {std::pair{"src", &query.src}, std::pair{"dst", &query.dst}}) {
        const auto text = reader.text(name);
        if (!text) continue;
        const auto address = parse_address(*text);
        if (!address) {
            reader.fail(name, "bad-address",
                        std::string{name} + " is no IPv4 or IPv6 address (a single one, without prefix length)");
            continue;
        }
        if (query.family != abi::IpFamily::none && query.family != address->first) {
            reader.fail(name, "mixed-families", "src and dst are of different address families");
        }
        query.family = address->first;
        *target = address->second;
    }
}

/// Ports belong to TCP and UDP, types to ICMP: the others are refused, so that no half of a question is ignored.
void read_transport(FieldReader& reader, ExplainQuery& query) {
    const bool ports = query.proto == abi::L4Proto::tcp || query.proto == abi::L4Proto::udp;
    const bool icmp = query.proto == abi::L4Proto::icmp || query.proto == abi::L4Proto::icmp6;
    const auto sport = reader.number("sport", 1, 65'535);
    const auto dport = reader.number("dport", 1, 65'535);
    const auto type = reader.number("icmp_type", 0, 255);
    const auto code = reader.number("icmp_code", 0, 255);
    for (const auto* name : {"sport", "dport"}) {
        if (!ports && reader.has(name))
            reader.fail(name, "not-for-protocol", std::string{name} + " belongs to tcp and udp");
    }
    for (const auto* name : {"icmp_type", "icmp_code"}) {
        if (!icmp && reader.has(name))
            reader.fail(name, "not-for-protocol", std::string{name} + " belongs to icmp and icmp6");
    }
    if (ports) {
        if (!reader.has("dport")) reader.fail("dport", "missing-field", "dport is required for tcp and udp");
        query.sport = sport.value_or(kSourcePortDefault);
        query.dport_or_icmp = dport.value_or(0);
    } else if (icmp) {
        if (!reader.has("icmp_type"))
            reader.fail("icmp_type", "missing-field", "icmp_type is required for icmp and icmp6");
        query.dport_or_icmp = static_cast<std::uint16_t>(type.value_or(0) << 8U | code.value_or(0));
    }
    const bool v6 = query.family == abi::IpFamily::v6;
    if (query.family != abi::IpFamily::none &&
        ((query.proto == abi::L4Proto::icmp && v6) || (query.proto == abi::L4Proto::icmp6 && !v6))) {
        reader.fail("proto", "wrong-family",
                    v6 ? "icmp belongs to IPv4; for IPv6 say icmp6" : "icmp6 belongs to IPv6; for IPv4 say icmp");
    }
}

json::object result_json(const ExplainResult& result) {
    json::array skipped;
    for (const auto& rule : result.skipped) {
        json::object told{{"rule", rule.rule}, {"field", rule.field}};
        if (!rule.not_in.empty()) told["not"] = rule.not_in;
        if (rule.never_block) told["never_block"] = true;
        skipped.push_back(std::move(told));
    }
    return {{"verdict", abi::to_string(result.verdict)},
            {"rule", result.rule},
            {"mode", result.mode == abi::RuleMode::observe ? "observe" : "enforce"},
            {"observed", result.observed},
            {"from_zone", result.from_zone},
            {"to_zone", result.to_zone},
            {"skipped", std::move(skipped)},
            {"passed", json::array(result.passed.begin(), result.passed.end())}};
}

}  // namespace

Expected<ExplainQuery, Problem> parse_explain_query(std::string_view body) {
    const auto document = read_object(body);
    if (!document) return Unexpected(document.error());

    PolicyErrors errors;
    FieldReader reader{*document, errors};
    ExplainQuery query;
    if (auto port = reader.text("in_port")) {
        if (port->empty()) reader.fail("in_port", "bad-value", "in_port is the name of a port");
        query.in_port = std::move(*port);
    }
    read_addresses(reader, query);
    const auto proto = read_protocol(reader);
    if (proto) {
        query.proto = *proto;
        read_transport(reader, query);
    } else {
        for (const auto* name : {"sport", "dport", "icmp_type", "icmp_code"}) reader.find(name);
    }
    if (const auto text = reader.has("at") ? reader.text("at") : std::nullopt) {
        auto at = parse_instant(*text);
        if (at) {
            query.at = *at;
        } else {
            reader.fail("at", "bad-instant", std::move(at.error().detail));
        }
    }
    reader.refuse_unknown();
    if (!errors.empty()) return Unexpected(bad_fields("bad-question", "question", std::move(errors)));
    return query;
}

void add_explain_routes(Router& router, PolicyService& service) {
    router.add({.method = "POST",
                .pattern = "/v1/explain",
                .roles = kEveryRole,
                .body_types = {"application/json"},
                .handler = [&service](const Request& request, const PathParameters&) {
                    const auto query = parse_explain_query(request.body);
                    if (!query) return problem_response(query.error(), request.id);
                    const auto result = service.explain(*query);
                    if (!result) return problem_response(result.error(), request.id);
                    return json_response(200, json::serialize(result_json(*result)));
                }});
}

}  // namespace sluice::cp::api
