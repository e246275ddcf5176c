/// Who may ask: `Authorization: Bearer <token>`. The token is kept as its digest only, and compared in constant time:
/// neither the time nor a core dump of this object tells it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::cp::api {

enum class AuthResult : std::uint8_t { granted, missing, wrong };

class BearerAuth {
public:
    explicit BearerAuth(std::string_view token);
    /// `header` is the value of Authorization, if there is one.
    AuthResult check(std::optional<std::string_view> header) const;
    /// Whose token it is, for the audit: token:1f3a5c7e, digits of a hash that tells nothing of the token.
    const std::string& name() const noexcept { return name_; }

private:
    std::array<unsigned char, 32> digest_{};
    std::string name_;
};

}  // namespace sluice::cp::api
