/// The command line: what sluicectl takes, and which command it calls with it. program_policy.cpp has what changes
/// something, program_views.cpp what shows something.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <iostream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>

#include "tools/sluicectl/command.hpp"
#include "tools/sluicectl/output.hpp"

namespace sluice::ctl {

struct Options {
    std::string url{"https://127.0.0.1:8443"};
    std::string ca{"/var/lib/sluice/control/ca.pem"};
    std::string token_file{"/var/lib/sluice/control/token"};
    std::string certificate, key;
    std::string output{"table"};

    std::string file, confirm, in_port, at, verdict, from;
    std::vector<std::string> files, words;
    bool follow{};
    std::string flows_since{"24h"}, guard{}, idempotency_key{};
    bool no_flows{}, break_glass{}, force{};
    std::string filter, since, until;
    bool all{}, answer{};
    std::uint64_t generation{}, against{}, limit{100}, last{};
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
    std::string block_set{"blocked"}, by{"flows"}, top_of;
    std::uint64_t top_count{10}, every_s{2};
    bool watch{};
};

class Program {
public:
    int run(int argc, char** argv);

private:
    /// Beside a certificate only one that was asked for: the default file may be anybody's.
    std::string token() const;
    OutputForm output_form() const;
    Context context() const;
    /// -w: until whoever reads it has left.
    void again_and_again(const std::function<void()>& show) const;
    /// Names the word that is no command; the parser would only say that one is missing.
    void refuse_unknown_commands(int argc, char** argv) const;
    template <typename Call>
    CLI::App* command(CLI::App& parent, const std::string& name, const std::string& help, Call call) {
        auto* added = parent.add_subcommand(name, help);
        added->fallthrough();
        added->callback([this, call] {
            const Context with = context();
            if (options_.watch) return again_and_again([&] { exit_code_ = call(with); });
            exit_code_ = call(with);
        });
        return added;
    }
    CLI::Option* add_file(CLI::App* to, const std::string& help);
    void add_plan_flows(CLI::App* to);
    void add_files(CLI::App* to, bool required = true);
    /// Of whatever changes the policy.
    void add_guard(CLI::App* to);
    void add_at(CLI::App* to);
    void add_base(CLI::App* to);
    void add_force(CLI::App* to);
    void add_policy_commands();
    void add_history_commands();
    void add_set_commands();
    void add_top();
    void add_block();
    void add_freeze_commands();
    void add_draft_commands();
    void add_change_commands();
    void add_shadow_commands();
    void add_token_commands();
    /// --verdict, --from and --filter together.
    std::string flows_filter() const;
    int show_flows(const Context& c) const;
    void add_watch(CLI::App* to);
    CLI::Option* add_limit(CLI::App* to);
    void add_filter(CLI::App* to);
    void add_support_bundle();
    /// They ask nobody: no token is read for them.
    void add_completion();
    void add_view_commands();

    CLI::App app_{"Sluice: plan, apply and watch the policy of a stateful firewall", "sluicectl"};
    Options options_;
    CLI::Option *token_option_{}, *certificate_option_{};
    CLI::App* flows_end_{};
    CLI::Option* flows_limit_{};
    CLI::App* history_show_{};
    CLI::App* audit_verify_{};
    int exit_code_{};
};

}  // namespace sluice::ctl
