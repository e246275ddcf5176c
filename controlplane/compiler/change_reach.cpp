#include "controlplane/compiler/change_reach.hpp"

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "controlplane/compiler/longest_run.hpp"
#include "controlplane/compiler/range_algebra.hpp"
#include "controlplane/compiler/term_box.hpp"

namespace sluice::cp {

namespace {

constexpr std::uint64_t kComparisonsMax = 4'000'000;  ///< of two boxes: about a second

ServiceList without(const ServiceList& a, const ServiceList& b) {
    return {without(a.tcp, b.tcp), without(a.udp, b.udp), without(a.icmp, b.icmp), without(a.icmp6, b.icmp6),
            without(a.proto, b.proto)};
}

bool empty(const AddressList& a) { return a.v4.empty() && a.v6.empty(); }
bool empty(const ServiceList& s) {
    return s.tcp.empty() && s.udp.empty() && s.icmp.empty() && s.icmp6.empty() && s.proto.empty();
}

/// Differences of lists, each made once: a big set stands in many terms.
template <typename List>
class Differences {
public:
    /// What `a` has more than `b`; null: nothing.
    const List* of(const List* a, const List* b) {
        if (a == b) return nullptr;
        const auto [it, fresh] = known_.try_emplace({a, b}, nullptr);
        if (!fresh) return it->second;
        List more = without(*a, *b);
        if (empty(more)) return nullptr;
        it->second = &kept_.emplace_back(std::move(more));
        return it->second;
    }

private:
    std::map<std::pair<const List*, const List*>, const List*> known_;
    std::deque<List> kept_;
};

class Comparison {
public:
    Comparison(const ChangeBase& base, const Policy& after, const TermBuilder* terms)
        : base_{base}, after_{after}, old_boxes_{*base.policy, base.terms}, new_boxes_{after, terms} {
        place_rules();
    }

    std::vector<std::uint64_t> untouched(std::span<const abi::RuleSlot> slots) {
        if (!same_zones() || !same_schedules() || !same_passes()) return {};
        for (std::size_t i = 0; i < after_.rules.size(); ++i) {
            if (untouched_rule(i, slots[i])) set(slots[i]);
            if (!shared_[i]) add_growth(i);
            if (comparisons_ > kComparisonsMax) return {};
        }
        const Policy& before = *base_.policy;
        if (growth_.empty() && before.default_action == after_.default_action &&
            before.default_log == after_.default_log && before.default_limits == after_.default_limits) {
            set(abi::kSlotDefault);
        }
        return std::move(bits_);
    }

private:
    /// Numbers of zones stand in flows, and terms are made of them.
    bool same_zones() const {
        return same_changing_sets() &&
               std::ranges::equal(base_.policy->zones, after_.zones, [](const Zone& a, const Zone& b) {
                   return a.name == b.name && a.limits == b.limits && std::ranges::is_permutation(a.ports, b.ports);
               });
    }

    /// Terms name them by number.
    bool same_changing_sets() const {
        const auto was = changing_sets(*base_.policy), is = changing_sets(after_);
        return std::ranges::equal(was, is, [&](std::uint16_t a, std::uint16_t b) {
            return base_.policy->sets[a].name == after_.sets[b].name;
        });
    }

    /// Rules name schedules by their numbers.
    bool same_schedules() const {
        return std::ranges::equal(base_.policy->schedules, after_.schedules, [](const Schedule& a, const Schedule& b) {
            return a.name == b.name && a.time_zone == b.time_zone && a.days == b.days &&
                   a.first_minute == b.first_minute && a.end_minute == b.end_minute;
        });
    }

    /// TermBoxes know nothing of time: a rule that got other times is taken for one that was not there.
    static bool same_times(const Rule& a, const Rule& b) { return a.when == b.when && a.expires == b.expires; }

    /// Who goes on behind which layer. A rule that passes packets on takes from the rest of its layer and gives to
    /// later ones; so where anything about those rules is other than it was, everything may be.
    bool same_passes() const {
        const Policy& was = *base_.policy;
        std::size_t passes_before = 0, passes = 0;
        for (std::size_t i = 0; i < was.rules.size(); ++i) passes_before += was.passes_on(i) ? 1 : 0;
        for (std::size_t i = 0; i < after_.rules.size(); ++i) passes += after_.passes_on(i) ? 1 : 0;
        if (passes == 0 && passes_before == 0) return true;
        if (passes != passes_before) return false;
        for (std::size_t i = 0; i < after_.rules.size(); ++i) {
            const Rule* rule = before(i);
            if (rule != nullptr && rule->layer != after_.rules[i].layer) return false;
            if (after_.passes_on(i) && !same_pass(i)) return false;
        }
        return true;
    }
    bool same_pass(std::size_t i) const {
        if (place_[i] == kNoPlace || !base_.policy->passes_on(place_[i])) return false;
        return shared_[i] ||
               (equal_sets() && same_match(*before(i), after_.rules[i]) && same_times(*before(i), after_.rules[i]));
    }
    /// As `same_sets`, of policies that were read each by itself.
    bool equal_sets() const {
        return base_.policy->never_block == after_.never_block &&
               std::ranges::equal(base_.policy->sets, after_.sets, [](const NetSet& a, const NetSet& b) {
                   return a.name == b.name && a.by_api == b.by_api && a.nets == b.nets;
               });
    }
    /// Precondition: zones and sets have the numbers that they had, and the same members.
    static bool same_match(const Rule& a, const Rule& b) {
        return a.from == b.from && a.to == b.to && a.service == b.service;
    }

    /// `place_[i]`: where the i-th rule stood, among rules whose order is as it was. A longest such run is kept; what
    /// is not in it is taken for new.
    void place_rules() {
        const auto &was = base_.policy->rules, &is = after_.rules;
        const std::size_t count = is.size();
        std::vector<std::size_t> stood(count, kNoPlace);
        std::vector<bool> found(was.size());
        // Terms are of zones and sets: rules that are shared mean the same only if those are shared too.
        shared_.assign(count, false);
        if (same_sets()) {
            const auto places = shared_places(was, is);
            for (std::size_t i = 0; i < count; ++i) {
                if (places[i] == kNotShared || !does_same(was[places[i]], is[i])) continue;
                stood[i] = places[i];
                found[places[i]] = shared_[i] = true;
            }
        }
        std::unordered_map<std::string_view, std::size_t> before;
        for (std::size_t i = 0; i < was.size(); ++i) {
            if (!found[i]) before.emplace(was[i].id, i);
        }
        for (std::size_t i = 0; i < count; ++i) {
            if (shared_[i]) continue;
            if (const auto at = before.find(is[i].id); at != before.end()) stood[i] = at->second;
        }
        place_.assign(count, kNoPlace);
        for (const std::size_t i : longest_run(stood)) place_[i] = stood[i];
        for (std::size_t i = 0; i < count; ++i) {
            if (place_[i] == kNoPlace) shared_[i] = false;  // it has moved
        }
    }

    /// A rule that passes does what the default does, if its layer is the last; never_block asks about that.
    bool does_same(const Rule& was, const Rule& is) const { return base_.policy->refuses(was) == after_.refuses(is); }

    bool same_sets() const {
        const auto &was = base_.policy->sets, &is = after_.sets;
        if (was.size() != is.size() || base_.policy->never_block != after_.never_block) return false;
        for (std::size_t i = 0; i < was.size(); ++i) {
            if (!was.same(i, is, i)) return false;
        }
        return true;
    }

    const Rule* before(std::size_t i) const {
        return place_[i] == kNoPlace ? nullptr : &base_.policy->rules[place_[i]];
    }

    bool untouched_rule(std::size_t i, abi::RuleSlot slot) {
        const Rule* was = before(i);
        const Rule& is = after_.rules[i];
        if (was == nullptr || after_.passes_on(i) || was->mode != abi::RuleMode::enforce ||
            is.mode != abi::RuleMode::enforce)
            return false;
        // Only an allowed flow stands under its rule as one that needs no second look.
        if (verdict_of(was->action, base_.policy->default_action) != abi::Verdict::allow ||
            verdict_of(is.action, after_.default_action) != abi::Verdict::allow || was->log != is.log ||
            !(was->limits == is.limits)) {
            return false;
        }
        if (!same_times(*was, is)) return false;
        if (place_[i] >= base_.slots.size() || base_.slots[place_[i]] != slot) return false;
        if (shared_[i] && growth_.empty()) return true;
        const auto reached = [&](const TermBox& old) {
            return std::ranges::any_of(growth_, [&](const TermBox& grown) {
                ++comparisons_;
                return overlaps(grown, old);
            });
        };
        bool untouched = true;
        if (shared_[i]) {
            new_boxes_.for_each_of(i, [&](const TermBox& box) { untouched = untouched && !reached(box); });
            return untouched;
        }
        const auto now_boxes = new_boxes_.of(i);
        old_boxes_.for_each_of(place_[i], [&](const TermBox& old) {
            untouched = untouched &&
                        std::ranges::any_of(now_boxes, [&](const TermBox& now) { return covers(now, old); }) &&
                        !reached(old);
        });
        return untouched;
    }

    bool covers(const TermBox& wide, const TermBox& narrow) {
        ++comparisons_;
        return asks_no_more(wide, narrow) && (narrow.from & ~wide.from).none() && (narrow.to & ~wide.to).none() &&
               addresses_.of(narrow.src, wide.src) == nullptr && addresses_.of(narrow.dst, wide.dst) == nullptr &&
               services_.of(narrow.service, wide.service) == nullptr;
    }

    /// What rule i takes from the rules behind it that it did not take before.
    void add_growth(std::size_t i) {
        if (after_.rules[i].mode != abi::RuleMode::enforce) return;
        const Rule* was = before(i);
        const bool decided = was != nullptr && was->mode == abi::RuleMode::enforce && same_times(*was, after_.rules[i]);
        const auto now = new_boxes_.of(i);
        if (!decided) {
            growth_.insert(growth_.end(), now.begin(), now.end());
            return;
        }
        const auto old = old_boxes_.of(place_[i]);
        for (std::size_t t = 0; t < now.size(); ++t) {
            if (std::ranges::any_of(old, [&](const TermBox& o) { return covers(o, now[t]); })) continue;
            if (old.empty()) {
                growth_.push_back(now[t]);
            } else {
                add_difference(now[t], old[std::min(t, old.size() - 1)]);
            }
        }
    }

    /// A product less another lies in the union of the products in which one dimension is replaced by what it has more.
    void add_difference(const TermBox& now, const TermBox& old) {
        // Nobody knows how the members of two sets overlap.
        if (!asks_no_more(old, now)) {
            growth_.push_back(now);
            return;
        }
        const auto add = [&](auto change) {
            TermBox part = now;
            if (change(part)) growth_.push_back(part);
        };
        add([&](TermBox& part) { return (part.from &= ~old.from).any(); });
        add([&](TermBox& part) { return (part.to &= ~old.to).any(); });
        add([&](TermBox& part) { return (part.src = addresses_.of(now.src, old.src)) != nullptr; });
        add([&](TermBox& part) { return (part.dst = addresses_.of(now.dst, old.dst)) != nullptr; });
        add([&](TermBox& part) { return (part.service = services_.of(now.service, old.service)) != nullptr; });
    }

    void set(abi::RuleSlot slot) {
        const auto at = static_cast<std::size_t>(slot);
        if (bits_.size() <= at / 64) bits_.resize(at / 64 + 1);
        bits_[at / 64] |= std::uint64_t{1} << (at % 64);
    }

    const ChangeBase& base_;
    const Policy& after_;
    TermBoxes old_boxes_, new_boxes_;
    std::vector<std::size_t> place_;
    std::vector<bool> shared_;     ///< one rule of both, in its place
    std::vector<TermBox> growth_;  ///< of the rules before the one that is looked at
    Differences<AddressList> addresses_;
    Differences<ServiceList> services_;
    std::vector<std::uint64_t> bits_;
    std::uint64_t comparisons_{};
};

}  // namespace

abi::Verdict verdict_of(Action action, Action default_action) noexcept {
    switch (action == Action::pass ? default_action : action) {
        case Action::allow: return abi::Verdict::allow;
        case Action::reject: return abi::Verdict::reject;
        default: return abi::Verdict::deny;
    }
}

std::vector<std::uint64_t> untouched_slots(const ChangeBase& base, const Policy& after,
                                           std::span<const abi::RuleSlot> slots, const TermBuilder* terms) {
    return Comparison{base, after, terms}.untouched(slots);
}

}  // namespace sluice::cp
