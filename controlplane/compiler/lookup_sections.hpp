/// The six sections that a lookup asks (abi::kOverlayTables), from terms in classes: of a whole policy, or of the few
/// rules that an overlay is about.
#pragma once

#include <array>
#include <cstddef>
#include <optional>

#include <sluice/expected.hpp>

#include "controlplane/compiler/budget.hpp"
#include "controlplane/compiler/lines.hpp"
#include "controlplane/compiler/sections.hpp"

namespace sluice::cp {

using LookupSectionContents = std::array<SectionContent, abi::kOverlayTables.size()>;  ///< in that order

struct LookupShape {
    std::size_t zone_count{};
    std::size_t rule_count{};  ///< with the one that stands for "none matched"
    TreeOptions trees;
};

/// Services and pairs of zones are named in 16 bits.
std::optional<Unexpected<CompileRefusal>> too_many_classes(const ClassifiedTerms& classified);

/// Precondition: there are not too many classes.
Expected<LookupSectionContents, CompileRefusal> write_lookup_sections(const ClassifiedTerms& classified,
                                                                      const Periods& periods, const Entries& entries,
                                                                      const LookupShape& shape, Budget& budget);

}  // namespace sluice::cp
