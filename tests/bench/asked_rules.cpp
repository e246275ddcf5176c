#include "tests/bench/asked_rules.hpp"

#include <fstream>

#include "tests/bench/rig/families.hpp"

namespace sluice::bench {

Expected<std::vector<FilterRule>, std::string> asked_rules(const Options& options, std::uint8_t proto) {
    if (const auto family = family_of(options.family)) return family_rules(*family, options.rules, options.seed);
    if (options.filters.empty()) return made_rules(options.rules, proto);
    std::ifstream in{options.filters};
    if (!in) return Unexpected<std::string>{options.filters + " cannot be read"};
    return read_filters(in);
}

std::string asked_rules_name(const Options& options) {
    if (!options.family.empty()) return options.family;
    return options.filters.empty() ? "made" : options.filters.substr(options.filters.rfind('/') + 1);
}

}  // namespace sluice::bench
