/// What differs between two policies: what a plan prints. `added`, `changed` and `removed` list rules by id, by their
/// effect: a rule counts as changed if what it says differs, with its sets and nets written out, or if it stands
/// elsewhere among the others. `changes` lists what the author changed, of every part of the policy, once each.
#pragma once

#include <string>
#include <vector>

#include "controlplane/policy/model.hpp"

namespace sluice::cp {

/// Of a list, one field per item: an item that came has no `before`, one that went has no `after`.
struct PlanField {
    std::string name, before, after;
    bool operator==(const PlanField&) const = default;
};

struct PlanChange {
    std::string op;    ///< add, change, move or remove
    std::string kind;  ///< name, default, wire, tracking, zone, set, never_block, service, rule, test or wording
    std::string id;
    std::vector<PlanField> fields;
};

struct PlanDiff {
    std::vector<std::string> added, changed, removed;
    std::vector<PlanChange> changes;
};

/// `before` may be null: then all is new. `default` and `builtin:arp|nd|other` stand among the ids. `changes` is empty
/// only if the versions are the same: words that mean the same as before are a change of `wording`.
PlanDiff plan_diff(const Policy* before, const Policy& after);

}  // namespace sluice::cp
