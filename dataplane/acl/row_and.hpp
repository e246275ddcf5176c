/// The last step of a lookup: AND five bit rows and find the first enforced and the first observed term. Three bodies
/// that answer alike; the widest one that this CPU has is chosen once, at start. Tests and benches ask each by name.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "dataplane/acl/lookup.hpp"

namespace sluice::dp {

enum class RowAnd : std::uint8_t { scalar, avx2, avx512 };

/// Whether this CPU can run it.
bool supported(RowAnd variant) noexcept;

/// What `lookup` uses.
RowAnd chosen_row_and() noexcept;

/// As `lookup`, with a given body. Precondition: supported(variant).
void lookup_using(RowAnd variant, const TableView& table, std::span<const LookupKey> keys,
                  std::span<LookupResult> results) noexcept;

inline constexpr std::uint32_t kNoTerm = 0xffffffff;

struct TermHit {
    std::uint32_t enforced{kNoTerm};
    std::uint32_t observed{kNoTerm};  ///< always before `enforced`
};

/// Rows of from-zone, to-zone, source, destination, transport; each `word_count` words.
using RowSet = std::array<const std::uint64_t*, 5>;
using RowAndFn = TermHit (*)(const RowSet& rows, const std::uint64_t* observe_mask, std::uint32_t word_count) noexcept;

RowAndFn row_and_body(RowAnd variant) noexcept;

}  // namespace sluice::dp
