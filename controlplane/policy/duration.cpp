#include "controlplane/policy/duration.hpp"

#include <array>
#include <charconv>

#include <sluice/abi/tables.hpp>

#include "controlplane/policy/names.hpp"

namespace sluice::cp {

namespace {

struct Unit {
    std::string_view name;
    std::uint64_t ms;
};
constexpr std::array kUnits{Unit{"d", 86'400'000}, Unit{"h", 3'600'000}, Unit{"m", 60'000}, Unit{"s", 1'000},
                            Unit{"ms", 1}};

}  // namespace

Expected<std::uint32_t, ValueError> parse_duration(std::string_view text) {
    const auto refuse = [&](std::string_view why) {
        return Unexpected<ValueError>{ValueError{"bad-duration", quoted(text) + std::string{why}}};
    };
    constexpr std::string_view kForm = " is no duration; write a number and one of ms, s, m, h, d, such as 30s";
    std::uint64_t number{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    const std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
    if (error == std::errc::result_out_of_range) return refuse(" is too long; write at most 30d");
    if (error != std::errc{}) return refuse(kForm);
    for (const Unit& u : kUnits) {
        if (u.name != unit) continue;
        if (number > abi::kTimeoutMsMax / u.ms) return refuse(" is too long; write at most 30d");
        if (number * u.ms < abi::kTimeoutMsMin) return refuse(" is too short; write at least 1s");
        return static_cast<std::uint32_t>(number * u.ms);
    }
    return refuse(kForm);
}

std::string duration_text(std::uint32_t ms) {
    for (const Unit& u : kUnits) {
        if (ms % u.ms == 0) return std::to_string(ms / u.ms) + std::string{u.name};
    }
    return {};
}

}  // namespace sluice::cp
