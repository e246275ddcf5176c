#include "controlplane/compiler/terms.hpp"

#include <algorithm>
#include <tuple>
#include <type_traits>

#include "dataplane/acl/digest.hpp"

namespace sluice::cp {

namespace {

auto sort_key(const Prefix& p) { return std::tie(p.family, p.addr.bytes, p.bits); }
auto sort_key(const ServiceTerm& t) { return std::tie(t.proto, t.first, t.last); }

template <typename T>
bool less(const T& a, const T& b) {
    return sort_key(a) < sort_key(b);
}

template <typename T, typename Less>
void sort_unique(std::vector<T>& v, Less less_than) {
    std::sort(v.begin(), v.end(), less_than);
    v.erase(std::unique(v.begin(), v.end()), v.end());
}

template <typename T>
void append(std::vector<T>& to, const std::vector<T>& from) {
    to.insert(to.end(), from.begin(), from.end());
}

}  // namespace

std::size_t TermBuilder::KeyHash::operator()(const AddressKey& key) const noexcept {
    static_assert(std::has_unique_object_representations_v<Prefix>, "hashed as bytes: no padding");
    return XXH3_64bits_withSeed(key.nets.data(), key.nets.size() * sizeof(Prefix),
                                XXH3_64bits(key.sets.data(), key.sets.size() * sizeof(std::uint16_t)));
}

std::size_t TermBuilder::KeyHash::operator()(const std::vector<ServiceTerm>& key) const noexcept {
    std::uint64_t hash = key.size();
    for (const ServiceTerm& t : key) {
        hash ^= std::uint64_t{static_cast<std::uint8_t>(t.proto)} << 32 | std::uint64_t{t.first} << 16 | t.last;
        hash = (hash ^ hash >> 29) * 0x9e3779b97f4a7c15ULL;
    }
    return hash ^ hash >> 32;
}

TermBuilder::TermBuilder(const Policy& policy) : policy_{policy} {
    for (std::size_t z = 0; z < policy.zones.size(); ++z) every_zone_.set(z);
    rules_.reserve(policy.rules.size());
    for (std::size_t i = 0; i < policy.rules.size(); ++i) {
        const Rule& rule = policy.rules[i];
        ExpandedRule expanded{.from = group(rule.from), .to = group(rule.to), .service = intern(rule.service)};
        const std::uint64_t count = std::uint64_t{expanded.from.size()} * expanded.to.size();
        if (count > widest_.second) widest_ = {i, count};
        term_count_ += count;
        rules_.push_back(std::move(expanded));
    }
}

/// Alternatives with the same zone join their addresses; then groups with the same addresses join their zones. A zone
/// that is allowed whole needs no second group with some of its addresses.
std::vector<Side> TermBuilder::group(const std::vector<Endpoint>& alternatives) {
    if (alternatives.size() == 1) {  // most sides
        const Endpoint& e = alternatives.front();
        const ZoneBits zones = e.zone ? ZoneBits{}.set(*e.zone) : every_zone_;
        if (zones.none()) return {};
        return {
            {.zones = zones, .addresses = e.any_addr ? kAnyList : intern(AddressKey{.sets = e.sets, .nets = e.nets})}};
    }
    ZoneBits whole;                               // zones allowed with any address
    std::map<std::uint32_t, AddressKey> by_zone;  // addresses per zone; kZonesMax = any zone
    for (const Endpoint& e : alternatives) {
        if (e.any_addr) {
            whole |= e.zone ? ZoneBits{}.set(*e.zone) : every_zone_;
            continue;
        }
        AddressKey& key = by_zone[e.zone ? *e.zone : abi::kZonesMax];
        append(key.sets, e.sets);
        append(key.nets, e.nets);
    }

    std::map<ListIndex, ZoneBits> by_list;
    if (whole.any()) by_list[kAnyList] = whole;
    for (auto& [zone, key] : by_zone) {
        const ZoneBits zones = (zone == abi::kZonesMax ? every_zone_ : ZoneBits{}.set(zone)) & ~whole;
        if (zones.any()) by_list[intern(std::move(key))] |= zones;
    }
    std::vector<Side> sides;
    for (const auto& [list, zones] : by_list) sides.push_back({.zones = zones, .addresses = list});
    return sides;
}

ListIndex TermBuilder::intern(AddressKey key) {
    sort_unique(key.sets, std::less<>{});
    sort_unique(key.nets, less<Prefix>);
    const auto [it, fresh] = address_index_.try_emplace(std::move(key), static_cast<ListIndex>(addresses_.size()));
    if (fresh) {
        std::vector<Prefix> nets = it->first.nets;
        for (const std::uint16_t set : it->first.sets) append(nets, policy_.sets[set].nets);
        addresses_.push_back(address_list(nets));
    }
    return it->second;
}

ListIndex TermBuilder::intern(const std::vector<ServiceTerm>& service) {
    std::vector<ServiceTerm> key = service;
    sort_unique(key, less<ServiceTerm>);
    const auto [it, fresh] = service_index_.try_emplace(std::move(key), static_cast<ListIndex>(services_.size()));
    if (fresh) services_.push_back(service.empty() ? any_service() : service_list(it->first));
    return it->second;
}

std::vector<Term> TermBuilder::terms() const {
    std::vector<Term> terms;
    terms.reserve(term_count_);
    for (std::uint32_t r = 0; r < rules_.size(); ++r) {
        for (const Side& from : rules_[r].from) {
            for (const Side& to : rules_[r].to)
                terms.push_back({.rule = r, .from = from, .to = to, .service = rules_[r].service});
        }
    }
    return terms;
}

}  // namespace sluice::cp
