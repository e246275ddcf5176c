#include "dataplane/flow/tcp_state.hpp"

#include <array>
#include <limits>

#include "dataplane/flow/tcp_window.hpp"

namespace sluice::dp {

namespace {

using abi::DropReason;
using abi::SeqCheck;

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
    window,      ///< numbers and window fit (tcp_window.hpp); else by `seq_check`
    opens,       ///< a SYN of the handshake: its side starts there; a second start of the opener's is a live_syn
    acks_syn,    ///< acknowledges the other side's SYN, and at most what that side has sent; else tcp_bad_ack
    challenge,   ///< an ACK without data that answers a SYN (RFC 5961 section 4); else tcp_bad_ack
    quiet,       ///< passes, but is no sign of life: anyone can forge it
    live_syn,    ///< as quiet; the peer may agree to it (D2)
    repeated,    ///< a SYN-ACK within what this side has sent: passes as quiet; else tcp_bad_flags
    newer_syn,   ///< a SYN beyond the old connection reopens (RFC 6191); an older one: of the opener as live_syn
    rst,         ///< with the number that is waited for closes; in the window passes as quiet; else tcp_bad_rst
    rst_first,   ///< as rst, of a side whose peer has said nothing yet: with any other number passes as quiet
    rst_to_syn,  ///< a RST that answers our SYN acknowledges it (RFC 9293 3.10.7.3) and closes; else tcp_bad_rst
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

constexpr Rows rows_of(FlowPhase phase) {
    constexpr Cell bad_flags{P::free, C::bad_flags}, bad_ack{P::free, C::bad_ack}, dead{P::free, C::closed};
    constexpr Cell reopen{P::free, C::reopen}, reset{P::closed, C::rst};
    const Cell opens{phase, C::opens}, acks{phase, C::acks_syn}, stay{phase, C::window}, quiet{phase, C::quiet},
        live{phase, C::live_syn}, again{phase, C::repeated}, newer{phase, C::newer_syn};
    constexpr Cell ahead{P::syn_acked_ahead, C::acks_syn}, received{P::syn_received, C::acks_syn};
    constexpr Cell established{P::established, C::acks_syn};
    constexpr Cell first_fin_o{P::fin_wait_original, C::acks_syn}, first_fin_r{P::fin_wait_reply, C::acks_syn};
    constexpr Cell fin_o{P::fin_wait_original, C::window}, fin_r{P::fin_wait_reply, C::window};
    constexpr Cell both_fins{P::closing, C::window};
    switch (phase) {
        //                 SYN     SYN-ACK      ACK, data    FIN          RST
        case P::syn_sent:
            return {
                {{opens, bad_flags, bad_ack, bad_flags, {P::closed, C::rst_first}}},
                {{{P::syn_crossed, C::opens}, received, {phase, C::challenge}, bad_flags, {P::closed, C::rst_to_syn}}}};
        case P::syn_crossed:
            return {{{opens, ahead, ahead, bad_flags, reset}},  //
                    {{opens, received, received, bad_flags, reset}}};
        case P::syn_acked_ahead:
            return {{{quiet, acks, acks, first_fin_o, reset}}, {{quiet, established, established, first_fin_r, reset}}};
        case P::syn_received:
            return {{{live, established, established, first_fin_o, reset}},
                    {{bad_flags, acks, acks, first_fin_r, reset}}};
        case P::established:
            return {{{live, again, stay, fin_o, reset}},  //
                    {{bad_flags, again, stay, fin_r, reset}}};
        case P::fin_wait_original:
            return {{{live, again, stay, stay, reset}},  //
                    {{bad_flags, again, stay, both_fins, reset}}};
        case P::fin_wait_reply:
            return {{{live, again, stay, both_fins, reset}},  //
                    {{bad_flags, again, stay, stay, reset}}};
        case P::closing:
            return {{{live, again, stay, stay, reset}},  //
                    {{bad_flags, again, stay, stay, reset}}};
        case P::time_wait:
            return {{{newer, again, stay, stay, reset}},  //
                    {{newer, again, stay, stay, reset}}};
        case P::closed:
            return {{{reopen, dead, dead, dead, dead}},  //
                    {{reopen, dead, dead, dead, dead}}};
        default:
            return {{{bad_flags, bad_flags, bad_flags, bad_flags, bad_flags}},
                    {{bad_flags, bad_flags, bad_flags, bad_flags, bad_flags}}};
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

constexpr TcpResult dropped(DropReason reason) noexcept {
    return {.outcome = TcpOutcome::drop, .reason = reason, .refreshes = false};
}
constexpr TcpResult passed(FlowPhase next) noexcept { return {.outcome = TcpOutcome::pass, .next = next}; }
constexpr TcpResult passed_quietly(FlowPhase phase, std::uint8_t notes = 0) noexcept {
    return {.outcome = TcpOutcome::pass, .next = phase, .refreshes = false, .notes = notes};
}
constexpr TcpResult reopened() noexcept { return {.outcome = TcpOutcome::reopen, .refreshes = false}; }

/// While a side opens, seq_acked is the first number that may acknowledge its SYN.
bool acks_syn_of(const FlowHot& flow, Direction side, std::uint32_t ack) noexcept {
    const std::uint32_t first = flow.seq_acked[index(side)];
    return ack - first <= flow.seq_end[index(side)] - first;
}

/// A SYN that belongs to the handshake sets where its side starts. Sent again it may lack what it had before: data
/// (Fast Open gives up on them) and options. The peer may still answer the first.
void learn_syn(FlowHot& flow, Direction from, const TcpSegment& s) noexcept {
    const std::size_t me = index(from);
    const bool again = flow.seq_acked[me] == s.seq + 1;
    const std::uint32_t end = tcp_end(s);
    if (!again || beyond(end, flow.seq_end[me])) flow.seq_end[me] = end;
    flow.seq_acked[me] = s.seq + 1;
    flow.window_max[me] = s.window;
    const bool offered = s.wscale < kNoScale;
    if (offered || !again) set_window_scale(flow, from, offered ? s.wscale : kNoScale);
}

bool both_scale(const FlowHot& flow) noexcept {
    return window_scale(flow, Direction::original) != kNoScale && window_scale(flow, Direction::reply) != kNoScale;
}

/// The handshake is over: windows count in the units that both have agreed on, or in bytes if one has not (RFC 7323
/// section 2.2). What the SYNs offered is rounded up to the unit.
void settle_windows(FlowHot& flow) noexcept {
    if (!both_scale(flow)) {
        flow.window_scales = 0;
        return;
    }
    for (const Direction d : {Direction::original, Direction::reply}) {
        const unsigned scale = window_scale(flow, d);
        flow.window_max[index(d)] =
            static_cast<std::uint16_t>((flow.window_max[index(d)] + (1U << scale) - 1) >> scale);
    }
}

/// The window of a segment behind the SYNs, in bytes as far as they fit: how it is kept while the flow still opens.
std::uint16_t opening_window(const FlowHot& flow, Direction from, const TcpSegment& s) noexcept {
    const std::uint32_t bytes = std::uint32_t{s.window} << (both_scale(flow) ? window_scale(flow, from) : 0);
    return static_cast<std::uint16_t>(std::min<std::uint32_t>(bytes, std::numeric_limits<std::uint16_t>::max()));
}

constexpr std::uint8_t fin_flag(Direction d) noexcept {
    return d == Direction::original ? flow_flag::fin_original : flow_flag::fin_reply;
}
constexpr std::uint8_t fin_acked_flag(Direction d) noexcept {
    return d == Direction::original ? flow_flag::fin_acked_original : flow_flag::fin_acked_reply;
}

/// The phase that follows, once numbers are learned.
FlowPhase note_close(FlowHot& flow, Direction from, Kind kind, FlowPhase next) noexcept {
    if (kind == Kind::fin) flow.set(fin_flag(from));
    const Direction peer = opposite(from);
    if (flow.has(fin_flag(peer)) && flow.seq_acked[index(peer)] == flow.seq_end[index(peer)]) {
        flow.set(fin_acked_flag(peer));
    }
    const bool both = flow.has(flow_flag::fin_acked_original) && flow.has(flow_flag::fin_acked_reply);
    return next == FlowPhase::closing && both ? FlowPhase::time_wait : next;
}

/// Where windows are not enforced, an acknowledgement may be ahead of what we have seen: it was sent, then. And what
/// was sent may run ahead of acknowledgements that take another way: no more than the largest window is kept open, so
/// that the two can still be compared.
void learn_unchecked(FlowHot& flow, Direction from, const TcpSegment& s) noexcept {
    const std::size_t me = index(from), peer = index(opposite(from));
    window_learn(flow, from, tcp_end(s), s.ack, s.window);
    if (beyond(flow.seq_acked[peer], flow.seq_end[peer])) flow.seq_end[peer] = flow.seq_acked[peer];
    if (flow.seq_end[me] - flow.seq_acked[me] > kWindowBytesMax)
        flow.seq_acked[me] = flow.seq_end[me] - kWindowBytesMax;
}

/// The segment lies in what its side has sent, and not too far back.
bool is_repeated(const FlowHot& flow, Direction from, const TcpSegment& s) noexcept {
    const std::size_t me = index(from);
    const std::uint32_t history = std::max(window_bytes(flow, opposite(from)), kHistoryBytesMin);
    return tcp_end(s) - flow.seq_acked[me] + history <= history + (flow.seq_end[me] - flow.seq_acked[me]);
}

constexpr DropReason reason_of(WindowFit fit) noexcept {
    return fit == WindowFit::bad_ack ? DropReason::tcp_bad_ack : DropReason::tcp_out_of_window;
}
constexpr bool is_violation(WindowFit fit) noexcept { return fit >= WindowFit::out_of_window; }

/// ACK, data or FIN of a flow behind its handshake.
TcpResult check_window(FlowHot& flow, Direction from, Kind kind, const TcpSegment& s, FlowPhase next,
                       SeqCheck check) noexcept {
    TcpResult result = passed(next);
    if (flow.window_scales == kScalesUnknown || check == SeqCheck::off) {
        if (check != SeqCheck::off) result.notes = tcp_note::window_unknown;
        learn_unchecked(flow, from, s);
    } else {
        const WindowFit fit =
            window_fit(flow, from, tcp_end(s), s.ack, window_bytes(flow, from), window_bytes(flow, opposite(from)));
        if (is_violation(fit)) {
            if (check == SeqCheck::strict) return dropped(reason_of(fit));
            result.notes = tcp_note::violation;
            result.reason = reason_of(fit);
            learn_unchecked(flow, from, s);
        } else {
            if (fit == WindowFit::overshoots) result.notes = tcp_note::overshoot;
            window_learn(flow, from, tcp_end(s), s.ack, s.window);
        }
    }
    result.next = note_close(flow, from, kind, next);
    return result;
}

/// A segment that ends its side's part of the handshake, or repeats it. Always strict: it names a number that only who
/// has seen the other side's SYN can know.
TcpResult check_handshake(FlowHot& flow, Direction from, Kind kind, const TcpSegment& s, FlowPhase next) noexcept {
    const Direction peer = opposite(from);
    if (!acks_syn_of(flow, peer, s.ack)) return dropped(DropReason::tcp_bad_ack);
    TcpResult result = passed(next);
    if (kind == Kind::syn_ack) {
        // Crossed SYNs: the original side has named its number already. The reply side may answer a repeated SYN with
        // another number, as long as nobody has acknowledged the first.
        if (from == Direction::reply) {
            learn_syn(flow, from, s);
        } else if (!is_repeated(flow, from, s)) {
            return dropped(DropReason::tcp_bad_flags);
        }
        flow.seq_acked[index(peer)] = s.ack;
        if (!is_opening(next)) settle_windows(flow);
        return result;
    }
    const WindowFit fit = window_fit(flow, from, tcp_end(s), s.ack, window_bytes(flow, from), window_bytes(flow, peer));
    if (is_violation(fit)) return dropped(reason_of(fit));
    if (fit == WindowFit::overshoots) result.notes = tcp_note::overshoot;
    if (is_opening(next)) {
        window_learn(flow, from, tcp_end(s), s.ack, opening_window(flow, from, s));
    } else {
        settle_windows(flow);
        window_learn(flow, from, tcp_end(s), s.ack, s.window);
    }
    result.next = note_close(flow, from, kind, next);
    return result;
}

/// The receiver waits for what it acknowledged last, or, if nothing was lost, for what was sent last (RFC 5961 section
/// 3.2). The first of the two is where a RST stands that comes before a gap (CASES T13).
bool rst_is_exact(const FlowHot& flow, Direction from, std::uint32_t seq) noexcept {
    return seq == flow.seq_acked[index(from)] || seq == flow.seq_end[index(from)];
}

TcpResult check_rst(const FlowHot& flow, Direction from, const TcpSegment& s, SeqCheck check) noexcept {
    const std::size_t me = index(from);
    if (rst_is_exact(flow, from, s.seq)) return passed(FlowPhase::closed);
    // A host that has forgotten the connection answers the SYN that came again, as if there had been no SYN-ACK.
    const bool to_syn = is_opening(flow.phase) && from == Direction::reply && (s.flags & kAck) != 0;
    if (to_syn && acks_syn_of(flow, Direction::original, s.ack)) return passed(FlowPhase::closed);
    const bool unknown = !is_opening(flow.phase) && flow.window_scales == kScalesUnknown;
    if (!unknown && check != SeqCheck::off) {
        const std::uint32_t sent = flow.seq_end[me] - flow.seq_acked[me];
        const std::uint32_t waited_for = std::max(window_bytes(flow, opposite(from)), sent);
        if (s.seq - flow.seq_acked[me] > waited_for) {
            if (check == SeqCheck::strict) return dropped(DropReason::tcp_bad_rst);
            TcpResult result = passed_quietly(flow.phase, tcp_note::violation);
            result.reason = DropReason::tcp_bad_rst;
            return result;
        }
    }
    // Behind both FINs nobody keeps count any more, and one that is a little off is usual (CASES T14).
    const bool over = flow.phase == FlowPhase::closing || flow.phase == FlowPhase::time_wait;
    return passed_quietly(flow.phase, over ? 0 : tcp_note::inexact_rst);
}

}  // namespace

bool tcp_opens(std::uint8_t flags) noexcept { return (flags & (kSyn | kAck | kRst | kFin)) == kSyn; }

bool tcp_picks_up(std::uint8_t flags) noexcept { return (flags & (kSyn | kAck | kRst | kFin)) == kAck; }

void tcp_open(FlowHot& flow, const TcpSegment& syn) noexcept {
    flow.window_scales = kScalesUnknown;  // nobody has offered any yet
    learn_syn(flow, Direction::original, syn);
}

void tcp_pick_up(FlowHot& flow, const TcpSegment& s) noexcept {
    flow.window_scales = kScalesUnknown;
    flow.seq_end = {tcp_end(s), s.ack};
    flow.seq_acked = {s.seq, s.ack};
    flow.window_max = {s.window, 0};
}

TcpSegment tcp_reply_start(const FlowHot& flow) noexcept {
    const std::size_t reply = index(Direction::reply);
    return {.flags = kSyn | kAck,
            .seq = flow.seq_acked[reply] - 1,
            .ack = flow.seq_acked[index(Direction::original)],
            .payload_bytes = flow.seq_end[reply] - flow.seq_acked[reply],
            .window = flow.window_max[reply],
            .wscale = window_scale(flow, Direction::reply)};
}

void tcp_restart_reply(FlowHot& flow, const TcpSegment& start) noexcept {
    learn_syn(flow, Direction::reply, start);
    flow.seq_acked[index(Direction::original)] = start.ack;
}

bool tcp_answers(const TcpSegment& syn, const TcpSegment& s) noexcept {
    return kind_of(s.flags) == Kind::syn_ack && s.ack - (syn.seq + 1) <= tcp_end(syn) - (syn.seq + 1);
}

bool tcp_is_of_this_handshake(const FlowHot& flow, const TcpSegment& syn, const TcpSegment& s) noexcept {
    if (is_opening(flow.phase)) return acks_syn_of(flow, Direction::original, s.ack);
    // One of the two may lack the option for a scale when it comes again (learn_syn), but not both, and it offers no
    // other.
    const bool scales = syn.wscale < kNoScale;
    const std::uint8_t agreed = scales ? static_cast<std::uint8_t>(syn.wscale | s.wscale << 4) : 0;
    const bool is_agreement = scales == (s.wscale < kNoScale) && flow.window_scales != kScalesUnknown;
    if (is_agreement && agreed != flow.window_scales) return false;
    const std::size_t original = index(Direction::original);
    const std::uint32_t history = std::max(window_bytes(flow, Direction::reply), kHistoryBytesMin);
    const bool acks_what_was_sent =
        s.ack - flow.seq_acked[original] + history <= history + (flow.seq_end[original] - flow.seq_acked[original]);
    return acks_what_was_sent && is_repeated(flow, Direction::reply, s);
}

bool tcp_refuses(const TcpSegment& syn, const TcpSegment& s) noexcept {
    constexpr std::uint8_t rst_ack = kRst | kAck;
    return (s.flags & rst_ack) == rst_ack && s.ack - (syn.seq + 1) <= tcp_end(syn) - (syn.seq + 1);
}

bool tcp_may_be_in_flight(const FlowHot& flow, Direction sender, std::uint32_t seq) noexcept {
    const bool unknown = !is_opening(flow.phase) && flow.window_scales == kScalesUnknown;
    if (unknown || flow.phase == FlowPhase::closed) return true;
    // What we have seen acknowledged may still be in flight for the sender: it lags by one window at most.
    const std::size_t me = index(sender);
    const std::uint32_t history = window_bytes(flow, opposite(sender));
    return seq - flow.seq_acked[me] + history <= history + (flow.seq_end[me] - flow.seq_acked[me]);
}

TcpResult tcp_advance(FlowHot& flow, Direction from, const TcpSegment& s, SeqCheck check) noexcept {
    if (tcp_goes_straight_on(flow, from, s.flags, s.seq, s.ack, s.payload_bytes, s.window)) [[likely]] {
        return passed(FlowPhase::established);
    }
    const Kind kind = kind_of(s.flags);
    const Cell cell = kTable[static_cast<std::size_t>(flow.phase)][index(from)][static_cast<std::size_t>(kind)];
    switch (cell.check) {
        case Check::window: return check_window(flow, from, kind, s, cell.next, check);
        case Check::opens:
            // Another number than the first: whichever is forged or given up, the peer will answer the true one too.
            if (from == Direction::original && s.seq + 1 != flow.seq_acked[index(from)]) {
                return passed_quietly(flow.phase, tcp_note::syn_on_live);
            }
            learn_syn(flow, from, s);
            return passed(cell.next);
        case Check::acks_syn: return check_handshake(flow, from, kind, s, cell.next);
        case Check::challenge:
            if (s.payload_bytes != 0) return dropped(DropReason::tcp_bad_ack);
            return passed_quietly(flow.phase);
        case Check::quiet: return passed_quietly(flow.phase);
        case Check::live_syn:
            // As long as it can be told: the flow's own SYN come again asks for nothing new.
            if (is_opening(flow.phase) && s.seq + 1 == flow.seq_acked[index(from)]) return passed_quietly(flow.phase);
            return passed_quietly(flow.phase, tcp_note::syn_on_live);
        case Check::repeated:
            if (!is_repeated(flow, from, s)) return dropped(DropReason::tcp_bad_flags);
            return passed_quietly(flow.phase);
        case Check::newer_syn:
            if (beyond(s.seq, flow.seq_end[index(from)])) return reopened();
            // Of the other side it would be a connection that no rule was asked about.
            if (from == Direction::reply) return dropped(DropReason::tcp_bad_flags);
            return passed_quietly(flow.phase, tcp_note::syn_on_live);
        case Check::rst: return check_rst(flow, from, s, check);
        case Check::rst_first:
            if (rst_is_exact(flow, from, s.seq)) return passed(FlowPhase::closed);
            return passed_quietly(flow.phase);
        case Check::rst_to_syn:
            if ((s.flags & kAck) == 0 || !acks_syn_of(flow, Direction::original, s.ack)) {
                return dropped(DropReason::tcp_bad_rst);
            }
            return passed(FlowPhase::closed);
        case Check::reopen: return reopened();
        case Check::bad_flags: break;
        case Check::bad_ack: return dropped(DropReason::tcp_bad_ack);
        case Check::closed: return dropped(DropReason::tcp_closed);
    }
    return dropped(DropReason::tcp_bad_flags);
}

}  // namespace sluice::dp
