/// What every command has at hand, and what it may fail with. A command returns the process's exit code.
#pragma once

#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include <boost/json.hpp>

#include "tools/sluicectl/http_client.hpp"

namespace sluice::ctl {

struct PolicyText;

inline constexpr int kExitSame = 0;
inline constexpr int kExitError = 1;
inline constexpr int kExitChanges = 2;  ///< of `plan`
inline constexpr int kExitWaits = 3;    ///< of whatever changes the policy: others have to approve it first

/// Ends the command; the text goes to standard error as it is, line by line.
class CommandError : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// -o
enum class OutputForm : std::uint8_t { table, wide, json, yaml };

struct Context {
    HttpClient client;
    OutputForm output{};
    std::string reason;  ///< --reason: stands in the audit
    std::string idempotency_key{};
    bool break_glass{}, force{};  ///< of commits
    bool colours{};               ///< on standard output

    /// The answer is for a program: `print_value` writes it.
    bool machine() const noexcept { return output == OutputForm::json || output == OutputForm::yaml; }
    bool wide() const noexcept { return output == OutputForm::wide; }
};

// structured_output.cpp
/// A line of JSON, or a document of YAML.
void print_value(const Context& context, const boost::json::value& value);

/// Sends, whatever comes back.
HttpReply exchange(const Context& context, const HttpRequest& request);
/// Sends; a problem document becomes a CommandError. `file`: what the user wrote, for messages with a position.
HttpReply send(const Context& context, const HttpRequest& request, std::string_view file = {});
/// Sends and reads the answer as JSON.
boost::json::value fetch(const Context& context, const HttpRequest& request, std::string_view file = {});

/// `file:line:col: what; fix`, one line per error, and the problem's own sentence last.
std::string problem_text(const HttpReply& reply, std::string_view file);
std::string error_lines(const boost::json::array& errors, std::string_view file);

/// Of what has a line and a column: the file that PolicyText::place has put there.
std::string file_of(const boost::json::object& told, std::string_view otherwise);

boost::json::value parse_json(std::string_view text);
std::string text_of(const boost::json::value& object, std::string_view key);
std::uint64_t count_of(const boost::json::value& object, std::string_view key);
double number_of(const boost::json::value& object, std::string_view key);
bool flag_of(const boost::json::value& object, std::string_view key);

/// For a query: every byte that could mean something there is escaped.
std::string escaped(std::string_view text);

std::string read_file(const std::string& path);
/// `10m`, `90s`, `1h30m`, `7d`, `45` (seconds); 1 s to `seconds_max`.
std::optional<std::uint64_t> parse_duration_s(std::string_view text, std::uint64_t seconds_max = 86'400);

// policy_commands.cpp
/// `flows_since`: of recorded flows; empty = no flows are looked at, live ones neither.
int plan(const Context& context, const std::vector<std::string>& files, const std::string& flows_since);
struct ApplyOptions {
    std::vector<std::string> files;  ///< policy_files.hpp
    std::string confirm;             ///< duration, empty = adopt for good
    std::string guard;               ///< as the API takes it, empty = none
    std::string at;                  ///< when it is to be applied; empty = now
    std::string base;                ///< as for add_condition
};
int apply(const Context& context, const ApplyOptions& options);
/// As `send`; an answer, good or not, names the files that the policy was joined of (policy_files.hpp).
HttpReply send_policy(const Context& context, const HttpRequest& request, const PolicyText& policy);
/// ETag of the stored policy, nothing if there is none.
std::optional<std::string> stored_etag(const Context& context);
/// The policy that the request may replace. `base`: first digits of its hash, as plan prints them, or `none`; empty =
/// the one that is stored now. False: none is stored, and none was named.
bool add_condition(const Context& context, HttpRequest& request, const std::string& base);
/// --break-glass and --force.
void add_permissions(const Context& context, HttpRequest& request);
/// What the options of a commit say: --confirm, --guard, and the permissions.
void add_commit_headers(const Context& context, HttpRequest& request, const std::string& duration,
                        const std::string& guard);
/// `?at=` for the target; nothing if there is no time.
void add_time(HttpRequest& request, const std::string& at);
/// What came of a commit; the same for all that end in one. Exit code 0, or 3 if it waits for approvals.
int report_commit(const Context& context, const HttpReply& reply, std::string_view file);
/// A plan; exit code 0, 2 or 1. `stored`: ETag of the policy that it was compared with; `how`: what applies it.
int report_plan(const Context& context, const HttpReply& reply, const std::optional<std::string>& stored,
                const std::string& file, const std::string& how);
int patch(const Context& context, const std::string& file, const std::string& confirm, const std::string& guard,
          const std::string& at, const std::string& base);
int confirm(const Context& context, std::uint64_t generation);
/// What became of a generation. `generation`: 0 = the one that runs.
int show_commit(const Context& context, std::uint64_t generation);
/// Leaves what runs for what ran before it, at once.
int rollback(const Context& context);
/// Puts a generation of the history in force again. `confirm`, `guard`: as for apply.
int roll_back_to(const Context& context, std::uint64_t generation, const std::string& confirm, const std::string& guard,
                 const std::string& at, const std::string& base);
/// `+ rule web-in  action allow`, coloured; the same in plans and in the history.
void print_change(const boost::json::value& change, bool colours);
int get_policy(const Context& context);

// history_commands.cpp
int history(const Context& context, std::uint64_t count_max);
/// `text`: what was written, and nothing else.
int history_show(const Context& context, std::uint64_t generation, bool text);
int history_diff(const Context& context, std::uint64_t from, std::uint64_t to);
struct AuditOptions {
    std::string since, until, user, action;
    std::uint64_t count_max{};
};
int audit(const Context& context, const AuditOptions& options);
/// Exit code 1 if the chain is broken.
int audit_verify(const Context& context);

// set_commands.cpp
/// All sets, or the members of one.
int set_list(const Context& context, const std::string& name, std::uint64_t count_max);
/// `for_time`: a duration; empty = they stay.
int set_add(const Context& context, const std::string& name, const std::vector<std::string>& members,
            const std::string& for_time);
int set_remove(const Context& context, const std::string& name, const std::vector<std::string>& members);
/// `file`: a member a line, - = standard input.
int set_replace(const Context& context, const std::string& name, const std::string& file);
/// Members into a set by which a rule refuses; if there is no such set, what there is.
int block(const Context& context, const std::string& set, const std::vector<std::string>& members,
          const std::string& for_time);

// draft_commands.cpp
/// Of a draft in the API; throws CommandError if that is no name of one.
std::string draft_path(const std::string& name, std::string_view verb = {});
int draft_list(const Context& context);
/// `text`: what was written, and nothing else.
int draft_show(const Context& context, const std::string& name, bool text);
struct DraftSaveOptions {
    std::string name, file;
    std::string base;  ///< current, a generation, or empty = as it was
    bool only_new{};
};
/// Errors of the policy are told, and it is kept; exit code 0.
int draft_save(const Context& context, const DraftSaveOptions& options);
/// As `plan`.
int draft_plan(const Context& context, const std::string& name, const std::string& flows_since);
struct DraftApplyOptions {
    std::string name, hash, confirm, guard, at;
};
int draft_apply(const Context& context, const DraftApplyOptions& options);
int draft_delete(const Context& context, const std::string& name);

// change_commands.cpp
/// `state`: only those in it; empty = all.
int change_list(const Context& context, const std::string& state, std::uint64_t count_max);
/// `text`: what was sent, and nothing else.
int change_show(const Context& context, std::uint64_t id, bool text);
int change_approve(const Context& context, std::uint64_t id);
/// Without the approvals that are missing: --break-glass and --reason.
int change_apply(const Context& context, std::uint64_t id);
int change_reject(const Context& context, std::uint64_t id);
int change_withdraw(const Context& context, std::uint64_t id);
/// What a change waits for.
void print_waiting(const boost::json::value& change);

// shadow_command.cpp
/// One of the two: `files` as of `apply`, or the name of a draft.
int shadow_start(const Context& context, const std::vector<std::string>& files, const std::string& draft);
int shadow_show(const Context& context);
int shadow_stop(const Context& context);

// freeze_command.cpp
int freeze_show(const Context& context);
/// Times as RFC 3339 has them; no `from` = now.
int freeze_set(const Context& context, const std::string& from, const std::string& until);
int freeze_lift(const Context& context);

// token_commands.cpp
/// Prints the token's text, which nobody shows again. `expires`: a duration, `never`, or empty = 90 days.
int token_create(const Context& context, const std::string& name, const std::vector<std::string>& roles,
                 const std::string& expires);
int token_list(const Context& context);
int token_revoke(const Context& context, const std::string& name_or_id);

// support_bundle.cpp
struct SupportOptions {
    std::string file;  ///< empty = a name with the time, here
    std::string config_dir, version;
    std::vector<std::string> logs;
    bool no_policy{};
    std::vector<std::string> secrets;  ///< texts that must not be in it
};
int support_bundle(const Context& context, const SupportOptions& options);

// view_commands.cpp
int status(const Context& context);
int get_workers(const Context& context);
int get_rules(const Context& context);
int get_drops(const Context& context);
int get_flows(const Context& context, std::uint64_t count_max, const std::string& filter);
/// `all`: instead of a filter. `answer`: both ends of each flow learn of it.
int end_flows(const Context& context, const std::string& filter, bool all, bool answer);

// top_command.cpp
struct TopOptions {
    std::string what;                  ///< rules, talkers or ports
    std::string by;                    ///< flows, packets or bytes
    std::string since, until, filter;  ///< of recorded flows; all empty = live ones
    std::uint64_t count_max{};
};
int top(const Context& context, const TopOptions& options);

// explain_command.cpp
/// `at`: an instant; empty = now.
int explain(const Context& context, std::string in_port, std::vector<std::string> arguments, const std::string& at);
/// The body of POST /v1/explain; throws CommandError with the way to write it.
boost::json::object explain_question(const std::string& in_port, const std::string& src, const std::string& dst);

// follow_command.cpp
/// An event or a record as people read it; `date` in front of its time of day.
std::string event_line(const boost::json::object& event, bool date, bool colours);
/// Lines that were shown, as JSON: the newest of them, since what was told before those can't come again.
class ToldLines {
public:
    void add(std::string line) {
        if (newer_.size() == kHalf) older_ = std::exchange(newer_, {});
        newer_.insert(std::move(line));
    }
    /// Was it told? Each once.
    bool take(const std::string& line) { return newer_.erase(line) != 0 || older_.erase(line) != 0; }

private:
    static constexpr std::size_t kHalf = 50'000;
    std::unordered_set<std::string> newer_, older_;
};
struct FlowsWanted {
    std::string since, until, filter;        ///< empty = no bound, all
    std::optional<std::uint64_t> count_max;  ///< of the past; none = all
    std::optional<std::uint64_t> last;       ///< so many of the newest of the past; none = from the oldest on
    bool follow{};                           ///< go on with what happens from now on
};
/// Of the past, as they happen, or one behind the other: then nothing in between is missing and nothing comes twice.
int follow_flows(const Context& context, const FlowsWanted& wanted);
/// What becomes of the policy, line by line.
int follow_policy(const Context& context);

// records_command.cpp
/// `told`: gets the newest of the lines; null = nobody asks.
int recorded_flows(const Context& context, const FlowsWanted& wanted, ToldLines* told);

}  // namespace sluice::ctl
