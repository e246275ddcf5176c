#include "controlplane/analysis/findings.hpp"

#include <algorithm>
#include <utility>

#include "controlplane/analysis/first_match.hpp"
#include "controlplane/analysis/service_line.hpp"
#include "controlplane/compiler/change_reach.hpp"

namespace sluice::cp {
namespace {

constexpr std::size_t kContradictionsPerRule = 3;
constexpr std::size_t kContradictionsTried = 32;

class Search {
public:
    Search(const Policy& policy, const RuleBoxes& rules, const UnusedFor& unused_for, const FindingLimits& limits)
        : policy_{policy},
          rules_{rules},
          unused_for_{unused_for},
          limits_{limits},
          all_{limits.units},
          pairs_{limits.pair_units} {
        for (const RuleItem& item : rules.items()) {
            const bool decides = item.after != kNone && !item.observe;
            says_.push_back(decides ? static_cast<std::uint32_t>(verdict(item.after)) : kUnseen);
        }
        sayings_ = {says_, says_};
        hidden_.resize(says_.size());
    }

    Findings find() {
        const auto count = static_cast<std::uint32_t>(rules_.items().size());
        // What the author works on first: should the budget end, it ends for rules that were there before.
        std::vector<std::uint32_t> order;
        for (const bool touched : {true, false}) {
            for (std::uint32_t i = 0; i < count; ++i) {
                const RuleItem& item = rules_.items()[i];
                if (item.after == kNone || (item.before == kNone) != touched) continue;
                // What passes on decides nothing, and takes nothing of what a packet is asked about here.
                if (item.after < policy_.rules.size() && policy_.passes_on(item.after)) continue;
                order.push_back(i);
            }
        }
        found_.rules = order.size();
        found_.unexamined = examine_all(order, all_, [&](std::uint32_t item) { return examine(item); });
        // What decides nothing contradicts nothing.
        std::erase_if(order,
                      [&](std::uint32_t item) { return says_[item] == kUnseen || is_default(item) || hidden_[item]; });
        found_.unpaired = examine_all(order, pairs_, [&](std::uint32_t item) { return look_for_contradictions(item); });
        std::ranges::stable_sort(found_.told, {}, &Finding::rule);
        return std::move(found_);
    }

private:
    abi::Verdict verdict(std::uint32_t rule) const {
        const bool is_default = rule >= policy_.rules.size();
        return verdict_of(is_default ? policy_.default_action : policy_.rules[rule].action, policy_.default_action);
    }
    bool is_default(std::uint32_t item) const { return item + 1 == rules_.items().size(); }
    std::uint32_t rule_of_box(std::uint32_t box) const { return rules_.items()[rules_.item_of(box)].after; }

    void tell(Finding finding) { pending_.push_back(std::move(finding)); }
    void keep(Finding finding) {
        auto& count = found_.counts[static_cast<std::size_t>(finding.kind)];
        if (count++ < limits_.told_per_kind_max) found_.told.push_back(std::move(finding));
    }

    /// Rules of boxes, each once, in order.
    std::vector<std::uint32_t> rules_of(const BoxNumbers& boxes) const {
        std::vector<std::uint32_t> rules;
        for (const std::uint32_t b : boxes) rules.push_back(rule_of_box(b));
        std::ranges::sort(rules);
        rules.erase(std::unique(rules.begin(), rules.end()), rules.end());
        if (rules.size() > limits_.others_max) rules.resize(limits_.others_max);
        return rules;
    }

    /// Boxes below `end` that may meet `packets`: of rules that decide, of observe rules too if one asks for these.
    BoxNumbers boxes_below(const Box& packets, std::uint32_t end, bool with_observing) {
        BoxNumbers list;
        budget_->spend(rules_.index().find(packets, end, list) + list.size());
        std::erase_if(list, [&](std::uint32_t b) { return !is_asked(b, with_observing); });
        return list;
    }

    bool is_asked(std::uint32_t box, bool with_observing) const {
        const std::uint32_t item = rules_.item_of(box);
        return with_observing ? rules_.items()[item].after != kNone : says_[item] != kUnseen;
    }

    /// The first box in [begin, end) that one packet meets; BoxIndex::kNothing if there is none.
    std::uint32_t first_met(const Box& packet, std::uint32_t begin, std::uint32_t end, bool with_observing) {
        std::uint64_t looked_at = 0;
        const auto is_met = [&](std::uint32_t b) {
            return is_asked(b, with_observing) && uncovered_sides(packet, rules_.boxes()[b]).has_value();
        };
        const std::uint32_t found = rules_.index().first(packet, begin, end, is_met, looked_at);
        budget_->spend(looked_at);
        return found;
    }

    /// Each rule gets a little of the budget; those that need more share what the others leave. Answers how many could
    /// not be settled.
    template <typename Work>
    std::uint64_t examine_all(std::vector<std::uint32_t> items, Budget& all, Work&& work) {
        for (const std::uint64_t units : {limits_.rule_units, limits_.hard_rule_units}) {
            std::erase_if(items, [&](std::uint32_t item) {
                if (all.used_up()) return false;
                Budget budget{std::min(all.left(), units)};
                const std::uint64_t given = budget.left();
                budget_ = &budget;
                pending_.clear();
                const bool settled = work(item);
                budget_ = nullptr;
                all.spend(given - budget.left());
                if (settled) std::ranges::for_each(pending_, [&](Finding& finding) { keep(std::move(finding)); });
                return settled;
            });
        }
        return items.size();
    }

    bool examine(std::uint32_t item) {
        const auto starts = rules_.starts_of(item);
        const std::uint32_t rule = rules_.items()[item].after;
        BoxNumbers taken;
        std::optional<ExamplePacket> decided;  // a packet that the rule decides
        const Outcome outcome = is_default(item) ? reach_default(starts, decided) : reach(item, starts, taken, decided);
        if (outcome == Outcome::gave_up) return false;
        if (!decided) {
            if (is_default(item)) return true;  // a last rule for everything is no mistake
            std::optional<ExamplePacket> example;
            if (!starts.empty()) example = example_of(starts.front().packets, rules_.places());
            hidden_[item] = true;
            tell({.kind = FindingKind::shadowed, .rule = rule, .others = rules_of(taken), .example = example});
            return true;
        }
        look_for_over_broad(item, starts, *decided);
        if (!is_default(item)) {
            if (const auto seconds = unused_for_ ? unused_for_(policy_.rules[rule].id) : std::nullopt) {
                tell({.kind = FindingKind::never_hit, .rule = rule, .example = decided, .watched_s = *seconds});
            }
            if (!rules_.items()[item].observe) return look_for_redundant(item, *decided);
        }
        return true;
    }

    /// A packet that gets as far as the rule. One is tried before the exact work, and mostly does.
    Outcome reach(std::uint32_t item, const std::vector<RuleBoxes::Start>& starts, BoxNumbers& taken,
                  std::optional<ExamplePacket>& decided) {
        const bool observe = rules_.items()[item].observe;
        for (const auto& start : starts) {
            const auto example = example_of(start.packets, rules_.places());
            if (!example) continue;
            if (first_met(box_of(*example), 0, rules_.items()[item].first_box, observe) == BoxIndex::kNothing) {
                decided = example;
                return Outcome::finished;
            }
        }
        for (const auto& start : starts) {
            const auto above = boxes_below(start.packets, rules_.items()[item].first_box, observe);
            const Outcome outcome = remainder(
                rules_.boxes(), start.packets, above, *budget_,
                [&](const Box& piece) {
                    decided = example_of(piece, rules_.places());
                    return false;
                },
                &taken);
            if (decided || outcome == Outcome::gave_up) return outcome;
        }
        return Outcome::finished;
    }

    Outcome reach_default(const std::vector<RuleBoxes::Start>& starts, std::optional<ExamplePacket>& decided) {
        if (verdict(static_cast<std::uint32_t>(policy_.rules.size())) != abi::Verdict::allow) return Outcome::finished;
        for (const auto& start : starts) {
            const auto above = boxes_below(start.packets, start.end, false);
            const Outcome outcome = remainder(rules_.boxes(), start.packets, above, *budget_, [&](const Box& piece) {
                decided = example_of(piece, rules_.places());
                return false;
            });
            if (decided || outcome == Outcome::gave_up) return outcome;
        }
        return Outcome::finished;
    }

    void look_for_over_broad(std::uint32_t item, const std::vector<RuleBoxes::Start>& starts,
                             const ExamplePacket& decided) {
        const RuleItem& of = rules_.items()[item];
        if (of.observe || verdict(of.after) != abi::Verdict::allow) return;
        for (const auto& [packets, end] : starts) {
            if (!is_wide_open(*packets.service)) continue;
            if (!is_wide_open(*packets.src, packets.family) && !is_wide_open(*packets.dst, packets.family)) continue;
            tell({.kind = FindingKind::over_broad, .rule = of.after, .example = decided});
            return;
        }
    }

    /// Without it, would anything be decided otherwise?
    bool look_for_redundant(std::uint32_t item, const ExamplePacket& decided) {
        const RuleItem& of = rules_.items()[item];
        const auto count = static_cast<std::uint32_t>(rules_.boxes().size());
        const std::uint32_t met = first_met(box_of(decided), of.first_box + of.box_count, count, false);
        const auto last = static_cast<std::uint32_t>(rules_.items().size() - 1);
        const std::uint32_t next = met == BoxIndex::kNothing ? last : rules_.item_of(met);
        if (says_[next] != says_[item]) return true;
        sayings_.after[item] = kUnseen;
        const Outcome outcome =
            Differences{rules_, sayings_}.of_item(item, *budget_, [](const Difference&) { return false; });
        sayings_.after[item] = says_[item];
        if (outcome == Outcome::gave_up) return false;
        if (outcome == Outcome::finished) {
            tell({.kind = FindingKind::redundant,
                  .rule = rules_.items()[item].after,
                  .others = {rules_.items()[next].after},
                  .example = decided});
        }
        return true;
    }

    bool allows(std::uint32_t item) const { return says_[item] == static_cast<std::uint32_t>(abi::Verdict::allow); }

    /// Does `wide` match all that `narrow` matches? Nothing: not settled.
    std::optional<bool> includes(std::uint32_t wide, std::uint32_t narrow) {
        const RuleItem& of = rules_.items()[wide];
        BoxNumbers boxes;
        for (std::uint32_t b = of.first_box; b < of.first_box + of.box_count; ++b) boxes.push_back(b);
        for (const auto& start : rules_.starts_of(narrow)) {
            const Outcome outcome =
                remainder(rules_.boxes(), start.packets, boxes, *budget_, [](const Box&) { return false; });
            if (outcome == Outcome::gave_up) return std::nullopt;
            if (outcome == Outcome::stopped) return false;
        }
        return true;
    }

    /// Rules before it that decide some of its packets the other way, and others too, as it does itself.
    bool look_for_contradictions(std::uint32_t item) {
        const auto starts = rules_.starts_of(item);
        Finding finding{.kind = FindingKind::contradictory, .rule = rules_.items()[item].after};
        std::vector<std::uint32_t> seen;
        for (const auto& start : starts) {
            const auto list = boxes_below(start.packets, rules_.items()[item].first_box, false);
            for (const std::uint32_t b : list) {
                const std::uint32_t other = rules_.item_of(b);
                if (allows(other) == allows(item) || std::ranges::find(seen, other) != seen.end()) continue;
                const auto both = common(start.packets, rules_.boxes()[b]);
                if (!both) continue;
                if (seen.size() >= kContradictionsTried || finding.others.size() >= kContradictionsPerRule) break;
                const auto decided = decided_by(*both, b, list);
                if (budget_->used_up()) return false;
                if (!decided) continue;  // what stands before `other` decides all of that
                seen.push_back(other);
                const auto holds = includes(other, item), held = includes(item, other);
                if (!holds || !held) return false;
                if (*holds || *held) continue;
                finding.others.push_back(rules_.items()[other].after);
                if (!finding.example) finding.example = decided;
            }
        }
        if (!finding.others.empty()) tell(std::move(finding));
        return true;
    }

    /// A packet of `packets` that box `b` of `list` decides.
    std::optional<ExamplePacket> decided_by(const Box& packets, std::uint32_t b, const BoxNumbers& list) {
        const std::uint32_t first = rules_.items()[rules_.item_of(b)].first_box;
        const BoxNumbers before{list.begin(), std::ranges::lower_bound(list, first)};
        std::optional<ExamplePacket> found;
        remainder(rules_.boxes(), packets, before, *budget_, [&](const Box& piece) {
            found = example_of(piece, rules_.places());
            return false;
        });
        return found;
    }

    const Policy& policy_;
    const RuleBoxes& rules_;
    const UnusedFor& unused_for_;
    const FindingLimits& limits_;
    Budget all_, pairs_;
    Budget* budget_{};              ///< of the rule that is examined
    std::vector<Finding> pending_;  ///< of that rule
    std::vector<std::uint32_t> says_;
    std::vector<bool> hidden_;  ///< by item: shadowed
    Sayings sayings_;
    Findings found_;
};

}  // namespace

Findings find_oddities(const Policy& after, const RuleBoxes& rules, const UnusedFor& unused_for,
                       const FindingLimits& limits) {
    return Search{after, rules, unused_for, limits}.find();
}

}  // namespace sluice::cp
