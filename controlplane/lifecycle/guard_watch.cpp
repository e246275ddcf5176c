/// The guard of a commit, kept by the keeper's thread.
#include <cstdio>

#include "controlplane/lifecycle/audit_records.hpp"
#include "controlplane/lifecycle/policy_service_impl.hpp"

namespace sluice::cp {

TrafficMark PolicyServiceImpl::traffic_now() {
    telemetry_.collector().collect();
    const auto snapshot = telemetry_.collector().snapshot();
    TrafficMark mark{.at = std::chrono::steady_clock::now(), .made = snapshot->totals.flows_created};
    for (const auto& [name, port] : snapshot->totals.ports) {
        mark.packets += port.rx_packets;
        mark.drops += port.dropped();
        for (const auto reason : {abi::DropReason::policy_deny, abi::DropReason::policy_reject})
            mark.refused += port.drops[static_cast<std::size_t>(reason)];
    }
    return mark;
}

void PolicyServiceImpl::watch_traffic() {
    const std::lock_guard commit{commit_mutex_};
    const auto mark = traffic_now();
    traffic_.note(mark);
    if (!guard_) return;
    const auto pending = shared().pending;
    if (pending == nullptr || pending->generation() != guard_->generation()) return guard_.reset();
    const auto why = guard_->judge(mark);
    if (!why) return;
    // Said first: who finds the commit gone must find the reason.
    {
        const std::lock_guard lock{state_mutex_};
        shared_.guarded_generation = guard_->generation();
        shared_.guard_told = *why;
    }
    std::fprintf(stderr, "sluice-controlplane: generation %llu is left by its guard: %s\n",
                 static_cast<unsigned long long>(guard_->generation()), why->c_str());
    const auto record = record_of("policy.guard", Caller{});
    if (audited(record, roll_back_pending(guard_->generation(), record, *why))) {
        count_publish("guarded");
        guard_.reset();
    }
    // Else it is tried again in a second, and the dataplane's deadline stands behind it.
}

/// What there is to say about a generation that its guard made us leave.
std::optional<Problem> PolicyServiceImpl::guard_trouble(std::uint64_t generation) const {
    const auto now = shared();
    if (generation == 0 || now.guarded_generation != generation) return std::nullopt;
    return problem(409, "left-by-guard", "The guard of this commit made us leave it",
                   "generation " + std::to_string(generation) + ": " + now.guard_told);
}

}  // namespace sluice::cp
