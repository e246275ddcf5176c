/// Policy -> generation: its sections and a manifest as the dataplane runs them (abi/tables.hpp tells the shapes).
///
/// Theory of operation. Rules become terms (terms.hpp), the lists of their sides become classes (lines.hpp,
/// classes.hpp), addresses get tables that lead to their class (address_table.hpp), terms in classes become cut trees
/// (tree.hpp). Everything is a function of the policy, its slots and its base: equal input gives equal bytes, so a
/// section that did not change keeps its digest and the dataplane keeps its mapping. Each part is given what is left of
/// a budget and ends as soon as it is over it: what is too big is refused with figures.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <sluice/abi/tables.hpp>
#include <sluice/expected.hpp>

#include "controlplane/compiler/budget.hpp"
#include "controlplane/compiler/change_reach.hpp"
#include "controlplane/compiler/slot_map.hpp"
#include "controlplane/compiler/whole_tables.hpp"
#include "controlplane/policy/model.hpp"
#include "dataplane/acl/validator.hpp"

namespace sluice::cp {

struct Overlaid;

/// Part of the generation digest: raise it when the same policy gives other bytes.
inline constexpr std::uint32_t kCompilerVersion = 7;

struct CompileOptions {
    std::uint64_t generation{};
    std::uint64_t created_unix_ns{};         ///< schedules are written out from that year on
    std::uint64_t set_epoch{}, set_delta{};  ///< Manifest's
    std::uint64_t bytes_max{256ULL << 20};   ///< all sections together
    std::uint32_t terms_max{abi::kTermsMax};
    /// The generation that runs now, if it is known: then the new one tells which flows it does not concern.
    std::optional<ChangeBase> base;
    /// What a compile left, of a policy that this one was edited from: unedited rules need not be expanded again.
    /// Bytes are the same without. Both may be null.
    const Policy* edited_from{};
    const TermBuilder* terms_before{};
    /// The policy's own, should somebody have made them already. May be null.
    std::shared_ptr<const TermBuilder> terms{};
};

/// A section's bytes; generations that have the same share them.
class SharedSection {
public:
    SharedSection() = default;
    explicit SharedSection(std::vector<std::byte> bytes)
        : bytes_{std::make_shared<const std::vector<std::byte>>(std::move(bytes))} {}
    std::span<const std::byte> bytes() const noexcept {
        return bytes_ == nullptr ? std::span<const std::byte>{} : std::span{*bytes_};
    }

private:
    std::shared_ptr<const std::vector<std::byte>> bytes_;
};

struct CompiledGeneration {
    abi::Manifest manifest{};
    std::array<SharedSection, abi::kSectionKindCount> sections;  ///< by kind - 1
    std::shared_ptr<const WholeTables> whole;                    ///< of what the large tables were compiled
    std::shared_ptr<const Overlaid> overlaid;                    ///< what stands beside them since; null: nothing

    SharedSection& section(abi::SectionKind kind) { return sections[static_cast<std::size_t>(kind) - 1]; }
    const SharedSection& section(abi::SectionKind kind) const { return sections[static_cast<std::size_t>(kind) - 1]; }
    std::span<const std::byte> manifest_bytes() const noexcept { return std::as_bytes(std::span{&manifest, 1}); }
    /// As the validator takes them. Valid while this object lives and is not moved from.
    dp::SectionBytes section_bytes() const noexcept;
    std::uint64_t bytes() const noexcept;
};

/// `slots`: of the policy's rules, as `SlotMap::assign` answers them.
Expected<CompiledGeneration, CompileRefusal> compile(const Policy& policy, const RuleSlots& slots,
                                                     const CompileOptions& options);
/// The same, with slots looked up. Precondition: `slots.assign(policy)` succeeded; a rule without a slot is refused.
Expected<CompiledGeneration, CompileRefusal> compile(const Policy& policy, const SlotMap& slots,
                                                     const CompileOptions& options);

/// Another generation number and time for the same tables; sections and generation digest stay.
void renumber(CompiledGeneration& compiled, std::uint64_t generation, std::uint64_t created_unix_ns);

}  // namespace sluice::cp
