#include "controlplane/compiler/terms.hpp"

#include <algorithm>
#include <tuple>

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

bool TermBuilder::KeyLess::operator()(const AddressKey& a, const AddressKey& b) const {
    if (a.sets != b.sets) return a.sets < b.sets;
    return std::lexicographical_compare(a.nets.begin(), a.nets.end(), b.nets.begin(), b.nets.end(), less<Prefix>);
}

bool TermBuilder::KeyLess::operator()(const std::vector<ServiceTerm>& a, const std::vector<ServiceTerm>& b) const {
    return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end(), less<ServiceTerm>);
}

TermBuilder::TermBuilder(const Policy& policy) : policy_{policy} {
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
    ZoneBits every_zone;
    for (std::size_t z = 0; z < policy_.zones.size(); ++z) every_zone.set(z);

    ZoneBits whole;                               // zones allowed with any address
    std::map<std::uint32_t, AddressKey> by_zone;  // addresses per zone; kZonesMax = any zone
    for (const Endpoint& e : alternatives) {
        if (e.any_addr) {
            whole |= e.zone ? ZoneBits{}.set(*e.zone) : every_zone;
            continue;
        }
        AddressKey& key = by_zone[e.zone ? *e.zone : abi::kZonesMax];
        append(key.sets, e.sets);
        append(key.nets, e.nets);
    }

    std::map<ListIndex, ZoneBits> by_list;
    if (whole.any()) by_list[kAnyList] = whole;
    for (auto& [zone, key] : by_zone) {
        const ZoneBits zones = (zone == abi::kZonesMax ? every_zone : ZoneBits{}.set(zone)) & ~whole;
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
