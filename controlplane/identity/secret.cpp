#include "controlplane/identity/secret.hpp"

#include <sodium.h>

#include <algorithm>

namespace sluice::cp {
namespace {

/// Also picks the fastest code for this CPU; cheap after the first time.
bool sodium_ready() noexcept { return sodium_init() >= 0; }

bool is_hex(char c) noexcept { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }
bool is_base64url(char c) noexcept {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

}  // namespace

std::string new_token_id() {
    if (!sodium_ready()) return {};
    std::string id;
    do {
        std::array<unsigned char, kTokenIdChars / 2> bytes{};
        randombytes_buf(bytes.data(), bytes.size());
        id.clear();
        for (const auto byte : bytes) {
            id.push_back("0123456789abcdef"[byte >> 4U]);
            id.push_back("0123456789abcdef"[byte & 15U]);
        }
    } while (id == kFirstTokenId);
    return id;
}

std::string new_secret() {
    if (!sodium_ready()) return {};
    std::array<unsigned char, 32> bytes{};
    randombytes_buf(bytes.data(), bytes.size());
    std::array<char, kTokenSecretChars + 1> text{};
    sodium_bin2base64(text.data(), text.size(), bytes.data(), bytes.size(), sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    sodium_memzero(bytes.data(), bytes.size());
    return text.data();
}

std::string token_text(std::string_view id, std::string_view secret) {
    return std::string{kTokenPrefix}.append(id).append("_").append(secret);
}

std::optional<std::string> id_in(std::string_view text) {
    if (text.size() != kTokenPrefix.size() + kTokenIdChars + 1 + kTokenSecretChars) return std::nullopt;
    if (!text.starts_with(kTokenPrefix)) return std::nullopt;
    const auto id = text.substr(kTokenPrefix.size(), kTokenIdChars);
    const auto secret = text.substr(kTokenPrefix.size() + kTokenIdChars + 1);
    const bool formed = text[kTokenPrefix.size() + kTokenIdChars] == '_' && std::ranges::all_of(id, is_hex) &&
                        std::ranges::all_of(secret, is_base64url) && id != kFirstTokenId;
    if (!formed) return std::nullopt;
    return std::string{id};
}

std::string hash_secret(std::string_view text, const HashCost& cost) {
    if (!sodium_ready()) return {};
    std::array<char, crypto_pwhash_STRBYTES> hash{};
    if (crypto_pwhash_str_alg(hash.data(), text.data(), text.size(), cost.passes, cost.memory_bytes,
                              crypto_pwhash_ALG_ARGON2ID13) != 0) {
        return {};
    }
    return hash.data();
}

bool fits_hash(std::string_view text, const std::string& hash) {
    if (!sodium_ready() || hash.size() >= crypto_pwhash_STRBYTES) return false;
    // The library reads its whole fixed size.
    std::array<char, crypto_pwhash_STRBYTES> whole{};
    std::ranges::copy(hash, whole.begin());
    return crypto_pwhash_str_verify(whole.data(), text.data(), text.size()) == 0;
}

TokenDigester::TokenDigester() {
    if (sodium_ready()) randombytes_buf(key_.data(), key_.size());
}

TokenDigest TokenDigester::operator()(std::string_view text) const noexcept {
    TokenDigest digest{};
    crypto_generichash(digest.data(), digest.size(), reinterpret_cast<const unsigned char*>(text.data()), text.size(),
                       key_.data(), key_.size());
    return digest;
}

}  // namespace sluice::cp
