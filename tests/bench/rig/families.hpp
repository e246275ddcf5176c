/// Made rule sets of any size, in the shapes that classifiers are measured on. Same count and seed, same rules.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "tests/bench/rig/rules.hpp"

namespace sluice::bench {

/// acl, fw, ipc: prefix lengths, ports, protocols and the reuse of networks as in ClassBench's sets acl1, fw1 and ipc1,
/// networks near each other and inside each other, narrow rules first. cloud: tenants of 20 overlapping groups (sets of
/// 30 hosts) that may reach each other's services, rules of the whole cloud behind them, and in front of all a
/// blocklist of 25,000 networks.
enum class Family : std::uint8_t { acl, fw, ipc, cloud };

std::optional<Family> family_of(std::string_view name) noexcept;

/// `count` rules, no two with the same networks and services; fewer where the shape has no more to give (which takes
/// far more than a million). Every second one denies.
std::vector<FilterRule> family_rules(Family family, std::uint32_t count, std::uint64_t seed);

}  // namespace sluice::bench
