/// Rules expanded to terms: a term is one AND of from-zones, to-zones, source list, destination list and service list.
/// Lists on one side of a rule are merged wherever that loses nothing (same zones: addresses joined; same addresses:
/// zones joined), so most rules are one term. Terms are counted before any is made.
#pragma once

#include <bitset>
#include <cstdint>
#include <map>
#include <unordered_map>
#include <utility>
#include <vector>

#include <sluice/abi/tables.hpp>

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
};

struct Term {
    std::uint32_t rule{};
    Side from, to;
    ListIndex service{};
};

class TermBuilder {
public:
    /// Precondition: the model is consistent (names resolved, at most kZonesMax zones).
    explicit TermBuilder(const Policy& policy);

    std::uint64_t term_count() const noexcept { return term_count_; }
    /// The rule that makes most terms, for the refusal's sentence; and how many.
    std::pair<std::size_t, std::uint64_t> widest_rule() const noexcept { return widest_; }

    /// Evaluation order.
    std::vector<Term> terms() const;

    const std::vector<AddressList>& addresses() const noexcept { return addresses_; }
    const std::vector<ServiceList>& services() const noexcept { return services_; }

private:
    /// What a list is made of, sorted: equal keys share one list, and a set of 100,000 nets is normalised once.
    struct AddressKey {
        std::vector<std::uint16_t> sets;
        std::vector<Prefix> nets;
        bool operator==(const AddressKey&) const = default;
    };
    struct KeyHash {
        std::size_t operator()(const AddressKey& key) const noexcept;
        std::size_t operator()(const std::vector<ServiceTerm>& key) const noexcept;
    };
    struct ExpandedRule {
        std::vector<Side> from, to;
        ListIndex service{};
    };

    std::vector<Side> group(const std::vector<Endpoint>& alternatives);
    ListIndex intern(AddressKey key);
    ListIndex intern(const std::vector<ServiceTerm>& service);

    const Policy& policy_;
    ZoneBits every_zone_;
    std::vector<ExpandedRule> rules_;
    std::vector<AddressList> addresses_;
    std::vector<ServiceList> services_;
    std::unordered_map<AddressKey, ListIndex, KeyHash> address_index_;
    std::unordered_map<std::vector<ServiceTerm>, ListIndex, KeyHash> service_index_;
    std::uint64_t term_count_{};
    std::pair<std::size_t, std::uint64_t> widest_{};
};

}  // namespace sluice::cp
