#include "controlplane/telemetry/event_json.hpp"

#include <arpa/inet.h>

#include <cstdio>
#include <ctime>

namespace sluice::cp {
namespace {

void member(std::string& line, std::string_view key, std::string_view text) {
    line.append(",\"").append(key).append("\":").append(json_string(text));
}
void member(std::string& line, std::string_view key, std::uint64_t number) {
    line.append(",\"").append(key).append("\":").append(std::to_string(number));
}
void pair(std::string& line, std::string_view key, const std::array<std::uint64_t, 2>& values) {
    line.append(",\"").append(key).append("\":[").append(std::to_string(values[0])).append(",");
    line.append(std::to_string(values[1])).append("]");
}

void tuple(std::string& line, const EventText& e) {
    if (e.family == abi::IpFamily::none) return;
    member(line, "src", address_text(e.family, e.src));
    member(line, "dst", address_text(e.family, e.dst));
    member(line, "proto", proto_text(e.proto));
    switch (e.proto) {
        case abi::L4Proto::tcp:
        case abi::L4Proto::udp:
        case abi::L4Proto::sctp:
            member(line, "sport", e.sport);
            member(line, "dport", e.dport);
            break;
        case abi::L4Proto::icmp:
        case abi::L4Proto::icmp6:
            member(line, "icmp_type", std::uint64_t{e.dport} >> 8U);
            member(line, "icmp_code", std::uint64_t{e.dport} & 0xffU);
            member(line, "icmp_id", e.sport);
            break;
        default: break;
    }
}

}  // namespace

bool has_reason(abi::EventKind kind) noexcept {
    return kind == abi::EventKind::drop || kind == abi::EventKind::seq_check || kind == abi::EventKind::limited;
}

std::string_view event_kind_text(abi::EventKind kind) noexcept {
    switch (kind) {
        case abi::EventKind::flow_start: return "flow_start";
        case abi::EventKind::flow_end: return "flow_end";
        case abi::EventKind::flow_denied: return "flow_denied";
        case abi::EventKind::flow_rejected: return "flow_rejected";
        case abi::EventKind::observed: return "observed";
        case abi::EventKind::drop: return "drop";
        case abi::EventKind::seq_check: return "seq_check";
        case abi::EventKind::limited: return "limited";
        case abi::EventKind::flow_kept: return "flow_kept";
        case abi::EventKind::syn_cookie: return "syn_cookie";
        case abi::EventKind::new_flow: return "new_flow";
    }
    return "unknown";
}

std::string_view flow_end_text(abi::FlowEnd end) noexcept {
    switch (end) {
        case abi::FlowEnd::none: return "none";
        case abi::FlowEnd::expired: return "expired";
        case abi::FlowEnd::closed: return "closed";
        case abi::FlowEnd::reset: return "reset";
        case abi::FlowEnd::policy: return "policy";
        case abi::FlowEnd::reused: return "reused";
        case abi::FlowEnd::evicted: return "evicted";
        case abi::FlowEnd::request: return "request";
        case abi::FlowEnd::unanswered: return "unanswered";
    }
    return "unknown";
}

UtcClock::UtcClock() noexcept {
    timespec wall{};
    clock_gettime(CLOCK_REALTIME, &wall);
    *this = UtcClock{static_cast<std::int64_t>(wall.tv_sec) * 1'000'000'000 + wall.tv_nsec, abi::MonoTime::now()};
}

std::string rfc3339(std::int64_t utc_ns) {
    // Rounded down, also before 1970.
    const std::int64_t utc_ms = utc_ns / 1'000'000 - (utc_ns % 1'000'000 < 0 ? 1 : 0);
    auto seconds = static_cast<std::time_t>(utc_ms / 1000);
    auto ms = static_cast<int>(utc_ms % 1000);
    if (ms < 0) {
        ms += 1000;
        --seconds;
    }
    std::tm tm{};
    gmtime_r(&seconds, &tm);
    char text[40];
    const auto n = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    std::snprintf(text + n, sizeof text - n, ".%03dZ", ms);
    return text;
}

std::string address_text(abi::IpFamily family, const abi::IpAddr& address) {
    char text[INET6_ADDRSTRLEN]{};
    if (family == abi::IpFamily::none) return "";
    ::inet_ntop(family == abi::IpFamily::v4 ? AF_INET : AF_INET6, address.bytes.data(), text, sizeof text);
    return text;
}

std::string proto_text(abi::L4Proto proto) {
    switch (proto) {
        case abi::L4Proto::icmp: return "icmp";
        case abi::L4Proto::igmp: return "igmp";
        case abi::L4Proto::tcp: return "tcp";
        case abi::L4Proto::udp: return "udp";
        case abi::L4Proto::gre: return "gre";
        case abi::L4Proto::esp: return "esp";
        case abi::L4Proto::ah: return "ah";
        case abi::L4Proto::icmp6: return "icmp6";
        case abi::L4Proto::sctp: return "sctp";
        default: return std::to_string(static_cast<unsigned>(proto));
    }
}

std::string json_string(std::string_view text) {
    std::string out{"\""};
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            out.push_back('\\');
            out.push_back(c);
        } else if (static_cast<unsigned char>(c) < 0x20) {
            char escape[8];
            std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(c));
            out.append(escape);
        } else {
            out.push_back(c);
        }
    }
    out.push_back('"');
    return out;
}

std::string event_json(const EventText& e) {
    std::string line{"{\"time\":\""};
    line.reserve(420);
    line.append(rfc3339(e.time_ns)).append("\"");
    member(line, "event", event_kind_text(e.kind));
    tuple(line, e);
    if (!e.in_port.empty()) member(line, "in_port", e.in_port);
    if (!e.from_zone.empty()) member(line, "from", e.from_zone);
    if (!e.to_zone.empty()) member(line, "to", e.to_zone);
    if (e.kind != abi::EventKind::drop) {
        member(line, "verdict", abi::to_string(e.verdict));
        if (!e.rule.empty()) member(line, "rule", e.rule);
    }
    if (!e.reason.empty()) member(line, "reason", e.reason);
    member(line, "generation", e.generation);
    if (e.kind == abi::EventKind::flow_end) {
        member(line, "end", flow_end_text(e.end));
        pair(line, "packets", e.packets);
        pair(line, "bytes", e.bytes);
        member(line, "started", rfc3339(e.started_ns));
        member(line, "duration_ms", e.duration_ms);
    }
    if (e.suppressed != 0) member(line, "suppressed", e.suppressed);
    line.push_back('}');
    return line;
}

std::string event_json(const abi::FlowEvent& e, const Names& names, const UtcClock& clock) {
    EventText text{.time_ns = clock.utc_ns(e.time),
                   .kind = e.kind,
                   .verdict = e.verdict,
                   .end = e.end,
                   .family = e.family,
                   .proto = e.proto,
                   .src = e.src,
                   .dst = e.dst,
                   .sport = e.sport.to_host(),
                   .dport = e.dport.to_host(),
                   .in_port = names.port(e.in_port),
                   .from_zone = names.zone(e.generation, e.from_zone),
                   .to_zone = names.zone(e.generation, e.to_zone),
                   .rule = names.rule(e.slot),
                   .reason = has_reason(e.kind) ? abi::to_string(e.drop) : std::string_view{},
                   .generation = e.generation,
                   .packets = e.packets,
                   .bytes = e.bytes,
                   .started_ns = clock.utc_ns(e.started),
                   .duration_ms = e.time > e.started ? (e.time.ns - e.started.ns) / 1'000'000 : 0,
                   .suppressed = e.suppressed};
    return event_json(text);
}

}  // namespace sluice::cp
