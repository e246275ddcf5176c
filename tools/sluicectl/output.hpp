/// What people read: aligned tables, units, colours only on a terminal.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::ctl {

/// 12345 -> 12,345
std::string count_text(std::uint64_t count);
/// 5600000 -> 5.3 MiB
std::string bytes_text(std::uint64_t bytes);
/// 61.5 -> 1m 1s
std::string duration_text(double seconds);
/// 10.0.0.1:80, [2001:db8::1]:80; the address alone if the protocol has no ports (0).
std::string endpoint_text(std::string_view address, std::uint64_t port);
/// Seconds from now (negative: past) of an RFC 3339 time in UTC; 0 when it can't be read.
double seconds_from_now(std::string_view time);

/// `"stats" is no command; did you mean "status"?`, or with the list of `known` if none is near.
std::string unknown_word(std::string_view word, const std::vector<std::string>& known);

/// Control characters become `?`: what a peer named must not steer our terminal.
std::string printable(std::string_view text);

enum class Colour : std::uint8_t { none, green, red, yellow, dim };
Colour verdict_colour(std::string_view verdict) noexcept;
/// Coloured if `enabled`.
std::string painted(std::string_view text, Colour colour, bool enabled);
/// Standard output is one.
bool on_terminal();
/// Standard output is a terminal and NO_COLOR (https://no-color.org) is not set.
bool colours_wanted();

enum class Align : std::uint8_t { left, right };

class Table {
public:
    struct Column {
        std::string title;
        Align align{Align::left};
    };
    struct Cell {
        std::string text;
        Colour colour{Colour::none};
        Cell(std::string text_in, Colour colour_in = Colour::none) : text{std::move(text_in)}, colour{colour_in} {}
        Cell(const char* text_in) : text{text_in} {}
    };

    explicit Table(std::vector<Column> columns) : columns_{std::move(columns)} {}
    void add(std::vector<Cell> row) { rows_.push_back(std::move(row)); }
    std::string text(bool colours) const;

private:
    std::vector<Column> columns_;
    std::vector<std::vector<Cell>> rows_;
};

}  // namespace sluice::ctl
