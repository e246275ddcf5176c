/// What nearly all tests of the pipeline include: parsed once, not thirty times. Each still includes what it uses.
#include <algorithm>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "tests/harness/fragments.hpp"
#include "tests/harness/frames.hpp"
#include "tests/harness/harness.hpp"
#include "tests/harness/seed.hpp"
