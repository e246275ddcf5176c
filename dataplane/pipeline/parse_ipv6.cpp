/// IPv6 and its chain of extension headers. The walk is bounded: at most 8 headers and 512 bytes (CASES D7, after
/// RFC 7112), and options are stepped over only to see that their lengths add up.
#include <algorithm>
#include <memory>

#include "dataplane/pipeline/parse_layers.hpp"

namespace sluice::dp {

namespace {

using abi::DropReason;

constexpr std::uint32_t kHeaderBytes = 40;
constexpr int kChainHeadersMax = 8;
constexpr std::uint32_t kChainBytesMax = 512;

constexpr std::uint8_t kHopByHop = 0, kRouting = 43, kFragment = 44, kDestinationOptions = 60;

constexpr bool is_extension(std::uint8_t next_header) noexcept {
    // AH is a protocol of its own here: who allows proto/51 allows what it protects (CASES G1). Mobility, HIP and shim6
    // have no place in front of a transport header that a rule could speak about; they too are opaque protocols.
    return next_header == kHopByHop || next_header == kRouting || next_header == kFragment ||
           next_header == kDestinationOptions;
}

/// RFC 8200 section 4.2. `first` to `last`: the options area, without the two bytes in front.
Fault check_options(const FrameView& frame, std::uint32_t first, std::uint32_t last) noexcept {
    constexpr std::uint8_t kPad1 = 0, kJumboPayload = 0xc2;
    for (std::uint32_t at = first; at < last;) {
        const std::uint8_t type = frame.u8(at);
        if (type == kPad1) {
            ++at;
            continue;
        }
        if (at + 2 > last) return DropReason::v6_ext_limit;
        if (type == kJumboPayload) return DropReason::ip_malformed;  // RFC 2675; no port of ours carries one
        at += 2U + frame.u8(at + 1);
        if (at > last) return DropReason::v6_ext_limit;
    }
    return std::nullopt;
}

/// A destination still to come means that the address the policy sees is not where the packet ends: source routing,
/// whatever the type. Type 0 (RFC 5095) and 1 (RFC 7045) are refused even when used up.
bool routing_allowed(const FrameView& frame, std::uint32_t offset) noexcept {
    const std::uint8_t type = frame.u8(offset + 2);
    const std::uint8_t segments_left = frame.u8(offset + 3);
    return type > 1 && segments_left == 0;
}

constexpr std::uint32_t kFragmentHeaderBytes = 8;

FragmentFields read_fragment(const FrameView& frame, std::uint32_t offset) noexcept {
    const std::uint16_t field = frame.u16(offset + 2);
    return {.id = frame.u32(offset + 4),
            .offset_bytes = static_cast<std::uint16_t>(field & 0xfff8U),
            .data_offset = static_cast<std::uint16_t>(offset + kFragmentHeaderBytes),
            .more = (field & 1) != 0};
}

bool is_mapped_v4(const abi::IpAddr& a) noexcept {
    static constexpr std::array<std::uint8_t, 12> kPrefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    return std::equal(kPrefix.begin(), kPrefix.end(), a.bytes.begin());
}

bool is_multicast(const abi::IpAddr& a) noexcept { return a.bytes[0] == 0xff; }

/// RFC 6890 and RFC 4291 section 2.7. fe80::/10 is fine on a wire (CASES F4).
bool is_martian(const abi::IpAddr& src, const abi::IpAddr& dst) noexcept {
    static constexpr abi::IpAddr kUnspecified{};
    static constexpr abi::IpAddr kLoopback{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
    if (src == dst) return true;  // LAND
    if (is_multicast(src) || src == kLoopback || dst == kLoopback || dst == kUnspecified) return true;
    if (is_mapped_v4(src) || is_mapped_v4(dst)) return true;
    // Scope 0 is reserved and scope 1 never leaves its interface.
    if (is_multicast(dst) && (dst.bytes[1] & 0x0f) <= 1) return true;
    // :: speaks before it has an address: duplicate address detection, MLD; to groups only.
    return src == kUnspecified && !is_multicast(dst);
}

}  // namespace

Fault walk_ipv6_chain(const FrameView& frame, std::uint32_t offset, std::uint8_t next_header, ChainMode mode,
                      ChainEnd& chain) noexcept {
    const std::uint32_t first = offset;
    bool routing_seen = false;
    for (int headers = 0; is_extension(next_header); ++headers) {
        if (headers == kChainHeadersMax) return DropReason::v6_ext_limit;
        // Hop-by-hop stands first or not at all (RFC 8200 section 4.1), so a second one is out of place too.
        if (next_header == kHopByHop && headers > 0) return DropReason::v6_ext_deny;
        // What is missing behind a first fragment's header would come in the second: RFC 7112.
        const DropReason cut_off = chain.is_fragment ? DropReason::frag_chain : DropReason::ip_malformed;
        if (auto fault = frame.unreadable(offset, 8, cut_off)) return fault;
        const std::uint32_t bytes = next_header == kFragment ? kFragmentHeaderBytes : (frame.u8(offset + 1) + 1U) * 8;
        if (offset + bytes - first > kChainBytesMax) return DropReason::v6_ext_limit;
        if (auto fault = frame.unreadable(offset, bytes, cut_off)) return fault;

        switch (next_header) {
            case kRouting:
                if (routing_seen || !routing_allowed(frame, offset)) return DropReason::v6_ext_deny;
                routing_seen = true;
                break;
            case kFragment: {
                if (chain.fragment_header) return DropReason::v6_ext_deny;
                chain.fragment_header = true;
                chain.fragment = read_fragment(frame, offset);
                // Neither an offset nor more to come: atomic, a whole datagram (RFC 6946).
                chain.is_fragment = chain.fragment.offset_bytes != 0 || chain.fragment.more;
                if (chain.fragment.offset_bytes == 0) break;
                if (mode == ChainMode::quoted) return DropReason::ip_malformed;  // no ports here
                chain.l4_offset = chain.fragment.data_offset;
                chain.proto = frame.u8(offset);
                return std::nullopt;
            }
            default:
                if (auto fault = check_options(frame, offset + 2, offset + bytes)) return fault;
                break;
        }
        next_header = frame.u8(offset);
        offset += bytes;
    }
    chain.l4_offset = offset;
    chain.proto = next_header;
    return std::nullopt;
}

Fault parse_ipv6(FrameView frame, ParsedPacket& out) noexcept {
    const std::uint32_t l3 = out.l3_offset;
    if (auto fault = frame.unreadable(l3, kHeaderBytes, DropReason::l2_deny)) return fault;
    const std::uint32_t payload_bytes = frame.u16(l3 + 4);
    // Payload length 0 would mean a jumbogram (RFC 2675).
    if ((frame.u8(l3) >> 4) != 6 || payload_bytes == 0 || l3 + kHeaderBytes + payload_bytes > frame.end) {
        return DropReason::ip_malformed;
    }
    frame.end = l3 + kHeaderBytes + payload_bytes;  // what follows is Ethernet padding and belongs to nothing

    out.family = abi::IpFamily::v6;
    std::copy_n(frame.data + l3 + 8, 16, out.src.bytes.begin());
    std::copy_n(frame.data + l3 + 24, 16, out.dst.bytes.begin());
    out.proto = abi::L4Proto{frame.u8(l3 + 6)};
    out.l2_multicast = out.l2_multicast || is_multicast(out.dst);
    if (is_martian(out.src, out.dst)) return DropReason::martian;

    ChainEnd chain;
    const auto fault = walk_ipv6_chain(frame, l3 + kHeaderBytes, frame.u8(l3 + 6), ChainMode::whole, chain);
    if (chain.is_fragment) {
        out.is_fragment = true;
        std::construct_at(&out.fragment, chain.fragment);
    }
    if (fault) return fault;
    out.proto = abi::L4Proto{chain.proto};
    out.l4_offset = static_cast<std::uint16_t>(chain.l4_offset);
    if (chain.is_fragment) {
        return parse_fragment(frame, chain.fragment.data_offset - kFragmentHeaderBytes - l3 - kHeaderBytes, out);
    }
    return parse_transport(frame, IpContext{frame.u8(l3 + 7), chain.fragment_header}, out);
}

}  // namespace sluice::dp
