/// One flow in memory, sized for cache lines: an IPv4 flow is one 64-byte hot line and 20 cold bytes, an IPv6 flow has
/// a second 64-byte line for its key. The hit path reads and writes the hot line only; the cold bytes are touched when
/// a small counter spills, at the flow's start and at its end.
///
/// One writer: the worker that owns the table. `phase` is written last when an entry is made and first when it goes,
/// so that whoever finds the memory after a crash can tell an entry from a free slot (flow_recovery.hpp).
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include <sluice/abi/messages.hpp>
#include <sluice/abi/verdict.hpp>

#include "dataplane/flow/flow_key.hpp"

namespace sluice::dp {

/// Finer than abi::FlowState: the TCP machine must know who did what. Values index the timeout table.
enum class FlowPhase : std::uint8_t {
    free = 0,
    syn_sent,         ///< the original side's SYN
    syn_crossed,      ///< both sides' SYN, nothing acknowledged yet (simultaneous open, RFC 9293 3.5)
    syn_acked_ahead,  ///< crossed, and the original side has acknowledged first
    syn_received,     ///< the reply side has acknowledged the original's SYN
    established,
    fin_wait_original,  ///< the original side has closed, the other may go on sending (half close)
    fin_wait_reply,
    closing,  ///< both have closed, not both FINs are acknowledged
    time_wait,
    closed,  ///< by RST
    udp_oneway,
    udp_stream,
    icmp_oneway,
    icmp_answered,
    other_oneway,
    other_stream,
    sctp_init,           ///< INIT, from one side or both
    sctp_init_acked,     ///< the server has named its tag
    sctp_cookie_echoed,  ///< the client has shown that it got it
    sctp_established,
    sctp_shutdown,  ///< one side is done; DATA of the other may still come
    sctp_closed,    ///< by ABORT or SHUTDOWN COMPLETE
};
inline constexpr std::size_t kFlowPhaseCount = 23;

abi::FlowState public_state(FlowPhase phase) noexcept;

namespace flow_flag {
inline constexpr std::uint8_t v6 = 0x01;
inline constexpr std::uint8_t original_is_low = 0x02;          ///< the original direction's source is the low endpoint
inline constexpr std::uint8_t original_from_high_port = 0x04;  ///< of the wire's two ports, where the original arrives
inline constexpr std::uint8_t fin_original = 0x08, fin_reply = 0x10;              ///< FIN seen
inline constexpr std::uint8_t fin_acked_original = 0x20, fin_acked_reply = 0x40;  ///< that side's FIN is acknowledged
inline constexpr std::uint8_t synced = 0x80;  ///< kept for the synchronisation of two appliances
}  // namespace flow_flag

/// Packets and bytes of one direction in four hot bytes. When a part overflows, the carry goes to the cold counter:
/// every 1,024 packets or 4 MiB.
class SmallCounters {
public:
    static constexpr std::uint32_t kPacketBits = 10, kByteBits = 22;

    struct Carry {
        std::uint32_t packets, bytes;  ///< in units of 2^kPacketBits packets and 2^kByteBits bytes
        bool any() const noexcept { return (packets | bytes) != 0; }
    };
    /// `frame_bytes` below 2^kByteBits, as any frame is.
    Carry add(std::uint32_t frame_bytes) noexcept {
        const std::uint32_t p = packets() + 1;
        const std::uint32_t b = bytes() + frame_bytes;
        value_ = (b & kByteMask) | ((p & kPacketMask) << kByteBits);
        return {p >> kPacketBits, b >> kByteBits};
    }
    std::uint32_t packets() const noexcept { return value_ >> kByteBits; }
    std::uint32_t bytes() const noexcept { return value_ & kByteMask; }

private:
    static constexpr std::uint32_t kByteMask = (1U << kByteBits) - 1, kPacketMask = (1U << kPacketBits) - 1;
    std::uint32_t value_{};
};

/// The low part of an entry's key: the whole key of an IPv4 flow, the place of the key of an IPv6 flow.
struct V6KeyRef {
    std::uint32_t line{};
    std::array<std::uint32_t, 3> must_be_zero{};
};

struct alignas(64) FlowHot {
    // fixed after insert
    union {
        FlowKeyV4 v4;
        V6KeyRef v6;
    };
    // this worker, by direction; TCP only (tcp_window.hpp), but SCTP keeps its tags in the numbers (sctp_state.hpp)
    std::array<std::uint32_t, 2> seq_end;     ///< number behind the last that this side has sent
    std::array<std::uint32_t, 2> seq_acked;   ///< the highest that the other side has acknowledged of it
    std::array<std::uint16_t, 2> window_max;  ///< the largest window it has offered, as sent; in bytes while opening
    std::uint32_t last_seen_tick;
    std::uint32_t policy_seq;  ///< ActiveTables::policy_seq it was last judged under; 0 = over, but for its mark
    std::array<SmallCounters, 2> counters;
    std::uint32_t slot_and_log;  ///< RuleSlot in the low 27 bits, kept, marked, source_counted, abi::RuleLog above
    std::array<std::uint8_t, 2> zone;  ///< zone of arrival by direction
    FlowPhase phase;
    std::uint8_t flags;                     ///< flow_flag
    std::uint8_t window_scales;             ///< low half: original, high half: reply; 15 = not offered, not known
    std::array<std::uint8_t, 3> extension;  ///< 1 + number of a 64-byte extension (flow_proxy.hpp), 0 = none

    abi::RuleSlot slot() const noexcept { return abi::RuleSlot{slot_and_log & kSlotMask}; }
    abi::RuleLog log() const noexcept { return static_cast<abi::RuleLog>(slot_and_log >> 30); }
    /// The policy no longer allows it and keeps it all the same.
    bool kept() const noexcept { return (slot_and_log & kKept) != 0; }
    void set_kept() noexcept { slot_and_log |= kKept; }
    /// Over: the entry is there only so that its ends learn of it.
    bool marked() const noexcept { return (slot_and_log & kMarked) != 0; }
    void set_marked() noexcept {
        slot_and_log = (slot_and_log & ~kKept) | kMarked;
        policy_seq = 0;
    }
    /// A rule that allows it: neither kept nor marked.
    void set_rule(abi::RuleSlot s, abi::RuleLog l) noexcept {
        slot_and_log = (static_cast<std::uint32_t>(s) & kSlotMask) | (slot_and_log & kSourceCounted) |
                       (static_cast<std::uint32_t>(l) << 30);
    }
    /// Its source is counted by its rule (limits.hpp), and its end must give that back.
    bool source_counted() const noexcept { return (slot_and_log & kSourceCounted) != 0; }
    void set_source_counted(bool is) noexcept {
        slot_and_log = (slot_and_log & ~kSourceCounted) | (is ? kSourceCounted : 0);
    }
    /// Takes out what only the process that wrote it can read: to the next one the flow is one that nobody has judged.
    void forget_process() noexcept { policy_seq = 0; }
    /// Byte by byte: they may have been written a moment ago, so, and a wider read would wait for that.
    bool extended() const noexcept { return (extension[0] | extension[1] | extension[2]) != 0; }
    /// Of an extended one.
    std::uint32_t extension_number() const noexcept {
        return (extension[0] | std::uint32_t{extension[1]} << 8 | std::uint32_t{extension[2]} << 16) - 1;
    }
    void set_extension(std::uint32_t number) noexcept {
        const std::uint32_t n = number + 1;
        extension = {static_cast<std::uint8_t>(n), static_cast<std::uint8_t>(n >> 8),
                     static_cast<std::uint8_t>(n >> 16)};
    }
    /// Windows can be checked and nothing has to be translated: one word for both, as every packet asks.
    bool is_plain() const noexcept;
    /// TCP: one side has sent what the other has not acknowledged.
    bool in_flight() const noexcept { return seq_end != seq_acked; }
    bool has(std::uint8_t flag) const noexcept { return (flags & flag) != 0; }
    void set(std::uint8_t flag) noexcept { flags = static_cast<std::uint8_t>(flags | flag); }
    void clear(unsigned some) noexcept { flags = static_cast<std::uint8_t>(flags & ~some); }
    abi::IpFamily family() const noexcept { return has(flow_flag::v6) ? abi::IpFamily::v6 : abi::IpFamily::v4; }
    Direction direction_of(bool source_is_low) const noexcept {
        return source_is_low == has(flow_flag::original_is_low) ? Direction::original : Direction::reply;
    }

private:
    static constexpr std::uint32_t kSlotMask = (1U << 27) - 1;
    static constexpr std::uint32_t kKept = 1U << 27, kMarked = 1U << 28, kSourceCounted = 1U << 29;
};
static_assert(sizeof(FlowHot) == 64 && std::is_trivially_copyable_v<FlowHot>);
inline constexpr std::uint32_t kExtensionsMax = (1U << 24) - 1;
/// In FlowHot::window_scales: both sides', as the handshake was not seen.
inline constexpr std::uint8_t kScalesUnknown = 0xff;

inline bool FlowHot::is_plain() const noexcept {
    static_assert(offsetof(FlowHot, extension) == offsetof(FlowHot, window_scales) + 1);
    std::uint32_t word;  // little-endian, as all that we share: the scales, the extension above
    std::memcpy(&word, reinterpret_cast<const char*>(this) + offsetof(FlowHot, window_scales), sizeof word);
    return word < kScalesUnknown;
}
static_assert(abi::kZonesMax <= 256, "a zone stands in one byte");

struct alignas(64) FlowV6Line {
    FlowKeyV6 key;
    std::array<std::uint32_t, 6> must_be_zero;
};
static_assert(sizeof(FlowV6Line) == 64, "an IPv6 flow is 128 bytes");

struct FlowCold {
    std::uint32_t started_tick;
    std::array<std::uint32_t, 2> packets;  ///< in units of 2^SmallCounters::kPacketBits
    std::array<std::uint32_t, 2> bytes;    ///< in units of 2^SmallCounters::kByteBits
};
static_assert(sizeof(FlowCold) == 20);

struct FlowTotals {
    std::array<std::uint64_t, 2> packets{}, bytes{};
};
inline FlowTotals totals(const FlowHot& hot, const FlowCold& cold) noexcept {
    FlowTotals t;
    for (std::size_t d = 0; d < 2; ++d) {
        t.packets[d] = (std::uint64_t{cold.packets[d]} << SmallCounters::kPacketBits) + hot.counters[d].packets();
        t.bytes[d] = (std::uint64_t{cold.bytes[d]} << SmallCounters::kByteBits) + hot.counters[d].bytes();
    }
    return t;
}

}  // namespace sluice::dp
