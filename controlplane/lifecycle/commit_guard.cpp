#include "controlplane/lifecycle/commit_guard.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>

namespace sluice::cp {
namespace {

using namespace std::chrono_literals;

constexpr auto kBaseline = 60s, kWindow = 10s;
/// A share of less is chance: one retransmitted SYN of an idle link must not undo a policy.
constexpr std::array<std::uint64_t, kGuardedRates> kLeast{100, 20, 20};

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
    return text;
}

constexpr std::array<std::string_view, kGuardedRates> kNames{"drop-rate", "refused-flows", "failed-handshakes"};
constexpr std::string_view kOver = " over ";

std::optional<GuardedRate> rate_named(std::string_view name) {
    for (std::size_t r = 0; r < kGuardedRates; ++r) {
        if (kNames[r] == name) return GuardedRate{static_cast<std::uint8_t>(r)};
    }
    return std::nullopt;
}

std::optional<double> percent_of(std::string_view text) {
    double percent{};
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), percent, std::chars_format::fixed);
    if (error != std::errc{} || end != text.data() + text.size() || !(percent >= 0 && percent <= 100))
        return std::nullopt;
    return percent;
}

/// Nothing gets worse by all there is.
std::optional<double> points_of(std::string_view text) {
    if (text.ends_with('%')) text.remove_suffix(1);
    const auto points = percent_of(text);
    return points && *points < 100 ? points : std::nullopt;
}

std::string digits_of(double value) {
    std::array<char, 400> digits{};  // the longest fixed form of a double
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value, std::chars_format::fixed).ptr;
    return {digits.data(), end};
}

/// Parts with commas between them, each `name=` and what `of` says; of those that have bounds.
template <typename Of>
std::string parts_text(const GuardBounds& bounds, Of of) {
    std::string out;
    for (std::size_t r = 0; r < kGuardedRates; ++r) {
        if (!bounds.points[r]) continue;
        out.append(out.empty() ? "" : ", ").append(kNames[r]).append("=").append(of(r));
    }
    return out;
}

}  // namespace

std::string_view to_string(GuardedRate rate) noexcept { return kNames[static_cast<std::size_t>(rate)]; }

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
                "a guard is drop-rate=POINTS, refused-flows=POINTS or failed-handshakes=POINTS, or some of them with "
                "commas: by how many percentage points (0 to 99) it may get worse");
        }
        auto& bound = bounds.points[static_cast<std::size_t>(*rate)];
        if (bound) return Unexpected<std::string>(std::string{to_string(*rate)} + " stands twice");
        bound = *points;
        if (comma == std::string_view::npos) return bounds;
        text.remove_prefix(comma + 1);
    }
}

std::string to_text(const GuardBounds& bounds) {
    return parts_text(bounds, [&](std::size_t r) { return digits_of(*bounds.points[r]); });
}

GuardTerms terms_over(const GuardBounds& bounds, const Shares& before) {
    GuardTerms terms{bounds, {}};
    for (std::size_t r = 0; r < kGuardedRates; ++r) {
        if (before[r].of >= kLeast[r]) terms.before[r] = before[r].percent;
    }
    return terms;
}

std::string unknown_before(const GuardBounds& bounds, const Shares& before) {
    std::string names;
    for (std::size_t r = 0; r < kGuardedRates; ++r) {
        if (bounds.points[r] && before[r].of < kLeast[r]) names.append(names.empty() ? "" : ", ").append(kNames[r]);
    }
    return names;
}

std::string to_text(const GuardTerms& terms) {
    return parts_text(terms.bounds, [&](std::size_t r) {
        return digits_of(*terms.bounds.points[r]).append(kOver).append(digits_of(terms.before[r]));
    });
}

std::optional<GuardTerms> parse_guard_terms(std::string_view text) {
    GuardTerms terms;
    std::string bounds;
    while (true) {
        const auto comma = text.find(',');
        const auto part = trimmed(text.substr(0, comma));
        const auto over = part.find(kOver);
        const auto rate = rate_named(part.substr(0, part.find('=')));
        const auto before =
            over == std::string_view::npos ? std::nullopt : percent_of(part.substr(over + kOver.size()));
        if (!rate || !before) return std::nullopt;
        terms.before[static_cast<std::size_t>(*rate)] = *before;
        bounds.append(bounds.empty() ? "" : ",").append(part.substr(0, over));
        if (comma == std::string_view::npos) break;
        text.remove_prefix(comma + 1);
    }
    const auto read = parse_guard(bounds);
    if (!read) return std::nullopt;
    terms.bounds = *read;
    return terms;
}

Share share_between(GuardedRate rate, const TrafficMark& from, const TrafficMark& to) noexcept {
    std::uint64_t part = 0, of = 0;
    switch (rate) {
        case GuardedRate::drop_rate:
            part = to.drops - from.drops;
            of = to.packets - from.packets;
            break;
        case GuardedRate::refused_flows:
            part = to.refused - from.refused;
            of = to.made - from.made + part;
            break;
        case GuardedRate::failed_handshakes:
            part = to.failed - from.failed;
            of = to.established - from.established + part;
            break;
    }
    // Packets of our own making can be dropped, and are received by nobody.
    return {of, of == 0 ? 0 : std::min(100.0, 100 * static_cast<double>(part) / static_cast<double>(of))};
}

void TrafficHistory::note(const TrafficMark& mark) {
    marks_.push_back(mark);
    while (mark.at - marks_.front().at > kBaseline) marks_.pop_front();
}

Shares TrafficHistory::rates_until(const TrafficMark& now) const noexcept {
    Shares rates{};
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
        const auto bound = terms_.bounds.points[r];
        if (!bound || is.of < kLeast[r] || is.percent - terms_.before[r] <= *bound) continue;
        std::array<char, 160> text{};
        (void)std::snprintf(text.data(), text.size(), "%s went from %.1f %% to %.1f %%, more than %.1f points",
                            std::string{to_string(rate)}.c_str(), terms_.before[r], is.percent, *bound);
        return text.data();
    }
    return std::nullopt;
}

}  // namespace sluice::cp
