/// What must hold for any bytes at all; shared by the randomised test and the fuzzer.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <span>

#include "dataplane/pipeline/answer.hpp"
#include "dataplane/pipeline/parse.hpp"
#include "tests/harness/edge_frame.hpp"

namespace sluice::test {

/// A fragment, and if it is a first one, the datagram that it would be if nothing but zeros followed. (That its data is
/// all of it in `packet` is not needed; then it can't be summed.)
inline const char* fragment_at_the_edge(const dp::Packet& packet, const dp::ParsedPacket& p) {
    if (dp::may_answer(packet, p)) return "a fragment would be answered";
    const dp::FragmentFields& f = p.fragment;
    if (f.data_bytes == 0 || (f.more && f.data_bytes % 8 != 0)) return "fragment of a length that can't be";
    if (f.data_offset < p.l3_offset || f.data_offset > p.l4_offset) return "fragment's data out of order";
    if (f.offset_bytes != 0) return nullptr;
    static constexpr std::array<std::uint8_t, 24> kZeros{};
    std::array<std::span<const std::uint8_t>, 2> pieces;
    const bool at_hand = f.data_offset + f.data_bytes <= packet.contiguous_bytes;
    if (at_hand) pieces = {std::span{packet.data + f.data_offset, f.data_bytes}, std::span{kZeros}};
    dp::ParsedPacket whole;
    const auto fault =
        dp::parse_reassembled(packet, at_hand ? std::span{pieces} : std::span<std::span<const std::uint8_t>>{},
                              f.data_bytes + static_cast<std::uint32_t>(kZeros.size()), whole);
    if (fault) return nullptr;
    if (whole.is_fragment) return "a whole datagram is a fragment";
    if (whole.l4_offset + whole.l4_bytes != f.data_offset + f.data_bytes + kZeros.size())
        return "not all of a datagram";
    if (whole.payload_offset + whole.payload_bytes > whole.l4_offset + whole.l4_bytes) return "payload too long";
    return nullptr;
}

/// The answer goes back to the sender; of TCP, the reset that stands in for the packet goes on to its receiver.
inline const char* answers_at_the_edge(const dp::Packet& packet, const dp::ParsedPacket& p) {
    const std::uint32_t bytes = dp::answer_bytes(packet, p);
    if (bytes > 14U + 8 + 1280) return "answer too long";
    for (const bool onward : {false, true}) {
        if (onward && p.proto != abi::L4Proto::tcp) continue;
        const auto room = std::make_unique<std::uint8_t[]>(bytes);
        dp::Packet answer{.data = room.get(), .contiguous_bytes = bytes};
        onward ? dp::build_onward_reset(packet, p, answer) : dp::build_answer(packet, p, answer);
        dp::ParsedPacket parsed;
        if (dp::parse(answer, parsed)) return "we say what we would not let pass";
        if (parsed.src != (onward ? p.src : p.dst) || parsed.dst != (onward ? p.dst : p.src)) {
            return "answer between other addresses";
        }
        if (dp::may_answer(answer, parsed)) return "an answer would be answered";
    }
    return nullptr;
}

/// Parses a frame of which only `contiguous` bytes are at hand. Asks for the quoted packet and the answer where there
/// may be one. Returns what is wrong, or nullptr.
inline const char* parse_at_the_edge(std::span<const std::uint8_t> frame, std::size_t contiguous,
                                     dp::L4Checksum device) {
    const EdgeFrame edge{frame, contiguous, device};
    const dp::Packet& packet = edge.packet();
    dp::ParsedPacket p;
    if (dp::parse(packet, p)) return nullptr;
    if (!std::equal(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(contiguous), packet.data)) {
        return "parse wrote to the frame";
    }

    if (p.packet_class == dp::PacketClass::ip || p.packet_class == dp::PacketClass::nd) {
        if (p.l3_offset > p.l4_offset || p.l4_offset > p.payload_offset) return "offsets out of order";
        const std::size_t datagram_end = std::size_t{p.l4_offset} + p.l4_bytes;
        if (p.payload_offset + p.payload_bytes > datagram_end) return "payload longer than its transport";
        if (datagram_end > frame.size()) return "datagram longer than the frame";
        if (p.payload_offset > contiguous) return "headers not contiguous";
        if (p.family == abi::IpFamily::none || p.src == p.dst) return "addresses";
    }
    if (p.is_fragment) return fragment_at_the_edge(packet, p);
    if (dp::is_icmp_error(p)) {
        dp::InnerTuple inner;
        dp::parse_inner(packet, p, inner);
        (void)dp::claims_impossible_mtu(packet, p);
    }
    return dp::may_answer(packet, p) ? answers_at_the_edge(packet, p) : nullptr;
}

}  // namespace sluice::test
