#include "tests/harness/generations.hpp"

#include <algorithm>

#include "dataplane/acl/digest.hpp"

namespace sluice::test {

EditableGeneration::EditableGeneration(const cp::CompiledGeneration& compiled)
    : manifest_(compiled.manifest_bytes().begin(), compiled.manifest_bytes().end()), sections_{compiled.sections} {}

void EditableGeneration::fix_digests() noexcept {
    for (std::uint32_t kind = 1; kind <= abi::kSectionKindCount; ++kind) fix_section(abi::SectionKind{kind});
}

void EditableGeneration::fix_digest(std::vector<std::byte>& section) noexcept {
    if (section.size() < sizeof(abi::SectionHeader)) return;
    auto& header = *reinterpret_cast<abi::SectionHeader*>(section.data());
    const std::size_t bytes = std::min<std::size_t>(header.bytes, section.size());
    if (bytes >= sizeof header) header.digest = dp::section_digest(std::span{section}.first(bytes));
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
    dp::SectionBytes spans;
    for (std::size_t i = 0; i < sections_.size(); ++i) spans[i] = sections_[i];
    return dp::validate(manifest_, spans, limits);
}

}  // namespace sluice::test
