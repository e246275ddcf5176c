/// A TCP frame read the slow and obvious way, for tests of what the product writes: nothing of the product's parser.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/harness/frames.hpp"

namespace sluice::test {

struct TcpReading {
    Mac dst_mac{}, src_mac{};
    bool v6{};
    Bytes src, dst;
    std::uint16_t sport{}, dport{};
    std::uint32_t seq{}, ack{};
    std::uint8_t flags{};
    std::uint16_t window{};
    std::optional<std::uint16_t> mss;
    std::optional<std::uint8_t> wscale;
    bool sack_permitted{};
    std::optional<std::pair<std::uint32_t, std::uint32_t>> timestamps;  ///< value, echo
    std::vector<std::pair<std::uint32_t, std::uint32_t>> sack;
    std::size_t payload_bytes{};
};

/// Of an untagged frame; fails the test if checksums or lengths are wrong.
inline TcpReading read_tcp(const Bytes& f) {
    TcpReading r;
    const auto u16 = [&](std::size_t at) { return static_cast<std::uint16_t>(f.at(at) << 8 | f.at(at + 1)); };
    const auto u32 = [&](std::size_t at) { return std::uint32_t{u16(at)} << 16 | u16(at + 2); };
    std::copy_n(f.begin(), 6, r.dst_mac.begin());
    std::copy_n(f.begin() + 6, 6, r.src_mac.begin());
    r.v6 = u16(12) == 0x86dd;
    const std::size_t ip = 14, tcp = ip + (r.v6 ? 40 : 20), addr = r.v6 ? 16 : 4, src = ip + (r.v6 ? 8 : 12);
    const auto cut = [&](std::size_t at, std::size_t count) {
        return Bytes(f.begin() + static_cast<std::ptrdiff_t>(at), f.begin() + static_cast<std::ptrdiff_t>(at + count));
    };
    r.src = cut(src, addr);
    r.dst = cut(src + addr, addr);
    const std::size_t end = r.v6 ? tcp + u16(ip + 4) : ip + u16(ip + 2);
    EXPECT_LE(end, f.size());
    EXPECT_EQ(r.v6 ? 0U : internet_checksum(cut(ip, 20)), 0U) << "IP header";
    const auto bytes = static_cast<std::uint16_t>(end - tcp);
    EXPECT_EQ(internet_checksum(r.src + r.dst +
                                Bytes{0, 6, static_cast<std::uint8_t>(bytes >> 8), static_cast<std::uint8_t>(bytes)} +
                                cut(tcp, bytes)),
              0U)
        << "TCP checksum";
    r.sport = u16(tcp);
    r.dport = u16(tcp + 2);
    r.seq = u32(tcp + 4);
    r.ack = u32(tcp + 8);
    const std::size_t header = (f.at(tcp + 12) >> 4) * 4U;
    r.flags = f.at(tcp + 13);
    r.window = u16(tcp + 14);
    r.payload_bytes = end - tcp - header;
    for (std::size_t at = tcp + 20; at < tcp + header && f.at(at) != 0;) {
        if (f.at(at) == 1) {
            ++at;
            continue;
        }
        const std::size_t length = f.at(at + 1);
        switch (f.at(at)) {
            case 2: r.mss = u16(at + 2); break;
            case 3: r.wscale = f.at(at + 2); break;
            case 4: r.sack_permitted = true; break;
            case 5:
                for (std::size_t b = at + 2; b < at + length; b += 8) r.sack.emplace_back(u32(b), u32(b + 4));
                break;
            case 8: r.timestamps = {u32(at + 2), u32(at + 6)}; break;
            default: break;
        }
        at += length;
    }
    return r;
}

inline Bytes big32(std::uint32_t n) {
    return {static_cast<std::uint8_t>(n >> 24), static_cast<std::uint8_t>(n >> 16), static_cast<std::uint8_t>(n >> 8),
            static_cast<std::uint8_t>(n)};
}
inline Bytes mss_option(std::uint16_t mss) {
    return {2, 4, static_cast<std::uint8_t>(mss >> 8), static_cast<std::uint8_t>(mss)};
}
inline Bytes wscale_option(std::uint8_t scale) { return {1, 3, 3, scale}; }
inline Bytes sack_permitted_option() { return {1, 1, 4, 2}; }
inline Bytes timestamps_option(std::uint32_t value, std::uint32_t echo) {
    return Bytes{1, 1, 8, 10} + big32(value) + big32(echo);
}

}  // namespace sluice::test
