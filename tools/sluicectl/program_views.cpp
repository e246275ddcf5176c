/// Commands that show something, and what the program says of itself.
#include <fmt/format.h>

#include "controlplane/policy/schema.hpp"
#include "tools/sluicectl/completion.hpp"
#include "tools/sluicectl/man_page.hpp"
#include "tools/sluicectl/program.hpp"

namespace sluice::ctl {

void Program::add_top() {
    auto* top_command = command(app_, "top", "the rules, talkers or ports with the most flows, packets or bytes",
                                [this](const Context& c) {
                                    return top(c, {.what = options_.top_of,
                                                   .by = options_.by,
                                                   .since = options_.since,
                                                   .until = options_.until,
                                                   .filter = options_.filter,
                                                   .count_max = options_.top_count});
                                });
    top_command->add_option("OF", options_.top_of, "rules, talkers (sources) or ports (services)")
        ->required()
        ->check(CLI::IsMember({"rules", "talkers", "ports"}));
    top_command->add_option("--by", options_.by, "flows, packets or bytes")
        ->check(CLI::IsMember({"flows", "packets", "bytes"}))
        ->capture_default_str();
    top_command->add_option("-n,--count", options_.top_count, "lines to show at most")
        ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{100'000}))
        ->capture_default_str();
    top_command->add_option("--since", options_.since,
                            "of recorded flows from then on, as of flows; default: live flows");
    top_command->add_option("--until", options_.until, "of recorded flows before this time");
    add_filter(top_command);
    add_watch(top_command);
}

std::string Program::flows_filter() const {
    std::string all;
    const auto add = [&](const std::string& term) { all += (all.empty() ? "" : " and ") + term; };
    if (options_.verdict == "drop") add("event==drop");
    if (!options_.verdict.empty() && options_.verdict != "drop") add("verdict==" + options_.verdict);
    if (!options_.from.empty()) add("src==" + options_.from);
    if (!options_.filter.empty()) add(options_.filter);
    return all;
}

int Program::show_flows(const Context& c) const {
    const bool past = !options_.since.empty() || !options_.until.empty() || options_.last != 0;
    if (options_.follow && !options_.until.empty()) throw CommandError{"--until is about the past; leave out -f"};
    if (!past && !options_.follow) {
        if (!options_.verdict.empty())
            throw CommandError{"live flows are all allowed ones; --verdict is for -f, --since and --last"};
        return get_flows(c, options_.limit, flows_filter());
    }
    std::optional<std::uint64_t> limit;
    if (flows_limit_->count() > 0) limit = options_.limit;
    if (limit && options_.last != 0)
        throw CommandError{"--limit counts from the oldest, --last from the newest; give one"};
    return follow_flows(c, {.since = options_.since,
                            .until = options_.until,
                            .filter = flows_filter(),
                            .count_max = limit,
                            .last = options_.last == 0 ? std::nullopt : std::optional{options_.last},
                            .follow = options_.follow});
}

void Program::add_watch(CLI::App* to) {
    to->add_flag("-w,--watch", options_.watch, "again and again, until it is stopped");
    to->add_option("--every", options_.every_s, "with -w: how many seconds lie between")
        ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{86'400}))
        ->capture_default_str();
}

CLI::Option* Program::add_limit(CLI::App* to) {
    return to->add_option("--limit", options_.limit, "lines to show at most")
        ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{10'000'000}))
        ->capture_default_str();
}

void Program::add_filter(CLI::App* to) {
    to->add_option("--filter", options_.filter, "e.g. \"proto==tcp and dport in {443,8443} and idle_s>30\"");
}

void Program::add_support_bundle() {
    auto* bundle = command(app_, "support-bundle", "one file with what somebody who is to help needs, without secrets",
                           [this](const Context& c) {
                               return support_bundle(c, {.file = options_.file,
                                                         .config_dir = options_.config_dir,
                                                         .version = SLUICE_VERSION,
                                                         .logs = options_.logs,
                                                         .no_policy = options_.no_policy,
                                                         .secrets = {token()}});
                           });
    bundle->add_option("-f,--file", options_.file, "the file to write, .tar.gz; default: a name with the time, here");
    bundle->add_option("--config-dir", options_.config_dir, "where controlplane.yaml and dataplane.yaml are")
        ->capture_default_str();
    bundle->add_option("--log", options_.logs, "a log whose end goes in; repeatable")->allow_extra_args(false);
    bundle->add_flag("--no-policy", options_.no_policy, "leave the policy out");
}

void Program::add_completion() {
    auto* completion = app_.add_subcommand("completion", "a script that completes commands and options in a shell");
    completion->require_subcommand(1);
    completion->add_subcommand("bash", "source <(sluicectl completion bash)")->callback([this] {
        std::cout << bash_completion(app_);
    });
    completion->add_subcommand("zsh", "source <(sluicectl completion zsh)")->callback([this] {
        std::cout << zsh_completion(app_);
    });
    completion->add_subcommand("fish", "sluicectl completion fish | source")->callback([this] {
        std::cout << fish_completion(app_);
    });
    app_.add_subcommand("schema", "the JSON schema of policies, for editors and pipelines")->callback([] {
        std::cout << sluice::cp::policy_json_schema();
    });
    app_.add_subcommand("man", "the manual page, for man -l -")->callback([this] {
        std::cout << man_page(app_, SLUICE_VERSION);
    });
}

void Program::add_view_commands() {
    command(app_, "watch", "what becomes of the policy, as it happens: who changed it, adopted, refused, taken back",
            [](const Context& c) { return follow_policy(c); });
    add_watch(command(app_, "status", "dataplane, policy, ports, workers", [](const Context& c) { return status(c); }));
    auto* get = app_.add_subcommand("get", "rules, drops, flows, sets, workers or policy");
    add_watch(get);
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
    command(*get, "sets", "sets whose members come over the API",
            [this](const Context& c) { return set_list(c, {}, options_.limit); });
    auto* flows = command(
        app_, "flows",
        "live flows; with -f events as they happen, with --since what was recorded, with both one behind the other",
        [this](const Context& c) {
            if (flows_end_->parsed()) return exit_code_;  // the command below has done it
            return show_flows(c);
        });
    flows_end_ = command(*flows, "end", "end the live flows that fit a filter", [this](const Context& c) {
        if (options_.follow || !options_.verdict.empty() || !options_.since.empty() || !options_.until.empty() ||
            options_.last != 0 || flows_limit_->count() > 0)
            throw CommandError{
                "flows end takes all live flows that fit: leave out -f, --verdict, --since, --until, --last and "
                "--limit"};
        if (options_.all && !flows_filter().empty())
            throw CommandError{"--all ends every flow: leave it out, or --filter and --from"};
        return end_flows(c, flows_filter(), options_.all, options_.answer);
    });
    add_filter(flows_end_);
    flows_end_->add_flag("--all", options_.all, "every flow, instead of a filter");
    flows_end_->add_flag("--answer", options_.answer, "answer their next packets, so that both ends learn of it");
    flows->add_flag("-f,--follow", options_.follow, "show events as they happen");
    flows->add_option("--verdict", options_.verdict, "with -f or --since: only these")
        ->check(CLI::IsMember({"allow", "deny", "reject", "drop"}));
    flows->add_option("--from", options_.from, "only from this address or prefix, e.g. 10.0.0.0/8");
    flows->add_option("--since", options_.since,
                      "recorded flows from this time on: 90s, 1h30m, 7d ago, or 2026-11-26T05:00:00Z");
    flows->add_option("--until", options_.until, "recorded flows before this time");
    flows->add_option("--last", options_.last, "so many of the newest recorded flows")
        ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{10'000}));
    flows_limit_ = add_limit(flows);
    add_filter(flows);
    add_top();
    auto* explain_command =
        command(app_, "explain", "what would happen to a packet, and why",
                [this](const Context& c) { return explain(c, options_.in_port, options_.words, options_.at); });
    explain_command->add_option("--in", options_.in_port, "port of arrival");
    explain_command->add_option("--at", options_.at, "instant, such as 2026-12-05T02:00+08:00 (now)");
    explain_command
        ->add_option("WHAT", options_.words, "[PORT] SRC DST, e.g. outside 198.51.100.7 198.51.100.80:443/tcp")
        ->required();
}

}  // namespace sluice::ctl
