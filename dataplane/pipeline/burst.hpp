/// What one receive returned, and what the stages have found out about it so far. A burst owns its packets: each leaves
/// exactly once, forwarded by `tx`, or dropped with a reason and released by `act` (or by `tx`, if nobody takes it), or
/// held by `reassemble`.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

#include <sluice/abi/drop_reasons.hpp>
#include <sluice/abi/verdict.hpp>

#include "dataplane/acl/lookup.hpp"
#include "dataplane/acl/passed_on.hpp"
#include "dataplane/flow/flow_table.hpp"
#include "dataplane/pipeline/own_segment.hpp"
#include "dataplane/pipeline/packet.hpp"
#include "dataplane/pipeline/parsed_packet.hpp"
#include "dataplane/pipeline/tsc.hpp"
#include "dataplane/pipeline/usual.hpp"
#include "dataplane/pipeline/worker.hpp"

namespace sluice::dp {

/// The loop's time in the units that the stages need; read once.
struct Moment {
    TscTime now{};
    abi::MonoTime mono{};
    std::uint32_t tick{};  ///< the flow table's, kTickMs each
};

/// Where a burst came from and where it leads under the current policy.
struct Passage {
    PortIndex in_port{kNoPort}, out_port{kNoPort};
    abi::ZoneId from{abi::kNoZone}, to{abi::kNoZone};
    FlowDomain domain{};
    bool in_is_high_port{};  ///< of the wire's two
};

enum class Fate : std::uint8_t {
    undecided,
    forward,
    drop,           ///< `reason` says why
    drop_answered,  ///< as drop, and its sender shall hear about it
    drop_reset,     ///< as drop_answered, and TCP's other end shall hear about it too
    consumed,       ///< it was for us: answered in another's stead, or what it says is known now
    held,           ///< a fragment: no longer the burst's, until its datagram is whole
};

/// How tracking looks at a packet.
enum class TrackKind : std::uint8_t {
    none,
    tcp,
    udp,
    sctp,
    icmp_request,
    icmp_reply,
    icmp_error,
    icmp_other,  ///< one way, by rule
    other,
};

/// A SYN cookie in an ACK, and which number of its sender it goes with.
enum class CookieIn : std::uint8_t {
    none,
    behind_syn,  ///< the ACK's own begins behind the client's SYN
    at_syn,      ///< one before: a probe of a closed window, from a client whose first ACK was lost
};

/// Kept small: it is written and read for every packet.
struct Tracked {
    union {
        FlowKeyV4 v4;
        FlowKeyV6 v6;
    };
    std::uint64_t hash{};
    TrackKind kind{};
    bool source_is_low{};  ///< of the packet, or of the packet that an ICMP error quotes
    bool waits{};          ///< `track` could not decide it; `admit` will, in the order of arrival
    bool asks{};           ///< its Inquiry's `question` needs an answer
    CookieIn cookie{};     ///< an ACK that answers a SYN cookie
    bool asks_for_flow{};  ///< `question` is the original direction's of a flow judged under an older policy

    Tracked() noexcept : v4{} {}
    /// As new, but for key and hash, which mean nothing until `kind` is set.
    void reset() noexcept {
        kind = TrackKind::none;
        cookie = CookieIn::none;
        source_is_low = waits = asks = asks_for_flow = false;
    }
};

/// Between `track` and `admit`, about packets with Tracked::asks.
struct Inquiry {
    LookupKey question{};
    LookupResult answer{};
};

inline constexpr std::uint32_t kNoDatagram = 0xffffffff;

struct Burst {
    Passage passage{};
    Moment moment{};
    std::size_t count{};
    std::uint32_t received{};  ///< when it came from a port, if it is measured: Packet::received; else 0
    std::array<Packet, kBurstMax> packet;
    UsualPackets usual;  ///< of these, `parsed` and `tracked` are not filled but for their heads
    std::array<FlowHandle, kBurstMax> likely{};  ///< FlowTable::prefetch_entry, of all
    std::array<ParsedPacket, kBurstMax> parsed;
    std::array<Tracked, kBurstMax> tracked;
    std::array<Inquiry, kBurstMax> inquiry;
    bool turns_flows{};              ///< of the last burst that was tracked: not every packet just passed
    std::size_t waiting_count{};     ///< packets with Tracked::waits
    std::size_t wire_frame_count{};  ///< frames that `parse` let pass and `wire:` speaks about, not rules
    std::array<Fate, kBurstMax> fate{};
    std::array<abi::DropReason, kBurstMax> reason{};
    std::array<bool, kBurstMax> decided_by_rule{};  ///< a drop that a rule's own log speaks about
    std::size_t answer_count{};
    std::array<Packet, kBurstMax> answer;  ///< packets of our own, to leave through the port of arrival
    std::size_t onward_count{};
    std::array<Packet, kBurstMax> onward;  ///< packets of our own, to leave where the packet would have left

    std::size_t own_count{};
    std::array<OwnSegment, 2 * kBurstMax> own;  ///< to be built by `act`; at most one each way about a packet

    std::size_t fragment_count{};  ///< packets that `parse` found to be fragments, faulty ones included
    std::size_t datagram_count{};  ///< slots that stand for a reassembled datagram
    std::array<std::uint32_t, kBurstMax> datagram;  ///< which one; filled only if datagram_count != 0

    /// Of packets with Tracked::asks, filled only where a policy has rules that pass on.
    std::array<PassTrail, kBurstMax> passed;

    /// Slot i stands for all fragments of a datagram: `packet[i]` shows its first fragment, with the bytes of all, and
    /// owns nothing; the fragments themselves are Reassembly's to give.
    bool is_datagram(std::size_t i) const noexcept { return datagram_count != 0 && datagram[i] != kNoDatagram; }

    bool all_forward() const noexcept {
        static constexpr auto kAll = [] {
            std::array<Fate, kBurstMax> all;
            all.fill(Fate::forward);
            return all;
        }();
        return std::memcmp(fate.data(), kAll.data(), count) == 0;
    }

    void forward(std::size_t i) noexcept { fate[i] = Fate::forward; }
    void drop(std::size_t i, abi::DropReason why) noexcept {
        fate[i] = Fate::drop;
        reason[i] = why;
    }
    void consume(std::size_t i) noexcept { fate[i] = Fate::consumed; }
    /// About packet i.
    void send_own(std::size_t i, const OwnSegment& segment) noexcept {
        own[own_count] = segment;
        own[own_count++].about = static_cast<std::uint8_t>(i);
    }
};

}  // namespace sluice::dp
