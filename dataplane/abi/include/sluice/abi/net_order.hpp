/// Bytes as they stand on the wire, as types: addresses and ports can be compared and hashed, never added or ordered by
/// mistake. Neighbours: every header of this folder that carries an address, and the parser, which is the only place
/// that reads them off a frame.
#pragma once

#include <array>
#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace sluice::abi {

/// An unsigned integer in network byte order. Equality and hashing work on the wire bytes; arithmetic needs
/// `to_host()`.
template <std::unsigned_integral T>
class NetOrder {
public:
    constexpr NetOrder() noexcept = default;
    static constexpr NetOrder of_host(T v) noexcept { return NetOrder{flip(v)}; }
    static constexpr NetOrder of_wire(T wire) noexcept { return NetOrder{wire}; }
    static NetOrder read(const void* bytes) noexcept {
        T wire;
        std::memcpy(&wire, bytes, sizeof wire);
        return NetOrder{wire};
    }
    void write(void* bytes) const noexcept { std::memcpy(bytes, &wire_, sizeof wire_); }
    constexpr T to_host() const noexcept { return flip(wire_); }
    constexpr T wire() const noexcept { return wire_; }
    constexpr bool operator==(const NetOrder&) const = default;

private:
    constexpr explicit NetOrder(T wire) noexcept : wire_{wire} {}
    static constexpr T flip(T v) noexcept {
        if constexpr (std::endian::native == std::endian::big || sizeof(T) == 1) {
            return v;
        } else if constexpr (sizeof(T) == 2) {
            return __builtin_bswap16(v);
        } else if constexpr (sizeof(T) == 4) {
            return __builtin_bswap32(v);
        } else {
            return __builtin_bswap64(v);
        }
    }
    T wire_{};
};

using L4Port = NetOrder<std::uint16_t>;
using Ipv4Addr = NetOrder<std::uint32_t>;

/// 128-bit address, wire order.
struct Ipv6Addr {
    std::array<std::uint8_t, 16> bytes{};
    constexpr bool operator==(const Ipv6Addr&) const = default;
};

/// An address of either family in a fixed 16 bytes: IPv4 stands in the first four, the rest is zero. The family travels
/// beside it.
struct IpAddr {
    std::array<std::uint8_t, 16> bytes{};

    static IpAddr of_v4(Ipv4Addr a) noexcept {
        IpAddr r;
        a.write(r.bytes.data());
        return r;
    }
    static constexpr IpAddr of_v6(const Ipv6Addr& a) noexcept { return IpAddr{a.bytes}; }
    Ipv4Addr v4() const noexcept { return Ipv4Addr::read(bytes.data()); }
    constexpr Ipv6Addr v6() const noexcept { return Ipv6Addr{bytes}; }
    constexpr bool operator==(const IpAddr&) const = default;
};

enum class IpFamily : std::uint8_t { none = 0, v4 = 4, v6 = 6 };

/// IANA protocol numbers that the product treats by name; any other value is legal.
enum class L4Proto : std::uint8_t {
    icmp = 1,
    igmp = 2,
    ipip = 4,
    tcp = 6,
    udp = 17,
    ipv6_in_ip = 41,
    gre = 47,
    esp = 50,
    ah = 51,
    icmp6 = 58,
    ipv6_no_next = 59,
    sctp = 132,
};

static_assert(sizeof(Ipv4Addr) == 4 && sizeof(Ipv6Addr) == 16 && sizeof(IpAddr) == 16 && sizeof(L4Port) == 2);
static_assert(std::is_trivially_copyable_v<IpAddr> && std::has_unique_object_representations_v<IpAddr>);

}  // namespace sluice::abi
