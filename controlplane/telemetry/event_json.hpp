/// A flow event as one line of JSON: what stands in the flow log and goes to those who follow.
#pragma once

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

/// 2026-11-22T21:59:02.123Z
std::string rfc3339(std::int64_t utc_ns);
std::string address_text(abi::IpFamily family, const abi::IpAddr& address);
/// tcp, udp, icmp, icmp6, ...; the number in digits where there is no name
std::string proto_text(abi::L4Proto proto);
std::string json_string(std::string_view text);

/// Without newline.
std::string event_json(const abi::FlowEvent& event, const Names& names, const UtcClock& clock);

}  // namespace sluice::cp
