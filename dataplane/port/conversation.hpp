/// What a TCP conversation of the memory source says in a given round: a pure function of round and flow number, so
/// that ten million of them need no memory.
///
/// Rounds 0 to 2 are the handshake: SYN, SYN-ACK, ACK. From then on each side speaks every other round, six bytes at a
/// time (or as many as its frames have room for), and acknowledges all that the other has sent (RFC 9293 section 3.8):
/// half of the flows in each direction in any round. In flight is never more than one segment, so every number stays
/// inside any window.
#pragma once

#include <cstdint>

namespace sluice::dp {

inline constexpr std::uint64_t kHandshakeRounds = 3;
inline constexpr std::uint32_t kPayloadBytes = 6;  ///< fills a frame of 60 bytes

struct ConversationSegment {
    std::uint32_t seq{}, ack{};
    std::uint8_t flags{};
    std::uint16_t payload_bytes{};
};

/// Initial sequence numbers, spread over the circle so that some flows wrap soon.
constexpr std::uint32_t client_start(std::uint32_t flow) noexcept { return flow * 0x9e3779b1U; }
constexpr std::uint32_t server_start(std::uint32_t flow) noexcept { return ~(flow * 0x85ebca77U); }

constexpr bool client_speaks(std::uint64_t round, std::uint32_t flow) noexcept {
    if (round < kHandshakeRounds) return round != 1;
    return ((round - kHandshakeRounds + flow) & 1) == 0;
}

/// The segment of the side that speaks.
constexpr ConversationSegment segment_of(std::uint64_t round, std::uint32_t flow,
                                         std::uint16_t payload_bytes = kPayloadBytes) noexcept {
    constexpr std::uint8_t kSyn = 0x02, kPsh = 0x08, kAck = 0x10;
    const std::uint32_t client = client_start(flow), server = server_start(flow);
    switch (round) {
        case 0: return {client, 0, kSyn, 0};
        case 1: return {server, client + 1, kSyn | kAck, 0};
        case 2: return {client + 1, server + 1, kAck, 0};
        default: break;
    }
    const std::uint64_t past = round - kHandshakeRounds;                            // rounds with data, before this one
    const auto first = static_cast<std::uint32_t>((past + 1) / 2) * payload_bytes;  // sent by who spoke first
    const auto second = static_cast<std::uint32_t>(past / 2) * payload_bytes;
    const bool client_first = (flow & 1) == 0;
    const std::uint32_t client_next = client + 1 + (client_first ? first : second);
    const std::uint32_t server_next = server + 1 + (client_first ? second : first);
    if (client_speaks(round, flow)) return {client_next, server_next, kPsh | kAck, payload_bytes};
    return {server_next, client_next, kPsh | kAck, payload_bytes};
}

// A whole connection in eight segments: handshake, a question and its answer, and both ends close.
inline constexpr std::uint32_t kLifeSteps = 8;

constexpr bool client_speaks_at(std::uint32_t step) noexcept { return step != 1 && step != 4 && step != 6; }

constexpr ConversationSegment life_segment(std::uint32_t step, std::uint32_t flow) noexcept {
    constexpr std::uint8_t kFin = 0x01, kSyn = 0x02, kPsh = 0x08, kAck = 0x10;
    const std::uint32_t client = client_start(flow), server = server_start(flow);
    const std::uint32_t asked = client + 1 + kPayloadBytes, answered = server + 1 + kPayloadBytes;
    switch (step) {
        case 0: return {client, 0, kSyn, 0};
        case 1: return {server, client + 1, kSyn | kAck, 0};
        case 2: return {client + 1, server + 1, kAck, 0};
        case 3: return {client + 1, server + 1, kPsh | kAck, kPayloadBytes};
        case 4: return {server + 1, asked, kPsh | kAck, kPayloadBytes};
        case 5: return {asked, answered, kFin | kAck, 0};
        case 6: return {answered, asked + 1, kFin | kAck, 0};
        default: return {asked + 1, answered + 1, kAck, 0};
    }
}

}  // namespace sluice::dp
