/// The sections that are written as the policy says them: settings, zones, rules. And those that hold classes.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "controlplane/compiler/address_table.hpp"
#include "controlplane/compiler/change_reach.hpp"
#include "controlplane/compiler/lines.hpp"
#include "controlplane/compiler/tree.hpp"
#include "controlplane/policy/model.hpp"

namespace sluice::cp {

using SectionContent = std::vector<std::byte>;

/// `untouched`: since `base`; empty without one.
SectionContent write_settings(const Policy& policy, const std::optional<ChangeBase>& base,
                              std::span<const std::uint64_t> untouched);
SectionContent write_zones(const Policy& policy);
SectionContent write_rules(const Policy& policy, const std::vector<abi::RuleSlot>& slots, const Entries& entries);
/// `id`: where its text stands.
abi::RuleRecord rule_record(const Policy& policy, const Rule& rule, abi::RuleSlot slot, std::uint8_t is_pass,
                            abi::TextRef id);
SectionContent write_addresses(abi::SectionKind kind, const AddressTable& table, std::uint32_t class_count);
SectionContent write_transport(const TransportClasses& classes);
SectionContent write_trees(const Trees& trees, const ClassifiedTerms& classified, const Periods& periods,
                           const Entries& entries, std::uint32_t zone_count, std::uint32_t rule_count);

}  // namespace sluice::cp
