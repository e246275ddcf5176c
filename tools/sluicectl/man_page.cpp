#include "tools/sluicectl/man_page.hpp"

#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

namespace sluice::ctl {
namespace {

/// Nothing in it is taken for a request or an escape; a hyphen stays one that can be copied.
std::string plain(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '\\') {
            out += "\\e";
        } else if (c == '-') {
            out += "\\-";
        } else if (c == '\'' && out.empty()) {
            out += "\\(aq";
        } else if (c == '.' && out.empty()) {
            out += "\\&.";
        } else {
            out += c;
        }
    }
    return out;
}

/// An argument of a macro.
std::string argument(std::string_view text) {
    std::string out;
    for (const char c : plain(text)) out += c == '"' ? std::string{"\\(dq"} : std::string(1, c);
    return '"' + out + '"';
}

/// `TEXT:{table,json}` -> `table|json`; else the word for a value, in capitals.
std::string value_of(const CLI::Option& option) {
    const auto type = option.get_type_name();
    const auto open = type.find('{'), close = type.find('}');
    if (open == std::string::npos || close == std::string::npos) return type.substr(0, type.find(':'));
    auto values = type.substr(open + 1, close - open - 1);
    for (auto& c : values) {
        if (c == ',') c = '|';
    }
    return values;
}

bool is_positional(const CLI::Option& option) { return option.get_positional(); }

/// `NAME`, `[GENERATION]`, `MEMBER...`
std::string positional_text(const CLI::Option& option) {
    auto text = option.get_name(true, false);
    if (option.get_items_expected_max() > 1) text += "...";
    return option.get_required() ? text : "[" + text + "]";
}

std::string flags_of(const CLI::Option& option) {
    std::string out;
    for (const auto& name : option.get_snames()) out += (out.empty() ? "" : ", ") + ("-" + name);
    for (const auto& name : option.get_lnames()) out += (out.empty() ? "" : ", ") + ("--" + name);
    return out;
}

void add_option(std::string& out, const CLI::Option& option) {
    std::string head = "\\fB" + plain(is_positional(option) ? option.get_name(true, false) : flags_of(option)) + "\\fR";
    if (!is_positional(option) && option.get_items_expected_max() != 0)
        head += " \\fI" + plain(value_of(option)) + "\\fR";
    auto text = option.get_description();
    if (!option.get_default_str().empty()) text += " (default: " + option.get_default_str() + ")";
    if (!option.get_envname().empty()) text += "; also the variable " + option.get_envname();
    out += ".TP\n" + head + '\n' + plain(text) + '\n';
}

void add_options(std::string& out, const CLI::App& app) {
    for (const bool positional : {true, false}) {
        for (const auto* option : app.get_options()) {
            if (is_positional(*option) == positional && option != app.get_help_ptr()) add_option(out, *option);
        }
    }
}

/// A command that only holds others is not told by itself.
void add_commands(std::string& out, const CLI::App& app, const std::string& path) {
    for (const auto* command : app.get_subcommands([](const CLI::App*) { return true; })) {
        const auto name = path + " " + command->get_name();
        const auto below = command->get_subcommands([](const CLI::App*) { return true; });
        if (command->get_require_subcommand_min() == 0) {
            std::string line = name;
            for (const auto* option : command->get_options()) {
                if (is_positional(*option)) {
                    line += " " + positional_text(*option);
                } else if (option->get_required()) {
                    line += " " + flags_of(*option).substr(0, flags_of(*option).find(',')) + " " + value_of(*option);
                }
            }
            out += ".SS " + argument(line) + '\n' + plain(command->get_description()) + ".\n";
            add_options(out, *command);
        }
        if (!below.empty()) add_commands(out, *command, name);
    }
}

constexpr std::string_view kEnd = R"(.SH EXIT STATUS
.TP
.B 0
It is done; of \fBplan\fR and \fBdraft plan\fR: nothing would change.
.TP
.B 1
An error, which stands on standard error: of a policy as \fIfile\fR:\fIline\fR:\fIcolumn\fR: what, and the remedy. Nothing was changed.
.TP
.B 2
Of \fBplan\fR and \fBdraft plan\fR: something would change.
.TP
.B 3
Of \fBapply\fR, \fBpatch\fR, \fBrollback\fR, \fBdraft apply\fR: nothing is changed yet, others have to approve it first.
.SH ENVIRONMENT
.TP
.B SLUICE_TOKEN
The token itself; \fB\-\-token\-file\fR wins over it.
.TP
.B SLUICE_TOKEN_FILE
The file with the token.
.TP
.B NO_COLOR
No colours, on a terminal either. Elsewhere there are none.
.SH SEE ALSO
The project's documentation: OPERATING.md, POLICY.md, API.md.
)";

}  // namespace

std::string man_page(const CLI::App& app, std::string_view version) {
    std::string out = fmt::format(
        ".\\\" Made by sluicectl man; its table of commands is the source.\n"
        ".TH SLUICECTL 1 {} {} {}\n.SH NAME\nsluicectl \\- {}\n.SH SYNOPSIS\n"
        ".B sluicectl\n[\\fIOPTION\\fR]... \\fICOMMAND\\fR [\\fIARGUMENT\\fR]...\n"
        ".SH DESCRIPTION\nEverything goes over the REST interface of a control plane. Options that are not of a "
        "command "
        "may stand before or behind it.\n.SH OPTIONS\n",
        argument(""), argument("Sluice " + std::string{version}), argument("User Commands"),
        plain(app.get_description()));
    add_options(out, app);
    out += ".SH COMMANDS\n";
    add_commands(out, app, "sluicectl");
    return out.append(kEnd);
}

}  // namespace sluice::ctl
