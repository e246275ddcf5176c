#include "controlplane/lifecycle/plan_changes.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <unordered_map>
#include <utility>

#include "controlplane/policy/address.hpp"
#include "controlplane/policy/duration.hpp"
#include "controlplane/policy/rate.hpp"
#include "controlplane/policy/schedule.hpp"
#include "controlplane/policy/service.hpp"

namespace sluice::cp {
namespace {

using Words = std::set<std::string>;

constexpr std::string_view kAsThePolicySays = "as the policy says";

std::string text_of(Action action) {
    switch (action) {
        case Action::allow: return "allow";
        case Action::deny: return "deny";
        case Action::reject: return "reject";
        case Action::pass: return "pass";
    }
    return "deny";
}

std::string text_of(abi::RuleLog log) {
    switch (log) {
        case abi::RuleLog::none: return "none";
        case abi::RuleLog::start: return "start";
        case abi::RuleLog::end: return "end";
        case abi::RuleLog::both: return "both";
    }
    return "none";
}

std::string text_of(abi::RuleMode mode) { return mode == abi::RuleMode::observe ? "observe" : "enforce"; }
std::string text_of(abi::WireAction action) { return action == abi::WireAction::allow ? "allow" : "deny"; }
std::string text_of(abi::SeqCheck check) {
    return check == abi::SeqCheck::off ? "off" : check == abi::SeqCheck::log ? "log" : "strict";
}
std::string text_of(abi::OnChange change) {
    return change == abi::OnChange::kill ? "kill" : change == abi::OnChange::keep ? "keep" : "reevaluate";
}
std::string text_of(abi::SynPromise promise) {
    return promise == abi::SynPromise::on ? "on" : promise == abi::SynPromise::learn ? "learn" : "off";
}
std::string text_of(abi::Verdict verdict) {
    return verdict == abi::Verdict::allow ? "allow" : verdict == abi::Verdict::reject ? "reject" : "deny";
}

template <typename Limits, std::size_t N>
std::string text_of(const Limits& limits, const std::array<LimitKey<Limits>, N>& keys) {
    std::string text;
    for (const auto& [key, member] : keys) {
        if (limits.*member == 0) continue;
        text += (text.empty() ? "" : ", ") + std::string{key} + " " + std::to_string(limits.*member);
    }
    return text.empty() ? "none" : text;
}

std::string text_of(const Approvals& approvals) {
    if (approvals.needed == 0) return "none";
    return std::to_string(approvals.needed) + " within " + duration_text(approvals.within_ms);
}

std::string text_of(const abi::RuleLimits& limits) {
    const auto text = text_of(limits, kRuleLimitKeys);
    if (limits.over == abi::HalfOpenOver::refuse) return text;
    return text == "none" ? "over syn-cookie" : text + ", over syn-cookie";
}

std::string join(const Words& words) {
    std::string out;
    for (const auto& word : words) out += (out.empty() ? "" : ", ") + word;
    return out;
}

/// Sets by their names, so that another content of a set shows once, as a change of the set.
std::string text_of(const Policy& policy, const std::vector<Endpoint>& ends) {
    Words words;
    for (const auto& end : ends) {
        const auto zone = end.zone ? policy.zones[*end.zone].name : std::string{};
        std::string except;
        for (const auto set : end.except) except += " not " + policy.sets[set].name;
        if (end.any_addr) {
            words.insert((zone.empty() ? "any" : zone) + except);
            continue;
        }
        const auto in_zone = (zone.empty() ? std::string{} : " in zone " + zone) + except;
        for (const auto set : end.sets) words.insert(policy.sets[set].name + in_zone);
        for (const auto& net : end.nets) words.insert(to_text(net) + in_zone);
    }
    return join(words);
}

Words words_of(const std::vector<ServiceTerm>& terms) {
    Words words;
    for (const auto& term : terms) words.insert(to_text(term));
    return words;
}

Words words_of(const NetSet& set) {
    Words words;
    for (const auto& net : set.nets) words.insert(to_text(net));
    return words;
}

/// Sets by their names, as in rules.
Words words_of_never_block(const Policy& policy) {
    Words words;
    for (const auto set : policy.never_block.sets) words.insert(policy.sets[set].name);
    for (const auto& net : policy.never_block.nets) words.insert(to_text(net));
    return words;
}

Words words_of(const Zone& zone) { return {zone.ports.begin(), zone.ports.end()}; }
Words words_of(const NamedService& service) { return words_of(service.terms); }

constexpr std::string_view kMembersHere = "as they stand here";

/// What is said of one beside its items.
std::vector<PlanField> fields_of(const Zone& zone) { return {{"limits", "", text_of(zone.limits, kZoneLimitKeys)}}; }
std::vector<PlanField> fields_of(const NetSet& set) {
    return {{"members", "",
             set.by_api ? "by the API, at most " + std::to_string(set.members_max) : std::string{kMembersHere}}};
}
std::vector<PlanField> fields_of(const NamedService&) { return {}; }

/// Written out, so that another content of a schedule shows at the rules that it changes.
std::string text_of(const Schedule& schedule) {
    std::string days;
    for (std::size_t d = 0; d < std::size(kDayNames); ++d) {
        if ((schedule.days >> d & 1U) != 0) days += (days.empty() ? "" : " ") + std::string{kDayNames[d]};
    }
    if (schedule.days == kEveryDay) days = "daily";
    return schedule.name + " (" + days + " " + day_time_text(schedule.first_minute) + "-" +
           day_time_text(schedule.end_minute) + " " + schedule.time_zone + ")";
}

std::vector<PlanField> fields_of(const Policy& policy, const Rule& rule) {
    return {{"action", "", text_of(rule.action)},
            {"from", "", text_of(policy, rule.from)},
            {"to", "", text_of(policy, rule.to)},
            {"service", "", rule.service.empty() ? "any" : join(words_of(rule.service))},
            {"mode", "", text_of(rule.mode)},
            {"log", "", text_of(rule.log)},
            {"limits", "", text_of(rule.limits)},
            {"on_change", "", rule.on_change ? text_of(*rule.on_change) : std::string{kAsThePolicySays}},
            {"layer", "", std::to_string(rule.layer)},
            {"when", "", rule.when ? text_of(policy.schedules[*rule.when]) : "always"},
            {"expires", "", rule.expires ? instant_text(*rule.expires) : "never"},
            {"owner", "", rule.notes ? rule.notes->owner : std::string{}},
            {"ticket", "", rule.notes ? rule.notes->ticket : std::string{}},
            {"reason", "", rule.notes ? rule.notes->reason : std::string{}}};
}

/// Fields that differ; both lists have the same fields in the same order.
std::vector<PlanField> differing(const std::vector<PlanField>& before, const std::vector<PlanField>& after) {
    std::vector<PlanField> out;
    for (std::size_t i = 0; i < after.size(); ++i) {
        if (before[i].after != after[i].after) out.push_back({after[i].name, before[i].after, after[i].after});
    }
    return out;
}

std::vector<PlanField> differing(const std::string& name, const Words& before, const Words& after) {
    std::vector<PlanField> out;
    Words gone, come;
    std::ranges::set_difference(before, after, std::inserter(gone, gone.end()));
    std::ranges::set_difference(after, before, std::inserter(come, come.end()));
    for (const auto& word : gone) out.push_back({name, word, ""});
    for (const auto& word : come) out.push_back({name, "", word});
    return out;
}

class Changes {
public:
    Changes(const Policy& before, const Policy& after) : before_{before}, after_{after} {}

    std::vector<PlanChange> find(const std::set<std::string_view>& moved) {
        if (!before_.name.empty() && before_.name != after_.name)
            add_change("name", "", {{"", before_.name, after_.name}});
        if (before_.approvals != after_.approvals)
            add_change("approvals", "", {{"", text_of(before_.approvals), text_of(after_.approvals)}});
        settings();
        named("zone", "port", before_.zones, after_.zones);
        named("set", "net", before_.sets, after_.sets);
        never_block();
        named("service", "term", before_.services, after_.services);
        rules(moved);
        tests();
        if (changes_.empty() && before_.version != after_.version) {
            add_change("wording", "", {{"", "", "other words or another order, with the same meaning"}});
        }
        return std::move(changes_);
    }

private:
    void add_change(const char* kind, std::string id, std::vector<PlanField> fields) {
        if (!fields.empty()) changes_.push_back({"change", kind, std::move(id), std::move(fields)});
    }

    void settings() {
        const auto defaults = [](const Policy& p) {
            return std::vector<PlanField>{{"action", "", text_of(p.default_action)},
                                          {"log", "", text_of(p.default_log)},
                                          {"limits", "", text_of(p.default_limits)}};
        };
        const auto wire = [](const Policy& p) {
            return std::vector<PlanField>{
                {"arp", "", text_of(p.wire_arp)}, {"nd", "", text_of(p.wire_nd)}, {"other", "", text_of(p.wire_other)}};
        };
        const auto tracking = [](const Policy& p) {
            std::vector<PlanField> fields{{"seq_check", "", text_of(p.seq_check)},
                                          {"on_change", "", text_of(p.on_change)},
                                          {"syn_proxy mss", "", std::to_string(p.syn_proxy.mss)},
                                          {"syn_proxy wscale", "", std::to_string(p.syn_proxy.wscale)},
                                          {"syn_proxy sack", "", text_of(p.syn_proxy.sack)},
                                          {"syn_proxy timestamps", "", text_of(p.syn_proxy.timestamps)}};
            for (const auto& [key, member] : kTimeoutKeys) {
                fields.push_back({std::string{key}, "", duration_text(p.timeouts.*member)});
            }
            return fields;
        };
        if (before_.name.empty()) {  // there was no policy
            auto stated = defaults(after_);
            std::erase_if(stated, [](const PlanField& f) { return f.name == "limits" && f.after == "none"; });
            changes_.push_back({"add", "default", "", std::move(stated)});
            changes_.push_back({"add", "wire", "", wire(after_)});
            if (auto set = differing(tracking(before_), tracking(after_)); !set.empty()) {
                changes_.push_back({"add", "tracking", "", std::move(set)});
            }
            return;
        }
        add_change("tracking", "", differing(tracking(before_), tracking(after_)));
        add_change("default", "", differing(defaults(before_), defaults(after_)));
        add_change("wire", "", differing(wire(before_), wire(after_)));
    }

    void never_block() {
        auto fields = differing("member", words_of_never_block(before_), words_of_never_block(after_));
        if (fields.empty()) return;
        const char* const op = before_.never_block.empty() ? "add" : after_.never_block.empty() ? "remove" : "change";
        changes_.push_back({op, "never_block", "", std::move(fields)});
    }

    template <typename List>
    void named(const char* kind, const std::string& item, const List& before, const List& after) {
        std::map<std::string_view, const typename List::value_type*> old;
        for (const auto& one : before) old.emplace(one.name, &one);
        for (const auto& one : after) {
            const auto at = old.find(one.name);
            if (at == old.end()) {
                auto fields = differing(item, {}, words_of(one));
                for (auto& field : fields_of(one)) {
                    if (field.after != "none" && field.after != kMembersHere) fields.push_back(std::move(field));
                }
                changes_.push_back({"add", kind, one.name, std::move(fields)});
                continue;
            }
            auto fields = differing(item, words_of(*at->second), words_of(one));
            std::ranges::move(differing(fields_of(*at->second), fields_of(one)), std::back_inserter(fields));
            add_change(kind, one.name, std::move(fields));
            old.erase(at);
        }
        for (const auto& [name, one] : old) changes_.push_back({"remove", kind, std::string{name}, {}});
    }

    static std::string place(const Policy& policy, std::size_t index) {
        return index == 0 ? "first" : "behind " + policy.rules[index - 1].id;
    }

    void rules(const std::set<std::string_view>& moved) {
        std::unordered_map<std::string_view, std::size_t> old;
        std::set<std::string_view> kept;
        for (std::size_t i = 0; i < before_.rules.size(); ++i) old.emplace(before_.rules[i].id, i);
        for (std::size_t i = 0; i < after_.rules.size(); ++i) {
            const auto& rule = after_.rules[i];
            kept.insert(rule.id);
            auto fields = fields_of(after_, rule);
            const auto at = old.find(rule.id);
            if (at == old.end()) {
                std::erase_if(fields, [](const PlanField& field) {
                    return field.after == "enforce" || field.after == kAsThePolicySays ||
                           (field.name == "layer" && field.after == std::to_string(kLayerStandard)) ||
                           (field.name == "when" && field.after == "always") ||
                           (field.name == "expires" && field.after == "never") || field.after.empty() ||
                           (field.name == "log" && field.after == "none") ||
                           (field.name == "service" && field.after == "any") ||
                           (field.name == "limits" && field.after == "none");
                });
                changes_.push_back({"add", "rule", rule.id, std::move(fields)});
                continue;
            }
            fields = differing(fields_of(before_, before_.rules[at->second]), fields);
            const bool said_same = fields.empty();
            if (moved.contains(rule.id)) {
                fields.push_back({"place", place(before_, at->second), place(after_, i)});
            }
            if (!fields.empty()) {
                changes_.push_back({said_same ? "move" : "change", "rule", rule.id, std::move(fields)});
            }
        }
        for (const auto& rule : before_.rules) {
            if (!kept.contains(rule.id)) changes_.push_back({"remove", "rule", rule.id, {}});
        }
    }

    static std::string given_text(const Policy& policy, const PolicyTest& test) {
        Words sets;
        for (const GivenMembers& given : test.given) {
            Words members;
            for (const Prefix& p : given.members) members.insert(to_text(p));
            sets.insert(policy.sets[given.set].name + ": " + join(members));
        }
        return sets.empty() ? std::string{} : " given " + join(sets);
    }

    /// Tests have no ids: a changed one went and came.
    void tests() {
        const auto text = [](const Policy& policy) {
            std::multiset<std::string> out;
            for (const auto& test : policy.tests) {
                const ServiceTerm sent{test.proto, test.dport_or_icmp, test.dport_or_icmp};
                const bool told = test.text_to.find('/') != std::string::npos;
                out.insert(test.text_from + " -> " + test.text_to + (told ? "" : " " + to_text(sent)) + " expect " +
                           text_of(test.expect) + (test.by.empty() ? "" : " by " + test.by) +
                           (test.limit == TestLimit::none ? "" : " limit " + std::string{to_string(test.limit)}) +
                           (test.repeat_per_second == 0 ? "" : " repeat " + rate_text(test.repeat_per_second)) +
                           (test.at ? " at " + instant_text(*test.at) : "") + given_text(policy, test));
            }
            return out;
        };
        const auto old = text(before_), now = text(after_);
        std::vector<std::string> gone, come;
        std::ranges::set_difference(old, now, std::back_inserter(gone));
        std::ranges::set_difference(now, old, std::back_inserter(come));
        for (auto& test : come) changes_.push_back({"add", "test", std::move(test), {}});
        for (auto& test : gone) changes_.push_back({"remove", "test", std::move(test), {}});
    }

    const Policy& before_;
    const Policy& after_;
    std::vector<PlanChange> changes_;
};

}  // namespace

std::vector<PlanChange> plan_changes(const Policy& before, const Policy& after,
                                     const std::set<std::string_view>& moved) {
    return Changes{before, after}.find(moved);
}

}  // namespace sluice::cp
