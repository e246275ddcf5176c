#include "dataplane/port/memory_source.hpp"

#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>

#include "dataplane/port/conversation.hpp"
#include "dataplane/port/mbufs.hpp"

namespace sluice::dp {

namespace {

constexpr std::uint32_t kEthBytes = 14, kIpBytes = 20, kTcpBytes = 20, kUdpBytes = 8;
constexpr std::uint32_t kHeaderBytes = kEthBytes + kIpBytes + kTcpBytes;
constexpr std::uint32_t kIpAt = kEthBytes, kL4At = kEthBytes + kIpBytes;
constexpr std::uint8_t kProtoTcp = 6, kProtoUdp = 17;
constexpr std::uint32_t kUdpDatagramBytes = MemorySource::kFrameBytes - kEthBytes;
constexpr std::array<std::array<std::uint8_t, 6>, 2> kMacs{{{0x02, 0, 0, 0, 0, 1}, {0x02, 0, 0, 0, 0, 2}}};

void put16(std::uint8_t* at, std::uint32_t value) noexcept {
    const std::uint16_t wire = __builtin_bswap16(static_cast<std::uint16_t>(value));
    std::memcpy(at, &wire, sizeof wire);
}
void put32(std::uint8_t* at, std::uint32_t value) noexcept {
    const std::uint32_t wire = __builtin_bswap32(value);
    std::memcpy(at, &wire, sizeof wire);
}

/// RFC 1071 on numbers in host order, unfolded.
constexpr std::uint32_t halves(std::uint32_t value) noexcept { return (value >> 16) + (value & 0xffff); }
std::uint32_t sum_of(const std::uint8_t* at, std::uint32_t bytes) noexcept {
    std::uint32_t sum = 0;
    for (std::uint32_t i = 0; i + 1 < bytes; i += 2) sum += std::uint32_t{at[i]} << 8 | at[i + 1];
    return sum;
}
constexpr std::uint32_t checksum(std::uint32_t sum) noexcept { return ~halves(halves(sum)) & 0xffff; }

}  // namespace

MemorySource::MemorySource(const MemorySourceConfig& config) noexcept
    : config_{config}, target_magic_{UINT64_MAX / config.targets.size() + 1} {
    const std::uint8_t proto = config.conversation == Conversation::udp ? kProtoUdp : kProtoTcp;
    templates_ = {make_template(true, proto), make_template(false, proto)};
    begin_round();
}

MemorySource::Template MemorySource::make_template(bool from_client, std::uint8_t proto) noexcept {
    Template t;
    std::uint8_t* const b = t.bytes.data();
    std::copy_n(kMacs[from_client ? 1 : 0].begin(), 6, b);
    std::copy_n(kMacs[from_client ? 0 : 1].begin(), 6, b + 6);
    put16(b + 12, 0x0800);
    b[kIpAt] = 0x45;
    put16(b + kIpAt + 6, 0x4000);  // don't fragment
    b[kIpAt + 8] = 64;
    b[kIpAt + 9] = proto;
    t.ip_sum = sum_of(b + kIpAt, kIpBytes);
    if (proto == kProtoTcp) {
        b[kL4At + 12] = kTcpBytes / 4 << 4;
        put16(b + kL4At + 14, 0xffff);  // window, without scaling
        std::memcpy(b + kL4At + kTcpBytes, "sluice", kPayloadBytes);
        // Flags and payload differ from segment to segment and are added there.
        t.l4_sum = proto + sum_of(b + kL4At, kTcpBytes);
    } else {
        put16(b + kL4At + 4, kUdpDatagramBytes - kIpBytes);
        std::memcpy(b + kL4At + kUdpBytes, "sluice first packet", kFrameBytes - kL4At - kUdpBytes);
        t.l4_sum = proto + (kUdpDatagramBytes - kIpBytes) + sum_of(b + kL4At, kUdpDatagramBytes - kIpBytes);
    }
    return t;
}

/// Which flows each port brings in this round: all, none, or those of one parity.
void MemorySource::begin_round() noexcept {
    const std::uint32_t all = config_.flow_count;
    std::uint64_t key = (config_.seed + round_) * 0x9e3779b97f4a7c15;
    if (config_.conversation == Conversation::lives) return begin_round_of_lives(key);
    for (std::uint32_t port = 0; port < 2; ++port, key = key * 0xd1342543de82ef95 + 1) {
        const bool clients = port == 0;
        if (config_.conversation == Conversation::udp || round_ < kHandshakeRounds) {
            const bool speaks =
                config_.conversation == Conversation::udp ? clients : clients == client_speaks(round_, 0);
            order_[port] = Permutation{speaks ? all : 0, key};
            flow_factor_[port] = 1;
            flow_offset_[port] = 0;
        } else {
            order_[port] = Permutation{all / 2, key};
            flow_factor_[port] = 2;
            flow_offset_[port] = clients == client_speaks(round_, 0) ? 0 : 1;
        }
    }
}

/// Seat s is at step (round + s) % kLifeSteps. What would have begun before round 0 stays silent until it begins anew.
void MemorySource::begin_round_of_lives(std::uint64_t key) noexcept {
    step_count_ = {};
    for (std::uint8_t step = 0; step < kLifeSteps && step <= round_; ++step) {
        const std::size_t port = client_speaks_at(step) ? 0 : 1;
        steps_[port][step_count_[port]++] = step;
    }
    for (std::size_t port = 0; port < 2; ++port, key = key * 0xd1342543de82ef95 + 1) {
        order_[port] = Permutation{config_.flow_count / kLifeSteps * step_count_[port], key};
    }
}

MemorySource::Turn MemorySource::turn_of(std::uint32_t n, std::size_t p) const noexcept {
    const std::uint32_t step = steps_[p][n % step_count_[p]];
    const auto seat_in_step = static_cast<std::uint32_t>((step - round_) % kLifeSteps);
    const std::uint32_t seat = n / step_count_[p] * kLifeSteps + seat_in_step;
    const auto life = static_cast<std::uint32_t>((round_ + seat_in_step) / kLifeSteps);
    return {seat + life * config_.flow_count, step};
}

MemorySource::Tuple MemorySource::tuple_of(std::uint32_t flow) const noexcept {
    __extension__ using Wide = unsigned __int128;
    const auto nth = static_cast<std::uint32_t>(Wide{target_magic_} * flow >> 64);
    const auto count = static_cast<std::uint32_t>(config_.targets.size());
    const std::uint32_t within = count == 1 ? flow : nth;
    const FlowTarget& target = config_.targets[flow - within * count];
    return {target.src_net | (within & ((1U << kSourceBits) - 1)), target.dst,
            static_cast<std::uint16_t>(kSportFirst + (within >> kSourceBits)), target.dport};
}

/// All but what the transport adds; returns the sum that its checksum goes on from.
std::uint32_t MemorySource::write_frame(std::uint8_t* frame, const Tuple& t, bool from_client,
                                        std::uint32_t ip_bytes) const noexcept {
    const Template& base = templates_[from_client ? 0 : 1];
    std::memcpy(frame, base.bytes.data(), kFrameBytes);
    const std::uint32_t addresses = halves(t.client) + halves(t.server);
    put16(frame + kIpAt + 2, ip_bytes);
    put16(frame + kIpAt + 10, checksum(base.ip_sum + ip_bytes + addresses));
    put32(frame + kIpAt + 12, from_client ? t.client : t.server);
    put32(frame + kIpAt + 16, from_client ? t.server : t.client);
    put16(frame + kL4At, from_client ? t.sport : t.dport);
    put16(frame + kL4At + 2, from_client ? t.dport : t.sport);
    return base.l4_sum + addresses + t.sport + t.dport;
}

inline void MemorySource::write_tcp(std::uint8_t* frame, std::uint32_t flow, ConversationSegment s,
                                    bool from_client) const noexcept {
    constexpr std::uint32_t kPayloadSum = ('s' << 8 | 'l') + ('u' << 8 | 'i') + ('c' << 8 | 'e');
    const std::uint32_t l4_bytes = kTcpBytes + s.payload_bytes;
    std::uint32_t sum = write_frame(frame, tuple_of(flow), from_client, kIpBytes + l4_bytes);
    put32(frame + kL4At + 4, s.seq);
    put32(frame + kL4At + 8, s.ack);
    frame[kL4At + 13] = s.flags;
    sum += l4_bytes + halves(s.seq) + halves(s.ack) + s.flags + (s.payload_bytes != 0 ? kPayloadSum : 0);
    put16(frame + kL4At + 16, checksum(sum));
}

void MemorySource::write_udp(std::uint8_t* frame, std::uint32_t flow) const noexcept {
    const std::uint32_t value = checksum(write_frame(frame, tuple_of(flow), true, kUdpDatagramBytes));
    put16(frame + kL4At + 6, value != 0 ? value : 0xffff);  // 0 would say that there is none (RFC 768)
}

std::size_t MemorySource::receive(PortIndex port, std::span<Packet> out) noexcept {
    const auto p = static_cast<std::size_t>(port);
    if (order_[0].left() == 0 && order_[1].left() == 0) {
        ++round_;
        begin_round();
    }
    std::array<std::uint32_t, kBurstMax> numbers;
    std::array<rte_mbuf*, kBurstMax> buffers;
    const std::size_t room = std::min<std::size_t>({out.size(), numbers.size(), order_[p].left()});
    if (room == 0) return 0;
    if (rte_pktmbuf_alloc_bulk(config_.pool, buffers.data(), static_cast<unsigned>(room)) != 0) {
        ++starved_;
        return 0;
    }
    order_[p].next({numbers.data(), room});
    const L4Checksum checksums = config_.marked_good ? L4Checksum::good : L4Checksum::unknown;
    // One loop for each conversation: what is the same for all packets is decided outside of it.
    const auto fill = [&](auto&& write) {
        for (std::size_t i = 0; i < room; ++i) {
            rte_mbuf& m = *buffers[i];
            auto* const frame = rte_pktmbuf_mtod(&m, std::uint8_t*);
            const std::uint32_t bytes = write(frame, numbers[i]);
            m.data_len = static_cast<std::uint16_t>(bytes);
            m.pkt_len = bytes;
            out[i] = {frame, bytes, bytes, &m, port, checksums};
        }
    };
    const std::uint32_t factor = flow_factor_[p], offset = flow_offset_[p];
    switch (config_.conversation) {
        case Conversation::tcp:
            if (!config_.frame_bytes.empty()) {
                fill([&](std::uint8_t* frame, std::uint32_t n) {
                    const std::uint32_t flow = n * factor + offset;
                    const std::uint32_t bytes = config_.frame_bytes[flow % config_.frame_bytes.size()];
                    const auto segment = segment_of(round_, flow, static_cast<std::uint16_t>(bytes - kHeaderBytes));
                    write_tcp(frame, flow, segment, p == 0);
                    if (segment.payload_bytes == 0) return kFrameBytes;
                    std::memset(frame + kFrameBytes, 0, bytes - kFrameBytes);  // the buffer had another packet before
                    return bytes;
                });
                break;
            }
            fill([&](std::uint8_t* frame, std::uint32_t n) {
                const std::uint32_t flow = n * factor + offset;
                write_tcp(frame, flow, segment_of(round_, flow), p == 0);
                return kFrameBytes;
            });
            break;
        case Conversation::udp:
            fill([&](std::uint8_t* frame, std::uint32_t n) {
                write_udp(frame, n * factor + offset);
                return kFrameBytes;
            });
            break;
        case Conversation::lives:
            fill([&](std::uint8_t* frame, std::uint32_t n) {
                const Turn turn = turn_of(n, p);
                write_tcp(frame, turn.flow, life_segment(turn.step, turn.flow), p == 0);
                begun_ += turn.step == 0 ? 1 : 0;
                return kFrameBytes;
            });
            break;
    }
    made_ += room;
    return room;
}

std::size_t MemorySource::send(PortIndex, std::span<const Packet> packets) noexcept {
    release(packets);
    sent_ += packets.size();
    return packets.size();
}

void MemorySource::release(std::span<const Packet> packets) noexcept { free_mbufs(packets); }

bool MemorySource::allocate(std::uint32_t bytes, Packet& out) noexcept {
    return allocate_from(config_.pool, bytes, out);
}

}  // namespace sluice::dp
