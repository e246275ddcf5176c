/// PacketIo over DPDK: queue `worker` of every device.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include <rte_mbuf.h>
#include <rte_mempool.h>

#include <sluice/abi/telemetry.hpp>

#include "dataplane/pipeline/packet.hpp"

namespace sluice::dp {

/// What `parse` needs in one piece at most: Ethernet, two tags, IPv6, 512 bytes of extension headers (v6_ext_limit),
/// and a TCP header with options: 14 + 8 + 40 + 512 + 60.
inline constexpr std::uint32_t kContiguousBytes = 640;

class DpdkIo final : public PacketIo {
public:
    /// `links`: one per port, refreshed by the manager; the fast path does not ask the device.
    DpdkIo(std::uint16_t queue, const abi::ManagerCounters& links) noexcept : queue_{queue}, links_{links} {}

    /// Once, before the first receive.
    void attach(std::span<const std::uint16_t> device_ids, rte_mempool* own_pool) noexcept;

    std::size_t receive(PortIndex port, std::span<Packet> out) noexcept override;
    std::size_t send(PortIndex port, std::span<const Packet> packets) noexcept override;
    void release(std::span<const Packet> packets) noexcept override;
    bool allocate(std::uint32_t bytes, Packet& out) noexcept override;
    bool link_up(PortIndex port) const noexcept override;

private:
    std::uint16_t queue_;
    rte_mempool* own_pool_{};
    const abi::ManagerCounters& links_;
    std::array<std::uint16_t, abi::kPortsMax> devices_{};
};

/// Brings the first `bytes` of a chain (or all of it, if shorter) into its first buffer, as far as there is room.
void pull_up(rte_mbuf& head, std::uint32_t bytes) noexcept;

}  // namespace sluice::dp
