#include "controlplane/compiler/terms.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <tuple>
#include <type_traits>

#include "controlplane/compiler/range_algebra.hpp"
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

std::size_t ListPool::Hash::operator()(const AddressKey& key) const noexcept {
    static_assert(std::has_unique_object_representations_v<Prefix>, "hashed as bytes: no padding");
    const auto of_indices = [](const std::vector<std::uint16_t>& sets, std::uint64_t seed) {
        return XXH3_64bits_withSeed(sets.data(), sets.size() * sizeof(std::uint16_t), seed);
    };
    const auto of_nets = [](const std::vector<Prefix>& nets, std::uint64_t seed) {
        return XXH3_64bits_withSeed(nets.data(), nets.size() * sizeof(Prefix), seed);
    };
    std::uint64_t hash = of_nets(key.nets, of_indices(key.sets, of_indices(key.except, key.any ? 1 : 0)));
    if (!key.except_nets.empty()) hash = of_nets(key.except_nets, hash);
    return key.has_within() ? of_nets(key.within_nets, of_indices(key.within, ~hash)) : hash;
}

std::size_t ListPool::Hash::operator()(const ServiceKey& key) const noexcept {
    std::uint64_t hash = key.size();
    for (const ServiceTerm& t : key) {
        hash ^= std::uint64_t{static_cast<std::uint8_t>(t.proto)} << 32 | std::uint64_t{t.first} << 16 | t.last;
        hash = (hash ^ hash >> 29) * 0x9e3779b97f4a7c15ULL;
    }
    return hash ^ hash >> 32;
}

ListIndex ListPool::addresses(AddressKey key, const SharedList<NetSet>& sets) {
    sort_unique(key.sets, std::less<>{});
    sort_unique(key.except, std::less<>{});
    sort_unique(key.within, std::less<>{});
    for (auto* nets : {&key.nets, &key.except_nets, &key.within_nets}) sort_unique(*nets, less<Prefix>);
    const std::lock_guard lock{mutex_};
    const auto [it, fresh] =
        address_index_.try_emplace(std::move(key), static_cast<ListIndex>(lists_.addresses.size()));
    if (fresh) {
        const auto gathered = [&](std::vector<Prefix> nets, const std::vector<std::uint16_t>& of) {
            for (const std::uint16_t set : of) append(nets, sets[set].nets);
            return nets;
        };
        const AddressKey& made_of = it->first;
        AddressList list = made_of.any ? every_address() : address_list(gathered(made_of.nets, made_of.sets));
        const auto except = gathered(made_of.except_nets, made_of.except);
        if (!except.empty()) list = without(list, address_list(except));
        if (made_of.has_within()) list = common(list, address_list(gathered(made_of.within_nets, made_of.within)));
        lists_.addresses.push_back(std::move(list));
    }
    return it->second;
}

ListIndex ListPool::service(ServiceKey key) {
    sort_unique(key, less<ServiceTerm>);
    const std::lock_guard lock{mutex_};
    const auto [it, fresh] = service_index_.try_emplace(std::move(key), static_cast<ListIndex>(lists_.services.size()));
    if (fresh) lists_.services.push_back(it->first.empty() ? any_service() : service_list(it->first));
    return it->second;
}

bool ListPool::holds_nobody(ListIndex addresses) const {
    const std::lock_guard lock{mutex_};
    const AddressList& list = std::as_const(lists_.addresses)[addresses];
    return list.v4.empty() && list.v6.empty();
}

std::size_t ListPool::size() const {
    const std::lock_guard lock{mutex_};
    return lists_.addresses.size() + lists_.services.size();
}

ListPool::Lists ListPool::take(const std::vector<ListIndex>& addresses, const std::vector<ListIndex>& services) const {
    const std::lock_guard lock{mutex_};
    Lists taken;
    taken.addresses.reserve(addresses.size());
    taken.services.reserve(services.size());
    for (const ListIndex list : addresses) taken.addresses.push_back(lists_.addresses.handle(list));
    for (const ListIndex list : services) taken.services.push_back(lists_.services.handle(list));
    return taken;
}

namespace {

/// Zones and sets are what terms are made of: with others, no rule is what it was.
bool same_names(const Policy& a, const Policy& b) {
    if (a.zones.size() != b.zones.size() || a.sets.size() != b.sets.size()) return false;
    if (a.never_block != b.never_block) return false;
    for (std::size_t s = 0; s < a.sets.size(); ++s) {
        if (!a.sets.same(s, b.sets, s)) return false;
    }
    return true;
}

}  // namespace

TermBuilder::TermBuilder(const Policy& policy, const Policy* policy_before, const TermBuilder* before) {
    std::vector<std::uint32_t> places;
    if (before != nullptr) places = shared_places(policy_before->rules, policy.rules);
    expand_all(policy, policy_before, before, places);
}

TermBuilder::TermBuilder(const Policy& policy, const Policy& policy_before, const TermBuilder& before,
                         const std::vector<std::uint32_t>& places) {
    expand_all(policy, &policy_before, &before, places);
}

void TermBuilder::expand_all(const Policy& policy, const Policy* policy_before, const TermBuilder* before,
                             const std::vector<std::uint32_t>& places) {
    for (std::size_t z = 0; z < policy.zones.size(); ++z) every_zone_.set(z);
    bit_of_set_.resize(policy.sets.size());
    const auto changing = changing_sets(policy);
    for (std::size_t i = 0; i < changing.size(); ++i) bit_of_set_[changing[i]] = SetBits{1} << i;
    // A pool that holds more than twice what is used is left behind.
    const bool goes_on = before != nullptr && same_names(policy, *policy_before) &&
                         before->pool_->size() <= 2 * (before->addresses().size() + before->services().size()) + 1024;
    pool_ = goes_on ? before->pool_ : std::make_shared<ListPool>();
    for (std::size_t i = 0; i < policy.rules.size(); ++i) {
        // Which layer is the last, and so what a rule does that passes, may be other than before.
        const auto same_spared = [&] {
            return spared_by(policy, policy.rules[i]) == spared_by(*policy_before, policy_before->rules[places[i]]);
        };
        if (goes_on && places[i] != kNotShared && same_spared()) {
            rules_.push_back(before->rules_.handle(places[i]));
        } else {
            rules_.push_back(expand(policy, policy.rules[i]));
        }
        const ExpandedRule& expanded = std::as_const(rules_)[i];
        const std::uint64_t count = std::uint64_t{expanded.from.size()} * expanded.to.size();
        if (count > widest_.second) widest_ = {i, count};
        term_count_ += count;
    }
    number_lists();
}

TermBuilder::Spared TermBuilder::spared_by(const Policy& policy, const Rule& rule) {
    if (policy.never_block.empty()) return Spared::nobody;
    return policy.refuses(rule) ? Spared::members : Spared::left_out;
}

TermBuilder::ExpandedRule TermBuilder::expand(const Policy& policy, const Rule& rule) {
    const Spared spared = spared_by(policy, rule);
    ExpandedRule expanded{.from = group(policy, rule.from, spared), .to = group(policy, rule.to, spared)};
    expanded.service = pool_->service(rule.service);
    return expanded;
}

/// As if there had been no pool: by who names a list first.
void TermBuilder::number_lists() {
    std::vector<ListIndex> addresses, services;
    const auto number = [](std::vector<ListIndex>& ours, std::vector<ListIndex>& used, ListIndex list) {
        if (list == kAnyList) return;
        if (ours.size() <= list) ours.resize(list + std::size_t{1}, kAnyList);
        if (ours[list] != kAnyList) return;
        ours[list] = static_cast<ListIndex>(used.size());
        used.push_back(list);
    };
    for (const ExpandedRule& rule : std::as_const(rules_)) {
        for (const Side& side : rule.from) number(address_of_, addresses, side.addresses);
        for (const Side& side : rule.to) number(address_of_, addresses, side.addresses);
        number(service_of_, services, rule.service);
    }
    lists_ = pool_->take(addresses, services);
}

/// Alternatives with the same zone join their addresses; then groups with the same addresses join their zones. A zone
/// that is allowed whole needs no second group with some of its addresses.
std::vector<Side> TermBuilder::group(const Policy& policy, const std::vector<Endpoint>& alternatives, Spared spared) {
    if (alternatives.size() == 1) {  // most sides
        const Endpoint& e = alternatives.front();
        const ZoneBits zones = e.zone ? ZoneBits{}.set(*e.zone) : every_zone_;
        if (zones.none()) return {};
        std::vector<Side> sides;
        add_sides(policy, sides, zones, {.sets = e.sets, .nets = e.nets, .except = e.except, .any = e.any_addr},
                  spared);
        return sides;
    }
    ZoneBits whole;  // zones allowed with any address
    // Addresses by zone (kZonesMax = any zone) and by what is left out.
    std::map<std::pair<std::uint32_t, std::vector<std::uint16_t>>, ListPool::AddressKey> by_zone;
    for (const Endpoint& e : alternatives) {
        if (e.any_addr && e.except.empty()) {
            whole |= e.zone ? ZoneBits{}.set(*e.zone) : every_zone_;
            continue;
        }
        ListPool::AddressKey& key = by_zone[{e.zone ? *e.zone : abi::kZonesMax, e.except}];
        key.except = e.except;
        key.any = key.any || e.any_addr;
        append(key.sets, e.sets);
        append(key.nets, e.nets);
    }

    // In the order in which the zones come: the lists' numbers depend on who was there before.
    std::vector<Side> sides;
    for (auto& [place, key] : by_zone) {
        const std::uint32_t zone = place.first;
        const ZoneBits zones = (zone == abi::kZonesMax ? every_zone_ : ZoneBits{}.set(zone)) & ~whole;
        if (zones.none()) continue;
        add_sides(policy, sides, zones, std::move(key), spared);
    }
    if (whole.any()) sides.push_back({.zones = whole, .addresses = kAnyList});
    return sides;
}

SetBits TermBuilder::split(std::vector<std::uint16_t>& sets) const {
    SetBits members = 0;
    std::erase_if(sets, [&](std::uint16_t set) {
        members |= bit_of_set_[set];
        return bit_of_set_[set] != 0;
    });
    return members;
}

/// What the policy knows is a list; what it does not know is a side of its own. So is who stands in never_block, where
/// it does not matter for him what he is a member of.
void TermBuilder::add_sides(const Policy& policy, std::vector<Side>& sides, const ZoneBits& zones,
                            ListPool::AddressKey key, Spared spared) {
    if (key.any) {
        key.sets.clear();
        key.nets.clear();
    }
    const SetBits members = split(key.sets), except = split(key.except);
    const auto add_side = [&](ListIndex list, SetBits asked, SetBits left_out) {
        const auto same = std::ranges::find_if(
            sides, [&](const Side& s) { return s.addresses == list && s.members == asked && s.except == left_out; });
        if (same != sides.end()) {
            same->zones |= zones;
        } else {
            sides.push_back({.zones = zones, .addresses = list, .members = asked, .except = left_out});
        }
    };
    const auto add = [&](ListPool::AddressKey of, SetBits asked) {
        const bool whole = of.any && of.except.empty() && of.except_nets.empty();
        add_side(whole ? kAnyList : pool_->addresses(of, policy.sets), asked, except);
        if (spared != Spared::left_out || except == 0) return;
        of.within = policy.never_block.sets;
        of.within_nets = policy.never_block.nets;
        const ListIndex list = pool_->addresses(std::move(of), policy.sets);
        if (!pool_->holds_nobody(list)) add_side(list, asked, 0);
    };
    ListPool::AddressKey others{.sets = {}, .nets = {}, .except = key.except, .any = true};
    if (members == 0 || !key.sets.empty() || !key.nets.empty()) add(std::move(key), 0);
    if (members == 0) return;
    if (spared == Spared::members) {
        append(others.except, policy.never_block.sets);
        others.except_nets = policy.never_block.nets;
    }
    add(std::move(others), members);
}

std::vector<Term> TermBuilder::terms() const {
    std::vector<Term> terms;
    terms.reserve(term_count_);
    for (std::uint32_t r = 0; r < rules_.size(); ++r)
        for_each_term_of(r, [&](const Term& term) { terms.push_back(term); });
    return terms;
}

}  // namespace sluice::cp
