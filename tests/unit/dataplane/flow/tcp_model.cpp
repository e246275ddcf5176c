#include "tests/unit/dataplane/flow/tcp_model.hpp"

#include <algorithm>

namespace sluice::test {

namespace {

constexpr std::int64_t kCircle = std::int64_t{1} << 32;

ModelAnswer drop(const char* reason) { return {reason, false, ""}; }
ModelAnswer pass(bool sign_of_life, const char* notes = "") { return {"pass", sign_of_life, notes}; }

std::int64_t length(const ModelSegment& s) { return std::int64_t{s.payload} + (s.syn ? 1 : 0) + (s.fin ? 1 : 0); }

}  // namespace

/// The number on the wire that is nearest to one that we know.
std::int64_t TcpModel::unwrap(std::uint32_t number, std::int64_t near) {
    std::int64_t best = (near / kCircle - 2) * kCircle + number;
    while (best < near - kCircle / 2) best += kCircle;
    return best;
}

void TcpModel::open(const ModelSegment& syn) {
    state_ = State::syn_sent;
    learn_syn(syn, 0);
}

void TcpModel::pick_up(const ModelSegment& s) {
    state_ = State::established;
    scales_known_ = false;
    sides_[0].known = sides_[1].known = true;
    sides_[0].unacked = s.seq;
    sides_[0].next = s.seq + length(s);
    sides_[0].offered = s.window;
    sides_[1].unacked = sides_[1].next = s.ack_number;
}

std::int64_t TcpModel::window_for(int sender) const {
    const Side& receiver = sides_[1 - sender];
    // RFC 9293 3.8.6.1: a probe passes a closed window. Behind the handshake the smallest thing is a unit of the scale.
    std::int64_t least = 1;
    if (!opening()) {
        const int scale = !scales_known_ ? 15 : std::max(0, receiver.scale);
        least = std::int64_t{1} << scale;
        if (!scales_known_) {
            const std::int64_t bytes = receiver.offered << scale;
            return bytes > least ? bytes : least;
        }
    }
    return receiver.offered > least ? receiver.offered : least;
}

/// How far back what was acknowledged may come again: a window, and at least 132,000 bytes (CASES T18).
std::int64_t TcpModel::history_for(int sender) const {
    const std::int64_t window = window_for(sender);
    return window > 132'000 ? window : 132'000;
}

bool TcpModel::acks_syn_of(int side, std::uint32_t ack) const {
    const Side& one = sides_[side];
    if (!one.known) return ack == 0;  // nothing seen counts from nothing
    const std::int64_t number = unwrap(ack, one.unacked);
    return number >= one.unacked && number <= one.next;
}

bool TcpModel::lies_in_what_was_sent(const ModelSegment& s, int from) const {
    const Side& me = sides_[from];
    const std::int64_t end = unwrap(static_cast<std::uint32_t>(s.seq + length(s)), me.unacked);
    return end >= me.unacked - history_for(from) && end <= me.next;
}

bool TcpModel::of_this_handshake(const ModelSegment& syn, const ModelSegment& s) const {
    if (opening()) return acks_syn_of(0, s.ack_number);
    const Side& opener = sides_[0];
    // A connection keeps its scales for life; these two would agree on others.
    const bool known = scales_known_ && (opener.scale >= 0 || sides_[1].scale >= 0);
    if (known && syn.wscale >= 0 && s.wscale >= 0) {
        if (syn.wscale != opener.scale || s.wscale != sides_[1].scale) return false;
    }
    if (known && syn.wscale < 0 && s.wscale < 0) {
        if (opener.scale != 0 || sides_[1].scale != 0) return false;
    }
    const std::int64_t ack = unwrap(s.ack_number, opener.unacked);
    return ack >= opener.unacked - history_for(0) && ack <= opener.next && lies_in_what_was_sent(s, 1);
}

void TcpModel::learn_syn(const ModelSegment& s, int from) {
    Side& me = sides_[from];
    const std::int64_t first = s.seq + std::int64_t{1};
    const std::int64_t end = s.seq + length(s);
    const bool again = me.known && static_cast<std::uint32_t>(me.unacked) == static_cast<std::uint32_t>(first);
    if (again) {
        const std::int64_t shift = me.unacked - first;
        if (end + shift > me.next) me.next = end + shift;
        if (s.wscale >= 0) me.scale = s.wscale;
    } else {
        me.unacked = first;
        me.next = end;
        me.scale = s.wscale;
    }
    me.known = true;
    me.offered = s.window;  // RFC 7323 2.2: the window of a SYN is never scaled
}

/// RFC 7323 2.2: scaling is in effect only if both have sent the option.
void TcpModel::agree_on_windows() {
    if (sides_[0].scale < 0 || sides_[1].scale < 0) sides_[0].scale = sides_[1].scale = 0;
    for (Side& side : sides_) {
        const std::int64_t unit = std::int64_t{1} << side.scale;
        side.offered = (side.offered + unit - 1) / unit * unit;
    }
}

void TcpModel::learn(const ModelSegment& s, int from) {
    Side& me = sides_[from];
    Side& peer = sides_[1 - from];
    const std::int64_t end = unwrap(static_cast<std::uint32_t>(s.seq + length(s)), me.unacked);
    const std::int64_t ack = unwrap(s.ack_number, peer.unacked);
    if (end > me.next) me.next = end;
    if (ack > peer.unacked) peer.unacked = ack;
    std::int64_t offer = s.window;
    if (opening()) {
        if (sides_[0].scale >= 0 && sides_[1].scale >= 0) offer <<= me.scale;
        if (offer > 65535) offer = 65535;
    } else if (scales_known_) {
        offer <<= me.scale;
    }
    if (offer > me.offered) me.offered = offer;
}

/// FINs and what becomes of the state, once a segment has passed.
void TcpModel::after(const ModelSegment& s, int from) {
    Side& me = sides_[from];
    Side& peer = sides_[1 - from];
    if (s.fin) {
        me.fin = true;
        if (from == 0) {
            if (state_ == State::fin_wait_reply) {
                state_ = State::closing;
            } else if (state_ < State::fin_wait_original) {
                state_ = State::fin_wait_original;
            }
        } else {
            if (state_ == State::fin_wait_original) {
                state_ = State::closing;
            } else if (state_ < State::fin_wait_original) {
                state_ = State::fin_wait_reply;
            }
        }
    }
    if (peer.fin && static_cast<std::uint32_t>(peer.unacked) == static_cast<std::uint32_t>(peer.next)) {
        peer.fin_acked = true;
    }
    if (state_ == State::closing && me.fin_acked && peer.fin_acked) state_ = State::time_wait;
}

/// Why the segment's numbers are wrong; empty: they are not.
std::string TcpModel::misfit(const ModelSegment& s, int from, bool& overshoot) const {
    const Side& me = sides_[from];
    const Side& peer = sides_[1 - from];
    const std::int64_t end = unwrap(static_cast<std::uint32_t>(s.seq + length(s)), me.unacked);
    const std::int64_t window = window_for(from);
    if (end < me.unacked - history_for(from)) return "tcp_out_of_window";
    if (end > me.unacked + 2 * window) return "tcp_out_of_window";
    const std::int64_t ack = unwrap(s.ack_number, peer.unacked);
    // RFC 5961 5.2: SND.UNA - MAX.SND.WND <= SEG.ACK <= SND.NXT
    if (ack < peer.unacked - history_for(1 - from)) return "tcp_bad_ack";
    if (ack > peer.next) return "tcp_bad_ack";
    overshoot = end > me.unacked + window;
    return "";
}

ModelAnswer TcpModel::judge(const ModelSegment& s, int from) {
    if (state_ == State::closed) {
        if (s.syn && !s.ack && !s.rst) return {"reopen", false, ""};
        return drop("tcp_closed");
    }
    if (s.rst) return on_reset(s, from);
    if (s.syn && !s.ack) return on_syn(s, from);
    if (s.syn) return on_syn_ack(s, from);
    if (state_ == State::syn_sent) {
        if (s.fin) return drop("tcp_bad_flags");
        if (from == 0) return drop("tcp_bad_ack");
        // RFC 5961 4.2: a host that still knows an old connection answers a SYN with an ACK.
        if (s.payload != 0) return drop("tcp_bad_ack");
        return pass(false);
    }
    if (state_ == State::syn_crossed && s.fin) return drop("tcp_bad_flags");
    if (opening()) return on_handshake(s, from);
    return on_segment(s, from);
}

ModelAnswer TcpModel::on_syn(const ModelSegment& s, int from) {
    if (state_ == State::time_wait) {
        // RFC 9293 3.6.1, RFC 6191: a number beyond the old connection's.
        if (unwrap(s.seq, sides_[from].next) > sides_[from].next) return {"reopen", false, ""};
        // Of the reply's side it would be a connection that no rule was asked about (D2).
        return from == 0 ? pass(false, "live") : drop("tcp_bad_flags");
    }
    if (state_ == State::syn_sent || state_ == State::syn_crossed) {
        // Another number than the opener's first: one of the two is forged or given up, and nobody can say which.
        if (from == 0 && s.seq + 1 != static_cast<std::uint32_t>(sides_[0].unacked)) return pass(false, "live");
        learn_syn(s, from);
        if (from == 1) state_ = State::syn_crossed;  // RFC 9293 3.5: simultaneous open
        return pass(true);
    }
    if (state_ == State::syn_acked_ahead) return pass(false);
    if (from == 1) return drop("tcp_bad_flags");
    // The flow's own SYN, not yet acknowledged beyond: it begins nothing.
    if (opening() && s.seq + 1 == static_cast<std::uint32_t>(sides_[0].unacked)) return pass(false);
    return pass(false, "live");  // RFC 5961 4.2: the peer answers it, we do nothing
}

ModelAnswer TcpModel::on_syn_ack(const ModelSegment& s, int from) {
    if (!opening()) {
        if (!lies_in_what_was_sent(s, from)) return drop("tcp_bad_flags");
        return pass(false);
    }
    if (state_ == State::syn_sent && from == 0) return drop("tcp_bad_flags");
    if (!acks_syn_of(1 - from, s.ack_number)) return drop("tcp_bad_ack");
    if (from == 0) {
        if (!lies_in_what_was_sent(s, from)) return drop("tcp_bad_flags");
    } else {
        learn_syn(s, from);
    }
    Side& peer = sides_[1 - from];
    peer.unacked = unwrap(s.ack_number, peer.unacked);
    if (from == 0) {
        if (state_ == State::syn_crossed) {
            state_ = State::syn_acked_ahead;
        } else if (state_ == State::syn_received) {
            state_ = State::established;
        }
    } else {
        if (state_ == State::syn_sent || state_ == State::syn_crossed) {
            state_ = State::syn_received;
        } else if (state_ == State::syn_acked_ahead) {
            state_ = State::established;
        }
    }
    if (!opening()) agree_on_windows();
    return pass(true);
}

ModelAnswer TcpModel::on_reset(const ModelSegment& s, int from) {
    const Side& me = sides_[from];
    if (from == 1 && state_ == State::syn_sent) {
        // RFC 9293 3.10.7.3: in SYN-SENT a RST is acceptable if its ACK is.
        if (s.ack && acks_syn_of(0, s.ack_number)) {
            state_ = State::closed;
            return pass(true);
        }
        return drop("tcp_bad_rst");
    }
    // RFC 5961 3.2: exactly RCV.NXT. Of the receiver we know what it acknowledged, and what was sent to it.
    const bool waited_for = s.seq == static_cast<std::uint32_t>(me.unacked);
    const bool sent_last = s.seq == static_cast<std::uint32_t>(me.next);
    if (waited_for || sent_last) {
        state_ = State::closed;
        return pass(true);
    }
    if (from == 0 && state_ == State::syn_sent) return pass(false);
    if (from == 1 && opening() && s.ack && acks_syn_of(0, s.ack_number)) {
        state_ = State::closed;
        return pass(true);
    }
    const bool checked = scales_known_ && mode_ != Mode::off;
    if (checked) {
        const std::int64_t seq = unwrap(s.seq, me.unacked);
        std::int64_t last = me.unacked + window_for(from);
        if (me.next > last) last = me.next;
        if (seq < me.unacked || seq > last) {
            if (mode_ == Mode::log) return pass(false, "violation tcp_bad_rst");
            return drop("tcp_bad_rst");
        }
    }
    if (state_ == State::closing || state_ == State::time_wait) return pass(false);
    return pass(false, "inexact");
}

/// ACK, data or FIN of a flow that still opens.
ModelAnswer TcpModel::on_handshake(const ModelSegment& s, int from) {
    if (!acks_syn_of(1 - from, s.ack_number)) return drop("tcp_bad_ack");
    bool overshoot = false;
    const std::string why = misfit(s, from, overshoot);
    if (!why.empty()) return {why, false, ""};
    const State before = state_;
    if (before == State::syn_crossed) state_ = from == 0 ? State::syn_acked_ahead : State::syn_received;
    if (before == State::syn_received && from == 0) state_ = State::established;
    if (before == State::syn_acked_ahead && from == 1) state_ = State::established;
    if (s.fin) state_ = State::established;  // `after` goes on from here
    if (!opening()) agree_on_windows();
    learn(s, from);
    after(s, from);
    return pass(true, overshoot ? "overshoot" : "");
}

/// RFC 9293 3.10.7.4, as far as somebody in the middle can.
ModelAnswer TcpModel::on_segment(const ModelSegment& s, int from) {
    bool overshoot = false;
    std::string notes;
    bool checked = false;
    if (mode_ == Mode::off) {
        notes = "";
    } else if (!scales_known_) {
        notes = "unknown";
    } else {
        checked = true;
        const std::string why = misfit(s, from, overshoot);
        if (!why.empty()) {
            if (mode_ == Mode::strict) return {why, false, ""};
            notes = "violation " + why;
            checked = false;
        } else if (overshoot) {
            notes = "overshoot";
        }
    }
    learn(s, from);
    if (!checked) {
        Side& me = sides_[from];
        Side& peer = sides_[1 - from];
        if (peer.unacked > peer.next) peer.next = peer.unacked;
        // RFC 7323 2.3: nobody has more than 2^30 bytes in flight.
        constexpr std::int64_t most = std::int64_t{1} << 30;
        if (me.next - me.unacked > most) me.unacked = me.next - most;
    }
    after(s, from);
    return {"pass", true, notes};
}

}  // namespace sluice::test
