/// Virtual reassembly. Fragments are held until their datagram is whole; then the datagram is one packet of the burst
/// in which its last fragment came, judged once like any other by the headers of its first fragment, and all its
/// fragments leave as they came, in order of arrival, or are dropped together. Nothing is ever copied together.
///
/// A byte-exact copy of a held fragment is consumed: its bytes are in the datagram already, hosts throw it away (RFC
/// 8200 section 4.5), and holding copies would let anyone who can repeat a packet fill the store.
///
/// What it counts: a held fragment is `held` at its port of arrival until its end there, forwarded or dropped. Rules
/// and flows count the datagram as one packet with the bytes of all its frames.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include <sluice/abi/telemetry.hpp>

#include "dataplane/pipeline/burst.hpp"
#include "dataplane/pipeline/events.hpp"
#include "dataplane/pipeline/fragment_store.hpp"

namespace sluice::dp {

class Reassembly final : private FragmentDrops {
public:
    Reassembly(const WorkerConfig& config, PacketIo& io, abi::WorkerCounters& counters, EventWriter& events) noexcept;

    /// After `parse_burst`: takes the burst's fragments. The slot of one that makes its datagram whole stands for the
    /// datagram from here on (Burst::is_datagram).
    void collect(Burst& burst, std::uint64_t generation) noexcept;
    /// The packets of slot i's datagram, in order of arrival; they are the caller's, to be sent or released. Returns
    /// how many.
    std::size_t take(Burst& burst, std::size_t i, std::span<Packet, kFragmentsMax> out) noexcept;

    /// Once per loop: ends what has waited too long.
    void expire(const Moment& moment, std::uint64_t generation) noexcept;
    /// The worker stops: nothing more will come.
    void drop_all() noexcept;

private:
    void dropped(const FragmentKey& key, std::span<const Packet> packets, abi::DropReason why) noexcept override;
    void add(Burst& burst, std::size_t i) noexcept;
    void make_whole(Burst& burst, std::size_t i, std::uint32_t datagram) noexcept;
    void at(const Moment& moment, std::uint64_t generation) noexcept;

    FragmentStore store_;
    PacketIo& io_;
    abi::WorkerCounters& counters_;
    EventWriter& events_;
    Moment now_{};  ///< of the last call, for events
    std::uint64_t generation_{};
};

}  // namespace sluice::dp
