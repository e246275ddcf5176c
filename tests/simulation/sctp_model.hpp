/// What an SCTP association seen from between its ends is held against: an if for every sentence of RFC 9260 and of the
/// decisions of the cases, without a type or a line of the product. Beside tcp_model.hpp, which is the same for TCP; as
/// there, no time. One chunk per packet.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

namespace sluice::sim {

struct SctpSegment {
    enum class Kind : std::uint8_t {
        init,
        init_ack,
        cookie_echo,
        cookie_ack,
        data,
        shutdown,
        shutdown_ack,
        shutdown_complete,
        abort,
    };
    Kind kind{};
    std::uint32_t tag{};       ///< verification tag; 0 with an INIT, and never else
    std::uint32_t init_tag{};  ///< of INIT and INIT ACK: what the other side's packets shall carry
    bool reflected{};          ///< T bit: the tag is the one that its sender was sent
};

class SctpModel {
public:
    enum class State : std::uint8_t { init, init_acked, cookie_echoed, established, shutdown, closed };
    struct Answer {
        std::string what;  ///< "pass", "reopen", or the drop reason
        bool sign_of_life{};
    };

    void open(const SctpSegment& init) { of(1).tag = init.init_tag; }
    void pick_up(const SctpSegment& data) {
        state_ = State::established;
        of(0).tag = data.tag;
    }
    Answer judge(const SctpSegment& s, int from);  ///< from: 0 original, 1 reply
    /// A packet of this side with this tag may have been sent: what an ICMP error quotes.
    bool may_have_sent(std::uint32_t tag, int side) const;
    State state() const { return state_; }

private:
    /// What packets of one direction carry.
    struct Direction {
        std::optional<std::uint32_t> tag;    ///< of the association
        std::optional<std::uint32_t> other;  ///< of one that may be about to begin
    };
    Direction& of(int direction) { return directions_[static_cast<std::size_t>(direction)]; }
    const Direction& of(int direction) const { return directions_[static_cast<std::size_t>(direction)]; }
    bool opening() const { return state_ < State::established; }
    void name(int direction, std::uint32_t tag);
    void take_other(int direction);
    Answer on_init(const SctpSegment& s, int from);
    Answer on_cookie_ack(int from, bool own);

    State state_{State::init};
    std::array<Direction, 2> directions_{};
};

}  // namespace sluice::sim
