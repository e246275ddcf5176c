/// The hosts behind the ports: 24 conversations of all protocols that we track, over both wires, in both directions and
/// both families. A TCP end answers only what has reached it; one that was cut starts again from another port, of which
/// there are few, so that its SYN may meet a flow that lives; one that has ended starts again from the same port with
/// higher numbers (CASES T27). What networks and attackers do to such well-formed conversations are mutations.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

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

enum class Mutation : std::uint8_t {
    again,    ///< something that was said before
    swapped,  ///< two packets, the later one first
    lost,     ///< one that the other end has got on another way, or never
    forged,   ///< TCP and SCTP with numbers, tags and flags that are right, or nearly
    flood,    ///< first packets from many ports
};
inline constexpr std::uint32_t kMutations = 5;

class Traffic {
public:
    /// The next packet of a conversation; `choice` says which of those that may come. Nothing: it waits for an answer.
    std::optional<Letter> next(std::size_t conversation, std::uint32_t choice);
    /// What arrives, in this order.
    std::vector<Letter> mutated(std::size_t conversation, Mutation mutation, std::uint32_t choice);
    Letter noise(std::size_t conversation, Noise noise) const;

    /// What became of a packet, by its sender. `cut`: it was dropped, and not just behind the firewall.
    void hear(const Letter& letter, bool cut);
    /// It never left its host, or was lost with a dataplane that crashed.
    void lose(const Letter& letter);

    static std::size_t worker_of(std::size_t conversation, std::size_t workers) {
        return conversation * 7 / 3 % workers;
    }

private:
    enum class Stage : std::uint8_t { none, syn, syn_ack, cookie, open, fin, fin_acked, both_fins, ended, reset };
    struct Talk {
        Stage stage{};
        bool cut{}, client_closes{};
        std::uint32_t in_flight{};
        std::uint32_t incarnation{};
        std::array<std::uint32_t, 2> next_seq{};  ///< by client and server; of SCTP: the tags that they name
    };
    std::optional<Letter> next_other(std::size_t c, std::uint32_t choice);
    std::vector<Letter> flood(std::size_t c, std::uint32_t choice) const;
    Letter forged(std::size_t c, std::uint32_t choice) const;
    Letter forged_sctp(std::size_t c, std::uint32_t choice) const;
    std::optional<Letter> next_sctp(std::size_t c, std::uint32_t choice);
    std::optional<Letter> next_tcp(std::size_t c, std::uint32_t choice);
    std::array<Talk, kConversations> talks_{};
    std::array<std::deque<Letter>, kConversations> said_;  ///< lately
};

std::string to_text(const Letter& letter);

}  // namespace sluice::sim
