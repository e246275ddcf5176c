#include <gtest/gtest.h>

#include "controlplane/api/explain_query.hpp"

namespace sluice::cp::api {
namespace {

std::vector<std::string> pointers(std::string_view body) {
    const auto query = parse_explain_query(body);
    std::vector<std::string> out;
    if (query) return out;
    EXPECT_EQ(query.error().status, 400);
    for (const auto& error : query.error().errors) out.push_back(error.pointer);
    return out;
}

TEST(ExplainQuery, TcpOverIpv6) {
    const auto query = parse_explain_query(
        R"({"in_port":"outside","src":"2001:db8::7","dst":"2001:db8::80","proto":"tcp","dport":443})");
    ASSERT_TRUE(query);
    EXPECT_EQ(query->family, abi::IpFamily::v6);
    EXPECT_EQ(query->proto, abi::L4Proto::tcp);
    EXPECT_EQ(query->dport_or_icmp, 443);
    EXPECT_EQ(query->sport, 49'152);
    EXPECT_EQ(query->dst.bytes[15], 0x80);
}

TEST(ExplainQuery, MayBeAboutAnotherTime) {
    const std::string head = R"({"in_port":"p","src":"192.0.2.1","dst":"192.0.2.2","proto":"proto/47")";
    EXPECT_EQ(parse_explain_query(head + "}")->at, std::nullopt);
    EXPECT_EQ(parse_explain_query(head + R"(,"at":"2026-12-05T02:00+08:00"})")->at, 1'796'407'200);
    EXPECT_EQ(pointers(head + R"(,"at":"tomorrow"})"), std::vector<std::string>{"/at"});
}

TEST(ExplainQuery, IcmpTypeAndCodeShareOneNumber) {
    const auto query = parse_explain_query(
        R"({"in_port":"p","src":"192.0.2.1","dst":"192.0.2.2","proto":1,"icmp_type":3,"icmp_code":4})");
    ASSERT_TRUE(query);
    EXPECT_EQ(query->dport_or_icmp, 0x0304);
}

TEST(ExplainQuery, OtherProtocolsHaveNoPorts) {
    const auto query = parse_explain_query(R"({"in_port":"p","src":"192.0.2.1","dst":"192.0.2.2","proto":"proto/47"})");
    ASSERT_TRUE(query);
    EXPECT_EQ(static_cast<unsigned>(query->proto), 47U);
    EXPECT_EQ(query->dport_or_icmp, 0);
    EXPECT_EQ(pointers(R"({"in_port":"p","src":"192.0.2.1","dst":"192.0.2.2","proto":47,"sport":1,"icmp_code":0})"),
              (std::vector<std::string>{"/sport", "/icmp_code"}));
}

TEST(ExplainQuery, AllErrorsAtOnceWithTheirPlaces) {
    EXPECT_EQ(pointers(R"({"src":"192.0.2.1","dst":"2001:db8::1","proto":"tcp","dport":0,"extra":1})"),
              (std::vector<std::string>{"/in_port", "/dst", "/dport", "/extra"}));
    EXPECT_EQ(pointers(R"({"in_port":"p","src":"192.0.2.1","dst":"192.0.2.2","proto":"icmp6","icmp_type":128})"),
              (std::vector<std::string>{"/proto"}));
}

TEST(ExplainQuery, BadJsonIsOneProblemWithoutPlaces) {  // P3
    for (const auto* body : {"", "[]", "nul", "{\"a\":1,\"a\":1}", "[[[[[[[[[[[[[[[["}) {
        const auto query = parse_explain_query(body);
        ASSERT_FALSE(query) << body;
        EXPECT_EQ(query.error().code, "bad-json");
    }
}

}  // namespace
}  // namespace sluice::cp::api
