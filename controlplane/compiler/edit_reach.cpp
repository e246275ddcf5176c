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
/// more from those behind it.
bool takes_the_same(const Rule& was, const Rule& is) {
    return was.from == is.from && was.to == is.to && was.service == is.service && was.mode == is.mode &&
           was.when == is.when && was.expires == is.expires && was.action != Action::pass && is.action != Action::pass;
}

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
    const auto stood = shared_places(before.rules, after.rules);
    const auto of_whole = shared_places(whole.policy.rules, after.rules);
    SlotBits bits{whole.quiet};
    const auto missing = [](std::size_t count, const std::vector<std::uint32_t>& places) {
        std::vector<bool> gone(count, true);
        for (const std::uint32_t at : places) {
            if (at != kNotShared) gone[at] = false;
        }
        return gone;
    };
    // Gone since the whole, or since the base: their slots, if they are anybody's by now, are of other rules.
    const auto gone_of_whole = missing(whole.policy.rules.size(), of_whole), gone = missing(before.rules.size(), stood);
    for (std::size_t i = 0; i < gone_of_whole.size(); ++i) {
        if (gone_of_whole[i]) bits.clear(whole.slots[i]);
    }

    // The one that an edited rule stands in the place of: same id, between the same neighbours.
    std::unordered_map<std::string_view, std::pair<std::size_t, std::size_t>> was_at;  // index, shared ones in front
    for (std::size_t i = 0, shared = 0; i < gone.size(); ++i) {
        if (gone[i]) was_at.emplace(before.rules[i].id, std::pair{i, shared});
        shared += gone[i] ? 0 : 1;
    }
    std::vector<std::size_t> added;           // of `after`, what the whole does not have
    std::vector<std::uint32_t> added_before;  // the next of the whole behind each
    std::vector<bool> grows;                  // per added one: new since the base, and takes more
    std::vector<bool> stays;                  // per added one: the base has it too
    for (std::size_t i = 0, shared = 0; i < after.rules.size(); ++i) {
        const bool is_old = stood[i] != kNotShared;
        if (of_whole[i] == kNotShared) {
            const auto at = was_at.find(after.rules[i].id);
            const bool in_place = at != was_at.end() && at->second.second == shared &&
                                  takes_the_same(before.rules[at->second.first], after.rules[i]);
            added.push_back(i);
            stays.push_back(is_old);
            grows.push_back(!is_old && !in_place && after.rules[i].mode == abi::RuleMode::enforce);
        } else {
            added_before.resize(added.size(), of_whole[i]);
        }
        shared += is_old ? 1 : 0;
    }
    added_before.resize(added.size(), static_cast<std::uint32_t>(whole.policy.rules.size()));

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
                    if (!gone_of_whole[rule] && overlaps(grown, box)) bits.clear(whole.slots[rule]);
                });
                return true;
            });
        }
    }
    if (!any_growth) bits.set(abi::kSlotDefault);
    return bits.take();
}

}  // namespace sluice::cp
