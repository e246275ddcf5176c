/// Keys and tokens as an issuer makes them, for unit tests.
#pragma once

#include <cjose/jwk.h>
#include <cjose/jws.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

namespace sluice::cp::test {

class Signer {
public:
    static Signer rsa(const std::string& id, std::size_t bits = 2048) {
        cjose_err error{};
        return {id, cjose_jwk_create_RSA_random(bits, nullptr, 0, &error)};
    }
    static Signer p256(const std::string& id) {
        cjose_err error{};
        return {id, cjose_jwk_create_EC_random(CJOSE_JWK_EC_P_256, &error)};
    }

    /// Its public half.
    std::string jwk() const {
        cjose_err error{};
        char* text = cjose_jwk_to_json(key_.get(), false, &error);
        std::string jwk = text == nullptr ? "{}" : text;
        std::free(text);
        return jwk;
    }
    std::string sign(const std::string& algorithm, const std::string& claims) const {
        cjose_err error{};
        cjose_header_t* header = cjose_header_new(&error);
        cjose_header_set(header, CJOSE_HDR_ALG, algorithm.c_str(), &error);
        cjose_header_set(header, CJOSE_HDR_KID, id_.c_str(), &error);
        cjose_jws_t* jws = cjose_jws_sign(key_.get(), header, reinterpret_cast<const std::uint8_t*>(claims.data()),
                                          claims.size(), &error);
        const char* text = nullptr;
        EXPECT_TRUE(jws != nullptr && cjose_jws_export(jws, &text, &error)) << error.message;
        std::string token = text == nullptr ? "" : text;
        if (jws != nullptr) cjose_jws_release(jws);
        cjose_header_release(header);
        return token;
    }

private:
    Signer(std::string id, cjose_jwk_t* key) : id_{std::move(id)}, key_{key, &cjose_jwk_release} {
        cjose_err error{};
        EXPECT_NE(key, nullptr);
        cjose_jwk_set_kid(key, id_.c_str(), id_.size(), &error);
    }

    std::string id_;
    std::shared_ptr<cjose_jwk_t> key_;
};

inline std::string set_of(const std::vector<std::string>& keys) {
    std::string text;
    for (const auto& key : keys) text += (text.empty() ? "" : ",") + key;
    return R"({"keys":[)" + text + "]}";
}

}  // namespace sluice::cp::test
