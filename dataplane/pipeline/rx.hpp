/// Takes what arrived on a port and reads its headers.
#pragma once

#include <sluice/abi/telemetry.hpp>

#include "dataplane/pipeline/burst.hpp"

namespace sluice::dp {

/// Fills the burst and counts it. Returns the number of packets.
std::size_t receive(PacketIo& io, const Passage& passage, const Moment& moment, Burst& burst,
                    abi::PortCounters& port) noexcept;

/// Headers to ParsedPacket, or a drop; and what no zone binds (VLANs, in this version) is dropped here too.
void parse_burst(Burst& burst, abi::WorkerCounters& counters) noexcept;

}  // namespace sluice::dp
