#include "controlplane/api/http_message.hpp"

#include <gtest/gtest.h>

namespace sluice::cp::api {
namespace {

using Pairs = std::vector<std::pair<std::string, std::string>>;

TEST(HttpMessage, QueryIsDecodedOrRefused) {
    EXPECT_EQ(parse_query("a=1&b=x%20y+z&&c"), (Pairs{{"a", "1"}, {"b", "x y z"}, {"c", ""}}));
    EXPECT_EQ(parse_query("a=%C3%a9"), (Pairs{{"a", "\xc3\xa9"}}));
    EXPECT_EQ(parse_query(""), Pairs{});
    for (const auto* bad : {"a=%", "a=%4", "a=%4g", "a=%00", "a=%0a", "%7f=1"}) EXPECT_FALSE(parse_query(bad)) << bad;
}

TEST(HttpMessage, MediaTypeTakesUtf8Only) {
    EXPECT_EQ(media_type("Application/JSON"), "application/json");
    EXPECT_EQ(media_type("text/yaml ; Charset=\"UTF-8\""), "text/yaml");
    EXPECT_EQ(media_type("text/yaml; version=1"), "text/yaml");
    for (const auto* bad : {"", "yaml", "a/b, c/d", "text/yaml; charset=latin1", "text/yaml; charset"}) {
        EXPECT_FALSE(media_type(bad)) << bad;
    }
}

TEST(HttpMessage, TheMostSpecificRangeDecides) {
    constexpr std::string_view kJson = "application/json";
    EXPECT_EQ(accept_quality("*/*", kJson), 1000);
    EXPECT_EQ(accept_quality("application/*;q=0.5, */*;q=0.1", kJson), 500);
    EXPECT_EQ(accept_quality("*/*, application/json;q=0", kJson), 0);
    EXPECT_EQ(accept_quality("application/json;level=1;q=0.123", kJson), 123);
    EXPECT_EQ(accept_quality("image/png", kJson), 0);
    EXPECT_EQ(accept_quality("*/*", kJson, true), 0);
    EXPECT_EQ(accept_quality("APPLICATION/json", kJson, true), 1000);
    for (const auto* bad :
         {"application/json;q=2", "application/json;q=", "application/json;q=1x", "application/json;q=0.1234"}) {
        EXPECT_EQ(accept_quality(bad, kJson), 0) << bad;
    }
}

TEST(HttpMessage, EntityTags) {
    const auto list = parse_entity_tags(R"("a", W/"b" ,"")");
    ASSERT_TRUE(list);
    EXPECT_EQ(list->tags, (std::vector<std::string>{"a", "b", ""}));
    EXPECT_EQ(list->weak, (std::vector<bool>{false, true, false}));
    EXPECT_TRUE(parse_entity_tags(" * ")->any);
    for (const auto* bad : {"", "a", "\"a", "a\"", "\"a\"b\"", "w/\"a\"", ","})
        EXPECT_FALSE(parse_entity_tags(bad)) << bad;
}

TEST(HttpMessage, NumbersAreWholeAndCanonical) {
    EXPECT_EQ(parse_number("0"), 0U);
    EXPECT_EQ(parse_number("18446744073709551615"), ~std::uint64_t{});
    for (const auto* bad : {"", "-1", "+1", "01", "1 ", " 1", "1.0", "18446744073709551616", "x"}) {
        EXPECT_FALSE(parse_number(bad)) << bad;
    }
}

TEST(HttpMessage, HeadersAreFoundWithoutCase) {
    const Request request{
        .method = "GET", .path = "/", .query = {}, .headers = {{"If-Match", "x"}}, .body = {}, .id = {}};
    EXPECT_EQ(request.header("if-match"), "x");
    EXPECT_FALSE(request.header("If-Matc"));
}

}  // namespace
}  // namespace sluice::cp::api
