/// Which worker owns a flow: one function, asked by everybody who has to know. Both directions of a flow, ICMP errors
/// about it (by the packet that they quote) and its reassembled datagrams have the same owner; fragments that wait for
/// the rest of their datagram have the owner of their addresses.
///
/// Theory of operation. The answer is fixed for the life of a process, so a flow never moves. Two ways:
///  - `rss`: devices place packets themselves, by a Toeplitz hash and a table of queues that we programmed and read
///  back
///    (rss.hpp). The function is the same hash and table in software. Only what a device places differently (fragments,
///    ICMP, quoted packets, IPv6 with extension headers) has to be handed over. Whoever knows our key, which is no
///    secret, can aim at one worker; that worker then drops its own share (CASES X5).
///  - `software`: a keyed hash. The secret is random, so nobody can aim. It outlives the process with the flows, so
///    that their tables can be used where they lie; it is another one than the flow tables'.
/// Neighbours: pipeline/hand_over.hpp moves packets to their owner; manager/flow_memory.hpp asks whose an old flow is.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include <sluice/abi/telemetry.hpp>

#include "dataplane/flow/flow_hash.hpp"
#include "dataplane/flow/flow_key.hpp"
#include "dataplane/steering/toeplitz.hpp"

namespace sluice::dp {

using WorkerIndex = std::uint8_t;
static_assert(abi::kWorkersMax <= 256);

/// What a device was told, and said when it was asked again.
struct RssProgram {
    std::vector<std::uint8_t> key;
    std::vector<WorkerIndex> table;  ///< its length is a power of two; entry `hash % length` is the queue = worker
};

class Owners {
public:
    static Owners software(const HashSecret& secret, std::uint32_t workers);
    static Owners rss(const RssProgram& program, std::uint32_t workers);

    abi::SteeringMode mode() const noexcept { return toeplitz_ ? abi::SteeringMode::rss : abi::SteeringMode::software; }
    std::uint32_t workers() const noexcept { return workers_; }

    /// Of a flow's key, however the flow table makes it: ICMP's by its addresses, whatever is asked. Ports in order or
    /// swapped are the same here.
    WorkerIndex owner(const FlowKeyV4& key) const noexcept;
    WorkerIndex owner(const FlowKeyV6& key) const noexcept;
    /// Of a packet by its ends. Ports are left away where the protocol has none.
    WorkerIndex owner(abi::IpFamily family, const FlowTuple& ends, FlowDomain domain) const noexcept;
    /// Of keys of TCP flows, in one go.
    void owners(std::span<const FlowKeyV4> keys, WorkerIndex* out) const noexcept;

    /// Differs if the owner of any flow could.
    std::uint64_t identity() const noexcept { return identity_; }

private:
    Owners(const HashSecret& secret, std::uint32_t workers) noexcept : hasher_{secret}, workers_{workers} {}
    WorkerIndex of_hash(std::uint64_t hash) const noexcept {
        return static_cast<WorkerIndex>((hash >> 32) * workers_ >> 32);
    }
    template <typename Key>
    WorkerIndex owner_of(const Key& key) const noexcept;

    FlowHasher hasher_;
    std::uint32_t workers_;
    std::optional<Toeplitz> toeplitz_;
    std::vector<WorkerIndex> table_;
    std::uint64_t identity_{};
};

}  // namespace sluice::dp
