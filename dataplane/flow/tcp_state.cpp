#include "dataplane/flow/tcp_state.hpp"

#include <array>

namespace sluice::dp {

namespace {

constexpr std::uint8_t kFin = 0x01, kSyn = 0x02, kRst = 0x04, kAck = 0x10;

enum class Kind : std::uint8_t { syn, syn_ack, ack, fin, rst };
constexpr std::size_t kKindCount = 5;

constexpr Kind kind_of(std::uint8_t flags) noexcept {
    if ((flags & kRst) != 0) return Kind::rst;
    if ((flags & kSyn) != 0) return (flags & kAck) != 0 ? Kind::syn_ack : Kind::syn;
    return (flags & kFin) != 0 ? Kind::fin : Kind::ack;
}

/// What must hold for the cell's next phase.
enum class Check : std::uint8_t {
    none,
    acks_syn,    ///< acknowledges the other side's SYN (and at most what was sent with it); else tcp_bad_ack
    rst_to_syn,  ///< a RST that answers our SYN acknowledges it (RFC 9293 3.10.7.3); else tcp_bad_rst
    challenge,   ///< an ACK without data that answers a SYN (RFC 5961 section 4); else tcp_bad_ack
    repeated,    ///< a retransmission of this side's own SYN-ACK; else tcp_bad_flags
    quiet,       ///< passes, but is no sign of life: anyone can forge it
    newer_syn,   ///< a SYN beyond the old connection reopens (RFC 6191, RFC 9293 3.6.1), an older one passes
    reopen,
    bad_flags,
    bad_ack,
    closed,
};

struct Cell {
    FlowPhase next{};
    Check check{};
};
using Row = std::array<Cell, kKindCount>;
struct Rows {
    Row original, reply;
};

constexpr std::size_t kTcpPhases = static_cast<std::size_t>(FlowPhase::closed) + 1;

using P = FlowPhase;
using C = Check;

constexpr Cell kBadFlags{P::free, C::bad_flags};
constexpr Cell kBadAck{P::free, C::bad_ack};
constexpr Cell kClosed{P::free, C::closed};

constexpr Rows rows_of(FlowPhase phase) {
    const Cell stay{phase, C::none}, quiet{phase, C::quiet}, repeated{phase, C::repeated}, reset{P::closed, C::none};
    switch (phase) {
        //                 SYN                        SYN-ACK                    ACK, data           FIN RST
        case P::syn_sent:
            return {{{stay, kBadFlags, kBadAck, kBadFlags, reset}},
                    {{{P::syn_crossed, C::none},
                      {P::syn_received, C::acks_syn},
                      {phase, C::challenge},
                      kBadFlags,
                      {P::closed, C::rst_to_syn}}}};
        case P::syn_crossed:
            return {{{stay, {P::syn_acked_ahead, C::acks_syn}, {P::syn_acked_ahead, C::acks_syn}, kBadFlags, reset}},
                    {{stay,
                      {P::syn_received, C::acks_syn},
                      {P::syn_received, C::acks_syn},
                      kBadFlags,
                      {P::closed, C::rst_to_syn}}}};
        case P::syn_acked_ahead:
            return {{{stay, stay, stay, {P::fin_wait_original, C::none}, reset}},
                    {{stay,
                      {P::established, C::acks_syn},
                      {P::established, C::acks_syn},
                      {P::fin_wait_reply, C::acks_syn},
                      reset}}};
        case P::syn_received:
            return {{{quiet,
                      {P::established, C::acks_syn},
                      {P::established, C::acks_syn},
                      {P::fin_wait_original, C::acks_syn},
                      reset}},
                    {{kBadFlags, repeated, stay, {P::fin_wait_reply, C::none}, reset}}};
        case P::established:
            return {{{quiet, repeated, stay, {P::fin_wait_original, C::none}, reset}},
                    {{kBadFlags, repeated, stay, {P::fin_wait_reply, C::none}, reset}}};
        case P::fin_wait_original:
            return {{{quiet, repeated, stay, stay, reset}},
                    {{kBadFlags, repeated, stay, {P::closing, C::none}, reset}}};
        case P::fin_wait_reply:
            return {{{quiet, repeated, stay, {P::closing, C::none}, reset}},
                    {{kBadFlags, repeated, stay, stay, reset}}};
        case P::closing: return {{{quiet, repeated, stay, stay, reset}}, {{kBadFlags, repeated, stay, stay, reset}}};
        case P::time_wait:
            return {{{{phase, C::newer_syn}, repeated, stay, stay, reset}},
                    {{{phase, C::newer_syn}, repeated, stay, stay, reset}}};
        case P::closed:
            return {{{{P::free, C::reopen}, kClosed, kClosed, kClosed, kClosed}},
                    {{{P::free, C::reopen}, kClosed, kClosed, kClosed, kClosed}}};
        default:
            return {{{kBadFlags, kBadFlags, kBadFlags, kBadFlags, kBadFlags}},
                    {{kBadFlags, kBadFlags, kBadFlags, kBadFlags, kBadFlags}}};
    }
}

constexpr auto kTable = [] {
    std::array<std::array<Row, 2>, kTcpPhases> table{};
    for (std::size_t p = 0; p < kTcpPhases; ++p) {
        const Rows rows = rows_of(static_cast<FlowPhase>(p));
        table[p] = {rows.original, rows.reply};
    }
    return table;
}();

/// a is beyond b on the circle of sequence numbers.
constexpr bool beyond(std::uint32_t a, std::uint32_t b) noexcept { return static_cast<std::int32_t>(a - b) > 0; }

/// `ack` lies behind the SYN of `side` and not behind what `side` sent along with it. Fast Open (RFC 7413): a peer may
/// acknowledge the SYN alone or its data too.
bool acks_syn_of(const FlowHot& flow, Direction side, std::uint32_t ack) noexcept {
    // Distances from the SYN, not two comparisons: half the circle away a number is beyond in neither direction.
    return ack - flow.seq_limit[index(side)] <= flow.seq_end[index(side)] - flow.seq_limit[index(side)];
}

/// The same without the upper end: data that followed the SYN-ACK at once may be acknowledged too.
bool acks_at_least_syn_of(const FlowHot& flow, Direction side, std::uint32_t ack) noexcept {
    return static_cast<std::int32_t>(ack - flow.seq_limit[index(side)]) >= 0;
}

void remember_syn(FlowHot& flow, Direction from, const TcpSegment& s) noexcept {
    flow.seq_limit[index(from)] = s.seq + 1;
    flow.seq_end[index(from)] = tcp_end(s);
}

constexpr std::uint8_t fin_flag(Direction d) noexcept {
    return d == Direction::original ? flow_flag::fin_original : flow_flag::fin_reply;
}
constexpr std::uint8_t fin_acked_flag(Direction d) noexcept {
    return d == Direction::original ? flow_flag::fin_acked_original : flow_flag::fin_acked_reply;
}

FlowPhase note_close(FlowHot& flow, Direction from, Kind kind, const TcpSegment& s, FlowPhase next) noexcept {
    if (kind == Kind::fin) {
        flow.set(fin_flag(from));
        flow.seq_end[index(from)] = tcp_end(s);
    }
    const Direction peer = opposite(from);
    if ((s.flags & kAck) != 0 && flow.has(fin_flag(peer)) && s.ack == flow.seq_end[index(peer)]) {
        flow.set(fin_acked_flag(peer));
    }
    const bool both = flow.has(flow_flag::fin_acked_original) && flow.has(flow_flag::fin_acked_reply);
    return next == FlowPhase::closing && both ? FlowPhase::time_wait : next;
}

constexpr TcpResult drop(abi::DropReason reason) noexcept { return {TcpOutcome::drop, reason, FlowPhase::free, false}; }

}  // namespace

std::uint32_t tcp_end(const TcpSegment& s) noexcept {
    return s.seq + s.payload_bytes + ((s.flags & kSyn) != 0 ? 1U : 0U) + ((s.flags & kFin) != 0 ? 1U : 0U);
}

bool tcp_opens(std::uint8_t flags) noexcept { return (flags & (kSyn | kAck | kRst | kFin)) == kSyn; }

void tcp_open(FlowHot& flow, const TcpSegment& syn) noexcept { remember_syn(flow, Direction::original, syn); }

TcpResult tcp_advance(FlowHot& flow, Direction from, const TcpSegment& s) noexcept {
    const Kind kind = kind_of(s.flags);
    const Direction peer = opposite(from);
    const Cell cell = kTable[static_cast<std::size_t>(flow.phase)][index(from)][static_cast<std::size_t>(kind)];
    TcpResult result{TcpOutcome::pass, {}, cell.next, true};

    switch (cell.check) {
        case Check::none: break;
        case Check::acks_syn: {
            // The side that has sent its SYN-ACK may already have sent data behind it; a side whose bare SYN is
            // answered has sent nothing that we did not see with the SYN.
            const bool bare = flow.phase == FlowPhase::syn_sent || flow.phase == FlowPhase::syn_crossed;
            const bool good = bare ? acks_syn_of(flow, peer, s.ack) : acks_at_least_syn_of(flow, peer, s.ack);
            if (!good) return drop(abi::DropReason::tcp_bad_ack);
            break;
        }
        case Check::rst_to_syn:
            if ((s.flags & kAck) == 0 || !acks_syn_of(flow, peer, s.ack)) return drop(abi::DropReason::tcp_bad_rst);
            break;
        case Check::challenge:
            if (s.payload_bytes != 0) return drop(abi::DropReason::tcp_bad_ack);
            result.refreshes = false;
            break;
        case Check::repeated:
            if (s.seq + 1 != flow.seq_limit[index(from)]) return drop(abi::DropReason::tcp_bad_flags);
            break;
        case Check::quiet: result.refreshes = false; break;
        case Check::newer_syn:
            if (beyond(s.seq, flow.seq_end[index(from)])) return {TcpOutcome::reopen, {}, FlowPhase::free, false};
            result.refreshes = false;
            break;
        case Check::reopen: return {TcpOutcome::reopen, {}, FlowPhase::free, false};
        case Check::bad_flags: return drop(abi::DropReason::tcp_bad_flags);
        case Check::bad_ack: return drop(abi::DropReason::tcp_bad_ack);
        case Check::closed: return drop(abi::DropReason::tcp_closed);
    }

    // A SYN that still belongs to the handshake sets where its side starts; a retransmission may carry a new number.
    const bool opening = flow.phase <= FlowPhase::syn_received;
    if (opening && result.refreshes && (kind == Kind::syn || kind == Kind::syn_ack)) remember_syn(flow, from, s);
    result.next = note_close(flow, from, kind, s, result.next);
    return result;
}

}  // namespace sluice::dp
