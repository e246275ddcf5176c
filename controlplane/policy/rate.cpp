#include "controlplane/policy/rate.hpp"

#include <charconv>

#include <sluice/abi/tables.hpp>

#include "controlplane/policy/names.hpp"

namespace sluice::cp {

Expected<std::uint32_t, ValueError> parse_rate(std::string_view text) {
    const auto refuse = [&](const std::string& why) {
        return Unexpected<ValueError>{ValueError{"bad-rate", quoted(text) + why}};
    };
    std::uint32_t number{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    const std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
    if (error == std::errc::invalid_argument || unit != "/s")
        return refuse(" is no rate; write a number and /s, such as 100/s");
    if (error != std::errc{} || number < 1 || number > abi::kRateLimitMax)
        return refuse(" is out of range; write 1/s to " + rate_text(abi::kRateLimitMax));
    return number;
}

std::string rate_text(std::uint32_t per_second) { return std::to_string(per_second) + "/s"; }

}  // namespace sluice::cp
