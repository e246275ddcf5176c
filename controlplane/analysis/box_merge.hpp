/// Boxes for people, who read few rather than many.
#pragma once

#include <vector>

#include "controlplane/analysis/box.hpp"

namespace sluice::cp {

/// The same packets in fewer boxes: those that differ in one side only become one. The fewest possible is not promised.
void merge(std::vector<Box>& boxes);

}  // namespace sluice::cp
