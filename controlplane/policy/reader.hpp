/// A policy's text becomes a checked `Policy`, or all of its errors at once. Text -> tree (`document.hpp`) -> shape,
/// by the field table (`schema.hpp`) -> names and meaning. Nothing of the language is skipped in silence: what this
/// version does not do yet is refused by name, what is no part of the language is an unknown key.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sluice/expected.hpp>

#include "controlplane/policy/document.hpp"
#include "controlplane/policy/errors.hpp"
#include "controlplane/policy/model.hpp"

namespace sluice::cp {

/// Which ports face each other. It lets a policy test leave out the zone of `to`; without it the zone is implied only
/// where a policy has exactly two zones.
struct WireHint {
    std::vector<std::pair<std::string, std::string>> wires;
};

struct ReadOptions {
    const WireHint* wires{};  ///< may be null
    /// Of the dataplane: zones must bind all of them and no others. Null = not known, not checked.
    const std::vector<std::string>* ports{};
};

/// Errors stand in the order of the text.
Expected<Policy, PolicyErrors> read_policy(std::string_view text, PolicyFormat format, const ReadOptions& options = {});

/// The same from a tree, for a policy that was put together in memory. `parsed.errors` are reported too.
Expected<Policy, PolicyErrors> read_document(const ParsedDocument& parsed, const ReadOptions& options = {});

}  // namespace sluice::cp
