/// A JSON object with the same key twice means two things to two readers (RFC 8259 section 4): Boost.JSON takes the
/// last one silently, so it is looked for apart.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace sluice::cp::api {

/// First key that stands twice in one object, if any. `text` has been parsed before: it is JSON of bounded depth.
std::optional<std::string> duplicate_key(std::string_view text);

}  // namespace sluice::cp::api
