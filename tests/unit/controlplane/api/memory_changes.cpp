/// Changes that wait, of the policy service that lives in memory. The store is the real one. While the policy in force
/// says `needed: 1` its changes need an approval, `needed: 2` two; the word STALE in what was sent has its base move.
#include "controlplane/lifecycle/audit_records.hpp"
#include "controlplane/store/wall_clock.hpp"
#include "tests/unit/controlplane/api/memory_policy_service.hpp"

namespace sluice::cp::api::test {

std::uint32_t MemoryPolicyService::approvals_needed() const {
    if (!current_) return 0;
    if (current_->text.find("needed: 2") != std::string::npos) return 2;
    return current_->text.find("needed: 1") == std::string::npos ? 0 : 1;
}

Expected<CommitResult, Problem> MemoryPolicyService::keep(const std::string& text, PolicyFormat format,
                                                          const CommitOptions& options, CommitResult result) {
    constexpr std::int64_t kDayNs = 86'400'000'000'000;
    Change change{.kind = "put", .format = format == PolicyFormat::json ? "json" : "yaml", .text = text};
    if (current_) change.base = {current_->generation, current_->hash, current_->version};
    change.hash = result.hash;
    change.version = result.version;
    change.needed = approvals_needed();
    change.state = change.needed == 0 ? ChangeState::scheduled : ChangeState::pending;
    change.at_ns = change.due_ns = options.at_ns;
    if (change.needed != 0) change.expires_ns = options.at_ns != 0 ? options.at_ns : wall_clock_ns() + kDayNs;
    if (options.confirm_within) change.confirm_ms = static_cast<std::uint64_t>(options.confirm_within->count());
    change.break_glass = options.break_glass;
    auto kept =
        store_->changes().add(std::move(change), with_result(record_of("policy.put", options.caller), "waiting"));
    if (!kept) return Unexpected(change_problem(kept.error(), 0));
    result.state = CommitState::waiting;
    result.generation = 0;
    result.change = std::move(*kept);
    return result;
}

Expected<ChangeView, Problem> MemoryPolicyService::change_view(std::uint64_t id) {
    auto found = *store_->changes().find(id);
    if (!found) return Unexpected(change_problem({.kind = ChangeTrouble::Kind::absent}, id));
    ChangeView view{.change = std::move(*found)};
    if (waits(view.change.state)) view.changes = {{"change", "rule", "web-in", {{"to", "shop", "canary"}}}};
    return view;
}

Expected<CommitResult, Problem> MemoryPolicyService::approve_change(std::uint64_t id, const Caller& caller,
                                                                    bool break_glass) {
    const std::lock_guard lock{mutex_};
    const auto found = *store_->changes().find(id);
    if (found && found->state == ChangeState::pending && found->text.find("STALE") != std::string::npos) {
        (void)store_->changes().end(id, {ChangeState::stale, "the policy was changed before it was approved"},
                                    with_result(record_of("change.stale", {}), "failed"));
        return problem(409, "change-stale", "the policy is another by now");
    }
    if (found && found->text.find("LOCKOUT") != std::string::npos && !caller.allow_lock_out)
        return problem(409, "would-lock-out", "your connection passes through this firewall");
    auto approved = store_->changes().approve(
        id, break_glass, with_result(record_of(break_glass ? "approvals.broken" : "change.approve", caller), "done"));
    if (!approved) return Unexpected(change_problem(approved.error(), id));
    if (approved->state == ChangeState::scheduled && approved->at_ns == 0) {
        CommitOptions options;
        if (found->confirm_ms != 0) options.confirm_within = std::chrono::milliseconds{found->confirm_ms};
        options.caller.actor = found->by;
        options.caller.reason = found->reason;
        auto result =
            adopt(found->text, found->format == "json" ? PolicyFormat::json : PolicyFormat::yaml, options, id);
        if (result) result->change = *store_->changes().find(id);
        return result;
    }
    CommitResult result;
    result.state = CommitState::waiting;
    result.version = approved->version;
    result.hash = approved->hash;
    result.change = std::move(*approved);
    return result;
}

Expected<Change, Problem> MemoryPolicyService::reject_change(std::uint64_t id, const Caller& caller) {
    auto ended = store_->changes().end(id, {ChangeState::rejected, caller.reason},
                                       with_result(record_of("change.reject", caller), "done"));
    if (!ended) return Unexpected(change_problem(ended.error(), id));
    return std::move(*ended);
}

Expected<Change, Problem> MemoryPolicyService::withdraw_change(std::uint64_t id, const Caller& caller) {
    auto ended = store_->changes().end(id, {ChangeState::withdrawn, caller.reason},
                                       with_result(record_of("change.withdraw", caller), "done"), true);
    if (!ended) return Unexpected(change_problem(ended.error(), id));
    return std::move(*ended);
}

}  // namespace sluice::cp::api::test
