/// What makes two packets one flow. Both directions give the same bytes: the lower endpoint (by address, then port)
/// stands first. Keys are compared and hashed as bytes; zones are not part of them, the entry keeps one per direction.
/// Neighbours: flow_hash.hpp hashes these bytes, flow_table.hpp stores them, pipeline/track.cpp makes them.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include <sluice/abi/net_order.hpp>

namespace sluice::dp {

enum class Direction : std::uint8_t { original = 0, reply = 1 };
constexpr Direction opposite(Direction d) noexcept {
    return d == Direction::original ? Direction::reply : Direction::original;
}
constexpr std::size_t index(Direction d) noexcept { return static_cast<std::size_t>(d); }

/// Which network the addresses live in: dense numbers for wire or VRF + VLAN/VNI + tenant. The same addresses in two
/// domains are two flows.
enum class FlowDomain : std::uint16_t {};

/// ICMP has no pair of ports that would tell who asks, so the key says it. Without this, B's own ping to A with the
/// identifier of A's ping to B would pass as an answer.
enum class Asker : std::uint8_t {
    ports_tell = 0,   ///< TCP, UDP, SCTP and protocols without ports: both directions are one flow
    low_asks = 1,     ///< request and reply; the lower endpoint sends the requests
    high_asks = 2,    ///< the same, the higher endpoint sends the requests
    low_speaks = 3,   ///< one way only: no packet of the other direction belongs to it
    high_speaks = 4,  ///< the same from the higher endpoint
};

/// ICMP: low_port = identifier, high_port = type << 8 | code of the request, wherever the endpoints stand.
struct FlowKeyV4 {
    abi::Ipv4Addr low_addr, high_addr;
    abi::L4Port low_port, high_port;
    FlowDomain domain{};
    abi::L4Proto proto{};
    Asker asker{};
    bool operator==(const FlowKeyV4&) const = default;
};
static_assert(sizeof(FlowKeyV4) == 16);
static_assert(std::has_unique_object_representations_v<FlowKeyV4>, "hashed as bytes: no padding");

struct FlowKeyV6 {
    abi::Ipv6Addr low_addr, high_addr;
    abi::L4Port low_port, high_port;
    FlowDomain domain{};
    abi::L4Proto proto{};
    Asker asker{};
    bool operator==(const FlowKeyV6&) const = default;
};
static_assert(sizeof(FlowKeyV6) == 40);
static_assert(std::has_unique_object_representations_v<FlowKeyV6>, "hashed as bytes: no padding");

/// The same as ==, in two or five compares of words instead of one for each field.
template <typename Key>
bool same_bytes(const Key& a, const Key& b) noexcept {
    return std::memcmp(&a, &b, sizeof(Key)) == 0;
}

/// A packet's (or an ICMP error's inner packet's) end points in the order of travel.
struct FlowTuple {
    abi::IpAddr src{}, dst{};
    abi::L4Port sport{}, dport{};
    abi::L4Proto proto{};
};

namespace detail {
/// Eight bytes of an address as the number that they are on the wire.
inline std::uint64_t half_of(const abi::IpAddr& a, std::size_t at) noexcept {
    return abi::NetOrder<std::uint64_t>::read(a.bytes.data() + at).to_host();
}
inline abi::Ipv4Addr address_of(const abi::IpAddr& a, const FlowKeyV4&) noexcept { return a.v4(); }
inline abi::Ipv6Addr address_of(const abi::IpAddr& a, const FlowKeyV6&) noexcept { return a.v6(); }

template <typename Ends, typename Key>
void place_addresses(const Ends& t, bool src_low, FlowDomain domain, Key& key) noexcept {
    key.low_addr = address_of(src_low ? t.src : t.dst, key);
    key.high_addr = address_of(src_low ? t.dst : t.src, key);
    key.domain = domain;
    key.proto = t.proto;
}
}  // namespace detail

/// Any strict order that both directions agree on will do: wire bytes as numbers, compared a word at a time. `Ends`:
/// FlowTuple, or whatever else has its fields.
template <typename Ends>
bool source_is_low(abi::IpFamily family, const Ends& t) noexcept {
    if (family == abi::IpFamily::v4) {
        const std::uint32_t src = t.src.v4().to_host(), dst = t.dst.v4().to_host();
        if (src != dst) return src < dst;
    } else {
        const std::uint64_t src = detail::half_of(t.src, 0), dst = detail::half_of(t.dst, 0);
        if (src != dst) return src < dst;
        const std::uint64_t src_rest = detail::half_of(t.src, 8), dst_rest = detail::half_of(t.dst, 8);
        if (src_rest != dst_rest) return src_rest < dst_rest;
    }
    return t.sport.to_host() <= t.dport.to_host();
}

/// For protocols whose ports (or lack of them) are the same in both directions.
template <typename Key, typename Ends>
Key make_key(const Ends& t, bool src_low, FlowDomain domain) noexcept {
    Key key{};
    detail::place_addresses(t, src_low, domain, key);
    key.low_port = src_low ? t.sport : t.dport;
    key.high_port = src_low ? t.dport : t.sport;
    return key;
}

/// For ICMP: `id` and `type_code` (of the request) do not swap with the endpoints.
template <typename Key>
Key make_icmp_key(const FlowTuple& t, bool src_low, FlowDomain domain, std::uint16_t id, std::uint16_t type_code,
                  Asker asker) noexcept {
    Key key{};
    detail::place_addresses(t, src_low, domain, key);
    key.low_port = abi::L4Port::of_host(id);
    key.high_port = abi::L4Port::of_host(type_code);
    key.asker = asker;
    return key;
}

}  // namespace sluice::dp
