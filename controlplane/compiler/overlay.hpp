/// Edits of a policy, compiled beside the tables that it had: the large sections stay as they are, and a small one says
/// what is otherwise (abi: OverlaySection). One rule of 100,000 is compiled in some milliseconds, and a hundred bytes
/// to a megabyte go to the dataplane instead of all tables.
///
/// What stands in the overlay: rules that are new since the whole was compiled; and, for every rule that went, the
/// rules behind it that may match where it did, down to the first that takes all of that. Not every edit fits: where
/// the tables would have other periods, layers, zones or questions about sets, or the overlay would grow out of
/// proportion, the whole is compiled again, and so it is, without a hurry, once edits rest.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <sluice/expected.hpp>

#include "controlplane/compiler/compiler.hpp"

namespace sluice::cp {

/// What an overlay says, for the next one.
struct Overlaid {
    std::vector<abi::RuleIndex> hidden;  ///< rules of the whole that went, ascending
    std::vector<bool> met;               ///< by rule of the whole: may match where one that went did
    std::size_t met_count{};
    std::size_t fresh{};  ///< rules that the whole does not have
};

/// Beyond these figures the whole is the better answer.
inline constexpr std::size_t kOverlayFreshMax = 512, kOverlayGoneMax = 512, kOverlayMetMax = 8192;
inline constexpr std::size_t kOverlayRangesMax = 65'536;  ///< of addresses, in all its terms
inline constexpr std::uint64_t kOverlayBytesMax = 16U << 20;

/// The generation of `policy`, an edit of what `before` was compiled from. `base`: what runs, an edit of the same
/// whole, and what `before` is of. Error: why the whole has to be compiled. Preconditions: nothing but rules differs
/// from before, and rules that both have are shared; `before.whole` is not null.
Expected<CompiledGeneration, std::string> compile_beside(const CompiledGeneration& before, const Policy& policy,
                                                         const RuleSlots& slots, const ChangeBase& base,
                                                         const CompileOptions& options);

}  // namespace sluice::cp
