/// A flow event as one line of JSON: what stands in the flow log and goes to those who follow.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include <sluice/abi/telemetry.hpp>

#include "controlplane/telemetry/names.hpp"

namespace sluice::cp {

/// Turns the dataplane's monotonic time into UTC. Taken once per drain, so that a step of the wall clock shows at once
/// and one drain's lines agree with each other.
class UtcClock {
public:
    UtcClock() noexcept;
    UtcClock(std::int64_t utc_ns, abi::MonoTime mono) noexcept
        : utc_minus_mono_ns_{utc_ns - static_cast<std::int64_t>(mono.ns)} {}
    /// Of a time from another process: nonsense gives some time, since unsigned numbers wrap.
    std::int64_t utc_ns(abi::MonoTime t) const noexcept {
        return static_cast<std::int64_t>(t.ns + static_cast<std::uint64_t>(utc_minus_mono_ns_));
    }

private:
    std::int64_t utc_minus_mono_ns_{};
};

/// flow_start, ...; names of what an event says of itself, as in the log and in filters
std::string_view event_kind_text(abi::EventKind kind) noexcept;
/// A rule's decision has a drop reason only where a check or a limit was what decided.
bool has_reason(abi::EventKind kind) noexcept;
std::string_view flow_end_text(abi::FlowEnd end) noexcept;
/// 2026-11-22T21:59:02.123Z
std::string rfc3339(std::int64_t utc_ns);
std::string address_text(abi::IpFamily family, const abi::IpAddr& address);
/// tcp, udp, icmp, icmp6, ...; the number in digits where there is no name
std::string proto_text(abi::L4Proto proto);
std::string json_string(std::string_view text);

/// What a line tells, in names. The texts are borrowed; an empty one is left out.
struct EventText {
    std::int64_t time_ns{};  ///< UTC
    abi::EventKind kind{};
    abi::Verdict verdict{};
    abi::FlowEnd end{};
    abi::IpFamily family{};
    abi::L4Proto proto{};
    abi::IpAddr src{}, dst{};
    std::uint16_t sport{}, dport{};  ///< host order
    std::string_view in_port, from_zone, to_zone, rule;
    std::string_view reason;  ///< of drop, seq_check and limited
    std::uint64_t generation{};
    std::array<std::uint64_t, 2> packets{}, bytes{};  ///< this and the rest: of flow_end
    std::int64_t started_ns{};
    std::uint64_t duration_ms{};
    std::uint32_t suppressed{};
};

/// All without newline.
std::string event_json(const EventText& event);
std::string event_json(const abi::FlowEvent& event, const Names& names, const UtcClock& clock);

}  // namespace sluice::cp
