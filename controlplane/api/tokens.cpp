/// /v1/tokens: who has which roles until when. A token's text is in the answer to its making and nowhere else.
#include <boost/json.hpp>

#include "controlplane/api/commit_options.hpp"
#include "controlplane/api/field_reader.hpp"
#include "controlplane/api/once.hpp"
#include "controlplane/api/problem.hpp"
#include "controlplane/api/resources.hpp"
#include "controlplane/api/wire_text.hpp"
#include "controlplane/identity/secret.hpp"
#include "controlplane/lifecycle/audit_records.hpp"
#include "controlplane/store/wall_clock.hpp"

namespace sluice::cp::api {
namespace json = boost::json;
namespace {

constexpr std::int64_t kExpiresInMin_s = 60, kExpiresInDefault_s = 90 * 86'400, kExpiresInMax_s = 10LL * 366 * 86'400;
constexpr std::int64_t kNsPerS = 1'000'000'000;

json::value time_json(const std::optional<std::int64_t>& at_ns) {
    return at_ns ? json::value(time_text_of_ns(*at_ns)) : json::value(nullptr);
}

std::string_view state_of(const TokenRecord& token) {
    if (token.revoked_at_ns) return "revoked";
    return token.live(wall_clock_ns()) ? "live" : "expired";
}

json::object token_json(const TokenRecord& token) {
    json::array roles;
    for (const auto role : kRoles) {
        if (token.roles.has(role)) roles.emplace_back(to_text(role));
    }
    return {{"id", token.id},
            {"name", token.name},
            {"roles", std::move(roles)},
            {"state", state_of(token)},
            {"created", time_text_of_ns(token.created_at_ns)},
            {"created_by", valid_utf8(token.created_by)},
            {"expires", time_json(token.expires_at_ns)},
            {"revoked", time_json(token.revoked_at_ns)},
            {"revoked_by", token.revoked_at_ns ? json::value(valid_utf8(token.revoked_by)) : json::value(nullptr)}};
}

struct Wanted {
    TokenRecord token;
    std::int64_t expires_in_s{kExpiresInDefault_s};  ///< 0 = never
};

void read_roles(FieldReader& reader, Roles& roles) {
    const auto* value = reader.find("roles");
    const auto* list = value == nullptr ? nullptr : value->if_array();
    if (list == nullptr || list->empty()) {
        reader.fail("roles", "missing-field", "roles is a list of one or more of " + to_text(kEveryRole, ", "));
        return;
    }
    for (const auto& item : *list) {
        const auto role = item.is_string() ? role_from(std::string_view{item.get_string()}) : std::nullopt;
        if (role) {
            roles.add(*role);
        } else {
            reader.fail("roles", "unknown-role", "a role is one of " + to_text(kEveryRole, ", "));
        }
    }
}

Expected<Wanted, Problem> read_wanted(std::string_view body) {
    const auto object = read_object(body);
    if (!object) return Unexpected(object.error());
    PolicyErrors errors;
    FieldReader reader{*object, errors};
    Wanted wanted;
    if (auto name = reader.text("name")) {
        wanted.token.name = std::move(*name);
        if (!is_token_name(wanted.token.name)) {
            reader.fail("name", "bad-name", "a name is 1 to 63 of a-z 0-9 . _ - and begins with a letter or a digit");
        }
    }
    read_roles(reader, wanted.token.roles);
    if (const auto* seconds = reader.find("expires_in_s"); seconds != nullptr) {
        const auto* number = seconds->if_int64();
        if (seconds->is_null()) {
            wanted.expires_in_s = 0;
        } else if (number == nullptr || *number < kExpiresInMin_s || *number > kExpiresInMax_s) {
            reader.fail("expires_in_s", "out-of-range",
                        "expires_in_s is a whole number from 60 to " + std::to_string(kExpiresInMax_s) +
                            ", or null for a token that never expires");
        } else {
            wanted.expires_in_s = *number;
        }
    }
    reader.refuse_unknown();
    if (!errors.empty()) return Unexpected(bad_fields("bad-token", "token", std::move(errors)));
    return wanted;
}

AuditRecord entry_of(const Request& request, std::string action) {
    return record_of(std::move(action), caller_of(request));
}

Problem problem_of(const TokenTrouble& trouble) {
    const auto told = [](int status, std::string code, std::string detail) {
        return Problem{
            .status = status, .code = std::move(code), .title = {}, .detail = std::move(detail), .errors = {}};
    };
    switch (trouble.refusal) {
        case TokenRefusal::name_taken:
            return told(409, "name-taken", "a live token has this name; revoke it first, or take another name");
        case TokenRefusal::too_many:
            return told(409, "too-many-tokens", "there are 1000 live tokens; revoke those that nobody needs");
        case TokenRefusal::unknown:
            return told(404, "no-such-token", "no token has this id; GET /v1/tokens lists them");
        case TokenRefusal::not_live: return told(409, "revoked-already", "this token was revoked before");
        case TokenRefusal::last_admin:
            return told(409, "last-admin", "this is the last live token with the role admin; make another first");
        case TokenRefusal::storage: break;
    }
    if (trouble.error.disk_full()) return told(507, "storage-full", trouble.error.what + "; nothing was changed");
    return told(500, "storage-failed", trouble.error.what + "; nothing was changed");
}

/// A refusal has its entry too, without what was sent.
Response refuse(const Request& request, PolicyService& service, AuditRecord entry, const Problem& problem) {
    service.audit().write_or_keep(with_result(std::move(entry), "refused", problem.code));
    return problem_response(problem, request.id);
}

Response create(const Request& request, PolicyService& service) {
    auto entry = entry_of(request, "token.create");
    auto wanted = read_wanted(request.body);
    if (!wanted) return refuse(request, service, std::move(entry), wanted.error());
    auto& token = wanted->token;
    token.id = new_token_id();
    while (service.tokens().find(token.id)) token.id = new_token_id();
    const auto text = token_text(token.id, new_secret());
    token.hash = hash_secret(text);
    if (token.id.empty() || token.hash.empty()) {
        return problem_response(503, "no-memory", "there is no memory to hash a token with; try again", request.id);
    }
    if (wanted->expires_in_s != 0) token.expires_at_ns = wall_clock_ns() + wanted->expires_in_s * kNsPerS;
    if (const auto made = service.tokens().create(token, entry); !made) {
        return refuse(request, service, std::move(entry), problem_of(made.error()));
    }
    auto answer = token_json(*service.tokens().find(token.id));
    answer["token"] = text;
    auto response = json_response(201, json::serialize(answer));
    response.headers.push_back({"Location", "/v1/tokens/" + token.id});
    return response;
}

Response list(PolicyService& service) {
    json::array tokens;
    for (const auto& token : service.tokens().list()) tokens.push_back(token_json(token));
    return json_response(200, json::serialize(json::object{{"tokens", std::move(tokens)}}));
}

Response get(const Request& request, const PathParameters& parameters, PolicyService& service) {
    const auto token = service.tokens().find(parameters.at(0));
    if (!token) return problem_response(problem_of({TokenRefusal::unknown, {}}), request.id);
    return json_response(200, json::serialize(token_json(*token)));
}

Response revoke(const Request& request, const PathParameters& parameters, PolicyService& service) {
    auto entry = entry_of(request, "token.revoke");
    const auto revoked = service.tokens().revoke(parameters.at(0), entry);
    if (!revoked) return refuse(request, service, std::move(entry), problem_of(revoked.error()));
    return json_response(200, json::serialize(token_json(*revoked)));
}

}  // namespace

void add_token_routes(Router& router, PolicyService& service) {
    router.add({.method = "GET",
                .pattern = "/v1/tokens",
                .roles = {Role::auditor, Role::admin},
                .handler = [&service](const Request&, const PathParameters&) { return list(service); }});
    router.add({.method = "POST",
                .pattern = "/v1/tokens",
                .roles = {Role::admin},
                .lane = Lane::commits,
                .body_types = {"application/json"},
                .handler = [&service](const Request& r, const PathParameters&) { return create(r, service); }});
    router.add({.method = "GET",
                .pattern = "/v1/tokens/{id}",
                .roles = {Role::auditor, Role::admin},
                .handler = [&service](const Request& r, const PathParameters& p) { return get(r, p, service); }});
    router.add({.method = "DELETE",
                .pattern = "/v1/tokens/{id}",
                .roles = {Role::admin},
                .lane = Lane::commits,
                .handler = once(
                    service, [&service](const Request& r, const PathParameters& p) { return revoke(r, p, service); })});
}

}  // namespace sluice::cp::api
