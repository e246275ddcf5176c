#include "controlplane/lifecycle/commit_guard.hpp"

#include <charconv>
#include <cstdio>

namespace sluice::cp {
namespace {

using namespace std::chrono_literals;

constexpr auto kBaseline = 60s, kWindow = 10s;
/// A share of less is chance: one retransmitted SYN of an idle link must not undo a policy.
constexpr std::array<std::uint64_t, kGuardedRates> kLeast{100, 20};

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
    return text;
}

std::optional<GuardedRate> rate_named(std::string_view name) {
    for (std::size_t r = 0; r < kGuardedRates; ++r) {
        if (to_string(GuardedRate{static_cast<std::uint8_t>(r)}) == name)
            return GuardedRate{static_cast<std::uint8_t>(r)};
    }
    return std::nullopt;
}

std::optional<double> points_of(std::string_view text) {
    if (text.ends_with('%')) text.remove_suffix(1);
    double points{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), points, std::chars_format::fixed);
    if (error != std::errc{} || end != text.data() + text.size() || !(points >= 0 && points < 100)) return std::nullopt;
    return points;
}

}  // namespace

std::string_view to_string(GuardedRate rate) noexcept {
    return rate == GuardedRate::drop_rate ? "drop-rate" : "refused-flows";
}

Expected<GuardBounds, std::string> parse_guard(std::string_view text) {
    GuardBounds bounds;
    while (true) {
        const auto comma = text.find(',');
        const auto part = trimmed(text.substr(0, comma));
        const auto equals = part.find('=');
        const auto rate = rate_named(part.substr(0, equals));
        const auto points = equals == std::string_view::npos ? std::nullopt : points_of(part.substr(equals + 1));
        if (!rate || !points) {
            return Unexpected<std::string>(
                "a guard is drop-rate=POINTS or refused-flows=POINTS, or both with a comma: by how many percentage "
                "points (0 to 99) it may get worse");
        }
        auto& bound = bounds.points[static_cast<std::size_t>(*rate)];
        if (bound) return Unexpected<std::string>(std::string{to_string(*rate)} + " stands twice");
        bound = *points;
        if (comma == std::string_view::npos) return bounds;
        text.remove_prefix(comma + 1);
    }
}

std::string to_text(const GuardBounds& bounds) {
    std::string out;
    for (std::size_t r = 0; r < kGuardedRates; ++r) {
        if (!bounds.points[r]) continue;
        std::array<char, 400> digits{};  // the longest fixed form of a double
        const auto end =
            std::to_chars(digits.data(), digits.data() + digits.size(), *bounds.points[r], std::chars_format::fixed)
                .ptr;
        out += (out.empty() ? "" : ", ") + std::string{to_string(GuardedRate{static_cast<std::uint8_t>(r)})} + "=";
        out.append(digits.data(), end);
    }
    return out;
}

Share share_between(GuardedRate rate, const TrafficMark& from, const TrafficMark& to) noexcept {
    const std::uint64_t part = rate == GuardedRate::drop_rate ? to.drops - from.drops : to.refused - from.refused;
    const std::uint64_t of = rate == GuardedRate::drop_rate ? to.packets - from.packets : to.made - from.made + part;
    return {of, of == 0 ? 0 : 100 * static_cast<double>(part) / static_cast<double>(of)};
}

void TrafficHistory::note(const TrafficMark& mark) {
    marks_.push_back(mark);
    while (mark.at - marks_.front().at > kBaseline) marks_.pop_front();
}

std::array<Share, kGuardedRates> TrafficHistory::rates_until(const TrafficMark& now) const noexcept {
    std::array<Share, kGuardedRates> rates{};
    if (marks_.empty()) return rates;
    for (std::size_t r = 0; r < kGuardedRates; ++r)
        rates[r] = share_between(GuardedRate{static_cast<std::uint8_t>(r)}, marks_.front(), now);
    return rates;
}

std::optional<std::string> CommitGuard::judge(const TrafficMark& now) {
    // The oldest mark stays until the next one is old enough, so that the window is never shorter than it can be.
    while (marks_.size() > 1 && now.at - marks_[1].at >= kWindow) marks_.pop_front();
    const TrafficMark from = marks_.front();
    marks_.push_back(now);
    for (std::size_t r = 0; r < kGuardedRates; ++r) {
        const auto rate = GuardedRate{static_cast<std::uint8_t>(r)};
        const Share is = share_between(rate, from, now);
        if (!bounds_.points[r] || is.of < kLeast[r] || is.percent - before_[r].percent <= *bounds_.points[r]) continue;
        std::array<char, 160> text{};
        (void)std::snprintf(text.data(), text.size(), "%s went from %.1f %% to %.1f %%, more than %.1f points",
                            std::string{to_string(rate)}.c_str(), before_[r].percent, is.percent, *bounds_.points[r]);
        return text.data();
    }
    return std::nullopt;
}

}  // namespace sluice::cp
