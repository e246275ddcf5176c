/// Who dies first when a new flow finds no room (CASES X1, D9). Two queues, oldest first: flows that the other side has
/// not agreed to (half-open), and flows that both sides are done with (closing). All others are assured and stand in
/// none: they are never evicted.
///
/// A flow of a protocol without a handshake is half-open until it is answered. One-way streams (syslog, flow exports)
/// stay so for ever; one that dies comes back with its next packet, if its rule still allows it.
///
/// The queues are chained through an array beside the entries, so coming, going and finding the oldest are O(1)
/// whatever a flood does. The order is that of arrival in the queue; a sign of life does not change it: else who sends
/// again and again would outlive who is waiting for an answer.
#pragma once

#include <array>
#include <cstdint>

#include "dataplane/flow/flow_entry.hpp"
#include "dataplane/flow/prefaulted.hpp"

namespace sluice::dp {

enum class Standing : std::uint8_t { half_open = 0, closing = 1, assured = 2 };

constexpr Standing standing(FlowPhase phase) noexcept {
    switch (phase) {
        case FlowPhase::syn_sent:
        case FlowPhase::syn_crossed:
        case FlowPhase::syn_acked_ahead:
        case FlowPhase::syn_received:
        case FlowPhase::udp_oneway:
        case FlowPhase::icmp_oneway:
        case FlowPhase::other_oneway:
        case FlowPhase::sctp_init:
        case FlowPhase::sctp_init_acked:
        case FlowPhase::sctp_cookie_echoed: return Standing::half_open;
        case FlowPhase::closing:
        case FlowPhase::time_wait:
        case FlowPhase::closed:
        case FlowPhase::sctp_shutdown:  // no new data from either user, and soon over
        case FlowPhase::sctp_closed: return Standing::closing;
        case FlowPhase::free:
        case FlowPhase::established:
        case FlowPhase::fin_wait_original:  // half closed: the other side may go on sending for hours
        case FlowPhase::fin_wait_reply:
        case FlowPhase::udp_stream:
        case FlowPhase::icmp_answered:
        case FlowPhase::other_stream:
        case FlowPhase::sctp_established: break;
    }
    return Standing::assured;
}
/// What is only a mark is over, whatever it was.
inline Standing standing(const FlowHot& flow) noexcept {
    return flow.marked() ? Standing::closing : standing(flow.phase);
}

class EvictionQueues {
public:
    static constexpr std::uint32_t kNobody = 0xffffffff;

    explicit EvictionQueues(std::uint32_t entries) noexcept : links_{entries} {}

    std::uint32_t count(Standing queue) const noexcept { return queues_[index(queue)].count; }
    std::uint32_t oldest(Standing queue) const noexcept { return queues_[index(queue)].oldest; }
    std::size_t bytes() const noexcept { return links_.bytes(); }

    [[gnu::always_inline]] void prefetch(std::uint32_t entry) const noexcept { __builtin_prefetch(&links_[entry], 1); }
    /// What leaving touches beside the entry's own link, which is read here. The entry stands in a queue.
    [[gnu::always_inline]] void prefetch_neighbours(std::uint32_t entry) const noexcept {
        const Link link = links_[entry];
        if (link.older != kNobody) __builtin_prefetch(&links_[link.older], 1);
        if (link.newer != kNobody) __builtin_prefetch(&links_[link.newer], 1);
    }
    void move(std::uint32_t entry, Standing from, Standing to) noexcept {
        if (from == to) return;
        if (from != Standing::assured) leave(entry, queues_[index(from)]);
        if (to != Standing::assured) join(entry, queues_[index(to)]);
    }

private:
    struct Link {
        std::uint32_t older, newer;
    };
    struct Queue {
        std::uint32_t oldest{kNobody}, newest{kNobody}, count{};
    };
    static constexpr std::size_t index(Standing queue) noexcept { return static_cast<std::size_t>(queue); }

    void join(std::uint32_t entry, Queue& queue) noexcept {
        links_[entry] = {queue.newest, kNobody};
        (queue.newest == kNobody ? queue.oldest : links_[queue.newest].newer) = entry;
        queue.newest = entry;
        ++queue.count;
    }
    void leave(std::uint32_t entry, Queue& queue) noexcept {
        const Link link = links_[entry];
        (link.older == kNobody ? queue.oldest : links_[link.older].newer) = link.newer;
        (link.newer == kNobody ? queue.newest : links_[link.newer].older) = link.older;
        --queue.count;
    }

    PrefaultedArray<Link> links_;
    std::array<Queue, 2> queues_{};
};

}  // namespace sluice::dp
