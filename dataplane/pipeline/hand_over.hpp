/// Packets on their way to the worker that owns their flow. With one worker none of this exists.
///
/// Theory of operation. Whoever receives a packet reads its headers and asks `Owners` whose it is. What is not his own
/// he puts, a burst's worth at a time, into the ring that leads from him to the owner, who takes it in his next loop as
/// if it had just arrived: it is parsed, judged, counted and sent there, under the owner's tables. One writer and one
/// reader per ring, so packets that came in one order through one queue are judged in that order. Nobody ever waits: a
/// full ring is the drop reason `hand_over_full`, at the port of arrival.
///
/// Fragments are handed to the owner of their addresses, who holds them; the whole datagram then goes on to the owner
/// of its flow, all fragments at once or not at all, and becomes whole there a second time. A fault of form is the
/// receiver's to drop, but for a fragment's: that concerns the others of its datagram.
///
/// Where devices place flows (`rss`), only what they place in another way is looked at: everything but TCP and UDP
/// without extension headers. One packet of each burst is checked all the same. The first one found in the wrong place
/// ends the trust in its port: from then on each of its packets is looked at.
///
/// Counted: the receiver's rx and handed_out, the owner's handed_in and all the rest (abi/telemetry.hpp).
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <sluice/abi/telemetry.hpp>

#include "dataplane/pipeline/burst.hpp"
#include "dataplane/pipeline/events.hpp"
#include "dataplane/pipeline/packet.hpp"
#include "dataplane/pipeline/reassemble.hpp"
#include "dataplane/steering/owner.hpp"
#include "dataplane/steering/spsc_ring.hpp"

namespace sluice::dp {

/// A ring from each worker to each other one.
class HandOverRings {
public:
    /// Buffers that wait in all rings that one worker writes to, at most.
    static constexpr std::uint32_t kPacketsMax = 2048;
    /// A datagram fits in, and a burst.
    static constexpr std::uint32_t kCapacityMin = 64;

    /// `capacity` 0: what kPacketsMax leaves for each.
    explicit HandOverRings(std::uint32_t workers, std::uint32_t capacity = 0);

    SpscRing<Packet>& between(std::uint32_t from, std::uint32_t to) noexcept { return *rings_[from * workers_ + to]; }
    std::uint32_t workers() const noexcept { return workers_; }
    /// In all rings.
    std::size_t waiting() const noexcept;
    /// Receive buffers that a worker needs more, since so many may be on their way.
    static std::uint32_t packets_max(std::uint32_t workers) noexcept;

private:
    static std::uint32_t capacity_for(std::uint32_t workers) noexcept;
    std::uint32_t workers_;
    std::vector<std::unique_ptr<SpscRing<Packet>>> rings_;
};

/// What workers share. Whoever makes them keeps it for as long as they live.
struct Steering {
    Steering(Owners who, std::uint32_t ring_capacity = 0)
        : owners{std::move(who)}, rings{owners.workers(), ring_capacity} {}
    Owners owners;
    HandOverRings rings;
};

/// One worker's ends of it.
class HandOver {
public:
    HandOver(Steering& steering, std::uint32_t worker, PacketIo& io, abi::WorkerCounters& counters,
             EventWriter& events) noexcept
        : steering_{steering}, self_{static_cast<WorkerIndex>(worker)}, io_{io}, counters_{counters}, events_{events} {
        trusts_.fill(steering.owners.mode() == abi::SteeringMode::rss);
    }

    /// After `parse_burst`, of what the devices gave: other workers' packets leave the burst, and those behind them
    /// move up.
    void pass_on(Burst& burst) noexcept;
    /// After `collect`: datagrams that have just become whole and belong to other workers leave too.
    void pass_on_datagrams(Burst& burst, Reassembly& fragments, std::uint64_t generation) noexcept;
    /// What waits first in the rings from all others, packets of one port of arrival: into burst.packet, counted.
    /// Returns how many; 0 = nothing waits. Each call begins with another ring, so that none waits behind a full one.
    std::size_t take(Burst& burst) noexcept;

private:
    using OwnerOfSlot = std::array<WorkerIndex, kBurstMax>;
    std::uint64_t find_owners(const Burst& burst, OwnerOfSlot& owner) noexcept;
    WorkerIndex owner_of(const Burst& burst, std::size_t i, bool trusts) const noexcept;
    WorkerIndex owner_by_headers(const Burst& burst, std::size_t i) const noexcept;
    void spot_check(const Burst& burst) noexcept;
    std::uint32_t pass_on_to(WorkerIndex to, Burst& burst, std::span<const std::uint8_t> slots) noexcept;
    abi::PortCounters& port_of(const Burst& burst) noexcept {
        return counters_.ports[static_cast<std::size_t>(burst.passage.in_port)];
    }

    Steering& steering_;
    WorkerIndex self_;
    PacketIo& io_;
    abi::WorkerCounters& counters_;
    EventWriter& events_;
    std::array<bool, abi::kPortsMax> trusts_{};  ///< by port: its device has placed every flow right so far
    std::uint32_t next_check_{};
    std::uint32_t first_ring_{};  ///< where the next `take` begins
};

}  // namespace sluice::dp
