#include "controlplane/analysis/example.hpp"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <span>

#include "controlplane/analysis/service_line.hpp"
#include "controlplane/compiler/range_algebra.hpp"
#include "controlplane/policy/address.hpp"

namespace sluice::cp {
namespace {

using abi::IpFamily;
using abi::L4Proto;

constexpr V6Number v4_number(std::uint32_t a, std::uint32_t b, std::uint32_t c, std::uint32_t d) {
    return {0, (a << 24) | (b << 16) | (c << 8) | d};
}
// For documentation (RFC 5737, RFC 3849), private, and others that hosts have.
constexpr std::array kSourcesV4{v4_number(203, 0, 113, 7), v4_number(192, 0, 2, 7), v4_number(10, 0, 0, 7),
                                v4_number(172, 16, 0, 7), v4_number(192, 168, 0, 7)};
constexpr std::array kDestinationsV4{v4_number(198, 51, 100, 80), v4_number(192, 0, 2, 80), v4_number(10, 0, 0, 80),
                                     v4_number(172, 16, 0, 80), v4_number(192, 168, 0, 80)};
constexpr std::array kSourcesV6{V6Number{0x20010db800000000, 7}};
constexpr std::array kDestinationsV6{V6Number{0x20010db800000000, 0x80}};
/// Below and above these no host has an IPv4 address (0/8; groups and what is behind them).
constexpr V6Number kHostsFirstV4 = v4_number(1, 0, 0, 1), kHostsLastV4 = v4_number(223, 255, 255, 254);
constexpr V6Number kHostsFirstV6{0x2000000000000000, 1}, kHostsLastV6{0x3fffffffffffffff, ~std::uint64_t{1}};

template <typename At>
bool has(const Ranges<At>& list, const At& at) {
    const auto range = first_reaching(list, at);
    return range != list.end() && range->first <= at;
}

V6Number pick_address(const AddressRanges& list, std::span<const V6Number> liked, IpFamily family) {
    for (const auto& address : liked) {
        if (has(list, address)) return address;
    }
    const bool v4 = family == IpFamily::v4;
    const auto hosts =
        common(list, AddressRanges{{v4 ? kHostsFirstV4 : kHostsFirstV6, v4 ? kHostsLastV4 : kHostsLastV6}});
    const Range<V6Number>& range = hosts.empty() ? list.front() : hosts.front();
    V6Number second = range.first;  // the first of a prefix is its network's
    return range.first < range.last && step(second) && second < range.last ? second : range.first;
}

std::uint32_t pick_service(const ServiceRanges& list, IpFamily family) {
    const bool v4 = family == IpFamily::v4;
    const ServicePoint echo{v4 ? L4Proto::icmp : L4Proto::icmp6, static_cast<std::uint16_t>((v4 ? 8 : 128) << 8)};
    for (const ServicePoint& liked : {ServicePoint{L4Proto::tcp, 443}, ServicePoint{L4Proto::tcp, 80},
                                      ServicePoint{L4Proto::tcp, 22}, ServicePoint{L4Proto::udp, 53}, echo}) {
        if (has(list, place_of(liked, family))) return place_of(liked, family);
    }
    const std::uint32_t first = list.front().first;
    // Port 0 is nothing that anybody asks about.
    const bool port_0 = first == place_of({L4Proto::tcp, 0}, family) || first == place_of({L4Proto::udp, 0}, family);
    if (port_0 && list.front().first != list.front().last) return first + 1;
    return port_0 && list.size() > 1 ? list[1].first : first;
}

}  // namespace

abi::IpAddr to_address(const V6Number& number, IpFamily family) noexcept {
    if (family == IpFamily::v4) {
        return abi::IpAddr::of_v4(abi::Ipv4Addr::of_host(static_cast<std::uint32_t>(number.low)));
    }
    abi::IpAddr address;
    abi::NetOrder<std::uint64_t>::of_host(number.high).write(address.bytes.data());
    abi::NetOrder<std::uint64_t>::of_host(number.low).write(address.bytes.data() + 8);
    return address;
}

V6Number to_number(const abi::IpAddr& address, IpFamily family) noexcept {
    if (family == IpFamily::v4) return {0, address.v4().to_host()};
    return {abi::NetOrder<std::uint64_t>::read(address.bytes.data()).to_host(),
            abi::NetOrder<std::uint64_t>::read(address.bytes.data() + 8).to_host()};
}

std::optional<ExamplePacket> example_of(const Box& box, const EntryPlaces& places) {
    ExamplePacket packet{.family = box.family};
    if (!places.pick(box, packet.from_place, packet.to_place)) return std::nullopt;
    packet.in_port = places.port_between(packet.from_place, packet.to_place);
    const bool v4 = box.family == IpFamily::v4;
    const std::span<const V6Number> sources = v4 ? std::span<const V6Number>{kSourcesV4} : kSourcesV6;
    const std::span<const V6Number> destinations = v4 ? std::span<const V6Number>{kDestinationsV4} : kDestinationsV6;
    packet.src = to_address(pick_address(*box.src, sources, box.family), box.family);
    packet.dst = to_address(pick_address(*box.dst, destinations, box.family), box.family);
    const ServicePoint service = service_at(pick_service(*box.service, box.family), box.family);
    packet.proto = service.proto;
    packet.dport_or_icmp = service.dport_or_icmp;
    return packet;
}

namespace {

dp::LookupKey key_of(const ExamplePacket& packet, std::uint16_t from, std::uint16_t to) {
    return {packet.src,           packet.dst,    abi::ZoneId{from}, abi::ZoneId{to},
            packet.dport_or_icmp, packet.family, packet.proto};
}

}  // namespace

dp::LookupKey key_before(const ExamplePacket& packet, const EntryPlaces& places) {
    const auto& all = places.places();
    return key_of(packet, all[packet.from_place].zone_before, all[packet.to_place].zone_before);
}

dp::LookupKey key_after(const ExamplePacket& packet, const EntryPlaces& places) {
    const auto& all = places.places();
    return key_of(packet, all[packet.from_place].zone_after, all[packet.to_place].zone_after);
}

Box box_of(const ExamplePacket& packet) {
    const auto one = [&](const abi::IpAddr& address) {
        const V6Number number = to_number(address, packet.family);
        return std::make_shared<const AddressRanges>(AddressRanges{{number, number}});
    };
    const std::uint32_t service = place_of({packet.proto, packet.dport_or_icmp}, packet.family);
    return {packet.family,
            PlaceBits{}.set(packet.from_place),
            PlaceBits{}.set(packet.to_place),
            one(packet.src),
            one(packet.dst),
            std::make_shared<const ServiceRanges>(ServiceRanges{{service, service}})};
}

namespace {

/// Length of the prefix that `range` is; nothing if it is none.
std::optional<unsigned> prefix_bits(const Range<V6Number>& range, unsigned width) {
    for (unsigned bits = 0; bits <= width; ++bits) {
        const Prefix prefix{abi::IpFamily::v6, static_cast<std::uint8_t>(bits + 128 - width),
                            to_address(range.first, abi::IpFamily::v6)};
        if (v6_range(prefix) == range) return bits;
    }
    return std::nullopt;
}

}  // namespace

std::vector<std::string> to_texts(const AddressRanges& addresses, IpFamily family) {
    std::vector<std::string> texts;
    const unsigned width = family == IpFamily::v4 ? 32 : 128;
    for (const auto& range : addresses) {
        const abi::IpAddr first = to_address(range.first, family);
        if (const auto bits = prefix_bits(range, width)) {
            texts.push_back(*bits == 0 ? "any" : to_text(Prefix{family, static_cast<std::uint8_t>(*bits), first}));
        } else {
            texts.push_back(to_text(Address{family, first}) + "-" +
                            to_text(Address{family, to_address(range.last, family)}));
        }
    }
    return texts;
}

bool is_wide_open(const AddressRanges& addresses, IpFamily family) noexcept {
    // In units of a 2^32nd of the family's addresses: only wide ranges matter.
    std::uint64_t units = 0;
    for (const auto& range : addresses) {
        const auto unit = [&](const V6Number& n) { return family == IpFamily::v4 ? n.low : n.high >> 32; };
        units += unit(range.last) - unit(range.first) + 1;
    }
    return units >= std::uint64_t{1} << (family == IpFamily::v4 ? 31 : 29);
}

}  // namespace sluice::cp
