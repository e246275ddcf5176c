#include "controlplane/lifecycle/plan_diff.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>

#include "controlplane/compiler/longest_run.hpp"
#include "controlplane/lifecycle/plan_changes.hpp"
#include "controlplane/policy/schedule.hpp"
#include "controlplane/telemetry/event_json.hpp"

namespace sluice::cp {
namespace {

std::string text_of(const Prefix& net) { return address_text(net.family, net.addr) + "/" + std::to_string(net.bits); }

/// What sets hold; those whose members come over the API by their names.
void add_members(const Policy& policy, const std::vector<std::uint16_t>& sets, std::set<std::string>& nets) {
    for (const auto set : sets) {
        if (policy.sets[set].by_api) nets.insert(policy.sets[set].name);
        for (const auto& net : policy.sets[set].nets) nets.insert(text_of(net));
    }
}

std::string text_of(const Policy& policy, const Endpoint& end) {
    std::string text = end.zone ? "zone " + policy.zones[*end.zone].name : "any zone";
    std::set<std::string> nets, except;
    if (end.any_addr) {
        text += " any address";
    } else {
        add_members(policy, end.sets, nets);
        for (const auto& net : end.nets) nets.insert(text_of(net));
    }
    add_members(policy, end.except, except);
    for (const auto& net : nets) text += " " + net;
    if (!except.empty()) text += " but";
    for (const auto& net : except) text += " " + net;
    return text;
}

std::string text_of(const Schedule& s) {
    return s.time_zone + " " + std::to_string(s.days) + " " + std::to_string(s.first_minute) + "-" +
           std::to_string(s.end_minute);
}

/// What a rule says, with every name resolved, so that another content of a set shows in the rules that use it.
std::string text_of(const Policy& policy, const Rule& rule) {
    std::string text = std::to_string(static_cast<int>(rule.action)) + "/" +
                       std::to_string(static_cast<int>(rule.mode)) + "/" + std::to_string(static_cast<int>(rule.log)) +
                       "/" + std::to_string(rule.layer) + "/" + (rule.expires ? instant_text(*rule.expires) : "") +
                       "/" + (rule.when ? text_of(policy.schedules[*rule.when]) : "") + "/" +
                       (rule.on_change ? std::to_string(static_cast<int>(*rule.on_change)) : "");
    for (const auto* side : {&rule.from, &rule.to}) {
        std::set<std::string> ends;
        for (const auto& end : *side) ends.insert(text_of(policy, end));
        text += "\n";
        for (const auto& end : ends) text += end + "\n";
    }
    std::set<std::string> services;
    for (const auto& s : rule.service) {
        services.insert(std::to_string(static_cast<int>(s.proto)) + ":" + std::to_string(s.first) + "-" +
                        std::to_string(s.last));
    }
    for (const auto& s : services) text += s + "\n";
    return text;
}

/// Ids of `after` that had to move: all but a longest run that kept its order.
std::set<std::string_view> moved(const std::unordered_map<std::string_view, std::size_t>& place_before,
                                 const Policy& after) {
    std::vector<std::size_t> places;
    std::vector<std::string_view> ids;
    for (const auto& rule : after.rules) {
        if (const auto at = place_before.find(rule.id); at != place_before.end()) {
            places.push_back(at->second);
            ids.push_back(rule.id);
        }
    }
    std::set<std::string_view> left{ids.begin(), ids.end()};
    for (const std::size_t i : longest_run(places)) left.erase(ids[i]);
    return left;
}

void diff_builtins(const Policy& before, const Policy& after, std::vector<std::string>& changed) {
    if (before.default_action != after.default_action || before.default_log != after.default_log ||
        before.default_limits != after.default_limits) {
        changed.emplace_back(abi::kIdDefault);
    }
    if (before.wire_arp != after.wire_arp) changed.emplace_back(abi::kIdBuiltinArp);
    if (before.wire_nd != after.wire_nd) changed.emplace_back(abi::kIdBuiltinNd);
    if (before.wire_other != after.wire_other) changed.emplace_back(abi::kIdBuiltinOther);
}

}  // namespace

PlanDiff plan_diff(const Policy* before, const Policy& after) {
    PlanDiff diff;
    if (before == nullptr) {
        for (const auto& rule : after.rules) diff.added.push_back(rule.id);
        diff.added.emplace_back(abi::kIdDefault);
        diff.changes = plan_changes(Policy{}, after, {});
        return diff;
    }
    std::unordered_map<std::string_view, std::size_t> place_before;
    for (std::size_t i = 0; i < before->rules.size(); ++i) place_before[before->rules[i].id] = i;
    const auto moves = moved(place_before, after);
    std::set<std::string_view> ids_after;
    for (const auto& rule : after.rules) {
        ids_after.insert(rule.id);
        const auto at = place_before.find(rule.id);
        if (at == place_before.end()) {
            diff.added.push_back(rule.id);
        } else if (const auto& old = before->rules[at->second]; moves.contains(rule.id) || old.limits != rule.limits ||
                                                                text_of(*before, old) != text_of(after, rule)) {
            diff.changed.push_back(rule.id);
        }
    }
    for (const auto& rule : before->rules) {
        if (!ids_after.contains(rule.id)) diff.removed.push_back(rule.id);
    }
    diff_builtins(*before, after, diff.changed);
    diff.changes = plan_changes(*before, after, moves);
    return diff;
}

}  // namespace sluice::cp
