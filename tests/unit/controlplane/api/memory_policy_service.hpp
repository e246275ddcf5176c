/// A policy service that lives in memory, for tests of the REST server and of sluicectl: the server is tested on its
/// own, against answers that a test can provoke. Words in the policy's text steer it:
///     BROKEN 422 with two errors, REFUSED 409, NODATAPLANE 503, STALL 202 with a worker, THROW an exception,
///     SLOW work that ends with `release` (so does the cursor SLOW of the flows), TESTFAIL 422 with a failing policy
///     test; `rule ID` lines are the rules of a plan.
#pragma once

#include <condition_variable>
#include <mutex>
#include <set>

#include "controlplane/lifecycle/policy_service.hpp"

namespace sluice::cp::api::test {

inline constexpr std::uint32_t kFlowCount = 250;
Unexpected<Problem> problem(int status, std::string code, std::string detail, PolicyErrors errors = {});

class MemoryPolicyService final : public PolicyService {
public:
    MemoryPolicyService();
    ~MemoryPolicyService() override;
    Expected<CommitResult, Problem> put(std::string_view body, PolicyFormat format, const CommitOptions&) override;
    Expected<CommitResult, Problem> patch(std::string_view edits, const CommitOptions&) override;
    Expected<DryRunResult, Problem> dry_run(std::string_view body, PolicyFormat format,
                                            const PlanOptions& options) override;
    Expected<DryRunResult, Problem> dry_run_patch(std::string_view edits, const PlanOptions& options) override;
    Expected<CommitResult, Problem> confirm(std::uint64_t generation, const Caller& caller) override;
    Expected<CommitView, Problem> commit_view(std::uint64_t generation) override;
    Expected<CommitResult, Problem> rollback(std::uint64_t generation, const Caller& caller) override;
    /// The history is a real one, in a database that is never written to a disk.
    Expected<CommitResult, Problem> restore(std::uint64_t generation, const CommitOptions&) override;
    Expected<HistoryPage, Problem> history(std::size_t count_max, std::optional<std::uint64_t> before) override;
    Expected<HistoryView, Problem> history_view(std::uint64_t generation,
                                                std::optional<std::uint64_t> against) override;
    AuditLog& audit() override { return store_->audit(); }
    TokenStore& tokens() override { return store_->tokens(); }
    /// One set, `blocked`, of at most three members; the member 203.0.113.99 is stored and not enforced.
    std::vector<SetInfo> sets() override;
    Expected<SetPage, Problem> set_members(const std::string& name, std::size_t count_max,
                                           const std::string& cursor) override;
    Expected<SetChangeResult, Problem> change_set(const SetChangeQuery& query) override;
    AnswerStore& answers() override { return store_->answers(); }
    FreezeStore& freezes() override { return store_->freezes(); }
    DraftStore& drafts() override { return store_->drafts(); }
    Expected<DraftSaved, Problem> save_draft(const DraftSave& wanted) override;
    Expected<CommitResult, Problem> apply_draft(const std::string& name, const std::string& hash,
                                                const CommitOptions&) override;
    ChangeStore& changes() override { return store_->changes(); }
    Expected<ChangeView, Problem> change_view(std::uint64_t id) override;
    Expected<CommitResult, Problem> approve_change(std::uint64_t id, const Caller& caller, bool break_glass) override;
    Expected<Change, Problem> reject_change(std::uint64_t id, const Caller& caller) override;
    Expected<Change, Problem> withdraw_change(std::uint64_t id, const Caller& caller) override;
    /// A shadow has one pair of rules with two flows, one of them ICMP, from its start on.
    Expected<ShadowReport, Problem> start_shadow(const ShadowStart& wanted) override;
    Expected<ShadowReport, Problem> stop_shadow(const Caller& caller) override;
    std::optional<ShadowReport> shadow() override;
    std::optional<CurrentPolicy> current() override;
    SystemStatus status() override;
    Expected<ExplainResult, Problem> explain(const ExplainQuery&) override;
    std::vector<RuleStats> rules() override;
    /// Takes for a filter the words `worker==1`, which 50 flows fit.
    Expected<FlowPage, Problem> flows(const FlowQuery& query) override;
    /// 4,500 records; takes for a filter `rule==web-in`, which every second one fits, and for `since` anything but
    /// `nonsense`. Since `damage` three of two blocks are missing; since `break` the second page can't be had.
    Expected<RecordPage, Problem> flow_records(const RecordQuery& query) override;
    Expected<EndFlowsResult, Problem> end_flows(const EndFlowsQuery& query) override;
    std::string metrics(bool with_rules) override;
    EventPage events_after(std::uint64_t after, std::size_t count_max, std::chrono::milliseconds wait) override;
    std::uint64_t newest_event() override;

    void add_events(std::uint64_t count, std::size_t padding_bytes);
    void set_not_ready(std::vector<std::string> reasons);
    /// What the second place of the audit's head says; nothing until then.
    void set_audit_head(std::string line);
    void set_flow_log_trouble(std::string why);
    void set_records_trouble(std::string why);
    /// Lets whatever is SLOW go on, now and from now on.
    void release();

private:
    void wait_released();
    Expected<void, Problem> precondition(const CommitOptions&) const;
    /// `change`: that it comes of; else it may have to wait.
    Expected<CommitResult, Problem> adopt(std::string text, PolicyFormat format, const CommitOptions&,
                                          std::uint64_t change = 0);
    std::uint32_t approvals_needed() const;
    Expected<CommitResult, Problem> keep(const std::string& text, PolicyFormat format, const CommitOptions& options,
                                         CommitResult result);

    class Files;
    std::unique_ptr<Files> files_;
    std::unique_ptr<PolicyStore> store_;
    std::mutex mutex_;
    std::condition_variable news_;
    std::optional<CurrentPolicy> current_, previous_;
    std::uint64_t generation_{};
    std::optional<std::chrono::system_clock::time_point> confirm_deadline_;
    std::string guard_;  ///< of the commit that waits
    std::vector<std::string> not_ready_;
    std::string flow_log_trouble_, records_trouble_;
    std::vector<EventPage::Line> events_;
    std::uint64_t newest_{};
    std::vector<SetMemberEdit> members_;
    std::uint64_t set_number_{1};
    std::optional<ShadowReport> shadow_;
    std::mutex gate_mutex_;
    std::condition_variable gate_;
    bool released_{};
};

std::string sha256_text(std::string_view text);
/// What BROKEN stands for.
PolicyErrors two_errors();

}  // namespace sluice::cp::api::test
