/// Intervals of addresses -> the compressed table that the dataplane walks (abi: AddressSection). A node holds all
/// intervals that share what stands before its chunk; the kind is chosen by how many keys it has, so that a walk reads
/// few lines and a prefix costs about 20 bytes in any distribution.
#pragma once

#include <cstdint>
#include <vector>

#include <sluice/abi/tables.hpp>

#include "controlplane/compiler/classes.hpp"

namespace sluice::cp {

struct AddressTable {
    std::vector<std::uint32_t> root;
    std::vector<abi::AddressLine> lines;
    std::uint32_t node_visits_max{};
};

/// Precondition: `intervals` as ClassNumbers makes them. `lines_max`: at this many the work ends and `lines` is longer.
AddressTable address_table(const Intervals<std::uint32_t>& intervals, std::size_t lines_max);
AddressTable address_table(const Intervals<V6Number>& intervals, std::size_t lines_max);

}  // namespace sluice::cp
