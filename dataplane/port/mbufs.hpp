/// What every PacketIo over DPDK's buffers does with them. With dpdk_io the only place where a Packet becomes an mbuf.
#pragma once

#include <rte_mbuf.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include "dataplane/pipeline/packet.hpp"

namespace sluice::dp {

inline rte_mbuf* mbuf_of(const Packet& packet) noexcept { return static_cast<rte_mbuf*>(packet.handle); }

/// Gives them back to the pools that they came from.
inline void free_mbufs(std::span<const Packet> packets) noexcept {
    std::array<rte_mbuf*, kBurstMax> burst;
    for (std::size_t done = 0; done < packets.size();) {
        const std::size_t count = std::min(packets.size() - done, burst.size());
        for (std::size_t i = 0; i < count; ++i) burst[i] = mbuf_of(packets[done + i]);
        rte_pktmbuf_free_bulk(burst.data(), static_cast<unsigned>(count));
        done += count;
    }
}

/// A packet of our own in one piece. False: the pool is empty, or its buffers are smaller.
inline bool allocate_from(rte_mempool* pool, std::uint32_t bytes, Packet& out) noexcept {
    rte_mbuf* const m = rte_pktmbuf_alloc(pool);
    if (m == nullptr) return false;
    if (bytes > rte_pktmbuf_tailroom(m)) {
        rte_pktmbuf_free(m);
        return false;
    }
    m->data_len = static_cast<std::uint16_t>(bytes);
    m->pkt_len = bytes;
    out = {rte_pktmbuf_mtod(m, std::uint8_t*), bytes, bytes, m, kNoPort, L4Checksum::good};
    return true;
}

}  // namespace sluice::dp
