/// Who asks: `Authorization: Bearer <token>` against the tokens of the store.
///
/// Theory of operation. A token's hash costs 20 to 40 ms on purpose, so each is computed once: `recognise` answers at
/// once for a text that this process has seen (by a keyed digest, never the text), for one that names no token, and for
/// one that was wrong before; anything else goes to `verify`, which runs on a thread of its own. Whether a token is
/// revoked or expired is asked anew for each request. What a peer costs is bounded twice: each address may present so
/// many texts that are wrong, and all together may have so many hashes computed in vain; beyond, 429. A text that was
/// right gives its attempt back, and one that this process knows never needs one: nobody who has logged in is kept out
/// by others. What has the form of an issuer's token goes the same way through issuer_tokens.hpp, if there is an
/// issuer; it is verified on another thread, since that one may wait for the issuer's keys. Thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "controlplane/api/auth_decision.hpp"
#include "controlplane/api/issuer_tokens.hpp"
#include "controlplane/identity/attempt_limit.hpp"
#include "controlplane/identity/secret.hpp"
#include "controlplane/store/token_store.hpp"

namespace sluice::cp::api {

struct AuthLimits {
    AttemptLimit::Rate per_address{20, 1};
    /// Of hashes: at most a tenth of a core goes to those who guess.
    AttemptLimit::Rate computed{40, 4};
    /// Of signatures, each a hundredth of a hash.
    AttemptLimit::Rate verified{400, 100};
};

class Authenticator {
public:
    /// `issuer` null: there is none.
    explicit Authenticator(TokenStore& tokens, const AuthLimits& limits = {}, IssuerTokens* issuer = nullptr);

    /// `header` is the value of Authorization, if there is one. Nothing: ask `verify`.
    std::optional<AuthDecision> recognise(std::optional<std::string_view> header, const std::string& peer);
    AuthDecision verify(std::string_view header, const std::string& peer);
    /// `verify` may wait for the issuer's keys: let it hold up no other token.
    bool may_wait(std::string_view header) const;
    /// Of an answer that goes on for long: has the token been taken back, or run out, since?
    bool still_live(const AuthDecision& decision) const;
    /// How many hashes were computed.
    std::uint64_t computed() const;

private:
    AuthDecision judge(const std::string& token_id) const;
    AuthDecision verify_issued(std::string_view text, const TokenDigest& digest, const std::string& peer);
    void remember_wrong(const TokenDigest& digest, AuthResult result);
    /// Of the form of the issuer's, and there is one.
    bool is_issued(std::string_view text) const;
    /// Takes an attempt; a decision if none is left.
    std::optional<AuthDecision> try_once(const std::string& peer, AttemptLimit& altogether);
    void give_back(const std::string& peer, AttemptLimit& altogether);

    TokenStore& tokens_;
    IssuerTokens* issuer_;
    const TokenDigester digest_;
    mutable std::mutex mutex_;                  ///< of what follows; never held while a hash is computed
    std::map<TokenDigest, std::string> known_;  ///< right ones: whose
    std::map<TokenDigest, AuthResult> wrong_;   ///< the last ones that were wrong, and stay so: how
    std::deque<TokenDigest> wrong_order_;       ///< oldest first
    std::set<TokenDigest> in_question_;         ///< on their way through `verify`
    AttemptLimit per_address_, computed_limit_, verified_limit_;
    std::uint64_t computed_{};
};

/// The token of the first start: `text` is what `state_dir/token` holds, nothing if there is no such file. Its hash
/// goes into the store when it is new there; a token of the store's own, put into the file for sluicectl, is left as
/// it is. Error: a sentence.
Expected<void, std::string> adopt_first_token(TokenStore& tokens, const std::optional<std::string>& text,
                                              const HashCost& cost = {});

}  // namespace sluice::cp::api
