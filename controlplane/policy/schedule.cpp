#include "controlplane/policy/schedule.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <optional>

#include <absl/time/civil_time.h>
#include <absl/time/time.h>

#include "controlplane/policy/names.hpp"

namespace sluice::cp {

namespace {

constexpr std::uint16_t kMinutesOfDay = 24 * 60;
/// Years that policies may speak of: RFC 3339 has four digits, and nobody means what is long ago.
constexpr int kYearMin = 2000, kYearMax = 2999;

/// Two to four digits from `at` on, nothing else.
std::optional<int> digits(std::string_view text, std::size_t at, std::size_t count) {
    int value{};
    if (at + count > text.size()) return std::nullopt;
    const char* const first = text.data() + at;
    const auto [end, error] = std::from_chars(first, first + count, value);
    if (error != std::errc{} || end != first + count || *first == '-') return std::nullopt;
    return value;
}

bool stands(std::string_view text, std::size_t at, char c) { return at < text.size() && text[at] == c; }

/// `YYYY-MM-DD` at the front, a day that there is.
std::optional<absl::CivilDay> day_of(std::string_view text) {
    const auto year = digits(text, 0, 4), month = digits(text, 5, 2), day = digits(text, 8, 2);
    if (!year || !month || !day || !stands(text, 4, '-') || !stands(text, 7, '-')) return std::nullopt;
    const absl::CivilDay civil{*year, *month, *day};  // puts the 31st of June to July
    if (civil.month() != *month || civil.day() != *day || *year < kYearMin || *year > kYearMax) return std::nullopt;
    return civil;
}

/// `Z`, or `+HH:MM`, in seconds.
std::optional<int> offset_of(std::string_view text) {
    if (text == "Z") return 0;
    const auto hours = digits(text, 1, 2), minutes = digits(text, 4, 2);
    if (text.size() != 6 || !hours || !minutes || text[3] != ':' || *hours > 14 || *minutes > 59) return std::nullopt;
    if (text[0] != '+' && text[0] != '-') return std::nullopt;
    const int seconds = (*hours * 60 + *minutes) * 60;
    return text[0] == '-' ? -seconds : seconds;
}

UnixSeconds utc_of(const absl::CivilSecond& civil) {
    return absl::ToUnixSeconds(absl::FromCivil(civil, absl::UTCTimeZone()));
}

/// A zone that check_time_zone has seen. The library keeps what it has read.
absl::TimeZone zone_named(const std::string& name) {
    absl::TimeZone zone;
    return absl::LoadTimeZone(name, &zone) ? zone : absl::UTCTimeZone();
}

/// The library would open any path, and knows names of its own.
bool is_zone_name(std::string_view name) {
    if (name.empty() || name.size() > 63 || name.front() == '/' || name.find("..") != std::string_view::npos)
        return false;
    if (name == "localtime") return false;
    return std::ranges::all_of(name, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '/' || c == '_' ||
               c == '+' || c == '-';
    });
}

bool has_day(const Schedule& schedule, const absl::CivilDay& day) {
    return (schedule.days >> static_cast<unsigned>(absl::GetWeekday(day)) & 1U) != 0;
}

bool is_open(const Schedule& schedule, const absl::CivilSecond& civil) {
    const int minute = civil.hour() * 60 + civil.minute();
    const absl::CivilDay today{civil};
    if (schedule.first_minute < schedule.end_minute)
        return has_day(schedule, today) && minute >= schedule.first_minute && minute < schedule.end_minute;
    return (has_day(schedule, today) && minute >= schedule.first_minute) ||
           (has_day(schedule, today - 1) && minute < schedule.end_minute);
}

}  // namespace

Expected<std::uint16_t, ValueError> parse_day_time(std::string_view text) {
    const auto hour = digits(text, 0, 2), minute = digits(text, 3, 2);
    const int value = hour.value_or(99) * 60 + minute.value_or(0);
    if (text.size() != 5 || text[2] != ':' || !minute || *minute > 59 || value > kMinutesOfDay) {
        return Unexpected<ValueError>{
            ValueError{"bad-time", quoted(text) + " is no time of day; write \"HH:MM\", from \"00:00\" to \"24:00\""}};
    }
    return static_cast<std::uint16_t>(value);
}

std::string day_time_text(std::uint16_t minute) {
    const auto two = [](int n) { return (n < 10 ? "0" : "") + std::to_string(n); };
    return two(minute / 60) + ":" + two(minute % 60);
}

Expected<void, ValueError> check_time_zone(std::string_view name) {
    absl::TimeZone zone;
    if (is_zone_name(name) && absl::LoadTimeZone(std::string{name}, &zone)) return {};
    return Unexpected<ValueError>{ValueError{
        "unknown-time-zone", quoted(name) + " is no time zone that this machine knows; write a name of the time zone "
                                            "database, such as Asia/Shanghai or UTC"}};
}

Expected<UnixSeconds, ValueError> parse_instant(std::string_view text) {
    const auto day = day_of(text);
    const auto hour = digits(text, 11, 2), minute = digits(text, 14, 2);
    const bool has_seconds = stands(text, 16, ':');
    const auto second = has_seconds ? digits(text, 17, 2) : std::optional{0};
    const std::size_t end = has_seconds ? 19 : 16;
    const auto offset = text.size() > end ? offset_of(text.substr(end)) : std::nullopt;
    if (!day || !hour || !minute || !second || !offset || !stands(text, 10, 'T') || !stands(text, 13, ':') ||
        *hour > 23 || *minute > 59 || *second > 59) {
        return Unexpected<ValueError>{ValueError{
            "bad-instant", quoted(text) + " is no instant; write it with its zone, such as 2026-12-05T02:00+08:00"}};
    }
    const absl::CivilSecond civil{day->year(), day->month(), day->day(), *hour, *minute, *second};
    return utc_of(civil) - *offset;
}

Expected<UnixSeconds, ValueError> parse_expiry(std::string_view text) {
    if (text.size() == 10) {
        if (const auto day = day_of(text)) return utc_of(absl::CivilSecond{*day + 1});
    }
    auto instant = parse_instant(text);
    if (!instant) {
        instant.error().detail = quoted(text) +
                                 " is no day and no instant; write 2027-03-31 (until its end, UTC) or "
                                 "2027-03-31T18:00+08:00";
    }
    return instant;
}

std::string instant_text(UnixSeconds at) {
    return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::FromUnixSeconds(at), absl::UTCTimeZone());
}

std::uint8_t day_bit(std::string_view name) noexcept {
    const auto found = std::ranges::find(kDayNames, name);
    if (found == std::end(kDayNames)) return 0;
    return static_cast<std::uint8_t>(1U << static_cast<unsigned>(found - std::begin(kDayNames)));
}

bool is_open(const Schedule& schedule, UnixSeconds at) {
    return is_open(schedule, absl::ToCivilSecond(absl::FromUnixSeconds(at), zone_named(schedule.time_zone)));
}

/// All that can be one: the beginning and the end on each day, whichever of two hours of the same name is meant, and
/// the instants at which the zone's clock is put forward or back.
std::vector<UnixSeconds> schedule_edges(const Schedule& schedule, UnixSeconds first, UnixSeconds last) {
    const absl::TimeZone zone = zone_named(schedule.time_zone);
    std::vector<UnixSeconds> edges;
    const auto add = [&](absl::Time time) {
        const UnixSeconds at = absl::ToUnixSeconds(time);
        if (at >= first && at < last) edges.push_back(at);
    };
    const absl::CivilDay end = absl::CivilDay{absl::ToCivilSecond(absl::FromUnixSeconds(last), zone)} + 1;
    for (absl::CivilDay day{absl::ToCivilSecond(absl::FromUnixSeconds(first), zone)}; day <= end; ++day) {
        for (const std::uint16_t minute : {schedule.first_minute, schedule.end_minute}) {
            const auto there = zone.At(absl::CivilSecond{day} + minute * 60);
            for (const absl::Time time : {there.pre, there.trans, there.post}) add(time);
        }
    }
    absl::TimeZone::CivilTransition turn;
    for (absl::Time t = absl::FromUnixSeconds(first - 1); zone.NextTransition(t, &turn);) {
        t = zone.At(turn.to).trans;
        add(t);
        if (absl::ToUnixSeconds(t) >= last) break;
    }
    std::ranges::sort(edges);
    edges.erase(std::unique(edges.begin(), edges.end()), edges.end());
    return edges;
}

Standing standing_of(const Policy& policy, const Rule& rule, UnixSeconds at) {
    if (rule.when && !is_open(policy.schedules[*rule.when], at)) return Standing::absent;
    const bool expired = rule.expires && at >= *rule.expires;
    return rule.mode == abi::RuleMode::observe || expired ? Standing::observed : Standing::enforced;
}

bool depends_on_time(const Rule& rule) noexcept { return rule.when.has_value() || rule.expires.has_value(); }

bool depends_on_time(const Policy& policy) noexcept {
    return std::ranges::any_of(policy.rules, [](const Rule& rule) { return depends_on_time(rule); });
}

UnixSeconds unix_now() noexcept {
    return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
        .count();
}

}  // namespace sluice::cp
