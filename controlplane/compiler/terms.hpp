/// Rules expanded to terms: a term is one AND of from-zones, to-zones, source list, destination list and service list.
/// Lists on one side of a rule are merged wherever that loses nothing (same zones: addresses joined; same addresses:
/// zones joined), so most rules are one term. Terms are counted before any is made.
#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

#include <sluice/abi/tables.hpp>

#include "controlplane/compiler/changing_sets.hpp"
#include "controlplane/compiler/ranges.hpp"
#include "controlplane/policy/model.hpp"

namespace sluice::cp {

using ZoneBits = std::bitset<abi::kZonesMax>;

/// Index of a list; kAnyList allows every address and is no list.
using ListIndex = std::uint32_t;
inline constexpr ListIndex kAnyList = 0xffffffff;

/// One group of alternatives of `from` or `to`.
struct Side {
    ZoneBits zones;
    ListIndex addresses{kAnyList};
    SetBits members{};  ///< if not 0: a member of one of these
    SetBits except{};   ///< a member of none of these
};

struct Term {
    std::uint32_t rule{};
    Side from, to;
    ListIndex service{};
    std::uint32_t activity{};  ///< in which periods and from which entries on, an index; 0 = in and from all of them
    bool observe{};
};

/// Lists that policies after each other have in common, each made once and found again by what it is made of. One pool
/// goes on from a policy to what edits of its rules make of it; several threads may use it.
class ListPool {
public:
    /// What a list is made of, sorted: equal keys share one list, and a set of 100,000 nets is normalised once.
    struct AddressKey {
        std::vector<std::uint16_t> sets;
        std::vector<Prefix> nets;
        std::vector<std::uint16_t> except{};  ///< sets whose addresses are taken away
        bool any{};                           ///< every address; then `sets` and `nets` are empty
        std::vector<Prefix> except_nets{};    ///< taken away too
        /// If they name anybody: what none of them has is taken away.
        std::vector<std::uint16_t> within{};
        std::vector<Prefix> within_nets{};
        bool has_within() const noexcept { return !within.empty() || !within_nets.empty(); }
        bool operator==(const AddressKey&) const = default;
    };
    using ServiceKey = std::vector<ServiceTerm>;

    /// `sets`: those that the key's indices mean; the same in every call.
    ListIndex addresses(AddressKey key, const SharedList<NetSet>& sets);
    ListIndex service(ServiceKey key);
    std::size_t size() const;
    bool holds_nobody(ListIndex addresses) const;

    struct Lists {
        SharedList<AddressList> addresses;
        SharedList<ServiceList> services;
    };
    /// Those that are named, in that order. Precondition: they are of this pool.
    Lists take(const std::vector<ListIndex>& addresses, const std::vector<ListIndex>& services) const;

private:
    struct Hash {
        std::size_t operator()(const AddressKey& key) const noexcept;
        std::size_t operator()(const ServiceKey& key) const noexcept;
    };
    mutable std::mutex mutex_;
    Lists lists_;
    std::unordered_map<AddressKey, ListIndex, Hash> address_index_;
    std::unordered_map<ServiceKey, ListIndex, Hash> service_index_;
};

/// Term expansion of a whole policy. A policy that was edited takes over what its rules share with the one before; the
/// result is the same as without, lists and their numbers included.
class TermBuilder {
public:
    /// Precondition: the model is consistent (names resolved, at most kZonesMax zones).
    explicit TermBuilder(const Policy& policy) : TermBuilder{policy, nullptr, nullptr} {}
    /// `before` was made of `policy_before`; both may be null.
    TermBuilder(const Policy& policy, const Policy* policy_before, const TermBuilder* before);
    /// `places`: by rule, where `policy_before` has it, shared; kNotShared where it has not.
    TermBuilder(const Policy& policy, const Policy& policy_before, const TermBuilder& before,
                const std::vector<std::uint32_t>& places);

    std::uint64_t term_count() const noexcept { return term_count_; }
    /// The rule that makes most terms, for the refusal's sentence; and how many.
    std::pair<std::size_t, std::uint64_t> widest_rule() const noexcept { return widest_; }

    /// Evaluation order.
    std::vector<Term> terms() const;
    template <typename Visit>
    void for_each_term_of(std::uint32_t rule, Visit&& visit) const {
        const ExpandedRule& r = rules_[rule];
        for (const Side& from : r.from) {
            for (const Side& to : r.to)
                visit(Term{.rule = rule, .from = local(from), .to = local(to), .service = service_of_[r.service]});
        }
    }

    /// In the order in which terms name them first.
    const SharedList<AddressList>& addresses() const noexcept { return lists_.addresses; }
    const SharedList<ServiceList>& services() const noexcept { return lists_.services; }

private:
    /// Lists by their number in the pool.
    struct ExpandedRule {
        std::vector<Side> from, to;
        ListIndex service{};
    };

    /// Whose membership never_block does not let count, in a rule.
    enum class Spared : std::uint8_t {
        nobody,
        members,   ///< of sets that are named: it refuses
        left_out,  ///< of sets behind `not`: it lets in, or passes on
    };
    static Spared spared_by(const Policy& policy, const Rule& rule);

    void expand_all(const Policy& policy, const Policy* policy_before, const TermBuilder* before,
                    const std::vector<std::uint32_t>& places);
    ExpandedRule expand(const Policy& policy, const Rule& rule);
    std::vector<Side> group(const Policy& policy, const std::vector<Endpoint>& alternatives, Spared spared);
    void number_lists();
    Side local(const Side& side) const {
        return {.zones = side.zones,
                .addresses = side.addresses == kAnyList ? kAnyList : address_of_[side.addresses],
                .members = side.members,
                .except = side.except};
    }

    /// Takes sets with members over the API out of `sets`.
    SetBits split(std::vector<std::uint16_t>& sets) const;
    void add_sides(const Policy& policy, std::vector<Side>& sides, const ZoneBits& zones, ListPool::AddressKey key,
                   Spared spared);

    ZoneBits every_zone_;
    std::vector<SetBits> bit_of_set_;  ///< by position in the policy; 0 = its members stand there
    std::shared_ptr<ListPool> pool_;
    SharedList<ExpandedRule> rules_;
    ListPool::Lists lists_;
    std::vector<ListIndex> address_of_, service_of_;  ///< from the pool's number to ours
    std::uint64_t term_count_{};
    std::pair<std::size_t, std::uint64_t> widest_{};
};

}  // namespace sluice::cp
