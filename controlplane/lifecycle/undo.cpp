/// Confirming what waits, and leaving what runs for what ran before it.
#include "controlplane/lifecycle/audit_records.hpp"
#include "controlplane/lifecycle/policy_service_impl.hpp"

namespace sluice::cp {
namespace {

Problem nothing_waits(std::uint64_t generation) {
    return problem(409, "nothing-to-confirm", "Nothing waits for this confirmation",
                   "generation " + std::to_string(generation) +
                       " is not waiting; it was confirmed, rolled back or has run out of time");
}

}  // namespace

Expected<CommitResult, Problem> PolicyServiceImpl::confirm(std::uint64_t generation, const Caller& caller) {
    return audited(record_of("policy.confirm", caller, {}, {{}, generation}), confirm_pending(generation, caller));
}

Expected<CommitResult, Problem> PolicyServiceImpl::confirm_pending(std::uint64_t generation, const Caller& caller) {
    const std::lock_guard lock{commit_mutex_};
    const auto pending = shared().pending;
    if (pending == nullptr || pending->generation() != generation) {
        if (auto told = guard_trouble(generation)) return Unexpected(std::move(*told));
        return Unexpected(nothing_waits(generation));
    }
    auto record = record_of("policy.confirm", caller, state_of(shared().current.get()), state_of(pending.get()));
    const auto approvers = approvers_of_pending();
    record.approval = approvers + (approvers.empty() ? "" : ", ") + caller.actor;
    // Before it is kept: what can't be audited is not kept, and the dataplane takes it back at its deadline.
    if (const auto begun = store_->audit().write(record); !begun) return Unexpected(storage_problem(begun.error()));
    const auto answer = client_.confirm(generation);
    if (!answer) return Unexpected(dataplane_unavailable(to_text(answer.error())));
    if (answer->kind == abi::AnswerKind::refused) {
        look_at_pending();  // it knows better
        wake_keeper();
        return Unexpected(
            problem(409, "nothing-to-confirm", "The dataplane has nothing to confirm", answer->where.data()));
    }
    ask_what_runs();
    auto result = result_of(*pending, CommitState::adopted);
    result.warnings = make_current(pending, with_result(std::move(record), "adopted"));
    count_publish("adopted");
    return result;
}

/// Nothing is written before: what is gone back to has its entries, and a full disk must not keep anybody from leaving
/// a policy that does harm.
Expected<CommitResult, Problem> PolicyServiceImpl::rollback(std::uint64_t generation, const Caller& caller) {
    const auto record = record_of("policy.rollback", caller);
    const auto roll_back = [&] {
        const std::lock_guard lock{commit_mutex_};
        if (shared().pending != nullptr) return roll_back_pending(generation, record, "before it was confirmed");
        if (approvals_asked().needed != 0) return rollback_with_approvals(generation, caller, record);
        return roll_back_current(generation, record);
    };
    auto result = audited(record, roll_back());
    if (result && result->state == CommitState::adopted) count_publish("rolled_back");
    return result;
}

Expected<CommitResult, Problem> PolicyServiceImpl::roll_back_pending(std::uint64_t generation, AuditRecord record,
                                                                     std::string detail) {
    const auto now = shared();
    if (now.pending == nullptr) return Unexpected(nothing_waits(generation));
    if (now.pending->generation() != generation) {
        return Unexpected(
            problem(409, "nothing-to-roll-back", "Another commit is waiting",
                    "generation " + std::to_string(now.pending->generation()) + " waits for confirmation"));
    }
    const auto answer = client_.revert(generation);
    if (!answer) return Unexpected(dataplane_unavailable(to_text(answer.error())));
    if (answer->kind == abi::AnswerKind::refused) return Unexpected(refused_by_dataplane(*answer));
    ask_what_runs();
    record.before = state_of(now.pending.get());
    record.after = state_of(now.current.get());
    const ChangeEnd left{ChangeState::failed, "it was left again: " + detail};
    forget_pending(with_result(std::move(record), "done", std::move(detail)), left);
    wake_keeper();
    if (now.current == nullptr) {
        CommitResult result;
        result.generation = answer->generation;
        return result;
    }
    return result_of(*now.current, CommitState::adopted);
}

/// Back to the version before the current one, which the dataplane still holds.
Expected<CommitResult, Problem> PolicyServiceImpl::roll_back_current(std::uint64_t generation, AuditRecord record) {
    const auto nothing = [](std::string why) {
        return Unexpected(problem(409, "nothing-to-roll-back", "There is nothing to go back to", std::move(why)));
    };
    const auto now = shared();
    if (now.current == nullptr || now.current->generation() != generation) {
        return nothing("generation " + std::to_string(generation) + " is not the current one");
    }
    if (!now.connected) return Unexpected(dataplane_unavailable(client_.trouble()));
    const auto state = client_.get_status();
    if (!state) return Unexpected(dataplane_unavailable(to_text(state.error())));
    const auto target = store_->adoption(state->previous_generation);
    if (state->previous_generation == 0 || !target || !*target) {
        return nothing("the dataplane holds no earlier generation of a stored policy");
    }
    const PolicyRef& ref = (*target)->ref;
    const auto loaded = load(ref);
    if (!loaded) return nothing(loaded.error());
    const auto& prepared = *loaded;
    const auto answer = client_.revert(generation);
    if (!answer) return Unexpected(dataplane_unavailable(to_text(answer.error())));
    if (answer->kind == abi::AnswerKind::refused) return Unexpected(refused_by_dataplane(*answer));
    ask_what_runs();
    auto result = result_of(*prepared, CommitState::adopted);
    record.before = state_of(now.current.get());
    record.after = state_of(prepared.get());
    record = with_result(std::move(record), "adopted");
    if (const auto why = went_back_to(prepared, ref, std::move(record)); !why.empty())
        result.warnings.push_back({"current-not-written", "", {}, why});
    return result;
}

/// The dataplane runs it. Why that could not be written down, else empty: the keeper tries again then, and a process
/// that starts before it could finds a dataplane that has gone back (follow_revert).
std::string PolicyServiceImpl::went_back_to(const PreparedPtr& prepared, const PolicyRef& ref, AuditRecord record) {
    restore_due_.reset();
    const auto restored = store_->restore(ref, record);
    std::string why = restored ? "" : restored.error().what;
    if (!restored) restore_due_.emplace(DueRestore{ref, std::move(record)});
    {
        const std::lock_guard lock{state_mutex_};
        shared_.current = prepared;
        shared_.current_since = std::chrono::steady_clock::now();
        shared_.write_trouble = why;
    }
    (void)slots_.assign(prepared->policy);
    keep_as_last_good(prepared);
    return why;
}

}  // namespace sluice::cp
