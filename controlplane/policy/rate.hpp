/// Rates as policies write them: so many in a second, `100/s`.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <sluice/expected.hpp>

#include "controlplane/policy/errors.hpp"

namespace sluice::cp {

/// In a second, from 1 to abi::kRateLimitMax.
Expected<std::uint32_t, ValueError> parse_rate(std::string_view text);

std::string rate_text(std::uint32_t per_second);

}  // namespace sluice::cp
