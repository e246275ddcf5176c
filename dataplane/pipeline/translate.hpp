/// Rewrites segments of flows whose numbers are translated (flow/flow_proxy.hpp) where they lie, checksums with them
/// (RFC 1624): only fields change, never a length.
///
/// A checksum that was wrong stays wrong. Datagrams that came in fragments are rewritten in their first, where the
/// header stands.
#pragma once

#include <cstdint>
#include <optional>

#include "dataplane/flow/flow_proxy.hpp"
#include "dataplane/pipeline/packet.hpp"
#include "dataplane/pipeline/parsed_packet.hpp"

namespace sluice::dp {

struct TcpTimestamps {
    std::uint32_t value{}, echo{};
};

/// The option of RFC 7323 in a TCP segment that `parse` let pass; nothing if it is not there or what stands before it
/// makes no sense.
std::optional<TcpTimestamps> timestamps_of(const Packet& packet, const ParsedPacket& parsed) noexcept;

/// A segment of the open flow from one end, as the other end must see it.
void translate(const Packet& packet, const ParsedPacket& parsed, const FlowProxy& x, Direction from) noexcept;

/// The same for the segment that an ICMP error quotes: `sender` sent it, and it is quoted as the other end saw it. Its
/// numbers, as far as they are quoted.
void translate_quote(const Packet& packet, const ParsedPacket& outer, const FlowProxy& x, Direction sender) noexcept;

}  // namespace sluice::dp
