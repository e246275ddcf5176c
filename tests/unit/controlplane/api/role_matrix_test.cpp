/// Q25: every role at every route. The table below is the second place where it stands who may do what; the first is
/// the routes themselves, and whoever adds or changes one writes it here too.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "controlplane/api/gateway.hpp"
#include "tests/unit/controlplane/api/first_token.hpp"
#include "tests/unit/controlplane/api/memory_policy_service.hpp"

namespace sluice::cp::api {
namespace {

/// Who is let in; "open": everybody, without a token.
const std::map<std::string, std::string> kMatrix{
    {"GET /", "viewer operator editor approver auditor admin"},
    {"GET /openapi.json", "viewer operator editor approver auditor admin"},
    {"GET /v1/openapi.json", "viewer operator editor approver auditor admin"},
    {"GET /v1/policy", "viewer operator editor approver auditor admin"},
    {"PUT /v1/policy", "editor"},
    {"PUT /v1/policy?dry_run=true", "viewer operator editor approver auditor admin"},
    {"PATCH /v1/policy", "editor"},
    {"PATCH /v1/policy?dry_run=true", "viewer operator editor approver auditor admin"},
    {"GET /v1/commits/{generation}", "viewer operator editor approver auditor admin"},
    {"POST /v1/commits/{generation}:confirm", "approver"},
    {"POST /v1/commits/{generation}:rollback", "operator editor approver"},
    {"GET /v1/history", "viewer operator editor approver auditor admin"},
    {"GET /v1/history/{generation}", "viewer operator editor approver auditor admin"},
    {"POST /v1/history/{generation}:restore", "operator editor"},
    {"GET /v1/audit", "auditor"},
    {"GET /v1/audit:verify", "auditor"},
    {"GET /v1/sets", "viewer operator editor approver auditor admin"},
    {"GET /v1/sets/{name}/members", "viewer operator editor approver auditor admin"},
    {"PUT /v1/sets/{name}/members", "operator"},
    {"POST /v1/sets/{name}/members", "operator"},
    {"DELETE /v1/sets/{name}/members", "operator"},
    {"GET /v1/tokens", "auditor admin"},
    {"POST /v1/tokens", "admin"},
    {"GET /v1/tokens/{id}", "auditor admin"},
    {"DELETE /v1/tokens/{id}", "admin"},
    {"GET /v1/freeze", "viewer operator editor approver auditor admin"},
    {"PUT /v1/freeze", "approver admin"},
    {"DELETE /v1/freeze", "approver admin"},
    {"GET /v1/drafts", "viewer operator editor approver auditor admin"},
    {"GET /v1/drafts/{name}", "viewer operator editor approver auditor admin"},
    {"PUT /v1/drafts/{name}", "editor"},
    {"DELETE /v1/drafts/{name}", "editor"},
    {"POST /v1/drafts/{name}:plan", "viewer operator editor approver auditor admin"},
    {"POST /v1/drafts/{name}:apply", "editor"},
    {"GET /v1/changes", "viewer operator editor approver auditor admin"},
    {"GET /v1/changes/{id}", "viewer operator editor approver auditor admin"},
    {"DELETE /v1/changes/{id}", "operator editor approver"},
    {"POST /v1/changes/{id}:approve", "approver admin"},
    {"POST /v1/changes/{id}:reject", "approver admin"},
    {"POST /v1/changes/{id}:apply", "admin"},
    {"POST /v1/drafts/{name}:shadow", "editor"},
    {"GET /v1/shadow", "viewer operator editor approver auditor admin"},
    {"PUT /v1/shadow", "editor"},
    {"DELETE /v1/shadow", "editor"},
    {"GET /v1/status", "viewer operator editor approver auditor admin"},
    {"GET /v1/rules", "viewer operator editor approver auditor admin"},
    {"GET /v1/flows", "viewer operator editor approver auditor admin"},
    {"DELETE /v1/flows", "operator"},
    {"POST /v1/explain", "viewer operator editor approver auditor admin"},
    {"GET /v1/events", "viewer operator editor approver auditor admin"},
    {"GET /livez", "open"},
    {"GET /readyz", "viewer operator editor approver auditor admin"},
    {"GET /metrics", "viewer operator editor approver auditor admin"},
    {"GET /metrics/rules", "viewer operator editor approver auditor admin"},
};

class RoleMatrix : public testing::Test {
protected:
    void SetUp() override {
        for (const auto role : kRoles) {
            tokens[role] = test::make_token(service, std::string{to_text(role)}, {role});
        }
    }
    std::variant<Admitted, Response> ask(const Route& route, bool dry_run, const std::string& token) {
        Request request{.method = route.method, .path = route.pattern, .id = "id-1"};
        for (const auto& [name, value] : {std::pair{"{generation}", "1"}, std::pair{"{id}", "0000000a"}}) {
            const auto at = request.path.find(name);
            if (at != std::string::npos) request.path.replace(at, std::string_view{name}.size(), value);
        }
        if (dry_run) request.query = {{"dry_run", "true"}};
        if (!route.body_types.empty()) request.headers.push_back({"Content-Type", route.body_types.front()});
        if (!token.empty()) request.headers.push_back({"Authorization", "Bearer " + token});
        auto who = gateway.recognise(request);
        if (!who) who = gateway.verify(request);
        return gateway.admit(request, !route.body_types.empty(), *who);
    }
    static std::string name_of(const Route& route, bool dry_run) {
        return route.method + " " + route.pattern + (dry_run ? "?dry_run=true" : "");
    }
    static bool takes_dry_run(const Route& route) {
        return std::ranges::find(route.query_parameters, "dry_run") != route.query_parameters.end();
    }

    test::MemoryPolicyService service;
    ApiCounters counters;
    Router router = make_router(service, counters);
    Authenticator authenticator{service.tokens()};
    Gateway gateway{router, authenticator, false, counters, service.audit()};
    std::map<Role, std::string> tokens;
};

TEST_F(RoleMatrix, Q25_HasARowForEachRouteAndNoOther) {
    std::set<std::string> routes, rows;
    for (const auto& route : router.routes()) {
        routes.insert(name_of(route, false));
        if (takes_dry_run(route)) routes.insert(name_of(route, true));
    }
    for (const auto& [row, roles] : kMatrix) rows.insert(row);
    EXPECT_EQ(routes, rows);
}

TEST_F(RoleMatrix, Q25_EveryRoleAtEveryRoute) {
    for (const auto& route : router.routes()) {
        for (const bool dry_run : {false, true}) {
            if (dry_run && !takes_dry_run(route)) continue;
            const auto row = kMatrix.find(name_of(route, dry_run));
            ASSERT_NE(row, kMatrix.end()) << name_of(route, dry_run);
            const bool open = row->second == "open";
            const auto allowed = open ? kEveryRole : roles_from(row->second).value();
            for (const auto role : kRoles) {
                SCOPED_TRACE(row->first + " as " + std::string{to_text(role)});
                const auto answer = ask(route, dry_run, tokens[role]);
                EXPECT_EQ(std::holds_alternative<Admitted>(answer), allowed.has(role));
                if (const auto* refused = std::get_if<Response>(&answer)) {
                    EXPECT_EQ(refused->status, 403);
                    EXPECT_NE(refused->body.find("this needs the role " + to_text(allowed, " or ")), std::string::npos)
                        << refused->body;
                    EXPECT_NE(refused->body.find("token:" + std::string{to_text(role)} + "/"), std::string::npos);
                }
            }
            const auto stranger = ask(route, dry_run, "");
            EXPECT_EQ(std::holds_alternative<Admitted>(stranger), open) << row->first;
        }
    }
}

// Duties that must not meet in one role. Several roles in one token are an admin's decision.
TEST_F(RoleMatrix, DutiesAreSeparated) {
    const std::map<std::string, std::string> apart{
        {"PUT /v1/policy", "POST /v1/commits/{generation}:confirm"},
        {"PATCH /v1/policy", "POST /v1/commits/{generation}:confirm"},
        {"POST /v1/drafts/{name}:apply", "POST /v1/commits/{generation}:confirm"},
        {"PUT /v1/policy", "POST /v1/changes/{id}:approve"},
        {"PATCH /v1/policy", "POST /v1/changes/{id}:apply"},
        {"POST /v1/tokens", "PUT /v1/policy"},
        {"DELETE /v1/tokens/{id}", "GET /v1/audit"}};
    for (const auto& [one, other] : apart) {
        EXPECT_FALSE(roles_from(kMatrix.at(one))->has_any_of(*roles_from(kMatrix.at(other)))) << one << ", " << other;
    }
    for (const auto& [row, roles] : kMatrix) {
        const bool changes = !row.starts_with("GET ") && row.find("dry_run") == std::string::npos &&
                             !row.ends_with(":plan") && row != "POST /v1/explain";
        if (!changes) continue;
        EXPECT_FALSE(roles_from(roles)->has(Role::viewer)) << row;
        EXPECT_FALSE(roles_from(roles)->has(Role::auditor)) << row;
    }
}

TEST_F(RoleMatrix, SeveralRolesMayWhatAnyOfThemMay) {
    const auto both = test::make_token(service, "both", {Role::approver, Role::auditor});
    for (const auto& route : router.routes()) {
        const bool allowed =
            route.access == Access::open || route.roles.has(Role::approver) || route.roles.has(Role::auditor);
        EXPECT_EQ(std::holds_alternative<Admitted>(ask(route, false, both)), allowed) << name_of(route, false);
    }
}

TEST_F(RoleMatrix, ARefusalStandsInTheAuditWithItsName) {
    for (const auto& route : router.routes()) {
        if (route.method == "PUT" && route.pattern == "/v1/policy") (void)ask(route, false, tokens[Role::viewer]);
    }
    EXPECT_EQ(counters.role_refusals.load(), 1U);
    service.audit().maintain();
    const auto entry = service.audit().page({.actor = "token:viewer"})->entries.at(0).record;
    EXPECT_EQ(entry.action, "access");
    EXPECT_EQ(entry.detail, "role-missing: PUT /v1/policy needs editor");
}

}  // namespace
}  // namespace sluice::cp::api
