/// Checks everything in a generation once, as against a hostile writer: every offset, count, index, enum, order and
/// digest. What passes is trusted for as long as it is mapped; what does not is refused by value, with the place. No
/// DPDK, no exceptions: the dataplane, `sluice-inspect`, the control plane and the fuzzers use this very function.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <sluice/abi/messages.hpp>
#include <sluice/abi/tables.hpp>
#include <sluice/expected.hpp>

#include "dataplane/acl/table_view.hpp"

namespace sluice::dp {

class LargeTables;  // large_tables.hpp

struct Refusal {
    abi::RefuseReason reason{};
    std::string where;  ///< one sentence: the place, what stands there, what was expected
};

std::string_view to_string(abi::RefuseReason reason) noexcept;

struct ValidationLimits {
    std::uint32_t rule_slots_max{};
    /// Names of the dataplane's ports, index = port. Every one must be bound to exactly one zone for untagged traffic,
    /// and a generation must not name another. Empty: ports are not checked (tools that only print).
    std::span<const std::string_view> ports;
};

/// Section bytes by kind - 1, as mapped; each span starts 8-byte aligned.
using SectionBytes = std::array<std::span<const std::byte>, abi::kSectionKindCount>;

/// One section by itself (header, digest, inner bounds). A section that passed needs no second look while it stays
/// mapped.
Expected<void, Refusal> validate_section(abi::SectionKind kind, std::span<const std::byte> bytes);

/// The manifest by itself.
Expected<void, Refusal> validate_manifest(std::span<const std::byte> bytes);

/// What only the whole can show (bounds across sections, zones against ports, slots), then the view.
/// Precondition: validate_manifest and validate_section accepted the parts.
/// `large`: what another generation's large tables showed, or null; those of this one afterwards. Where they are the
/// same they are not walked along again.
Expected<TableView, Refusal> assemble(const abi::Manifest& manifest, const SectionBytes& sections,
                                      const ValidationLimits& limits, std::shared_ptr<const LargeTables>& large);
Expected<TableView, Refusal> assemble(const abi::Manifest& manifest, const SectionBytes& sections,
                                      const ValidationLimits& limits);

/// All three in order.
Expected<TableView, Refusal> validate(std::span<const std::byte> manifest, const SectionBytes& sections,
                                      const ValidationLimits& limits, std::shared_ptr<const LargeTables>& large);
Expected<TableView, Refusal> validate(std::span<const std::byte> manifest, const SectionBytes& sections,
                                      const ValidationLimits& limits);

}  // namespace sluice::dp
