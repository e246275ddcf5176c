/// What the TCP tracker is held against: a slow, obvious one, written from the text of the RFCs and from the decisions
/// of the cases, with sequence numbers that never wrap (64 bit, counted from the first that was seen), windows in
/// bytes, and an if for every sentence. It shares no code and no type with the product. Not modelled: time.
#pragma once

#include <cstdint>
#include <string>

namespace sluice::test {

struct ModelSegment {
    bool syn{}, ack{}, fin{}, rst{};
    std::uint32_t seq{}, ack_number{}, payload{};
    std::uint16_t window{};
    int wscale{-1};  ///< -1: no option
};

struct ModelAnswer {
    std::string what;     ///< "pass", "reopen", or the drop reason
    bool sign_of_life{};  ///< with pass
    std::string notes;    ///< with pass: words in a fixed order
    bool operator==(const ModelAnswer&) const = default;
};

class TcpModel {
public:
    enum class Mode { strict, log, off };
    enum class State {
        syn_sent,
        syn_crossed,
        syn_acked_ahead,
        syn_received,
        established,
        fin_wait_original,
        fin_wait_reply,
        closing,
        time_wait,
        closed,
    };
    /// One end: what it has sent, and how it receives. Numbers are unwrapped.
    struct Side {
        bool known{};            ///< a number of it was seen
        std::int64_t next{};     ///< SND.NXT, as far as seen
        std::int64_t unacked{};  ///< SND.UNA: the highest acknowledgement of the other end
        std::int64_t offered{};  ///< the largest receive window, in bytes
        int scale{-1};           ///< -1: not offered
        bool fin{}, fin_acked{};
    };

    /// Where the side that is asked began, as it has said last: its number, and what it acknowledged by that.
    struct Start {
        Side side{};
        std::int64_t acknowledged{};
        std::uint32_t first_number() const { return static_cast<std::uint32_t>(side.unacked - 1); }
    };

    explicit TcpModel(Mode mode) : mode_{mode} {}
    void open(const ModelSegment& syn);
    void pick_up(const ModelSegment& segment);
    ModelAnswer judge(const ModelSegment& segment, int from);  ///< from: 0 original, 1 reply

    /// Until the opener acknowledges one of them, a server may have named several numbers; which of them it was shows
    /// later.
    Start reply_start() const { return {sides_[1], sides_[0].unacked}; }
    void restart_reply(const Start& start) {
        sides_[1] = start.side;
        sides_[0].unacked = start.acknowledged;
    }

    /// A SYN-ACK of the side that is asked, to the opener's SYN of this connection, or seen before: not one to `syn`.
    bool of_this_handshake(const ModelSegment& syn, const ModelSegment& s) const;

    State state() const { return state_; }
    bool opening() const { return state_ <= State::syn_received; }
    /// Picked up in mid-stream: nobody knows how the windows are scaled.
    bool windows_unknown() const { return !scales_known_; }
    const Side& side(int which) const { return sides_[which]; }
    /// What W of the window checks is, for the data of `sender`.
    std::int64_t window_for(int sender) const;

private:
    static std::int64_t unwrap(std::uint32_t number, std::int64_t near);
    std::int64_t history_for(int sender) const;
    bool acks_syn_of(int side, std::uint32_t ack) const;
    bool lies_in_what_was_sent(const ModelSegment& s, int from) const;
    void learn_syn(const ModelSegment& s, int from);
    void agree_on_windows();
    void learn(const ModelSegment& s, int from);
    void after(const ModelSegment& s, int from);
    std::string misfit(const ModelSegment& s, int from, bool& overshoot) const;
    ModelAnswer on_syn(const ModelSegment& s, int from);
    ModelAnswer on_syn_ack(const ModelSegment& s, int from);
    ModelAnswer on_reset(const ModelSegment& s, int from);
    ModelAnswer on_handshake(const ModelSegment& s, int from);
    ModelAnswer on_segment(const ModelSegment& s, int from);

    Mode mode_;
    State state_{State::syn_sent};
    bool scales_known_{true};
    Side sides_[2]{};
};

}  // namespace sluice::test
