/// What the dataplane tells: three memfds that it writes and everybody else maps read-only.
///
/// Theory of operation. The dataplane creates the memfds at start, maps them writable, seals
/// FUTURE_WRITE|SHRINK|GROW|SEAL and sends them with `hello`. Each counter has exactly one writing thread; values are
/// 64 bit, written with relaxed atomic stores and read with relaxed atomic loads. Readers treat all content as
/// untrusted numbers. The memfds die with the boot id: a new dataplane process has new ones, and the control plane adds
/// the last values of the old to those of the new.
///
/// Conservation, true whenever a worker is between two bursts, per worker and port (by port of arrival):
///     rx + originated + handed_in = forwarded + sum(drops) + consumed + held + handed_out
/// Over all workers handed_out - handed_in is what waits in the rings between them: so many packets more are held, and
/// per port and in total `rx + originated = forwarded + sum(drops) + consumed + held`.
/// `tx_*` counts what left *through* a port; the sum of `forwarded` over all ports equals the sum of `tx_packets`.
///
/// Event rings overwrite and never wait: a writer stores the record, then its sequence with release; a reader loads the
/// sequence with acquire, copies, loads it again, and if either differs from what it expected it has been lapped and
/// counts the distance as lost.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <type_traits>

#include <sluice/abi/clock.hpp>
#include <sluice/abi/counter.hpp>
#include <sluice/abi/drop_reasons.hpp>
#include <sluice/abi/flow_losses.hpp>
#include <sluice/abi/net_order.hpp>
#include <sluice/abi/tables.hpp>
#include <sluice/abi/times.hpp>
#include <sluice/abi/verdict.hpp>

namespace sluice::abi {

inline constexpr std::uint64_t kTelemetryMagic = 0x314c455443554c53ULL;  // "SLUCTEL1"
inline constexpr std::uint32_t kPortsMax = 16;
inline constexpr std::uint32_t kWorkersMax = 64;

struct PortName {
    std::array<char, 32> text{};  ///< zero-padded
};

enum class TelemetryKind : std::uint32_t { counters = 1, rules = 2, events = 3 };

/// First bytes of each telemetry memfd. Written before the memfd is handed out, constant afterwards.
struct TelemetryHeader {
    std::uint64_t magic{kTelemetryMagic};
    std::uint32_t abi_version{kAbiVersion};
    TelemetryKind kind{};
    std::uint64_t layout_hash{};
    std::uint64_t bytes{};
    std::uint64_t boot_id{};  ///< random per dataplane process
    std::uint32_t worker_count{};
    std::uint32_t port_count{};
    std::uint32_t rule_slots{};    ///< capacity; kind rules
    std::uint32_t ring_records{};  ///< power of two; kind events
    std::uint64_t first_block{};   ///< offset of worker 0's block, cache-line aligned
    std::uint64_t block_bytes{};   ///< distance between the blocks of two workers
    std::array<std::uint8_t, 56> must_be_zero{};
};
static_assert(sizeof(TelemetryHeader) == 128);

// ------------------------------------------------------------------------------------------------------- kind counters
/// One worker's view of one port. Drops, forwarded, originated, consumed and held are by port of *arrival*.
struct alignas(kCacheLine) PortCounters {
    Counter rx_packets, rx_bytes;
    Counter tx_packets, tx_bytes;  ///< by port of departure
    Counter originated_packets;    ///< rejects and other packets of our own making, on behalf of arrivals here
    Counter forwarded_packets;     ///< arrived here (or originated for here) and left through some port
    Counter consumed_packets;      ///< taken by the firewall itself
    Counter held_packets;          ///< a level, not a sum: in our hands right now
    Counter handed_out_packets;    ///< left to the worker that owns their flow
    Counter handed_in_packets;     ///< left to this worker, by those that received them
    std::array<Counter, kDropReasonCount> drops;
};

/// What a new flow costs others.
enum class FlowPressure : std::uint8_t {
    none = 0,
    half_open = 1,  ///< the oldest half-open flow: the table, or their share of it, is full
    closing = 2,    ///< the table is full and few are half-open: the oldest flow that both sides had closed
    full = 3,       ///< nothing may go: new flows are refused
};
inline constexpr std::uint8_t kFlowPressureCount = 4;
constexpr const char* to_string(FlowPressure pressure) noexcept {
    switch (pressure) {
        case FlowPressure::none: return "none";
        case FlowPressure::half_open: return "half_open";
        case FlowPressure::closing: return "closing";
        case FlowPressure::full: return "full";
    }
    return "invalid";
}

struct alignas(kCacheLine) WorkerCounters {
    // fixed after start
    std::uint32_t worker{};
    std::uint32_t lcore{};
    // this worker
    Counter heartbeat_ns;                  ///< MonoTime of the last loop; the watchdog's source
    Counter generation;                    ///< generation that the last burst ran under; 0 = none
    Counter bursts, idle_sleeps, busy_ns;  ///< busy: in rounds that received packets
    Counter flows;                         ///< level
    Counter flows_created, flows_expired, flows_closed, flows_ended_by_policy;
    Counter flows_ended_by_request;  ///< by whoever may write
    Counter flows_rejudged;          ///< times that the policy was asked about a live flow after a switch
    Counter flows_kept_on_change;    ///< times that a flow went on although the policy no longer allows it (`keep`)
    Counter rejudge_left;            ///< level: entries that the sweep after a switch has still to look at
    Counter flows_half_open;         ///< level: flows that the other side has not agreed to
    Counter syn_early_drop;          ///< half-open flows that ended so that a new one has room
    Counter closing_early_drop;      ///< flows that both sides had closed, ended so that a new one has room
    Counter flow_pressure;           ///< level: FlowPressure, the highest of the last second
    Counter sources;                 ///< level: places of the table of sources that are taken
    Counter lookups;                 ///< classifier decisions
    Counter set_hits;                ///< those about a packet from or to a member of a set that the tables ask for
    Counter events_written, events_suppressed;
    Counter tcp_inexact_rst, udp_zero_csum6, flow_reopen, tcp_overshoot;
    Counter tcp_handshakes;         ///< TCP flows of which both sides have acknowledged the other's SYN
    Counter tcp_handshakes_failed;  ///< SYNs that no rule or limit let in, and TCP flows that ended before that
    Counter flow_pickup;            ///< flows taken up in mid-stream after a restart
    Counter tcp_window_unknown;     ///< segments not checked: their flow's handshake was not seen
    Counter tcp_seq_logged;         ///< segments that `seq_check: log` let pass
    Counter rejects_limited;        ///< rejects that got no answer because of the rate limit (still policy_reject)
    Counter frag_reassembled;       ///< datagrams whose fragments were all there and that were judged as one packet
    Counter frag_duplicates;        ///< byte-exact copies of a held fragment (their packets count as consumed)
    Counter frag_held_bytes;        ///< level: frames of fragments in our hands
    Counter syn_cookies_sent;       ///< SYNs answered in a server's stead, without a flow
    Counter syn_cookies_accepted;   ///< ACKs that brought one back: flows made
    Counter syn_cookies_active;     ///< level: 1 if a SYN was answered so in the last second
    Counter syn_proxy_repeats;      ///< SYNs sent to a server once more, because it had not answered
    Counter syn_proxy_unanswered;   ///< flows ended because it never did; the client was reset
    Counter syn_proxy_refused;      ///< flows ended by its RST or an ICMP error; the client was reset
    Counter syn_proxy_data;  ///< ACKs with cookies that carried data, which were dropped: the client sends them again
    Counter flows_proxied;   ///< level: flows whose numbers are translated
    Counter icmp_related;    ///< ICMP errors that passed because of the flow that they are about
    Counter steering_misplaced;  ///< packets that a device had been told to give to another worker, by spot check
    std::array<PortCounters, kPortsMax> ports;
    SampledTimes times;
};

/// How packets come to the worker that owns their flow.
enum class SteeringMode : std::uint8_t {
    none = 0,      ///< one worker has them all
    rss = 1,       ///< every device sends them there; what it cannot place is handed over
    software = 2,  ///< workers hand them over
};
inline constexpr std::uint8_t kSteeringModeCount = 3;
constexpr const char* to_string(SteeringMode mode) noexcept {
    switch (mode) {
        case SteeringMode::none: return "none";
        case SteeringMode::rss: return "rss";
        case SteeringMode::software: return "software";
    }
    return "invalid";
}

/// Written by the manager thread, behind the workers' blocks' header: stands at offset sizeof(TelemetryHeader).
struct alignas(kCacheLine) ManagerCounters {
    Counter generation;  ///< adopted; 0 = none
    Counter publishes_adopted, publishes_refused, publishes_stalled, reverts;
    Counter transitions;          ///< rules came into force or went at their time, under the same generation
    Counter confirm_deadline_ns;  ///< MonoTime, 0 = nothing to confirm
    Counter fail_open;            ///< 1 while traffic passes without a policy because the configuration says so
    Counter flow_capacity;        ///< all workers
    Counter flow_half_open_max;   ///< all workers; the share of the table that half-open flows may have
    Counter flows_kept;           ///< taken over from the process before this one; set at start
    Counter steering;             ///< SteeringMode; set at start
    Counter tsc_hz;               ///< what a cycle of StageHistogram is worth; set at start
    Counter set_members;          ///< level: of sets that change without a generation, staged ones included
    Counter set_members_max;
    Counter set_changes;                             ///< members added or removed on request
    Counter set_expired;                             ///< members whose time was over
    std::array<Counter, kFlowLossCount> flows_lost;  ///< and those that were not, by FlowLoss
    std::array<Counter, kPortsMax> port_rx_missed;   ///< dropped by the device before we saw them
    std::array<Counter, kPortsMax> port_link_up;
};

// ---------------------------------------------------------------------------------------------------------- kind rules
/// One rule slot of one worker. Times are MonoTime in ns, 0 = never.
struct alignas(kCacheLine) RuleCounters {
    Counter hits;     ///< classifier decisions, i.e. flows (for observe rules: would-be decisions)
    Counter packets;  ///< of the flows that it decided, both directions
    Counter bytes;    ///< L2 length as received
    Counter first_hit_ns, last_hit_ns;
    std::array<Counter, 3> must_be_zero;
};
static_assert(sizeof(RuleCounters) == kCacheLine);

// --------------------------------------------------------------------------------------------------------- kind events
enum class EventKind : std::uint8_t {
    flow_start = 1,   ///< an allowed flow got its entry
    flow_end = 2,     ///< an entry went away; `end` says why
    flow_denied = 3,  ///< a first packet was denied
    flow_rejected = 4,
    observed = 5,     ///< an observe rule would have decided; `slot` is that rule, `verdict` its would-be verdict
    drop = 6,         ///< sampled drop that no rule decided; `drop` is the reason
    seq_check = 7,    ///< sampled; passed because of `seq_check: log`; `drop` is what strict would have said
    limited = 8,      ///< sampled; rule `slot` allows the flow, a limit does not; `drop` says which
    flow_kept = 9,    ///< goes on although `slot` would deny it now (`on_change: keep`)
    syn_cookie = 10,  ///< sampled; rule `slot` allows the flow, and its SYN was answered with a cookie
    /// Sampled, and only while somebody watches (WatchFlows): what rule `slot` said about a first packet, whatever that
    /// rule logs and whatever limits said then. Beside the other events of the same flow.
    new_flow = 11,
};
inline constexpr std::uint8_t kEventKindCount = 12;

enum class FlowEnd : std::uint8_t {
    none = 0,
    expired = 1,
    closed = 2,
    reset = 3,
    policy = 4,
    reused = 5,
    evicted = 6,     ///< so that a new flow has room
    request = 7,     ///< of whoever may write
    unanswered = 8,  ///< the server never answered the SYN that we sent it for a client with a cookie
};
inline constexpr std::uint8_t kFlowEndCount = 9;

struct FlowEvent {
    MonoTime time{};
    std::uint64_t generation{};
    std::array<std::uint64_t, 2> packets{};  ///< original, reply
    std::array<std::uint64_t, 2> bytes{};
    MonoTime started{};
    IpAddr src{}, dst{};      ///< of the original direction
    L4Port sport{}, dport{};  ///< ICMP: sport = identifier, dport = type << 8 | code; other protocols 0
    RuleSlot slot{kNoSlot};
    std::uint32_t suppressed{};  ///< events of this kind and reason left out since the last one
    ZoneId from_zone{kNoZone}, to_zone{kNoZone};
    DropReason drop{};
    EventKind kind{};
    Verdict verdict{};
    IpFamily family{};
    L4Proto proto{};
    FlowEnd end{};
    std::uint8_t in_port{};
    std::array<std::uint8_t, 8> must_be_zero{};
};
static_assert(sizeof(FlowEvent) == 120 && std::has_unique_object_representations_v<FlowEvent>);

struct alignas(kCacheLine) EventSlot {
    std::atomic<std::uint64_t> sequence{};  ///< 0 = empty; record n (from 1) stands in slot (n - 1) % ring_records
    FlowEvent event{};
};
static_assert(sizeof(EventSlot) == 128);

/// A worker's block: this, then `ring_records` EventSlots.
struct alignas(kCacheLine) EventRingHeader {
    std::atomic<std::uint64_t> written{};  ///< sequence of the newest record; stored with release after the record
};
static_assert(sizeof(EventRingHeader) == kCacheLine);

}  // namespace sluice::abi
