/// How times, addresses and protocols are written in JSON, and read back.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <sluice/abi/messages.hpp>
#include <sluice/abi/net_order.hpp>

namespace sluice::cp::api {

/// RFC 3339, UTC, milliseconds: 2026-11-22T21:46:00.123Z
std::string time_text(std::chrono::system_clock::time_point time);
std::string time_text_of_ns(std::int64_t utc_ns);

std::string address_text(abi::IpFamily family, const abi::IpAddr& address);
/// IPv4 dotted quad without leading zeros, or IPv6 without a scope id.
std::optional<std::pair<abi::IpFamily, abi::IpAddr>> parse_address(std::string_view text);

/// tcp, udp, icmp, icmp6, else proto/N: as in the policy language.
std::string protocol_text(abi::L4Proto proto);
/// Those, and a bare number.
std::optional<abi::L4Proto> parse_protocol(std::string_view text);

std::string_view flow_state_text(abi::FlowState state) noexcept;

}  // namespace sluice::cp::api
