/// /v1/tokens through the gateway, without a socket.
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "controlplane/api/field_reader.hpp"
#include "controlplane/api/gateway.hpp"
#include "tests/unit/controlplane/api/first_token.hpp"
#include "tests/unit/controlplane/api/memory_policy_service.hpp"

namespace sluice::cp::api {
namespace {

class TokensTest : public testing::Test {
protected:
    void SetUp() override { admin = test::make_token(service, "anna", {Role::admin}); }

    Response ask(const std::string& token, std::string method, std::string path, std::string body = {}) {
        Request request{.method = std::move(method), .path = std::move(path), .body = std::move(body), .id = "id-1"};
        request.headers = {{"Authorization", "Bearer " + token}, {"Sluice-Reason", "CHG-9"}};
        if (!request.body.empty()) request.headers.push_back({"Content-Type", "application/json"});
        auto who = gateway.recognise(request);
        if (!who) who = gateway.verify(request);
        auto admission = gateway.admit(request, !request.body.empty(), *who);
        if (auto* refused = std::get_if<Response>(&admission)) return *refused;
        const auto& admitted = std::get<Admitted>(admission);
        request.actor = admitted.who.actor;
        return call_handler(*admitted.route, request, admitted.parameters);
    }
    static boost::json::object object(const Response& response) {
        return boost::json::parse(response.body).as_object();
    }
    static std::string text(const boost::json::object& object, const char* key) {
        return std::string{object.at(key).as_string()};
    }

    test::MemoryPolicyService service;
    ApiCounters counters;
    Router router = make_router(service, counters);
    Authenticator authenticator{service.tokens()};
    Gateway gateway{router, authenticator, false, counters, service.audit()};
    std::string admin;
};

TEST_F(TokensTest, ATokenWorksUntilItIsRevokedAndItsTextIsToldOnce) {
    const auto made = ask(admin, "POST", "/v1/tokens", R"({"name":"ci","roles":["operator","viewer"]})");
    ASSERT_EQ(made.status, 201) << made.body;
    const auto token = text(object(made), "token"), id = text(object(made), "id");
    EXPECT_EQ(find_header(made.headers, "Location"), "/v1/tokens/" + id);
    EXPECT_EQ(text(object(made), "created_by").substr(0, 11), "token:anna/");
    EXPECT_EQ(ask(token, "GET", "/v1/status").status, 200);
    EXPECT_EQ(ask(token, "DELETE", "/v1/flows").status, 400) << "let in, but no filter";
    EXPECT_EQ(ask(token, "POST", "/v1/tokens", R"({"name":"x","roles":["viewer"]})").status, 403);
    const auto secret = token.substr(token.size() - kTokenSecretChars);
    for (const auto* path : {"/v1/tokens", "/v1/audit", "/v1/status"}) {
        EXPECT_EQ(ask(admin, "GET", path).body.find(secret), std::string::npos) << path;
    }
    EXPECT_EQ(ask(admin, "GET", "/v1/tokens").body.find("argon2"), std::string::npos);
    EXPECT_EQ(text(object(ask(admin, "GET", "/v1/tokens/" + id)), "state"), "live");
    const auto revoked = ask(admin, "DELETE", "/v1/tokens/" + id);
    EXPECT_EQ(revoked.status, 200) << revoked.body;
    EXPECT_EQ(text(object(revoked), "state"), "revoked");
    const auto refused = ask(token, "GET", "/v1/status");
    EXPECT_EQ(refused.status, 401);
    EXPECT_NE(refused.body.find("token-revoked"), std::string::npos);
    EXPECT_EQ(ask(admin, "DELETE", "/v1/tokens/" + id).status, 409);
}

TEST_F(TokensTest, EveryMistakeIsToldWithItsPlace) {
    const std::vector<std::pair<std::string, std::string>> mistakes{
        {R"({"roles":["viewer"]})", "/name"},
        {R"({"name":"A","roles":["viewer"]})", "/name"},
        {R"({"name":"a"})", "/roles"},
        {R"({"name":"a","roles":[]})", "/roles"},
        {R"({"name":"a","roles":["root"]})", "one of viewer, operator, editor, approver, auditor, admin"},
        {R"({"name":"a","roles":["viewer", 7]})", "/roles"},
        {R"({"name":"a","roles":["viewer"],"expires_in_s":59})", "/expires_in_s"},
        {R"({"name":"a","roles":["viewer"],"expires_in_s":"90d"})", "/expires_in_s"},
        {R"({"name":"a","roles":["viewer"],"expires":1})", "unknown-key"},
        {R"({"name":"a","name":"b","roles":["viewer"]})", "stands twice"},
        {"[]", "must be a JSON object"},
        {"{", "no JSON document"},
    };
    for (const auto& [body, words] : mistakes) {
        const auto answer = ask(admin, "POST", "/v1/tokens", body);
        EXPECT_EQ(answer.status, 400) << body;
        EXPECT_NE(answer.body.find(words), std::string::npos) << body << ": " << answer.body;
    }
    EXPECT_EQ(service.tokens().list().size(), 1U);
    const auto refused = service.audit().page({.action = "token.create"})->entries.at(0).record;
    EXPECT_EQ(refused.result, "refused");
    EXPECT_EQ(refused.actor.substr(0, 11), "token:anna/");
    EXPECT_EQ(refused.reason, "CHG-9");
}

TEST_F(TokensTest, ExpiryIsNinetyDaysUnlessSaid) {
    const auto lifetime_s = [&](const std::string& name, const std::string& more) {
        const auto made =
            ask(admin, "POST", "/v1/tokens", R"({"name":")" + name + R"(","roles":["viewer"])" + more + "}");
        EXPECT_EQ(made.status, 201) << made.body;
        const auto token = service.tokens().find(text(object(made), "id"));
        return token->expires_at_ns ? (*token->expires_at_ns - token->created_at_ns + 500'000'000) / 1'000'000'000 : 0;
    };
    EXPECT_EQ(lifetime_s("a", ""), 90 * 86'400);
    EXPECT_EQ(lifetime_s("b", R"(,"expires_in_s":60)"), 60);
    EXPECT_EQ(lifetime_s("c", R"(,"expires_in_s":null)"), 0);
}

TEST_F(TokensTest, ConflictsAreToldApart) {
    const auto code = [&](std::string method, std::string path, std::string body = {}) {
        const auto answer = ask(admin, std::move(method), std::move(path), std::move(body));
        return std::to_string(answer.status) + " " + text(object(answer), "code");
    };
    EXPECT_EQ(code("POST", "/v1/tokens", R"({"name":"anna","roles":["viewer"]})"), "409 name-taken");
    EXPECT_EQ(code("DELETE", "/v1/tokens/" + *id_in(admin)), "409 last-admin");
    EXPECT_EQ(code("DELETE", "/v1/tokens/0000000a"), "404 no-such-token");
    EXPECT_EQ(code("GET", "/v1/tokens/nonsense"), "404 no-such-token");
}

}  // namespace
}  // namespace sluice::cp::api
