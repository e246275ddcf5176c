/// Rules with their counters, and the metrics.
#include <algorithm>

#include "controlplane/lifecycle/policy_service_impl.hpp"
#include "controlplane/policy/schedule.hpp"
#include "controlplane/telemetry/event_json.hpp"

namespace sluice::cp {
namespace {

using std::chrono::system_clock;

constexpr UnixSeconds kExpiryToldBefore = 14 * 86'400;

std::string action_text(Action action) {
    switch (action) {
        case Action::allow: return "allow";
        case Action::deny: return "deny";
        case Action::reject: return "reject";
        case Action::pass: return "pass";
    }
    return "unknown";
}

std::optional<system_clock::time_point> utc(const UtcClock& clock, abi::MonoTime time) {
    if (time.ns == 0) return std::nullopt;
    using namespace std::chrono;
    return system_clock::time_point{duration_cast<system_clock::duration>(nanoseconds{clock.utc_ns(time)})};
}

}  // namespace

std::vector<RuleStats> PolicyServiceImpl::rules() {
    const auto active = shared().active();
    if (active == nullptr) return {};
    telemetry_.collector().collect();  // a person looks: no copy that is a second old
    const auto snapshot = telemetry_.collector().snapshot();
    const UtcClock clock;
    std::vector<RuleStats> out;
    const auto add = [&](std::string id, std::string action, std::string mode, abi::RuleSlot slot) {
        RuleStats stats;
        stats.id = std::move(id);
        stats.action = std::move(action);
        stats.mode = std::move(mode);
        const auto index = static_cast<std::size_t>(slot);
        if (index < snapshot->totals.rules.size()) {
            const auto& totals = snapshot->totals.rules[index];
            stats.hits = totals.hits;
            stats.packets = totals.packets;
            stats.bytes = totals.bytes;
            stats.first_hit = utc(clock, totals.first_hit);
            stats.last_hit = utc(clock, totals.last_hit);
        }
        out.push_back(std::move(stats));
    };
    const auto& policy = active->policy;
    const UnixSeconds at = unix_now();
    for (std::size_t r = 0; r < policy.rules.size(); ++r) {
        const auto& rule = policy.rules[r];
        const bool expired = rule.expires && at >= *rule.expires;
        add(rule.id, action_text(rule.action), expired || rule.mode == abi::RuleMode::observe ? "observe" : "enforce",
            active->rule_slots[r]);
    }
    add(std::string{abi::kIdDefault}, action_text(policy.default_action), "enforce", abi::kSlotDefault);
    const auto wire = [](abi::WireAction action) { return action == abi::WireAction::allow ? "allow" : "deny"; };
    add(std::string{abi::kIdBuiltinArp}, wire(policy.wire_arp), "enforce", abi::kSlotBuiltinArp);
    add(std::string{abi::kIdBuiltinNd}, wire(policy.wire_nd), "enforce", abi::kSlotBuiltinNd);
    add(std::string{abi::kIdBuiltinOther}, wire(policy.wire_other), "enforce", abi::kSlotBuiltinOther);
    return out;
}

std::string PolicyServiceImpl::metrics(bool with_rules) {
    const auto now = shared();
    ControlMetrics control;
    if (now.current != nullptr) {
        const UnixSeconds at = unix_now();
        control.policy_name = now.current->policy.name;
        control.version = now.current->version;
        control.hash = now.current->hash;
        control.stored_generation = now.current->generation();
        control.overlay_rules = now.current->rules_beside();
        for (const Rule& rule : now.current->policy.rules) {
            if (!rule.expires || rule.mode == abi::RuleMode::observe) continue;
            control.rule_expiries.emplace_back(rule.id, *rule.expires);
            control.rules_expired += *rule.expires <= at ? 1 : 0;
            control.rules_expiring += *rule.expires > at && *rule.expires - at <= kExpiryToldBefore ? 1 : 0;
        }
    }
    control.connected = now.connected;
    control.in_sync = now.runs(now.current);
    control.confirm_pending = now.pending != nullptr;
    control.publishes = now.publishes;
    const auto freeze = store_->freezes().window();
    control.frozen = freeze && freeze->holds(UtcClock{}.utc_ns(abi::MonoTime::now()));
    control.freezes_broken = now.freezes_broken;
    for (const auto& change : store_->changes().waiting())
        ++control.changes_waiting[std::string{to_text(change.state)}];
    for (const auto& [end, count] : now.changes_ended) control.changes_ended[std::string{to_text(end)}] = count;
    control.overlays_folded = now.folds;
    control.texts_spelled = now.texts_spelled;
    control.changes_missed = now.changes_missed;
    control.approvals_broken = now.approvals_broken;
    if (const auto report = shadow()) {
        const auto& unseen = report->unseen;
        control.shadow = {.running = report->watching,
                          .flows = report->by_verdict,
                          .unseen = {{"sampled", unseen.sampled},
                                     {"lost", unseen.lost},
                                     {"queue", unseen.queue},
                                     {"unplaced", unseen.unplaced}}};
    }
    control.apply = now.apply;
    const auto audit = store_->audit().counters();
    control.audit_entries = store_->audit().head().number;
    control.audit_write_failures = audit.write_failures;
    control.audit_waiting = audit.waiting;
    control.audit_whole = check_at_start_.whole;
    telemetry_.add_to(control);
    const auto records = records_.stats();
    auto& shown = control.records;
    shown.written = records.written;
    shown.lost = {{"ring", control.events_lost},
                  {"queue", records.lost_queue},
                  {"disk", records.lost_disk},
                  {"sync", records.lost_sync}};
    shown.segments_removed = {{"size", records.removed_by_size}, {"age", records.removed_by_age}};
    shown.damaged_blocks = records.damaged_blocks;
    shown.bytes = records.bytes;
    shown.segments = records.segments;
    if (records.oldest_ns != 0) {
        // As floating point: a damaged file may say any time.
        const auto now_ns = static_cast<double>(UtcClock{}.utc_ns(abi::MonoTime::now()));
        shown.oldest_age_s = std::max(0.0, (now_ns - static_cast<double>(records.oldest_ns)) / 1e9);
    }
    const auto names = telemetry_.names().names();
    return metrics_text(*telemetry_.collector().snapshot(), control, *names, with_rules);
}

}  // namespace sluice::cp
