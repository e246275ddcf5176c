/// /metrics and /metrics/rules: the service's metrics, and the server's own behind them.
#include <initializer_list>
#include <utility>

#include <fmt/format.h>

#include "controlplane/api/gateway.hpp"
#include "controlplane/api/issuer_keys.hpp"
#include "controlplane/api/resources.hpp"

namespace sluice::cp::api {
namespace {

void append_metric(std::string& out, std::string_view name, std::string_view type, std::string_view help,
                   const std::atomic<std::uint64_t>& value) {
    out += fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n{0} {3}\n", name, help, type,
                       value.load(std::memory_order_relaxed));
}

/// By what the answer says as its `code`.
void append_auth_failures(std::string& out, const ApiCounters& counters) {
    constexpr std::string_view kName = "sluice_api_auth_failures_total";
    out += fmt::format(
        "# HELP {0} Requests turned away for their token or client certificate, or for want of one, by the code of the "
        "answer.\n# TYPE {0} counter\n",
        kName);
    for (std::size_t r = 0; r < kAuthResults; ++r) {
        const auto result = static_cast<AuthResult>(r);
        if (result == AuthResult::throttled || code_of(result).empty()) continue;
        out += fmt::format("{}{{reason=\"{}\"}} {}\n", kName, code_of(result),
                           counters.auth_failures[r].load(std::memory_order_relaxed));
    }
}

void append_by_reason(std::string& out, std::string_view name, std::string_view help,
                      std::initializer_list<std::pair<std::string_view, std::uint64_t>> values) {
    out += fmt::format("# HELP {0} {1}\n# TYPE {0} counter\n", name, help);
    for (const auto& [reason, value] : values) out += fmt::format("{}{{reason=\"{}\"}} {}\n", name, reason, value);
}

void append_issuer(std::string& out, const IssuerKeys& keys) {
    const auto view = keys.view();
    const auto add = [&out](std::string_view name, std::string_view type, std::string_view help, std::uint64_t value) {
        out += fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n{0} {3}\n", name, help, type, value);
    };
    add("sluice_api_issuer_keys", "gauge", "Keys of the issuer of tokens that count now.", view.keys);
    add("sluice_api_issuer_keys_read_timestamp_seconds", "gauge",
        "When the keys of the issuer were last read with success, Unix time; 0 = never.",
        static_cast<std::uint64_t>(view.keys_read_unix_s.value_or(0)));
    add("sluice_api_issuer_reads_total", "counter", "Readings of the keys of the issuer.", view.reads);
    add("sluice_api_issuer_read_failures_total", "counter", "Readings of the keys of the issuer that failed.",
        view.read_failures);
}

std::string with_own(std::string text, const ApiCounters& counters) {
    if (!text.empty() && text.back() != '\n') text.push_back('\n');
    append_metric(text, "sluice_api_connections", "gauge", "Open connections to the REST interface.",
                  counters.connections);
    append_by_reason(text, "sluice_api_connections_refused_total",
                     "Connections refused at once: there are as many as may be (all), or as many of their address.",
                     {{"all", counters.refused_by_all}, {"address", counters.refused_by_address}});
    append_by_reason(
        text, "sluice_api_slow_clients_total",
        "Connections closed because their client took too long for the handshake, the header or the body of a "
        "request, or because somebody who had not said who they are had to go for others (displaced).",
        {{"handshake", counters.slow_handshakes},
         {"header", counters.slow_headers},
         {"body", counters.slow_bodies},
         {"displaced", counters.displaced}});
    append_metric(text, "sluice_api_requests_limited_total", "counter",
                  "Requests answered 429 because their client asks too often.", counters.requests_limited);
    append_metric(text, "sluice_api_requests_total", "counter", "Requests whose header was read.", counters.requests);
    append_auth_failures(text, counters);
    append_metric(text, "sluice_api_auth_throttled_total", "counter",
                  "Requests answered 429 because of too many wrong tokens.", counters.auth_throttled);
    append_metric(text, "sluice_api_role_refusals_total", "counter", "Requests whose token lacks the role.",
                  counters.role_refusals);
    append_metric(text, "sluice_api_certificate_expires_timestamp_seconds", "gauge",
                  "When the server's own certificate runs out, Unix time.", counters.certificate_expires_unix_s);
    append_metric(text, "sluice_api_event_streams", "gauge", "Clients that follow events.", counters.event_streams);
    append_metric(text, "sluice_api_event_streams_dropped_total", "counter",
                  "Followers dropped because they did not read.", counters.event_streams_dropped);
    if (counters.issuer != nullptr) append_issuer(text, *counters.issuer);
    return text;
}

}  // namespace

void add_metric_routes(Router& router, PolicyService& service, const ApiCounters& counters) {
    for (const bool with_rules : {false, true}) {
        router.add({.method = "GET",
                    .pattern = with_rules ? "/metrics/rules" : "/metrics",
                    .access = Access::monitoring,
                    .roles = kEveryRole,
                    .handler = [&service, &counters, with_rules](const Request&, const PathParameters&) {
                        Response response;
                        response.content_type = "text/plain; version=0.0.4; charset=utf-8";
                        response.body = with_own(service.metrics(with_rules), counters);
                        return response;
                    }});
    }
}

}  // namespace sluice::cp::api
