/// Writes the overlay section (abi: OverlaySection).
#pragma once

#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "controlplane/compiler/lookup_sections.hpp"

namespace sluice::cp {

struct OverlayContent {
    std::vector<abi::RuleIndex> hidden;
    std::vector<std::pair<abi::RuleRecord, std::string_view>> rules;  ///< with their ids
    std::vector<abi::OverlayPlace> places;
    LookupSectionContents tables;
};

SectionContent write_overlay(const OverlayContent& content);
/// Of a policy that was compiled as a whole.
SectionContent write_no_overlay();

}  // namespace sluice::cp
