/// The usual packet: an untagged IPv4 frame without options that is no fragment, with a TCP segment that has ACK,
/// perhaps PSH or FIN, and no other bit that means anything to a flow. Nearly every packet of a live flow is one, and
/// the flow needs few words of it; so those few are read, and the flow's key made of them, and the rest (ParsedPacket,
/// Tracked) is only filled in for the few that don't just pass (`look_closer`).
///
/// What is taken here, `parse_plain` would take, and `identify` would give it the same key (usual_test). Whatever is
/// not usual, or wrong in any way, is left to them.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "dataplane/flow/flow_key.hpp"
#include "dataplane/flow/flow_table.hpp"
#include "dataplane/pipeline/parse_plain.hpp"

namespace sluice::dp {

struct UsualSegment {
    std::uint32_t seq{}, ack{};  ///< host order
    std::uint16_t window{};      ///< as sent, not scaled
    std::uint16_t payload_bytes{};
    std::uint8_t flags{};  ///< as sent
    bool source_is_low{};
};

/// Of one burst, by packet; what stands where `mask` has no bit means nothing.
struct UsualPackets {
    std::uint32_t mask{};
    alignas(64) std::array<FlowKeyV4, kBurstMax> key{};
    std::array<std::uint64_t, kBurstMax> hash{};
    std::array<UsualSegment, kBurstMax> segment{};

    bool has(std::size_t i) const noexcept { return (mask >> i & 1) != 0; }
    void add(std::size_t i) noexcept { mask |= std::uint32_t{1} << i; }
    void remove(std::size_t i) noexcept { mask &= ~(std::uint32_t{1} << i); }
};
static_assert(kBurstMax <= 32, "a bit per packet");

namespace usual {

inline std::uint32_t word(const std::uint8_t* at) noexcept {
    std::uint32_t w;
    std::memcpy(&w, at, sizeof w);
    return w;
}

/// As in `mask`, on the wire.
constexpr std::uint32_t wire_word(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d) noexcept {
    return std::bit_cast<std::uint32_t>(std::array<std::uint8_t, 4>{a, b, c, d});
}

static_assert(std::endian::native == std::endian::little, "the two words of a key are put together from its fields");
static_assert(offsetof(FlowKeyV4, high_addr) == 4 && offsetof(FlowKeyV4, low_port) == 8 &&
              offsetof(FlowKeyV4, high_port) == 10 && offsetof(FlowKeyV4, domain) == 12 &&
              offsetof(FlowKeyV4, proto) == 14 && offsetof(FlowKeyV4, asker) == 15);

/// `src`, `dst`, `ports`: as they stand in the frame. The addresses differ, so the ports don't tell who is low. Every
/// second packet goes the other way, in no order that a branch could be guessed by: so there is none.
inline FlowKeyV4 key_of(std::uint32_t src, std::uint32_t dst, std::uint32_t ports, bool source_is_low,
                        FlowDomain domain) noexcept {
    const std::uint32_t swap = (src ^ dst) & (std::uint32_t{source_is_low} - 1);
    const std::uint32_t low = src ^ swap, high = dst ^ swap;
    const std::uint32_t in_order = std::rotl(ports, source_is_low ? 0 : 16);
    constexpr auto kTcp = static_cast<std::uint64_t>(abi::L4Proto::tcp) << 48;
    return std::bit_cast<FlowKeyV4>(std::array<std::uint64_t, 2>{
        std::uint64_t{high} << 32 | low, kTcp | std::uint64_t{static_cast<std::uint16_t>(domain)} << 32 | in_order});
}

}  // namespace usual

/// False: `key` and `out` mean nothing.
inline bool read_usual(const Packet& packet, FlowDomain domain, FlowKeyV4& key, UsualSegment& out) noexcept {
    using plain::kIpv4Bytes, plain::kL3, plain::kTcpBytes, usual::wire_word, usual::word;
    constexpr std::uint32_t kL4 = kL3 + kIpv4Bytes;
    const FrameView frame = view_of(packet);
    if (frame.readable < kL4 + kTcpBytes) return false;
    const std::uint8_t* const d = frame.data;
    // Ethertype, version and header length; then fragment flags and offset, TTL, protocol.
    if ((word(d + 12) & wire_word(0xff, 0xff, 0xff, 0)) != wire_word(0x08, 0x00, 0x45, 0)) return false;
    if ((word(d + kL3 + 6) & wire_word(0x3f, 0xff, 0, 0xff)) != wire_word(0, 0, 0, 6)) return false;
    // Data offset, control bits, window.
    constexpr std::uint8_t kSyn = 0x02, kRst = 0x04, kAck = 0x10, kUrg = 0x20;
    const std::uint8_t flags = d[kL4 + 13];
    if ((flags & (kSyn | kRst | kAck | kUrg)) != kAck) return false;
    const std::uint32_t bytes = frame.u16(kL3 + 2), header_bytes = (d[kL4 + 12] >> 4) * 4U;
    if (header_bytes < kTcpBytes || kIpv4Bytes + header_bytes > bytes || kL3 + bytes > frame.end) return false;
    if (kL4 + header_bytes > frame.readable) return false;
    if (!checksum_good(checksum_words<kIpv4Bytes>(d + kL3))) return false;
    const std::uint32_t src = word(d + kL3 + 12), dst = word(d + kL3 + 16);
    const std::uint32_t src_number = __builtin_bswap32(src), dst_number = __builtin_bswap32(dst);
    if (!plain::is_ordinary_v4(src_number) || !plain::is_ordinary_v4(dst_number) || src == dst) return false;
    const std::uint32_t l4_bytes = bytes - kIpv4Bytes;
    if (frame.l4_checksum != L4Checksum::good) [[unlikely]] {
        if (frame.l4_checksum == L4Checksum::bad || kL3 + bytes > frame.readable) return false;
        const std::uint64_t pseudo = std::uint64_t{src} + dst + wire_word(0, 6, 0, 0) +
                                     abi::NetOrder<std::uint16_t>::of_host(static_cast<std::uint16_t>(l4_bytes)).wire();
        if (!checksum_good(checksum_add(pseudo, frame.bytes(kL4, l4_bytes)))) return false;
    }
    out.source_is_low = src_number < dst_number;
    key = usual::key_of(src, dst, word(d + kL4), out.source_is_low, domain);
    out.seq = frame.u32(kL4 + 4);
    out.ack = frame.u32(kL4 + 8);
    out.window = frame.u16(kL4 + 14);
    out.flags = flags;
    out.payload_bytes = static_cast<std::uint16_t>(l4_bytes - header_bytes);
    return true;
}

}  // namespace sluice::dp
