/// Times of day, zones and instants as policies write them, and what a schedule says about an instant.
///
/// A schedule is open at an instant if the clock on the wall of its zone then shows a time of one of its days. So an
/// hour that summer time leaves out is never open, and one that winter time repeats is open twice. A window whose end
/// is not behind its beginning ends on the next day and belongs to the day on which it began.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/expected.hpp>

#include "controlplane/policy/errors.hpp"
#include "controlplane/policy/model.hpp"

namespace sluice::cp {

/// Seconds since 1970 in UTC, leap seconds left out.
using UnixSeconds = std::int64_t;

/// `HH:MM`, 00:00 to 24:00, as minutes of the day.
Expected<std::uint16_t, ValueError> parse_day_time(std::string_view text);
std::string day_time_text(std::uint16_t minute);

/// A name of the time zone database, such as `Asia/Shanghai` or `UTC`, that this machine knows.
Expected<void, ValueError> check_time_zone(std::string_view name);

/// `2026-12-05T02:00+08:00` or `...Z`, with or without seconds.
Expected<UnixSeconds, ValueError> parse_instant(std::string_view text);
/// An instant, or a day, `2027-03-31`: what expires with a day is in force until its end in UTC.
Expected<UnixSeconds, ValueError> parse_expiry(std::string_view text);
/// `2026-12-04T18:00:00Z`
std::string instant_text(UnixSeconds at);

/// 0 = Monday.
inline constexpr std::string_view kDayNames[] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};
inline constexpr std::uint8_t kEveryDay = 0x7f;
/// Bits of the days; 0: it is no name of a day.
std::uint8_t day_bit(std::string_view name) noexcept;

bool is_open(const Schedule& schedule, UnixSeconds at);
/// Ascending, within [first, last): between two of them that follow each other the schedule does not change.
std::vector<UnixSeconds> schedule_edges(const Schedule& schedule, UnixSeconds first, UnixSeconds last);

/// What a rule does at an instant.
enum class Standing : std::uint8_t { absent, enforced, observed };
Standing standing_of(const Policy& policy, const Rule& rule, UnixSeconds at);
bool depends_on_time(const Rule& rule) noexcept;
bool depends_on_time(const Policy& policy) noexcept;

UnixSeconds unix_now() noexcept;

}  // namespace sluice::cp
