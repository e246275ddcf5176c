/// Changes that wait: kept instead of being applied, approved by others, applied when they are due, or ended.
#include <algorithm>
#include <charconv>
#include <cstdio>

#include "controlplane/lifecycle/audit_records.hpp"
#include "controlplane/lifecycle/plan_diff.hpp"
#include "controlplane/lifecycle/policy_service_impl.hpp"
#include "controlplane/store/wall_clock.hpp"
#include "controlplane/telemetry/event_json.hpp"

namespace sluice::cp {
namespace {

using std::chrono::milliseconds;

constexpr std::int64_t kMsNs = 1'000'000;

std::string numbered(const Change& change) { return "change " + std::to_string(change.id); }

/// Who approved it and why, for the entry of the version that comes of it.
std::string approvals_text(const Change& change) {
    std::string out = numbered(change);
    for (const auto& approval : change.approvals) {
        out += approval.glass ? "; the glass of approvals broken by " : "; approved by ";
        out += approval.by + (approval.reason.empty() ? "" : ": " + approval.reason);
    }
    return out;
}

CommitOptions options_of(const Change& change) {
    CommitOptions options;
    if (change.base.hash.empty()) {
        options.if_none_match_any = true;
    } else {
        options.if_match = change.base.hash;
    }
    if (change.confirm_ms != 0) options.confirm_within = milliseconds{change.confirm_ms};
    if (const auto guard = parse_guard(change.guard); !change.guard.empty() && guard) options.guard = *guard;
    options.break_glass = change.break_glass;
    options.caller = {
        .actor = change.by, .origin = change.origin, .request_id = change.request_id, .reason = change.reason};
    return options;
}

/// It may go in a moment: the dataplane or the disk was not there, or another commit is on probation.
bool passes_by(const Problem& why) { return why.status >= 500 || why.code == "confirmation-pending"; }

Problem stale_problem(const Change& change) {
    return problem(409, "change-stale", "The policy is another than the one that was to be changed",
                   numbered(change) + " was written over " +
                       (change.base.hash.empty() ? std::string{"no policy"}
                                                 : "generation " + std::to_string(change.base.generation) + " (" +
                                                       change.base.version + ")") +
                       ", which is not in force any more; send it again over what is");
}

}  // namespace

// ------------------------------------------------------------------------------------------------------------ keeping
Approvals PolicyServiceImpl::approvals_asked() const {
    const auto current = shared().current;
    return current == nullptr ? Approvals{} : current->policy.approvals;
}

bool PolicyServiceImpl::has_to_wait(const CommitOptions& options, const Sent& sent) const {
    return sent.change == 0 && (options.at_ns != 0 || approvals_asked().needed != 0);
}

bool PolicyServiceImpl::base_in_force(const PolicyBase& base) const {
    const auto current = shared().current;
    // What is stored may not have been loaded yet: that takes the dataplane's wires.
    if (current == nullptr && store_->current()) return base.hash == store_->current()->hash;
    return base.hash == (current == nullptr ? std::string{} : current->hash);
}

Expected<CommitResult, Problem> PolicyServiceImpl::keep_change(const Sent& sent, const PreparedPolicy& prepared,
                                                               const CommitOptions& options, AuditRecord record) {
    const auto current = shared().current;
    const auto asked = approvals_asked();
    Change change{.kind = std::string{sent.kind}, .format = std::string{sent.format}, .text = std::string{sent.text}};
    if (current != nullptr) change.base = {current->generation(), current->hash, current->version};
    change.hash = prepared.hash;
    change.version = prepared.version;
    change.needed = asked.needed;
    change.state = asked.needed != 0 ? ChangeState::pending : ChangeState::scheduled;
    change.at_ns = change.due_ns = options.at_ns;
    if (asked.needed != 0)
        change.expires_ns = options.at_ns != 0 ? options.at_ns : wall_clock_ns() + asked.within_ms * kMsNs;
    if (options.confirm_within) change.confirm_ms = static_cast<std::uint64_t>(options.confirm_within->count());
    if (options.guard) change.guard = to_text(*options.guard);
    change.break_glass = options.break_glass;

    std::string waits_for = record.detail;
    const auto add = [&](const std::string& what) { waits_for += (waits_for.empty() ? "" : ", ") + what; };
    if (asked.needed != 0)
        add("waits for " + std::to_string(asked.needed) + " approvals until " + rfc3339(change.expires_ns));
    if (options.at_ns != 0) add("to be applied at " + rfc3339(options.at_ns));
    record.after = {change.hash, 0};
    auto kept =
        store_->changes().add(std::move(change), with_result(std::move(record), "waiting", std::move(waits_for)));
    if (!kept) return Unexpected(change_problem(kept.error(), 0));
    auto result = result_of(prepared, CommitState::waiting);
    result.generation = 0;
    result.change = std::move(*kept);
    count_publish("waiting");
    return result;
}

// ---------------------------------------------------------------------------------------------------------- approving
Expected<CommitResult, Problem> PolicyServiceImpl::approve_change(std::uint64_t id, const Caller& caller,
                                                                  bool break_glass) {
    auto record = record_of(break_glass ? "approvals.broken" : "change.approve", caller);
    record.detail = "change " + std::to_string(id);
    const std::lock_guard lock{commit_mutex_};
    auto approved = approve(id, record, caller, break_glass);
    if (!approved) return audited(record, Unexpected(std::move(approved.error())));
    if (approved->state == ChangeState::scheduled && approved->at_ns == 0) return apply_change(*approved);
    CommitResult result;
    result.state = CommitState::waiting;
    result.version = approved->version;
    result.hash = approved->hash;
    result.change = std::move(*approved);
    result.change->text.clear();
    return result;
}

/// What came of it when it could be written.
Expected<Change, Problem> PolicyServiceImpl::approve(std::uint64_t id, AuditRecord record, const Caller& caller,
                                                     bool break_glass) {
    look_at_pending();
    const auto found = store_->changes().find(id);
    if (!found) return Unexpected(change_problem({.storage = found.error()}, id));
    if (!*found) return Unexpected(change_problem({.kind = ChangeTrouble::Kind::absent}, id));
    const Change& change = **found;
    std::optional<std::string> cut;
    const bool last = break_glass || change.approvals.size() + 1 >= change.needed;
    if (change.state == ChangeState::pending) {
        if (wall_clock_ns() >= change.expires_ns) {
            end_change(change, "change.expire", {ChangeState::expired, "it was not approved in time"});
            return Unexpected(
                change_problem({.kind = ChangeTrouble::Kind::not_waiting, .is = ChangeState::expired}, id));
        }
        if (!base_in_force(change.base)) {
            end_change(change, "change.stale", {ChangeState::stale, "the policy was changed before it was approved"});
            return Unexpected(stale_problem(change));
        }
        // What can't be applied now is not approved now: the approval would be used up.
        if (last && change.at_ns == 0) {
            if (!shared().connected) return Unexpected(dataplane_unavailable(client_.trouble()));
            auto no = precondition(options_of(change), {.kind = change.kind, .change = id});
            if (no) return Unexpected(std::move(*no));
            if (change.kind != "rollback") cut = would_lock_out(caller, change);
            if (cut && !caller.allow_lock_out) return Unexpected(locks_out(*cut));
        }
    }
    record.before = state_of(shared().current.get());
    record.after = {change.hash, 0};
    auto approved =
        store_->changes().approve(id, break_glass,
                                  with_result(std::move(record), "done",
                                              numbered(change) + ", " + change.version + " by " + change.by + ", " +
                                                  (break_glass ? "without the approvals that are missing"
                                                               : std::to_string(change.approvals.size() + 1) + " of " +
                                                                     std::to_string(change.needed) + " approvals") +
                                                  (cut ? ", " + *cut : "")));
    if (!approved) return Unexpected(change_problem(approved.error(), id));
    if (break_glass) {
        std::fprintf(stderr, "sluice-controlplane: %s is approved by breaking the glass\n", numbered(change).c_str());
        const std::lock_guard lock{state_mutex_};
        ++shared_.approvals_broken;
    }
    return std::move(*approved);
}

// ------------------------------------------------------------------------------------------------------------- ending
Expected<Change, Problem> PolicyServiceImpl::reject_change(std::uint64_t id, const Caller& caller) {
    return end_by(id, record_of("change.reject", caller), ChangeState::rejected);
}

Expected<Change, Problem> PolicyServiceImpl::withdraw_change(std::uint64_t id, const Caller& caller) {
    return end_by(id, record_of("change.withdraw", caller), ChangeState::withdrawn);
}

Expected<Change, Problem> PolicyServiceImpl::end_by(std::uint64_t id, AuditRecord record, ChangeState state) {
    const std::lock_guard lock{commit_mutex_};
    const auto end = [&]() -> Expected<Change, ChangeTrouble> {
        using Kind = ChangeTrouble::Kind;
        const auto found = store_->changes().find(id);
        if (!found) return Unexpected(ChangeTrouble{.storage = found.error()});
        if (!*found) return Unexpected(ChangeTrouble{.kind = Kind::absent});
        // It is on probation then: leaving it is a rollback.
        if ((*found)->state == ChangeState::applying)
            return Unexpected(ChangeTrouble{.kind = Kind::not_waiting, .is = ChangeState::applying});
        return store_->changes().end(
            id, {state, record.reason},
            with_result(record, "done", numbered(**found) + ", " + (*found)->version + " by " + (*found)->by),
            state == ChangeState::withdrawn);
    };
    auto ended = end();
    if (!ended) {
        auto why = change_problem(ended.error(), id);
        store_->audit().write_or_keep(
            with_result(std::move(record), why.status >= 500 ? "failed" : "refused", why.code + ": " + why.detail));
        return Unexpected(std::move(why));
    }
    count_change(*ended, state);
    return std::move(*ended);
}

void PolicyServiceImpl::end_change(const Change& change, const char* action, ChangeEnd end) {
    auto record = record_of(action, Caller{}, state_of(shared().current.get()), {change.hash, 0});
    record = with_result(std::move(record), end.state == ChangeState::applied ? "done" : "failed",
                         numbered(change) + ", " + change.version + " by " + change.by + ": " + end.detail);
    std::fprintf(stderr, "sluice-controlplane: %s is %s: %s\n", numbered(change).c_str(),
                 std::string{to_text(end.state)}.c_str(), end.detail.c_str());
    // Can't it be written, it is tried again in a second.
    if (store_->changes().end(change.id, end, std::move(record))) count_change(change, end.state);
}

void PolicyServiceImpl::count_change(const Change& change, ChangeState end) {
    using enum ChangeState;
    const std::lock_guard lock{state_mutex_};
    ++shared_.changes_ended[end];
    if (change.at_ns != 0 && (end == expired || end == stale || end == failed)) ++shared_.changes_missed;
}

void PolicyServiceImpl::count_pending_change(ChangeState end) {
    const auto waiting = store_->changes().waiting();
    const auto of = std::ranges::find(waiting, store_->pending_change(), &Change::id);
    if (of != waiting.end()) count_change(*of, end);
}

// ----------------------------------------------------------------------------------------------------------- applying
Expected<CommitResult, Problem> PolicyServiceImpl::apply_change(const Change& change) {
    if (!base_in_force(change.base)) {
        end_change(change, "change.stale", {ChangeState::stale, "the policy was changed before it was applied"});
        return Unexpected(stale_problem(change));
    }
    auto result = commit_change(change);
    const auto after = store_->changes().find(change.id);
    if (result) {
        // The same words as are there already: nothing was staged.
        if (after && *after && (*after)->state == ChangeState::scheduled)
            end_change(change, "change.apply", {ChangeState::applied, "the policy was the same already"});
        if (auto told = store_->changes().find(change.id); told && *told) {
            result->change = std::move(**told);
            result->change->text.clear();
        }
        return result;
    }
    const bool late = wall_clock_ns() - change.due_ns > options_.change_late_max.count();
    const bool settled = after && *after && (*after)->state != ChangeState::scheduled;
    if (settled || (passes_by(result.error()) && !late)) {
        CommitResult waits;
        waits.state = CommitState::waiting;
        waits.version = change.version;
        waits.hash = change.hash;
        if (after && *after) waits.change = **after;
        waits.warnings.push_back({result.error().code, "", {}, result.error().detail});
        return waits;
    }
    end_change(change, "change.fail", {ChangeState::failed, result.error().code + ": " + result.error().detail});
    return result;
}

Expected<CommitResult, Problem> PolicyServiceImpl::commit_change(const Change& change) {
    const auto options = options_of(change);
    auto record = record_of("policy." + change.kind, options.caller);
    record.approval = approvers_of(change);
    record.detail = approvals_text(change);
    const auto found = store_->changes().find(change.id);
    if (!found || !*found) {
        const auto trouble =
            found ? ChangeTrouble{.kind = ChangeTrouble::Kind::absent} : ChangeTrouble{.storage = found.error()};
        return Unexpected(change_problem(trouble, change.id));
    }
    const Sent sent{.kind = change.kind, .format = change.format, .text = (*found)->text, .change = change.id};
    auto read = change.format == "edits" ? read_edits(shared().current, sent.text)
                                         : read_body(sent.text, format_of(change.format));
    return audited(record, commit(std::move(read), options, record, sent));
}

/// The text of the generation before, as a change of its own: who approves sees what comes, and a dataplane that was
/// restarted meanwhile makes no difference.
Expected<CommitResult, Problem> PolicyServiceImpl::rollback_with_approvals(std::uint64_t generation,
                                                                           const Caller& caller,
                                                                           const AuditRecord& record) {
    const auto nothing = [](std::string why) {
        return Unexpected(problem(409, "nothing-to-roll-back", "There is nothing to go back to", std::move(why)));
    };
    const auto now = shared();
    if (now.current == nullptr || now.current->generation() != generation)
        return nothing("generation " + std::to_string(generation) + " is not the current one");
    const auto state = client_.get_status();
    if (!state) return Unexpected(dataplane_unavailable(to_text(state.error())));
    const auto target = store_->adoption(state->previous_generation);
    if (state->previous_generation == 0 || !target || !*target)
        return nothing("the dataplane holds no earlier generation of a stored policy");
    const auto text = store_->text((*target)->ref);
    if (!text) return nothing(text.error().what);
    const auto& extension = (*target)->ref.extension;
    const CommitOptions options{.if_match = now.current->hash, .caller = caller};
    return commit(read_body(*text, format_of(extension)), options, record,
                  {.kind = "rollback", .format = extension, .text = *text});
}

std::string PolicyServiceImpl::approvers_of_pending() {
    const auto id = store_->pending_change();
    if (id == 0) return {};
    const auto change = store_->changes().find(id);
    return change && *change ? approvers_of(**change) : std::string{};
}

void PolicyServiceImpl::settle_changes() {
    if (store_->changes().waiting().empty()) return;
    const std::lock_guard lock{commit_mutex_};
    for (const auto& change : store_->changes().waiting()) {
        const auto now = wall_clock_ns();
        if (change.state == ChangeState::applying) {
            // The intent that it stood for is gone, and nobody knows how.
            if (store_->pending_change() != change.id)
                end_change(change, "change.fail", {ChangeState::failed, "what came of it is not known"});
        } else if (change.state == ChangeState::pending && now >= change.expires_ns) {
            end_change(change, "change.expire", {ChangeState::expired, "it was not approved in time"});
        } else if (!base_in_force(change.base)) {
            end_change(change, "change.stale", {ChangeState::stale, "the policy was changed before it was applied"});
        } else if (change.state == ChangeState::scheduled && now >= change.due_ns) {
            const auto shown = shared();
            const bool can = shown.connected && shown.publisher && shown.pending == nullptr;
            if (now - change.due_ns > options_.change_late_max.count()) {
                end_change(
                    change, "change.fail",
                    {ChangeState::failed, "missed: it could not be applied at its time, and is not applied later"});
            } else if (can && !store_->pending()) {
                (void)apply_change(change);
            }
        }
    }
}

// ------------------------------------------------------------------------------------------------------------ showing
Expected<ChangeView, Problem> PolicyServiceImpl::change_view(std::uint64_t id) {
    auto found = store_->changes().find(id);
    if (!found) return Unexpected(change_problem({.storage = found.error()}, id));
    if (!*found) return Unexpected(change_problem({.kind = ChangeTrouble::Kind::absent}, id));
    ChangeView view{.change = std::move(**found)};
    const auto current = shared().current;
    const auto in_force = current == nullptr ? std::string{} : current->hash;
    if (!waits(view.change.state) || view.change.base.hash != in_force) return view;
    const auto read = view.change.format == "edits" ? read_edits(current, view.change.text)
                                                    : read_body(view.change.text, format_of(view.change.format));
    if (read) view.changes = plan_diff(current == nullptr ? nullptr : &current->policy, read->policy).changes;
    return view;
}

}  // namespace sluice::cp
