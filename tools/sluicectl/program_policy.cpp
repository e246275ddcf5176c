/// Commands that change something: the policy, sets, drafts, freezes, tokens.
#include "tools/sluicectl/program.hpp"

namespace sluice::ctl {

CLI::Option* Program::add_file(CLI::App* to, const std::string& help) {
    return to->add_option("-f,--file", options_.file, help)->required();
}

void Program::add_files(CLI::App* to, bool required) {
    to->add_option("-f,--file", options_.files,
                   "policy, YAML or JSON; - reads standard input; several (-f A -f B) or a folder are joined, by layer")
        ->required(required)
        ->allow_extra_args(false);
}

void Program::add_guard(CLI::App* to) {
    to->add_flag("--break-glass", options_.break_glass,
                 "also during a change freeze; --reason is required, and everybody hears of it");
    add_force(to);
    to->add_option("--guard", options_.guard,
                   "with --confirm: go back at once if a rate gets worse by more than so many percentage points, "
                   "e.g. drop-rate=5,refused-flows=20,failed-handshakes=10");
}

void Program::add_force(CLI::App* to) {
    to->add_flag("--force", options_.force,
                 "also if this connection to the API passes through the firewall and would be refused from then on");
}

void Program::add_at(CLI::App* to) {
    to->add_option("--at", options_.at,
                   "check it now and apply it then, e.g. 2026-12-05T02:00+08:00, if the policy is still the same");
}

void Program::add_base(CLI::App* to) {
    to->add_option(
        "--base", options_.base,
        "only over this policy: the first digits of its hash, as plan prints them, or none; fail if somebody "
        "has changed it since (default: over whatever is stored now)");
}

void Program::add_policy_commands() {
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
                         .base = options_.base});
    });
    add_files(apply_command);
    apply_command->add_option("--confirm", options_.confirm, "revert unless confirmed within this time, e.g. 10m");
    add_guard(apply_command);
    add_at(apply_command);
    add_base(apply_command);
    auto* patch_command = command(app_, "patch", "edit rules by id", [this](const Context& c) {
        return patch(c, options_.file, options_.confirm, options_.guard, options_.at, options_.base);
    });
    add_file(patch_command, "JSON: [{op: insert|replace|remove, id, before|after, rule}]");
    patch_command->add_option("--confirm", options_.confirm, "revert unless confirmed within this time, e.g. 10m");
    add_guard(patch_command);
    add_at(patch_command);
    add_base(patch_command);
    command(app_, "confirm", "keep a policy that waits for its confirmation", [this](const Context& c) {
        return confirm(c, options_.generation);
    })->add_option("GENERATION", options_.generation, "default: the one that runs");
    auto* rollback_command = command(
        app_, "rollback", "back to the policy before, or to a generation of the history", [this](const Context& c) {
            if (options_.generation != 0)
                return roll_back_to(c, options_.generation, options_.confirm, options_.guard, options_.at,
                                    options_.base);
            if (!options_.confirm.empty() || !options_.at.empty() || !options_.base.empty() ||
                !options_.guard.empty() || options_.force || options_.break_glass)
                throw CommandError{
                    "--confirm, --guard, --at, --base, --force and --break-glass need a generation to return to; to "
                    "leave what runs is always allowed"};
            return rollback(c);
        });
    rollback_command->add_option("GENERATION", options_.generation,
                                 "the one to return to (sluicectl history lists them); default: leave what runs");
    rollback_command->add_option("--confirm", options_.confirm, "revert unless confirmed within this time, e.g. 10m");
    add_guard(rollback_command);
    add_at(rollback_command);
    add_base(rollback_command);
}

void Program::add_history_commands() {
    command(app_, "commit", "what became of a generation", [this](const Context& c) {
        return show_commit(c, options_.generation);
    })->add_option("GENERATION", options_.generation, "as apply has printed it; default: the one that runs");
    auto* history_command =
        command(app_, "history", "what was in force when, by whom and why", [this](const Context& c) {
            if (history_show_->parsed()) return exit_code_;
            return history(c, options_.limit);
        });
    add_limit(history_command);
    history_show_ = command(*history_command, "show", "one generation, and what it changed",
                            [this](const Context& c) { return history_show(c, options_.generation, options_.text); });
    history_show_->add_option("GENERATION", options_.generation, "as sluicectl history lists it")->required();
    history_show_->add_flag("--text", options_.text, "print what was written, and nothing else");
    auto* diff = command(app_, "diff", "what differs between two generations",
                         [this](const Context& c) { return history_diff(c, options_.generation, options_.against); });
    diff->add_option("FROM", options_.generation, "generation")->required();
    diff->add_option("TO", options_.against, "generation")->required();
    auto* audit_command = command(app_, "audit", "who did or tried what, from where and why", [this](const Context& c) {
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

void Program::add_set_commands() {
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

void Program::add_block() {
    auto* block_command =
        command(app_, "block", "refuse addresses at once, without a change of the policy",
                [this](const Context& c) { return block(c, options_.block_set, options_.members, options_.for_time); });
    block_command->add_option("MEMBER", options_.members, "addresses and prefixes")->required();
    block_command->add_option("--for", options_.for_time, "how long, e.g. 1h; without it they stay");
    block_command->add_option("--set", options_.block_set, "the set that they come into")->capture_default_str();
}

void Program::add_freeze_commands() {
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

void Program::add_draft_commands() {
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
        return draft_save(
            c,
            {.name = options_.draft_name, .file = options_.file, .base = options_.base, .only_new = options_.only_new});
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
    apply_command->add_option("--hash", options_.hash, "of the plan that was looked at; fail if it is another by now");
    apply_command->add_option("--confirm", options_.confirm, "revert unless confirmed within this time, e.g. 10m");
    add_guard(apply_command);
    add_at(apply_command);
    add("delete", "drop it", [this](const Context& c) { return draft_delete(c, options_.draft_name); });
}

void Program::add_change_commands() {
    auto* changes = app_.add_subcommand("changes", "changes of the policy that wait for approvals, or for their time");
    changes->require_subcommand(1);
    changes->fallthrough();
    auto* list = command(*changes, "list", "all of them, newest first; those that have ended too",
                         [this](const Context& c) { return change_list(c, options_.state, options_.limit); });
    list->add_option("--state", options_.state, "only these")
        ->check(CLI::IsMember(
            {"pending", "scheduled", "applying", "applied", "rejected", "withdrawn", "expired", "stale", "failed"}));
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
    add_force(add("approve", "let somebody else's change go; with the last approval it is applied",
                  [this](const Context& c) { return change_approve(c, options_.change); }));
    add("reject", "end somebody's change; --reason is required",
        [this](const Context& c) { return change_reject(c, options_.change); });
    add("withdraw", "take back one's own", [this](const Context& c) { return change_withdraw(c, options_.change); });
    auto* apply = add("apply", "as an admin, without the approvals that are missing; --reason is required",
                      [this](const Context& c) { return change_apply(c, options_.change); });
    apply->add_flag("--break-glass", options_.break_glass, "required: everybody hears of it");
    add_force(apply);
}

void Program::add_shadow_commands() {
    auto* shadow = app_.add_subcommand("shadow", "a policy that is asked about new flows and decides nothing");
    shadow->require_subcommand(1);
    shadow->fallthrough();
    auto* start = command(*shadow, "start", "ask a policy from now on, in place of the one that is asked",
                          [this](const Context& c) { return shadow_start(c, options_.files, options_.draft_name); });
    add_files(start, false);
    start->add_option("--draft", options_.draft_name, "a draft's text instead of a file");
    command(*shadow, "show", "which new flows it would have decided otherwise, and which it did not see",
            [](const Context& c) { return shadow_show(c); });
    command(*shadow, "stop", "ask it no more", [](const Context& c) { return shadow_stop(c); });
}

void Program::add_token_commands() {
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

void Program::add_plan_flows(CLI::App* to) {
    to->add_option("--flows-since", options_.flows_since,
                   "recorded flows to look at, besides those that live: a time, or how long ago")
        ->capture_default_str();
    to->add_flag("--no-flows", options_.no_flows, "look at no flows");
}

}  // namespace sluice::ctl
