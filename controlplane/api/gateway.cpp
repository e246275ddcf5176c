#include "controlplane/api/gateway.hpp"

#include <algorithm>
#include <cstdio>

#include "controlplane/api/commit_options.hpp"
#include "controlplane/api/problem.hpp"

namespace sluice::cp::api {
namespace {

struct Refusal {
    int status;
    std::string_view code, detail;
};

/// In our own words, and never with a word of the token.
Refusal refusal_of(AuthResult result) {
    switch (result) {
        case AuthResult::missing:
            return {401, "token-missing",
                    "send `Authorization: Bearer <token>`; the first token stands in the state directory"};
        case AuthResult::expired:
            return {401, "token-expired", "this token has expired; get another from an admin, or from your issuer"};
        case AuthResult::revoked: return {401, "token-revoked", "this token was revoked; ask an admin for another"};
        case AuthResult::throttled:
            return {429, "too-many-attempts", "too many wrong tokens from this address; wait, then send the right one"};
        case AuthResult::token_malformed:
            return {401, "token-malformed", "this is no token of an issuer with sub, exp, iss and aud; log in anew"};
        case AuthResult::token_algorithm:
            return {401, "token-algorithm-refused", "tokens are taken with RS256, PS256 or ES256, and no other"};
        case AuthResult::token_issuer:
            return {401, "token-issuer-unknown", "this token is of another issuer; oidc.issuer says whose are taken"};
        case AuthResult::token_audience:
            return {401, "token-audience-wrong", "this token is for somebody else; ask for one for oidc.audience"};
        case AuthResult::token_key_unknown:
            return {401, "token-key-unknown", "the issuer shows no key of this token's id and kind; log in anew"};
        case AuthResult::token_signature:
            return {401, "token-signature-wrong", "the issuer's key did not sign this token"};
        case AuthResult::token_early:
            return {401, "token-not-yet-valid", "this token is not valid yet; are clocks right?"};
        case AuthResult::token_keys_missing:
            return {401, "issuer-keys-missing",
                    "the keys of the issuer can't be had now, GET /v1/status says why; tokens of our own work"};
        case AuthResult::token_without_role:
            return {403, "token-without-role",
                    "this token is good, but nothing in its role claim has a role here; oidc.roles says what has"};
        case AuthResult::certificate_missing:
            return {401, "certificate-missing", "this control plane asks for a client certificate; send one"};
        case AuthResult::certificate_wrong:
            return {401, "certificate-wrong", "no authority that is trusted here vouches for this client certificate"};
        case AuthResult::certificate_expired:
            return {401, "certificate-expired", "this client certificate has expired, or is not valid yet"};
        case AuthResult::certificate_revoked:
            return {401, "certificate-revoked", "this client certificate was revoked; ask for another"};
        case AuthResult::certificate_unchecked:
            return {401, "certificate-unchecked",
                    "whether this client certificate was revoked can't be said: the list of its authority is missing "
                    "or too old"};
        case AuthResult::certificate_unknown:
            return {403, "certificate-unknown",
                    "this client certificate is good, but its name has no role here; tls.clients in controlplane.yaml "
                    "says which have"};
        default: return {401, "token-wrong", "this control plane has no such token"};
    }
}

}  // namespace

std::string_view code_of(AuthResult result) {
    if (result == AuthResult::not_needed || result == AuthResult::granted) return {};
    return refusal_of(result).code;
}

namespace {

std::optional<Response> bad_query(const Route& route, const Request& request) {
    for (std::size_t i = 0; i < request.query.size(); ++i) {
        const auto& name = request.query[i].first;
        if (std::ranges::find(route.query_parameters, name) == route.query_parameters.end()) {
            std::string known;
            for (const auto& parameter : route.query_parameters) known += (known.empty() ? "" : ", ") + parameter;
            return problem_response(400, "unknown-query-parameter",
                                    "unknown query parameter \"" + name + "\"; " +
                                        (known.empty() ? "this resource takes none" : "this resource takes " + known),
                                    request.id);
        }
        for (std::size_t j = 0; j < i; ++j) {
            if (request.query[j].first == name) {
                return problem_response(400, "duplicate-query-parameter",
                                        "query parameter \"" + name + "\" stands twice", request.id);
            }
        }
    }
    return std::nullopt;
}

std::optional<Response> bad_body(const Route& route, const Request& request, bool has_body) {
    if (route.body_types.empty()) {
        if (!has_body) return std::nullopt;
        return problem_response(400, "unexpected-body", "this resource takes no body", request.id);
    }
    if (!has_body) return problem_response(400, "body-missing", "this resource needs a body", request.id);
    const auto type = media_type(request.header("Content-Type").value_or(""));
    if (type && std::ranges::find(route.body_types, *type) != route.body_types.end()) return std::nullopt;
    std::string known;
    for (const auto& name : route.body_types) known += (known.empty() ? "" : ", ") + name;
    auto response =
        problem_response(415, "unsupported-media-type", "send Content-Type " + known + " in UTF-8", request.id);
    response.headers.push_back({route.method == "PATCH" ? "Accept-Patch" : "Accept", known});
    return response;
}

/// Not 503: that says what the dataplane does, and /readyz says it all the time.
bool is_our_fault(int status) { return status >= 500 && status != 503; }

std::string one_line(std::string_view text) {
    constexpr std::size_t kCharsMax = 300;
    std::string line{text.substr(0, kCharsMax)};
    std::ranges::replace_if(
        line, [](char c) { return c < ' ' || c > '~'; }, '?');
    return line;
}

}  // namespace

bool Gateway::is_open(const RouteMatch& match) const {
    const auto* matched = std::get_if<Matched>(&match);
    if (matched == nullptr) return false;
    const auto access = matched->route->access;
    return access == Access::open || (access == Access::monitoring && metrics_open_);
}

std::optional<AuthDecision> Gateway::recognise(const Request& request,
                                               const std::optional<AuthDecision>& certificate) const {
    // An open route costs no hash, and is there for those who sent too many wrong tokens.
    if (is_open(router_.match(request.method, request.path))) return AuthDecision{.result = AuthResult::not_needed};
    if (certificate && certificate->result != AuthResult::granted) return certificate;
    const auto token = request.header("Authorization");
    if (certificate && !token) return certificate;
    return authenticator_.recognise(token, request.peer);
}

AuthDecision Gateway::verify(const Request& request) const {
    return authenticator_.verify(request.header("Authorization").value_or(""), request.peer);
}

bool Gateway::may_wait(const Request& request) const {
    return authenticator_.may_wait(request.header("Authorization").value_or(""));
}

std::variant<Admitted, Response> Gateway::admit(const Request& request, bool has_body, const AuthDecision& who) const {
    auto match = router_.match(request.method, request.path);
    // Before anything else, so that a stranger does not even learn which paths exist.
    if (!is_open(match) && who.result != AuthResult::granted) return turn_away(request, match, who);
    if (std::holds_alternative<NotFound>(match)) {
        return problem_response(404, "no-such-resource", "nothing is here; GET / lists what there is", request.id);
    }
    if (const auto* refused = std::get_if<MethodNotAllowed>(&match)) {
        auto response =
            problem_response(405, "method-not-allowed", "this resource takes " + refused->allow, request.id);
        response.headers.push_back({"Allow", refused->allow});
        return response;
    }
    auto& matched = std::get<Matched>(match);
    const auto needed = roles_for(*matched.route, request);
    if (!is_open(match) && !who.roles.has_any_of(needed)) return forbid(request, *matched.route, needed, who);
    if (auto response = bad_query(*matched.route, request)) return std::move(*response);
    if (auto response = bad_body(*matched.route, request, has_body)) return std::move(*response);
    if (const auto trouble = reason_trouble(request)) return problem_response(400, "bad-reason", *trouble, request.id);
    return Admitted{matched.route, std::move(matched.parameters), who};
}

/// Our own words for the path: what a stranger sends may hold a secret, in the query or anywhere.
Response Gateway::turn_away(const Request& request, const RouteMatch& match, const AuthDecision& who) const {
    const bool throttled = who.result == AuthResult::throttled;
    auto& counter =
        throttled ? counters_.auth_throttled : counters_.auth_failures[static_cast<std::size_t>(who.result)];
    counter.fetch_add(1, std::memory_order_relaxed);
    const auto refusal = refusal_of(who.result);
    std::string what{refusal.code};
    if (const auto* matched = std::get_if<Matched>(&match)) {
        what += ": " + matched->route->method + " " + matched->route->pattern;
    } else {
        what += ": no such resource";
    }
    audit_.note({.actor = who.actor, .origin = request.peer, .what = std::move(what), .request_id = request.id});
    auto response = problem_response(refusal.status, refusal.code, refusal.detail, request.id);
    if (throttled) {
        response.headers.push_back({"Retry-After", std::to_string(who.retry_after.count())});
    } else if (refusal.status == 401) {
        // RFC 6750 section 3.1: no error code when no credentials were sent at all.
        response.headers.push_back({"WWW-Authenticate", who.result == AuthResult::missing
                                                            ? R"(Bearer realm="sluice")"
                                                            : R"(Bearer realm="sluice", error="invalid_token")"});
    }
    return response;
}

Response Gateway::forbid(const Request& request, const Route& route, Roles needed, const AuthDecision& who) const {
    counters_.role_refusals.fetch_add(1, std::memory_order_relaxed);
    const auto words = to_text(needed, " or ");
    audit_.note({.actor = who.actor,
                 .origin = request.peer,
                 .what = "role-missing: " + route.method + " " + route.pattern + " needs " + words,
                 .request_id = request.id});
    auto response =
        problem_response(403, "role-missing",
                         "this needs the role " + words + "; " + who.actor + " has " + to_text(who.roles), request.id);
    // RFC 6750 section 3.1.
    response.headers.push_back(
        {"WWW-Authenticate", R"(Bearer realm="sluice", error="insufficient_scope", scope=")" + to_text(needed) + '"'});
    return response;
}

Response call_handler(const Route& route, const Request& request, const PathParameters& parameters) {
    // One line per request that failed on our side, for whoever got its id; nothing that the peer sent stands in it but
    // that id, which was checked.
    const auto log = [&](std::string_view what) {
        std::fprintf(stderr, "sluice-controlplane: request %s failed: %s %s: %.*s\n", request.id.c_str(),
                     route.method.c_str(), route.pattern.c_str(), static_cast<int>(what.size()), what.data());
    };
    try {
        auto response = route.handler(request, parameters);
        if (is_our_fault(response.status)) log(response.body);  // the problem document: JSON in one line
        return response;
    } catch (const std::exception& error) {
        log(one_line(error.what()));
        return problem_response(500, "internal-error", "the control plane failed on this request; its log may say more",
                                request.id);
    }
}

}  // namespace sluice::cp::api
