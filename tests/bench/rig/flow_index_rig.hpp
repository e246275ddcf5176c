/// Keys of flows, and our flow table as a worker uses it (dataplane/pipeline/track_ahead.hpp): a batch is hashed a
/// group at a time, its lines are asked for, and each flow's record is written.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include "dataplane/flow/flow_table.hpp"
#include "dataplane/pipeline/packet.hpp"
#include "dataplane/pipeline/track_ahead.hpp"
#include "dataplane/port/permutation.hpp"

namespace sluice::bench {

inline constexpr std::size_t kIndexBatch = dp::kBurstMax;
inline constexpr std::uint32_t kIndexFrameBytes = 64;
inline constexpr dp::HashSecret kIndexSecret{0x243f6a8885a308d3, 0x13198a2e03707344};

inline dp::FlowKeyV4 index_key(std::uint32_t flow) noexcept {
    dp::FlowKeyV4 key{};
    key.low_addr = abi::Ipv4Addr::of_host(10U << 24 | (flow & 0xffffff));
    key.high_addr = abi::Ipv4Addr::of_host(198U << 24 | 18U << 16 | (flow * 0x9e3779b1U >> 16));
    key.low_port = abi::L4Port::of_host(static_cast<std::uint16_t>(1024 + (flow >> 24)));
    key.high_port = abi::L4Port::of_host(443);
    key.proto = abi::L4Proto::tcp;
    return key;
}

/// Flow numbers batch by batch, round after round, in an order without locality.
class IndexWalk {
public:
    IndexWalk(std::uint32_t flows, std::uint64_t seed) noexcept : flows_{flows}, seed_{seed} {}
    std::size_t next(std::span<std::uint32_t, kIndexBatch> numbers) noexcept {
        if (order_.left() == 0) order_ = dp::Permutation{flows_, seed_++ * 0x9e3779b97f4a7c15};
        return order_.next(numbers);
    }

private:
    std::uint32_t flows_;
    std::uint64_t seed_;
    dp::Permutation order_;
};

struct OurIndex {
    dp::FlowTable table;
    std::uint64_t missed{};
    std::uint32_t tick{1};

    explicit OurIndex(std::uint32_t flows)
        : table{{.entries_max = flows, .v6_entries_max = 0, .hash_secret = kIndexSecret}} {}

    bool add(const dp::FlowKeyV4& key, std::uint64_t hash) noexcept {
        const dp::FlowHandle h = table.insert(key, hash, tick);
        if (h == dp::kNoFlow) return false;
        table.set_phase(h, dp::FlowPhase::established, tick);
        return true;
    }
    void batch(std::span<const dp::FlowKeyV4> keys) noexcept {
        std::array<std::uint64_t, kIndexBatch> hashes;
        std::array<dp::FlowHandle, kIndexBatch> likely;
        for (std::size_t at = 0; at < keys.size(); at += dp::kGroupPackets) {
            const std::size_t end = std::min(at + dp::kGroupPackets, keys.size());
            table.hasher().hash(keys.subspan(at, end - at), hashes.data() + at);
            for (std::size_t i = at; i < end; ++i) table.prefetch_bucket(hashes[i]);
        }
        for (std::size_t i = 0; i < keys.size(); ++i) likely[i] = table.prefetch_entry(hashes[i]);
        ++tick;
        for (std::size_t i = 0; i < keys.size(); ++i) {
            const dp::FlowHandle h = table.find_at(likely[i], keys[i], hashes[i]);
            if (h == dp::kNoFlow) {
                ++missed;
                continue;
            }
            table.hot(h).last_seen_tick = tick;
            table.count_packet(h, dp::Direction::original, kIndexFrameBytes);
        }
    }
};

}  // namespace sluice::bench
