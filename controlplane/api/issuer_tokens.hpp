/// Who asks by a token of the issuer (`oidc:` in controlplane.yaml): the part of the authenticator that knows JWTs.
///
/// Theory of operation. A text is read and verified once (`read`, on a thread that may wait for the issuer's keys) and
/// then known by its keyed digest. Every request asks the clock anew, and whether the key that made the token still
/// counts: a key that its issuer has withdrawn ends all that it signed, open streams too. Thread-safe, but for `read`:
/// one thread at a time.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>

#include "controlplane/api/auth_decision.hpp"
#include "controlplane/api/issuer_keys.hpp"
#include "controlplane/identity/jwt.hpp"
#include "controlplane/identity/secret.hpp"

namespace sluice::cp::api {

class IssuerTokens {
public:
    explicit IssuerTokens(IssuerKeys& keys) : keys_{keys} {}

    /// Of a text that was found good before. Null: it was not.
    std::shared_ptr<const JwtClaims> known(const TokenDigest& digest) const;
    AuthDecision judge(const std::shared_ptr<const JwtClaims>& claims) const;
    /// Nothing is remembered of a text that is wrong; `lasting` says whether it stays so.
    AuthDecision read(std::string_view text, const TokenDigest& digest, bool& lasting);

private:
    void remember(const TokenDigest& digest, std::shared_ptr<const JwtClaims> claims);

    IssuerKeys& keys_;
    mutable std::mutex mutex_;
    std::map<TokenDigest, std::shared_ptr<const JwtClaims>> known_;
};

}  // namespace sluice::cp::api
