/// /v1/status
#include <cmath>

#include <boost/json.hpp>

#include "controlplane/api/issuer_keys.hpp"
#include "controlplane/api/problem.hpp"
#include "controlplane/api/resources.hpp"
#include "controlplane/api/wire_text.hpp"

namespace sluice::cp::api {
namespace json = boost::json;
namespace {

json::value optional_time(const std::optional<std::chrono::system_clock::time_point>& time) {
    return time ? json::value(time_text(*time)) : json::value(nullptr);
}

json::value rounded(const std::optional<double>& figure) {
    return figure ? json::value(std::round(*figure * 10) / 10) : json::value(nullptr);
}

json::object cycles_json(const RecentTimes& times) {
    json::object cycles;
    for (std::size_t s = 0; s < abi::kPacketStageCount; ++s)
        cycles[abi::kStageNames[s]] = rounded(times.cycles_each[s]);
    return cycles;
}

json::value issuer_json(const IssuerKeys* keys) {
    if (keys == nullptr) return nullptr;
    const auto view = keys->view();
    json::value read = nullptr;
    if (view.keys_read_unix_s) read = time_text_of_ns(*view.keys_read_unix_s * 1'000'000'000);
    return json::object{{"name", valid_utf8(view.issuer)},
                        {"keys", view.keys},
                        {"keys_read", std::move(read)},
                        {"trouble", valid_utf8(view.trouble)}};
}

json::object status_json(const SystemStatus& status, const ApiCounters& counters) {
    json::array workers;
    for (const auto& worker : status.workers) {
        workers.push_back(json::object{{"worker", worker.index},
                                       {"lcore", worker.lcore},
                                       {"generation", worker.generation},
                                       {"flows", worker.flows},
                                       {"stalled", worker.stalled},
                                       {"received", worker.received},
                                       {"handed_out", worker.handed_out},
                                       {"handed_in", worker.handed_in},
                                       {"latency", json::object{{"packets", worker.times.packets},
                                                                {"p50_us", rounded(worker.times.p50_us)},
                                                                {"p99_us", rounded(worker.times.p99_us)}}},
                                       {"cycles", cycles_json(worker.times)}});
    }
    json::array ports;
    for (const auto& port : status.ports) {
        ports.push_back(json::object{{"name", valid_utf8(port.name)},
                                     {"zone", valid_utf8(port.zone)},
                                     {"link_up", port.link_up},
                                     {"rx_packets", port.rx_packets},
                                     {"tx_packets", port.tx_packets},
                                     {"drops", port.drops}});
    }
    json::array not_ready;
    for (const auto& reason : status.not_ready) not_ready.emplace_back(valid_utf8(reason));
    const bool ready = not_ready.empty();
    return {{"ready", ready},
            {"not_ready", std::move(not_ready)},
            {"dataplane", json::object{{"connected", status.dataplane_connected},
                                       {"in_sync", status.in_sync},
                                       {"generation", status.running_generation},
                                       {"hash", status.running_hash},
                                       {"source", status.source},
                                       {"started", optional_time(status.dataplane_started)},
                                       {"fail_open", status.fail_open},
                                       {"steering", status.steering}}},
            {"policy", json::object{{"name", valid_utf8(status.policy_name)},
                                    {"version", valid_utf8(status.version)},
                                    {"hash", status.hash},
                                    {"generation", status.generation},
                                    {"confirm_deadline", optional_time(status.confirm_deadline)},
                                    {"guard", status.guard}}},
            {"flows", json::object{{"count", status.flows},
                                   {"capacity", status.flow_capacity},
                                   {"half_open", status.flows_half_open},
                                   {"half_open_max", status.flow_half_open_max},
                                   {"pressure", status.flow_pressure},
                                   {"proxied", status.flows_proxied},
                                   {"syn_cookies", status.syn_cookies},
                                   {"kept", status.flows_kept},
                                   {"lost", status.flows_lost}}},
            {"overload", status.overload},
            {"flow_log", json::object{{"trouble", valid_utf8(status.flow_log_trouble)}}},
            {"flow_records", json::object{{"enabled", status.records_enabled},
                                          {"bytes", status.records_bytes},
                                          {"segments", status.records_segments},
                                          {"oldest", optional_time(status.records_oldest)},
                                          {"lost", status.records_lost},
                                          {"trouble", valid_utf8(status.records_trouble)}}},
            {"audit", json::object{{"entries", status.audit_head.number},
                                   {"head", status.audit_head.hash},
                                   {"trouble", valid_utf8(status.audit_trouble)}}},
            {"issuer", issuer_json(counters.issuer)},
            {"workers", std::move(workers)},
            {"ports", std::move(ports)},
            {"api",
             json::object{{"connections", counters.connections.load(std::memory_order_relaxed)},
                          {"connections_refused", counters.refused_by_all.load(std::memory_order_relaxed) +
                                                      counters.refused_by_address.load(std::memory_order_relaxed)},
                          {"event_streams", counters.event_streams.load(std::memory_order_relaxed)},
                          {"event_streams_dropped", counters.event_streams_dropped.load(std::memory_order_relaxed)}}}};
}

}  // namespace

void add_status_routes(Router& router, PolicyService& service, const ApiCounters& counters) {
    router.add({.method = "GET",
                .pattern = "/v1/status",
                .roles = kEveryRole,
                .handler = [&service, &counters](const Request&, const PathParameters&) {
                    return json_response(200, json::serialize(status_json(service.status(), counters)));
                }});
}

}  // namespace sluice::cp::api
