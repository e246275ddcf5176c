#include "tools/sluicectl/output.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <ctime>

#include <fmt/format.h>

namespace sluice::ctl {

std::string count_text(std::uint64_t count) {
    auto digits = std::to_string(count);
    for (auto i = static_cast<std::ptrdiff_t>(digits.size()) - 3; i > 0; i -= 3)
        digits.insert(static_cast<std::size_t>(i), ",");
    return digits;
}

std::string bytes_text(std::uint64_t bytes) {
    constexpr std::array kUnits{"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    if (bytes < 1024) return fmt::format("{} B", bytes);
    auto value = static_cast<double>(bytes);
    std::size_t unit = 0;
    while (value >= 1024 && unit + 1 < kUnits.size()) {
        value /= 1024;
        ++unit;
    }
    return fmt::format("{:.1f} {}", value, kUnits.at(unit));
}

std::string duration_text(double seconds) {
    if (seconds < 0) seconds = 0;
    if (seconds < 10) return fmt::format("{:.1f}s", seconds);
    const auto whole = static_cast<std::uint64_t>(seconds);
    if (whole < 60) return fmt::format("{}s", whole);
    if (whole < 3600) return fmt::format("{}m {}s", whole / 60, whole % 60);
    if (whole < 86'400) return fmt::format("{}h {}m", whole / 3600, whole / 60 % 60);
    return fmt::format("{}d {}h", whole / 86'400, whole / 3600 % 24);
}

std::string endpoint_text(std::string_view address, std::uint64_t port) {
    if (port == 0) return std::string{address};
    return address.find(':') == std::string_view::npos ? fmt::format("{}:{}", address, port)
                                                       : fmt::format("[{}]:{}", address, port);
}

double seconds_from_now(std::string_view time) {
    std::tm parts{};
    const std::string text{time};
    const char* end = strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
    if (end == nullptr) return 0;
    const double fraction = *end == '.' ? std::strtod(end, nullptr) : 0;
    const auto now = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
    return static_cast<double>(timegm(&parts)) + fraction - now;
}

std::string printable(std::string_view text) {
    std::string out{text};
    for (auto& c : out) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
    }
    return out;
}

namespace {

/// Single letters to change, add or leave out (Levenshtein).
std::size_t changes_between(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        auto diagonal = row[0];
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const auto above = row[j];
            row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
            diagonal = above;
        }
    }
    return row[b.size()];
}

}  // namespace

std::string unknown_word(std::string_view word, const std::vector<std::string>& known) {
    constexpr std::size_t kWordMax = 64, kChangesMax = 2;
    word = word.substr(0, kWordMax);
    std::string list;
    std::string_view best;
    auto best_changes = kChangesMax + 1;
    for (const auto& name : known) {
        list += (list.empty() ? "" : ", ") + name;
        if (const auto changes = changes_between(word, name); changes < best_changes) {
            best = name;
            best_changes = changes;
        }
    }
    return fmt::format("\"{}\" is no command; {}", printable(word),
                       best.empty() ? "there are " + list : fmt::format("did you mean \"{}\"?", best));
}

Colour verdict_colour(std::string_view verdict) noexcept {
    if (verdict == "allow") return Colour::green;
    if (verdict == "deny" || verdict == "drop") return Colour::red;
    if (verdict == "reject") return Colour::yellow;
    return Colour::none;
}

std::string painted(std::string_view text, Colour colour, bool enabled) {
    if (!enabled || colour == Colour::none) return std::string{text};
    const auto* code = "2";
    if (colour == Colour::green) code = "32";
    if (colour == Colour::red) code = "31";
    if (colour == Colour::yellow) code = "33";
    return fmt::format("\x1b[{}m{}\x1b[0m", code, text);
}

bool on_terminal() { return isatty(STDOUT_FILENO) == 1; }

bool colours_wanted() {
    const char* no_colour = std::getenv("NO_COLOR");
    return (no_colour == nullptr || *no_colour == '\0') && on_terminal();
}

std::string Table::text(bool colours) const {
    // Widths in code points: an id may not be ASCII one day, and UTF-8's continuation bytes take no column.
    const auto width = [](std::string_view text) {
        std::size_t count = 0;
        for (const char c : text) count += (static_cast<unsigned char>(c) & 0xc0U) != 0x80U ? 1 : 0;
        return count;
    };
    std::vector<std::size_t> widths;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
        widths.push_back(width(columns_[i].title));
        for (const auto& row : rows_) widths[i] = std::max(widths[i], width(row.at(i).text));
    }
    std::string out;
    const auto add_row = [&](const auto& text_of, const auto& colour_of) {
        std::string line;
        for (std::size_t i = 0; i < columns_.size(); ++i) {
            const std::string_view text = text_of(i);
            const std::string gap(widths[i] - width(text), ' ');
            if (columns_[i].align == Align::right) line += gap;
            line += painted(text, colour_of(i), colours);
            if (i + 1 == columns_.size()) break;
            if (columns_[i].align == Align::left) line += gap;
            line += "  ";
        }
        out += line + '\n';
    };
    add_row([&](std::size_t i) -> std::string_view { return columns_[i].title; },
            [](std::size_t) { return Colour::dim; });
    for (const auto& row : rows_) {
        add_row([&](std::size_t i) -> std::string_view { return row.at(i).text; },
                [&](std::size_t i) { return row.at(i).colour; });
    }
    return out;
}

}  // namespace sluice::ctl
