/// One well-formed frame of each kind the parser knows, where mutation and truncation start from. Two of them are
/// fragments, which this version refuses; the others pass.
#pragma once

#include <vector>

#include "tests/harness/frames.hpp"

namespace sluice::test {

inline constexpr std::size_t kSeedFragmentCount = 2;
std::vector<Bytes> seed_frames();

}  // namespace sluice::test
