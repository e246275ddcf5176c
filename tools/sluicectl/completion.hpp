/// Completion for shells, made of the same table of commands and options that the parser has: what it knows is offered,
/// and nothing else.
#pragma once

#include <string>

namespace CLI {
class App;
}

namespace sluice::ctl {

/// A script for bash: `source <(sluicectl completion bash)`.
std::string bash_completion(const CLI::App& app);
/// A script for zsh: the same, or as the file `_sluicectl` in a folder of fpath.
std::string zsh_completion(const CLI::App& app);
/// A script for fish: `sluicectl completion fish | source`, or as the file `sluicectl.fish` in
/// ~/.config/fish/completions.
std::string fish_completion(const CLI::App& app);

}  // namespace sluice::ctl
