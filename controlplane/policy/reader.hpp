/// A policy's text becomes a checked `Policy`, or all of its errors at once. Text -> tree (`document.hpp`) -> shape,
/// by the field table (`schema.hpp`) -> names and meaning. Nothing of the language is skipped in silence: what this
/// version does not do yet is refused by name, what is no part of the language is an unknown key.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sluice/expected.hpp>

#include "controlplane/policy/document.hpp"
#include "controlplane/policy/errors.hpp"
#include "controlplane/policy/model.hpp"
#include "controlplane/policy/shape.hpp"
#include "controlplane/policy/written.hpp"

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

/// `rule "x" is of layer 10 and stands behind one of layer 50; ...`
std::string layer_order_text(const Rule& rule, std::uint8_t above);

/// Errors stand in the order of the text.
Expected<Policy, PolicyErrors> read_policy(std::string_view text, PolicyFormat format, const ReadOptions& options = {});

/// What it means and what it says.
struct ReadPolicy {
    Policy policy;
    WrittenPolicy written;
};
Expected<ReadPolicy, PolicyErrors> read_written(ParsedDocument parsed, PolicyFormat format,
                                                const ReadOptions& options = {});

/// The same from a tree, for a policy that was put together in memory. `parsed.errors` are reported too.
Expected<Policy, PolicyErrors> read_document(const ParsedDocument& parsed, const ReadOptions& options = {});

/// A rule that an edit brings, checked for its shape.
struct FreshRule {
    const Node* node{};
    std::size_t edit{};  ///< its errors stand at /EDIT/rule
};
/// Which rules the edited policy has, for those that its tests name.
struct RuleNames {
    std::function<bool(std::string_view)> has;
    std::function<std::vector<std::string_view>()> all;  ///< asked when one is missing
};
/// What edits of rules make of a policy: all but the rules, read again from `head` (sets and services are those of
/// `base`, which was read from it), and the fresh rules. Errors go to `report`.
struct EditedRead {
    Policy policy;  ///< without rules and version
    std::vector<Rule> fresh;
};
EditedRead read_edited(const Policy& base, const Document& head, std::span<const FreshRule> fresh,
                       const RuleNames& names, const ReadOptions& options, Report& report);

}  // namespace sluice::cp
