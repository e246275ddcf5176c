/// What the kinds of sections are called where people read them.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include <sluice/abi/tables.hpp>

namespace sluice::abi {

inline constexpr std::array<std::string_view, kSectionKindCount> kSectionNames{
    "settings", "zones", "rules", "src_v4", "dst_v4", "src_v6", "dst_v6", "transport", "trees", "overlay"};
static_assert(!kSectionNames.back().empty(), "every kind has a name");

/// "?" for what is no kind.
constexpr std::string_view section_name(SectionKind kind) noexcept {
    const auto i = static_cast<std::size_t>(kind) - 1;
    return i < kSectionNames.size() ? kSectionNames[i] : "?";
}

}  // namespace sluice::abi
