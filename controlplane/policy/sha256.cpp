#include "controlplane/policy/sha256.hpp"

#include <memory>
#include <stdexcept>

#include <openssl/evp.h>

namespace sluice::cp {
namespace {

struct Free {
    void operator()(EVP_MD* method) const { EVP_MD_free(method); }
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

/// No policy can have a version then.
void must(bool done) {
    if (!done) throw std::runtime_error{"SHA-256 is not available in this OpenSSL"};
}

}  // namespace

abi::Digest256 sha256(std::string_view bytes) { return sha256({bytes}); }

abi::Digest256 sha256(std::initializer_list<std::string_view> pieces) {
    // Looking the method up, and a context, cost more than the digest of a rule.
    static const std::unique_ptr<EVP_MD, Free> method{EVP_MD_fetch(nullptr, "SHA256", nullptr)};
    thread_local const std::unique_ptr<EVP_MD_CTX, Free> context{EVP_MD_CTX_new()};
    must(method != nullptr && context != nullptr);
    abi::Digest256 digest;
    unsigned written{};
    must(EVP_DigestInit_ex2(context.get(), method.get(), nullptr) == 1);
    for (const auto bytes : pieces) must(EVP_DigestUpdate(context.get(), bytes.data(), bytes.size()) == 1);
    must(EVP_DigestFinal_ex(context.get(), digest.bytes.data(), &written) == 1 && written == digest.bytes.size());
    return digest;
}

std::string to_hex(const abi::Digest256& digest) {
    constexpr std::string_view kHex = "0123456789abcdef";
    std::string text;
    text.reserve(digest.bytes.size() * 2);
    for (const auto byte : digest.bytes) {
        text += kHex[byte >> 4];
        text += kHex[byte & 15];
    }
    return text;
}

}  // namespace sluice::cp
