/// Sequence numbers, acknowledgements and windows of one TCP flow, as somebody between the two ends can know them.
///
/// After van Rooij, "Real stateful TCP packet filtering in IP Filter" (2001), in the variables of RFC 9293 and RFC
/// 5961. Of each side the flow keeps
///     seq_end      the number behind the last that it has sent                                (its SND.NXT)
///     seq_acked    the highest acknowledgement that the other side has sent for it            (its SND.UNA)
///     window_max   the largest window that it has offered, in units of 2^scale                (the other's
///     MAX.SND.WND)
/// Between the ends one can't know which acknowledgements the sender has seen, so a segment is measured against the
/// largest window that the other side ever offered, from the last acknowledgement on. With W for that window in bytes:
///     acked - history <= end of segment <= acked + W     what a TCP may send; history: below
///                                       <= acked + 2 W   passes and is counted: one window more (CASES D11)
///     acked(other) - history(other) <= ack <= end(other) RFC 5961 section 5.2
/// History is what may be sent again although we have seen it acknowledged, because the acknowledgement was lost behind
/// us: a sender lags by one window at most, so W, and never less than kHistoryBytesMin (CASES T18).
///
/// A scaled window is below 2^30 (RFC 7323 section 2.3), so all spans above fit into 32 bits and every comparison is
/// one subtraction and one unsigned compare, also across the wrap (CASES T23).
#pragma once

#include <algorithm>
#include <cstdint>

#include "dataplane/flow/flow_entry.hpp"

namespace sluice::dp {

/// Two of the largest windows without scaling, and a little: 66,000 is what other trackers take for one.
inline constexpr std::uint32_t kHistoryBytesMin = 2 * 66'000;

/// RFC 7323 section 2.3.
inline constexpr std::uint32_t kWindowBytesMax = 1U << 30;

/// In FlowHot::window_scales, per side: not offered (while the flow opens), not known (afterwards).
inline constexpr std::uint8_t kNoScale = 0x0f;

/// a is beyond b on the circle of sequence numbers.
constexpr bool beyond(std::uint32_t a, std::uint32_t b) noexcept { return static_cast<std::int32_t>(a - b) > 0; }

constexpr bool is_opening(FlowPhase phase) noexcept { return phase <= FlowPhase::syn_received; }

constexpr std::uint8_t window_scale(const FlowHot& flow, Direction d) noexcept {
    return (flow.window_scales >> (4 * index(d))) & 0x0f;
}
constexpr void set_window_scale(FlowHot& flow, Direction d, std::uint8_t scale) noexcept {
    const unsigned shift = 4U * static_cast<unsigned>(index(d));
    flow.window_scales = static_cast<std::uint8_t>((flow.window_scales & ~(0x0fU << shift)) | (scale & 0x0fU) << shift);
}

/// The largest window that a side has offered, in bytes, and never none: a closed window lets a probe pass (RFC 9293
/// section 3.8.6.1). While the flow opens, windows are kept as bytes: a SYN's is never scaled.
constexpr std::uint32_t window_bytes(const FlowHot& flow, Direction d) noexcept {
    const std::uint32_t units = std::max<std::uint32_t>(flow.window_max[index(d)], 1);
    return is_opening(flow.phase) ? units : units << window_scale(flow, d);
}

enum class WindowFit : std::uint8_t {
    fits,
    overshoots,  ///< by less than one more window
    out_of_window,
    bad_ack,  ///< acknowledges what was never sent, or what is too long ago
};

/// A segment from `from` that ends before `end` and acknowledges `ack`. `offered_from` and `offered_peer`: window_bytes
/// of both sides.
constexpr WindowFit window_fit(const FlowHot& flow, Direction from, std::uint32_t end, std::uint32_t ack,
                               std::uint32_t offered_from, std::uint32_t offered_peer) noexcept {
    const std::size_t me = index(from), peer = index(opposite(from));
    const std::uint32_t history = std::max(offered_peer, kHistoryBytesMin);
    const std::uint32_t at = end - flow.seq_acked[me] + history;
    if (at > history + 2 * offered_peer) return WindowFit::out_of_window;
    const std::uint32_t ack_history = std::max(offered_from, kHistoryBytesMin);
    const std::uint32_t ack_at = ack - flow.seq_acked[peer] + ack_history;
    if (ack_at > ack_history + (flow.seq_end[peer] - flow.seq_acked[peer])) return WindowFit::bad_ack;
    return at > history + offered_peer ? WindowFit::overshoots : WindowFit::fits;
}

/// What the segment tells. `window` is in the unit in which the side's are kept.
constexpr void window_learn(FlowHot& flow, Direction from, std::uint32_t end, std::uint32_t ack,
                            std::uint16_t window) noexcept {
    const std::size_t me = index(from), peer = index(opposite(from));
    // Both counted from the acknowledgement: with the largest windows, history and what is ahead are more than half a
    // circle apart.
    const std::uint32_t ahead = end - flow.seq_acked[me];
    if (beyond(end, flow.seq_acked[me]) && ahead > flow.seq_end[me] - flow.seq_acked[me]) flow.seq_end[me] = end;
    if (beyond(ack, flow.seq_acked[peer])) flow.seq_acked[peer] = ack;
    flow.window_max[me] = std::max(flow.window_max[me], window);
}

/// The usual segment, straight on: ACK or data of a plain established flow (FlowHot::is_plain), and it fits. True: the
/// flow has learned from it and is refreshed, nothing else is to be done. False: nothing was written, the state machine
/// has to look at it (tcp_state.hpp). `flags`, `seq`, `ack`, `window` are the segment's, as sent.
inline bool tcp_goes_straight_on(FlowHot& flow, Direction from, std::uint8_t flags, std::uint32_t seq,
                                 std::uint32_t ack, std::uint32_t payload_bytes, std::uint16_t window) noexcept {
    constexpr std::uint8_t kFinSynRst = 0x07;
    if (flow.phase != FlowPhase::established || (flags & kFinSynRst) != 0 || !flow.is_plain()) return false;
    const Direction peer = opposite(from);
    const std::uint32_t offered_from = std::uint32_t{flow.window_max[index(from)]} << window_scale(flow, from);
    const std::uint32_t offered_peer = std::uint32_t{flow.window_max[index(peer)]} << window_scale(flow, peer);
    const std::uint32_t end = seq + payload_bytes;
    if (window_fit(flow, from, end, ack, offered_from, offered_peer) != WindowFit::fits) return false;
    window_learn(flow, from, end, ack, window);
    return true;
}

}  // namespace sluice::dp
