#include "tests/bench/rig/flood_source.hpp"

#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>

#include "dataplane/port/mbufs.hpp"

namespace sluice::bench {

namespace {

constexpr std::uint32_t kFrameBytes = dp::MemorySource::kFrameBytes;
constexpr std::size_t kIpAt = 14, kIpBytes = 20, kTcpAt = kIpAt + kIpBytes, kTcpBytes = 20;

void put16(std::uint8_t* at, std::uint32_t value) noexcept {
    at[0] = static_cast<std::uint8_t>(value >> 8);
    at[1] = static_cast<std::uint8_t>(value);
}
void put32(std::uint8_t* at, std::uint32_t value) noexcept {
    put16(at, value >> 16);
    put16(at + 2, value & 0xffff);
}

/// RFC 1071, of an even number of bytes.
std::uint32_t sum_of(const std::uint8_t* at, std::size_t bytes) noexcept {
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < bytes; i += 2) sum += std::uint32_t{at[i]} << 8 | at[i + 1];
    return sum;
}
std::uint32_t folded(std::uint32_t sum) noexcept {
    sum = (sum >> 16) + (sum & 0xffff);
    return ~((sum >> 16) + sum) & 0xffff;
}

/// Steele's SplitMix64: any number's bits, as if drawn.
std::uint64_t mixed(std::uint64_t x) noexcept {
    x += 0x9e3779b97f4a7c15;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}

}  // namespace

FloodSource::FloodSource(const FloodConfig& config) noexcept : config_{config} {
    std::uint8_t* const b = template_.data();
    b[0] = b[6] = 0x02;
    b[5] = 2;
    b[11] = 1;
    put16(b + 12, 0x0800);
    b[kIpAt] = 0x45;
    put16(b + kIpAt + 2, kIpBytes + kTcpBytes);
    b[kIpAt + 8] = 64;
    b[kIpAt + 9] = 6;
    b[kTcpAt + 12] = kTcpBytes / 4 << 4;
    b[kTcpAt + 13] = 0x02;  // SYN
    put16(b + kTcpAt + 14, 0xffff);
}

void FloodSource::write(std::uint8_t* frame, std::uint64_t number) const noexcept {
    const std::uint64_t a = mixed(config_.seed << 48 ^ number), b = mixed(a);
    // Unicast, and no network that is nobody's: 1.0.0.0 to 99.255.255.255.
    std::uint32_t src = static_cast<std::uint32_t>(a) % (99U << 24) + (1U << 24);
    std::uint32_t dst = static_cast<std::uint32_t>(a >> 32) % (99U << 24) + (1U << 24);
    auto dport = static_cast<std::uint32_t>(b >> 16 & 0xffff);
    if (!config_.targets.empty()) {
        const dp::FlowTarget& target = config_.targets[a % config_.targets.size()];
        src = target.src_net | static_cast<std::uint32_t>(a >> 32 & 0xff);
        dst = target.dst;
        dport = target.dport;
    }
    std::memcpy(frame, template_.data(), kFrameBytes);
    put32(frame + kIpAt + 12, src);
    put32(frame + kIpAt + 16, dst);
    put16(frame + kIpAt + 10, folded(sum_of(frame + kIpAt, kIpBytes)));
    put16(frame + kTcpAt, static_cast<std::uint32_t>(b & 0x3fff) | 0x8000);  // not where MemorySource's clients begin
    put16(frame + kTcpAt + 2, std::max(1U, dport));
    put32(frame + kTcpAt + 4, static_cast<std::uint32_t>(b >> 32));
    put16(frame + kTcpAt + 16, folded(sum_of(frame + kIpAt + 12, 8) + 6 + static_cast<std::uint32_t>(kTcpBytes) +
                                      sum_of(frame + kTcpAt, kTcpBytes)));
}

std::size_t FloodSource::receive(dp::PortIndex port, std::span<dp::Packet> out) noexcept {
    if (port != dp::MemorySource::kClients) return 0;
    std::array<rte_mbuf*, dp::kBurstMax> buffers;
    const std::size_t count = std::min(out.size(), buffers.size());
    if (count == 0) return 0;
    if (rte_pktmbuf_alloc_bulk(config_.pool, buffers.data(), static_cast<unsigned>(count)) != 0) {
        ++starved_;
        return 0;
    }
    for (std::size_t i = 0; i < count; ++i) {
        rte_mbuf& m = *buffers[i];
        auto* const frame = rte_pktmbuf_mtod(&m, std::uint8_t*);
        write(frame, made_++ % config_.distinct);
        m.data_len = kFrameBytes;
        m.pkt_len = kFrameBytes;
        out[i] = {frame, kFrameBytes, kFrameBytes, &m, port, dp::L4Checksum::good};
    }
    return count;
}

std::size_t FloodSource::send(dp::PortIndex, std::span<const dp::Packet> packets) noexcept {
    release(packets);
    sent_ += packets.size();
    return packets.size();
}

void FloodSource::release(std::span<const dp::Packet> packets) noexcept { dp::free_mbufs(packets); }
bool FloodSource::allocate(std::uint32_t bytes, dp::Packet& out) noexcept {
    return dp::allocate_from(config_.pool, bytes, out);
}

}  // namespace sluice::bench
