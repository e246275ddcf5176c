/// What all tests of the policy service include: parsed once. Each still includes what it uses.
#include <gtest/gtest.h>

#include "tests/unit/controlplane/lifecycle/policy_service_rig.hpp"
