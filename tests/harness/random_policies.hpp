/// Adversarial policies and keys from numbers. A rule is four small numbers that pick from one pool of edges (nested
/// prefixes, /0, the last address, touching port ranges), so rules overlap as much as they can, and a property test can
/// shrink a failure by dropping rules and lowering numbers: all zeros is `any to any, any service, deny`.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "controlplane/policy/model.hpp"
#include "dataplane/acl/lookup.hpp"

namespace sluice::test {

using Random = std::mt19937_64;

struct RawRule {
    std::uint32_t from{}, to{}, service{}, action{};
    static constexpr std::uint32_t kMax = 1U << 24;  ///< each is below
};

/// Prefixes, sets and services that the rules of one policy pick from. A function of the seed.
class Pool {
public:
    explicit Pool(std::uint64_t seed);

    cp::Policy policy(const std::vector<RawRule>& rules) const;
    /// Mostly at the edges of what the pool holds, one beside, or anywhere.
    dp::LookupKey key(Random& random) const;
    /// Half of them at the edges of one rule of `policy` in all fields, so that deep rules are met too; the rest as
    /// above.
    dp::LookupKey key(Random& random, const cp::Policy& policy) const;
    std::uint16_t zone_count() const noexcept { return zone_count_; }

private:
    std::vector<cp::Endpoint> side(std::uint32_t number, bool narrow) const;
    cp::Endpoint named(std::uint32_t number, bool narrow) const;
    cp::Endpoint endpoint(std::uint32_t number, bool narrow) const;
    std::vector<cp::ServiceTerm> services(std::uint32_t number) const;
    abi::IpAddr address_near_an_edge(Random& random, abi::IpFamily family) const;

    std::uint16_t zone_count_{};
    std::vector<cp::Prefix> prefixes_;
    cp::SharedList<cp::NetSet> sets_;
    std::vector<cp::ServiceTerm> services_;
    cp::Action default_action_{};
    /// Half of all pools make narrow rules from many prefixes, so that keys go deep; the others wide ones.
    bool narrow_{};
};

RawRule random_rule(Random& random);
std::vector<RawRule> random_rules(Random& random, std::size_t count);

/// Cuts the rules into up to five layers, and lets every fourth pass on.
void add_layers(cp::Policy& policy, Random& random);
/// After rules were put elsewhere or came: each that stands among rules of other layers is of its neighbours' layer.
void settle_layers(cp::Policy& policy);

/// About half of the sets get their members over the API.
struct SetsByApi {
    std::vector<std::string> names;
    std::vector<cp::Prefix> known;  ///< what was in them: what the pool's keys are near
};
SetsByApi put_sets_on_api(cp::Policy& policy, Random& random);
/// Some of `known`, and some sets with nets; in every third policy nobody.
void add_never_block(cp::Policy& policy, const std::vector<cp::Prefix>& known, Random& random);

/// One change as people make it: a rule comes, goes, moves, says something else. New rules are called by `next_id`.
void change_rule(cp::Policy& policy, const Pool& pool, Random& random, std::uint32_t& next_id);

/// For a failure's message.
std::string to_text(const dp::LookupKey& key);

}  // namespace sluice::test
