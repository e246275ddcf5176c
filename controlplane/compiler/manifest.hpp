/// The manifest of a generation, and what tells one from another.
#pragma once

#include <span>

#include <sluice/abi/tables.hpp>

#include "controlplane/compiler/compiler.hpp"

namespace sluice::cp {

/// Of the sections that stand in `compiled`.
abi::Manifest make_manifest(const Policy& policy, const RuleSlots& slots, std::span<const abi::Transition> transitions,
                            const CompiledGeneration& compiled);

}  // namespace sluice::cp
