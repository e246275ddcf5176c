/// Which limit would not let so many new flows a second pass, if they go on: for tests with `repeat`. The table's
/// packets are asked in dataplane/pipeline/limits.cpp; this is the same question about the long run, of one worker.
#pragma once

#include <cstdint>

#include <sluice/abi/tables.hpp>

#include "controlplane/policy/model.hpp"

namespace sluice::cp {

/// `zone`: of the zone where the flow comes from; `rule`: of the rule that allows it. All from one source, so its limit
/// is met too. The one that the dataplane names: it asks the zone first, then the source, then the rule.
TestLimit refused_by(std::uint32_t per_second, const abi::ZoneLimits& zone, const abi::RuleLimits& rule) noexcept;

}  // namespace sluice::cp
