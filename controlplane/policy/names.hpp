/// Words of a policy: what a name may look like, which are taken by the language, and which known word a misspelt one
/// was meant to be.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace sluice::cp {

/// `[a-z0-9][a-z0-9-]{0,62}`: ids of rules; names of policies, zones, sets and services.
bool is_name(std::string_view text) noexcept;
inline constexpr std::string_view kNamePattern = "^[a-z0-9][a-z0-9-]{0,62}$";

/// Names of ports come from the dataplane's configuration; 31 bytes is what its messages carry.
bool is_port_name(std::string_view text) noexcept;
inline constexpr std::string_view kPortNamePattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,30}$";

/// Words that no zone, set or service may take, for the language uses them in the same places.
bool is_reserved(std::string_view name) noexcept;

/// The candidate that `word` was likely meant to be: the fewest single changes, and few for its length.
std::optional<std::string_view> nearest(std::string_view word, std::span<const std::string_view> candidates);

/// `; did you mean "dmz"?`, or nothing.
std::string did_you_mean(std::string_view word, std::span<const std::string_view> candidates);

/// For messages: in double quotes, control characters replaced, cut when long.
std::string quoted(std::string_view text);

}  // namespace sluice::cp
