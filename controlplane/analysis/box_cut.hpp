/// Where to cut a box in two so that a long list of boxes that it meets falls into two shorter ones.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "controlplane/analysis/box.hpp"

namespace sluice::cp {

/// The halves of `box`, or nothing if no cut leaves clearly fewer of `boxes[list]` on either side.
std::optional<std::pair<Box, Box>> cut_for(const Box& box, const std::vector<Box>& boxes,
                                           const std::vector<std::uint32_t>& list);

}  // namespace sluice::cp
