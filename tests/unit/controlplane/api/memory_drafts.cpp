/// Drafts of the policy service that lives in memory. The store is the real one; the word BROKEN makes two errors.
#include "tests/unit/controlplane/api/memory_policy_service.hpp"

#include "controlplane/lifecycle/audit_records.hpp"

namespace sluice::cp::api::test {

Expected<DraftSaved, Problem> MemoryPolicyService::save_draft(const DraftSave& wanted) {
    if (wanted.body.starts_with("UNREADABLE")) {
        return problem(422, "invalid-policy", "1 error; nothing was changed",
                       {{.code = "syntax", .pointer = "", .pos = {1, 4}, .detail = "this is no YAML; mend it"}});
    }
    Draft draft{.name = wanted.name,
                .format = wanted.format == PolicyFormat::json ? "json" : "yaml",
                .text = std::string{wanted.body}};
    const auto before = *drafts().find(wanted.name);
    const auto now = current();
    if (wanted.base.value_or(0) != 0) {
        const auto adoption = *store_->adoption(*wanted.base);
        if (!adoption) return problem(404, "no-such-generation", "this generation was never in force");
        draft.base = {*wanted.base, adoption->ref.hash, adoption->label};
    } else if (!wanted.base && before) {
        draft.base = before->base;
    } else if (now) {
        draft.base = {now->generation, now->hash, now->version};
    }
    DraftSaved saved;
    if (draft.text.find("BROKEN") != std::string::npos) {
        saved.errors = two_errors();
        draft.errors = saved.errors.size();
    } else {
        draft.hash = sha256_text(draft.text);
        draft.version = "demo@" + draft.hash.substr(0, 6);
    }
    auto stored = drafts().save(std::move(draft), wanted.condition,
                                with_result(record_of("draft.save", wanted.caller), "done", "draft " + wanted.name));
    if (!stored) return Unexpected(draft_problem(stored.error(), wanted.name));
    saved.draft = std::move(*stored);
    return saved;
}

Expected<CommitResult, Problem> MemoryPolicyService::apply_draft(const std::string& name, const std::string& hash,
                                                                 const CommitOptions& options) {
    const auto draft = *drafts().find(name);
    if (!draft) return Unexpected(draft_problem({DraftTrouble::Kind::absent, {}}, name));
    if (!hash.empty() && draft->hash != hash) return Unexpected(draft_problem({DraftTrouble::Kind::changed, {}}, name));
    const auto now = current();
    if (options.if_match && now && *options.if_match == now->hash && draft->base.hash != now->hash) {
        return problem(409, "base-not-current", "it was written over another policy",
                       {{.code = "changed-since", .pointer = "", .pos = {}, .detail = "add rule web-in"}});
    }
    return put(draft->text, draft->format == "json" ? PolicyFormat::json : PolicyFormat::yaml, options);
}

}  // namespace sluice::cp::api::test
