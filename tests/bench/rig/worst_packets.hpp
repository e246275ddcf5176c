/// The packets that cost the classifier most, found by search in its own tables: what somebody would send who has a
/// copy of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/acl/table_view.hpp"
#include "tests/bench/rig/rules.hpp"

namespace sluice::bench {

/// Of one lookup behind the address tables (their walk is two to four lines for every packet of IPv4).
struct LookupCost {
    std::uint32_t lines{};  ///< cache lines read: nodes, records, and of blocks maps, rows and answers
    std::uint32_t nodes{};  ///< TreeNodes of these; the tables state a maximum
    std::uint32_t rule{};   ///< what was decided: the lookup's own answer
};
LookupCost lookup_cost(const dp::TableView& table, const dp::LookupKey& key) noexcept;

/// `count` different packets, the dearest of many more: rules' corners are crossed with each other, then each field is
/// changed for another rule's as long as that costs more. In random order.
std::vector<AclKey> worst_trace(const dp::TableView& table, std::span<const FilterRule> rules, std::size_t count,
                                std::uint64_t seed, abi::IpFamily family);

}  // namespace sluice::bench
