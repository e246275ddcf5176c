/// The TCP state machine of a firewall in the middle: phase x direction x kind of segment gives the next phase, a check
/// that must hold for it, or a drop reason (RFC 9293 seen from between the two ends). Neighbour: tcp_window.hpp, the
/// arithmetic of sequence numbers and windows, which most cells ask.
///
/// Decided cases. A RST closes only with exactly the number that the receiver waits for (RFC 5961 section 3.2); one
/// that is merely in the window passes and changes nothing (CASES D1). A SYN from the original side on a live flow
/// passes and changes nothing until the peer agrees with a SYN-ACK (D2: `syn_on_live`, tcp_answers); so does a second
/// one with another number before the peer has said anything, as one of the two is forged, or the first is given up.
/// A peer that names a second number before its first is acknowledged may mean either: the worker remembers the other
/// (segments_beside.hpp) and asks again with it.
/// Nothing but a SYN gets through a flow that a RST has closed (D3). Simultaneous open works and the roles stay as the
/// first SYN set them (D12).
///
/// What strictness costs nobody stays whatever `seq_check` says: the handshake. `seq_check` rules over windows,
/// acknowledgements and RSTs of flows behind it.
#pragma once

#include <cstdint>

#include <sluice/abi/drop_reasons.hpp>
#include <sluice/abi/tables.hpp>

#include "dataplane/flow/flow_entry.hpp"

namespace sluice::dp {

struct TcpSegment {
    std::uint8_t flags{};
    std::uint32_t seq{}, ack{};  ///< host order
    std::uint32_t payload_bytes{};
    std::uint16_t window{};     ///< as sent, not scaled
    std::uint8_t wscale{0xff};  ///< of a SYN; 0xff = absent, else at most 14
};

/// Sequence number behind the segment: SYN and FIN take one number each.
constexpr std::uint32_t tcp_end(const TcpSegment& s) noexcept {
    return s.seq + s.payload_bytes + ((s.flags >> 1) & 1U) + (s.flags & 1U);
}

/// A segment that may open a flow: SYN without ACK, RST and FIN; PSH, URG, ECE and CWR may stand beside it (CASES T2).
bool tcp_opens(std::uint8_t flags) noexcept;

/// A segment from which a flow in mid-stream may be picked up (CASES D5, T5): neither SYN, FIN nor RST.
bool tcp_picks_up(std::uint8_t flags) noexcept;

enum class TcpOutcome : std::uint8_t {
    pass,
    drop,
    reopen,  ///< the old flow is over; treat the segment as the first of a new one
};

/// What a segment that passes is to be counted as. Bits of TcpResult::notes.
namespace tcp_note {
inline constexpr std::uint8_t overshoot = 0x01;       ///< beyond the window by less than another (D11)
inline constexpr std::uint8_t inexact_rst = 0x02;     ///< in the window, no effect (D1)
inline constexpr std::uint8_t window_unknown = 0x04;  ///< not checked: the handshake was not seen (T22)
inline constexpr std::uint8_t violation = 0x08;       ///< `seq_check: log` let it pass; `reason` says what is wrong
/// A SYN that is not the flow's, to be kept until the peer answers it or the flow ends (D2).
inline constexpr std::uint8_t syn_on_live = 0x10;
}  // namespace tcp_note

struct TcpResult {
    TcpOutcome outcome{};
    FlowPhase next{};          ///< with `pass`
    abi::DropReason reason{};  ///< with `drop`, and with tcp_note::violation
    bool refreshes{true};      ///< with `pass`: counts as a sign of life
    std::uint8_t notes{};      ///< with `pass`: tcp_note
};

/// What the segment does to the flow. Writes sequence numbers, windows and FIN flags of a segment that passes; the
/// phase is the caller's to store, because its timeout hangs on it. Precondition: the flags are legal (tcp_flags.hpp).
TcpResult tcp_advance(FlowHot& flow, Direction from, const TcpSegment& segment, abi::SeqCheck check) noexcept;

/// Fills a new entry from its first SYN; the phase is syn_sent.
void tcp_open(FlowHot& flow, const TcpSegment& syn) noexcept;

/// Fills a new entry from the middle of a flow, sent by the original side; the phase is established. How the windows
/// are scaled stays unknown.
void tcp_pick_up(FlowHot& flow, const TcpSegment& segment) noexcept;

/// The reply side's own start as the flow knows it, while it opens: the SYN-ACK (or the SYN, where they crossed) that
/// another one with another number is about to replace. The window is in bytes.
TcpSegment tcp_reply_start(const FlowHot& flow) noexcept;

/// The reply side starts as it did in `start`, which tcp_reply_start() has told. Precondition: the flow opens.
void tcp_restart_reply(FlowHot& flow, const TcpSegment& start) noexcept;

/// `segment` is the SYN-ACK to `syn`: the peer agrees to begin anew.
bool tcp_answers(const TcpSegment& syn, const TcpSegment& segment) noexcept;

/// `syn_ack`, of the reply side, belongs to the handshake that the flow counts from: it answers its SYN, or is its own
/// answer come again. Then it agrees to nothing new, although it answers `syn`, which has passed since.
///
/// A known gap: a new connection whose numbers on both sides are some that the old one has used, and that scales its
/// windows as the old one did, is taken for a repetition. It goes on in the old flow, with numbers that this has seen
/// and with its largest windows.
bool tcp_is_of_this_handshake(const FlowHot& flow, const TcpSegment& syn, const TcpSegment& syn_ack) noexcept;

/// `segment` is the RST to `syn` (RFC 9293 section 3.10.7.1): nobody listens.
bool tcp_refuses(const TcpSegment& syn, const TcpSegment& segment) noexcept;

/// A segment that `sender` may still have in flight begins with this number: what an ICMP error quotes (RFC 5927
/// section 4.1). True too where it can't be told: windows not known, or a flow that a RST has closed.
bool tcp_may_be_in_flight(const FlowHot& flow, Direction sender, std::uint32_t seq) noexcept;

}  // namespace sluice::dp
