/// Which combinations of TCP control bits any TCP may send. Neighbours: `parse` reads the bits and judges nothing; the
/// flow's state machine asks here first, then for the state.
#pragma once

#include <cstdint>

namespace sluice::dp {

/// True if the bits alone are no reason to drop the segment. PSH, ECE and CWR never matter here: PSH is advice to the
/// receiver, ECE and CWR are negotiated in SYNs (RFC 3168 section 6.1.1). What is left of the 16 combinations of FIN,
/// SYN, RST, ACK (URG beside) is what RFC 9293 section 3.10 can produce: every segment carries ACK, except the first
/// SYN and a RST that answers a segment without ACK; SYN, FIN and RST exclude each other (nmap's -sN, -sF, -sX are the
/// rest).
constexpr bool tcp_flags_legal(std::uint8_t flags) noexcept {
    constexpr std::uint8_t fin = 0x01, syn = 0x02, rst = 0x04, ack = 0x10, urg = 0x20;
    switch (flags & (fin | syn | rst | ack | urg)) {
        case syn:
        case syn | urg:
        case syn | ack:
        case rst:
        case rst | ack:
        case ack:
        case ack | urg:
        case fin | ack:
        case fin | ack | urg: return true;
        default: return false;
    }
}

}  // namespace sluice::dp
