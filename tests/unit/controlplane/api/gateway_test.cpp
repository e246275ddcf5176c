/// The resources as the session calls them: through the gateway, without a socket.
#include "controlplane/api/gateway.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "controlplane/api/commit_options.hpp"
#include "controlplane/api/plan_json.hpp"
#include "controlplane/api/problem.hpp"
#include "tests/unit/controlplane/api/first_token.hpp"
#include "tests/unit/controlplane/api/memory_policy_service.hpp"

namespace sluice::cp::api {
namespace {

class GatewayTest : public testing::Test {
protected:
    void SetUp() override { test::make_first_token(service, "secret-secret"); }

    std::variant<Admitted, Response> admit(const Gateway& at, const Request& request) {
        auto who = at.recognise(request);
        if (!who) who = at.verify(request);
        return at.admit(request, !request.body.empty(), *who);
    }
    Response ask(std::string method, std::string path, std::vector<Header> headers = {}, std::string body = {},
                 std::string_view query = {}) {
        Request request{.method = std::move(method),
                        .path = std::move(path),
                        .query = {},
                        .headers = std::move(headers),
                        .body = std::move(body),
                        .id = "id-1"};
        request.query = *parse_query(query);
        if (with_token) request.headers.push_back({"Authorization", "Bearer secret-secret"});
        auto admission = admit(gateway, request);
        if (auto* refused = std::get_if<Response>(&admission)) return *refused;
        const auto& admitted = std::get<Admitted>(admission);
        request.actor = admitted.who.actor;
        return call_handler(*admitted.route, request, admitted.parameters);
    }

    Response put(std::string body, std::vector<Header> headers) {
        headers.push_back({"Content-Type", "application/yaml"});
        return ask("PUT", "/v1/policy", std::move(headers), std::move(body));
    }

    std::uint64_t failures(AuthResult result) const {
        return counters.auth_failures[static_cast<std::size_t>(result)].load();
    }
    std::uint64_t failures() const {
        std::uint64_t all = 0;
        for (const auto& counter : counters.auth_failures) all += counter.load();
        return all;
    }

    test::MemoryPolicyService service;
    ApiCounters counters;
    Router router = make_router(service, counters);
    Authenticator authenticator{service.tokens()};
    Gateway gateway{router, authenticator, false, counters, service.audit()};
    bool with_token{true};
};

TEST_F(GatewayTest, WithoutATokenNothingIsTold) {
    with_token = false;
    std::uint64_t refused = 0;
    for (const auto& route : router.routes()) {
        const auto response = ask(route.method, route.pattern);
        EXPECT_EQ(response.status, route.pattern == "/livez" ? 200 : 401) << route.pattern;
        refused += response.status == 401 ? 1 : 0;
    }
    EXPECT_EQ(ask("GET", "/nothing").status, 401);
    EXPECT_EQ(failures(), refused + 1);
    EXPECT_EQ(failures(AuthResult::missing), refused + 1);
}

TEST(CodeOf, TellsEveryRefusalFromTheOthers) {
    std::set<std::string_view> codes;
    for (std::size_t r = 0; r < kAuthResults; ++r) codes.insert(code_of(static_cast<AuthResult>(r)));
    EXPECT_EQ(codes.size(), kAuthResults - 1) << "open and granted have none";
    EXPECT_TRUE(codes.contains(""));
    EXPECT_EQ(code_of(AuthResult::wrong), "token-wrong");
}

// P7: an entry for who was turned away, in our own words: nothing that the stranger sent stands in it.
TEST_F(GatewayTest, P7_StrangersStandInTheAuditAndTheirSecretsDoNot) {
    with_token = false;
    ask("GET", "/v1/policy", {{"Authorization", "Bearer canary-token"}});
    ask("PUT", "/v1/policy", {{"Cookie", "canary-cookie"}}, {}, "token=canary-query");
    ask("GET", "/v1/canary-path");
    service.audit().maintain();
    const auto page = service.audit().page({});
    ASSERT_EQ(page->entries.size(), 5U);  // the first two: the store was made, and the token
    EXPECT_EQ(page->entries[2].record.detail, "token-wrong: GET /v1/policy");
    EXPECT_EQ(page->entries[1].record.detail, "token-missing: PUT /v1/policy");
    EXPECT_EQ(page->entries[0].record.detail, "token-missing: no such resource");
    for (const auto& entry : page->entries) {
        EXPECT_EQ(canonical_bytes(entry).find("canary"), std::string::npos) << canonical_bytes(entry);
        EXPECT_EQ(canonical_bytes(entry).find("secret"), std::string::npos) << canonical_bytes(entry);
    }
}

TEST_F(GatewayTest, WhoAsksAndWhyReachesTheService) {
    put("a", {{"If-None-Match", "*"}, {"Sluice-Reason", "CHG-1"}});
    const auto entry = service.audit().page({.action = "policy.put"})->entries.at(0).record;
    EXPECT_EQ(entry.actor, "token:first-start/00000000");
    EXPECT_EQ(entry.reason, "CHG-1");
    EXPECT_EQ(entry.request_id, "id-1");
    EXPECT_EQ(ask("DELETE", "/v1/flows", {{"Sluice-Reason", "two\nlines"}}, {}, "all=true").status, 400);
}

TEST_F(GatewayTest, TooManyWrongTokensAre429AndOpenRoutesStayOpen) {
    with_token = false;
    Response last;
    for (int i = 0; i < 30; ++i)
        last = ask("GET", "/v1/policy", {{"Authorization", "Bearer guess-" + std::to_string(i)}});
    EXPECT_EQ(last.status, 429);
    EXPECT_EQ(find_header(last.headers, "Retry-After"), "1");
    EXPECT_FALSE(find_header(last.headers, "WWW-Authenticate"));
    EXPECT_EQ(counters.auth_throttled.load() + failures(), 30U);
    EXPECT_EQ(failures(), failures(AuthResult::wrong));
    EXPECT_EQ(ask("GET", "/livez", {{"Authorization", "Bearer guess-x"}}).status, 200);
    with_token = true;
    EXPECT_EQ(ask("GET", "/v1/policy").status, 429) << "not known yet, from the same address";
}

TEST_F(GatewayTest, MonitoringIsOpenOnlyWhereConfigured) {
    with_token = false;
    const Gateway open{router, authenticator, true, counters, service.audit()};
    const Request metrics{.method = "GET", .path = "/metrics", .query = {}, .headers = {}, .body = {}, .id = {}};
    EXPECT_TRUE(std::holds_alternative<Admitted>(admit(open, metrics)));
    EXPECT_TRUE(std::holds_alternative<Response>(admit(gateway, metrics)));
}

TEST_F(GatewayTest, ThePreconditionReachesTheService) {
    EXPECT_EQ(put("a", {}).status, 428);
    const auto first = put("a", {{"If-None-Match", "*"}});
    ASSERT_EQ(first.status, 200);
    const auto etag = std::string{*find_header(first.headers, "ETag")};
    EXPECT_EQ(put("b", {{"If-None-Match", "*"}}).status, 412);
    EXPECT_EQ(put("b", {{"If-Match", "W/" + etag}}).status, 412);  // P9: only the exact base
    EXPECT_EQ(put("b", {{"If-Match", etag}}).status, 200);
    EXPECT_EQ(put("c", {{"If-Match", etag}}).status, 412);  // P9: the second writer with the same base loses
    EXPECT_EQ(put("c", {{"If-Match", "*"}}).status, 200);
}

TEST_F(GatewayTest, AMisspeltDryRunAppliesNothing) {
    const std::vector<Header> headers{{"Content-Type", "application/yaml"}, {"If-None-Match", "*"}};
    for (const auto* query : {"dryrun=true", "dry_run=1", "dry_run=true&dry_run=false"}) {
        EXPECT_EQ(ask("PUT", "/v1/policy", headers, "a", query).status, 400) << query;
    }
    EXPECT_EQ(ask("PUT", "/v1/policy", headers, "a", "dry_run=true").status, 200);
    EXPECT_FALSE(service.current());
}

TEST_F(GatewayTest, ConfirmTimeoutIsBounded) {
    for (const auto* value : {"0", "86401", "ten", "1.0"}) {
        EXPECT_EQ(put("a", {{"If-None-Match", "*"}, {"Confirm-Timeout", value}}).status, 400) << value;
    }
    const auto pending = put("a", {{"If-None-Match", "*"}, {"Confirm-Timeout", "86400"}});
    EXPECT_EQ(pending.status, 202);
    EXPECT_EQ(find_header(pending.headers, "Location"), "/v1/commits/1");
    EXPECT_EQ(ask("POST", "/v1/commits/1:confirm").status, 200);
}

TEST_F(GatewayTest, AnExceptionTellsNothingOfTheInside) {
    testing::internal::CaptureStderr();
    const auto response = put("THROW", {{"If-None-Match", "*"}});
    const auto log = testing::internal::GetCapturedStderr();
    EXPECT_EQ(response.status, 500);
    EXPECT_EQ(response.body.find("secret"), std::string::npos);
    // The log says it, with the id that the answer holds; the request's own content stays out.
    EXPECT_NE(log.find("request id-1 failed: PUT /v1/policy: "), std::string::npos) << log;
    EXPECT_EQ(std::ranges::count(log, '\n'), 1) << log;
    EXPECT_EQ(log.find("secret-secret"), std::string::npos) << log;
}

TEST_F(GatewayTest, AStreamStartsAtTheNewestOrBehindTheLastSeen) {
    service.add_events(5, 0);
    EXPECT_NE(ask("GET", "/v1/events", {{"Last-Event-ID", "00000000-2-1"}}).stream, nullptr);
    EXPECT_EQ(ask("GET", "/v1/events", {{"Last-Event-ID", "x"}}).status, 400);
}

TEST_F(GatewayTest, MetricsHoldOurOwn) {
    counters.event_streams_dropped = 3;
    EXPECT_NE(ask("GET", "/metrics").body.find("\nsluice_api_event_streams_dropped_total 3\n"), std::string::npos);
    EXPECT_EQ(ask("GET", "/metrics").body.find("sluice_rule_hits_total"), std::string::npos);
    EXPECT_NE(ask("GET", "/metrics/rules").body.find("sluice_rule_hits_total"), std::string::npos);
}

}  // namespace
}  // namespace sluice::cp::api
