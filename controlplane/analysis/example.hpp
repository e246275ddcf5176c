/// One packet out of a box, as `explain` is asked about it, and the texts of a box's sides.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "controlplane/analysis/box.hpp"
#include "controlplane/analysis/entry_places.hpp"
#include "dataplane/acl/lookup.hpp"

namespace sluice::cp {

struct ExamplePacket {
    std::string in_port{};
    std::size_t from_place{}, to_place{};
    abi::IpFamily family{};
    abi::IpAddr src{}, dst{};
    abi::L4Proto proto{};
    std::uint16_t dport_or_icmp{};  ///< as dp::LookupKey
};

/// Addresses for documentation and well-known services where the box has them, and no address that no host has where
/// that can be helped. Nothing if no packet can take the box's way.
std::optional<ExamplePacket> example_of(const Box& box, const EntryPlaces& places);

/// As the tables of either policy are asked.
dp::LookupKey key_before(const ExamplePacket& packet, const EntryPlaces& places);
dp::LookupKey key_after(const ExamplePacket& packet, const EntryPlaces& places);

/// The one packet as a box.
Box box_of(const ExamplePacket& packet);

/// `any`, prefixes, or `first-last` where a range is no prefix.
std::vector<std::string> to_texts(const AddressRanges& addresses, abi::IpFamily family);
/// At least half of all IPv4 addresses; as much of IPv6 as all that is routed (2000::/3, RFC 4291 section 2.4).
bool is_wide_open(const AddressRanges& addresses, abi::IpFamily family) noexcept;

abi::IpAddr to_address(const V6Number& number, abi::IpFamily family) noexcept;
V6Number to_number(const abi::IpAddr& address, abi::IpFamily family) noexcept;

}  // namespace sluice::cp
