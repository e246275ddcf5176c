/// What a change freeze means for a commit.
#include <cstdio>

#include "controlplane/lifecycle/audit_records.hpp"
#include "controlplane/lifecycle/policy_service_impl.hpp"
#include "controlplane/telemetry/event_json.hpp"

namespace sluice::cp {
namespace {

/// The one that holds now.
std::optional<Freeze> holding(const FreezeStore& freezes) {
    auto window = freezes.window();
    if (!window || !window->holds(UtcClock{}.utc_ns(abi::MonoTime::now()))) return std::nullopt;
    return window;
}

}  // namespace

std::optional<Problem> PolicyServiceImpl::frozen(const CommitOptions& options) const {
    if (options.break_glass) return std::nullopt;
    const auto freeze = holding(store_->freezes());
    if (!freeze) return std::nullopt;
    return problem(409, "change-freeze", "Policies are not to be changed now",
                   freeze->set_by + " froze them until " + rfc3339(freeze->until_ns) + ": " + freeze->reason +
                       "; wait, or break the glass (--break-glass --reason ...), which is told to everybody");
}

Expected<void, Problem> PolicyServiceImpl::break_glass(const CommitOptions& options, const AuditRecord& record) {
    if (!options.break_glass) return {};
    const auto freeze = holding(store_->freezes());
    if (!freeze) return {};
    auto entry = record;
    entry.action = "freeze.broken";
    entry = with_result(std::move(entry), "done",
                        "by " + record.action + "; frozen until " + rfc3339(freeze->until_ns) + " by " +
                            freeze->set_by + ": " + freeze->reason);
    if (const auto written = store_->audit().write(entry); !written)
        return Unexpected(storage_problem(written.error()));
    std::fprintf(stderr, "sluice-controlplane: %s breaks the change freeze\n", record.actor.c_str());
    const std::lock_guard lock{state_mutex_};
    ++shared_.freezes_broken;
    return {};
}

}  // namespace sluice::cp
