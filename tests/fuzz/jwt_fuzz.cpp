/// libFuzzer target for tokens of an issuer and for its keys: jwt_fuzz [-max_total_time=60] CORPUS_DIR. Input: one byte
/// that says how it goes on:
///     0  the text of a token
///     1  header, a line feed, claims: signed with the issuer's key (ES256), as they are
///     2  the same, and behind the first three bytes, which change the signed text at a place
///     3  a key set
/// A token is taken only if its bytes are those that the key signed, and then what is read is what stands in it.
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <sodium.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <vector>

#include <boost/json.hpp>

#include "controlplane/identity/jwt.hpp"
#include "tests/fuzz/input.hpp"

namespace {

using namespace sluice;
using test::must;
namespace json = boost::json;

constexpr std::size_t kCoordinateBytes = 32;

std::string base64url(std::string_view bytes) {
    std::string text(sodium_base64_encoded_len(bytes.size(), sodium_base64_VARIANT_URLSAFE_NO_PADDING), '\0');
    sodium_bin2base64(text.data(), text.size(), reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    text.pop_back();  // the terminating zero
    return text;
}

class Issuer {
public:
    std::string sign(std::string_view header, std::string_view claims) const {
        std::string text = base64url(header) + "." + base64url(claims);
        EVP_MD_CTX* context = EVP_MD_CTX_new();
        std::array<unsigned char, 128> der{};
        std::size_t bytes = der.size();
        must(EVP_DigestSignInit(context, nullptr, EVP_sha256(), nullptr, key_.get()) == 1 &&
                 EVP_DigestSign(context, der.data(), &bytes, reinterpret_cast<const unsigned char*>(text.data()),
                                text.size()) == 1,
             "the issuer can sign");
        EVP_MD_CTX_free(context);
        const unsigned char* at = der.data();
        ECDSA_SIG* signature = d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(bytes));
        std::string raw(2 * kCoordinateBytes, '\0');
        BN_bn2binpad(ECDSA_SIG_get0_r(signature), reinterpret_cast<unsigned char*>(raw.data()), kCoordinateBytes);
        BN_bn2binpad(ECDSA_SIG_get0_s(signature), reinterpret_cast<unsigned char*>(raw.data()) + kCoordinateBytes,
                     kCoordinateBytes);
        ECDSA_SIG_free(signature);
        return text + "." + base64url(raw);
    }
    std::string keys() const {
        return R"({"keys":[{"kty":"EC","crv":"P-256","kid":"k","x":")" + coordinate(OSSL_PKEY_PARAM_EC_PUB_X) +
               R"(","y":")" + coordinate(OSSL_PKEY_PARAM_EC_PUB_Y) + R"("}]})";
    }

private:
    std::string coordinate(const char* name) const {
        BIGNUM* number = nullptr;
        must(EVP_PKEY_get_bn_param(key_.get(), name, &number) == 1, "the issuer's key has coordinates");
        std::string bytes(kCoordinateBytes, '\0');
        BN_bn2binpad(number, reinterpret_cast<unsigned char*>(bytes.data()), kCoordinateBytes);
        BN_free(number);
        return base64url(bytes);
    }

    std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key_{EVP_EC_gen("P-256"), &EVP_PKEY_free};
};

const Issuer& issuer() {
    static const Issuer one;
    return one;
}
const cp::KeySet& keys() {
    static const auto set = cp::KeySet::parse(issuer().keys()).value();
    return *set;
}
const cp::IssuerConfig& config() {
    static const cp::IssuerConfig one{.issuer = "i", .audience = "a", .roles_claim = {"r", "s"}};
    return one;
}

/// What was taken says what the claims say.
void check(const cp::JwtClaims& taken, std::string_view header_text, std::string_view claims_text) {
    boost::system::error_code error;
    const auto header = json::parse({header_text.data(), header_text.size()}, error);
    must(!error && header.is_object() && header.as_object().contains("alg"), "a taken token has a header");
    must(header.at("alg") == "ES256" && !header.as_object().contains("crit"), "of our algorithm, without extensions");
    const auto claims = json::parse({claims_text.data(), claims_text.size()}, error);
    must(!error && claims.is_object(), "a taken token has claims");
    must(claims.at("iss") == "i", "it is of the issuer");
    const auto& audience = claims.at("aud");
    const auto* several = audience.if_array();
    must(several == nullptr ? audience == "a" : std::ranges::find(*several, json::value("a")) != several->end(),
         "it is for us");
    must(claims.at("sub") == json::string_view{taken.subject.data(), taken.subject.size()}, "the subject is its own");
    must(!taken.subject.empty() && taken.subject.size() <= 255 &&
             std::ranges::all_of(taken.subject, [](char c) { return c > ' ' && c <= '~'; }),
         "a subject fits into a line");
    must(claims.at("exp").is_number() && taken.expires_s >= 0 && taken.not_before_s >= 0, "times are times");
    must(keys().has(taken.key_digest), "it names the key that made it");
}

void key_set(std::string_view text) {
    const auto set = cp::KeySet::parse(text);
    if (!set) return must(!set.error().empty(), "what is refused has a reason");
    for (const auto algorithm : {cp::JwsAlgorithm::rs256, cp::JwsAlgorithm::ps256, cp::JwsAlgorithm::es256}) {
        const auto* key = (*set)->find("", algorithm);
        must(key == nullptr || (key->fits(algorithm) && (*set)->has(key->digest)),
             "a key that is found is one of them");
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    test::Input in{data, size};
    const unsigned how = in.byte() % 4;
    if (how == 3) {
        key_set(in.text());
        return 0;
    }
    if (how == 0) {
        must(!cp::read_jwt(in.text(), keys(), config()), "nobody else can sign");
        return 0;
    }
    const std::size_t place = how == 2 ? in.take<std::uint16_t>() : 0;
    const auto change = static_cast<char>(how == 2 ? in.byte() : 0);
    const std::string_view text = in.text();
    const auto end = std::min(text.find('\n'), text.size());
    const auto header = text.substr(0, end), claims = text.substr(std::min(end + 1, text.size()));
    std::string token = issuer().sign(header, claims);
    const std::string signed_text = token;
    if (how == 2) token[place % token.size()] = change;
    const auto taken = cp::read_jwt(token, keys(), config());
    if (!taken) return 0;
    must(token == signed_text, "every byte is signed");
    check(*taken, header, claims);
    return 0;
}
