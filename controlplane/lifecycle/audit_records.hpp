/// What the lifecycle says to the audit, and the problems that storing can end in: shared by the files that change
/// what is in force.
#pragma once

#include <string>

#include "controlplane/lifecycle/policy_service.hpp"
#include "controlplane/lifecycle/prepared_policy.hpp"
#include "controlplane/store/audit_log.hpp"

namespace sluice::cp {

/// Null = no policy.
AuditState state_of(const PreparedPolicy* prepared);

/// `before`: the policy in force, `after`: what is meant to be.
AuditRecord record_of(std::string action, const Caller& caller, AuditState before = {}, AuditState after = {});
/// The same, settled.
AuditRecord with_result(AuditRecord record, std::string result, std::string detail = {});

/// `507` if the disk is full, else `500`; what was asked for was not done.
Problem storage_problem(const FileError& error);
/// The same about a draft.
Problem draft_problem(const DraftTrouble& trouble, const std::string& name);
/// The same about a change that waits.
Problem change_problem(const ChangeTrouble& trouble, std::uint64_t id);
Problem dataplane_unavailable(const std::string& why);
Problem refused_by_dataplane(const abi::Answer& answer);

}  // namespace sluice::cp
