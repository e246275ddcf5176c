/// Takes what arrived on a port and reads its headers.
#pragma once

#include <sluice/abi/telemetry.hpp>

#include "dataplane/pipeline/burst.hpp"
#include "dataplane/pipeline/parse.hpp"

namespace sluice::dp {

/// Fills the burst and counts it. Returns the number of packets.
std::size_t receive(PacketIo& io, const Passage& passage, const Moment& moment, Burst& burst,
                    abi::PortCounters& port) noexcept;

/// A burst of the first `count` packets that stand in it already, from elsewhere than a device: nothing is counted.
void begin_burst(Burst& burst, std::size_t count, const Passage& passage, const Moment& moment) noexcept;

/// Headers to ParsedPacket, or a drop; and what no zone binds (VLANs, in this version) is dropped here too.
void parse_burst(Burst& burst, abi::WorkerCounters& counters) noexcept;

/// If packet i is still a usual one, of which few words were read: the whole ParsedPacket, as of any other.
inline void fill_usual(Burst& burst, std::size_t i) noexcept {
    if (!burst.usual.has(i)) return;
    burst.usual.remove(i);
    (void)parse_if_plain(burst.packet[i], burst.parsed[i]);  // it is plain: what is usual is
}

}  // namespace sluice::dp
