/// The bench's two ports in memory: a PacketIo that makes packets on the worker's own core and takes back what is sent.
/// Real mbufs from a real pool, real frames; only the device is missing. It has the place that DpdkIo has in the
/// product.
///
/// Theory of operation. Time goes in rounds; in a round every flow speaks once (conversation.hpp says what), in an
/// order of its own (permutation.hpp). Clients send through port 0, servers through port 1, and no round begins before
/// the last one has been fetched from both. Everything in a frame follows from round and flow number, so that the
/// source itself misses the cache only where a frame goes. What making the frames costs is measured beside the worker.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "dataplane/pipeline/packet.hpp"
#include "dataplane/port/conversation.hpp"
#include "dataplane/port/packet_source.hpp"
#include "dataplane/port/permutation.hpp"

struct rte_mempool;

namespace sluice::dp {

/// Where a flow goes and the network that it comes from: flow f belongs to target f % count and is the f / count-th
/// there. Host order.
struct FlowTarget {
    std::uint32_t src_net{};  ///< the low kSourceBits bits count flows
    std::uint32_t dst{};
    std::uint16_t dport{};
};

enum class Conversation : std::uint8_t {
    tcp,  ///< handshake, then data both ways
    udp,  ///< clients only: one datagram in each round, so that round 0 is first packets only
    /// Connections that come and go, each of kLifeSteps segments and with ends of its own. `flow_count` of them are
    /// under way at a time, an eighth at each step; a new one begins in the round after the last one's end.
    lives,
};

struct MemorySourceConfig {
    rte_mempool* pool{};  ///< of this core alone
    Conversation conversation{};
    std::uint32_t flow_count{};                    ///< a multiple of kFlowStep
    std::span<const FlowTarget> targets;           ///< not empty, no two alike; outlives the source
    std::span<const std::uint16_t> frame_bytes{};  ///< tcp: of flow f, [f % count]; at least 60; empty: all have 60
    bool marked_good{true};                        ///< as a NIC does that verifies checksums; they are right either way
    std::uint64_t seed{1};
};

class MemorySource final : public PacketSource {
public:
    static constexpr PortIndex kClients{0}, kServers{1};
    static constexpr std::uint32_t kFrameBytes = 60;           ///< 64 with the frame check sequence
    static constexpr std::uint32_t kFlowStep = 2 * kBurstMax;  ///< bursts are full at a round's end too
    static constexpr std::uint32_t kSourceBits = 8;            ///< a target's clients stand in one /24
    static constexpr std::uint32_t kSportFirst = 1024;
    static constexpr std::uint32_t kPerTargetMax = (65'536 - kSportFirst) << kSourceBits;

    explicit MemorySource(const MemorySourceConfig& config) noexcept;

    std::size_t receive(PortIndex port, std::span<Packet> out) noexcept override;
    std::size_t send(PortIndex port, std::span<const Packet> packets) noexcept override;
    void release(std::span<const Packet> packets) noexcept override;
    bool allocate(std::uint32_t bytes, Packet& out) noexcept override;
    bool link_up(PortIndex) const noexcept override { return true; }

    std::uint64_t round() const noexcept { return round_; }
    std::uint64_t begun() const noexcept { return begun_; }  ///< lives: connections whose SYN was given to the worker
    std::uint64_t made() const noexcept override { return made_; }
    std::uint64_t sent() const noexcept override { return sent_; }
    std::uint64_t starved() const noexcept override { return starved_; }

private:
    struct Tuple {
        std::uint32_t client, server;  ///< addresses, host order
        std::uint16_t sport, dport;
    };
    /// What both ends' frames have in common, and its part of the two checksums.
    struct alignas(64) Template {
        std::array<std::uint8_t, 64> bytes{};
        std::uint32_t ip_sum{}, l4_sum{};
    };

    static Template make_template(bool from_client, std::uint8_t proto) noexcept;
    void begin_round() noexcept;
    void begin_round_of_lives(std::uint64_t key) noexcept;
    /// Number n of port p's order in this round: whose turn it is.
    struct Turn {
        std::uint32_t flow, step;
    };
    Turn turn_of(std::uint32_t n, std::size_t p) const noexcept;
    Tuple tuple_of(std::uint32_t flow) const noexcept;
    [[gnu::always_inline]] void write_tcp(std::uint8_t* frame, std::uint32_t flow, ConversationSegment segment,
                                          bool from_client) const noexcept;
    void write_udp(std::uint8_t* frame, std::uint32_t flow) const noexcept;
    std::uint32_t write_frame(std::uint8_t* frame, const Tuple& tuple, bool from_client,
                              std::uint32_t ip_bytes) const noexcept;

    MemorySourceConfig config_;
    std::uint64_t target_magic_{};       ///< 2^64 / target count, rounded up: division without dividing
    std::array<Template, 2> templates_;  ///< by port
    std::array<Permutation, 2> order_;
    std::array<std::uint32_t, 2> flow_factor_{}, flow_offset_{};
    std::array<std::array<std::uint8_t, kLifeSteps>, 2> steps_{};  ///< lives: that are taken in this round
    std::array<std::uint32_t, 2> step_count_{};
    std::uint64_t round_{};
    std::uint64_t made_{}, sent_{}, starved_{}, begun_{};
};

}  // namespace sluice::dp
