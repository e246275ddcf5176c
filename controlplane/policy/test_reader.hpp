/// The tests that a policy carries: from a tree of the right shape, as far as it is, to the model. A part of the reader
/// (reader.hpp): what tests name has been read before.
#pragma once

#include <vector>

#include "controlplane/policy/document.hpp"
#include "controlplane/policy/model.hpp"
#include "controlplane/policy/reader.hpp"
#include "controlplane/policy/shape.hpp"
#include "controlplane/policy/symbols.hpp"

namespace sluice::cp {

/// What tests name. Borrowed.
struct TestContext {
    const Symbols& symbols;
    const Policy& policy;  ///< its zones and sets
    const RuleNames& rules;
    const WireHint* wires{};  ///< may be null
};

/// Reads on after errors, which go to `report`.
std::vector<PolicyTest> read_tests(const Node& root, const TestContext& context, Report& report);

}  // namespace sluice::cp
