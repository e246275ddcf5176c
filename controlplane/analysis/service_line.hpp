/// All services of one address family on one line, so that "any service" is one range of it: TCP ports, UDP ports, ICMP
/// (in IPv6: ICMPv6) as type << 8 | code, then the other protocols by number. Protocols that stand elsewhere on the
/// line are left out, and 59 (no next header) is last, because "any" does not mean it (RFC 8200 section 4.7).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <sluice/abi/net_order.hpp>

#include "controlplane/analysis/box.hpp"

namespace sluice::cp {

/// `dport_or_icmp` as in dp::LookupKey.
struct ServicePoint {
    abi::L4Proto proto{};
    std::uint16_t dport_or_icmp{};
};

ServiceRanges service_ranges(const ServiceList& services, abi::IpFamily family);
/// The whole line.
const std::shared_ptr<const ServiceRanges>& every_service();

ServicePoint service_at(std::uint32_t place, abi::IpFamily family) noexcept;
/// The place of a point; ICMP of the other family stands among the other protocols.
std::uint32_t place_of(ServicePoint point, abi::IpFamily family) noexcept;

/// `any`, or terms as a policy writes them, in the line's order.
std::vector<std::string> to_texts(const ServiceRanges& services, abi::IpFamily family);

/// At least half of all TCP or of all UDP ports.
bool is_wide_open(const ServiceRanges& services) noexcept;

}  // namespace sluice::cp
