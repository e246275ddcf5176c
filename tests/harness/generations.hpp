/// A generation's bytes to be damaged by tests: a copy whose parts can be edited, with digests put right again, so that
/// structure checks are met and not only the digest's.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include <sluice/abi/tables.hpp>
#include <sluice/expected.hpp>

#include "controlplane/compiler/compiler.hpp"
#include "dataplane/acl/validator.hpp"

namespace sluice::test {

class EditableGeneration {
public:
    explicit EditableGeneration(const cp::CompiledGeneration& compiled);

    abi::Manifest& manifest() noexcept { return *reinterpret_cast<abi::Manifest*>(manifest_.data()); }
    std::vector<std::byte>& manifest_bytes() noexcept { return manifest_; }
    std::vector<std::byte>& section_bytes(abi::SectionKind kind) noexcept {
        return sections_[static_cast<std::size_t>(kind) - 1];
    }
    template <typename Section>
    Section& section(abi::SectionKind kind) noexcept {
        return *reinterpret_cast<Section*>(section_bytes(kind).data());
    }
    /// Element `index` of an array of that section.
    template <typename T>
    T& element(abi::SectionKind kind, const abi::ArrayRef& ref, std::size_t index) noexcept {
        return reinterpret_cast<T*>(section_bytes(kind).data() + ref.offset)[index];
    }

    /// Section digests, the manifest's references and the manifest's digest, as if a hostile writer had made them.
    void fix_digests() noexcept;
    /// One section's only, and the manifest's: large tables take long to digest.
    void fix_section(abi::SectionKind kind) noexcept;

    /// The digest of one section by itself, if it has the bytes for one.
    static void fix_digest(std::vector<std::byte>& section) noexcept;

    /// The view lives as long as this object: a temporary may not be asked.
    Expected<dp::TableView, dp::Refusal> validate(const dp::ValidationLimits& limits) const&;
    Expected<dp::TableView, dp::Refusal> validate(const dp::ValidationLimits& limits) && = delete;
    /// With what other tables showed, as `assemble` takes it.
    Expected<dp::TableView, dp::Refusal> validate(const dp::ValidationLimits& limits,
                                                  std::shared_ptr<const dp::LargeTables>& large) const&;

private:
    std::vector<std::byte> manifest_;
    std::array<std::vector<std::byte>, abi::kSectionKindCount> sections_;
};

}  // namespace sluice::test
