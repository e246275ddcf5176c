/// What became of a generation: from what waits and what is in force, and for all others from the audit.
#include "controlplane/lifecycle/audit_records.hpp"
#include "controlplane/lifecycle/policy_service_impl.hpp"

namespace sluice::cp {
namespace {

/// A generation has a handful: begun, pending, confirmed, left.
constexpr std::size_t kEntriesMost = 1000;

/// What an entry says that became of the generation; nothing: it says nothing about that.
std::optional<CommitStanding> told_by(const AuditRecord& record, std::uint64_t generation) {
    const bool adopted = record.result == "adopted";
    if (record.after.generation == generation) {
        if (record.action == "policy.revert") return CommitStanding::reverted;
        if (record.action == "policy.discard") return CommitStanding::discarded;
        if (adopted) return CommitStanding::adopted;
    } else if (record.before.generation == generation && (adopted || record.result == "done")) {
        if (record.action == "policy.guard") return CommitStanding::left_by_guard;
        if (record.action == "policy.rollback") return CommitStanding::rolled_back;
        if (adopted) return CommitStanding::superseded;
    }
    return std::nullopt;
}

}  // namespace

Expected<CommitView, Problem> PolicyServiceImpl::commit_view(std::uint64_t generation) {
    look_at_pending();
    const auto now = shared();  // before the audit: what is written down in between is found there
    const auto entries = store_->audit().entries_about(generation, kEntriesMost);
    if (!entries) return Unexpected(problem(500, "storage-failed", "The audit can't be read", entries.error().what));
    CommitView view{.generation = generation, .standing = CommitStanding::discarded};
    bool known = false;
    for (const AuditEntry& entry : *entries) {
        const AuditRecord& record = entry.record;
        if (record.after.generation == generation) {
            if (!known) view.asked = entry;
            if (!record.after.hash.empty()) view.hash = record.after.hash;
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
    if (is(now.current)) {
        known = true;
        view.hash = now.current->hash;
        view.standing = CommitStanding::adopted;
    } else if (is(now.pending) || now.unsettled == generation) {
        known = true;
        view.settled = {};
        view.standing = is(now.pending) ? CommitStanding::pending_confirmation : CommitStanding::unsettled;
    } else if (view.standing == CommitStanding::adopted) {
        view.standing = CommitStanding::superseded;
    }
    if (view.standing == CommitStanding::pending_confirmation) {
        view.hash = now.pending->hash;
        view.confirm_deadline = status().confirm_deadline;
        view.guard = now.guard;
    }
    if (!known) {
        return Unexpected(problem(404, "no-such-commit", "There is no such commit",
                                  "nobody has put generation " + std::to_string(generation) +
                                      "; GET /v1/history lists those that were in force"));
    }
    return view;
}

}  // namespace sluice::cp
