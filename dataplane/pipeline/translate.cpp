#include "dataplane/pipeline/translate.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "dataplane/pipeline/checksum.hpp"
#include "dataplane/pipeline/parse.hpp"

namespace sluice::dp {

namespace {

constexpr std::uint32_t kTcpBytes = 20;
constexpr std::uint32_t kSeqAt = 4, kAckAt = 8, kWindowAt = 14, kChecksumAt = 16;
constexpr std::uint8_t kEndOfList = 0, kNop = 1, kSack = 5, kTimestamps = 8;
constexpr std::uint8_t kTimestampsBytes = 10, kSackBlockBytes = 8;

std::uint32_t get32(const std::uint8_t* at) noexcept { return abi::NetOrder<std::uint32_t>::read(at).to_host(); }

/// Changes bytes that a checksum covers. Words are counted from `base`, the start of what is summed.
class Rewriter {
public:
    explicit Rewriter(std::uint8_t* base) noexcept : base_{base} {}

    void put32(std::uint32_t at, std::uint32_t value) noexcept {
        std::array<std::uint8_t, 4> bytes;
        abi::NetOrder<std::uint32_t>::of_host(value).write(bytes.data());
        put(at, bytes);
    }
    void put16(std::uint32_t at, std::uint16_t value) noexcept {
        std::array<std::uint8_t, 2> bytes;
        abi::NetOrder<std::uint16_t>::of_host(value).write(bytes.data());
        put(at, bytes);
    }
    void put8(std::uint32_t at, std::uint8_t value) noexcept { put(at, std::array{value}); }

    /// A checksum that is itself part of what another covers.
    void finish_inside(std::uint8_t* checksum) noexcept {
        const std::uint16_t old = abi::NetOrder<std::uint16_t>::read(checksum).wire();
        finish(checksum);
        sum_ += static_cast<std::uint16_t>(~old);
        sum_ += abi::NetOrder<std::uint16_t>::read(checksum).wire();
    }
    /// The checksum that stands there, after all changes (RFC 1624 equation 3).
    void finish(std::uint8_t* checksum) const noexcept {
        const auto old = static_cast<std::uint16_t>(~abi::NetOrder<std::uint16_t>::read(checksum).wire());
        checksum_value(old + sum_).write(checksum);
    }

private:
    template <std::size_t N>
    void put(std::uint32_t at, const std::array<std::uint8_t, N>& bytes) noexcept {
        const std::uint32_t first = at & ~1U, last = (at + N + 1) & ~1U;
        for (std::uint32_t w = first; w < last; w += 2) sum_ += static_cast<std::uint16_t>(~word(w));
        std::memcpy(base_ + at, bytes.data(), N);
        for (std::uint32_t w = first; w < last; w += 2) sum_ += word(w);
    }
    std::uint16_t word(std::uint32_t at) const noexcept {
        return abi::NetOrder<std::uint16_t>::read(base_ + at).wire();
    }

    std::uint8_t* base_;
    std::uint64_t sum_{};
};

/// Calls visit(kind, offset, bytes) for each option of the header, as long as they make sense.
template <typename Visit>
void for_each_option(const std::uint8_t* tcp, std::uint32_t header_bytes, Visit&& visit) noexcept {
    for (std::uint32_t at = kTcpBytes; at < header_bytes;) {
        const std::uint8_t kind = tcp[at];
        if (kind == kEndOfList) return;
        if (kind == kNop) {
            ++at;
            continue;
        }
        if (at + 2 > header_bytes) return;
        const std::uint8_t bytes = tcp[at + 1];
        if (bytes < 2 || at + bytes > header_bytes) return;
        visit(kind, at, bytes);
        at += bytes;
    }
}

std::uint32_t header_bytes(const ParsedPacket& p) noexcept { return p.payload_offset - std::uint32_t{p.l4_offset}; }

/// The client's blocks speak of the server's numbers. To a server that agreed to none they mean nothing.
void translate_sack(Rewriter& out, const std::uint8_t* tcp, std::uint32_t at, std::uint8_t bytes,
                    const FlowProxy& x) noexcept {
    if (!x.has(proxy_flag::server_sack)) {
        for (std::uint32_t k = 0; k < bytes; ++k) out.put8(at + k, kNop);
        return;
    }
    for (std::uint32_t edge = at + 2; edge + 4 <= at + bytes; edge += 4) {
        out.put32(edge, get32(tcp + edge) - x.shift());
    }
}

}  // namespace

std::optional<TcpTimestamps> timestamps_of(const Packet& packet, const ParsedPacket& p) noexcept {
    std::optional<TcpTimestamps> found;
    const std::uint8_t* const tcp = packet.data + p.l4_offset;
    for_each_option(tcp, header_bytes(p), [&](std::uint8_t kind, std::uint32_t at, std::uint8_t bytes) {
        if (kind == kTimestamps && bytes == kTimestampsBytes) found = {get32(tcp + at + 2), get32(tcp + at + 6)};
    });
    return found;
}

void translate(const Packet& packet, const ParsedPacket& p, const FlowProxy& x, Direction from) noexcept {
    std::uint8_t* const tcp = packet.data + p.l4_offset;
    const bool is_syn = (p.tcp.flags & tcp_flag::syn) != 0;
    const bool to_server = from == Direction::original;
    Rewriter out{tcp};
    if (to_server) {
        if ((p.tcp.flags & tcp_flag::ack) != 0) out.put32(kAckAt, p.tcp.ack - x.shift());
        if (!is_syn) out.put16(kWindowAt, x.window_to_server(p.tcp.window));
    } else {
        out.put32(kSeqAt, p.tcp.seq + x.shift());
        out.put16(kWindowAt, x.window_to_client(p.tcp.window, is_syn));
    }
    for_each_option(tcp, header_bytes(p), [&](std::uint8_t kind, std::uint32_t at, std::uint8_t bytes) {
        if (kind == kTimestamps && bytes == kTimestampsBytes && x.has(proxy_flag::timestamps) &&
            !(to_server && is_syn)) {
            const std::uint32_t mine = to_server ? at + 6 : at + 2;
            out.put32(mine, to_server ? get32(tcp + mine) - x.ts_shift : get32(tcp + mine) + x.ts_shift);
        }
        if (kind == kSack && to_server) translate_sack(out, tcp, at, bytes, x);
    });
    out.finish(tcp + kChecksumAt);
}

void translate_quote(const Packet& packet, const ParsedPacket& outer, const FlowProxy& x, Direction sender) noexcept {
    InnerTuple inner;
    if (!parse_inner(packet, outer, inner)) return;
    // Parsing has found 8 bytes of the segment readable; the rest is translated as far as it is there.
    const std::uint32_t readable =
        std::min({outer.payload_offset + outer.payload_bytes, packet.contiguous_bytes, packet.total_bytes});
    const std::uint32_t quoted = readable - inner.l4_offset;
    std::uint8_t* const tcp = packet.data + inner.l4_offset;
    Rewriter out{tcp};
    if (sender == Direction::reply) out.put32(kSeqAt, get32(tcp + kSeqAt) - x.shift());
    if (sender == Direction::original && quoted >= kAckAt + 4) out.put32(kAckAt, get32(tcp + kAckAt) + x.shift());
    // What changes in the quote changes what the error's own checksum covers, the quoted checksum too.
    if (quoted >= kChecksumAt + 2) out.finish_inside(tcp + kChecksumAt);
    out.finish(packet.data + outer.l4_offset + 2);
}

}  // namespace sluice::dp
