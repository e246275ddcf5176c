#include "controlplane/lifecycle/audit_records.hpp"

#include "dataplane/acl/validator.hpp"

namespace sluice::cp {

AuditState state_of(const PreparedPolicy* prepared) {
    return prepared == nullptr ? AuditState{} : AuditState{prepared->hash, prepared->generation()};
}

AuditRecord record_of(std::string action, const Caller& caller, AuditState before, AuditState after) {
    AuditRecord record;
    record.actor = caller.actor;
    record.origin = caller.origin;
    record.request_id = caller.request_id;
    record.reason = caller.reason;
    record.action = std::move(action);
    record.result = "begun";
    record.before = std::move(before);
    record.after = std::move(after);
    return record;
}

AuditRecord with_result(AuditRecord record, std::string result, std::string detail) {
    record.result = std::move(result);
    record.detail = std::move(detail);
    record.at_ns = 0;
    return record;
}

Problem storage_problem(const FileError& error) {
    if (error.disk_full()) {
        return problem(507, "storage-full", "The state directory is full", error.what + "; the policy is unchanged");
    }
    return problem(500, "storage-failed", "The policy could not be stored", error.what + "; the policy is unchanged");
}

Problem draft_problem(const DraftTrouble& trouble, const std::string& name) {
    switch (trouble.kind) {
        case DraftTrouble::Kind::absent:
            return problem(404, "no-such-draft", "There is no such draft",
                           "there is no draft \"" + name + "\"; GET /v1/drafts lists them");
        case DraftTrouble::Kind::exists:
            return problem(412, "draft-exists", "There is such a draft already",
                           "read draft \"" + name + "\", then send its ETag in If-Match, or take another name");
        case DraftTrouble::Kind::changed:
            return problem(412, "draft-changed", "The draft is another by now",
                           "draft \"" + name + "\" was saved or deleted meanwhile; read it again");
        case DraftTrouble::Kind::too_many:
            return problem(409, "too-many-drafts", "There is no room for another draft",
                           "there are " + std::to_string(kDraftsMax) + " drafts; delete one");
        case DraftTrouble::Kind::too_large:
            return problem(
                409, "drafts-too-large", "There is no room for this draft",
                "all drafts together have at most " + std::to_string(kDraftBytesMax >> 20U) + " MiB; delete one");
        case DraftTrouble::Kind::storage: break;
    }
    const auto& error = trouble.storage;
    return error.disk_full() ? problem(507, "storage-full", "The state directory is full", error.what)
                             : problem(500, "storage-failed", "Drafts could not be read or stored", error.what);
}

Problem change_problem(const ChangeTrouble& trouble, std::uint64_t id) {
    const auto name = "change " + std::to_string(id);
    switch (trouble.kind) {
        case ChangeTrouble::Kind::absent:
            return problem(404, "no-such-change", "There is no such change",
                           "there is no " + name + "; GET /v1/changes lists them");
        case ChangeTrouble::Kind::not_waiting:
            return problem(409, "change-not-waiting", "The change does not wait for this",
                           name + " is " + std::string{to_text(trouble.is)} + "; GET /v1/changes/" +
                               std::to_string(id) + " says what came of it");
        case ChangeTrouble::Kind::own:
            return problem(403, "own-change", "Nobody approves a change of his own",
                           name + " is yours; somebody else has to approve it");
        case ChangeTrouble::Kind::twice:
            return problem(409, "approved-already", "You have approved it already",
                           name + " has your approval; each person counts once, whatever the token");
        case ChangeTrouble::Kind::not_author:
            return problem(403, "not-the-author", "Only its author withdraws a change",
                           name + " is somebody else's; an approver or an admin can reject it");
        case ChangeTrouble::Kind::too_many:
            return problem(409, "too-many-changes", "There is no room for another change that waits",
                           std::to_string(kChangesWaitingMax) + " changes wait; withdraw or reject one");
        case ChangeTrouble::Kind::too_large:
            return problem(409, "changes-too-large", "There is no room for this change",
                           "all changes that wait together have at most " + std::to_string(kChangeBytesMax >> 20U) +
                               " MiB; withdraw or reject one");
        case ChangeTrouble::Kind::storage: break;
    }
    const auto& error = trouble.storage;
    return error.disk_full() ? problem(507, "storage-full", "The state directory is full", error.what)
                             : problem(500, "storage-failed", "Changes could not be read or stored", error.what);
}

Problem dataplane_unavailable(const std::string& why) {
    return problem(503, "dataplane-unavailable", "The dataplane is not there",
                   (why.empty() ? "it has not answered yet" : why) + "; nothing was stored");
}

Problem refused_by_dataplane(const abi::Answer& answer) {
    return problem(409, "refused-by-dataplane", "The dataplane refused the policy",
                   std::string{dp::to_string(answer.reason)} + ": " + answer.where.data() + "; nothing was changed");
}

}  // namespace sluice::cp
