/// Drafts: saving one with what it was written over, and putting it in force while that still is.
#include "controlplane/lifecycle/audit_records.hpp"
#include "controlplane/lifecycle/plan_diff.hpp"
#include "controlplane/lifecycle/policy_service_impl.hpp"
#include "controlplane/policy/sha256.hpp"

namespace sluice::cp {
namespace {

constexpr std::size_t kAdoptionsTold = 5, kChangesTold = 100;

std::string said(const PlanChange& change) {
    std::string out = change.op + " " + change.kind + (change.id.empty() ? "" : " " + change.id);
    for (const auto& field : change.fields) {
        constexpr std::size_t kValueMax = 100;
        out += (field.name.empty() ? " " : ", " + field.name + ": ") + field.before.substr(0, kValueMax) + " -> " +
               field.after.substr(0, kValueMax);
    }
    return out;
}

std::string said(const Adoption& adoption) {
    const auto& asked = adoption.asked.record;
    return "generation " + std::to_string(adoption.ref.generation) + " (" + adoption.label + ") by " + asked.actor +
           (asked.reason.empty() ? "" : ": " + asked.reason);
}

}  // namespace

// ------------------------------------------------------------------------------------------------------------- saving
Expected<PolicyBase, Problem> PolicyServiceImpl::base_of(const DraftSave& wanted) {
    if (!wanted.base) {
        const auto before = store_->drafts().find(wanted.name);
        if (!before) return Unexpected(draft_problem({DraftTrouble::Kind::storage, before.error()}, wanted.name));
        if (*before) return (*before)->base;
    }
    if (wanted.base.value_or(0) != 0) {
        const auto adoption = find_adoption(*wanted.base);
        if (!adoption) return Unexpected(adoption.error());
        return PolicyBase{adoption->ref.generation, adoption->ref.hash, adoption->label};
    }
    const auto current = shared().current;
    return current == nullptr ? PolicyBase{} : PolicyBase{current->generation(), current->hash, current->version};
}

Expected<DraftSaved, Problem> PolicyServiceImpl::save_draft(const DraftSave& wanted) {
    auto parsed = parse_document(wanted.body, wanted.format);
    // Half of a document is nobody's work in progress: it was cut on its way, or is another file.
    if (!parsed.whole) return Unexpected(invalid_policy(std::move(parsed.errors)));
    auto base = base_of(wanted);
    if (!base) return Unexpected(base.error());
    const auto now = shared();
    const auto wires = now.wires();
    const auto ports = now.port_names();
    const auto read =
        read_written(std::move(parsed), wanted.format, {.wires = &wires, .ports = now.connected ? &ports : nullptr});
    Draft draft{
        .name = wanted.name, .format = std::string{extension_of(wanted.format)}, .text = std::string{wanted.body}};
    draft.base = std::move(*base);
    DraftSaved saved;
    if (read) {
        draft.hash = to_hex(read->policy.version);
        draft.version = read->policy.name + "@" + draft.hash.substr(0, 6);
    } else {
        saved.errors = read.error();
        draft.errors = saved.errors.size();
    }
    auto detail = "draft " + draft.name + ", " + (read ? draft.version : std::to_string(draft.errors) + " errors") +
                  ", over " +
                  (draft.base.hash.empty() ? "no policy" : "generation " + std::to_string(draft.base.generation));
    auto entry =
        with_result(record_of("draft.save", wanted.caller, {draft.base.hash, draft.base.generation}, {draft.hash, 0}),
                    "done", std::move(detail));
    auto stored = store_->drafts().save(std::move(draft), wanted.condition, std::move(entry));
    if (!stored) return Unexpected(draft_problem(stored.error(), wanted.name));
    saved.draft = std::move(*stored);
    saved.draft.text.clear();
    return saved;
}

// ----------------------------------------------------------------------------------------------------------- applying
std::optional<Problem> PolicyServiceImpl::moved_on(const PolicyBase& base) {
    const auto current = shared().current;
    if (base.hash == (current == nullptr ? std::string{} : current->hash)) return std::nullopt;
    std::string since;
    if (const auto newer = store_->history(kAdoptionsTold + 1)) {
        std::size_t told = 0;
        for (const auto& adoption : *newer) {
            if (adoption.ref.generation <= base.generation) break;
            if (told++ == kAdoptionsTold) {
                since += ", and more before";
                break;
            }
            since += (since.empty() ? "; since then " : ", ") + said(adoption);
        }
    }
    PolicyErrors changes;
    if (current != nullptr && !base.hash.empty()) {
        const auto adoption = find_adoption(base.generation);
        const auto before = adoption ? policy_of(*adoption) : Expected<Policy, Problem>{Unexpected(adoption.error())};
        // Without its text (not kept any more) the list of generations has to do.
        if (before) {
            for (const auto& change : plan_diff(&*before, current->policy).changes) {
                if (changes.size() == kChangesTold) break;
                changes.push_back({"changed-since", "", {}, said(change)});
            }
        }
    }
    const auto over = base.hash.empty() ? std::string{"no policy"}
                                        : "generation " + std::to_string(base.generation) + " (" + base.version + ")";
    return problem(409, "base-not-current", "The policy is another than the one it was written over",
                   "it was written over " + over + since +
                       "; take over what changed, then save it again with base=current (draft save --base current)",
                   std::move(changes));
}

Expected<CommitResult, Problem> PolicyServiceImpl::apply_draft(const std::string& name, const std::string& hash,
                                                               const CommitOptions& options) {
    auto record = record_of("policy.draft", options.caller);
    record.detail = "draft " + name;
    return audited(record, apply_kept(name, hash, options, record));
}

Expected<CommitResult, Problem> PolicyServiceImpl::apply_kept(const std::string& name, const std::string& hash,
                                                              const CommitOptions& options, const AuditRecord& record) {
    look_at_pending();
    const auto draft = store_->drafts().find(name);
    if (!draft) return Unexpected(draft_problem({DraftTrouble::Kind::storage, draft.error()}, name));
    if (!*draft) return Unexpected(draft_problem({DraftTrouble::Kind::absent, {}}, name));
    if (!hash.empty() && (*draft)->hash != hash)
        return Unexpected(draft_problem({DraftTrouble::Kind::changed, {}}, name));
    const Sent sent{.kind = "draft", .format = (*draft)->format, .text = (*draft)->text};
    if (auto no = precondition(options, sent)) return Unexpected(std::move(*no));
    if (auto no = moved_on((*draft)->base)) return Unexpected(std::move(*no));
    auto read = read_body((*draft)->text, format_of((*draft)->format));
    // What is looked at again under the lock is the base: the policy may have changed since the lines above.
    auto bound = options;
    if (bound.if_match) bound.if_match = (*draft)->base.hash;
    const std::lock_guard lock{commit_mutex_};
    return commit(std::move(read), bound, record, sent);
}

}  // namespace sluice::cp
