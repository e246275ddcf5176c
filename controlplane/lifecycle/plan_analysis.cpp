#include "controlplane/lifecycle/plan_analysis.hpp"

#include <algorithm>
#include <utility>

#include "controlplane/analysis/entry_places.hpp"
#include "controlplane/analysis/rule_boxes.hpp"
#include "controlplane/analysis/service_line.hpp"
#include "controlplane/compiler/reference.hpp"

namespace sluice::cp {
namespace {

constexpr std::size_t kBoxesTold = 500;
constexpr std::size_t kListTold = 64;

std::string list_of(const std::vector<std::string>& ids) {
    std::string text;
    for (const auto& id : ids) text += (text.empty() ? "\"" : ", \"") + id + "\"";
    return text;
}

/// The sentence that goes with a finding: what, and what to do.
std::string sentence(const PlanFinding& finding, bool possible) {
    const auto rule = "rule \"" + finding.rule + "\" ";
    const auto others = list_of(finding.others);
    switch (finding.kind) {
        case FindingKind::shadowed:
            if (!possible)
                return rule +
                       "matches no packet: a set is empty, no wire joins its zones, or its layer passes all of it on; "
                       "correct it "
                       "or remove it";
            return rule + "is shadowed: all that it matches is decided before, by " + others +
                   "; remove it, or move it in front of what hides it";
        case FindingKind::redundant:
            return rule + "is redundant: without it every packet has the same verdict, this one by " + others +
                   "; remove it, unless it is there to count or log";
        case FindingKind::contradictory:
            return rule + "contradicts " + others +
                   ": each matches packets of the other and packets of its own, and they decide otherwise; order alone "
                   "settles it, so narrow one of them";
        case FindingKind::over_broad:
            return (finding.rule == abi::kIdDefault ? std::string{"the default "} : rule) +
                   "is over-broad: it allows every service from or to any address; name the services, or the addresses";
        case FindingKind::never_hit: return rule + "was never hit; remove it if nobody waits for it";
    }
    return rule;
}

class Telling {
public:
    Telling(const AnalysedPolicy& before, const AnalysedPolicy& after, const EntryPlaces& places)
        : before_{before}, after_{after}, places_{places} {}

    void tell(const SemanticDiff& diff) {
        auto& effect = told_.effect;
        effect.unfinished = diff.unfinished[0];
        for (std::size_t turn = 1; turn < diff.unfinished.size(); ++turn) {
            for (const auto& id : diff.unfinished[turn]) {
                if (std::ranges::find(effect.less_looked, id) == effect.less_looked.end())
                    effect.less_looked.push_back(id);
            }
        }
        for (const ChangedBox& box : diff.boxes) {
            if (effect.boxes.size() == kBoxesTold) {
                ++effect.boxes_left_out;
            } else if (answers(box)) {
                effect.boxes.push_back(to_told(box));
            }
        }
    }

    void tell(const Findings& findings) {
        told_.findings.counts = findings.counts;
        told_.findings.rules = findings.rules;
        told_.findings.unexamined = findings.unexamined;
        told_.findings.unpaired = findings.unpaired;
        const Policy& policy = *after_.policy;
        for (const Finding& finding : findings.told) {
            if (by_time(finding)) {
                --told_.findings.counts[static_cast<std::size_t>(finding.kind)];
                ++told_.findings.unexamined;
                continue;
            }
            PlanFinding one{.kind = finding.kind};
            one.rule = reference_rule_id(policy, finding.rule);
            one.pos = policy.pos_of_rule(finding.rule);
            for (const std::uint32_t other : finding.others) one.others.emplace_back(reference_rule_id(policy, other));
            one.watched_s = finding.watched_s;
            one.detail = sentence(one, finding.example.has_value());
            if (finding.example && answers(finding)) one.example = to_told(*finding.example);
            told_.findings.told.push_back(std::move(one));
        }
    }

    PlanAnalysis take() { return std::move(told_); }

private:
    struct Asked {
        Decision decided, observed;
    };
    static Asked ask(const dp::TableView& view, const dp::LookupKey& key) {
        dp::LookupResult found;
        dp::lookup(view, {&key, 1}, {&found, 1});
        const auto decision = [&](abi::RuleIndex rule) {
            return Decision{std::string{view.rule_id(rule)}, view.rule(rule).verdict};
        };
        return {decision(found.rule), found.observe == abi::kNoRule ? Decision{} : decision(found.observe)};
    }

    /// At another time it might not be so.
    bool by_time(const Finding& finding) const {
        const auto& rules = after_.policy->rules;
        const auto timed = [&](std::uint32_t rule) { return rule < rules.size() && depends_on_time(rules[rule]); };
        return timed(finding.rule) || std::ranges::any_of(finding.others, timed);
    }

    bool answers(const ChangedBox& box) {
        const Asked was = ask(*before_.view, key_before(box.example, places_));
        const Asked is = ask(*after_.view, key_after(box.example, places_));
        const bool observed = box.kind == ChangeKind::observed;
        if ((observed ? was.observed : was.decided) == box.before &&
            (observed ? is.observed : is.decided) == box.after) {
            return true;
        }
        told_.contradictions.push_back("a packet that should change from \"" + box.before.rule + "\" to \"" +
                                       box.after.rule + "\" is decided by \"" + was.decided.rule + "\" and \"" +
                                       is.decided.rule + "\"");
        return false;
    }

    bool answers(const Finding& finding) {
        const Asked is = ask(*after_.view, key_after(*finding.example, places_));
        const auto id = reference_rule_id(*after_.policy, finding.rule);
        const bool own = is.decided.rule == id || is.observed.rule == id;
        const bool due = finding.kind != FindingKind::shadowed && finding.kind != FindingKind::contradictory;
        if (own == due) return true;
        told_.contradictions.push_back("a packet that should show rule \"" + std::string{id} + "\" as " +
                                       std::string{to_string(finding.kind)} + " is decided by \"" + is.decided.rule +
                                       "\"");
        return false;
    }

    std::vector<std::string> zones(const PlaceBits& bits) const {
        std::vector<std::string> names;
        for (std::size_t p = 0; p < places_.places().size(); ++p) {
            if (!bits[p]) continue;
            const auto& name = after_.policy->zones[places_.places()[p].zone_after].name;
            if (std::ranges::find(names, name) == names.end()) names.push_back(name);
        }
        return names;
    }

    PlanPacket to_told(const ExamplePacket& packet) const {
        const auto zone = [&](std::size_t place) {
            return after_.policy->zones[places_.places()[place].zone_after].name;
        };
        return {packet.in_port, zone(packet.from_place), zone(packet.to_place), packet.family, packet.src, packet.dst,
                packet.proto,   packet.dport_or_icmp};
    }

    PlanBox to_told(const ChangedBox& changed) const {
        const Box& packets = changed.packets;
        PlanBox box{.change = changed.kind, .family = packets.family, .before = changed.before, .after = changed.after};
        box.from = zones(packets.from);
        box.to = zones(packets.to);
        box.src = to_texts(*packets.src, packets.family);
        box.dst = to_texts(*packets.dst, packets.family);
        box.service = to_texts(*packets.service, packets.family);
        for (auto* list : {&box.src, &box.dst, &box.service}) {
            if (list->size() <= kListTold) continue;
            list->resize(kListTold);
            box.shortened = true;
        }
        box.example = to_told(changed.example);
        return box;
    }

    const AnalysedPolicy& before_;
    const AnalysedPolicy& after_;
    const EntryPlaces& places_;
    PlanAnalysis told_;
};

}  // namespace

namespace {

/// A policy and its tables as they stand at an instant: a rule whose schedule is closed matches nothing.
class AsItStands {
public:
    AsItStands(const AnalysedPolicy& whole, UnixSeconds at) : analysed_{whole} {
        if (whole.policy == nullptr || !depends_on_time(*whole.policy)) return;
        policy_ = *whole.policy;
        for (std::size_t i = 0; i < policy_.rules.size(); ++i) {
            if (!depends_on_time(std::as_const(policy_.rules)[i])) continue;
            Rule& rule = policy_.rules[i];
            const Standing standing = standing_of(policy_, rule, at);
            if (standing == Standing::absent) rule.from.clear();
            if (standing == Standing::observed) rule.mode = abi::RuleMode::observe;
        }
        view_ = whole.view->at(static_cast<std::uint64_t>(at));
        analysed_ = {&policy_, &view_};
    }
    AsItStands(const AsItStands&) = delete;
    AsItStands& operator=(const AsItStands&) = delete;
    const AnalysedPolicy& analysed() const noexcept { return analysed_; }

private:
    Policy policy_;
    dp::TableView view_;
    AnalysedPolicy analysed_;
};

}  // namespace

/// It gives up on every rule.
static PlanAnalysis nothing_about(const Policy& policy) {
    PlanAnalysis nothing;
    nothing.findings.unpaired = nothing.findings.unexamined = nothing.findings.rules = policy.rules.size();
    for (const Rule& rule : policy.rules) nothing.effect.unfinished.push_back(rule.id);
    return nothing;
}

PlanAnalysis analyse(const AnalysedPolicy& before_whole, const AnalysedPolicy& after_whole, const WireHint& wires,
                     const UnusedFor& unused_for, UnixSeconds now) {
    const AsItStands was{before_whole, now}, is{after_whole, now};
    const AnalysedPolicy &before = was.analysed(), &after = is.analysed();
    const EntryPlaces places{before.policy, *after.policy, &wires};
    if (!places.representable()) return nothing_about(*after.policy);
    Telling telling{before, after, places};
    const RuleBoxes rules{before.policy, *after.policy, places};
    if (!rules.complete()) return nothing_about(*after.policy);
    if (before.policy != nullptr) telling.tell(semantic_diff(*before.policy, *after.policy, rules));
    telling.tell(find_oddities(*after.policy, rules, unused_for));
    return telling.take();
}

}  // namespace sluice::cp
