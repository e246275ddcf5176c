/// The guard of a commit, kept by the keeper's thread.
#include <array>
#include <cstdio>
#include <utility>

#include "controlplane/lifecycle/audit_records.hpp"
#include "controlplane/lifecycle/policy_service_impl.hpp"

namespace sluice::cp {
namespace {

using abi::DropReason;

/// First packets that a rule, or a limit of one, did not let in.
constexpr std::array kRefusals{DropReason::policy_deny, DropReason::policy_reject,  DropReason::rule_limit,
                               DropReason::src_limit,   DropReason::src_table_full, DropReason::zone_limit,
                               DropReason::rate_limit,  DropReason::half_open_limit};

}  // namespace

TrafficMark PolicyServiceImpl::traffic_now() {
    telemetry_.collector().collect();
    const auto snapshot = telemetry_.collector().snapshot();
    const auto& totals = snapshot->totals;
    TrafficMark mark{.at = std::chrono::steady_clock::now(),
                     .made = totals.flows_created,
                     .established = totals.tcp_handshakes,
                     .failed = totals.tcp_handshakes_failed};
    for (const auto& [name, port] : totals.ports) {
        mark.packets += port.rx_packets;
        mark.drops += port.dropped();
        for (const auto reason : kRefusals) mark.refused += port.drops[static_cast<std::size_t>(reason)];
    }
    return mark;
}

/// Of the commit that waits, as the store has it. Rates count from now on: what was counted while nobody watched may be
/// of another policy.
void PolicyServiceImpl::arm_guard(std::uint64_t generation) {
    if (guard_ && guard_->generation() == generation) return;
    guard_.reset();
    if (const auto terms = parse_guard_terms(store_->pending_guard()))
        guard_.emplace(generation, *terms, traffic_now());
    tell_guard();
}

void PolicyServiceImpl::tell_guard() {
    const std::lock_guard lock{state_mutex_};
    shared_.guard = guard_ ? to_text(guard_->bounds()) : "";
}

void PolicyServiceImpl::watch_traffic() {
    const std::lock_guard commit{commit_mutex_};
    const auto mark = traffic_now();
    traffic_.note(mark);
    if (!guard_) return;
    const auto pending = shared().pending;
    if (pending == nullptr || pending->generation() != guard_->generation()) {
        guard_.reset();
        return tell_guard();
    }
    const auto why = guard_->judge(mark);
    if (!why) return;
    // Said first: who finds the commit gone must find the reason.
    {
        const std::lock_guard lock{state_mutex_};
        shared_.guarded_generation = guard_->generation();
        shared_.guard_told = *why;
    }
    const auto record = record_of("policy.guard", Caller{});
    auto left = roll_back_pending(guard_->generation(), record, *why);
    if (left) {
        std::fprintf(stderr, "sluice-controlplane: generation %llu is left by its guard: %s\n",
                     static_cast<unsigned long long>(guard_->generation()), why->c_str());
        count_publish("guarded");
        guard_.reset();
        return tell_guard();
    }
    {
        const std::lock_guard lock{state_mutex_};
        shared_.guarded_generation = 0;
    }
    if (std::exchange(guard_failed_, guard_->generation()) != guard_->generation())
        (void)audited(record, std::move(left));
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
