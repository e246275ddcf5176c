#include "controlplane/identity/key_set.hpp"

#include <cjose/jwk.h>
#include <openssl/err.h>
#include <sodium.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include <boost/json.hpp>

#include "controlplane/identity/base64url.hpp"

namespace sluice::cp {
namespace json = boost::json;
namespace {

constexpr std::size_t kKeysMax = 64;
constexpr std::size_t kRsaBitsMin = 2048, kRsaBitsMax = 8192;
constexpr std::size_t kKeyIdBytesMax = 256;

std::string text_at(const json::object& object, std::string_view key) {
    const auto* value = object.if_contains(key);
    const auto* text = value == nullptr ? nullptr : value->if_string();
    return text == nullptr ? std::string{} : std::string(text->data(), text->size());
}

bool is_for_signatures(const json::object& jwk) {
    if (const auto use = text_at(jwk, "use"); !use.empty() && use != "sig") return false;
    const auto* operations = jwk.if_contains("key_ops");
    if (operations == nullptr) return true;
    const auto* list = operations->if_array();
    return list != nullptr && std::ranges::find(*list, json::value("verify")) != list->end();
}

/// The library ends the process at some texts that are no base64url: none of those comes to it.
bool is_spelt(const json::object& jwk) {
    constexpr std::array kNumbers{"e", "n", "x", "y"};
    return std::ranges::all_of(kNumbers, [&](const char* name) {
        const auto* value = jwk.if_contains(name);
        const auto* text = value == nullptr ? nullptr : value->if_string();
        return value == nullptr || (text != nullptr && decode_base64url(*text).has_value());
    });
}

/// Of what makes the key (RFC 7638 takes the same members).
std::string digest_of(const json::object& jwk) {
    std::string text;
    for (const auto* name : {"kty", "crv", "e", "n", "x", "y"}) text += text_at(jwk, name) + '\n';
    std::array<unsigned char, crypto_hash_sha256_BYTES> hash{};
    crypto_hash_sha256(hash.data(), reinterpret_cast<const unsigned char*>(text.data()), text.size());
    return {reinterpret_cast<const char*>(hash.data()), hash.size()};
}

/// A copy of the public half alone: should an issuer show its private one, it is not taken into memory here.
json::object public_half(const json::object& jwk) {
    json::object half;
    for (const auto* name : {"kty", "crv", "e", "n", "x", "y"}) {
        if (const auto* value = jwk.if_contains(name)) half[name] = *value;
    }
    return half;
}

}  // namespace

std::string_view to_text(JwsAlgorithm algorithm) noexcept {
    switch (algorithm) {
        case JwsAlgorithm::rs256: return "RS256";
        case JwsAlgorithm::ps256: return "PS256";
        case JwsAlgorithm::es256: return "ES256";
    }
    return "invalid";
}

void KeySet::FreeKey::operator()(_cjose_jwk_int* key) const noexcept { cjose_jwk_release(key); }

bool KeySet::Key::fits(JwsAlgorithm wanted) const noexcept {
    return elliptic == (wanted == JwsAlgorithm::es256) && (algorithm.empty() || algorithm == to_text(wanted));
}

Expected<std::shared_ptr<const KeySet>, std::string> KeySet::parse(std::string_view text) {
    if (text.size() > kKeySetBytesMax) return Unexpected<std::string>("it has more than 256 KiB");
    boost::system::error_code error;
    const auto document = json::parse({text.data(), text.size()}, error);
    const auto* object = error ? nullptr : document.if_object();
    const auto* list = object == nullptr ? nullptr : object->if_contains("keys");
    const auto* keys = list == nullptr ? nullptr : list->if_array();
    if (keys == nullptr) return Unexpected<std::string>("it is no JSON Web Key Set: an object with a list `keys`");
    if (keys->size() > kKeysMax) return Unexpected<std::string>("it has more than 64 keys");
    const auto set = std::make_shared<KeySet>();
    for (const auto& item : *keys) {
        const auto* jwk = item.if_object();
        if (jwk == nullptr || !is_for_signatures(*jwk)) continue;
        const auto type = text_at(*jwk, "kty");
        Key key{text_at(*jwk, "kid"), digest_of(*jwk), type == "EC", text_at(*jwk, "alg"), nullptr};
        const bool known = type == "RSA" || (type == "EC" && text_at(*jwk, "crv") == "P-256");
        if (!known || key.id.size() > kKeyIdBytesMax || !is_spelt(*jwk)) continue;
        const auto half = json::serialize(public_half(*jwk));
        cjose_err why{};
        key.handle.reset(cjose_jwk_import(half.data(), half.size(), &why));
        ERR_clear_error();
        if (!key.handle) continue;
        const auto bits = cjose_jwk_get_keysize(key.handle.get(), &why);
        if (!key.elliptic && (bits < kRsaBitsMin || bits > kRsaBitsMax)) continue;
        set->keys_.push_back(std::move(key));
    }
    if (set->keys_.empty())
        return Unexpected<std::string>("no key in it can verify RS256, PS256 (RSA from 2048 bits) or ES256 (P-256)");
    return std::shared_ptr<const KeySet>{set};
}

const KeySet::Key* KeySet::find(std::string_view id, JwsAlgorithm algorithm) const noexcept {
    const Key* only = nullptr;
    for (const auto& key : keys_) {
        if (!key.fits(algorithm)) continue;
        if (!id.empty() && key.id == id) return &key;
        if (id.empty() && only != nullptr) return nullptr;
        if (id.empty()) only = &key;
    }
    return only;
}

bool KeySet::has(std::string_view digest) const noexcept {
    return std::ranges::any_of(keys_, [&](const Key& key) { return key.digest == digest; });
}

}  // namespace sluice::cp
