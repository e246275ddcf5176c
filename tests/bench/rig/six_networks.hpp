/// IPv4 networks as IPv6 ones of the same nesting: any set of rules can be measured in both families, and a packet is
/// decided by the same rule in both.
///
/// 2001::/16, then the upper half of the address as it is, then each bit of the lower half with one behind it that is
/// mixed from all bits before it: /16 becomes /32, /24 becomes /48 (a site), /31 becomes /62. A host is a /128 with an
/// interface identifier of its own.
#pragma once

#include <cstdint>

#include "controlplane/policy/model.hpp"
#include "tests/bench/rig/rules.hpp"

namespace sluice::bench {

/// Any network of IPv4 becomes any of IPv6.
cp::Prefix six_prefix(const Net& net) noexcept;
/// `addr` in host order.
abi::IpAddr six_host(std::uint32_t addr) noexcept;
/// ICMP becomes ICMPv6.
constexpr std::uint8_t six_proto(std::uint8_t proto) noexcept { return proto == 1 ? 58 : proto; }

}  // namespace sluice::bench
