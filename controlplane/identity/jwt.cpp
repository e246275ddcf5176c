#include "controlplane/identity/jwt.hpp"

#include <cjose/jws.h>
#include <openssl/err.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <optional>

#include <boost/json.hpp>

#include "controlplane/identity/base64url.hpp"

namespace sluice::cp {
namespace json = boost::json;
namespace {

constexpr std::size_t kSubjectBytesMax = 255;  // OpenID Connect Core 1.0 section 2
constexpr std::size_t kValuesMax = 1024;
/// Beyond the year 9999 is no time but a mistake.
constexpr double kTimeMax_s = 253'402'300'800.0;

struct FreeJws {
    void operator()(cjose_jws_t* jws) const noexcept { cjose_jws_release(jws); }
};
using JwsPtr = std::unique_ptr<cjose_jws_t, FreeJws>;

bool is_base64url(char c) noexcept {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

std::optional<json::object> decode_object(std::string_view part) {
    const auto bytes = decode_base64url(part);
    if (!bytes) return std::nullopt;
    boost::system::error_code error;
    auto value = json::parse({bytes->data(), bytes->size()}, error);
    if (error || !value.is_object()) return std::nullopt;
    return std::move(value.as_object());
}

std::optional<std::string> text_at(const json::object& object, std::string_view key) {
    const auto* value = object.if_contains(key);
    const auto* text = value == nullptr ? nullptr : value->if_string();
    if (text == nullptr) return std::nullopt;
    return std::string(text->data(), text->size());
}

std::optional<JwsAlgorithm> algorithm_of(const json::object& header) {
    const auto name = text_at(header, "alg");
    for (const auto algorithm : {JwsAlgorithm::rs256, JwsAlgorithm::ps256, JwsAlgorithm::es256}) {
        if (name == to_text(algorithm)) return algorithm;
    }
    return std::nullopt;
}

/// NumericDate, which may have a fraction. Nothing: it is no time.
std::optional<std::int64_t> time_of(const json::value& value) {
    if (!value.is_number()) return std::nullopt;
    const auto number = value.to_number<double>();
    if (!std::isfinite(number) || number < 0 || number > kTimeMax_s) return std::nullopt;
    return static_cast<std::int64_t>(number);
}

/// `aud` is a text or a list of them (RFC 7519 section 4.1.3).
bool is_for(const json::object& claims, std::string_view audience) {
    const auto* value = claims.if_contains("aud");
    if (value == nullptr) return false;
    const auto is_ours = [&](const json::value& one) {
        return one.is_string() && std::string_view{one.get_string()} == audience;
    };
    if (const auto* list = value->if_array()) return std::ranges::any_of(*list, is_ours);
    return is_ours(*value);
}

/// A list of texts as they are; a text by its words, as `scope` has them.
std::vector<std::string> values_at(const json::object& claims, const std::vector<std::string>& path) {
    std::vector<std::string> values;
    const json::object* object = &claims;
    const json::value* value = nullptr;
    for (const auto& key : path) {
        value = object == nullptr ? nullptr : object->if_contains(key);
        object = value == nullptr ? nullptr : value->if_object();
    }
    if (value == nullptr) return values;
    if (const auto* list = value->if_array()) {
        for (const auto& one : *list) {
            if (one.is_string() && values.size() < kValuesMax) values.emplace_back(std::string_view{one.get_string()});
        }
    } else if (const auto* text = value->if_string()) {
        std::string_view rest{*text};
        while (!rest.empty() && values.size() < kValuesMax) {
            const auto word = rest.substr(0, rest.find(' '));
            if (!word.empty()) values.emplace_back(word);
            rest.remove_prefix(std::min(rest.size(), word.size() + 1));
        }
    }
    return values;
}

std::optional<JwtClaims> claims_of(const json::object& object, const IssuerConfig& config) {
    JwtClaims claims;
    const auto subject = text_at(object, "sub");
    const bool good = subject && !subject->empty() && subject->size() <= kSubjectBytesMax &&
                      std::ranges::all_of(*subject, [](char c) { return c > ' ' && c <= '~'; });
    if (!good) return std::nullopt;
    claims.subject = *subject;
    const auto* expires = object.if_contains("exp");
    const auto expires_s = expires == nullptr ? std::nullopt : time_of(*expires);
    if (!expires_s) return std::nullopt;
    claims.expires_s = *expires_s;
    for (const auto* name : {"nbf", "iat"}) {
        const auto* value = object.if_contains(name);
        if (value == nullptr) continue;
        const auto from_s = time_of(*value);
        if (!from_s) return std::nullopt;
        claims.not_before_s = std::max(claims.not_before_s, *from_s);
    }
    claims.values = values_at(object, config.roles_claim);
    return claims;
}

/// The library reads the token anew: what it verified is what we read.
bool verified(std::string_view text, const KeySet::Key& key, JwsAlgorithm algorithm, const std::string& payload) {
    cjose_err why{};
    const JwsPtr jws{cjose_jws_import(text.data(), text.size(), &why)};
    bool good = jws != nullptr;
    const char* name = good ? cjose_header_get(cjose_jws_get_protected(jws.get()), CJOSE_HDR_ALG, &why) : nullptr;
    good = name != nullptr && name == to_text(algorithm) && cjose_jws_verify(jws.get(), key.handle.get(), &why);
    std::uint8_t* bytes = nullptr;
    std::size_t length = 0;
    good = good && cjose_jws_get_plaintext(jws.get(), &bytes, &length, &why) && length == payload.size() &&
           std::equal(payload.begin(), payload.end(), reinterpret_cast<const char*>(bytes));
    ERR_clear_error();
    return good;
}

}  // namespace

bool looks_like_jwt(std::string_view text) noexcept {
    // `{"` in base64url.
    return text.starts_with("eyJ") && text.size() <= kJwtBytesMax && std::ranges::count(text, '.') == 2 &&
           std::ranges::all_of(text, [](char c) { return c == '.' || is_base64url(c); });
}

Expected<JwtClaims, JwtFault> read_jwt(std::string_view text, const KeySet& keys, const IssuerConfig& config) {
    if (!looks_like_jwt(text)) return Unexpected(JwtFault::malformed);
    const auto first = text.find('.'), second = text.find('.', first + 1);
    const auto header = decode_object(text.substr(0, first));
    const auto payload = decode_base64url(text.substr(first + 1, second - first - 1));
    const auto object = decode_object(text.substr(first + 1, second - first - 1));
    // One spelling of each token: the library's own decoder is less strict.
    const bool spelt = decode_base64url(text.substr(second + 1)).has_value();
    if (!header || !payload || !object || !spelt) return Unexpected(JwtFault::malformed);
    const auto algorithm = algorithm_of(*header);
    if (!algorithm) return Unexpected(JwtFault::algorithm);
    // What must be understood and is not ends it (RFC 7515 section 4.1.11); we understand no extension.
    if (header->contains("crit")) return Unexpected(JwtFault::malformed);
    if (text_at(*object, "iss") != config.issuer) return Unexpected(JwtFault::issuer);
    if (!is_for(*object, config.audience)) return Unexpected(JwtFault::audience);
    auto claims = claims_of(*object, config);
    if (!claims) return Unexpected(JwtFault::malformed);
    const auto* key = keys.find(text_at(*header, "kid").value_or(""), *algorithm);
    if (key == nullptr) return Unexpected(JwtFault::key_unknown);
    if (!verified(text, *key, *algorithm, *payload)) return Unexpected(JwtFault::signature);
    claims->key_digest = key->digest;
    return std::move(*claims);
}

}  // namespace sluice::cp
