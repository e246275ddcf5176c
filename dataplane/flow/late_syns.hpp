/// SYNs that passed while their flow was alive. If the peer knows nothing of the old connection any more it answers
/// with a SYN-ACK, and the flow begins anew; if it does, it sends a challenge ACK (RFC 5961 section 4) and nothing
/// happens (CASES D2). Nothing of that fits into a flow's hot line, and it is rare: so a small table beside it, one
/// place per flow, the newest wins. Who floods it makes others wait for the next repetition of their SYN, a second or
/// three.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "dataplane/flow/flow_table.hpp"
#include "dataplane/flow/tcp_state.hpp"

namespace sluice::dp {

class LateSyns {
public:
    void keep(FlowHandle flow, const TcpSegment& syn) noexcept { place(flow) = {flow, syn}; }
    /// nullptr: none, or another flow's has taken its place.
    const TcpSegment* find(FlowHandle flow) noexcept {
        const Entry& e = place(flow);
        return e.flow == flow ? &e.syn : nullptr;
    }
    /// The flow is over; its handle will be another's.
    void forget(FlowHandle flow) noexcept {
        if (Entry& e = place(flow); e.flow == flow) e.flow = kNoFlow;
    }

private:
    static constexpr std::size_t kPlaces = 1024;  ///< a power of two; 24 KiB
    struct Entry {
        FlowHandle flow{kNoFlow};
        TcpSegment syn{};
    };
    Entry& place(FlowHandle flow) noexcept { return entries_[static_cast<std::size_t>(flow) & (kPlaces - 1)]; }

    std::array<Entry, kPlaces> entries_{};
};

}  // namespace sluice::dp
