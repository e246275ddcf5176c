/// The policy service of the product: store, compiler, tables client and telemetry put together.
///
/// Theory of operation. One lock serialises everything that changes what ought to be in force: commits, confirmations,
/// rollbacks, reconciliation. Under it the order is always: intent on disk, offer, then current on disk. So whatever
/// dies whenever, the next start (ours or the dataplane's) finds in the store and in what the dataplane runs enough to
/// know what was meant. A second, short lock guards what questions read; a question never waits for a commit.
///
/// Reconciliation runs when a dataplane has said hello and when it has reverted by itself:
///   it runs the pending intent, nothing to confirm   -> the intent becomes current
///   it runs the pending intent, confirmation is due  -> goes on waiting
///   it runs something else                           -> the intent is dropped
///   it has gone back to an earlier generation        -> that one becomes current: somebody's rollback was cut off
///   then, if it does not run current's tables        -> current is published again, as a new generation
///
/// A commit that needs approvals, or has a time of its own, ends before anything is written but its change
/// (change_store.hpp). When that is due it goes the same way again, under the same lock, and its state moves with the
/// intent.
#pragma once

#include <atomic>
#include <condition_variable>
#include <future>
#include <mutex>
#include <thread>

#include "controlplane/lifecycle/config.hpp"
#include "controlplane/lifecycle/policy_service.hpp"
#include "controlplane/lifecycle/prepared_policy.hpp"
#include "controlplane/publish/last_good_writer.hpp"
#include "controlplane/publish/tables_client.hpp"
#include "controlplane/records/record_store.hpp"
#include "controlplane/store/policy_store.hpp"
#include "controlplane/telemetry/telemetry.hpp"
#include "dataplane/acl/set_table.hpp"

namespace sluice::cp {

class ShadowJudge;  // shadow_judge.hpp

struct ServiceOptions {
    FileOps* files{&posix_file_ops()};
    const char* vfs{nullptr};  ///< of the database; null = the kernel's files
    std::chrono::milliseconds adopt_within{2000};
    /// A plan calls a rule never hit when its counter has stood still for as long.
    std::chrono::steady_clock::duration unused_after{std::chrono::hours{24}};
    /// A change that could not be applied at its time is not applied later than so much behind it.
    std::chrono::nanoseconds change_late_max{std::chrono::minutes{5}};
    /// The text that edits go on from is written while a policy of so many bytes is being put. For a smaller one that
    /// takes a PATCH some milliseconds, which it would take from the PUT where there is no core to spare.
    std::size_t spelled_with_put_bytes{4U << 20};
};

class PolicyServiceImpl final : public PolicyService, private TablesListener {
public:
    /// Reads the store. Error: a sentence; the state directory can't be used at all.
    static Expected<std::unique_ptr<PolicyServiceImpl>, std::string> open(const ControlConfig& config,
                                                                          const ServiceOptions& options = {});
    ~PolicyServiceImpl() override;

    /// Connects, and keeps connected.
    void start();
    void stop();

    Expected<CommitResult, Problem> put(std::string_view body, PolicyFormat format, const CommitOptions&) override;
    Expected<CommitResult, Problem> patch(std::string_view edits, const CommitOptions&) override;
    Expected<DryRunResult, Problem> dry_run(std::string_view body, PolicyFormat format,
                                            const PlanOptions& options) override;
    Expected<DryRunResult, Problem> dry_run_patch(std::string_view edits, const PlanOptions& options) override;
    Expected<CommitResult, Problem> confirm(std::uint64_t generation, const Caller& caller) override;
    Expected<CommitResult, Problem> rollback(std::uint64_t generation, const Caller& caller) override;
    Expected<CommitResult, Problem> restore(std::uint64_t generation, const CommitOptions&) override;
    Expected<CommitView, Problem> commit_view(std::uint64_t generation) override;

    Expected<HistoryPage, Problem> history(std::size_t count_max, std::optional<std::uint64_t> before) override;
    Expected<HistoryView, Problem> history_view(std::uint64_t generation,
                                                std::optional<std::uint64_t> against) override;
    AuditLog& audit() override { return store_->audit(); }
    TokenStore& tokens() override { return store_->tokens(); }
    AnswerStore& answers() override { return store_->answers(); }
    FreezeStore& freezes() override { return store_->freezes(); }
    DraftStore& drafts() override { return store_->drafts(); }
    ChangeStore& changes() override { return store_->changes(); }
    Expected<ChangeView, Problem> change_view(std::uint64_t id) override;
    Expected<CommitResult, Problem> approve_change(std::uint64_t id, const Caller& caller, bool break_glass) override;
    Expected<Change, Problem> reject_change(std::uint64_t id, const Caller& caller) override;
    Expected<Change, Problem> withdraw_change(std::uint64_t id, const Caller& caller) override;
    Expected<DraftSaved, Problem> save_draft(const DraftSave& wanted) override;
    Expected<CommitResult, Problem> apply_draft(const std::string& name, const std::string& hash,
                                                const CommitOptions&) override;

    Expected<ShadowReport, Problem> start_shadow(const ShadowStart& wanted) override;
    Expected<ShadowReport, Problem> stop_shadow(const Caller& caller) override;
    std::optional<ShadowReport> shadow() override;

    std::vector<SetInfo> sets() override;
    Expected<SetPage, Problem> set_members(const std::string& name, std::size_t count_max,
                                           const std::string& cursor) override;
    Expected<SetChangeResult, Problem> change_set(const SetChangeQuery& query) override;

    std::optional<CurrentPolicy> current() override;
    SystemStatus status() override;
    Expected<ExplainResult, Problem> explain(const ExplainQuery&) override;
    std::vector<RuleStats> rules() override;
    Expected<FlowPage, Problem> flows(const FlowQuery& query) override;
    Expected<RecordPage, Problem> flow_records(const RecordQuery& query) override;
    Expected<EndFlowsResult, Problem> end_flows(const EndFlowsQuery& query) override;
    std::string metrics(bool with_rules) override;
    EventPage events_after(std::uint64_t after, std::size_t count_max, std::chrono::milliseconds wait) override;
    std::uint64_t newest_event() override;

private:
    struct Shared;
    using SteadyTime = std::chrono::steady_clock::time_point;
    PolicyServiceImpl(const ControlConfig& config, const ServiceOptions& options, std::unique_ptr<PolicyStore> store);

    // --- commit.cpp; all but read_* need commit_mutex_
    using Read = Expected<SourcePolicy, Problem>;
    Read read_body(std::string_view body, PolicyFormat format) const;
    Read read_edits(const PreparedPtr& base, std::string_view edits) const;
    /// A refusal gets its entry; what else there is to say has been said.
    Expected<CommitResult, Problem> audited(AuditRecord record, Expected<CommitResult, Problem> result);
    Expected<CommitResult, Problem> put_body(std::string_view body, PolicyFormat format, const CommitOptions& options);
    Expected<CommitResult, Problem> put_edits(std::string_view edits, const CommitOptions& options);
    /// What was sent, to be sent again when it is due.
    struct Sent {
        std::string_view kind, format, text;  ///< as in Change
        std::uint64_t change{};               ///< that is due; 0 = it was sent just now
    };
    Expected<CommitResult, Problem> commit(Read read, const CommitOptions& options, AuditRecord record,
                                           const Sent& sent);
    std::optional<Problem> precondition(const CommitOptions& options, const Sent& sent) const;
    /// A freeze that holds and that this commit may not break.
    std::optional<Problem> frozen(const CommitOptions& options) const;
    /// Written before anything is changed: whoever breaks the glass is seen, whatever comes of it.
    Expected<void, Problem> break_glass(const CommitOptions& options, const AuditRecord& record);
    std::optional<CommitResult> unchanged(const std::shared_ptr<PreparedPolicy>& prepared, AuditRecord record,
                                          std::uint64_t change);
    /// Stages, offers, and settles what the answer says. `record`: who and why, for the entries in the audit. `guard`:
    /// GuardTerms as text; empty = none.
    Expected<CommitResult, Problem> publish(const std::shared_ptr<PreparedPolicy>& prepared, SlotMap slots,
                                            std::chrono::milliseconds confirm_within, AuditRecord record,
                                            std::uint64_t change = 0, std::string guard = {});
    Expected<CommitResult, Problem> settle(const PreparedPtr& prepared, const abi::Answer& answer, bool confirm_asked,
                                           AuditRecord record);
    void use_slots(SlotMap slots, const PreparedPolicy& prepared);
    PolicyStore::Slots slots_to_write(const SlotMap& slots) const;
    std::vector<SteadyTime> slot_since() const;
    /// `outcome`: where nobody else writes what became of it. `change`: what the change becomes that it comes of.
    void forget_pending(std::optional<AuditRecord> outcome = {}, const ChangeEnd& change = {});
    /// The pending intent, which the dataplane runs for good, becomes current. Warnings: what could not be written.
    std::vector<PolicyError> make_current(const PreparedPtr& prepared, AuditRecord outcome);
    void keep_as_last_good(const PreparedPtr& prepared);

    // --- lock_out.cpp
    /// Would the connection that the request came by, which passes through us, be refused by `next`? A sentence.
    std::optional<std::string> would_lock_out(const Caller& caller, const PreparedPolicy& next);
    /// The same of a change that is being approved.
    std::optional<std::string> would_lock_out(const Caller& caller, const Change& change);
    bool lets_in(const PreparedPolicy& prepared, const ClientPath& path, const std::string& in_port,
                 const std::string& out_port);
    /// By a flow between these zones. Nothing: nobody could tell.
    std::optional<bool> passes_through(const ClientPath& path, const std::string& from_zone, const std::string& to_zone,
                                       std::chrono::steady_clock::time_point deadline);

    // --- guard_watch.cpp
    TrafficMark traffic_now();
    void arm_guard(std::uint64_t generation);
    /// To those who ask.
    void tell_guard();
    /// Once a second: notes the counters, and leaves a commit whose guard trips.
    void watch_traffic();
    std::optional<Problem> guard_trouble(std::uint64_t generation) const;

    // --- undo.cpp
    Expected<CommitResult, Problem> confirm_pending(std::uint64_t generation, const Caller& caller);
    Expected<CommitResult, Problem> roll_back_pending(std::uint64_t generation, AuditRecord record, std::string detail);
    Expected<CommitResult, Problem> roll_back_current(std::uint64_t generation, AuditRecord record);
    std::string went_back_to(const PreparedPtr& prepared, const PolicyRef& ref, AuditRecord record);

    // --- history.cpp
    Expected<Adoption, Problem> find_adoption(std::uint64_t generation);
    Expected<Policy, Problem> policy_of(const Adoption& adoption, std::string* text = nullptr);
    Expected<CommitResult, Problem> restore_adoption(std::uint64_t generation, const CommitOptions& options,
                                                     const AuditRecord& record);

    // --- changes.cpp; all need commit_mutex_ but where it is said
    /// Approvals that the policy in force asks for; needs no lock.
    Approvals approvals_asked() const;
    /// A commit that is sent just now and has to wait; needs no lock.
    bool has_to_wait(const CommitOptions& options, const Sent& sent) const;
    Expected<CommitResult, Problem> keep_change(const Sent& sent, const PreparedPolicy& prepared,
                                                const CommitOptions& options, AuditRecord record);
    Expected<Change, Problem> approve(std::uint64_t id, AuditRecord record, const Caller& caller, bool break_glass);
    Expected<Change, Problem> end_by(std::uint64_t id, AuditRecord record, ChangeState state);
    /// One that is due. What came of it stands in the store.
    Expected<CommitResult, Problem> apply_change(const Change& change);
    Expected<CommitResult, Problem> commit_change(const Change& change);
    /// By nobody.
    void end_change(const Change& change, const char* action, ChangeEnd end);
    void count_change(const Change& change, ChangeState end);
    /// Of the change that the pending intent comes of, if it does of one.
    void count_pending_change(ChangeState end);
    bool base_in_force(const PolicyBase& base) const;
    /// Once a second: what has run out of time, what is due. Takes the lock.
    void settle_changes();
    /// Of the change that the pending intent comes of; empty if of none.
    std::string approvers_of_pending();
    Expected<CommitResult, Problem> rollback_with_approvals(std::uint64_t generation, const Caller& caller,
                                                            const AuditRecord& record);

    // --- drafts.cpp
    Expected<PolicyBase, Problem> base_of(const DraftSave& wanted);
    /// What became of the policy behind `base`; nothing if it is still in force.
    std::optional<Problem> moved_on(const PolicyBase& base);
    Expected<CommitResult, Problem> apply_kept(const std::string& name, const std::string& hash,
                                               const CommitOptions& options, const AuditRecord& record);

    // --- shadow.cpp
    std::shared_ptr<ShadowJudge> judge() const;
    void judge_new_flows(EventBatchPtr batch);
    /// All members of the policy's sets that come over the API. Error: a sentence.
    Expected<std::shared_ptr<dp::OwnSetTable>, std::string> members_of(const Policy& policy);
    Expected<std::shared_ptr<PreparedPolicy>, Problem> prepare_shadow(SourcePolicy source) const;
    Expected<ShadowReport, Problem> begin_shadow(const ShadowStart& wanted, const AuditRecord& record);
    void use_shadow(PreparedPtr candidate);
    void watch_new_flows();
    void load_shadow();
    void tend_shadow();

    CommitResult result_of(const PreparedPolicy& prepared, CommitState state) const;
    void count_publish(const char* result);

    // --- fold.cpp; takes the lock
    /// Once edits rest, or there are many, what stands beside the tables is compiled into them.
    void fold_overlay();

    // --- spelling.cpp; takes the lock
    /// Gives the store a whole text that the next edit is short beside.
    void spell_current();

    // --- plan.cpp; needs no lock
    DryRunResult dry_run_of(Read read, std::optional<std::int64_t> flows_since_ns, const Caller& caller);
    UnusedFor unused_rules(const Shared& now);

    // --- sets.cpp; all but the first need sets_mutex_
    std::optional<SetInfo> find_set(const std::string& name) const;
    std::string send_changes(std::span<const abi::SetChange> changes, std::uint64_t first_number, bool is_first);
    std::string sync_sets();
    /// The members that hold an address, and nothing else: what a lookup about that address needs.
    Expected<std::shared_ptr<dp::OwnSetTable>, Problem> members_about(const Policy& policy, const dp::LookupKey& key);

    // --- plan_flows.cpp; needs no lock
    std::optional<RecordedEffect> recorded_of_plan(const AnalysedPolicy& before, const AnalysedPolicy& after,
                                                   const WireHint& wires, std::int64_t since_ns);
    std::optional<LiveEffect> live_of_plan(const AnalysedPolicy& before, const AnalysedPolicy& after,
                                           const Shared& now);

    // --- reconcile.cpp
    void keep();
    void reconcile();
    /// Did the dataplane take it, to be confirmed?
    bool was_pending(std::uint64_t generation) const;
    void settle_intent(const abi::ProcessState& running);
    void follow_revert(const abi::ProcessState& running);
    void republish(const abi::ProcessState& running);
    void retry_writes();
    Expected<PreparedPtr, std::string> load(const PolicyRef& ref);
    void load_current();

    // TablesListener: on the client's thread
    void on_hello(const abi::Hello& hello, TelemetryFds telemetry) override;
    void on_claim(bool granted, std::uint32_t holder_pid) override;
    void on_notice(const abi::Notice& notice) override;
    void on_status(const abi::ProcessState& state) override;
    void on_lost(const std::string& why) override;

    // --- what questions share
    struct Shared {
        PreparedPtr current, pending;
        SteadyTime current_since{};            ///< when `current` came into force
        std::shared_ptr<const SlotMap> slots;  ///< may be null before the first policy
        /// By slot: since when this process has read its counter as its rule's. Null as `slots`.
        std::shared_ptr<const std::vector<SteadyTime>> slot_since;
        std::optional<abi::Hello> hello;  ///< of the dataplane that is or was last there; state as last heard
        bool connected{false}, publisher{false};
        std::uint32_t other_publisher_pid{};
        std::string trouble;            ///< why the dataplane does not run what is stored
        std::string telemetry_trouble;  ///< why its counters can't be read
        std::string write_trouble;      ///< current, which could not be written after adoption
        std::map<std::string, std::uint64_t> publishes;
        std::uint64_t folds{};  ///< of overlays into the tables
        std::uint64_t texts_spelled{};
        std::uint64_t freezes_broken{}, approvals_broken{};
        std::map<ChangeState, std::uint64_t> changes_ended;
        std::uint64_t changes_missed{};       ///< of those, with a time of their own at which they were not applied
        std::uint64_t guarded_generation{};   ///< the last one that its guard made us leave
        std::string guard_told;               ///< and why
        std::string guard;                    ///< of the commit that waits, as it was asked for; empty = none
        std::uint64_t unsettled{};            ///< the store's intent: what came of it is not written yet; 0 = none
        std::shared_ptr<ShadowJudge> shadow;  ///< null: none runs
        std::string shadow_trouble;           ///< why the one that is stored does not run
        ApplyDurations apply;
        /// What packets meet: a pending commit if there is one.
        PreparedPtr active() const { return pending ? pending : current; }
        bool runs(const PreparedPtr& prepared) const;
        std::vector<std::string> port_names() const;
        WireHint wires() const;
    };
    Shared shared() const;
    void heard(const abi::ProcessState& state);
    void ask_what_runs();
    void look_at_pending();
    bool flows_are_judged(const Shared& now);
    /// The filter in numbers of the dataplane. Problem: 400 with the place.
    static Expected<abi::FlowFilter, Problem> filter_of(const Shared& now, const std::string& text);
    void wake_keeper();

    const ControlConfig config_;
    const ServiceOptions options_;
    RecordStore records_;
    Telemetry telemetry_;  // hands events to records_

    LastGoodWriter last_good_;

    std::mutex shadow_mutex_;             // starts, stops and what the dataplane is told of it; taken behind no other
    std::atomic<bool> shadow_due_{true};  // the stored one may be compiled now if it could not be before
    std::atomic<bool> watch_due_{};       // this dataplane has not been told whether to tell new flows

    std::mutex sets_mutex_;                              // taken behind commit_mutex_
    bool sets_sent_{false};                              // sets_mutex_: the dataplane has what the store has
    std::int64_t sets_expire_at_ns_{};                   // the keeper's
    SteadyTime fold_not_before_{};                       // the keeper's
    std::weak_ptr<const PreparedPolicy> spelling_seen_;  // the keeper's: nothing is to be done about this one

    std::mutex commit_mutex_;
    std::unique_ptr<PolicyStore> store_;  // commit_mutex_ but for its audit, history, tokens and sets
    AuditCheck check_at_start_;           // fixed
    bool started_{false};                 // between start and stop
    AuditRecord promote_record_;          // commit_mutex_
    /// As many as any dataplane has, until one has said how many it has.
    SlotMap slots_{kRuleSlotsMost};         // commit_mutex_
    std::optional<SlotMap> slots_written_;  // commit_mutex_; nothing: what the store has may be another
    bool promote_due_{false};               // commit_mutex_: adopted, but current could not be written
    struct DueRestore {
        PolicyRef ref;
        AuditRecord record;
    };
    std::optional<DueRestore> restore_due_;  // commit_mutex_: gone back to, but that could not be written
    /// commit_mutex_: the last one that this process has offered to the dataplane. Is it found not to run, it is not
    /// offered again: it may be what the dataplane died of.
    std::uint64_t offered_change_{};
    TrafficHistory traffic_;            // commit_mutex_
    std::optional<CommitGuard> guard_;  // commit_mutex_: of the commit that waits
    std::uint64_t guard_failed_{};      // commit_mutex_: the last generation that its guard could not leave

    mutable std::mutex state_mutex_;
    Shared shared_;  // state_mutex_

    std::mutex keeper_mutex_;
    std::condition_variable keeper_wake_;
    bool reconcile_wanted_{false}, stopping_{false};  // keeper_mutex_
    std::thread keeper_;
    TablesClient client_;  // last: its thread calls us, so it goes first
};

std::string to_text(const ClientError& error);

// --- lock_out.cpp
Problem locks_out(const std::string& why);

// --- spelling.cpp
/// The text that edits of a policy in its author's own words go on from; no future where none is worth its while. `of`
/// outlives it.
std::future<std::shared_ptr<const Spelled>> spelled_soon(const PreparedPolicy& of, std::size_t bytes_min);

/// What `reader` still has, until the deadline.
RecordedEffect recorded_effect(RecordReader& reader, FlowTally& tally, std::chrono::steady_clock::time_point deadline);

}  // namespace sluice::cp
