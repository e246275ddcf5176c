/// TCP segments of our own making: what the SYN proxy says to a client in the server's name, and to a server in the
/// client's. Stages order them (Burst::own) and `act` builds them from the packet that they are about: same addresses,
/// same MAC addresses, same tags. What a timer sends is about no packet; its ends stand in the flow.
#pragma once

#include <cstdint>

#include "dataplane/flow/flow_proxy.hpp"
#include "dataplane/pipeline/packet.hpp"
#include "dataplane/pipeline/parsed_packet.hpp"

namespace sluice::dp {

/// Header and options, without data. Options are there if their value is.
struct OwnSegment {
    std::uint32_t seq{}, ack{};
    std::uint32_t tsval{}, tsecr{};
    std::uint16_t window{};
    std::uint16_t mss{};            ///< 0 = none
    std::uint8_t flags{};           ///< tcp_flag
    std::uint8_t wscale{kNoScale};  ///< kNoScale = none
    bool sack{}, timestamps{};      ///< options
    bool onward{};                  ///< to where the packet would have gone, not back to its sender
    bool limited{};                 ///< counts as an answer to a rejected packet: those have a limit
    std::uint8_t about{};           ///< packet of the burst
};

std::uint32_t own_tcp_bytes(const OwnSegment& s) noexcept;

/// Where a segment goes that is about no packet; untagged.
struct OwnEnds {
    MacAddr src_mac{}, dst_mac{};
    abi::IpFamily family{};
    FlowTuple tuple{};
};

/// Length of the whole frame, at least 60. `l3_offset`: of the packet that it is about; 14 without one.
std::uint32_t own_frame_bytes(const OwnSegment& s, abi::IpFamily family, std::uint32_t l3_offset) noexcept;

/// Write own_frame_bytes() bytes to `out.data`, which must have that room, and set total_bytes.
void build_own_segment(const OwnSegment& s, const Packet& about, const ParsedPacket& parsed, Packet& out) noexcept;
void build_own_segment(const OwnSegment& s, const OwnEnds& ends, Packet& out) noexcept;

}  // namespace sluice::dp
