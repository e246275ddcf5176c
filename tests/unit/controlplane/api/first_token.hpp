/// A token for tests that ask: with every role, hashed at the least cost that there is.
#pragma once

#include <string>
#include <string_view>

#include "controlplane/api/authenticator.hpp"
#include "controlplane/lifecycle/policy_service.hpp"

namespace sluice::cp::api::test {

inline constexpr HashCost kCheapHash{.passes = 1, .memory_bytes = 8192};

inline void make_first_token(PolicyService& service, std::string_view text) {
    (void)adopt_first_token(service.tokens(), std::string{text}, kCheapHash);
}

/// Makes a token with these roles; its text.
inline std::string make_token(PolicyService& service, std::string name, Roles roles,
                              std::optional<std::int64_t> expires_at_ns = {}) {
    TokenRecord token{.id = new_token_id(), .name = std::move(name), .roles = roles};
    const auto text = token_text(token.id, new_secret());
    token.hash = hash_secret(text, kCheapHash);
    token.expires_at_ns = expires_at_ns;
    (void)service.tokens().create(std::move(token), {});
    return text;
}

}  // namespace sluice::cp::api::test
