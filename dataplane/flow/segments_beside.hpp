/// TCP segments that a flow must remember and has no room for in its hot line. They are rare: so a small table beside
/// the flows, one place per flow. Who floods it makes others wait for the next repetition of what they sent, a second
/// or three. There are two such tables:
///
/// Late SYNs passed while their flow was alive. If the peer knows nothing of the old connection any more it answers
/// with a SYN-ACK, and the flow begins anew; if it does, it sends a challenge ACK (RFC 5961 section 4) and nothing
/// happens (CASES D2).
///
/// First SYN-ACKs were followed by one with another number before anybody acknowledged either: a server that keeps
/// nothing until then (SYN cookies) answers a repeated SYN so, and so does who forges one. The opener goes on with the
/// one that reached it, mostly the first, and only its acknowledgement tells which.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "dataplane/flow/flow_table.hpp"
#include "dataplane/flow/tcp_state.hpp"

namespace sluice::dp {

class SegmentsBeside {
public:
    /// The newest wins, of one flow and of several with one place.
    void keep(FlowHandle flow, const TcpSegment& segment) noexcept { place(flow) = {flow, segment}; }
    /// The oldest of one flow wins.
    void keep_first(FlowHandle flow, const TcpSegment& segment) noexcept {
        if (Entry& e = place(flow); e.flow != flow) e = {flow, segment};
    }
    /// nullptr: none, or another flow's has taken its place.
    TcpSegment* find(FlowHandle flow) noexcept {
        Entry& e = place(flow);
        return e.flow == flow ? &e.segment : nullptr;
    }
    /// The flow is over; its handle will be another's.
    void forget(FlowHandle flow) noexcept {
        if (Entry& e = place(flow); e.flow == flow) e.flow = kNoFlow;
    }

private:
    static constexpr std::size_t kPlaces = 1024;  ///< a power of two; 24 KiB
    struct Entry {
        FlowHandle flow{kNoFlow};
        TcpSegment segment{};
    };
    Entry& place(FlowHandle flow) noexcept { return entries_[static_cast<std::size_t>(flow) & (kPlaces - 1)]; }

    std::array<Entry, kPlaces> entries_{};
};

}  // namespace sluice::dp
