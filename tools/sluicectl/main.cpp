/// sluicectl: the policy and what the firewall does, over the REST interface and nothing else.
#include <cstdlib>
#include <fstream>
#include <iostream>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "controlplane/policy/schema.hpp"
#include "tools/sluicectl/command.hpp"
#include "tools/sluicectl/completion.hpp"
#include "tools/sluicectl/man_page.hpp"
#include "tools/sluicectl/output.hpp"

namespace {

using namespace sluice::ctl;

struct Options {
    std::string url{"https://127.0.0.1:8443"};
    std::string ca{"/var/lib/sluice/control/ca.pem"};
    std::string token_file{"/var/lib/sluice/control/token"};
    std::string certificate, key;
    std::string output{"table"};

    std::string file, confirm, in_port, at, verdict;
    std::vector<std::string> files, words;
    bool force_first{}, follow{};
    std::string flows_since{"24h"}, guard{}, idempotency_key{};
    bool no_flows{}, break_glass{};
    std::string filter, since, until;
    bool all{}, answer{};
    std::uint64_t generation{}, against{}, limit{100};
    std::string reason, user, action;
    bool text{};
    std::string token_name, expires;
    std::string set_name, for_time;
    std::string draft_name, base, hash;
    std::uint64_t change{};
    std::string state;
    bool only_new{};
    std::string config_dir{"/etc/sluice"};
    std::vector<std::string> logs;
    bool no_policy{};
    std::vector<std::string> members;
    std::vector<std::string> roles;
};

/// --token-file wins over SLUICE_TOKEN, and that over SLUICE_TOKEN_FILE and the default.
std::string read_token(const Options& options, bool file_given) {
    if (const char* token = std::getenv("SLUICE_TOKEN"); token != nullptr && *token != '\0' && !file_given)
        return token;
    std::ifstream in{options.token_file};
    std::string token;
    if (!in || !(in >> token)) {
        throw CommandError{
            fmt::format("cannot read the token {}: {}; run as its owner, or pass --token-file or SLUICE_TOKEN",
                        options.token_file, in ? "it is empty" : std::strerror(errno))};
    }
    return token;
}

class Program {
public:
    int run(int argc, char** argv) {
        app_.require_subcommand(1);
        app_.set_version_flag("--version", SLUICE_VERSION);
        app_.add_option("--url", options_.url, "control plane")->envname("SLUICE_URL")->capture_default_str();
        app_.add_option("--ca", options_.ca, "certificate of the authority to trust")
            ->envname("SLUICE_CA")
            ->capture_default_str();
        // By hand, not by envname(): there the flag and the variable look the same, and SLUICE_TOKEN stands between
        // them.
        if (const char* file = std::getenv("SLUICE_TOKEN_FILE"); file != nullptr && *file != '\0')
            options_.token_file = file;
        token_option_ =
            app_.add_option("--token-file", options_.token_file,
                            "file with the token (Env:SLUICE_TOKEN_FILE); SLUICE_TOKEN holds the token itself")
                ->capture_default_str();
        certificate_option_ =
            app_.add_option("--cert", options_.certificate, "client certificate, PEM; no token is needed beside it")
                ->envname("SLUICE_CERT");
        app_.add_option("--key", options_.key, "its key, PEM; default: the same file")->envname("SLUICE_KEY");
        app_.add_option("-o,--output", options_.output, "table or json")
            ->check(CLI::IsMember({"table", "json"}))
            ->capture_default_str();
        app_.fallthrough();
        app_.add_option("--reason", options_.reason, "why; it stands in the audit and in the history");
        app_.add_option("--idempotency-key", options_.idempotency_key,
                        "of apply, patch, confirm, rollback: run again with the same key it is done once");
        add_policy_commands();
        add_history_commands();
        add_set_commands();
        add_token_commands();
        add_freeze_commands();
        add_draft_commands();
        add_change_commands();
        add_shadow_commands();
        add_view_commands();
        add_support_bundle();
        add_completion();
        refuse_unknown_commands(argc, argv);
        try {
            app_.parse(argc, argv);
        } catch (const CLI::ParseError& error) {
            return app_.exit(error) == 0 ? EXIT_SUCCESS : kExitError;
        }
        return exit_code_;
    }

private:
    /// Beside a certificate only one that was asked for: the default file may be anybody's.
    std::string token() const {
        const char* of_environment = std::getenv("SLUICE_TOKEN");
        const bool asked = token_option_->count() > 0 || (of_environment != nullptr && *of_environment != '\0') ||
                           std::getenv("SLUICE_TOKEN_FILE") != nullptr;
        if (certificate_option_->count() > 0 && !asked) return {};
        return read_token(options_, token_option_->count() > 0);
    }

    /// Names the word that is no command; the parser would only say that one is missing.
    void refuse_unknown_commands(int argc, char** argv) const {
        const CLI::App* at = &app_;
        for (int i = 1; i < argc; ++i) {
            const std::string_view word = argv[i];
            if (word.starts_with('-')) {
                const bool takes_value =
                    word == "--url" || word == "--ca" || word == "--token-file" || word == "--cert" ||
                    word == "--key" || word == "-o" || word == "--output" || word == "--filter" || word == "--limit" ||
                    word == "--verdict" || word == "--reason" || word == "--since" || word == "--until" ||
                    word == "--user" || word == "--action" || word == "--role" || word == "--expires";
                if (takes_value) ++i;
                continue;
            }
            const auto commands = at->get_subcommands([](const CLI::App*) { return true; });
            if (commands.empty()) return;
            std::vector<std::string> names;
            const CLI::App* found = nullptr;
            for (const auto* command : commands) {
                names.push_back(command->get_name());
                if (command->get_name() == word) found = command;
            }
            if (found == nullptr) throw CommandError{unknown_word(word, names)};
            at = found;
        }
    }

    template <typename Call>
    CLI::App* command(CLI::App& parent, const std::string& name, const std::string& help, Call call) {
        auto* added = parent.add_subcommand(name, help);
        added->fallthrough();
        added->callback([this, call] {
            const Context context{
                .client = HttpClient{{.url = options_.url,
                                      .ca_file = options_.ca,
                                      .token = token(),
                                      .certificate_file = options_.certificate,
                                      .key_file = options_.key.empty() ? options_.certificate : options_.key}},
                .json = options_.output == "json",
                .reason = options_.reason,
                .idempotency_key = options_.idempotency_key,
                .break_glass = options_.break_glass,
                .colours = colours_wanted()};
            exit_code_ = call(context);
        });
        return added;
    }

    CLI::Option* add_file(CLI::App* to, const std::string& help) {
        return to->add_option("-f,--file", options_.file, help)->required();
    }

    void add_plan_flows(CLI::App* to) {
        to->add_option("--flows-since", options_.flows_since,
                       "recorded flows to look at, besides those that live: a time, or how long ago")
            ->capture_default_str();
        to->add_flag("--no-flows", options_.no_flows, "look at no flows");
    }

    void add_files(CLI::App* to, bool required = true) {
        to->add_option(
              "-f,--file", options_.files,
              "policy, YAML or JSON; - reads standard input; several (-f A -f B) or a folder are joined, by layer")
            ->required(required)
            ->allow_extra_args(false);
    }

    /// Of whatever changes the policy.
    void add_guard(CLI::App* to) {
        to->add_flag("--break-glass", options_.break_glass,
                     "also during a change freeze; --reason is required, and everybody hears of it");
        to->add_option("--guard", options_.guard,
                       "with --confirm: go back at once if a rate gets worse by more than so many percentage points, "
                       "e.g. drop-rate=5,refused-flows=20");
    }

    void add_at(CLI::App* to) {
        to->add_option("--at", options_.at,
                       "check it now and apply it then, e.g. 2026-12-05T02:00+08:00, if the policy is still the same");
    }

    void add_policy_commands() {
        auto* plan_command =
            command(app_, "plan", "what a policy would change; exit code 0 nothing, 2 something, 1 error",
                    [this](const Context& c) {
                        return plan(c, options_.files, options_.no_flows ? std::string{} : options_.flows_since);
                    });
        add_files(plan_command);
        add_plan_flows(plan_command);
        auto* apply_command = command(app_, "apply", "replace the policy", [this](const Context& c) {
            return apply(c, {.files = options_.files,
                             .confirm = options_.confirm,
                             .guard = options_.guard,
                             .at = options_.at,
                             .force_first = options_.force_first});
        });
        add_files(apply_command);
        apply_command->add_option("--confirm", options_.confirm, "revert unless confirmed within this time, e.g. 10m");
        add_guard(apply_command);
        add_at(apply_command);
        apply_command->add_flag("--force-first", options_.force_first,
                                "only as the very first policy: fail if one is stored");
        auto* patch_command = command(app_, "patch", "edit rules by id", [this](const Context& c) {
            return patch(c, options_.file, options_.confirm, options_.guard, options_.at);
        });
        add_file(patch_command, "JSON: [{op: insert|replace|remove, id, before|after, rule}]");
        patch_command->add_option("--confirm", options_.confirm, "revert unless confirmed within this time, e.g. 10m");
        add_guard(patch_command);
        add_at(patch_command);
        command(app_, "confirm", "keep a policy that waits for its confirmation", [this](const Context& c) {
            return confirm(c, options_.generation);
        })->add_option("GENERATION", options_.generation, "default: the one that runs");
        auto* rollback_command = command(
            app_, "rollback", "back to the policy before, or to a generation of the history", [this](const Context& c) {
                if (options_.generation != 0)
                    return roll_back_to(c, options_.generation, options_.confirm, options_.guard, options_.at);
                if (!options_.confirm.empty() || !options_.at.empty())
                    throw CommandError{"--confirm and --at need a generation to return to"};
                return rollback(c);
            });
        rollback_command->add_option("GENERATION", options_.generation,
                                     "the one to return to (sluicectl history lists them); default: leave what runs");
        rollback_command->add_option("--confirm", options_.confirm,
                                     "revert unless confirmed within this time, e.g. 10m");
        add_guard(rollback_command);
        add_at(rollback_command);
    }

    void add_history_commands() {
        auto* history_command =
            command(app_, "history", "what was in force when, by whom and why", [this](const Context& c) {
                if (history_show_->parsed()) return exit_code_;
                return history(c, options_.limit);
            });
        add_limit(history_command);
        history_show_ =
            command(*history_command, "show", "one generation, and what it changed",
                    [this](const Context& c) { return history_show(c, options_.generation, options_.text); });
        history_show_->add_option("GENERATION", options_.generation, "as sluicectl history lists it")->required();
        history_show_->add_flag("--text", options_.text, "print what was written, and nothing else");
        auto* diff = command(app_, "diff", "what differs between two generations", [this](const Context& c) {
            return history_diff(c, options_.generation, options_.against);
        });
        diff->add_option("FROM", options_.generation, "generation")->required();
        diff->add_option("TO", options_.against, "generation")->required();
        auto* audit_command =
            command(app_, "audit", "who did or tried what, from where and why", [this](const Context& c) {
                if (audit_verify_->parsed()) return exit_code_;
                return audit(c, {.since = options_.since,
                                 .until = options_.until,
                                 .user = options_.user,
                                 .action = options_.action,
                                 .count_max = options_.limit});
            });
        audit_command->add_option("--since", options_.since, "90s, 1h30m, 7d ago, or 2026-11-26T05:00:00Z");
        audit_command->add_option("--until", options_.until, "the same; this moment is outside");
        audit_command->add_option("--user", options_.user,
                                  "who, e.g. token:ci-deploy (or with its id, token:ci-deploy/7f3a9c21), or anonymous");
        audit_command->add_option("--action", options_.action, "e.g. policy.put, or policy for all of policy.*");
        add_limit(audit_command);
        audit_verify_ = command(*audit_command, "verify", "is the chain whole? exit code 0 yes, 1 no",
                                [](const Context& c) { return audit_verify(c); });
    }

    void add_set_commands() {
        auto* set = app_.add_subcommand("set", "sets whose members come and go without a change of the policy");
        set->require_subcommand(1);
        set->fallthrough();
        auto* list = command(*set, "list", "all of them, or the members of one",
                             [this](const Context& c) { return set_list(c, options_.set_name, options_.limit); });
        list->add_option("NAME", options_.set_name, "the set");
        add_limit(list);
        auto* add = command(*set, "add", "members that it is to have, too", [this](const Context& c) {
            return set_add(c, options_.set_name, options_.members, options_.for_time);
        });
        auto* remove = command(*set, "remove", "members that it is not to have",
                               [this](const Context& c) { return set_remove(c, options_.set_name, options_.members); });
        for (auto* one : {add, remove}) {
            one->add_option("NAME", options_.set_name, "the set")->required();
            one->add_option("MEMBER", options_.members, "addresses and prefixes")->required();
        }
        add->add_option("--for", options_.for_time, "how long, e.g. 1h; without it they stay");
        auto* replace = command(*set, "replace", "other members, all at once",
                                [this](const Context& c) { return set_replace(c, options_.set_name, options_.file); });
        replace->add_option("NAME", options_.set_name, "the set")->required();
        replace->add_option("FILE", options_.file, "a member a line; - is standard input")->required();
    }

    void add_freeze_commands() {
        auto* freeze = app_.add_subcommand("freeze", "when policies are not to be changed");
        freeze->require_subcommand(1);
        freeze->fallthrough();
        command(*freeze, "show", "the freeze, if there is one", [](const Context& c) { return freeze_show(c); });
        auto* set = command(*freeze, "set", "no change from now, or --from, until a time; --reason is required",
                            [this](const Context& c) { return freeze_set(c, options_.since, options_.until); });
        set->add_option("UNTIL", options_.until, "e.g. 2026-12-24T18:00:00+08:00")->required();
        set->add_option("--from", options_.since, "the same; default: now");
        command(*freeze, "lift", "changes are allowed again", [](const Context& c) { return freeze_lift(c); });
    }

    void add_draft_commands() {
        auto* draft = app_.add_subcommand("draft", "policies that are worked on, kept by the control plane");
        draft->require_subcommand(1);
        draft->fallthrough();
        command(*draft, "list", "all of them", [](const Context& c) { return draft_list(c); });
        const auto add = [&](const std::string& name, const std::string& help, auto call) {
            auto* added = command(*draft, name, help, call);
            added->add_option("NAME", options_.draft_name, "the draft")->required();
            return added;
        };
        add("show", "one of them", [this](const Context& c) {
            return draft_show(c, options_.draft_name, options_.text);
        })->add_flag("--text", options_.text, "print what was written, and nothing else");
        auto* save = add("save", "keep a policy under a name; nothing of it is in force", [this](const Context& c) {
            return draft_save(c, {.name = options_.draft_name,
                                  .file = options_.file,
                                  .base = options_.base,
                                  .only_new = options_.only_new});
        });
        add_file(save, "policy, YAML or JSON; - reads standard input");
        save->add_option("--base", options_.base,
                         "what it is written over: current, or a generation; default: as before, of a new one current");
        save->add_flag("--new", options_.only_new, "fail if there is a draft of this name");
        auto* plan_command =
            add("plan", "what it would change; exit code 0 nothing, 2 something, 1 error", [this](const Context& c) {
                return draft_plan(c, options_.draft_name, options_.no_flows ? std::string{} : options_.flows_since);
            });
        add_plan_flows(plan_command);
        auto* apply_command =
            add("apply", "put it in force, if what it was written over still is", [this](const Context& c) {
                return draft_apply(c, {.name = options_.draft_name,
                                       .hash = options_.hash,
                                       .confirm = options_.confirm,
                                       .guard = options_.guard,
                                       .at = options_.at});
            });
        apply_command->add_option("--hash", options_.hash,
                                  "of the plan that was looked at; fail if it is another by now");
        apply_command->add_option("--confirm", options_.confirm, "revert unless confirmed within this time, e.g. 10m");
        add_guard(apply_command);
        add_at(apply_command);
        add("delete", "drop it", [this](const Context& c) { return draft_delete(c, options_.draft_name); });
    }

    void add_change_commands() {
        auto* changes =
            app_.add_subcommand("changes", "changes of the policy that wait for approvals, or for their time");
        changes->require_subcommand(1);
        changes->fallthrough();
        auto* list = command(*changes, "list", "all of them, newest first; those that have ended too",
                             [this](const Context& c) { return change_list(c, options_.state, options_.limit); });
        list->add_option("--state", options_.state, "only these")
            ->check(CLI::IsMember({"pending", "scheduled", "applying", "applied", "rejected", "withdrawn", "expired",
                                   "stale", "failed"}));
        list->add_option("--limit", options_.limit, "lines to show at most")
            ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1000}))
            ->capture_default_str();
        const auto add = [&](const std::string& name, const std::string& help, auto call) {
            auto* added = command(*changes, name, help, call);
            added->add_option("CHANGE", options_.change, "its number")
                ->required()
                ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{INT64_MAX}));
            return added;
        };
        add("show", "one of them, and what it would change", [this](const Context& c) {
            return change_show(c, options_.change, options_.text);
        })->add_flag("--text", options_.text, "print what was sent, and nothing else");
        add("approve", "let somebody else's change go; with the last approval it is applied",
            [this](const Context& c) { return change_approve(c, options_.change); });
        add("reject", "end somebody's change; --reason is required",
            [this](const Context& c) { return change_reject(c, options_.change); });
        add("withdraw", "take back one's own",
            [this](const Context& c) { return change_withdraw(c, options_.change); });
        add("apply", "as an admin, without the approvals that are missing; --reason is required",
            [this](const Context& c) { return change_apply(c, options_.change); })
            ->add_flag("--break-glass", options_.break_glass, "required: everybody hears of it");
    }

    void add_shadow_commands() {
        auto* shadow = app_.add_subcommand("shadow", "a policy that is asked about new flows and decides nothing");
        shadow->require_subcommand(1);
        shadow->fallthrough();
        auto* start =
            command(*shadow, "start", "ask a policy from now on, in place of the one that is asked",
                    [this](const Context& c) { return shadow_start(c, options_.files, options_.draft_name); });
        add_files(start, false);
        start->add_option("--draft", options_.draft_name, "a draft's text instead of a file");
        command(*shadow, "show", "which new flows it would have decided otherwise, and which it did not see",
                [](const Context& c) { return shadow_show(c); });
        command(*shadow, "stop", "ask it no more", [](const Context& c) { return shadow_stop(c); });
    }

    void add_token_commands() {
        auto* token = app_.add_subcommand("token", "create, list or revoke API tokens");
        token->require_subcommand(1);
        token->fallthrough();
        auto* create = command(*token, "create", "a new token; its text is printed once", [this](const Context& c) {
            return token_create(c, options_.token_name, options_.roles, options_.expires);
        });
        create->add_option("NAME", options_.token_name, "who or what it is for, e.g. ci-deploy")->required();
        create->add_option("--role", options_.roles, "viewer, operator, editor, approver, auditor or admin; repeatable")
            ->required()
            ->allow_extra_args(false);
        create->add_option("--expires", options_.expires, "90d (the default), 12h, ... or never");
        command(*token, "list", "who has which roles until when", [](const Context& c) { return token_list(c); });
        command(*token, "revoke", "take one back, from the next request on",
                [this](const Context& c) { return token_revoke(c, options_.token_name); })
            ->add_option("TOKEN", options_.token_name, "name or id")
            ->required();
    }

    int records(const Context& c) const {
        if (options_.follow) throw CommandError{"--since and --until are about the past; leave out -f"};
        if (!options_.verdict.empty())
            throw CommandError{"--verdict is for -f; write --filter verdict==" + options_.verdict};
        std::optional<std::uint64_t> limit;
        if (flows_limit_->count() > 0) limit = options_.limit;
        return recorded_flows(
            c, {.since = options_.since, .until = options_.until, .filter = options_.filter, .count_max = limit});
    }

    CLI::Option* add_limit(CLI::App* to) {
        return to->add_option("--limit", options_.limit, "lines to show at most")
            ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{10'000'000}))
            ->capture_default_str();
    }

    void add_filter(CLI::App* to) {
        to->add_option("--filter", options_.filter, "e.g. \"proto==tcp and dport in {443,8443} and idle_s>30\"");
    }

    void add_support_bundle() {
        auto* bundle =
            command(app_, "support-bundle", "one file with what somebody who is to help needs, without secrets",
                    [this](const Context& c) {
                        return support_bundle(c, {.file = options_.file,
                                                  .config_dir = options_.config_dir,
                                                  .version = SLUICE_VERSION,
                                                  .logs = options_.logs,
                                                  .no_policy = options_.no_policy,
                                                  .secrets = {token()}});
                    });
        bundle->add_option("-f,--file", options_.file,
                           "the file to write, .tar.gz; default: a name with the time, here");
        bundle->add_option("--config-dir", options_.config_dir, "where controlplane.yaml and dataplane.yaml are")
            ->capture_default_str();
        bundle->add_option("--log", options_.logs, "a log whose end goes in; repeatable")->allow_extra_args(false);
        bundle->add_flag("--no-policy", options_.no_policy, "leave the policy out");
    }

    /// They ask nobody: no token is read for them.
    void add_completion() {
        auto* completion = app_.add_subcommand("completion", "a script that completes commands and options in a shell");
        completion->require_subcommand(1);
        completion->add_subcommand("bash", "source <(sluicectl completion bash)")->callback([this] {
            std::cout << bash_completion(app_);
        });
        completion->add_subcommand("zsh", "source <(sluicectl completion zsh)")->callback([this] {
            std::cout << zsh_completion(app_);
        });
        app_.add_subcommand("schema", "the JSON schema of policies, for editors and pipelines")->callback([] {
            std::cout << sluice::cp::policy_json_schema();
        });
        app_.add_subcommand("man", "the manual page, for man -l -")->callback([this] {
            std::cout << man_page(app_, SLUICE_VERSION);
        });
    }

    void add_view_commands() {
        command(app_, "watch",
                "what becomes of the policy, as it happens: who changed it, adopted, refused, taken back",
                [](const Context& c) { return follow_policy(c); });
        command(app_, "status", "dataplane, policy, ports, workers", [](const Context& c) { return status(c); });
        auto* get = app_.add_subcommand("get", "rules, drops, flows, workers or policy");
        get->require_subcommand(1);
        get->fallthrough();
        command(*get, "rules", "rules with their counters", [](const Context& c) { return get_rules(c); });
        command(*get, "drops", "dropped packets by port of arrival and reason",
                [](const Context& c) { return get_drops(c); });
        command(*get, "workers", "how long packets took in each worker, and where its cycles went",
                [](const Context& c) { return get_workers(c); });
        auto* listed = command(*get, "flows", "live flows",
                               [this](const Context& c) { return get_flows(c, options_.limit, options_.filter); });
        add_limit(listed);
        add_filter(listed);
        command(*get, "policy", "the policy as it is stored", [](const Context& c) { return get_policy(c); });
        auto* flows = command(app_, "flows", "live flows; with -f their events, with --since what was recorded",
                              [this](const Context& c) {
                                  if (flows_end_->parsed()) return exit_code_;  // the command below has done it
                                  if (!options_.since.empty() || !options_.until.empty()) return records(c);
                                  if (!options_.follow && !options_.verdict.empty())
                                      throw CommandError{"--verdict filters events; add -f"};
                                  if (options_.follow && !options_.filter.empty())
                                      throw CommandError{"--filter is for live flows; leave out -f"};
                                  return options_.follow ? follow_flows(c, options_.verdict)
                                                         : get_flows(c, options_.limit, options_.filter);
                              });
        flows_end_ = command(*flows, "end", "end the live flows that fit a filter", [this](const Context& c) {
            return end_flows(c, options_.filter, options_.all, options_.answer);
        });
        add_filter(flows_end_);
        flows_end_->add_flag("--all", options_.all, "every flow, instead of a filter");
        flows_end_->add_flag("--answer", options_.answer, "answer their next packets, so that both ends learn of it");
        flows->add_flag("-f,--follow", options_.follow, "show events as they happen");
        flows->add_option("--verdict", options_.verdict, "with -f: only these")
            ->check(CLI::IsMember({"allow", "deny", "reject", "drop"}));
        flows->add_option("--since", options_.since,
                          "recorded flows from this time on: 90s, 1h30m, 7d ago, or 2026-11-26T05:00:00Z");
        flows->add_option("--until", options_.until, "recorded flows before this time");
        flows_limit_ = add_limit(flows);
        add_filter(flows);
        auto* explain_command =
            command(app_, "explain", "what would happen to a packet, and why",
                    [this](const Context& c) { return explain(c, options_.in_port, options_.words, options_.at); });
        explain_command->add_option("--in", options_.in_port, "port of arrival");
        explain_command->add_option("--at", options_.at, "instant, such as 2026-12-05T02:00+08:00 (now)");
        explain_command
            ->add_option("WHAT", options_.words, "[PORT] SRC DST, e.g. outside 198.51.100.7 198.51.100.80:443/tcp")
            ->required();
    }

    CLI::App app_{"Sluice: plan, apply and watch the policy of a stateful firewall", "sluicectl"};
    Options options_;
    CLI::Option *token_option_{}, *certificate_option_{};
    CLI::App* flows_end_{};
    CLI::Option* flows_limit_{};
    CLI::App* history_show_{};
    CLI::App* audit_verify_{};
    int exit_code_{};
};

}  // namespace

int main(int argc, char** argv) {
    try {
        return Program{}.run(argc, argv);
    } catch (const CommandError& error) {
        // Lines with a position stand alone, so that editors find them; the sentence about the whole comes last.
        const std::string_view text = error.what();
        const auto last = text.rfind('\n') + 1;
        std::cerr << text.substr(0, last) << "sluicectl: " << text.substr(last) << '\n';
    } catch (const std::exception& error) {
        std::cerr << "sluicectl: the server's answer is not what this version expects (" << error.what()
                  << "); compare the versions\n";
    }
    return kExitError;
}
