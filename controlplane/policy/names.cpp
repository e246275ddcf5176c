#include "controlplane/policy/names.hpp"

#include <algorithm>
#include <array>
#include <vector>

namespace sluice::cp {

namespace {

constexpr std::size_t kShownBytesMax = 80;
constexpr std::size_t kComparedMax = 2000;  // a hundred errors with long names stay under a second

bool is_lower_or_digit(char c) noexcept { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

bool is_alphanumeric(char c) noexcept { return is_lower_or_digit(c) || (c >= 'A' && c <= 'Z'); }

/// Optimal string alignment: insertions, deletions, replacements, swaps of neighbours.
std::size_t distance(std::string_view a, std::string_view b) {
    const auto width = b.size() + 1;
    std::vector<std::size_t> before(width), above(width), row(width);
    for (std::size_t j = 0; j < width; ++j) above[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        row[0] = i;
        for (std::size_t j = 1; j < width; ++j) {
            const std::size_t replaced = above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
            row[j] = std::min({above[j] + 1, row[j - 1] + 1, replaced});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = std::min(row[j], before[j - 2] + 1);
        }
        std::swap(before, above);
        std::swap(above, row);
    }
    return above[b.size()];
}

}  // namespace

bool is_name(std::string_view text) noexcept {
    return !text.empty() && text.size() <= 63 && text.front() != '-' &&
           std::ranges::all_of(text, [](char c) { return is_lower_or_digit(c) || c == '-'; });
}

bool is_port_name(std::string_view text) noexcept {
    return !text.empty() && text.size() <= 31 && is_alphanumeric(text.front()) &&
           std::ranges::all_of(text, [](char c) { return is_alphanumeric(c) || c == '.' || c == '_' || c == '-'; });
}

bool is_reserved(std::string_view name) noexcept {
    static constexpr std::array<std::string_view, 8> kReserved{"any",  "default", "icmp", "icmp6",
                                                               "none", "proto",   "tcp",  "udp"};
    return std::ranges::find(kReserved, name) != kReserved.end();
}

std::optional<std::string_view> nearest(std::string_view word, std::span<const std::string_view> candidates) {
    // One letter is near to every other; a very long word is no slip of a key, and would cost much to compare.
    if (word.size() < 2 || word.size() > 64) return std::nullopt;
    candidates = candidates.first(std::min(candidates.size(), kComparedMax));
    const std::size_t changes_max = std::clamp<std::size_t>(word.size() / 3, 1, 3);
    std::optional<std::string_view> best;
    std::size_t best_distance = changes_max + 1;
    for (const auto candidate : candidates) {
        const auto gap = std::max(word.size(), candidate.size()) - std::min(word.size(), candidate.size());
        if (gap >= best_distance) continue;
        if (const auto changes = distance(word, candidate); changes < best_distance) {
            best = candidate;
            best_distance = changes;
        }
    }
    return best;
}

std::string did_you_mean(std::string_view word, std::span<const std::string_view> candidates) {
    const auto best = nearest(word, candidates);
    return best ? "; did you mean " + quoted(*best) + "?" : "";
}

std::string quoted(std::string_view text) {
    auto shown = text.substr(0, kShownBytesMax);
    // Never half a character of UTF-8.
    while (shown.size() < text.size() && !shown.empty() &&
           (static_cast<unsigned char>(text[shown.size()]) & 0xc0U) == 0x80U) {
        shown.remove_suffix(1);
    }
    std::string result = "\"";
    for (const char c : shown) result += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
    if (shown.size() < text.size()) result += "...";
    return result += '"';
}

}  // namespace sluice::cp
