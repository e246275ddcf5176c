/// plan: what a policy would do if it were put, asked without touching anything.
#include "controlplane/lifecycle/plan_diff.hpp"
#include "controlplane/lifecycle/policy_service_impl.hpp"
#include "controlplane/lifecycle/record_query.hpp"

namespace sluice::cp {
namespace {

Expected<std::optional<std::int64_t>, Problem> flows_since(const PlanOptions& options) {
    if (options.flows_since.empty()) return std::nullopt;
    const auto since = parse_record_time(options.flows_since, UtcClock{}.utc_ns(abi::MonoTime::now()));
    if (since) return since;
    return Unexpected(problem(400, "bad-query", "Which flows?",
                              "flows_since is a time, such as 2026-11-26T05:00:00Z, or how long ago, such as 90s, "
                              "1h30m or 7d"));
}

}  // namespace

/// Rules that nobody has hit though their counters are read: for how long that has been looked at. A rule's counter is
/// its own from the moment that its slot became its own, or that this process started.
UnusedFor PolicyServiceImpl::unused_rules(const Shared& now) {
    if (!now.connected || now.slots == nullptr || now.slot_since == nullptr) return {};
    telemetry_.collector().collect();
    return [this, slots = now.slots, since = now.slot_since, snapshot = telemetry_.collector().snapshot(),
            at = std::chrono::steady_clock::now()](std::string_view id) -> std::optional<double> {
        const auto slot = slots->find(std::string{id});
        if (!slot) return std::nullopt;
        const auto index = static_cast<std::size_t>(*slot);
        if (index >= snapshot->totals.rules.size() || index >= since->size()) return std::nullopt;
        const auto watched = at - (*since)[index];
        if (snapshot->totals.rules[index].hits != 0 || watched < options_.unused_after) return std::nullopt;
        return std::chrono::duration<double>(watched).count();
    };
}

DryRunResult PolicyServiceImpl::dry_run_of(Read read, std::optional<std::int64_t> flows_since_ns,
                                           const Caller& caller) {
    DryRunResult result;
    const auto fail = [&](Problem& what) {
        result.errors = std::move(what.errors);
        if (result.errors.empty()) result.errors.push_back({what.code, "", {}, what.detail});
        return result;
    };
    if (!read) return fail(read.error());
    const auto now = shared();
    auto slots = now.slots ? *now.slots : SlotMap{};
    if (now.hello) slots.set_capacity(now.hello->rule_slots_max);
    slots.flows_judged();  // by the time that it is put
    auto prepared = prepare(std::move(*read), slots, 1);
    if (!prepared) return fail(prepared.error());
    const auto& plan = **prepared;
    result.version = plan.version;
    result.hash = plan.hash;
    result.tests = plan.tests;
    auto diff = plan_diff(now.current ? &now.current->policy : nullptr, plan.policy);
    result.rules_added = std::move(diff.added);
    result.rules_changed = std::move(diff.changed);
    result.rules_removed = std::move(diff.removed);
    result.changes = std::move(diff.changes);
    if (now.current) result.compared_with = now.current->version;
    if (now.pending) result.waiting = now.pending->version;
    const AnalysedPolicy before =
        now.current ? AnalysedPolicy{&now.current->policy, &now.current->view} : AnalysedPolicy{};
    result.analysis = analyse(before, {&plan.policy, &plan.view}, now.wires(), unused_rules(now));
    if (now.current && flows_since_ns) {
        result.live = live_of_plan(before, {&plan.policy, &plan.view}, now);
        result.recorded = recorded_of_plan(before, {&plan.policy, &plan.view}, now.wires(), *flows_since_ns);
    }
    for (auto& contradiction : result.analysis.contradictions) {
        result.warnings.push_back({"analysis-disagrees", "", {}, "tables and analysis disagree: " + contradiction});
    }
    if (const auto cut = would_lock_out(caller, plan)) result.warnings.push_back({"would-lock-out", "", {}, *cut});
    if (!now.connected) {
        result.warnings.push_back({"dataplane-unavailable", "", {}, "the dataplane is not there to be asked"});
    } else if (const auto trouble = port_trouble(plan, now.port_names()); !trouble.empty()) {
        result.errors.push_back({"refused-by-dataplane", "/zones", {}, trouble});
    }
    result.ok = result.errors.empty() && all_passed(result.tests);
    return result;
}

Expected<DryRunResult, Problem> PolicyServiceImpl::dry_run(std::string_view body, PolicyFormat format,
                                                           const PlanOptions& options) {
    const auto since = flows_since(options);
    if (!since) return Unexpected(since.error());
    return dry_run_of(read_body(body, format), *since, options.caller);
}

Expected<DryRunResult, Problem> PolicyServiceImpl::dry_run_patch(std::string_view edits, const PlanOptions& options) {
    const auto since = flows_since(options);
    if (!since) return Unexpected(since.error());
    const auto base = shared().current;
    auto read = read_edits(base, edits);
    if (!read && read.error().errors.empty()) return Unexpected(std::move(read.error()));
    return dry_run_of(std::move(read), *since, options.caller);
}

}  // namespace sluice::cp
