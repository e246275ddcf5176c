/// What became of a generation: from what waits and what is in force, and for all others from the audit.
#include <algorithm>
#include <ranges>

#include "controlplane/lifecycle/audit_records.hpp"
#include "controlplane/lifecycle/policy_service_impl.hpp"

namespace sluice::cp {
namespace {

/// A generation has a handful: begun, pending, confirmed; as the one that was left, one for each commit behind it.
constexpr std::size_t kEntriesMost = 1000;

bool came_about(const AuditRecord& record) { return record.result != "refused" && record.result != "failed"; }

/// What an entry says that became of the generation; nothing: it says nothing about that.
std::optional<CommitStanding> told_by(const AuditRecord& record, std::uint64_t generation) {
    if (!came_about(record) || record.result == "begun") return std::nullopt;
    if (record.before.generation == generation && record.after.generation != generation) {
        if (record.action == "policy.guard") return CommitStanding::left_by_guard;
        if (record.action == "policy.rollback") return CommitStanding::rolled_back;
    }
    if (record.after.generation != generation) return std::nullopt;
    if (record.action == "policy.revert") return CommitStanding::reverted;
    if (record.action == "policy.discard") return CommitStanding::discarded;
    if (record.result == "adopted") return CommitStanding::superseded;
    return std::nullopt;
}

}  // namespace

std::string_view to_string(CommitStanding standing) noexcept {
    switch (standing) {
        case CommitStanding::publishing: return "publishing";
        case CommitStanding::pending_confirmation: return "pending_confirmation";
        case CommitStanding::adopted: return "adopted";
        case CommitStanding::superseded: return "superseded";
        case CommitStanding::rolled_back: return "rolled_back";
        case CommitStanding::reverted: return "reverted";
        case CommitStanding::left_by_guard: return "left_by_guard";
        case CommitStanding::discarded: return "discarded";
    }
    return "invalid";
}

Expected<CommitView, Problem> PolicyServiceImpl::commit_view(std::uint64_t generation) {
    look_at_pending();
    const auto entries = store_->audit().entries_about(generation, kEntriesMost);
    if (!entries) return Unexpected(problem(500, "storage-failed", "The audit can't be read", entries.error().what));
    const auto now = shared();
    CommitView view{.generation = generation, .standing = CommitStanding::discarded};
    bool known = false;
    for (const AuditEntry& entry : *entries) {
        const AuditRecord& record = entry.record;
        if (!came_about(record)) continue;
        if (record.after.generation == generation) {
            if (!known) view.asked = entry;
            view.hash = record.after.hash.empty() ? view.hash : record.after.hash;
            known = true;
        }
        if (const auto told = told_by(record, generation)) {
            view.standing = *told;
            view.settled = entry;
        }
    }
    const auto is = [&](const PreparedPtr& prepared) {
        return prepared != nullptr && prepared->generation() == generation;
    };
    if (is(now.pending) || is(now.current)) {
        known = true;
        view.hash = (is(now.pending) ? now.pending : now.current)->hash;
        view.standing = is(now.pending) ? CommitStanding::pending_confirmation : CommitStanding::adopted;
        if (is(now.pending)) {
            view.settled = {};
            view.confirm_deadline = status().confirm_deadline;
            view.guard = now.guard;
        }
    } else if (now.publishing == generation) {
        known = true;
        view.standing = CommitStanding::publishing;
        view.settled = {};
    }
    if (!known) {
        return Unexpected(problem(404, "no-such-commit", "There is no such commit",
                                  "nobody has put generation " + std::to_string(generation) +
                                      "; GET /v1/history lists those that were in force"));
    }
    return view;
}

}  // namespace sluice::cp
