/// The text of a token, and what is kept of it.
///
///     sluice_7f3a9c21_Qm0c...    `sluice_`, the token's id (8 hex digits, no secret), `_`, 32 random bytes in
///     base64url
///
/// Kept is Argon2id of the whole text (RFC 9106), as a PHC string that names its parameters. 19 MiB and two passes: the
/// least of what OWASP's cheat sheet on password storage asks for, 20 to 40 ms; the secret of a token that we made has
/// 256 bits, the hash is for those that people choose (`state_dir/token`) and for a stolen database.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::cp {

inline constexpr std::string_view kTokenPrefix = "sluice_";
/// Whatever is no text of ours belongs to the token of the first start, whose text anybody may choose.
inline constexpr std::string_view kFirstTokenId = "00000000";
inline constexpr std::size_t kTokenIdChars = 8;
inline constexpr std::size_t kTokenSecretChars = 43;

/// 8 hex digits, never those of the first token. Empty: no random bytes are to be had.
std::string new_token_id();
/// 32 random bytes in base64url, 43 characters. Empty: no random bytes are to be had.
std::string new_secret();
std::string token_text(std::string_view id, std::string_view secret);
/// The id, if the text has the form above.
std::optional<std::string> id_in(std::string_view text);

/// What the computation costs. Tests take the least that there is; what is kept names what it was made with.
struct HashCost {
    unsigned passes{2};
    std::size_t memory_bytes{19U << 20};
};
/// Empty: there is no memory for it.
std::string hash_secret(std::string_view text, const HashCost& cost = {});
/// Takes as long as making it did. False also of a hash that is none.
bool fits_hash(std::string_view text, const std::string& hash);

/// A token in memory: BLAKE2b with a key of this process, so that neither a lookup's time nor a core dump tells it.
using TokenDigest = std::array<unsigned char, 32>;
class TokenDigester {
public:
    TokenDigester();
    TokenDigest operator()(std::string_view text) const noexcept;

private:
    std::array<unsigned char, 32> key_{};
};

}  // namespace sluice::cp
