/// The part of `track` that decides nothing: it asks for the memory that a burst's flows stand in, a step ahead of who
/// reads it, so that the cache misses of many packets overlap.
///
/// Buckets of the index are asked for while the packets behind are still being identified; then entries, which the
/// buckets name; then, where flows begin and end, what else a turn of theirs writes (eviction.hpp). That last step
/// costs every packet a look at its entry, so it is left out as long as all packets just pass (Burst::turns_flows).
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/flow/flow_table.hpp"
#include "dataplane/pipeline/burst.hpp"

namespace sluice::dp {

inline constexpr std::size_t kGroupPackets = 8;

/// Packets [first, last) of a burst.
struct Group {
    std::size_t first, last;
};
/// Behind the burst's end: none.
inline Group group_at(const Burst& burst, std::size_t at) noexcept {
    return {std::min(at, burst.count), std::min(at + kGroupPackets, burst.count)};
}

/// Room for keys that are written before they are read: a burst need not pay for zeroes.
template <typename Key>
union KeyRoom {
    KeyRoom() noexcept {}
    std::array<Key, kGroupPackets> keys;
};

/// Hashes all keys of one family together and asks for their buckets.
template <typename Key>
void hash_family(Burst& burst, Group g, abi::IpFamily family, Key Tracked::*member, const FlowTable& table) noexcept {
    KeyRoom<Key> room;
    std::array<std::uint64_t, kGroupPackets> hashes;
    std::array<std::uint8_t, kGroupPackets> whose;
    std::size_t count = 0;
    for (std::size_t i = g.first; i < g.last; ++i) {
        if (burst.tracked[i].kind == TrackKind::none || burst.parsed[i].family != family) continue;
        room.keys[count] = burst.tracked[i].*member;
        whose[count++] = static_cast<std::uint8_t>(i);
    }
    if (count == 0) return;
    table.hasher().hash(std::span<const Key>{room.keys.data(), count}, hashes.data());
    for (std::size_t k = 0; k < count; ++k) {
        burst.tracked[whose[k]].hash = hashes[k];
        table.prefetch_bucket(hashes[k]);
    }
}

inline void hash_usual(UsualPackets& usual, Group g, const FlowTable& table) noexcept {
    table.hasher().hash(std::span<const FlowKeyV4>{usual.key.data() + g.first, g.last - g.first},
                        usual.hash.data() + g.first);
    for (std::size_t i = g.first; i < g.last; ++i) table.prefetch_bucket(usual.hash[i]);
}

// Always inlined, as what it calls (flow_table.hpp).
[[gnu::always_inline]] inline void prefetch_entries(Burst& burst, Group g, const FlowTable& table) noexcept {
    for (std::size_t i = g.first; i < g.last; ++i) {
        if (burst.usual.has(i)) {
            burst.likely[i] = table.prefetch_entry(burst.usual.hash[i]);
        } else {
            const bool is_tracked = burst.tracked[i].kind != TrackKind::none;
            burst.likely[i] = is_tracked ? table.prefetch_entry(burst.tracked[i].hash) : kNoFlow;
        }
    }
}

/// Whether a flow in this phase goes on for long: hardly a packet turns it.
constexpr bool is_steady(FlowPhase phase) noexcept {
    return phase == FlowPhase::established || phase == FlowPhase::udp_stream;
}

/// Asks for what the packets of a group write beside their flows' entries, which are there by now. Returns those that
/// may take their flow out of a queue, a bit each.
[[gnu::always_inline]] inline std::uint32_t prefetch_turns(const Burst& burst, Group g,
                                                           const FlowTable& table) noexcept {
    std::uint32_t turning = 0;
    for (std::size_t i = g.first; i < g.last; ++i) {
        const FlowHandle likely = burst.likely[i];
        if (likely == kNoFlow) continue;
        if (!is_steady(table.hot(likely).phase)) [[unlikely]] {
            table.prefetch_queue(likely);
            turning |= std::uint32_t{1} << i;
        } else if (burst.usual.has(i) && (burst.usual.segment[i].flags & tcp_flag::fin) != 0) [[unlikely]] {
            table.prefetch_deadline(likely);
        }
    }
    return turning;
}
inline void prefetch_leaves(const Burst& burst, std::uint32_t turning, const FlowTable& table) noexcept {
    for (; turning != 0; turning &= turning - 1) table.prefetch_leave(burst.likely[std::countr_zero(turning)]);
}

}  // namespace sluice::dp
