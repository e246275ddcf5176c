/// One well-formed frame of each kind the parser knows, where mutation and truncation start from. Some of them are
/// first fragments.
#pragma once

#include <vector>

#include "tests/harness/frames.hpp"

namespace sluice::test {

std::vector<Bytes> seed_frames();

}  // namespace sluice::test
