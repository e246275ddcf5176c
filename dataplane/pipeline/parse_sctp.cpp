/// The chunks of an SCTP packet (RFC 9260 section 3.2): their lengths against the packet's, and those on which the
/// state of an association hangs. Linear in the packet's bytes, as a checksum is.
#include "dataplane/pipeline/parse_layers.hpp"

namespace sluice::dp {

namespace {

using abi::DropReason;

constexpr std::uint32_t kChunkHeaderBytes = 4;
constexpr std::uint32_t kInitBytesMin = 20;  ///< INIT and INIT ACK: header, Initiate Tag, window, streams, TSN

constexpr std::uint16_t kind_of(std::uint8_t type) noexcept {
    switch (type) {
        case 1: return sctp_chunk::init;
        case 2: return sctp_chunk::init_ack;
        case 6: return sctp_chunk::abort;
        case 7: return sctp_chunk::shutdown;
        case 8: return sctp_chunk::shutdown_ack;
        case 10: return sctp_chunk::cookie_echo;
        case 11: return sctp_chunk::cookie_ack;
        case 14: return sctp_chunk::shutdown_complete;
        default: return sctp_chunk::other;
    }
}

/// A readable chunk header of a chunk of `bytes`.
Fault read_chunk(const FrameView& frame, std::uint32_t at, std::uint32_t bytes, SctpPacket& out) noexcept {
    constexpr std::uint16_t ends = sctp_chunk::abort | sctp_chunk::shutdown_complete;
    const std::uint16_t kind = kind_of(frame.u8(at));
    // COOKIE ECHO and COOKIE ACK stand first, whatever is bundled with them (RFC 9260 sections 3.3.11, 3.3.12).
    const bool goes_first = (kind & (sctp_chunk::cookie_echo | sctp_chunk::cookie_ack)) != 0;
    if (goes_first && out.chunks != 0) return DropReason::sctp_malformed;
    out.chunks = static_cast<std::uint16_t>(out.chunks | kind);
    if ((kind & ends) != 0) out.reflected = (frame.u8(at + 1) & 1U) != 0;
    if ((kind & (sctp_chunk::init | sctp_chunk::init_ack)) == 0) return std::nullopt;
    if (bytes < kInitBytesMin) return DropReason::sctp_malformed;
    if (auto fault = frame.unreadable(at + kChunkHeaderBytes, 4, DropReason::sctp_malformed)) return fault;
    out.init_tag = frame.u32(at + kChunkHeaderBytes);
    if (out.init_tag == 0) return DropReason::sctp_malformed;  // section 3.3.2
    return std::nullopt;
}

}  // namespace

Fault parse_sctp_chunks(const FrameView& frame, std::uint32_t offset, SctpPacket& out) noexcept {
    std::uint32_t at = offset;
    do {
        if (auto fault = frame.unreadable(at, kChunkHeaderBytes, DropReason::sctp_malformed)) {
            const bool behind = *fault == DropReason::headers_split && at != offset;
            return behind ? std::nullopt : fault;
        }
        const std::uint32_t bytes = frame.u16(at + 2);
        const std::uint32_t padded = (bytes + 3) & ~3U;
        if (bytes < kChunkHeaderBytes || padded > frame.end - at) return DropReason::sctp_malformed;
        if (auto fault = read_chunk(frame, at, bytes, out)) return fault;
        at += padded;
        const bool bundled = at != frame.end || at - padded != offset;
        if (bundled && out.has(sctp_chunk::alone)) return DropReason::sctp_malformed;
    } while (at < frame.end);
    return std::nullopt;
}

}  // namespace sluice::dp
