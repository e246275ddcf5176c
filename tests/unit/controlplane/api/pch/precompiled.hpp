/// What most tests of the API include: parsed once, not twenty times. Each still includes what it uses.
#include <gtest/gtest.h>

#include "controlplane/api/gateway.hpp"
#include "tests/unit/controlplane/api/memory_policy_service.hpp"
