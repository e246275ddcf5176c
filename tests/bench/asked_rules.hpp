/// The rules that somebody asked tools/bench for: a file's, a family's, or such as do not overlap.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <sluice/expected.hpp>

#include "tests/bench/options.hpp"
#include "tests/bench/rig/rules.hpp"

namespace sluice::bench {

/// Error: a sentence. `proto` is that of rules that do not overlap.
Expected<std::vector<FilterRule>, std::string> asked_rules(const Options& options, std::uint8_t proto);
/// What a result calls them: the file's name, the family's, or "made".
std::string asked_rules_name(const Options& options);

}  // namespace sluice::bench
