#include "tools/sluicectl/completion.hpp"

#include <map>
#include <set>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

namespace sluice::ctl {
namespace {

/// Options whose value is a file.
const std::set<std::string> kFiles{"--file", "-f", "--ca", "--token-file", "--cert", "--key", "--log", "--config-dir"};

struct Known {
    std::map<std::string, std::set<std::string>> words;  ///< by the path of commands: what may stand next
    std::set<std::string> with_value;                    ///< `path option`: the next word is its value
    std::map<std::string, std::string> choices;          ///< `path option` -> its values
};

std::vector<std::string> names_of(const CLI::Option& option) {
    std::vector<std::string> names;
    for (const auto& name : option.get_lnames()) names.push_back("--" + name);
    for (const auto& name : option.get_snames()) names.push_back("-" + name);
    return names;
}

/// CLI11 tells the values of an option only in its help: `TEXT:{table,json}`.
std::string choices_of(const CLI::Option& option) {
    const auto type = option.get_type_name();
    const auto open = type.find('{'), close = type.find('}');
    if (open == std::string::npos || close == std::string::npos) return {};
    auto values = type.substr(open + 1, close - open - 1);
    for (auto& c : values) {
        if (c == ',') c = ' ';
    }
    return values;
}

void add_options(const CLI::App& app, const std::string& path, Known& known) {
    for (const auto* option : app.get_options()) {
        for (const auto& name : names_of(*option)) {
            known.words[path].insert(name);
            if (option->get_items_expected_max() == 0) continue;
            known.with_value.insert(path + " " + name);
            if (const auto choices = choices_of(*option); !choices.empty()) known.choices[path + " " + name] = choices;
        }
    }
}

/// `above`: the commands that this one stands in; their options are taken here too.
void walk(const CLI::App& app, const std::string& path, std::vector<const CLI::App*> above, Known& known) {
    add_options(app, path, known);
    for (const auto* outer : above) add_options(*outer, path, known);
    above.push_back(&app);
    for (const auto* command : app.get_subcommands([](const CLI::App*) { return true; })) {
        known.words[path].insert(command->get_name());
        walk(*command, path + " " + command->get_name(), above, known);
    }
}

std::string joined(const std::set<std::string>& words) {
    std::string out;
    for (const auto& word : words) out += (out.empty() ? "" : " ") + word;
    return out;
}

struct Tables {
    std::string words, with_value, choices;
};

/// `line`: how the shell writes an element of an array.
Tables tables_of(const CLI::App& app, std::string_view line) {
    Known known;
    walk(app, app.get_name(), {}, known);
    Tables out;
    for (const auto& [path, list] : known.words) out.words += fmt::format(fmt::runtime(line), path, joined(list));
    for (const auto& option : known.with_value) out.with_value += fmt::format(fmt::runtime(line), option, 1);
    for (const auto& [option, values] : known.choices) out.choices += fmt::format(fmt::runtime(line), option, values);
    return out;
}

std::string files_pattern() {
    std::string files;
    for (const auto& name : kFiles) files += (files.empty() ? "" : "|") + name;
    return files;
}

}  // namespace

std::string bash_completion(const CLI::App& app) {
    const auto [words, with_value, choices] = tables_of(app, "    ['{}']='{}'\n");
    const auto files = files_pattern();
    return "# Completion of sluicectl for bash, made by `sluicectl completion bash`.\n"
           "declare -A _sluicectl_words=(\n" +
           words + ")\ndeclare -A _sluicectl_values=(\n" + with_value + ")\ndeclare -A _sluicectl_choices=(\n" +
           choices +
           ")\n"
           R"(_sluicectl() {
    local path=sluicectl word current="${COMP_WORDS[COMP_CWORD]}" i option=
    for ((i = 1; i < COMP_CWORD; i++)); do
        word="${COMP_WORDS[i]}"
        if [[ -n $option ]]; then
            option=
        elif [[ $word == -* ]]; then
            [[ -n ${_sluicectl_values["$path $word"]} ]] && option=$word
        elif [[ -n ${_sluicectl_words["$path $word"]} ]]; then
            path="$path $word"
        fi
    done
    case $option in
        )" +
           files +
           R"()
            mapfile -t COMPREPLY < <(compgen -f -- "$current")
            ;;
        '')
            mapfile -t COMPREPLY < <(compgen -W "${_sluicectl_words["$path"]}" -- "$current")
            ;;
        *)
            mapfile -t COMPREPLY < <(compgen -W "${_sluicectl_choices["$path $option"]}" -- "$current")
            ;;
    esac
}
complete -o filenames -F _sluicectl sluicectl
)";
}

std::string zsh_completion(const CLI::App& app) {
    const auto [words, with_value, choices] = tables_of(app, "    '{}' '{}'\n");
    return "#compdef sluicectl\n# Completion of sluicectl for zsh, made by `sluicectl completion zsh`.\n"
           "typeset -gA _sluicectl_words=(\n" +
           words + ")\ntypeset -gA _sluicectl_values=(\n" + with_value + ")\ntypeset -gA _sluicectl_choices=(\n" +
           choices +
           ")\n"
           R"(_sluicectl() {
    local at=sluicectl word option= i
    for ((i = 2; i < CURRENT; i++)); do
        word=${words[i]}
        if [[ -n $option ]]; then
            option=
        elif [[ $word == -* ]]; then
            [[ -n ${_sluicectl_values[$at $word]} ]] && option=$word
        elif [[ -n ${_sluicectl_words[$at $word]} ]]; then
            at="$at $word"
        fi
    done
    case $option in
        ()" +
           files_pattern() +
           R"() _files ;;
        ('') compadd -- ${=_sluicectl_words[$at]} ;;
        (*) compadd -- ${=_sluicectl_choices[$at $option]} ;;
    esac
}
if [[ ${zsh_eval_context[-1]} == loadautofunc ]]; then
    _sluicectl "$@"
else
    (( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
    compdef _sluicectl sluicectl
fi
)";
}

std::string fish_completion(const CLI::App& app) {
    Known known;
    walk(app, app.get_name(), {}, known);
    std::string paths, values, rows;
    for (const auto& [path, list] : known.words) {
        paths += fmt::format(" '{}'", path);
        rows += fmt::format("complete -c sluicectl -n '__sluicectl_at \"{}\" word' -a '{}'\n", path, joined(list));
    }
    for (const auto& option : known.with_value) {
        values += fmt::format(" '{}'", option);
        const auto name = option.substr(option.rfind(' ') + 1);
        const auto choices = known.choices.find(option);
        // Files are what fish offers by itself.
        const std::string offers = kFiles.contains(name)            ? "-F"
                                   : choices == known.choices.end() ? ""
                                                                    : "-a '" + choices->second + "'";
        if (!offers.empty())
            rows += fmt::format("complete -c sluicectl -n '__sluicectl_at \"{}\" value' {}\n", option, offers);
    }
    return "# Completion of sluicectl for fish, made by `sluicectl completion fish`.\n"
           "set -g __sluicectl_paths" +
           paths + "\nset -g __sluicectl_values" + values +
           R"(
# Is this the place: the commands so far (word), or those with the option whose value comes next (value)?
function __sluicectl_at
    set -l path sluicectl
    set -l option ''
    set -l words (commandline -opc)
    for word in $words[2..-1]
        if test -n "$option"
            set option ''
        else if string match -q -- '-*' $word
            contains -- "$path $word" $__sluicectl_values; and set option $word
        else if contains -- "$path $word" $__sluicectl_paths
            set path "$path $word"
        end
    end
    if test -n "$option"
        test "$argv[2]" = value -a "$argv[1]" = "$path $option"
    else
        test "$argv[2]" = word -a "$argv[1]" = "$path"
    end
end
complete -c sluicectl -f
)" + rows;
}

}  // namespace sluice::ctl
