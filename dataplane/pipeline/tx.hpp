/// Sends what was decided to go: forwarded packets through the wire's other port, our answers back where they came
/// from. What the device does not take is dropped here, and counted at the port of arrival like any other end.
#pragma once

#include <span>

#include <sluice/abi/telemetry.hpp>

#include "dataplane/pipeline/burst.hpp"
#include "dataplane/pipeline/events.hpp"
#include "dataplane/pipeline/reassemble.hpp"

namespace sluice::dp {

void transmit(Burst& burst, PacketIo& io, std::span<abi::PortCounters, abi::kPortsMax> ports, EventWriter& events,
              Reassembly& fragments, std::uint64_t generation) noexcept;

/// A packet of our own that belongs to no burst, on behalf of the traffic that arrives at `arrival`.
void transmit_own(const Packet& packet, PortIndex out, PortIndex arrival, PacketIo& io,
                  std::span<abi::PortCounters, abi::kPortsMax> ports) noexcept;

}  // namespace sluice::dp
