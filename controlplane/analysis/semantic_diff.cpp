#include "controlplane/analysis/semantic_diff.hpp"

#include <algorithm>
#include <map>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "controlplane/analysis/box_merge.hpp"
#include "controlplane/analysis/first_match.hpp"
#include "controlplane/compiler/change_reach.hpp"
#include "controlplane/compiler/reference.hpp"

namespace sluice::cp {
namespace {

/// A rule or the default of one policy.
struct Said {
    const Policy& policy;
    std::uint32_t rule{};

    bool is_default() const { return rule >= policy.rules.size(); }
    std::string_view id() const { return reference_rule_id(policy, rule); }
    abi::RuleLog log() const { return is_default() ? policy.default_log : policy.rules[rule].log; }
    abi::Verdict verdict() const {
        return verdict_of(is_default() ? policy.default_action : policy.rules[rule].action, policy.default_action);
    }
    bool observe() const { return !is_default() && policy.rules[rule].mode == abi::RuleMode::observe; }
};

class Diff {
public:
    Diff(const Policy& before, const Policy& after, const RuleBoxes& rules, const DiffLimits& limits)
        : before_{before}, after_{after}, rules_{rules}, limits_{limits} {}

    SemanticDiff find() {
        number_rules();
        find(0, limits_.verdict_units, [](const Said& said, std::uint32_t) {
            return said.observe() ? kUnseen : static_cast<std::uint32_t>(said.verdict());
        });
        find(1, limits_.other_units, [&](const Said& said, std::uint32_t item) {
            if (said.observe()) return kUnseen;
            return numbers_[item] * 64 + static_cast<std::uint32_t>(said.log()) * 8 +
                   static_cast<std::uint32_t>(said.verdict());
        });
        // The first rule that matches at all: one that enforces says that no observe rule came before.
        find(2, limits_.other_units, [&](const Said& said, std::uint32_t item) {
            return said.observe() ? (numbers_[item] + 1) * 8 + static_cast<std::uint32_t>(said.verdict()) : 0;
        });
        return std::move(result_);
    }

private:
    /// Equal for items of rules of the same id, which are two only where each is in one policy.
    void number_rules() {
        std::unordered_map<std::string_view, std::uint32_t> by_id;
        for (std::uint32_t i = 0; i < rules_.items().size(); ++i) {
            const RuleItem& item = rules_.items()[i];
            const bool in_both = item.before != kNone && item.after != kNone;
            const Said said = item.after != kNone ? Said{after_, item.after} : Said{before_, item.before};
            numbers_.push_back(in_both ? i : by_id.try_emplace(said.id(), i).first->second);
        }
    }

    template <typename Say>
    void find(std::size_t turn, std::uint64_t units, Say&& say) {
        Sayings sayings;
        for (std::uint32_t i = 0; i < rules_.items().size(); ++i) {
            const RuleItem& item = rules_.items()[i];
            sayings.before.push_back(item.before == kNone ? kUnseen : say(Said{before_, item.before}, i));
            sayings.after.push_back(item.after == kNone ? kUnseen : say(Said{after_, item.after}, i));
        }
        const Differences differences{rules_, sayings};
        std::vector<std::uint32_t> changed;
        for (std::uint32_t i = 0; i < rules_.items().size(); ++i) {
            if (!differences.is_same(i)) changed.push_back(i);
        }
        std::map<std::pair<std::uint32_t, std::uint32_t>, std::vector<Box>> pieces;  // by the items that decide
        std::size_t count = 0;
        const auto keep = [&](const Difference& difference) {
            if (turn == 1 && told_as_verdict(difference)) return true;
            pieces[{difference.item_before, difference.item_after}].push_back(difference.packets);
            return ++count < limits_.pieces_max;
        };
        for (std::size_t c = 0; c < changed.size(); ++c) {
            // Each gets its share of what is left; what it does not need goes to the others.
            Budget share{std::max<std::uint64_t>(units / (changed.size() - c), 1)};
            const std::uint64_t given = share.left();
            const bool room = count < limits_.pieces_max;
            if (!room || differences.of_item(changed[c], share, keep) != Outcome::finished)
                unfinished(turn, changed[c]);
            units -= std::min(units, given - share.left());
        }
        tell(turn, pieces);
    }

    bool told_as_verdict(const Difference& difference) const {
        return Said{before_, rules_.items()[difference.item_before].before}.verdict() !=
               Said{after_, rules_.items()[difference.item_after].after}.verdict();
    }

    void unfinished(std::size_t turn, std::uint32_t item) {
        const RuleItem& of = rules_.items()[item];
        const std::string id{of.after != kNone ? Said{after_, of.after}.id() : Said{before_, of.before}.id()};
        auto& ids = result_.unfinished[turn];
        if (ids.empty() || ids.back() != id) ids.push_back(id);  // both halves of a rule stand side by side
    }

    static Decision decision(const Said& said, bool of_observing) {
        if (of_observing && !said.observe()) return {};
        return {std::string{said.id()}, said.verdict()};
    }

    void tell(std::size_t turn, std::map<std::pair<std::uint32_t, std::uint32_t>, std::vector<Box>>& pieces) {
        for (auto& [items, boxes] : pieces) {
            const Said was{before_, rules_.items()[items.first].before}, is{after_, rules_.items()[items.second].after};
            ChangedBox box{.before = decision(was, turn == 2), .after = decision(is, turn == 2)};
            box.kind = turn == 0               ? ChangeKind::verdict
                       : turn == 2             ? ChangeKind::observed
                       : was.log() != is.log() ? ChangeKind::log
                                               : ChangeKind::rule;
            merge(boxes);
            for (Box& packets : boxes) {
                box.packets = std::move(packets);
                const auto example = example_of(box.packets, rules_.places());
                if (!example) continue;  // a way that no wire makes
                box.example = *example;
                result_.boxes.push_back(box);
            }
        }
    }

    const Policy& before_;
    const Policy& after_;
    const RuleBoxes& rules_;
    const DiffLimits& limits_;
    std::vector<std::uint32_t> numbers_;  ///< by item
    SemanticDiff result_;
};

}  // namespace

SemanticDiff semantic_diff(const Policy& before, const Policy& after, const RuleBoxes& rules,
                           const DiffLimits& limits) {
    return Diff{before, after, rules, limits}.find();
}

}  // namespace sluice::cp
