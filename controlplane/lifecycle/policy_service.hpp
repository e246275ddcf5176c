/// The life of a policy from request to adoption, and the questions about it: what REST resources and nothing else
/// call. Methods block (compile, fsync, wait for workers) and are safe to call from several threads; commits are
/// serialised. Callers with an event loop run them on a thread pool.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/abi/messages.hpp>
#include <sluice/expected.hpp>

#include "controlplane/compiler/policy_tests.hpp"
#include "controlplane/lifecycle/client_path.hpp"
#include "controlplane/lifecycle/commit_guard.hpp"
#include "controlplane/lifecycle/flow_effect.hpp"
#include "controlplane/lifecycle/plan_analysis.hpp"
#include "controlplane/lifecycle/plan_diff.hpp"
#include "controlplane/lifecycle/shadow_report.hpp"
#include "controlplane/policy/errors.hpp"
#include "controlplane/policy/model.hpp"
#include "controlplane/store/policy_store.hpp"
#include "controlplane/telemetry/times.hpp"

namespace sluice::cp {

/// Becomes an RFC 9457 problem document. `status` is the HTTP status: 412, 422, 428, 409, 503, 507, ...
struct Problem {
    int status{};
    std::string code;  ///< stable, kebab-case; the last part of the problem's `type`
    std::string title;
    std::string detail;
    PolicyErrors errors;
};

/// Who asks, for the audit.
struct Caller {
    std::string actor{"system"};  ///< as authenticated
    std::string origin{"local"};  ///< address
    std::string request_id;
    std::string reason;  ///< as given: why
    std::optional<ClientPath> path{};
    bool allow_lock_out{};  ///< also if `path` leads through us and would not any more
};

struct CommitOptions {
    std::optional<std::string> if_match;  ///< ETag value without quotes = policy hash
    bool if_none_match_any{};             ///< `If-None-Match: *`
    std::optional<std::chrono::milliseconds> confirm_within;
    std::optional<GuardBounds> guard{};  ///< only with `confirm_within`
    bool break_glass{};                  ///< also while changes are frozen; the caller says why
    std::int64_t at_ns{};                ///< UTC: to be applied then; 0 = now
    Caller caller{};
};

/// `waiting`: nothing is changed yet; `CommitResult::change` says what it waits for.
enum class CommitState : std::uint8_t { adopted, unchanged, pending_confirmation, stalled, waiting };

struct CommitResult {
    CommitState state{};
    std::string version;  ///< for people: name@first 6 hex digits of the hash
    std::string hash;     ///< 64 hex digits: SHA-256 of the canonical policy
    std::uint64_t generation{};
    std::vector<std::string> stalled_workers;
    std::optional<std::chrono::system_clock::time_point> confirm_deadline;
    std::vector<TestOutcome> tests;
    std::vector<PolicyError> warnings;
    std::optional<Change> change{};  ///< that waits, or that was applied; without its text
};

/// What became of a generation.
enum class CommitStanding : std::uint8_t {
    unsettled,             ///< offered, or left again: what came of it is not written down yet
    pending_confirmation,  ///< in force until its deadline
    adopted,               ///< in force
    superseded,            ///< was in force until another one was put
    rolled_back,           ///< left because somebody said so
    reverted,              ///< left by the dataplane: its confirmation did not come in time
    left_by_guard,         ///< left by its guard
    discarded,             ///< refused by the dataplane, or lost with it
};

struct CommitView {
    std::uint64_t generation{};
    CommitStanding standing{};
    std::string hash;    ///< of its policy
    AuditEntry asked;    ///< who, from where, why; number 0 = not known any more
    AuditEntry settled;  ///< what made it what it is now; number 0 = nothing yet
    std::optional<std::chrono::system_clock::time_point> confirm_deadline;
    std::string guard;  ///< that watches it; empty = none
};

/// A change that waits, or has ended.
struct ChangeView {
    Change change;
    /// From the policy in force to what would come of it. Nothing: it has ended, or its base is not in force.
    std::optional<std::vector<PlanChange>> changes{};
};

struct PlanOptions {
    /// Flows are looked at as well: those that live, and those recorded since then (record_query.hpp). Empty = none
    /// are.
    std::string flows_since{};
    Caller caller{};
};

struct DryRunResult {
    bool ok{};
    std::string version, hash;
    std::vector<TestOutcome> tests;
    PolicyErrors errors;
    PolicyErrors warnings;
    /// Rules by id against the stored policy: what a plan prints.
    std::vector<std::string> rules_added, rules_changed, rules_removed;
    /// Everything that differs from the stored policy, as its author would say it.
    std::vector<PlanChange> changes;
    /// What that means for packets, and what is odd about the policy.
    PlanAnalysis analysis;
    /// What it means for flows. Nothing where they were not asked about, or can't be: no policy to compare with, no
    /// dataplane, no store of records.
    std::optional<LiveEffect> live{};
    std::optional<RecordedEffect> recorded{};
    std::string compared_with;  ///< version of the stored policy, empty if there is none
    std::string waiting;        ///< version that waits for confirmation: not what is compared with
};

struct CurrentPolicy {
    std::string name, version, hash;
    std::string text;  ///< YAML or JSON as stored
    PolicyFormat format{};
    std::uint64_t generation{};
};

struct ExplainQuery {
    std::string in_port;  ///< name of a port
    abi::IpFamily family{};
    abi::IpAddr src{}, dst{};
    abi::L4Proto proto{};
    std::uint16_t sport{}, dport_or_icmp{};  ///< as dp::LookupKey
    std::optional<std::int64_t> at;          ///< UTC in seconds; absent = now
};

struct ExplainResult {
    abi::Verdict verdict{};
    std::string rule;      ///< id
    abi::RuleMode mode{};  ///< of the deciding rule: always enforce; an observe match stands in `observed`
    std::string observed;  ///< id of the observe rule that would have decided, or empty
    std::string from_zone, to_zone;
    struct Skipped {
        std::string rule;
        std::string field;     ///< first field that excluded it: when | from | to | service
        std::string not_in{};  ///< the set behind `not` in that field which alone did, or empty
        bool never_block{};    ///< a member of a set that the field names, and in never_block
    };
    std::vector<Skipped> skipped;     ///< rules that were asked before the deciding one, in order
    std::vector<std::string> passed;  ///< rules that left the packet to a later layer, in order
};

struct RuleStats {
    std::string id, action, mode;
    std::uint64_t hits{}, packets{}, bytes{};
    std::optional<std::chrono::system_clock::time_point> first_hit, last_hit;
};

struct FlowView {
    abi::FlowRecord record;
    std::string rule;  ///< id, or empty if its slot is no longer known
    std::string from_zone, to_zone;
};
struct FlowPage {
    std::vector<FlowView> flows;
    std::optional<std::string> next;  ///< opaque cursor
};

struct FlowQuery {
    std::uint32_t count_max{};
    std::optional<std::string> cursor;
    std::string filter;  ///< flow_filter.hpp; empty = all
};

/// Flows of the past: what the record store kept.
struct RecordQuery {
    std::uint32_t count_max{};
    std::string since, until;           ///< record_query.hpp; empty = no bound
    std::optional<std::string> cursor;  ///< holds since and until
    std::string filter;                 ///< record_filter.hpp; empty = all
    std::optional<std::uint32_t> last;  ///< so many of the newest that fit; instead of count_max and cursor
};
struct RecordPage {
    std::vector<std::string> lines;                  ///< JSON, as in the flow log; oldest first
    std::optional<std::string> next;                 ///< opaque cursor
    std::uint64_t damaged_blocks{}, records_lost{};  ///< that stood in what can't be read
    bool older_unread{};                             ///< of `last`: there was no time to look further back
};

struct EndFlowsQuery {
    std::string filter;  ///< empty only with `all`
    bool all{};
    bool answer{};  ///< their next packets are answered, so that both ends learn of it
    Caller caller{};
};
struct EndFlowsResult {
    std::uint64_t ended{};
    bool complete{};  ///< false: time ran out; flows are left that nobody has looked at, ask again
};

struct HistoryPage {
    std::vector<Adoption> adoptions;    ///< newest first
    std::optional<std::uint64_t> next;  ///< row to go on below
    std::uint64_t current_entry{};      ///< row of what ought to be in force, 0 = none
};
/// One adoption with its text, and what it changed.
struct HistoryView {
    Adoption adoption;
    std::string text;
    std::optional<Adoption> against;  ///< what it is compared with; nothing if it was the first
    std::vector<PlanChange> changes;  ///< from `against` to `adoption`
};

/// A policy that is worked on (draft_store.hpp).
struct DraftSave {
    std::string name;
    std::string_view body;
    PolicyFormat format{};
    std::optional<std::uint64_t> base;  ///< a generation, 0 = the policy in force; nothing: as it was, of a new one 0
    DraftCondition condition{};
    Caller caller{};
};
struct DraftSaved {
    Draft draft;  ///< without its text
    PolicyErrors errors;
};

/// A policy that is to be asked beside the one in force.
struct ShadowStart {
    std::string_view body{};
    PolicyFormat format{};
    std::string draft{};  ///< its text instead of `body`, if it is not empty
    Caller caller{};
};

/// A set whose members come over the API.
struct SetInfo {
    std::string name{};
    std::uint64_t members{}, members_max{};
    bool in_policy{};  ///< false: it has members that no policy asks for
    bool refuses{};    ///< a rule cuts off who is a member
};
struct SetMemberView {
    Prefix member;
    std::optional<std::int64_t> expires_ns{};  ///< UTC since 1970
    std::optional<std::uint64_t> hits{};       ///< since it came; nothing if the dataplane could not be asked
};
struct SetPage {
    std::vector<SetMemberView> members{};
    std::optional<std::string> next{};
    std::string etag{};
};
struct SetMemberEdit {
    Prefix member;
    std::uint64_t ttl_s{};  ///< 0 = it stays
};
struct SetChangeQuery {
    std::string name;
    SetEdit edit{};
    std::vector<SetMemberEdit> members{};
    std::optional<std::string> if_match{};  ///< of a replacement
    Caller caller{};
};
struct SetChangeResult {
    std::uint64_t added{}, removed{}, members{};
    std::string etag{};
    /// Every worker decides by it, live flows included. Else it is stored, and will be when the dataplane is there, or
    /// when its stalled workers turn.
    bool enforced{};
    std::string trouble{};  ///< why it is not enforced
    /// Members that stand in never_block, of a set that rules refuse by. `pointer` is their place in the query.
    PolicyErrors warnings{};
};

struct WorkerStatus {
    std::uint32_t index{}, lcore{};
    std::uint64_t generation{}, flows{};
    bool stalled{};
    std::uint64_t received{}, handed_out{}, handed_in{};  ///< packets, since its process started
    RecentTimes times;                                    ///< of the last ten to twenty seconds
};
struct PortStatus {
    std::string name, zone;
    bool link_up{};
    std::uint64_t rx_packets{}, tx_packets{}, drops{};
};
struct SystemStatus {
    bool dataplane_connected{};
    bool in_sync{};  ///< the dataplane runs what is stored
    std::string policy_name, version, hash;
    std::uint64_t generation{};          ///< stored
    std::uint64_t running_generation{};  ///< by the dataplane's own word
    std::string running_hash;
    std::string source;  ///< none, publisher, descriptor_store, last_good, reverted
    std::optional<std::chrono::system_clock::time_point> confirm_deadline;
    std::string guard;  ///< of the commit that waits; empty = none watches
    std::optional<std::chrono::system_clock::time_point> dataplane_started;
    bool fail_open{};
    std::string steering{"none"};  ///< none (one worker), rss, software
    std::uint64_t flows{}, flow_capacity{}, flows_half_open{}, flow_half_open_max{};
    std::string flow_pressure{"none"};         ///< none, half_open, closing, full
    std::string overload{"none"};              ///< none, samples, events, half_open, new_flows
    std::uint64_t flows_proxied{};             ///< begun by a SYN cookie
    bool syn_cookies{};                        ///< SYNs are being answered with them
    std::uint64_t flows_kept{}, flows_lost{};  ///< when the running dataplane process started
    std::vector<WorkerStatus> workers;
    std::vector<PortStatus> ports;
    std::string flow_log_trouble;  ///< lines of the flow log are being lost: why; no reason not to be ready
    bool records_enabled{};
    std::uint64_t records_bytes{}, records_segments{}, records_lost{};
    std::optional<std::chrono::system_clock::time_point> records_oldest;
    std::string records_trouble;         ///< flow records are being lost: why; no reason not to be ready
    AuditHead audit_head;                ///< last entry of the audit
    std::string audit_trouble;           ///< entries wait for the disk, or the chain was found broken at the start
    std::vector<std::string> not_ready;  ///< why /readyz says no; empty = ready
};

class PolicyService {
public:
    virtual ~PolicyService() = default;

    virtual Expected<CommitResult, Problem> put(std::string_view body, PolicyFormat format, const CommitOptions&) = 0;
    /// `edits` is the JSON text of the PATCH body: [{op: insert|replace|remove, id, before|after, rule}].
    virtual Expected<CommitResult, Problem> patch(std::string_view edits, const CommitOptions&) = 0;
    virtual Expected<DryRunResult, Problem> dry_run(std::string_view body, PolicyFormat format,
                                                    const PlanOptions& options) = 0;
    virtual Expected<DryRunResult, Problem> dry_run_patch(std::string_view edits, const PlanOptions& options) = 0;
    virtual Expected<CommitResult, Problem> confirm(std::uint64_t generation, const Caller& caller) = 0;
    virtual Expected<CommitView, Problem> commit_view(std::uint64_t generation) = 0;
    /// Leaves a generation for the one before it, which the dataplane still holds.
    virtual Expected<CommitResult, Problem> rollback(std::uint64_t generation, const Caller& caller) = 0;
    /// Puts the text of an earlier generation in force again, as a new generation; conditions as for `put`.
    virtual Expected<CommitResult, Problem> restore(std::uint64_t generation, const CommitOptions&) = 0;

    virtual Expected<HistoryPage, Problem> history(std::size_t count_max, std::optional<std::uint64_t> before) = 0;
    /// `against`: a generation; nothing = the one that was in force before.
    virtual Expected<HistoryView, Problem> history_view(std::uint64_t generation,
                                                        std::optional<std::uint64_t> against) = 0;
    virtual AuditLog& audit() = 0;
    virtual TokenStore& tokens() = 0;
    virtual AnswerStore& answers() = 0;
    virtual FreezeStore& freezes() = 0;
    virtual DraftStore& drafts() = 0;
    virtual ChangeStore& changes() = 0;

    virtual Expected<ChangeView, Problem> change_view(std::uint64_t id) = 0;
    /// With the last approval that it needs it is applied, unless it has a time of its own. `break_glass`: it stands
    /// for all that are missing.
    virtual Expected<CommitResult, Problem> approve_change(std::uint64_t id, const Caller& caller,
                                                           bool break_glass) = 0;
    virtual Expected<Change, Problem> reject_change(std::uint64_t id, const Caller& caller) = 0;
    /// Only by its author.
    virtual Expected<Change, Problem> withdraw_change(std::uint64_t id, const Caller& caller) = 0;

    /// Kept with errors too, as long as it can be read as YAML or JSON at all.
    virtual Expected<DraftSaved, Problem> save_draft(const DraftSave& wanted) = 0;
    /// As `put` of its text; 409 if the policy in force is another than its base. `hash`: the policy that it is meant
    /// to be; empty = whatever it is.
    virtual Expected<CommitResult, Problem> apply_draft(const std::string& name, const std::string& hash,
                                                        const CommitOptions&) = 0;

    /// In place of the one that runs, if one does.
    virtual Expected<ShadowReport, Problem> start_shadow(const ShadowStart& wanted) = 0;
    /// What it had counted.
    virtual Expected<ShadowReport, Problem> stop_shadow(const Caller& caller) = 0;
    /// Nothing: none runs.
    virtual std::optional<ShadowReport> shadow() = 0;

    virtual std::vector<SetInfo> sets() = 0;
    virtual Expected<SetPage, Problem> set_members(const std::string& name, std::size_t count_max,
                                                   const std::string& cursor) = 0;
    virtual Expected<SetChangeResult, Problem> change_set(const SetChangeQuery& query) = 0;

    virtual std::optional<CurrentPolicy> current() = 0;
    virtual SystemStatus status() = 0;
    virtual Expected<ExplainResult, Problem> explain(const ExplainQuery&) = 0;
    virtual std::vector<RuleStats> rules() = 0;
    /// A page may have fewer flows than asked for, and none, and still a `next`: the walk takes bounded time.
    virtual Expected<FlowPage, Problem> flows(const FlowQuery& query) = 0;
    /// The same holds for a page of records.
    virtual Expected<RecordPage, Problem> flow_records(const RecordQuery& query) = 0;
    virtual Expected<EndFlowsResult, Problem> end_flows(const EndFlowsQuery& query) = 0;
    /// Prometheus text exposition format; rule series only with `with_rules`.
    virtual std::string metrics(bool with_rules) = 0;

    /// Flow events as JSON lines (without newline), newest last. `after` = id of the last one seen (0 = none).
    /// Waits up to `wait` for at least one. `lost` counts those that fell out of the ring between `after` and the
    /// first.
    struct EventPage {
        struct Line {
            std::uint64_t id{};
            std::string json;
        };
        std::vector<Line> lines;
        std::uint64_t lost{};
    };
    virtual EventPage events_after(std::uint64_t after, std::size_t count_max, std::chrono::milliseconds wait) = 0;
    /// Id of the newest event, to start following from.
    virtual std::uint64_t newest_event() = 0;
};

}  // namespace sluice::cp
