/// Bench rules as the API takes them: a whole policy in JSON, and edits of it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "tests/bench/rig/rules.hpp"

namespace sluice::bench {

/// `more`: further services, each as `, "tcp/65000"`. With them nobody's flow loses its permission.
std::string rule_json(const FilterRule& rule, std::size_t index, std::string_view more = {});

/// What policy_of(rules) is. `first`: a rule in front of all others; `more`: further keys, each as `"sets": {...}, `.
std::string policy_json(const std::vector<FilterRule>& rules, std::string_view first = {}, std::string_view more = {});

/// `{"op": "replace", "id": ..., "rule": ...}`
std::string replace_json(const FilterRule& rule, std::size_t index, std::string_view more = {});

}  // namespace sluice::bench
