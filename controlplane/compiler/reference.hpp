/// The slow, obvious answer: rules from top to bottom, each field by comparing. The oracle of every compiled table, and
/// what `explain` asks why a rule did not match. Kept free of everything that the compiler uses.
#pragma once

#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "controlplane/policy/model.hpp"
#include "controlplane/policy/schedule.hpp"
#include "dataplane/acl/lookup.hpp"

namespace sluice::cp {

/// Whether an address is a member of a set whose members come over the API; empty: no such set has any.
using Membership = std::function<bool(std::string_view, abi::IpFamily, const abi::IpAddr&)>;

/// Whether one of `nets` has the address.
bool any_holds(const std::vector<Prefix>& nets, abi::IpFamily family, const abi::IpAddr& addr);

/// Same answer as dp::lookup: index of the first enforced rule that matches (rules.size() = the default) and does not
/// pass to a later layer, and the first observe rule that was asked before it.
dp::LookupResult reference_lookup(const Policy& policy, const dp::LookupKey& key, UnixSeconds at,
                                  const Membership& members = {});
/// The same where no rule depends on time.
inline dp::LookupResult reference_lookup(const Policy& policy, const dp::LookupKey& key,
                                         const Membership& members = {}) {
    return reference_lookup(policy, key, 0, members);
}

/// "from", "to" or "service": the first field that keeps `rule` from matching; nothing if it matches. Its schedule is
/// not looked at: standing_of tells.
std::optional<std::string_view> first_excluding_field(const Policy& policy, const Rule& rule, const dp::LookupKey& key,
                                                      const Membership& members = {});

/// The set for which alone `rule` does not match: one that `not` names in `from` or `to`, and without which that field
/// would match. Empty if no set keeps it from matching.
std::string_view excluding_set(const Policy& policy, const Rule& rule, const dp::LookupKey& key,
                               const Membership& members = {});

/// Whether never_block alone keeps the first excluding field of `rule` from matching: the address is a member of a set
/// that the field names, and must not be refused for it.
bool kept_by_never_block(const Policy& policy, const Rule& rule, const dp::LookupKey& key,
                         const Membership& members = {});

/// What the policy says for a rule index, `pass` and the default resolved.
abi::Verdict reference_verdict(const Policy& policy, abi::RuleIndex rule);
/// Id of the rule, `default` behind the last one.
std::string_view reference_rule_id(const Policy& policy, abi::RuleIndex rule);

}  // namespace sluice::cp
