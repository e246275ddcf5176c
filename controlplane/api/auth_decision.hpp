/// What became of the question who asks: the answer of every way to show it (authenticator.hpp, issuer_tokens.hpp,
/// client_trust.hpp).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "controlplane/identity/role.hpp"

namespace sluice::cp {
struct JwtClaims;
}

namespace sluice::cp::api {

enum class AuthResult : std::uint8_t {
    not_needed,  ///< the route is open
    granted,
    missing,
    wrong,
    expired,    ///< it was right until then
    revoked,    ///< the same
    throttled,  ///< not even looked at
    // of tokens of an issuer (issuer_tokens.hpp)
    token_malformed,     ///< or without a claim that we need
    token_algorithm,     ///< signed in a way that is not taken, or not at all
    token_issuer,        ///< another issuer's
    token_audience,      ///< meant for somebody else
    token_key_unknown,   ///< its issuer has no such key
    token_signature,     ///< its key did not make it
    token_early,         ///< not valid yet
    token_keys_missing,  ///< nobody can say: the keys of the issuer can't be had
    token_without_role,  ///< a good one, of nobody who has a role here
    // of certificates (client_trust.hpp)
    certificate_missing,    ///< and one is required
    certificate_wrong,      ///< no authority of ours vouches for it
    certificate_expired,    ///< or not valid yet
    certificate_revoked,    ///< its authority says so
    certificate_unchecked,  ///< nobody can say: the list of revoked ones is missing or too old
    certificate_unknown,    ///< a good one, of nobody who has a role here
};

inline constexpr std::size_t kAuthResults = static_cast<std::size_t>(AuthResult::certificate_unknown) + 1;

struct AuthDecision {
    AuthResult result{AuthResult::missing};
    std::string token_id{};  ///< of whom the token says that they are: granted, expired, revoked
    std::string actor{"anonymous"};
    Roles roles{};
    std::chrono::seconds retry_after{};         ///< throttled
    bool by_certificate{};                      ///< granted: to a certificate, not to a token
    std::shared_ptr<const JwtClaims> claims{};  ///< granted: by a token of the issuer
};

}  // namespace sluice::cp::api
