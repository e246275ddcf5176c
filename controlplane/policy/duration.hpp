/// Durations as policies write them: a number and a unit, `500ms`, `30s`, `2h`.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <sluice/expected.hpp>

#include "controlplane/policy/errors.hpp"

namespace sluice::cp {

/// Milliseconds. Units ms, s, m, h, d; one of them, no fractions, within abi::kTimeoutMsMin and kTimeoutMsMax.
Expected<std::uint32_t, ValueError> parse_duration(std::string_view text);

/// In the largest unit that says it exactly: 7,440,000 is "124m".
std::string duration_text(std::uint32_t ms);

}  // namespace sluice::cp
