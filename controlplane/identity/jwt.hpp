/// JSON Web Tokens (RFC 7519) in the compact form of RFC 7515, as an OpenID Connect issuer signs them: read, verified
/// with its keys (libcjose), and held against what we expect. Follows RFC 8725: the algorithm must be on our list and
/// be one of the key's kind, nothing in the token says where a key is to be had, and whose token it is and for whom is
/// asked before any key. The clock is not asked here: a token is read once and judged with every request.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/expected.hpp>

#include "controlplane/identity/issuer_config.hpp"
#include "controlplane/identity/key_set.hpp"

namespace sluice::cp {

enum class JwtFault : std::uint8_t {
    malformed,    ///< no token of this form, or a claim that we need is missing or of another type
    algorithm,    ///< none of ours; `none` too
    issuer,       ///< another one's
    audience,     ///< for somebody else
    key_unknown,  ///< no key of this id and kind in the set: perhaps a new one
    signature,    ///< the key did not make it
};

struct JwtClaims {
    std::string subject;              ///< 1 to 255 visible characters of ASCII
    std::vector<std::string> values;  ///< of the role claim
    std::int64_t expires_s{};         ///< Unix time
    std::int64_t not_before_s{};      ///< the later one of `nbf` and `iat`; 0 = always
    std::string key_digest;           ///< of the key that made it (KeySet::has)
};

inline constexpr std::size_t kJwtBytesMax = 8192;

/// Three parts in base64url, the first one a JSON object: worth being asked `read_jwt`.
bool looks_like_jwt(std::string_view text) noexcept;

/// Nothing of a token whose signature is not verified is given out.
Expected<JwtClaims, JwtFault> read_jwt(std::string_view text, const KeySet& keys, const IssuerConfig& config);

}  // namespace sluice::cp
