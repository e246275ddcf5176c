/// Finds each packet's flow. Packets of live flows that the current policy has judged are decided here and skip two
/// stages; all others wait, with a question for `classify` where the policy must speak, and are decided by `admit` in
/// the order of arrival. (A flow that the burst's first packet opens must be there for its second.)
#pragma once

#include "dataplane/flow/tcp_state.hpp"
#include "dataplane/pipeline/burst.hpp"
#include "dataplane/pipeline/flow_book.hpp"
#include "dataplane/pipeline/rule_meter.hpp"

namespace sluice::dp {

void track(Burst& burst, FlowBook& flows, RuleMeter& rules, abi::WorkerCounters& counters) noexcept;

/// The flow of packet i as the table knows it now.
inline FlowHandle find_flow(const Burst& burst, std::size_t i, const FlowTable& table) noexcept {
    const Tracked& t = burst.tracked[i];
    return burst.parsed[i].family == abi::IpFamily::v6 ? table.find(t.v6, t.hash) : table.find(t.v4, t.hash);
}

/// Packet i belongs to flow h, which the current policy allows: the zone it came from, the protocol's state, counters,
/// and the packet's fate. False: the packet may open a new flow in the place of this one, which stays as it is until
/// the policy has allowed that; the packet is still undecided.
bool follow_flow(Burst& burst, std::size_t i, FlowHandle h, FlowBook& flows, RuleMeter& rules,
                 abi::WorkerCounters& counters) noexcept;

/// Packet i, a usual one (usual.hpp), becomes as any other, for those who need to know more of it.
void look_closer(Burst& burst, std::size_t i) noexcept;

/// As follow_flow, of a usual packet. False: it does not just pass, and nothing has changed.
bool follow_as_usual(Burst& burst, std::size_t i, FlowHandle h, FlowBook& flows, RuleMeter& rules,
                     abi::WorkerCounters& counters) noexcept;

/// Both ends are done with it, or a RST or ABORT was: the entry stays for stragglers.
constexpr bool is_over(FlowPhase phase) noexcept {
    return phase == FlowPhase::time_wait || phase == FlowPhase::closed || phase == FlowPhase::sctp_closed;
}

/// Packet i belongs to a flow that is over, and its sender does not know: dropped, and answered if that may be; in TCP
/// both ends hear of it, elsewhere each end once. False: it begins a new conversation, and the mark is gone.
bool follow_marked(Burst& burst, std::size_t i, FlowHandle h, FlowBook& flows) noexcept;

/// Packet i is an ICMP error about flow h: it passes to whoever sent the packet that it quotes, if that can be true.
void follow_related(Burst& burst, std::size_t i, FlowHandle h, FlowBook& flows, RuleMeter& rules,
                    abi::WorkerCounters& counters) noexcept;

/// Packet i may be the first of a flow; of TCP and SCTP that is a certain kind of segment.
bool opens_flow(const Burst& burst, std::size_t i) noexcept;

/// A flow in mid-stream may be taken up from packet i (CASES D5).
bool picks_up_flow(const Burst& burst, std::size_t i) noexcept;

/// Fills the entry of packet i's new flow.
void fill_flow(const Burst& burst, std::size_t i, bool pickup, FlowHot& flow) noexcept;

/// What `classify` is to be asked about packet i as the first of a flow.
LookupKey own_question(const Burst& burst, std::size_t i) noexcept;

/// A TCP packet as the state machine wants it.
TcpSegment tcp_segment(const ParsedPacket& p) noexcept;

/// The phase in which a flow of this kind starts.
FlowPhase first_phase(TrackKind kind) noexcept;

}  // namespace sluice::dp
