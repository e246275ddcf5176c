/// Which rules passed a packet on to later layers before the one that decided: for counters. A lookup's answer tells
/// where its way ended; this is the way.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "dataplane/acl/lookup.hpp"

namespace sluice::dp {

/// In the order in which they were asked. Means nothing before a lookup has filled it in.
struct PassTrail {
    std::uint32_t count;
    std::array<abi::RuleIndex, kEntriesMax - 1> rules;  ///< a layer is left once
};

/// As `lookup`. `trails` are filled in where `table` has rules that pass on (`entry_count` of its trees is above 1),
/// and not touched elsewhere; as many as keys.
std::uint32_t lookup_with_trails(const TableView& table, std::span<const LookupKey> keys,
                                 std::span<LookupResult> results, std::span<PassTrail> trails) noexcept;

}  // namespace sluice::dp
