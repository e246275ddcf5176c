#include "controlplane/compiler/edit_reach.hpp"

#include <algorithm>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "controlplane/compiler/term_box.hpp"
#include "controlplane/compiler/term_hulls.hpp"
#include "controlplane/compiler/whole_tables.hpp"

namespace sluice::cp {

namespace {

class SlotBits {
public:
    explicit SlotBits(std::vector<std::uint64_t> bits = {}) : bits_{std::move(bits)} {}
    void set(abi::RuleSlot slot) {
        const auto at = static_cast<std::size_t>(slot);
        if (bits_.size() <= at / 64) bits_.resize(at / 64 + 1);
        bits_[at / 64] |= std::uint64_t{1} << (at % 64);
    }
    void clear(abi::RuleSlot slot) {
        const auto at = static_cast<std::size_t>(slot);
        if (at / 64 < bits_.size()) bits_[at / 64] &= ~(std::uint64_t{1} << (at % 64));
    }
    std::vector<std::uint64_t> take() { return std::move(bits_); }

private:
    std::vector<std::uint64_t> bits_;
};

bool is_quiet(const Policy& policy, const Rule& rule) {
    return rule.mode == abi::RuleMode::enforce &&
           (rule.action == Action::allow || (rule.action == Action::pass && rule.layer == policy.rules.back().layer &&
                                             policy.default_action == Action::allow));
}

/// Rules of edited policies that the whole does not have, with their terms.
class Added {
public:
    Added(const WholeTables& whole, const Policy& policy, const std::vector<std::size_t>& rules) {
        part_.zones = policy.zones;
        part_.sets = policy.sets;
        part_.never_block = policy.never_block;
        part_.default_action = policy.default_action;
        for (const std::size_t rule : rules) part_.rules.push_back(policy.rules.handle(rule));
        terms_.emplace(part_, &whole.policy, whole.terms.get());
    }
    std::vector<TermBox> of(std::size_t i) const { return TermBoxes{*terms_}.of(i); }

private:
    Policy part_;
    std::optional<TermBuilder> terms_;
};

/// What an edited rule matches, and what it asks of time and mode, is what the one in its place did: it takes nothing
/// more from those behind it. One that refused left them whom never_block spares.
bool takes_no_more(const Policy& before, const Rule& was, const Policy& after, const Rule& is) {
    return was.from == is.from && was.to == is.to && was.service == is.service && was.mode == is.mode &&
           was.when == is.when && was.expires == is.expires && was.action != Action::pass &&
           is.action != Action::pass && (before.never_block.empty() || !before.refuses(was) || after.refuses(is));
}

/// Rules that the base of an edit does not have.
class NewRules {
public:
    NewRules(const Policy& before, const Policy& after)
        : before_{before}, after_{after}, gaps_{shared_gaps(before.rules, after.rules)} {
        for (const SharedGap& gap : gaps_) {
            for (std::size_t i = gap.before_first; i < gap.before_last; ++i) gone_.emplace(before.rules[i].id, i);
        }
    }

    bool has(std::size_t i) const { return gap_of(i) != nullptr; }
    /// In the place of one that took no less: same id, between the same neighbours. Precondition: has(i).
    bool stands_for_its_like(std::size_t i) const {
        const SharedGap& gap = *gap_of(i);
        const auto was = gone_.find(after_.rules[i].id);
        return was != gone_.end() && was->second >= gap.before_first && was->second < gap.before_last &&
               takes_no_more(before_, before_.rules[was->second], after_, after_.rules[i]);
    }

private:
    const SharedGap* gap_of(std::size_t i) const {
        const auto at = std::ranges::upper_bound(gaps_, i, {}, &SharedGap::after_last);
        return at != gaps_.end() && at->after_first <= i ? &*at : nullptr;
    }

    const Policy &before_, &after_;
    std::vector<SharedGap> gaps_;
    std::unordered_map<std::string_view, std::size_t> gone_;  ///< of before, by id
};

}  // namespace

std::vector<std::uint64_t> quiet_slots(const Policy& policy, const RuleSlots& slots) {
    SlotBits bits;
    for (std::size_t i = 0; i < policy.rules.size(); ++i) {
        if (is_quiet(policy, policy.rules[i])) bits.set(slots[i]);
    }
    return bits.take();
}

std::vector<std::uint64_t> untouched_by_edits(const WholeTables& whole, const ChangeBase& base, const Policy& after,
                                              const RuleSlots& slots) {
    const Policy& before = *base.policy;
    SlotBits bits{whole.quiet};
    const NewRules fresh{before, after};
    std::vector<bool> gone(whole.policy.rules.size());
    std::vector<std::size_t> added;         // of `after`, what the whole does not have
    std::vector<std::size_t> added_before;  // the next of the whole behind each
    std::vector<bool> grows;                // per added one: new since the base, and takes more
    std::vector<bool> stays;                // per added one: the base has it too
    for (const SharedGap& gap : shared_gaps(whole.policy.rules, after.rules)) {
        // Their slots, if they are anybody's by now, are of other rules.
        for (std::size_t i = gap.before_first; i < gap.before_last; ++i) {
            gone[i] = true;
            bits.clear(whole.slots[i]);
        }
        for (std::size_t i = gap.after_first; i < gap.after_last; ++i) {
            added.push_back(i);
            added_before.push_back(gap.before_last);
            stays.push_back(!fresh.has(i));
            grows.push_back(fresh.has(i) && !fresh.stands_for_its_like(i) &&
                            after.rules[i].mode == abi::RuleMode::enforce);
        }
    }

    const Added boxes{whole, after, added};
    const TermBoxes whole_boxes{*whole.terms};
    bool any_growth = false;
    std::vector<TermBox> growth;
    for (std::size_t k = 0; k < added.size(); ++k) {
        const abi::RuleSlot slot = slots[added[k]];
        const auto its = boxes.of(k);
        const auto reached = [&](const TermBox& box) {
            return std::ranges::any_of(growth, [&](const TermBox& grown) { return overlaps(grown, box); });
        };
        bits.clear(slot);
        if (stays[k] && is_quiet(after, after.rules[added[k]]) && std::ranges::none_of(its, reached)) bits.set(slot);
        if (!grows[k]) continue;
        any_growth = true;
        growth.insert(growth.end(), its.begin(), its.end());
        for (const TermBox& grown : its) {
            whole.hulls.for_each_met(hull_of(grown), added_before[k], [&](std::uint32_t rule) {
                whole_boxes.for_each_of(rule, [&](const TermBox& box) {
                    if (!gone[rule] && overlaps(grown, box)) bits.clear(whole.slots[rule]);
                });
                return true;
            });
        }
    }
    if (!any_growth) bits.set(abi::kSlotDefault);
    return bits.take();
}

}  // namespace sluice::cp
