/// What was in force when, what it changed, and putting it in force again.
#include <chrono>

#include "controlplane/lifecycle/audit_records.hpp"
#include "controlplane/lifecycle/plan_diff.hpp"
#include "controlplane/lifecycle/policy_service_impl.hpp"

namespace sluice::cp {
namespace {

Problem unreadable(const FileError& error) {
    return problem(500, "storage-failed", "The history can't be read", error.what);
}

}  // namespace

Expected<HistoryPage, Problem> PolicyServiceImpl::history(std::size_t count_max, std::optional<std::uint64_t> before) {
    HistoryPage page;
    const auto newest = store_->history(1);
    if (!newest) return Unexpected(unreadable(newest.error()));
    if (!newest->empty()) page.current_entry = newest->front().entry;
    auto found = store_->history(count_max + 1, before);
    if (!found) return Unexpected(unreadable(found.error()));
    page.adoptions = std::move(*found);
    if (page.adoptions.size() > count_max) {
        page.adoptions.resize(count_max);
        page.next = page.adoptions.back().entry;
    }
    return page;
}

Expected<Adoption, Problem> PolicyServiceImpl::find_adoption(std::uint64_t generation) {
    auto found = store_->adoption(generation);
    if (!found) return Unexpected(unreadable(found.error()));
    if (!*found) {
        return Unexpected(problem(404, "no-such-generation", "This generation was never in force",
                                  "generation " + std::to_string(generation) +
                                      " is not in the history; GET /v1/history lists those that are"));
    }
    if (!(*found)->text_kept) {
        return Unexpected(problem(
            410, "text-not-kept", "The text is not kept any more",
            "of generation " + std::to_string(generation) + " only its entries in the history and the audit are left"));
    }
    return std::move(**found);
}

Expected<Policy, Problem> PolicyServiceImpl::policy_of(const Adoption& adoption, std::string* text) {
    auto body = store_->text(adoption.ref);
    if (!body) return Unexpected(unreadable(body.error()));
    if (text != nullptr) *text = *body;
    const auto wires = shared().wires();
    auto source = read_source(std::move(*body), format_of(adoption.ref.extension), {.wires = &wires});
    if (!source) {
        return Unexpected(problem(409, "not-this-language", "This version reads the policy no more",
                                  "generation " + std::to_string(adoption.ref.generation) + ": " +
                                      (source.error().empty() ? "errors" : source.error().front().detail)));
    }
    return std::move(source->policy);
}

Expected<HistoryView, Problem> PolicyServiceImpl::history_view(std::uint64_t generation,
                                                               std::optional<std::uint64_t> against) {
    HistoryView view;
    auto adoption = find_adoption(generation);
    if (!adoption) return Unexpected(std::move(adoption.error()));
    view.adoption = std::move(*adoption);
    auto after = policy_of(view.adoption, &view.text);
    if (!after) return Unexpected(std::move(after.error()));
    if (against) {
        auto other = find_adoption(*against);
        if (!other) return Unexpected(std::move(other.error()));
        view.against = std::move(*other);
    } else {
        auto other = store_->history(1, view.adoption.entry);
        if (!other) return Unexpected(unreadable(other.error()));
        // Without its text there is nothing to compare with: shown as it is.
        if (!other->empty() && other->front().text_kept) view.against = std::move(other->front());
    }
    if (!view.against) {
        view.changes = plan_diff(nullptr, *after).changes;
        return view;
    }
    const auto before = policy_of(*view.against);
    if (!before) return Unexpected(before.error());
    view.changes = plan_diff(&*before, *after).changes;
    return view;
}

Expected<CommitResult, Problem> PolicyServiceImpl::restore(std::uint64_t generation, const CommitOptions& options) {
    auto record = record_of("policy.restore", options.caller);
    record.detail = "generation " + std::to_string(generation);
    return audited(record, restore_adoption(generation, options, record));
}

Expected<CommitResult, Problem> PolicyServiceImpl::restore_adoption(std::uint64_t generation,
                                                                    const CommitOptions& options,
                                                                    const AuditRecord& record) {
    Sent sent{.kind = "restore"};
    look_at_pending();
    if (auto no = precondition(options, sent)) return Unexpected(std::move(*no));
    const auto adoption = find_adoption(generation);
    if (!adoption) return Unexpected(adoption.error());
    const auto text = store_->text(adoption->ref);
    if (!text) return Unexpected(unreadable(text.error()));
    sent.format = adoption->ref.extension;
    sent.text = *text;
    auto read = read_body(*text, format_of(adoption->ref.extension));
    const std::lock_guard lock{commit_mutex_};
    return commit(std::move(read), options, record, sent);
}

}  // namespace sluice::cp
