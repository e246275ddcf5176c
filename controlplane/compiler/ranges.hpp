/// Prefixes and services as what a classifier sees: sorted, disjoint, inclusive ranges on a line. A *list* is what one
/// side of a rule allows (a zone's set, a service with ten ports); it stays one thing however many ranges it has, so a
/// set is never multiplied out into rules.
#pragma once

#include <compare>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include "controlplane/policy/model.hpp"

namespace sluice::cp {

/// An IPv6 address as a number.
struct V6Number {
    std::uint64_t high{}, low{};
    constexpr auto operator<=>(const V6Number&) const = default;
};

/// The number behind `at`; false at the end of the line.
constexpr bool step(std::uint32_t& at) noexcept { return ++at != 0; }
constexpr bool step(V6Number& at) noexcept { return ++at.low != 0 || ++at.high != 0; }

template <typename At>
struct Range {
    At first{}, last{};  ///< both inside
    constexpr auto operator<=>(const Range&) const = default;
};

/// Sorted; neighbours neither overlap nor touch.
template <typename At>
using Ranges = std::vector<Range<At>>;

Range<std::uint32_t> v4_range(const Prefix& prefix) noexcept;
Range<V6Number> v6_range(const Prefix& prefix) noexcept;

/// Sorts and merges what overlaps or touches.
void normalise(Ranges<std::uint32_t>& ranges);
void normalise(Ranges<V6Number>& ranges);

struct AddressList {
    Ranges<std::uint32_t> v4;
    Ranges<V6Number> v6;
};
AddressList address_list(std::span<const Prefix> nets);
const AddressList& every_address();

/// Ports as numbers 0..65535, ICMP as type << 8 | code, other protocols by number.
struct ServiceList {
    Ranges<std::uint32_t> tcp, udp, icmp, icmp6, proto;
};
ServiceList service_list(std::span<const ServiceTerm> terms);
/// What a rule without services means: everything but IPv6 "no next header" (59, RFC 8200 section 4.7), which carries
/// nothing that could be a service and passes only by a rule that names it.
ServiceList any_service();

}  // namespace sluice::cp
