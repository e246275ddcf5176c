/// Sets whose members come over the API, as the tables number them. They are asked beside the tables (abi/tables.hpp,
/// SetUse): a rule that names one is a term of its own, with a condition instead of a list of addresses.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include <sluice/abi/tables.hpp>

#include "controlplane/policy/model.hpp"

namespace sluice::cp {

/// Bit per set, numbered as `changing_sets` has them; 0 = nothing is asked.
using SetBits = std::uint64_t;

/// What names a set in tables and in changes of its members.
abi::SetId set_id(std::string_view name);

/// Positions in `policy.sets`, ascending by id: what ZonesSection::sets holds.
std::vector<std::uint16_t> changing_sets(const Policy& policy);

/// Every side and set that a term asks about.
struct SetQuestions {
    std::vector<abi::SetUse> uses;  ///< ascending

    /// Bits of the answers about these sets.
    std::uint32_t answers_about(SetBits sets, std::uint8_t side) const noexcept;
};

}  // namespace sluice::cp
