/// The memory in which a worker's flows stand, apart from everything that only finds them. It may belong to the table
/// (then it dies with the process) or to somebody who keeps it beyond the process (manager/flow_memory.hpp); then the
/// next process finds the flows in it, and makes index, deadlines and free lists anew (flow_recovery.hpp).
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include <sluice/abi/layout_hash.hpp>

#include "dataplane/flow/flow_entry.hpp"
#include "dataplane/flow/flow_proxy.hpp"

namespace sluice::dp {

/// Borrowed. `hot` and `cold` are as many, an index names the entry in both; an IPv6 entry names its line in `v6`, an
/// extended one its extension in `proxies`.
struct FlowSlab {
    std::span<FlowHot> hot;
    std::span<FlowV6Line> v6;
    std::span<FlowProxy> proxies;
    std::span<FlowCold> cold;

    /// Unless configured otherwise, a sixteenth of the flows, 4 bytes of each: what SYN cookies begin, and only that,
    /// has translated numbers, until it ends. When all are taken, the oldest that both sides are done with goes for a
    /// new one; where none is, who comes is refused and counted (`syn_proxy_full`).
    static constexpr std::size_t proxy_count(std::size_t entries) noexcept {
        return std::min<std::size_t>((entries + 15) / 16, kExtensionsMax);
    }
    bool empty() const noexcept { return hot.empty(); }
    static constexpr std::size_t bytes(std::size_t entries, std::size_t v6_entries,
                                       std::size_t proxy_entries) noexcept {
        return entries * (sizeof(FlowHot) + sizeof(FlowCold)) + v6_entries * sizeof(FlowV6Line) +
               proxy_entries * sizeof(FlowProxy);
    }
    static constexpr std::size_t bytes(std::size_t entries, std::size_t v6_entries) noexcept {
        return bytes(entries, v6_entries, proxy_count(entries));
    }
    /// `memory`: bytes() of the same numbers of it, aligned to a cache line.
    static FlowSlab at(std::byte* memory, std::size_t entries, std::size_t v6_entries,
                       std::size_t proxy_entries) noexcept {
        auto* const hot = reinterpret_cast<FlowHot*>(memory);
        auto* const v6 = reinterpret_cast<FlowV6Line*>(hot + entries);
        auto* const proxies = reinterpret_cast<FlowProxy*>(v6 + v6_entries);
        return {{hot, entries},
                {v6, v6_entries},
                {proxies, proxy_entries},
                {reinterpret_cast<FlowCold*>(proxies + proxy_entries), entries}};
    }
    static FlowSlab at(std::byte* memory, std::size_t entries, std::size_t v6_entries) noexcept {
        return at(memory, entries, v6_entries, proxy_count(entries));
    }
};

/// What the worker tells its successor, written once a second beside the slab.
struct FlowAnchor {
    /// abi::MonoTime of tick 0, modulo the wrap of ticks: each process measures the clock's rate anew, and one that ran
    /// for months has drifted by seconds.
    std::atomic<std::uint64_t> tick_zero_ns{};
    std::atomic<std::uint64_t> flows{};  ///< about how many; for a successor that can't read the slab
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free, "written by one process, read by the next");

/// The numbers that phases, askers and flags have in an entry.
constexpr std::uint64_t flow_numbers_hash() noexcept {
    using enum FlowPhase;
    std::uint64_t h = kFlowPhaseCount;
    for (const FlowPhase phase :
         {free, syn_sent, syn_crossed, syn_acked_ahead, syn_received, established, fin_wait_original, fin_wait_reply,
          closing, time_wait, closed, udp_oneway, udp_stream, icmp_oneway, icmp_answered, other_oneway, other_stream}) {
        h = abi::fnv1a({h, static_cast<std::uint64_t>(phase)});
    }
    for (const Asker asker :
         {Asker::ports_tell, Asker::low_asks, Asker::high_asks, Asker::low_speaks, Asker::high_speaks}) {
        h = abi::fnv1a({h, static_cast<std::uint64_t>(asker)});
    }
    return abi::fnv1a({h, flow_flag::v6, flow_flag::original_is_low, flow_flag::original_from_high_port,
                       flow_flag::fin_original, flow_flag::fin_reply, flow_flag::fin_acked_original,
                       flow_flag::fin_acked_reply, flow_flag::synced});
}

// clang-format off
/// One number for the form of all that stands in a slab: a process takes over no flows of another form. What it can't
/// see (a key that is put together otherwise, a field that gets another meaning, another count of extensions) raises the
/// number in front.
inline constexpr std::uint64_t kFlowLayoutHash = abi::fnv1a({
    3,
    flow_numbers_hash(),
    SLUICE_LAYOUT(FlowKeyV4, low_addr, high_addr, low_port, high_port, domain, proto, asker),
    SLUICE_LAYOUT(FlowKeyV6, low_addr, high_addr, low_port, high_port, domain, proto, asker),
    SLUICE_LAYOUT(V6KeyRef, line, must_be_zero),
    SLUICE_LAYOUT(FlowHot, v4, v6, seq_end, seq_acked, window_max, last_seen_tick, policy_seq, counters, slot_and_log,
        zone, phase, flags, window_scales, extension),
    SLUICE_LAYOUT(FlowV6Line, key, must_be_zero),
    SLUICE_LAYOUT(FlowProxy, flow, client_isn, cookie, server_isn, ts_promised, ts_shift, client_ts, client_mss,
        syn_window, client_wscale, promised_wscale, server_wscale, flags, client_mac, server_mac, must_be_zero),
    SLUICE_LAYOUT(FlowCold, started_tick, packets, bytes),
    SmallCounters::kPacketBits, SmallCounters::kByteBits,
});
// clang-format on

}  // namespace sluice::dp
