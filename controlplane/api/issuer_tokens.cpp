#include "controlplane/api/issuer_tokens.hpp"

#include <algorithm>
#include <ctime>

namespace sluice::cp::api {
namespace {

constexpr std::size_t kKnownMax = 4096;

AuthResult result_of(JwtFault fault) {
    switch (fault) {
        case JwtFault::malformed: return AuthResult::token_malformed;
        case JwtFault::algorithm: return AuthResult::token_algorithm;
        case JwtFault::issuer: return AuthResult::token_issuer;
        case JwtFault::audience: return AuthResult::token_audience;
        case JwtFault::key_unknown: return AuthResult::token_key_unknown;
        case JwtFault::signature: return AuthResult::token_signature;
    }
    return AuthResult::wrong;
}

std::int64_t now_s() { return static_cast<std::int64_t>(std::time(nullptr)); }

}  // namespace

std::shared_ptr<const JwtClaims> IssuerTokens::known(const TokenDigest& digest) const {
    const std::lock_guard lock{mutex_};
    const auto found = known_.find(digest);
    return found == known_.end() ? nullptr : found->second;
}

AuthDecision IssuerTokens::judge(const std::shared_ptr<const JwtClaims>& claims) const {
    const auto& config = keys_.config();
    AuthDecision decision{
        .result = AuthResult::granted, .actor = "oidc:" + claims->subject + "@" + config.issuer, .claims = claims};
    const auto keys = keys_.current();
    const auto now = now_s();
    const std::int64_t skew = config.clock_skew_s;
    for (const auto& [value, roles] : config.roles) {
        if (std::ranges::find(claims->values, value) != claims->values.end()) decision.roles.add(roles);
    }
    if (keys == nullptr) {
        decision.result = AuthResult::token_keys_missing;
    } else if (!keys->has(claims->key_digest)) {
        decision.result = AuthResult::token_key_unknown;
    } else if (claims->expires_s + skew <= now) {
        decision.result = AuthResult::expired;
    } else if (claims->not_before_s - skew > now) {
        decision.result = AuthResult::token_early;
    } else if (decision.roles.empty()) {
        decision.result = AuthResult::token_without_role;
    }
    if (decision.result != AuthResult::granted) decision.roles = {};
    return decision;
}

AuthDecision IssuerTokens::read(std::string_view text, const TokenDigest& digest, bool& lasting) {
    lasting = false;
    auto keys = keys_.current();
    if (keys == nullptr) keys = keys_.renewed();
    if (keys == nullptr) return {.result = AuthResult::token_keys_missing};
    auto claims = read_jwt(text, *keys, keys_.config());
    if (!claims && claims.error() == JwtFault::key_unknown) {
        const auto newer = keys_.renewed();
        if (newer != nullptr && newer != keys) claims = read_jwt(text, *newer, keys_.config());
    }
    if (!claims) {
        // A key may come, or come anew under its old id.
        lasting = claims.error() != JwtFault::key_unknown && claims.error() != JwtFault::signature;
        return {.result = result_of(claims.error())};
    }
    const auto kept = std::make_shared<const JwtClaims>(std::move(*claims));
    remember(digest, kept);
    return judge(kept);
}

void IssuerTokens::remember(const TokenDigest& digest, std::shared_ptr<const JwtClaims> claims) {
    const std::lock_guard lock{mutex_};
    if (known_.size() >= kKnownMax) {
        const auto over = now_s() - kClockSkewMax_s;
        std::erase_if(known_, [&](const auto& entry) { return entry.second->expires_s < over; });
    }
    // Digests are keyed: the first one is anybody's, and costs one verification more.
    if (known_.size() >= kKnownMax) known_.erase(known_.begin());
    known_.insert_or_assign(digest, std::move(claims));
}

}  // namespace sluice::cp::api
