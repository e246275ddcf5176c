#include "controlplane/analysis/rule_boxes.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <numeric>
#include <span>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "controlplane/analysis/service_line.hpp"
#include "controlplane/compiler/longest_run.hpp"

namespace sluice::cp {
namespace {

using abi::IpFamily;
constexpr std::array kFamilies{IpFamily::v4, IpFamily::v6};
constexpr std::uint64_t kPassWorkMax = 20'000'000;  ///< boxes less boxes: about a second

const std::shared_ptr<const AddressRanges>& every_address(IpFamily family) {
    static const auto v4 = std::make_shared<const AddressRanges>(AddressRanges{{{0, 0}, {0, 0xffffffff}}});
    static const auto v6 =
        std::make_shared<const AddressRanges>(AddressRanges{{{0, 0}, {~std::uint64_t{0}, ~std::uint64_t{0}}}});
    return family == IpFamily::v4 ? v4 : v6;
}

std::array<std::shared_ptr<const AddressRanges>, 2> shared(const AddressList& list) {
    static const auto none = std::make_shared<const AddressRanges>();
    AddressRanges v4;
    v4.reserve(list.v4.size());
    for (const auto& range : list.v4) v4.push_back({{0, range.first}, {0, range.last}});
    return {v4.empty() ? none : std::make_shared<const AddressRanges>(std::move(v4)),
            list.v6.empty() ? none : std::make_shared<const AddressRanges>(list.v6)};
}

/// The boxes of a policy's rules, rule by rule.
struct Expansion {
    std::vector<Box> boxes;
    std::vector<std::uint32_t> first;  ///< of each rule; one more: where the last one ends
};

/// Takes from every rule what rules before it in its layer pass on, and from those all: they decide nothing. What is
/// left is a list of which the first that matches decides.
class PassesTaken {
public:
    /// `passes`: by rule, whether it passes on.
    PassesTaken(const Policy& policy, const std::vector<bool>& passes) : policy_{policy}, passes_{passes} {}

    /// False: there are too many pieces.
    bool from(Expansion& expansion) {
        if (std::ranges::find(passes_, true) == passes_.end()) return true;
        Expansion left;
        left.first.assign(1, 0);
        std::vector<Box> taken;  // of this layer
        for (std::size_t r = 0; r < policy_.rules.size(); ++r) {
            if (r > 0 && policy_.rules[r].layer != policy_.rules[r - 1].layer) taken.clear();
            const std::span<Box> boxes{expansion.boxes.data() + expansion.first[r],
                                       expansion.first[r + 1] - expansion.first[r]};
            if (passes_[r]) {
                taken.insert(taken.end(), boxes.begin(), boxes.end());
            } else {
                for (Box& box : boxes) {
                    if (!add(std::move(box), taken, left.boxes)) return false;
                }
            }
            left.first.push_back(static_cast<std::uint32_t>(left.boxes.size()));
        }
        expansion = std::move(left);
        return true;
    }

private:
    bool add(Box box, const std::vector<Box>& taken, std::vector<Box>& out) {
        std::vector<Box> pieces, next;
        pieces.push_back(std::move(box));
        for (const Box& pass : taken) {
            next.clear();
            for (const Box& piece : pieces) append_without(piece, pass, next);
            pieces.swap(next);
            if ((work_ += pieces.size() + 1) > kPassWorkMax) return false;
        }
        out.insert(out.end(), std::move_iterator{pieces.begin()}, std::move_iterator{pieces.end()});
        return true;
    }

    const Policy& policy_;
    const std::vector<bool>& passes_;
    std::uint64_t work_{};
};

std::vector<bool> passes_of(const Policy& policy) {
    std::vector<bool> passes(policy.rules.size());
    for (std::size_t r = 0; r < passes.size(); ++r) passes[r] = policy.passes_on(r);
    return passes;
}

/// `bits`: from zones to places.
template <typename Bits>
Expansion expand(const Policy& policy, Bits&& bits) {
    const TermBuilder builder{policy};
    std::vector<std::array<std::shared_ptr<const AddressRanges>, 2>> lists;
    for (const auto& list : builder.addresses()) lists.push_back(shared(list));
    std::vector<std::array<std::shared_ptr<const ServiceRanges>, 2>> services;
    for (const auto& list : builder.services()) {
        services.emplace_back();
        for (std::size_t f = 0; f < 2; ++f)
            services.back()[f] = std::make_shared<const ServiceRanges>(service_ranges(list, kFamilies[f]));
    }
    const auto addresses = [&](ListIndex list, std::size_t f) {
        return list == kAnyList ? every_address(kFamilies[f]) : lists[list][f];
    };
    Expansion expansion;
    expansion.first.assign(policy.rules.size() + 1, 0);
    for (const Term& term : builder.terms()) {
        // Sets with members over the API are taken for empty: what a plan tells must not change with every address.
        // So nobody is left out for being in one.
        if (term.from.members != 0 || term.to.members != 0) continue;
        Box box{.from = bits(term.from.zones), .to = bits(term.to.zones)};
        if (box.from.none() || box.to.none()) continue;
        for (std::size_t f = 0; f < 2; ++f) {
            box.family = kFamilies[f];
            box.src = addresses(term.from.addresses, f);
            box.dst = addresses(term.to.addresses, f);
            box.service = services[term.service][f];
            if (box.src->empty() || box.dst->empty() || box.service->empty()) continue;
            expansion.boxes.push_back(box);
            ++expansion.first[term.rule + 1];
        }
    }
    std::partial_sum(expansion.first.begin(), expansion.first.end(), expansion.first.begin());
    return expansion;
}

/// Does a rule match the same packets in both policies? May say no where it does: then its boxes are compared.
class SameRegion {
public:
    SameRegion(const Policy& before, const Policy& after, const EntryPlaces& places) {
        for (std::size_t z = 0; z < before.zones.size(); ++z)
            zones_before_.push_back(places.of_zones_before(ZoneBits{}.set(z)));
        for (std::size_t z = 0; z < after.zones.size(); ++z)
            zones_after_.push_back(places.of_zones_after(ZoneBits{}.set(z)));
        std::unordered_map<std::string_view, std::uint32_t> sets;
        for (std::uint32_t s = 0; s < after.sets.size(); ++s) sets.emplace(after.sets[s].name, s);
        for (const NetSet& set : before.sets) {
            const auto at = sets.find(set.name);
            const bool same = at != sets.end() && after.sets[at->second].nets == set.nets &&
                              after.sets[at->second].by_api == set.by_api;
            set_after_.push_back(same ? at->second : kNone);
        }
    }

    /// Of rules by themselves, whatever stands before them.
    bool operator()(const Rule& was, const Rule& is) const {
        return was.mode == is.mode && was.service == is.service && same(was.from, is.from) && same(was.to, is.to);
    }

private:
    bool same(const std::vector<Endpoint>& was, const std::vector<Endpoint>& is) const {
        return std::ranges::equal(was, is, [&](const Endpoint& a, const Endpoint& b) { return same(a, b); });
    }
    bool same(const Endpoint& was, const Endpoint& is) const {
        if (was.zone.has_value() != is.zone.has_value() || was.any_addr != is.any_addr) return false;
        if (was.zone && zones_before_[*was.zone] != zones_after_[*is.zone]) return false;
        const auto same_set = [&](std::uint16_t a, std::uint16_t b) { return set_after_[a] == b; };
        return was.nets == is.nets && std::ranges::equal(was.sets, is.sets, same_set) &&
               std::ranges::equal(was.except, is.except, same_set);
    }

    std::vector<PlaceBits> zones_before_, zones_after_;
    std::vector<std::uint32_t> set_after_;  ///< by index before; kNone = there is no such set any more
};

/// `place[j]`: where the j-th rule of `after` stood, among those that kept their order; else kNoPlace.
std::vector<std::size_t> aligned(const Policy& before, const Policy& after) {
    const auto &was = before.rules, &is = after.rules;
    std::vector<std::size_t> stood(is.size(), kNoPlace), place(is.size(), kNoPlace);
    // Most changes leave a long beginning and a long end as they were.
    std::size_t front = 0, back = 0;
    const std::size_t shorter = std::min(was.size(), is.size());
    while (front < shorter && was[front].id == is[front].id) ++front;
    while (back < shorter - front && was[was.size() - 1 - back].id == is[is.size() - 1 - back].id) ++back;
    std::unordered_map<std::string_view, std::size_t> by_id;
    for (std::size_t i = front; i < was.size() - back; ++i) by_id.emplace(was[i].id, i);
    for (std::size_t j = front; j < is.size() - back; ++j) {
        if (const auto at = by_id.find(is[j].id); at != by_id.end()) stood[j] = at->second;
    }
    for (const std::size_t j : longest_run(stood)) place[j] = stood[j];
    for (std::size_t j = 0; j < front; ++j) place[j] = j;
    for (std::size_t j = is.size() - back; j < is.size(); ++j) place[j] = j + was.size() - is.size();
    return place;
}

/// Which rules that pass on stand before a rule in its layer: a part of the list of all that do.
class PassesBefore {
public:
    PassesBefore(const Policy& policy, const std::vector<bool>& passes) {
        std::size_t first = 0;
        for (std::size_t r = 0; r < passes.size(); ++r) {
            if (r > 0 && policy.rules[r].layer != policy.rules[r - 1].layer) first = all_.size();
            parts_.push_back({first, all_.size()});
            if (passes[r]) all_.push_back(r);
        }
    }
    bool none() const { return all_.empty(); }
    std::pair<std::size_t, std::size_t> part(std::size_t rule) const { return parts_[rule]; }
    std::span<const std::size_t> of(std::size_t rule) const {
        return std::span{all_}.subspan(parts_[rule].first, parts_[rule].second - parts_[rule].first);
    }

private:
    std::vector<std::size_t> all_;
    std::vector<std::pair<std::size_t, std::size_t>> parts_;
};

/// Do rules that match the same packets pass on in front of both? Asked for pairs in order, most of which have the same
/// in front as the pair before.
template <typename Same>
class SamePasses {
public:
    SamePasses(const PassesBefore& was, const PassesBefore& is, Same same) : was_{was}, is_{is}, same_{same} {}
    bool operator()(std::size_t i, std::size_t j) {
        if (was_.none() && is_.none()) return true;
        const auto asked = std::pair{was_.part(i), is_.part(j)};
        if (asked != last_ || !any_) answer_ = std::ranges::equal(was_.of(i), is_.of(j), same_);
        last_ = asked;
        any_ = true;
        return answer_;
    }

private:
    const PassesBefore& was_;
    const PassesBefore& is_;
    Same same_;
    std::pair<std::pair<std::size_t, std::size_t>, std::pair<std::size_t, std::size_t>> last_;
    bool any_{}, answer_{};
};

/// `policy` with some of its rules alone, and without the members of sets that they don't use.
Policy only(const Policy& policy, const std::vector<std::size_t>& rules) {
    Policy part;
    part.zones = policy.zones;
    part.sets.resize(policy.sets.size());
    for (const std::size_t r : rules) {
        part.rules.push_back(policy.rules[r]);
        for (const auto* side : {&policy.rules[r].from, &policy.rules[r].to}) {
            for (const Endpoint& end : *side) {
                for (const auto* sets : {&end.sets, &end.except}) {
                    for (const std::uint16_t set : *sets) {
                        if (part.sets[set].nets.empty()) part.sets[set] = policy.sets[set];
                    }
                }
            }
        }
    }
    return part;
}

std::span<Box> boxes_of(Expansion& expansion, std::size_t rule) {
    return {expansion.boxes.data() + expansion.first[rule], expansion.first[rule + 1] - expansion.first[rule]};
}

bool is_observed(const Rule& rule) { return rule.mode == abi::RuleMode::observe; }

}  // namespace

RuleBoxes::RuleBoxes(const Policy* before, const Policy& after, const EntryPlaces& places) : places_{places} {
    order(before, after);
    index_ = BoxIndex{boxes_};
}

void RuleBoxes::append(RuleItem item, std::span<Box> boxes) {
    item.first_box = static_cast<std::uint32_t>(boxes_.size());
    item.box_count = static_cast<std::uint32_t>(boxes.size());
    item_of_box_.insert(item_of_box_.end(), boxes.size(), static_cast<std::uint32_t>(items_.size()));
    boxes_.insert(boxes_.end(), std::move_iterator{boxes.begin()}, std::move_iterator{boxes.end()});
    items_.push_back(item);
}

void RuleBoxes::order(const Policy* before, const Policy& after) {
    const auto rules_after = static_cast<std::uint32_t>(after.rules.size());
    auto boxes_after = expand(after, [&](const ZoneBits& zones) { return places_.of_zones_after(zones); });
    const auto passes_after = passes_of(after);
    complete_ = PassesTaken{after, passes_after}.from(boxes_after);
    if (before == nullptr) {
        for (std::uint32_t j = 0; j < rules_after; ++j)
            append({.after = j, .observe = is_observed(after.rules[j])}, boxes_of(boxes_after, j));
        append({.after = rules_after}, {});
        return;
    }
    const auto place = aligned(*before, after);
    const SameRegion same_region{*before, after, places_};
    const auto passes = passes_of(*before);
    const PassesBefore over{*before, passes}, over_after{after, passes_after};
    const auto same_rule = [&](std::size_t i, std::size_t j) { return same_region(before->rules[i], after.rules[j]); };
    SamePasses same_passes{over, over_after, same_rule};
    std::vector<bool> as_before(rules_after), needed(before->rules.size(), true);
    for (std::uint32_t j = 0; j < rules_after; ++j) {
        if (place[j] == kNoPlace) continue;
        const std::size_t i = place[j];
        as_before[j] = same_rule(i, j) && passes[i] == passes_after[j] && same_passes(i, j);
        if (as_before[j]) needed[i] = false;
    }
    // What they take from others is wanted, though they have no boxes of their own.
    for (std::size_t i = 0; i < needed.size(); ++i) needed[i] = needed[i] || passes[i];
    std::vector<std::size_t> changed;
    std::vector<std::size_t> number(before->rules.size(), kNoPlace);
    for (std::size_t i = 0; i < needed.size(); ++i) {
        if (!needed[i]) continue;
        number[i] = changed.size();
        changed.push_back(i);
    }
    const Policy changed_rules = only(*before, changed);
    std::vector<bool> changed_passes;
    for (const std::size_t i : changed) changed_passes.push_back(passes[i]);
    auto boxes_before = expand(changed_rules, [&](const ZoneBits& zones) { return places_.of_zones_before(zones); });
    complete_ = PassesTaken{changed_rules, changed_passes}.from(boxes_before) && complete_;
    std::uint32_t next = 0;  // rule of `before` that is not in the list yet
    const auto add_before = [&](std::uint32_t i) {
        append({.before = i, .observe = is_observed(before->rules[i])}, boxes_of(boxes_before, number[i]));
    };
    for (std::uint32_t j = 0; j < rules_after; ++j) {
        RuleItem item{.after = j, .observe = is_observed(after.rules[j])};
        if (place[j] != kNoPlace) {
            const auto stood = static_cast<std::uint32_t>(place[j]);
            while (next < stood) add_before(next++);
            next = stood + 1;
            if (as_before[j]) {
                item.before = stood;
            } else {
                add_before(stood);
                item.other_half = static_cast<std::uint32_t>(items_.size() - 1);
                items_.back().other_half = static_cast<std::uint32_t>(items_.size());
            }
        }
        append(item, boxes_of(boxes_after, j));
    }
    while (next < before->rules.size()) add_before(next++);
    append({.before = static_cast<std::uint32_t>(before->rules.size()), .after = rules_after}, {});
}

std::vector<RuleBoxes::Start> RuleBoxes::starts_of(std::uint32_t item) const {
    std::vector<Start> starts;
    const RuleItem& of = items_[item];
    const auto add = [&](Box box, std::uint32_t end) {
        for (const auto& reach : places_.reaches()) {
            Start start{box, end};
            start.packets.from &= reach.from;
            start.packets.to &= reach.to;
            if (start.packets.from.any() && start.packets.to.any()) starts.push_back(std::move(start));
        }
    };
    for (std::uint32_t b = of.first_box; b < of.first_box + of.box_count; ++b) add(boxes_[b], b);
    if (item + 1 != items_.size()) return starts;
    for (const IpFamily family : kFamilies) {
        add({family, ~PlaceBits{}, ~PlaceBits{}, every_address(family), every_address(family), every_service()},
            static_cast<std::uint32_t>(boxes_.size()));
    }
    return starts;
}

std::size_t RuleBoxes::bytes() const noexcept {
    return boxes_.capacity() * sizeof(Box) + items_.capacity() * sizeof(RuleItem) +
           item_of_box_.capacity() * sizeof(std::uint32_t) + index_.bytes();
}

}  // namespace sluice::cp
