/// The hosts behind the ports: 24 conversations of all protocols that we track, over both wires, in both directions and
/// both families. A TCP end answers only what has reached it, so conversations are well-formed; one that was cut starts
/// again from another port, one that has ended starts again from the same with higher numbers (CASES T27).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "tests/simulation/letter.hpp"

namespace sluice::sim {

inline constexpr std::size_t kConversations = 24;

enum class Noise : std::uint8_t {
    wrong_checksum,
    truncated,
    vlan,
    fragment,
    ip_options,
    land,
    wrong_port,       ///< a packet of the original direction that arrives where it should leave
    related_error,    ///< an ICMP error about the conversation
    unrelated_error,  ///< one that quotes a packet whose sender it is not for
    arp,
    other_ethertype,
};
inline constexpr std::uint32_t kNoises = 11;

class Traffic {
public:
    /// The next packet of a conversation; `choice` says which of those that may come. Nothing: it waits for an answer.
    std::optional<Letter> next(std::size_t conversation, std::uint32_t choice);
    Letter noise(std::size_t conversation, Noise noise) const;

    /// What became of a packet, by its sender. `cut`: it was dropped, and not just behind the firewall.
    void hear(const Letter& letter, bool cut);
    /// It never left its host, or was lost with a dataplane that crashed.
    void lose(const Letter& letter);

    static std::size_t worker_of(std::size_t conversation, std::size_t workers) {
        return conversation * 7 / 3 % workers;
    }

private:
    enum class Stage : std::uint8_t { none, syn, syn_ack, open, fin, fin_acked, both_fins, ended, reset };
    struct Talk {
        Stage stage{};
        bool in_flight{}, cut{}, client_closes{};
        std::uint32_t incarnation{};
        std::array<std::uint32_t, 2> next_seq{};
    };
    std::optional<Letter> next_tcp(std::size_t c, std::uint32_t choice);
    std::array<Talk, kConversations> talks_{};
};

std::string to_text(const Letter& letter);

}  // namespace sluice::sim
