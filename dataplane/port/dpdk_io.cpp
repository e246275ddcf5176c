#include "dataplane/port/dpdk_io.hpp"

#include <rte_ethdev.h>
#include <rte_pause.h>
#include <rte_prefetch.h>
#include <sched.h>

#include <algorithm>
#include <cstring>

#include "dataplane/port/mbufs.hpp"

namespace sluice::dp {

namespace {

L4Checksum checksum_of(const rte_mbuf& m) noexcept {
    switch (m.ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) {
        case RTE_MBUF_F_RX_L4_CKSUM_GOOD: return L4Checksum::good;
        case RTE_MBUF_F_RX_L4_CKSUM_BAD: return L4Checksum::bad;
        default: return L4Checksum::unknown;
    }
}

/// The stages may have shortened or rewritten a single-buffer packet in place.
void take_length(rte_mbuf& m, const Packet& packet) noexcept {
    if (m.nb_segs != 1 || m.pkt_len == packet.total_bytes) return;
    m.pkt_len = packet.total_bytes;
    m.data_len = static_cast<std::uint16_t>(packet.total_bytes);
}

}  // namespace

void pull_up(rte_mbuf& head, std::uint32_t bytes) noexcept {
    const std::uint32_t wanted = std::min(bytes, head.pkt_len);
    while (head.data_len < wanted && head.next != nullptr) {
        rte_mbuf* const next = head.next;
        const auto room = std::min<std::uint32_t>(wanted - head.data_len, rte_pktmbuf_tailroom(&head));
        const auto part = static_cast<std::uint16_t>(std::min<std::uint32_t>(room, next->data_len));
        if (part == 0 && next->data_len != 0) return;  // no room: parse sees fewer bytes and counts headers_split
        std::memcpy(rte_pktmbuf_mtod_offset(&head, std::uint8_t*, head.data_len), rte_pktmbuf_mtod(next, std::uint8_t*),
                    part);
        head.data_len = static_cast<std::uint16_t>(head.data_len + part);
        next->data_off = static_cast<std::uint16_t>(next->data_off + part);
        next->data_len = static_cast<std::uint16_t>(next->data_len - part);
        if (next->data_len == 0) {
            head.next = next->next;
            --head.nb_segs;
            next->next = nullptr;
            next->nb_segs = 1;
            rte_pktmbuf_free_seg(next);
        }
    }
}

void QueueLock::lock() noexcept {
    constexpr int kSpins = 100;
    for (int spins = 0; taken_.exchange(true, std::memory_order_acquire); ++spins) {
        if (spins < kSpins) {
            rte_pause();
        } else {
            sched_yield();
        }
    }
}

void DpdkIo::attach(const WorkerQueues& queues, rte_mempool* own_pool) noexcept {
    own_pool_ = own_pool;
    queues_ = queues;
}

std::size_t DpdkIo::receive(PortIndex port, std::span<Packet> out) noexcept {
    const WorkerQueues::Port& mine = queues_.ports[static_cast<std::size_t>(port)];
    if (mine.receive == kNoQueue) return 0;
    std::array<rte_mbuf*, kBurstMax> burst;
    const auto most = static_cast<std::uint16_t>(std::min(out.size(), burst.size()));
    const std::uint16_t count = rte_eth_rx_burst(mine.device, mine.receive, burst.data(), most);
    for (std::uint16_t i = 0; i < count; ++i) rte_prefetch0(rte_pktmbuf_mtod(burst[i], void*));
    for (std::uint16_t i = 0; i < count; ++i) {
        rte_mbuf& m = *burst[i];
        if (m.nb_segs > 1 && m.data_len < kContiguousBytes) pull_up(m, kContiguousBytes);
        out[i] = {rte_pktmbuf_mtod(&m, std::uint8_t*), m.data_len, m.pkt_len, &m, port, checksum_of(m)};
    }
    return count;
}

namespace {

std::uint16_t transmit(const WorkerQueues::Port& mine, rte_mbuf** packets, std::uint16_t count) noexcept {
    if (mine.lock == nullptr) return rte_eth_tx_burst(mine.device, mine.transmit, packets, count);
    mine.lock->lock();
    const std::uint16_t taken = rte_eth_tx_burst(mine.device, mine.transmit, packets, count);
    mine.lock->unlock();
    return taken;
}

}  // namespace

std::size_t DpdkIo::send(PortIndex port, std::span<const Packet> packets) noexcept {
    const WorkerQueues::Port& mine = queues_.ports[static_cast<std::size_t>(port)];
    std::array<rte_mbuf*, kBurstMax> burst;
    std::size_t sent = 0;
    while (sent < packets.size()) {
        const std::size_t count = std::min(packets.size() - sent, burst.size());
        for (std::size_t i = 0; i < count; ++i) {
            burst[i] = mbuf_of(packets[sent + i]);
            take_length(*burst[i], packets[sent + i]);
        }
        const std::uint16_t taken = transmit(mine, burst.data(), static_cast<std::uint16_t>(count));
        sent += taken;
        if (taken < count) break;
    }
    return sent;
}

void DpdkIo::release(std::span<const Packet> packets) noexcept { free_mbufs(packets); }

bool DpdkIo::allocate(std::uint32_t bytes, Packet& out) noexcept { return allocate_from(own_pool_, bytes, out); }

bool DpdkIo::link_up(PortIndex port) const noexcept {
    return links_.port_link_up[static_cast<std::size_t>(port)].read() != 0;
}

}  // namespace sluice::dp
