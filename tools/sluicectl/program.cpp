#include "tools/sluicectl/program.hpp"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include <fmt/format.h>

namespace sluice::ctl {

namespace {

/// --token-file wins over SLUICE_TOKEN, and that over SLUICE_TOKEN_FILE and the default.
std::string read_token(const Options& options, bool file_given) {
    if (const char* token = std::getenv("SLUICE_TOKEN"); token != nullptr && *token != '\0' && !file_given)
        return token;
    std::ifstream in{options.token_file};
    std::string token;
    if (!in || !(in >> token)) {
        throw CommandError{
            fmt::format("cannot read the token {}: {}; run as its owner, or pass --token-file or SLUICE_TOKEN",
                        options.token_file, in.is_open() ? "it is empty" : std::strerror(errno))};
    }
    return token;
}

const CLI::Option* option_anywhere(const CLI::App& app, const std::string& name) {
    if (const auto* option = app.get_option_no_throw(name)) return option;
    for (const auto* command : app.get_subcommands([](const CLI::App*) { return true; })) {
        if (const auto* option = option_anywhere(*command, name)) return option;
    }
    return nullptr;
}

/// Of the command so far, or of those that it stands in; else of one that is still to come.
const CLI::Option* option_named(const CLI::App& at, const CLI::App& all, const std::string& name) {
    for (const CLI::App* app = &at; app != nullptr; app = app->get_parent()) {
        if (const auto* option = app->get_option_no_throw(name)) return option;
    }
    return option_anywhere(all, name);
}

}  // namespace

int Program::run(int argc, char** argv) {
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
    token_option_ = app_.add_option("--token-file", options_.token_file,
                                    "file with the token (Env:SLUICE_TOKEN_FILE); SLUICE_TOKEN holds the token itself")
                        ->capture_default_str();
    certificate_option_ =
        app_.add_option("--cert", options_.certificate, "client certificate, PEM; no token is needed beside it")
            ->envname("SLUICE_CERT");
    app_.add_option("--key", options_.key, "its key, PEM; default: the same file")->envname("SLUICE_KEY");
    app_.add_option("-o,--output", options_.output, "table, wide (with more columns of flows), json or yaml")
        ->check(CLI::IsMember({"table", "wide", "json", "yaml"}))
        ->capture_default_str();
    app_.fallthrough();
    app_.add_option("--reason", options_.reason, "why; it stands in the audit and in the history");
    app_.add_option("--idempotency-key", options_.idempotency_key,
                    "of what changes something, tokens apart: run again with the same key it is done once");
    add_policy_commands();
    add_history_commands();
    add_set_commands();
    add_block();
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

Context Program::context() const {
    return {.client = HttpClient{{.url = options_.url,
                                  .ca_file = options_.ca,
                                  .token = token(),
                                  .certificate_file = options_.certificate,
                                  .key_file = options_.key.empty() ? options_.certificate : options_.key}},
            .output = output_form(),
            .reason = options_.reason,
            .idempotency_key = options_.idempotency_key,
            .break_glass = options_.break_glass,
            .force = options_.force,
            .colours = colours_wanted()};
}

void Program::again_and_again(const std::function<void()>& show) const {
    for (bool first = true; std::cout; first = false) {
        if (on_terminal()) std::cout << "\x1b[H\x1b[2J";
        try {
            show();
        } catch (const CommandError& error) {
            if (first) throw;                                    // a wrong filter stays wrong
            std::cerr << "sluicectl: " << error.what() << '\n';  // it may be back the next time
        }
        std::cout.flush();
        std::this_thread::sleep_for(std::chrono::seconds{options_.every_s});
    }
}

std::string Program::token() const {
    const char* of_environment = std::getenv("SLUICE_TOKEN");
    const bool asked = token_option_->count() > 0 || (of_environment != nullptr && *of_environment != '\0') ||
                       std::getenv("SLUICE_TOKEN_FILE") != nullptr;
    if (certificate_option_->count() > 0 && !asked) return {};
    return read_token(options_, token_option_->count() > 0);
}

OutputForm Program::output_form() const {
    if (options_.output == "wide") return OutputForm::wide;
    if (options_.output == "json") return OutputForm::json;
    return options_.output == "yaml" ? OutputForm::yaml : OutputForm::table;
}

void Program::refuse_unknown_commands(int argc, char** argv) const {
    const CLI::App* at = &app_;
    for (int i = 1; i < argc; ++i) {
        const std::string_view word = argv[i];
        if (word.starts_with('-')) {
            // `--option=value` is one word.
            const auto* option =
                word.find('=') == std::string_view::npos ? option_named(*at, app_, std::string{word}) : nullptr;
            const bool takes_value = option != nullptr && option->get_items_expected_max() > 0;
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

}  // namespace sluice::ctl
