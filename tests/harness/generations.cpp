#include "tests/harness/generations.hpp"

#include <algorithm>

#include "dataplane/acl/digest.hpp"

namespace sluice::test {

EditableGeneration::EditableGeneration(const cp::CompiledGeneration& compiled)
    : manifest_(compiled.manifest_bytes().begin(), compiled.manifest_bytes().end()) {
    const auto sections = compiled.section_bytes();
    for (std::size_t i = 0; i < sections.size(); ++i) sections_[i].assign(sections[i].begin(), sections[i].end());
}

void EditableGeneration::fix_digests() noexcept {
    for (std::uint32_t kind = 1; kind <= abi::kSectionKindCount; ++kind) fix_section(abi::SectionKind{kind});
}

namespace {

void fix_bytes(std::span<std::byte> section) noexcept {
    if (section.size() < sizeof(abi::SectionHeader)) return;
    auto& header = *reinterpret_cast<abi::SectionHeader*>(section.data());
    const std::size_t bytes = std::min<std::size_t>(header.bytes, section.size());
    if (bytes >= sizeof header) header.digest = dp::section_digest(section.first(bytes));
}

/// The sections inside it first.
void fix_overlay(std::span<std::byte> section) noexcept {
    const auto& overlay = *reinterpret_cast<const abi::OverlaySection*>(section.data());
    for (const abi::ArrayRef& table : overlay.tables) {
        if (table.offset % 8 != 0 || table.offset > section.size() || table.count > section.size() - table.offset)
            continue;
        fix_bytes(section.subspan(table.offset, table.count));
    }
}

}  // namespace

void EditableGeneration::fix_digest(std::vector<std::byte>& section) noexcept {
    if (section.size() < sizeof(abi::SectionHeader)) return;
    const bool is_overlay =
        reinterpret_cast<const abi::SectionHeader*>(section.data())->kind == abi::SectionKind::overlay;
    if (is_overlay && section.size() >= sizeof(abi::OverlaySection)) fix_overlay(section);
    fix_bytes(section);
}

void EditableGeneration::fix_section(abi::SectionKind kind) noexcept {
    if (manifest_.size() < sizeof(abi::Manifest)) return;
    const std::vector<std::byte>& section = section_bytes(kind);
    fix_digest(section_bytes(kind));
    if (section.size() >= sizeof(abi::SectionHeader)) {
        const auto& header = *reinterpret_cast<const abi::SectionHeader*>(section.data());
        abi::SectionRef& ref = manifest().sections[static_cast<std::size_t>(kind) - 1];
        ref.bytes = header.bytes;
        ref.digest = header.digest;
    }
    manifest().digest = dp::manifest_digest(manifest());
}

Expected<dp::TableView, dp::Refusal> EditableGeneration::validate(const dp::ValidationLimits& limits) const& {
    std::shared_ptr<const dp::LargeTables> none;
    return validate(limits, none);
}

Expected<dp::TableView, dp::Refusal> EditableGeneration::validate(
    const dp::ValidationLimits& limits, std::shared_ptr<const dp::LargeTables>& large) const& {
    dp::SectionBytes spans;
    for (std::size_t i = 0; i < sections_.size(); ++i) spans[i] = sections_[i];
    return dp::validate(manifest_, spans, limits, large);
}

}  // namespace sluice::test
