/// The public keys of an issuer: a JSON Web Key Set (RFC 7517) read by libcjose. Of what stands in it only what can
/// verify RS256, PS256 or ES256 is kept: RSA from 2048 bits and P-256, meant for signatures; the rest is left out, as
/// section 5 of the RFC has it. A set does not change; one thread at a time verifies with it (libcjose counts its
/// references without atomics).
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/expected.hpp>

struct _cjose_jwk_int;

namespace sluice::cp {

/// The algorithms that are taken, and no others (RFC 8725 section 3.1). HS* would make a public key a secret.
enum class JwsAlgorithm : std::uint8_t { rs256, ps256, es256 };

class KeySet {
public:
    struct FreeKey {
        void operator()(_cjose_jwk_int* key) const noexcept;
    };
    struct Key {
        std::string id;         ///< `kid`; may be empty
        std::string digest;     ///< SHA-256 of the key itself: two keys of one id are two
        bool elliptic{};        ///< P-256, else RSA
        std::string algorithm;  ///< `alg`, if the set says so: then no other
        std::unique_ptr<_cjose_jwk_int, FreeKey> handle;
        bool fits(JwsAlgorithm wanted) const noexcept;
    };

    /// Error: a sentence.
    static Expected<std::shared_ptr<const KeySet>, std::string> parse(std::string_view json);

    /// `id` empty: the only key that fits, if there is but one. Null: none.
    const Key* find(std::string_view id, JwsAlgorithm algorithm) const noexcept;
    bool has(std::string_view digest) const noexcept;
    std::size_t size() const noexcept { return keys_.size(); }

private:
    std::vector<Key> keys_;
};

inline constexpr std::size_t kKeySetBytesMax = 256 * 1024;

std::string_view to_text(JwsAlgorithm algorithm) noexcept;

}  // namespace sluice::cp
