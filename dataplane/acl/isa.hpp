/// A lookup exists three times, for three instruction sets, from the same text; all answer alike. The widest one that
/// this CPU has is chosen once, at start. Tests and benches ask each by name.
///
/// How it is built: a body (addresses_body.hpp, trees_body.hpp, blocks_body.hpp) is included by lookup_scalar.cpp,
/// lookup_avx2.cpp and lookup_avx512.cpp behind the primitives of that instruction set (isa_scalar.hpp and so on),
/// which set the namespace and the target attribute of every function. Flags of a whole file would not do: what it
/// shares with others, the linker would take from any of them.
#pragma once

#include <cstdint>
#include <span>

#include "dataplane/acl/lookup.hpp"

namespace sluice::dp {

enum class Isa : std::uint8_t { scalar, avx2, avx512 };

/// Whether this CPU can run it.
bool supported(Isa isa) noexcept;

/// What `lookup` uses.
Isa chosen_isa() noexcept;

/// As `lookup`, with a given body. Precondition: supported(isa).
std::uint32_t lookup_using(Isa isa, const TableView& table, std::span<const LookupKey> keys,
                           std::span<LookupResult> results) noexcept;

/// What sets say about each key: bit u is the answer to use u of the tables.
using SetAnswers = const std::uint16_t*;

// The bodies; asked through the functions above. `answers`: null where the tables ask nothing.
namespace scalar {
void lookup(const LookupTables& tables, SetAnswers answers, std::span<const LookupKey> keys,
            std::span<LookupResult> results) noexcept;
}
namespace avx2 {
void lookup(const LookupTables& tables, SetAnswers answers, std::span<const LookupKey> keys,
            std::span<LookupResult> results) noexcept;
}
namespace avx512 {
void lookup(const LookupTables& tables, SetAnswers answers, std::span<const LookupKey> keys,
            std::span<LookupResult> results) noexcept;
}

}  // namespace sluice::dp
