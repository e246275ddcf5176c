#include "tests/simulation/sctp_model.hpp"

namespace sluice::sim {

namespace {

using Kind = SctpSegment::Kind;

const SctpModel::Answer kLives{"pass", true}, kPasses{"pass", false}, kWrongTag{"sctp_bad_vtag", false},
    kWrongChunk{"sctp_bad_chunk", false};

}  // namespace

/// Section 5.2.1, 5.2.2: the first name is the association's, another one is remembered beside it.
void SctpModel::name(int direction, std::uint32_t tag) {
    Direction& d = of(direction);
    if (!d.tag) d.tag = tag;
    if (*d.tag != tag) d.other = tag;
}

void SctpModel::take_other(int direction) {
    Direction& d = of(direction);
    if (d.other) d.tag = d.other;
    d.other.reset();
}

SctpModel::Answer SctpModel::on_init(const SctpSegment& s, int from) {
    if (state_ == State::closed) return {"reopen", false};
    const int peer = 1 - from;
    if (!opening()) {
        // A restart or a forgery: nobody can say before the other side has answered. What an earlier one began is over;
        // the same one again begins nothing.
        if (of(peer).other == s.init_tag) return kPasses;
        of(peer).other = s.init_tag;
        of(from).other.reset();
        return kPasses;
    }
    name(peer, s.init_tag);
    return *of(peer).tag == s.init_tag ? kLives : kPasses;
}

SctpModel::Answer SctpModel::on_cookie_ack(int from, bool own) {
    const int peer = 1 - from;
    if (state_ == State::init || state_ == State::init_acked) return kWrongChunk;
    if (state_ == State::cookie_echoed) {
        if (!own) take_other(from);
        of(from).other.reset();
        of(peer).other.reset();
        state_ = State::established;
        return kLives;
    }
    if (own) return kPasses;
    // The association has been restarted, if both sides have named new tags.
    if (!of(peer).other) return kWrongChunk;
    take_other(from);
    take_other(peer);
    state_ = State::established;
    return kLives;
}

SctpModel::Answer SctpModel::judge(const SctpSegment& s, int from) {
    if (s.kind == Kind::init) return on_init(s, from);
    const int named = s.reflected ? 1 - from : from;
    bool own = of(named).tag == s.tag;
    if (!own && of(named).other != s.tag) {
        // Picked up in mid-stream, this side is heard for the first time.
        if (state_ != State::established || of(from).tag || s.kind != Kind::data) return kWrongTag;
        of(from).tag = s.tag;
        own = true;
    }
    if (state_ == State::closed) {
        // Whoever has lost the end of it may be told again.
        const bool ends = s.kind == Kind::shutdown_ack || s.kind == Kind::shutdown_complete || s.kind == Kind::abort;
        return own && ends ? kPasses : kWrongChunk;
    }
    switch (s.kind) {
        case Kind::init_ack:
            if (!opening()) {
                if (!own) of(1 - from).other = s.init_tag;
                return kPasses;
            }
            name(1 - from, s.init_tag);
            if (state_ == State::init) state_ = State::init_acked;
            return kLives;
        case Kind::cookie_echo:
            if (state_ == State::init) return kWrongChunk;
            if (!opening()) return kPasses;
            if (!own) take_other(from);
            state_ = State::cookie_echoed;
            return kLives;
        case Kind::cookie_ack: return on_cookie_ack(from, own);
        case Kind::abort:
            if (!own) return kPasses;  // the end of what never began
            state_ = State::closed;
            return kLives;
        case Kind::shutdown_complete:
            if (!own) return kPasses;
            if (state_ != State::shutdown) return kWrongChunk;
            state_ = State::closed;
            return kLives;
        default: break;
    }
    if (state_ == State::init || state_ == State::init_acked) return kWrongChunk;  // nothing to say before the cookie
    if (!own) return kPasses;
    if (s.kind != Kind::data && !opening()) state_ = State::shutdown;  // section 9.2
    return kLives;
}

bool SctpModel::may_have_sent(std::uint32_t tag, int side) const {
    if (tag == 0) return opening() || of(1 - side).other.has_value();  // an INIT
    return !of(side).tag || of(side).tag == tag || of(side).other == tag;
}

}  // namespace sluice::sim
