/// What tracking needs of an SCTP packet (RFC 9260 section 3). `parse` fills it, sctp_state.hpp judges by it.
#pragma once

#include <cstdint>

namespace sluice::dp {

/// Chunks on which the state of an association hangs, as bits; all others are one.
namespace sctp_chunk {
inline constexpr std::uint16_t init = 0x001, init_ack = 0x002, cookie_echo = 0x004, cookie_ack = 0x008,
                               shutdown = 0x010, shutdown_ack = 0x020, shutdown_complete = 0x040, abort = 0x080,
                               other = 0x100;  ///< DATA, SACK, HEARTBEAT, ERROR, ...
/// Never bundled with anything (RFC 9260 section 4).
inline constexpr std::uint16_t alone = init | init_ack | shutdown_complete;
}  // namespace sctp_chunk

struct SctpPacket {
    std::uint32_t tag{};       ///< verification tag, host order
    std::uint32_t init_tag{};  ///< Initiate Tag of an INIT or INIT ACK: what the other side's packets will carry
    std::uint16_t chunks{};    ///< sctp_chunk
    /// T bit of an ABORT or SHUTDOWN COMPLETE: its sender knows no association and gives back the tag that it was sent.
    bool reflected{};
    bool has(std::uint16_t some) const noexcept { return (chunks & some) != 0; }
};

/// RFC 9260 section 8.5.1 (A): an INIT has no tag yet, everything else has one.
constexpr bool sctp_tag_legal(const SctpPacket& p) noexcept {
    return (p.tag == 0) == ((p.chunks & sctp_chunk::init) != 0);
}

}  // namespace sluice::dp
