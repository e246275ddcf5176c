#include "controlplane/lifecycle/record_query.hpp"

#include <array>
#include <charconv>
#include <ctime>
#include <limits>

namespace sluice::cp {
namespace {

constexpr std::int64_t kSecondNs = 1'000'000'000;
constexpr std::uint64_t kAgoSecondsMax = 3650ULL * 86'400;

template <typename Number>
bool whole(std::string_view text, Number& into) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), into);
    return error == std::errc{} && end == text.data() + text.size();
}

/// So many digits off the front, in bounds.
bool digits(std::string_view& text, std::size_t count, int least, int most, int& into) {
    if (text.size() < count || text.substr(0, count).find_first_not_of("0123456789") != std::string_view::npos)
        return false;
    (void)whole(text.substr(0, count), into);
    text.remove_prefix(count);
    return into >= least && into <= most;
}

bool one(std::string_view& text, std::string_view of) {
    if (text.empty() || of.find(text.front()) == std::string_view::npos) return false;
    text.remove_prefix(1);
    return true;
}

std::optional<std::uint64_t> parse_ago(std::string_view text) {
    std::uint64_t total = 0;
    while (!text.empty()) {
        std::uint64_t number{};
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
        if (error != std::errc{} || number > kAgoSecondsMax) return std::nullopt;
        text.remove_prefix(static_cast<std::size_t>(end - text.data()));
        const std::size_t unit = text.empty() ? std::string_view::npos : std::string_view{"smhd"}.find(text.front());
        if (unit == std::string_view::npos) return std::nullopt;
        constexpr std::array<std::uint64_t, 4> kSeconds{1, 60, 3600, 86'400};
        total += number * kSeconds.at(unit);
        if (total > kAgoSecondsMax) return std::nullopt;
        text.remove_prefix(1);
    }
    return total;
}

/// Minutes that local time is ahead of UTC.
bool offset(std::string_view& text, int& minutes) {
    if (one(text, "Zz")) return true;
    const bool behind = !text.empty() && text.front() == '-';
    int hours{}, rest{};
    if (!one(text, "+-") || !digits(text, 2, 0, 23, hours) || !one(text, ":") || !digits(text, 2, 0, 59, rest))
        return false;
    minutes = (behind ? -1 : 1) * (hours * 60 + rest);
    return true;
}

std::optional<std::int64_t> parse_rfc3339(std::string_view text) {
    std::tm tm{};
    int minutes = 0;
    if (!digits(text, 4, 1970, 2261, tm.tm_year) || !one(text, "-") || !digits(text, 2, 1, 12, tm.tm_mon) ||
        !one(text, "-") || !digits(text, 2, 1, 31, tm.tm_mday) || !one(text, "Tt ") ||
        !digits(text, 2, 0, 23, tm.tm_hour) || !one(text, ":") || !digits(text, 2, 0, 59, tm.tm_min) ||
        !one(text, ":") || !digits(text, 2, 0, 60, tm.tm_sec)) {
        return std::nullopt;
    }
    std::int64_t fraction_ns = 0;
    if (one(text, ".")) {
        std::int64_t unit = kSecondNs / 10;
        std::size_t count = 0;
        for (; count < text.size() && text[count] >= '0' && text[count] <= '9'; ++count, unit /= 10)
            fraction_ns += unit * (text[count] - '0');
        if (count == 0) return std::nullopt;
        text.remove_prefix(count);
    }
    if (!offset(text, minutes) || !text.empty()) return std::nullopt;
    const int day = tm.tm_mday;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    const bool leap_second = tm.tm_sec == 60;
    const std::time_t seconds = timegm(&tm);
    if (!leap_second && tm.tm_mday != day) return std::nullopt;  // no such day in this month
    return (static_cast<std::int64_t>(seconds) - minutes * 60) * kSecondNs + fraction_ns;
}

}  // namespace

std::optional<std::int64_t> parse_record_time(std::string_view text, std::int64_t now_ns) {
    if (text.empty()) return std::nullopt;
    if (const auto ago_s = parse_ago(text)) return now_ns - static_cast<std::int64_t>(*ago_s) * kSecondNs;
    return parse_rfc3339(text);
}

std::string no_record_time(std::string_view name, std::string_view text) {
    constexpr std::size_t kQuotedBytesMax = 60;
    const bool long_one = text.size() > kQuotedBytesMax;
    return std::string{name} + " is \"" + std::string{text.substr(0, kQuotedBytesMax)} + (long_one ? "..." : "") +
           "\", which is no time; write 2026-11-26T05:00:00Z, or how long ago, such as 90s, 1h30m or 7d";
}

std::string record_cursor(const RecordRange& range) {
    return "r" + std::to_string(range.after) + "." + std::to_string(range.since_ns) + "." +
           std::to_string(range.until_ns);
}

std::optional<RecordRange> parse_record_cursor(std::string_view text) {
    RecordRange range;
    const auto first = text.find('.');
    const auto second = first == std::string_view::npos ? first : text.find('.', first + 1);
    if (!text.starts_with('r') || second == std::string_view::npos) return std::nullopt;
    if (!whole(text.substr(1, first - 1), range.after) ||
        !whole(text.substr(first + 1, second - first - 1), range.since_ns) ||
        !whole(text.substr(second + 1), range.until_ns)) {
        return std::nullopt;
    }
    if (range.after == std::numeric_limits<std::uint64_t>::max()) return std::nullopt;
    return range;
}

}  // namespace sluice::cp
