#include "controlplane/api/router.hpp"

#include <gtest/gtest.h>

#include "controlplane/api/json_keys.hpp"
#include "controlplane/api/problem.hpp"

namespace sluice::cp::api {
namespace {

Router commits_router() {
    Router router;
    router.add({.method = "GET", .pattern = "/v1/commits/{generation}", .handler = {}});
    router.add({.method = "POST", .pattern = "/v1/commits/{generation}:confirm", .handler = {}});
    router.add({.method = "PUT", .pattern = "/v1/commits/{generation}", .handler = {}});
    return router;
}

TEST(Router, ParametersEndAtSlashAndColon) {
    const auto router = commits_router();
    const auto match = router.match("POST", "/v1/commits/42:confirm");
    ASSERT_TRUE(std::holds_alternative<Matched>(match));
    EXPECT_EQ(std::get<Matched>(match).parameters, (PathParameters{"42"}));
    for (const auto* path : {"/v1/commits/", "/v1/commits", "/v1/commits/4/2", "/v1/commits/4:confirmed",
                             "/v1/commits/:confirm", "", "v1"}) {
        EXPECT_TRUE(std::holds_alternative<NotFound>(router.match("GET", path))) << path;
    }
}

TEST(Router, HeadIsGetAndMethodsAreCaseSensitive) {
    const auto router = commits_router();
    EXPECT_TRUE(std::holds_alternative<Matched>(router.match("HEAD", "/v1/commits/1")));
    const auto refused = router.match("get", "/v1/commits/1");
    ASSERT_TRUE(std::holds_alternative<MethodNotAllowed>(refused));
    EXPECT_EQ(std::get<MethodNotAllowed>(refused).allow, "GET, HEAD, PUT");
}

TEST(Router, OnlyTheExactWordMakesADryRun) {
    const Route route{.roles = {Role::editor}, .dry_run_roles = {Role::viewer}};
    const auto roles = [&](std::string_view query) { return roles_for(route, {.query = *parse_query(query)}); };
    EXPECT_EQ(roles("dry_run=true"), Roles{Role::viewer});
    for (const auto* query : {"", "dry_run=false", "dry_run=TRUE", "dry_run=1", "dry_run", "dryrun=true"}) {
        EXPECT_EQ(roles(query), Roles{Role::editor}) << query;
    }
    const Route change{.dry_run_roles = kEveryRole, .lane = Lane::commits};
    EXPECT_EQ(lane_for(change, {.query = *parse_query("flows_since=1h&dry_run=true")}), Lane::plans);
    EXPECT_EQ(lane_for(change, {.query = *parse_query("dry_run=false")}), Lane::commits);
    EXPECT_EQ(lane_for({.lane = Lane::walks}, {.query = *parse_query("dry_run=true")}), Lane::walks);
    EXPECT_EQ(roles_for({.roles = {Role::editor}}, {.query = *parse_query("dry_run=true")}), Roles{Role::editor});
}

TEST(ProblemDocument, IsValidUtf8AndBounded) {
    EXPECT_EQ(valid_utf8("a\xc3\xa9\xf0\x9f\x98\x80"), "a\xc3\xa9\xf0\x9f\x98\x80");
    EXPECT_EQ(valid_utf8("\xff"), "\xef\xbf\xbd");
    EXPECT_EQ(valid_utf8("\xc0\x80"), "\xef\xbf\xbd\xef\xbf\xbd");    // overlong
    EXPECT_EQ(valid_utf8("\xed\xa0\x80").size(), 9U);                 // surrogate
    EXPECT_EQ(valid_utf8("\xf4\x90\x80\x80").size(), 12U);            // beyond U+10FFFF
    EXPECT_EQ(valid_utf8("x\xe2\x82"), "x\xef\xbf\xbd\xef\xbf\xbd");  // cut off

    Problem problem{.status = 422, .code = "invalid-policy", .title = {}, .detail = "many", .errors = {}};
    problem.errors.resize(kProblemErrorsMax + 5);
    const auto response = problem_response(problem, "id-1");
    EXPECT_EQ(response.status, 422);
    EXPECT_EQ(response.content_type, "application/problem+json");
    EXPECT_NE(response.body.find("\"errors_omitted\":5"), std::string::npos);
    EXPECT_NE(response.body.find("\"type\":\"urn:sluice:problem:invalid-policy\""), std::string::npos);
}

TEST(JsonKeys, FindsTheSameKeyTwiceInOneObjectOnly) {
    EXPECT_EQ(duplicate_key(R"({"a":1,"b":{"a":2},"c":[{"a":1},{"a":1}]})"), std::nullopt);
    EXPECT_EQ(duplicate_key(R"({"b":{"a":2,"a":3}})"), "a");
    EXPECT_EQ(duplicate_key(R"({"a":1,"\u0061":2})"), "a");  // the same key, written in two ways
}

}  // namespace
}  // namespace sluice::cp::api
