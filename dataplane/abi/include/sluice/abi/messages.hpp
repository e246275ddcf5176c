/// The tables socket: SOCK_SEQPACKET, one fixed header and one fixed body per datagram, descriptors by SCM_RIGHTS.
///
/// The dataplane listens; every client gets `hello` on connect. A client that wants to publish sends `claim`; there is
/// one publisher at a time and any number of inspectors. A datagram that is shorter than its type says, of unknown
/// type, or with descriptors where none belong, ends the connection; descriptors that were received are closed in every
/// case.
///
///     client                                   dataplane
///       |  <- hello {abi, ports, running...}      | fds: counters, rules, events   (read-only: sealed FUTURE_WRITE)
///       |  claim ->            <- claimed         |
///       |  offer {…} + fds ->                     | fds: manifest, then the sections that `section_fd` names
///       |            <- adopted|refused|stalled   |
///       |  confirm|revert ->   <- adopted|refused | the answer names the generation that now runs
///       |  get_running -> <- running {…} + fds    | fds: manifest, sections by kind
///       |  dump_flows ->  <- flow_dump …          | the last one has `last` set
///       |  end_flows ->   <- flows_ended …        | publisher only; as above
///       |  change_sets -> <- sets_changed       | publisher only; set_messages.hpp
///       |  get_members -> <- members            | set_messages.hpp
///       |  watch_flows -> <- flows_watched      | publisher only; ends with its connection
///       |            <- notice                    | publisher only: reverted at the deadline, worker stalled or back
#pragma once

#include <array>
#include <cstdint>
#include <type_traits>

#include <sluice/abi/clock.hpp>
#include <sluice/abi/flow_filter.hpp>
#include <sluice/abi/net_order.hpp>
#include <sluice/abi/tables.hpp>
#include <sluice/abi/telemetry.hpp>

namespace sluice::abi {

inline constexpr std::uint32_t kMessageMagic = 0x534c554d;
inline constexpr std::size_t kMessageBytesMax = 64 * 1024;
inline constexpr std::size_t kMessageFdsMax = 1 + kSectionKindCount;

enum class MessageType : std::uint32_t {
    hello = 1,
    claim = 2,
    claimed = 3,
    offer = 4,
    answer = 5,  ///< adopted, refused or stalled
    confirm = 6,
    revert = 7,
    get_running = 8,
    running = 9,
    dump_flows = 10,
    flow_dump = 11,
    notice = 12,
    get_status = 13,
    status = 14,
    end_flows = 15,
    flows_ended = 16,
    change_sets = 17,
    sets_changed = 18,
    get_members = 19,
    members = 20,
    watch_flows = 21,
    flows_watched = 22,
};

struct MessageHeader {
    std::uint32_t magic{kMessageMagic};
    MessageType type{};
    std::uint32_t bytes{};     ///< whole datagram
    std::uint32_t sequence{};  ///< of a request, repeated in its answers; 0 in hello and notice
};

struct ProcessState {
    std::uint64_t boot_id{};
    std::uint64_t running_generation{};  ///< 0 = none
    Digest256 running_digest{};
    Digest256 running_policy_version{};
    MonoTime started{};
    MonoTime confirm_deadline{};          ///< 0 = nothing to confirm
    std::uint64_t previous_generation{};  ///< what a revert returns to; 0 = nothing
    std::uint64_t set_epoch{};            ///< whose set changes were applied; 0 = nobody's
    std::uint64_t last_delta{};           ///< number of the last one
    std::uint64_t stalled_workers{};      ///< bit per worker
    std::uint32_t worker_count{};
    std::uint32_t port_count{};
    std::uint32_t pid{};
    std::uint8_t fail_open{};  ///< configured
    std::uint8_t source{};     ///< StateSource of the running generation
    std::array<std::uint8_t, 2> must_be_zero{};
};
enum class StateSource : std::uint8_t { none = 0, publisher = 1, descriptor_store = 2, last_good = 3, reverted = 4 };

/// Two ports that face each other in wire mode; index into Hello::ports.
struct WirePair {
    std::uint32_t a{}, b{};
};

struct Hello {
    MessageHeader header{.type = MessageType::hello};
    std::uint32_t abi_version{kAbiVersion};
    std::uint32_t rule_slots_max{};
    std::uint64_t layout_hash{};
    ProcessState state{};
    std::array<PortName, kPortsMax> ports{};
    std::array<WirePair, kPortsMax / 2> wires{};
    std::uint32_t wire_count{};
    std::uint32_t must_be_zero{};
};

struct Claim {
    MessageHeader header{.type = MessageType::claim};
};
struct Claimed {
    MessageHeader header{.type = MessageType::claimed};
    std::uint32_t granted{};
    std::uint32_t holder_pid{};  ///< who holds it, if not granted
};

struct Offer {
    MessageHeader header{.type = MessageType::offer};
    std::uint64_t generation{};
    Digest256 digest{};                 ///< Manifest::generation_digest
    std::uint64_t confirm_within_ms{};  ///< 0 = no confirmation wanted
    std::uint64_t adopt_within_ms{};    ///< how long to wait for workers before `stalled`
    /// Position of a section's descriptor among those sent (manifest = 0), by kind - 1; -1 = the dataplane holds it
    /// already.
    std::array<std::int32_t, kSectionKindCount> section_fd{};
};

enum class AnswerKind : std::uint32_t { adopted = 1, refused = 2, stalled = 3 };

/// Stable codes; `where` says which place. The list is append-only; kRefuseReasonLast goes along.
enum class RefuseReason : std::uint32_t {
    none = 0,
    not_publisher,
    not_a_memfd,
    seals_missing,
    size_wrong,
    sparse,
    map_failed,
    abi_mismatch,
    magic_wrong,
    digest_wrong,
    kind_wrong,
    bounds,
    order,
    enum_value,
    index,
    text,
    budget,
    section_not_held,
    port_unknown,
    port_unbound,
    generation_old,
    too_many_unretired,
    nothing_to_confirm,
    malformed_message,
    permissions,  ///< owner or mode of a descriptor
    sets_behind,  ///< the generation names set changes that have not been applied
    delta_order,  ///< a set change is not the next one
    sets_full,    ///< no room for members or sets
};
inline constexpr RefuseReason kRefuseReasonLast = RefuseReason::sets_full;

struct Answer {
    MessageHeader header{.type = MessageType::answer};
    AnswerKind kind{};
    RefuseReason reason{};
    std::uint64_t generation{};  ///< that now runs
    Digest256 digest{};
    std::uint64_t stalled_workers{};  ///< bit per worker
    MonoTime confirm_deadline{};
    std::uint64_t adopt_ns{};       ///< offer received -> all workers run it
    std::array<char, 256> where{};  ///< sentence for people, zero-terminated
};

struct Confirm {
    MessageHeader header{.type = MessageType::confirm};
    std::uint64_t generation{};
};
struct Revert {
    MessageHeader header{.type = MessageType::revert};
    std::uint64_t generation{};  ///< the one to leave
};
struct GetRunning {
    MessageHeader header{.type = MessageType::get_running};
};
struct Running {
    MessageHeader header{.type = MessageType::running};
    std::uint64_t generation{};  ///< 0 = none, then without descriptors
};
struct GetStatus {
    MessageHeader header{.type = MessageType::get_status};
};
struct Status {
    MessageHeader header{.type = MessageType::status};
    ProcessState state{};
};

enum class NoticeKind : std::uint32_t { reverted = 1, worker_stalled = 2, worker_back = 3 };
struct Notice {
    MessageHeader header{.type = MessageType::notice};
    NoticeKind kind{};
    std::uint32_t worker{};
    ProcessState state{};
};

struct DumpFlows {
    MessageHeader header{.type = MessageType::dump_flows};
    std::uint64_t cursor{};     ///< 0 = from the start; else FlowDump::next of the last answer
    std::uint32_t count_max{};  ///< at most kFlowsPerDumpMax
    std::uint32_t must_be_zero{};
    FlowFilter filter{};
};

/// Ends the flows that fit. One answer is for a bounded part of the walk, as with a dump.
struct EndFlows {
    MessageHeader header{.type = MessageType::end_flows};
    std::uint64_t cursor{};
    std::uint8_t answered{};  ///< 1 = the next packet of each is answered: both ends learn that it is over
    std::array<std::uint8_t, 7> must_be_zero{};
    FlowFilter filter{};
};
struct FlowsEnded {
    MessageHeader header{.type = MessageType::flows_ended};
    std::uint64_t next{};  ///< cursor to go on with
    std::uint32_t count{};
    std::uint8_t last{};     ///< 1 = the walk is over
    std::uint8_t granted{};  ///< 0 = the sender has not claimed to publish: nothing was done
    std::array<std::uint8_t, 2> must_be_zero{};
};

/// Asks for an event `new_flow` about every decision on a first packet, from now until another says otherwise.
struct WatchFlows {
    MessageHeader header{.type = MessageType::watch_flows};
    std::uint32_t per_second{};  ///< all workers together; beyond it they are sampled. 0 = nobody watches any more
    std::uint32_t must_be_zero{};
};
struct FlowsWatched {
    MessageHeader header{.type = MessageType::flows_watched};
    std::uint32_t granted{};  ///< 0 = the sender has not claimed to publish: nothing was done
    std::uint32_t must_be_zero{};
};
inline constexpr std::uint32_t kWatchedPerSecondMax = 1'000'000;

/// Numbers are stable; names as in `GET /v1/flows`.
enum class FlowState : std::uint8_t {
    none = 0,
    syn_sent = 1,
    syn_received = 2,
    established = 3,
    fin_wait = 4,  ///< one side has closed
    closing = 5,   ///< both have; last ACK not seen
    time_wait = 6,
    closed = 7,    ///< by RST
    oneway = 8,    ///< UDP, ICMP, other: no reply yet
    stream = 9,    ///< answered
    opening = 10,  ///< SCTP: no COOKIE ACK yet
    killed = 11,   ///< over; what is left is the mark by which its next packet is answered
};
inline constexpr std::uint8_t kFlowStateCount = 12;

struct FlowRecord {
    IpAddr src{}, dst{};
    std::array<std::uint64_t, 2> packets{};
    std::array<std::uint64_t, 2> bytes{};
    std::uint64_t generation{};  ///< it was last judged under
    std::uint32_t age_ms{}, idle_ms{};
    RuleSlot slot{kNoSlot};
    L4Port sport{}, dport{};
    ZoneId from_zone{kNoZone}, to_zone{kNoZone};
    IpFamily family{};
    L4Proto proto{};
    FlowState state{};
    std::uint8_t worker{};
    std::uint8_t kept{};     ///< 1 = the policy no longer allows it, and keeps it (`on_change: keep`)
    std::uint8_t proxied{};  ///< 1 = its numbers are translated: the firewall has made its handshakes (SYN cookies)
    std::array<std::uint8_t, 6> must_be_zero{};
};
static_assert(sizeof(FlowRecord) == 104 && std::has_unique_object_representations_v<FlowRecord>);
inline constexpr std::uint32_t kFlowsPerDumpMax = 512;

struct FlowDump {
    MessageHeader header{.type = MessageType::flow_dump};
    std::uint64_t next{};  ///< cursor to go on with
    std::uint32_t count{};
    std::uint32_t last{};                              ///< 1 = the walk is over
    std::array<FlowRecord, kFlowsPerDumpMax> flows{};  ///< `header.bytes` ends behind the last one sent
};
static_assert(sizeof(FlowDump) <= kMessageBytesMax);
static_assert(std::is_trivially_copyable_v<Hello> && std::is_trivially_copyable_v<Answer>);

}  // namespace sluice::abi
