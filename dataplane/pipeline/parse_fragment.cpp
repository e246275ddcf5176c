/// Fragments: what is wrong with one whatever the others are, and the datagram when all are there. How fragments fit
/// together is fragment_store's business.
#include <algorithm>
#include <memory>

#include "dataplane/pipeline/parse.hpp"
#include "dataplane/pipeline/parse_layers.hpp"

namespace sluice::dp {

namespace {

using abi::DropReason;
using abi::L4Proto;

constexpr std::uint32_t kDatagramBytesMax = 0xffff;

/// Transport header bytes by which a packet is judged; other protocols have none that we read.
constexpr std::uint32_t header_bytes_min(L4Proto proto) noexcept {
    switch (proto) {
        case L4Proto::tcp: return 20;
        case L4Proto::sctp: return 12;
        case L4Proto::udp:
        case L4Proto::icmp:
        case L4Proto::icmp6: return 8;
        default: return 0;
    }
}

/// Everything by which the datagram will be judged stands in its first fragment, or it is not judged at all.
Fault check_first(const FrameView& frame, ParsedPacket& out) noexcept {
    const std::uint32_t available = frame.end - out.l4_offset;
    // RFC 7112 section 5: the chain ends with the upper-layer header, unless there is none.
    if (available == 0 && out.proto != L4Proto::ipv6_no_next) return DropReason::frag_chain;
    std::uint32_t header_bytes = header_bytes_min(out.proto);
    if (auto fault = frame.unreadable(out.l4_offset, header_bytes, DropReason::frag_tiny)) return fault;
    if (has_ports(out.proto)) {
        out.sport = abi::L4Port::read(frame.data + out.l4_offset);
        out.dport = abi::L4Port::read(frame.data + out.l4_offset + 2);
    }
    if (out.proto == L4Proto::tcp) {  // with its options: a SYN's are read
        header_bytes = std::max<std::uint32_t>(header_bytes, (frame.u8(out.l4_offset + 12U) >> 4) * 4U);
    }
    return frame.unreadable(out.l4_offset, header_bytes, DropReason::frag_tiny);
}

}  // namespace

Fault parse_fragment(const FrameView& frame, std::uint32_t before, ParsedPacket& out) noexcept {
    FragmentFields& f = out.fragment;
    const std::uint32_t data_bytes = frame.end - f.data_offset;
    f.data_bytes = static_cast<std::uint16_t>(data_bytes);
    out.payload_offset = out.l4_offset;
    out.l4_bytes = out.payload_bytes = frame.end - out.l4_offset;
    // Ping of death: the reassembled length would not fit the 16 bits of its field (RFC 791; RFC 8200 section 4.5).
    if (before + f.offset_bytes + data_bytes > kDatagramBytesMax) return DropReason::frag_toolong;
    if (data_bytes == 0 || (f.more && data_bytes % 8 != 0)) return DropReason::frag_malformed;
    if (f.offset_bytes == 0) return check_first(frame, out);
    // RFC 3128, for every protocol with a longer header than 8 bytes: who puts a piece here has a first fragment that
    // is too short, or means to overwrite what the first one said.
    if (f.offset_bytes < header_bytes_min(out.proto)) return DropReason::frag_tiny;
    return std::nullopt;
}

Fault parse_reassembled(const Packet& first, std::span<std::span<const std::uint8_t>> pieces, std::uint32_t data_bytes,
                        ParsedPacket& out) noexcept {
    if (auto fault = parse(first, out)) return fault;
    const FragmentFields f = out.fragment;
    const bool v4 = out.family == abi::IpFamily::v4;
    // The first fragment's headers are the datagram's, whatever length the others' had.
    const std::uint32_t before = v4 ? f.data_offset - out.l3_offset : f.data_offset - 8U - out.l3_offset - 40U;
    if (before + data_bytes > kDatagramBytesMax) return DropReason::frag_toolong;

    const std::uint32_t extension_bytes = out.l4_offset - f.data_offset;  // inside the fragmented part
    if (!pieces.empty()) pieces.front() = pieces.front().subspan(extension_bytes);
    // A device that looks at one frame at a time knows nothing of this checksum.
    const FrameView frame{.data = first.data,
                          .readable = std::min<std::uint32_t>(first.contiguous_bytes, f.data_offset + f.data_bytes),
                          .end = f.data_offset + data_bytes,
                          .l4_checksum = L4Checksum::unknown,
                          .pieces = pieces};
    const std::uint8_t hop_limit = frame.u8(out.l3_offset + (v4 ? 8U : 7U));
    out.is_fragment = false;
    std::construct_at(&out.tcp);
    return parse_transport(frame, IpContext{.hop_limit = hop_limit, .fragment_header = !v4}, out);
}

}  // namespace sluice::dp
