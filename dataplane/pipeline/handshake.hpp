/// What handshakes ask of a flow that its hot line has no room for: SYNs of a connection that is to come, and SYN-ACKs
/// with two numbers (flow/segments_beside.hpp). None of it is asked about a packet of a flow that is merely open.
#pragma once

#include <cstddef>

#include <sluice/abi/telemetry.hpp>

#include "dataplane/flow/tcp_state.hpp"
#include "dataplane/pipeline/burst.hpp"
#include "dataplane/pipeline/flow_book.hpp"
#include "dataplane/pipeline/parsed_packet.hpp"
#include "dataplane/pipeline/rule_meter.hpp"

namespace sluice::dp {

/// Of a flow with translated numbers the entry speaks as the server does.
TcpSegment segment_at_server(const ParsedPacket& p, FlowHandle h, Direction from, const FlowBook& flows) noexcept;

/// tcp_advance(), and what it needs to know of a handshake in which the reply side has named two numbers.
TcpResult advance(FlowHandle h, Direction from, const TcpSegment& s, FlowBook& flows) noexcept;

/// The peer agrees to the SYN that passed while the flow was alive (CASES D2, T9): the flow begins anew with that SYN.
void renew_if_answered(const Burst& burst, std::size_t i, FlowHandle h, Direction from, FlowBook& flows,
                       RuleMeter& rules, abi::WorkerCounters& counters) noexcept;

/// The peer refuses the SYN that passed although it was not the flow's. Its sender must hear that and then has given up
/// (RFC 9293 section 3.10.7.3), so the SYN is to be forgotten; the flow goes on: had the SYN been forged, the peer
/// would have known the connection and not refused it.
bool refuses_late_syn(const ParsedPacket& p, FlowHandle h, Direction from, FlowBook& flows) noexcept;

}  // namespace sluice::dp
