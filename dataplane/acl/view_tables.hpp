/// From validated sections to what a lookup asks, with what only all of them together can show. For the large tables
/// and for the overlay's. Used by validator.cpp and validate_overlay.cpp, by nobody else.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

#include <sluice/abi/tables.hpp>

#include "dataplane/acl/check.hpp"
#include "dataplane/acl/table_view.hpp"

namespace sluice::dp {

constexpr std::size_t index_of(abi::SectionKind kind) noexcept { return static_cast<std::size_t>(kind) - 1; }

inline constexpr std::array<std::string_view, abi::kSectionKindCount> kPartNames{
    "settings section", "zones section",  "rules section",     "src_v4 section", "dst_v4 section",
    "src_v6 section",   "dst_v6 section", "transport section", "trees section",  "overlay section"};

template <typename Section>
const Section& as(std::span<const std::byte> bytes) noexcept {
    return *reinterpret_cast<const Section*>(bytes.data());
}

/// Typed access to a section that validate_section accepted.
class Opened {
public:
    explicit Opened(std::span<const std::byte> bytes) noexcept : bytes_{bytes} {}
    template <typename T>
    std::span<const T> array(const abi::ArrayRef& ref) const noexcept {
        return {reinterpret_cast<const T*>(bytes_.data() + ref.offset), static_cast<std::size_t>(ref.count)};
    }

private:
    std::span<const std::byte> bytes_;
};

/// The sections of kOverlayTables, in that order.
using LookupSections = std::array<std::span<const std::byte>, abi::kOverlayTables.size()>;

/// The rules that tables name by number: those of the rules section; or, if there are any, places.
struct NamedRules {
    const TableView& view;
    std::span<const abi::OverlayPlace> places;
    const abi::RuleRecord& operator[](std::size_t i) const noexcept {
        return places.empty() ? view.rules[i] : view.rule(places[i].rule);
    }
};

/// `rule_count`: with one that stands for "none matched". `view`'s zones and sets are known already.
bool view_tables(Check& check, const LookupSections& sections, const NamedRules& rules, std::size_t rule_count,
                 std::uint32_t entry_count, LookupTables& out, std::span<const abi::SetUse>& set_uses);

/// The bit beside each rule's number says what the rule does. The lookup goes by that and never looks at the rule.
bool check_modes(Check& check, const LookupSections& sections, const NamedRules& rules);

}  // namespace sluice::dp
