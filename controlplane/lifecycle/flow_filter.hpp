/// The words in which people say which flows they mean; one grammar for the API and for sluicectl, which hands them on.
///
///     proto == tcp and dport in {443, 8000-8100} and src == 10.0.0.0/8 and rule == web-in and idle_s > 30
///
/// Conditions are joined by `and`. Fields: src dst sport dport proto rule from_zone to_zone state idle_s age_s
/// generation worker. Operators: == != and in {a, b}; for numbers also < <= > >=. A number may be a range `a-b` (both
/// inside), an address a prefix.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "controlplane/lifecycle/filter_grammar.hpp"

namespace sluice::cp {

/// What names stand for; and all names, for the hint behind a wrong one.
struct FilterNames {
    std::function<std::optional<std::uint64_t>(std::string_view)> rule, zone;
    std::vector<std::string> rules, zones;
};

/// Blank text is the filter that every flow fits.
Expected<abi::FlowFilter, FilterError> parse_flow_filter(std::string_view text, const FilterNames& names);

}  // namespace sluice::cp
