/// What looking at every rule of a generation's large tables showed, kept for generations that have the same ones: an
/// edit of one rule among 100,000 stands in the overlay, and is looked at without another walk along all others.
///
/// Knows sections by their digests and rules by their number, and points into no mapping. Written once, then read.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include <sluice/abi/tables.hpp>

#include "dataplane/acl/table_view.hpp"

namespace sluice::dp {

class LargeTables {
public:
    /// Of sections that passed by themselves and agree with each other. `view` has rules, zones and trees; every slot
    /// is below `manifest.rule_slots`.
    LargeTables(const abi::Manifest& manifest, const TableView& view, std::uint32_t entry_count,
                abi::RuleIndex highest_slot);

    /// All that was looked at is what the manifest names; only settings and overlay may be other ones.
    bool are_those_of(const abi::Manifest& manifest) const noexcept;

    std::uint32_t entry_count() const noexcept { return entry_count_; }
    /// The rule whose slot is above all others'.
    abi::RuleIndex highest_slot() const noexcept { return highest_slot_; }
    /// kNoRule: none has it. The default rule is not looked for.
    abi::RuleIndex with_slot(abi::RuleSlot slot) const noexcept;
    /// `view`: of these tables. The index has a seed of the process, so no policy can be written to crowd one bucket.
    abi::RuleIndex with_id(std::string_view id, const TableView& view) const noexcept;

private:
    using Sections = std::array<abi::SectionRef, abi::kSectionKindCount>;

    std::size_t bucket_of(std::string_view id) const noexcept;

    Sections sections_;
    std::uint32_t entry_count_;
    abi::RuleIndex highest_slot_;
    std::vector<abi::RuleIndex> by_slot_;
    unsigned bucket_bits_;
    std::vector<std::uint32_t> bucket_begin_;  ///< in by_id_, and the end
    std::vector<abi::RuleIndex> by_id_;        ///< of one bucket side by side
};

}  // namespace sluice::dp
