/// PacketIo over DPDK: one worker's queues of every device.
#pragma once

#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <array>
#include <atomic>
#include <cstdint>

#include <sluice/abi/telemetry.hpp>

#include "dataplane/pipeline/packet.hpp"
#include "dataplane/steering/queue_plan.hpp"

namespace sluice::dp {

/// What `parse` needs in one piece at most: Ethernet, two tags, IPv6, 512 bytes of extension headers (v6_ext_limit),
/// and a TCP header with options: 14 + 8 + 40 + 512 + 60.
inline constexpr std::uint32_t kContiguousBytes = 640;

/// For a transmit queue that several workers have. Who holds it may have lost its CPU to who waits, where there are
/// fewer CPUs than workers: so the waiting is short, and then the scheduler's.
class QueueLock {
public:
    void lock() noexcept;
    void unlock() noexcept { taken_.store(false, std::memory_order_release); }  // pairs with the acquire in lock()

private:
    alignas(64) std::atomic<bool> taken_{false};
};

/// Of one worker, by port.
struct WorkerQueues {
    struct Port {
        std::uint16_t device{};           ///< DPDK's number
        std::uint16_t receive{kNoQueue};  ///< kNoQueue: others read this port
        std::uint16_t transmit{};
        QueueLock* lock{};  ///< of the transmit queue; nullptr: it is this worker's alone
    };
    std::array<Port, abi::kPortsMax> ports{};
};

class DpdkIo final : public PacketIo {
public:
    /// `links`: one per port, refreshed by the manager; the fast path does not ask the device.
    explicit DpdkIo(const abi::ManagerCounters& links) noexcept : links_{links} {}

    /// Once, before the first receive.
    void attach(const WorkerQueues& queues, rte_mempool* own_pool) noexcept;

    std::size_t receive(PortIndex port, std::span<Packet> out) noexcept override;
    std::size_t send(PortIndex port, std::span<const Packet> packets) noexcept override;
    void release(std::span<const Packet> packets) noexcept override;
    bool allocate(std::uint32_t bytes, Packet& out) noexcept override;
    bool link_up(PortIndex port) const noexcept override;

private:
    rte_mempool* own_pool_{};
    const abi::ManagerCounters& links_;
    WorkerQueues queues_;
};

/// Brings the first `bytes` of a chain (or all of it, if shorter) into its first buffer, as far as there is room.
void pull_up(rte_mbuf& head, std::uint32_t bytes) noexcept;

}  // namespace sluice::dp
