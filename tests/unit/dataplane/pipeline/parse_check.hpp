/// What must hold for any bytes at all; shared by the randomised test and the fuzzer.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <span>

#include "dataplane/pipeline/answer.hpp"
#include "dataplane/pipeline/parse.hpp"

namespace sluice::test {

/// Parses a frame of which only `contiguous` bytes are at hand, from a heap block that ends where they end: under ASan
/// a read past them is a finding. Asks for the quoted packet and the answer where there may be one. Returns what is
/// wrong, or nullptr.
inline const char* parse_at_the_edge(std::span<const std::uint8_t> frame, std::size_t contiguous,
                                     dp::L4Checksum device) {
    const auto block = std::make_unique<std::uint8_t[]>(contiguous);
    std::copy_n(frame.begin(), contiguous, block.get());
    const dp::Packet packet{.data = block.get(),
                            .contiguous_bytes = static_cast<std::uint32_t>(contiguous),
                            .total_bytes = static_cast<std::uint32_t>(frame.size()),
                            .l4_checksum = device};
    dp::ParsedPacket p;
    if (dp::parse(packet, p)) return nullptr;
    if (!std::equal(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(contiguous), block.get())) {
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
    if (dp::is_icmp_error(p)) {
        dp::InnerTuple inner;
        dp::parse_inner(packet, p, inner);
    }
    if (!dp::may_answer(packet, p)) return nullptr;

    const std::uint32_t answer_bytes = dp::answer_bytes(packet, p);
    if (answer_bytes > 14U + 8 + 1280) return "answer too long";
    const auto room = std::make_unique<std::uint8_t[]>(answer_bytes);
    dp::Packet answer{.data = room.get(), .contiguous_bytes = answer_bytes};
    dp::build_answer(packet, p, answer);
    dp::ParsedPacket parsed_answer;
    if (dp::parse(answer, parsed_answer)) return "we say what we would not let pass";
    if (parsed_answer.src != p.dst || parsed_answer.dst != p.src) return "answer between other addresses";
    if (dp::may_answer(answer, parsed_answer)) return "an answer would be answered";
    return nullptr;
}

}  // namespace sluice::test
