/// Questions about recorded flows as people ask them: from when, until when, which, and where to go on.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "controlplane/records/record_reader.hpp"

namespace sluice::cp {

/// `2026-11-26T05:00:00Z` (RFC 3339, with fractions and offsets), or how long ago: `90s`, `1h30m`, `7d`. In ns of UTC.
/// The audit is asked with the same words.
std::optional<std::int64_t> parse_record_time(std::string_view text, std::int64_t now_ns);
/// What to say of a `name` that is none.
std::string no_record_time(std::string_view name, std::string_view text);

/// A range as the text that a page gives for the next one, and back. It holds the times as they were understood, so
/// that "an hour ago" does not move on from page to page.
std::string record_cursor(const RecordRange& range);
std::optional<RecordRange> parse_record_cursor(std::string_view text);

}  // namespace sluice::cp
