#include "controlplane/records/record_json.hpp"

#include "controlplane/telemetry/event_json.hpp"

namespace sluice::cp {

std::string record_json(const FlowRecord& r) {
    const RecordContext& c = *r.context;
    // As unsigned numbers: damaged or hostile times may be any distance apart.
    const auto age_ns = static_cast<std::uint64_t>(r.time_ns) - static_cast<std::uint64_t>(r.started_ns);
    return event_json(EventText{.time_ns = r.time_ns,
                                .kind = c.kind,
                                .verdict = c.verdict,
                                .end = c.end,
                                .family = c.family,
                                .proto = c.proto,
                                .src = r.src,
                                .dst = r.dst,
                                .sport = r.sport,
                                .dport = r.dport,
                                .in_port = c.in_port,
                                .from_zone = c.from_zone,
                                .to_zone = c.to_zone,
                                .rule = c.rule,
                                .reason = c.reason,
                                .generation = c.generation,
                                .packets = r.packets,
                                .bytes = r.bytes,
                                .started_ns = r.started_ns,
                                .duration_ms = r.time_ns > r.started_ns ? age_ns / 1'000'000 : 0,
                                .suppressed = r.suppressed});
}

}  // namespace sluice::cp
