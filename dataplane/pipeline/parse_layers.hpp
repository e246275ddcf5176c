/// Between the parse_*.cpp files only: the bounds-checked view of a frame and each layer's entry. A layer gets the view
/// with `end` cut to what the layer above granted, fills its part of ParsedPacket and calls the next.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include <sluice/abi/drop_reasons.hpp>
#include <sluice/abi/net_order.hpp>

#include "dataplane/pipeline/packet.hpp"
#include "dataplane/pipeline/parsed_packet.hpp"

namespace sluice::dp {

using Fault = std::optional<abi::DropReason>;

/// Offsets are from the first byte of the frame. `u8` to `bytes` may be called only on what `unreadable` let pass.
struct FrameView {
    const std::uint8_t* data{};
    std::uint32_t readable{};  ///< bytes in the first segment
    std::uint32_t end{};       ///< where the frame, or the IP datagram in it, ends; may lie beyond `readable`
    L4Checksum l4_checksum{};
    /// Of a reassembled datagram: what stands from `l4_offset` on, piece by piece, all but the last of even length.
    /// Then `readable` is where its first piece ends. Empty: the datagram is in one frame, or its pieces can't all be
    /// read.
    std::span<const std::span<const std::uint8_t>> pieces{};

    /// Why the `count` bytes at `offset` can't be read: `truncated` if they are not there at all, `headers_split` if
    /// they stand in a later segment. Callers keep offset + count far below 2^32.
    Fault unreadable(std::uint32_t offset, std::uint32_t count, abi::DropReason truncated) const noexcept {
        if (offset + count > end) return truncated;
        if (offset + count > readable) return abi::DropReason::headers_split;
        return std::nullopt;
    }
    std::uint8_t u8(std::uint32_t offset) const noexcept { return data[offset]; }
    std::uint16_t u16(std::uint32_t offset) const noexcept {
        return abi::NetOrder<std::uint16_t>::read(data + offset).to_host();
    }
    std::uint32_t u32(std::uint32_t offset) const noexcept {
        return abi::NetOrder<std::uint32_t>::read(data + offset).to_host();
    }
    std::span<const std::uint8_t> bytes(std::uint32_t offset, std::uint32_t count) const noexcept {
        return {data + offset, count};
    }
};

/// What the transport layer must know of the IP header above it.
struct IpContext {
    std::uint8_t hop_limit{};
    bool fragment_header{};  ///< an IPv6 fragment header, even that of an atomic fragment
};

/// How an IPv6 header chain ended: offset and protocol of the first header that is none of IPv6's own, or of the data
/// of a fragment that is not the first.
struct ChainEnd {
    std::uint32_t l4_offset{};
    std::uint8_t proto{};
    bool fragment_header{};
    bool is_fragment{};         ///< of a larger datagram; `fragment` is set, even if the walk ended with a fault
    FragmentFields fragment{};  ///< but data_bytes
};
/// A quoted packet (inside an ICMP error) may be the first fragment of a datagram: its ports are there.
enum class ChainMode : std::uint8_t { whole, quoted };

inline FrameView view_of(const Packet& packet) noexcept {
    return {packet.data, packet.contiguous_bytes < packet.total_bytes ? packet.contiguous_bytes : packet.total_bytes,
            packet.total_bytes, packet.l4_checksum};
}

/// All of `parse`, layer by layer, for any frame.
Fault parse_layers(const FrameView& frame, ParsedPacket& out) noexcept;

// One per layer; `out.l3_offset` and `out.l4_offset` are set by the caller.
Fault parse_arp(const FrameView& frame, std::uint32_t offset) noexcept;
Fault parse_ipv4(FrameView frame, ParsedPacket& out) noexcept;
Fault parse_ipv6(FrameView frame, ParsedPacket& out) noexcept;
Fault walk_ipv6_chain(const FrameView& frame, std::uint32_t offset, std::uint8_t next_header, ChainMode mode,
                      ChainEnd& chain) noexcept;
/// `frame.end` is the end of the datagram: Ethernet padding behind it is out of sight from here on.
Fault parse_transport(const FrameView& frame, const IpContext& ip, ParsedPacket& out) noexcept;
/// The options of a SYN, from `at` up to `last` (RFC 9293 section 3.1); `frame` has them. Lengths that step outside the
/// header, or that can't be right for what we use, are malformed: whoever reads on with another idea of where an option
/// ends sees another option.
Fault read_tcp_options(const FrameView& frame, std::uint32_t at, std::uint32_t last, TcpFields& tcp) noexcept;
/// RFC 4861 sections 6.1 and 7.1, for ICMPv6 types 133 to 137 whose checksum was looked at already.
Fault parse_nd(const FrameView& frame, const IpContext& ip, ParsedPacket& out) noexcept;
/// The chunks at `offset`, behind the SCTP common header, to the frame's end. Those behind the first segment, or behind
/// a datagram's first fragment, are not looked at; the first one must be readable.
Fault parse_sctp_chunks(const FrameView& frame, std::uint32_t offset, SctpPacket& out) noexcept;

/// A piece of a larger datagram; `out.fragment`, `out.is_fragment`, `out.proto` and `out.l4_offset` are set. What can
/// be wrong with it whatever the other pieces are; ports, if this is the first. `before` = header bytes that stand in
/// front of the data in the reassembled datagram and count in its length field: the IPv4 header, or IPv6 extension
/// headers.
Fault parse_fragment(const FrameView& frame, std::uint32_t before, ParsedPacket& out) noexcept;

}  // namespace sluice::dp
