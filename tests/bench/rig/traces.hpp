/// The packets that a classifier is measured with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "tests/bench/rig/rules.hpp"

namespace sluice::bench {

/// Without locality: each inside a rule drawn at random, uniformly, and at random within it.
std::vector<AclKey> random_trace(std::span<const FilterRule> rules, std::size_t count, std::uint64_t seed);

/// Skewed: drawn from `count` packets of the above, the one of rank r with a weight of 1 / r (Zipf's law). A few flows
/// make up half of what comes, as on many real lines.
std::vector<AclKey> zipf_trace(std::span<const FilterRule> rules, std::size_t count, std::uint64_t seed);

}  // namespace sluice::bench
