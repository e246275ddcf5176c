/// One valid generation and what is done to it: the validator's tests break one field at a time and put digests right
/// again, so that it is that field's check which speaks.
#pragma once

#include <array>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "dataplane/acl/validator.hpp"
#include "tests/harness/generations.hpp"

namespace sluice::dp {

/// Two zones on ports p0 and p1, three rules (the second in observe mode, the third a pass), three terms.
const cp::CompiledGeneration& valid_generation();

inline constexpr std::array<std::string_view, 2> kPorts{"p0", "p1"};
inline constexpr ValidationLimits kLimits{.rule_slots_max = 64, .ports = kPorts};

struct Damage {
    std::string name;
    std::function<void(test::EditableGeneration&)> apply;
    abi::RefuseReason reason;
    bool fix_digests{true};
};

/// The same policy after edits, compiled beside its tables: "web-in" is another one (hidden, and new), "extra" stands
/// in front of "ping".
const cp::CompiledGeneration& edited_generation();

/// Each must be refused with its reason, and a sentence that tells it from the others.
void expect_refused(std::span<const Damage> damages, const cp::CompiledGeneration& of = valid_generation());

}  // namespace sluice::dp
