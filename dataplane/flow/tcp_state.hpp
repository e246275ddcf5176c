/// The TCP state machine of a firewall in the middle: phase x direction x kind of segment gives the next phase or a
/// drop reason (RFC 9293 seen from between the two ends). Sequence numbers are looked at only where the handshake and
/// the close need them; the window checks come on top of this and refine `established` and RSTs.
///
/// Decided cases: a SYN from the client on a live flow passes and changes nothing until the peer agrees (CASES D2),
/// nothing but a SYN gets through a flow that a RST has closed (D3), simultaneous open works and the roles stay as the
/// first SYN set them (D12).
#pragma once

#include <cstdint>

#include <sluice/abi/drop_reasons.hpp>

#include "dataplane/flow/flow_entry.hpp"

namespace sluice::dp {

struct TcpSegment {
    std::uint8_t flags{};
    std::uint32_t seq{}, ack{};  ///< host order
    std::uint32_t payload_bytes{};
};

/// Sequence number behind the segment: SYN and FIN take one number each.
std::uint32_t tcp_end(const TcpSegment& segment) noexcept;

/// A segment that may open a flow: SYN without ACK, RST and FIN; PSH, URG, ECE and CWR may stand beside it (CASES T2).
bool tcp_opens(std::uint8_t flags) noexcept;

enum class TcpOutcome : std::uint8_t {
    pass,
    drop,
    reopen,  ///< the old flow is over; treat the segment as the first of a new one
};

struct TcpResult {
    TcpOutcome outcome{};
    abi::DropReason reason{};  ///< with `drop`
    FlowPhase next{};          ///< with `pass`
    bool refreshes{true};      ///< with `pass`: counts as a sign of life
};

/// What the segment does to the flow. Writes sequence numbers and FIN flags of a segment that passes; the phase is the
/// caller's to store, because its timeout hangs on it. Precondition: the flags are legal (tcp_flags.hpp).
TcpResult tcp_advance(FlowHot& flow, Direction from, const TcpSegment& segment) noexcept;

/// Fills a new entry from its first SYN; the phase is syn_sent.
void tcp_open(FlowHot& flow, const TcpSegment& syn) noexcept;

}  // namespace sluice::dp
