#include "controlplane/api/authenticator.hpp"

#include <arpa/inet.h>

#include <array>
#include <cstring>

#include "controlplane/api/http_message.hpp"
#include "controlplane/store/wall_clock.hpp"

namespace sluice::cp::api {
namespace {

using std::chrono::steady_clock;

constexpr std::size_t kTokenTextBytesMax = 1024;
constexpr std::size_t kWrongKept = 1024;
constexpr std::size_t kAddressesMax = 4096;
const std::string kAll = "all";

std::optional<std::string_view> token_in(std::string_view header) {
    constexpr std::string_view kScheme = "bearer ";
    if (header.size() <= kScheme.size() || !equals_ignoring_case(header.substr(0, kScheme.size()), kScheme)) {
        return std::nullopt;
    }
    auto token = header.substr(kScheme.size());
    while (!token.empty() && token.front() == ' ') token.remove_prefix(1);
    if (token.empty() || token.size() > kJwtBytesMax) return std::nullopt;
    return token;
}

/// Whoever has one IPv6 address has 2^64 of them.
std::string address_key(const std::string& peer) {
    in6_addr address{};
    if (::inet_pton(AF_INET6, peer.c_str(), &address) != 1 || IN6_IS_ADDR_V4MAPPED(&address)) return peer;
    return {reinterpret_cast<const char*>(address.s6_addr), 8};
}

AuthDecision refused(AuthResult result) { return {.result = result}; }

}  // namespace

Authenticator::Authenticator(TokenStore& tokens, const AuthLimits& limits, IssuerTokens* issuer)
    : tokens_{tokens},
      issuer_{issuer},
      per_address_{limits.per_address, kAddressesMax},
      computed_limit_{limits.computed, 1},
      verified_limit_{limits.verified, 1} {}

AuthDecision Authenticator::judge(const std::string& token_id) const {
    const auto token = tokens_.find(token_id);
    if (!token) return refused(AuthResult::wrong);
    AuthDecision decision{.result = AuthResult::granted, .token_id = token->id, .actor = token->actor()};
    if (token->revoked_at_ns) {
        decision.result = AuthResult::revoked;
    } else if (!token->live(wall_clock_ns())) {
        decision.result = AuthResult::expired;
    } else {
        decision.roles = token->roles;
    }
    return decision;
}

std::optional<AuthDecision> Authenticator::try_once(const std::string& peer, AttemptLimit& altogether) {
    const auto key = address_key(peer);
    const auto now = steady_clock::now();
    if (!per_address_.take(key, now)) {
        return AuthDecision{.result = AuthResult::throttled, .retry_after = per_address_.wait(key, now)};
    }
    if (!altogether.take(kAll, now)) {
        per_address_.give_back(key, now);
        return AuthDecision{.result = AuthResult::throttled, .retry_after = altogether.wait(kAll, now)};
    }
    return std::nullopt;
}

void Authenticator::give_back(const std::string& peer, AttemptLimit& altogether) {
    const auto now = steady_clock::now();
    per_address_.give_back(address_key(peer), now);
    altogether.give_back(kAll, now);
}

bool Authenticator::is_issued(std::string_view text) const { return issuer_ != nullptr && looks_like_jwt(text); }

bool Authenticator::may_wait(std::string_view header) const {
    const auto text = token_in(header);
    return text && is_issued(*text);
}

std::optional<AuthDecision> Authenticator::recognise(std::optional<std::string_view> header, const std::string& peer) {
    if (!header) return refused(AuthResult::missing);
    const auto text = token_in(*header);
    if (!text) return refused(AuthResult::wrong);
    const bool issued = is_issued(*text);
    if (!issued && text->size() > kTokenTextBytesMax) return refused(AuthResult::wrong);
    const auto digest = digest_(*text);
    if (const auto claims = issued ? issuer_->known(digest) : nullptr) return issuer_->judge(claims);
    const std::lock_guard lock{mutex_};
    if (const auto known = known_.find(digest); known != known_.end()) return judge(known->second);
    if (const auto wrong = wrong_.find(digest); wrong != wrong_.end()) return refused(wrong->second);
    if (in_question_.contains(digest)) return std::nullopt;
    if (!issued && !tokens_.find(id_in(*text).value_or(std::string{kFirstTokenId}))) {
        const auto key = address_key(peer);
        const auto now = steady_clock::now();
        if (!per_address_.take(key, now))
            return AuthDecision{.result = AuthResult::throttled, .retry_after = per_address_.wait(key, now)};
        remember_wrong(digest, AuthResult::wrong);
        return refused(AuthResult::wrong);
    }
    if (auto throttled = try_once(peer, issued ? verified_limit_ : computed_limit_)) return throttled;
    in_question_.insert(digest);
    return std::nullopt;
}

AuthDecision Authenticator::verify(std::string_view header, const std::string& peer) {
    const auto text = token_in(header);
    if (!text) return refused(AuthResult::wrong);
    const auto digest = digest_(*text);
    if (is_issued(*text)) return verify_issued(*text, digest, peer);
    {
        // Others may have brought the same text: the first one's answer is everybody's.
        const std::lock_guard lock{mutex_};
        if (const auto known = known_.find(digest); known != known_.end()) return judge(known->second);
        if (const auto wrong = wrong_.find(digest); wrong != wrong_.end()) return refused(wrong->second);
        ++computed_;
    }
    const auto id = id_in(*text).value_or(std::string{kFirstTokenId});
    const auto token = tokens_.find(id);
    const bool right = token && fits_hash(*text, token->hash);
    const std::lock_guard lock{mutex_};
    in_question_.erase(digest);
    if (!right) {
        remember_wrong(digest, AuthResult::wrong);
        return refused(AuthResult::wrong);
    }
    known_.emplace(digest, id);
    give_back(peer, computed_limit_);
    return judge(id);
}

AuthDecision Authenticator::verify_issued(std::string_view text, const TokenDigest& digest, const std::string& peer) {
    if (const auto claims = issuer_->known(digest)) return issuer_->judge(claims);
    bool lasting = false;
    auto decision = issuer_->read(text, digest, lasting);
    const std::lock_guard lock{mutex_};
    in_question_.erase(digest);
    if (lasting) remember_wrong(digest, decision.result);
    // Its key made it, whatever the clock says: that was no guess.
    if (decision.claims) give_back(peer, verified_limit_);
    return decision;
}

bool Authenticator::still_live(const AuthDecision& decision) const {
    if (decision.claims) return issuer_->judge(decision.claims).result == AuthResult::granted;
    return decision.result == AuthResult::not_needed || judge(decision.token_id).result == AuthResult::granted;
}

std::uint64_t Authenticator::computed() const {
    const std::lock_guard lock{mutex_};
    return computed_;
}

void Authenticator::remember_wrong(const TokenDigest& digest, AuthResult result) {
    if (!wrong_.emplace(digest, result).second) return;
    wrong_order_.push_back(digest);
    if (wrong_order_.size() <= kWrongKept) return;
    wrong_.erase(wrong_order_.front());
    wrong_order_.pop_front();
}

Expected<void, std::string> adopt_first_token(TokenStore& tokens, const std::optional<std::string>& text,
                                              const HashCost& cost) {
    if (!text || id_in(*text)) return {};
    const auto first = tokens.find(kFirstTokenId);
    if (first && fits_hash(*text, first->hash)) return {};  // as it was; if it was revoked, it stays revoked
    auto hash = hash_secret(*text, cost);
    if (hash.empty()) return Unexpected(std::string{"there is no memory to hash the token with"});
    if (auto set = tokens.set_first(std::move(hash)); !set) return Unexpected(set.error().what);
    return {};
}

}  // namespace sluice::cp::api
