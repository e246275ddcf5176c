/// Base64url without padding (RFC 4648 section 5, RFC 7515 section 2), in the one spelling that each text of bytes has.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace sluice::cp {

/// Nothing: a character is none of the alphabet, or the length or the last bits are none that an encoder makes.
std::optional<std::string> decode_base64url(std::string_view text);

}  // namespace sluice::cp
