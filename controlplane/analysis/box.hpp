/// A set of packets as a product: places of arrival AND places of departure AND source AND destination AND service, all
/// of one address family. Each side is a list, not an interval, so that a rule with a set of 100,000 addresses is one
/// box. What one box has more than another is at most five boxes.
///
/// Places are classes of ports (entry_places.hpp); IPv4 addresses are numbers below 2^32; services lie on one line
/// (service_line.hpp). Lists are shared and never changed: boxes are copied freely.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include <sluice/abi/net_order.hpp>

#include "controlplane/compiler/ranges.hpp"
#include "controlplane/compiler/terms.hpp"

namespace sluice::cp {

using AddressRanges = Ranges<V6Number>;
using ServiceRanges = Ranges<std::uint32_t>;
using PlaceBits = ZoneBits;

struct Box {
    abi::IpFamily family{};
    PlaceBits from{}, to{};
    std::shared_ptr<const AddressRanges> src{}, dst{};
    std::shared_ptr<const ServiceRanges> service{};
};

/// How many of `box`'s five sides `by` does not cover; nothing if the two have no packet in common. 0 = `by` covers
/// `box`.
std::optional<unsigned> uncovered_sides(const Box& box, const Box& by);

std::optional<Box> common(const Box& a, const Box& b);

/// Appends what `a` has and `b` has not, in boxes without a packet in common.
void append_without(const Box& a, const Box& b, std::vector<Box>& out);

/// Length of the lists: what a copy of them costs.
std::size_t list_lengths(const Box& box) noexcept;

}  // namespace sluice::cp
