#include "controlplane/api/auth.hpp"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include "controlplane/api/http_message.hpp"

namespace sluice::cp::api {
namespace {

std::array<unsigned char, 32> sha256(std::string_view text) {
    std::array<unsigned char, 32> digest{};
    SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
    return digest;
}

}  // namespace

BearerAuth::BearerAuth(std::string_view token) : digest_{sha256(token)}, name_{"token:"} {
    // Of the digest's digest: what is compared with stays out of the audit altogether.
    const auto shown = sha256({reinterpret_cast<const char*>(digest_.data()), digest_.size()});
    for (std::size_t i = 0; i < 4; ++i) {
        name_.push_back("0123456789abcdef"[shown.at(i) >> 4U]);
        name_.push_back("0123456789abcdef"[shown.at(i) & 15U]);
    }
}

AuthResult BearerAuth::check(std::optional<std::string_view> header) const {
    if (!header) return AuthResult::missing;
    constexpr std::string_view kScheme = "bearer ";
    if (header->size() <= kScheme.size() || !equals_ignoring_case(header->substr(0, kScheme.size()), kScheme)) {
        return AuthResult::wrong;
    }
    auto token = header->substr(kScheme.size());
    while (!token.empty() && token.front() == ' ') token.remove_prefix(1);
    // Digests, not texts: equal lengths, and the comparison tells nothing about how far a guess was right.
    const auto digest = sha256(token);
    return CRYPTO_memcmp(digest.data(), digest_.data(), digest.size()) == 0 ? AuthResult::granted : AuthResult::wrong;
}

}  // namespace sluice::cp::api
