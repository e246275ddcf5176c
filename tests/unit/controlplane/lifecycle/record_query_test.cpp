#include "controlplane/lifecycle/record_query.hpp"

#include <gtest/gtest.h>

#include "controlplane/lifecycle/record_filter.hpp"

namespace sluice::cp {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

TEST(RecordTime, IsATimeOrHowLongAgo) {
    constexpr std::int64_t now = 1'795'669'200 * kSecond;  // 2026-11-26T05:00:00Z
    const auto at = [](const char* text) { return parse_record_time(text, now); };
    EXPECT_EQ(at("2026-11-26T05:00:00Z"), now);
    EXPECT_EQ(at("2026-11-26 05:00:00z"), now);
    EXPECT_EQ(at("2026-11-26T05:00:00.25Z"), now + kSecond / 4);
    EXPECT_EQ(at("2026-11-26T05:00:00.0000000019Z"), now + 1);
    EXPECT_EQ(at("2026-11-26T07:30:00+02:30"), now);
    EXPECT_EQ(at("2026-11-25T21:00:00-08:00"), now);
    EXPECT_EQ(at("1970-01-01T00:00:00Z"), 0);
    EXPECT_EQ(at("2028-02-29T00:00:00Z"), 1'835'395'200 * kSecond);
    EXPECT_EQ(at("90s"), now - 90 * kSecond);
    EXPECT_EQ(at("1h30m"), now - 5400 * kSecond);
    EXPECT_EQ(at("7d"), now - 7 * 86'400 * kSecond);
    EXPECT_EQ(at("0s"), now);
    for (const char* text : {"",
                             "h",
                             "1",
                             "1w",
                             "-1h",
                             "1h30",
                             "3651d",
                             "99999999999999999999s",
                             "now",
                             "2026-11-26",
                             "2026-11-26T05:00:00",
                             "2026-11-31T05:00:00Z",
                             "2027-02-29T00:00:00Z",
                             "2026-13-01T00:00:00Z",
                             "2026-11-26T24:00:00Z",
                             "2026-11-26T05:00:00.Z",
                             "2026-11-26T05:00:00+2:00",
                             "2026-11-26T05:00:00Zulu",
                             "9999-01-01T00:00:00Z",
                             "1969-12-31T23:59:59Z",
                             "2026-11-26T05:00Z",
                             " 1h"}) {
        EXPECT_EQ(at(text), std::nullopt) << text;
    }
}

TEST(RecordCursor, IsReadBackAndNothingElseIs) {
    const RecordRange range{-5, std::numeric_limits<std::int64_t>::max(), 42};
    const auto back = parse_record_cursor(record_cursor(range));
    ASSERT_TRUE(back);
    EXPECT_EQ(back->since_ns, range.since_ns);
    EXPECT_EQ(back->until_ns, range.until_ns);
    EXPECT_EQ(back->after, 42U);
    for (const char* text : {"", "r", "r1", "r1.2", "1.2.3", "r1.2.3.4", "r-1.2.3", "rx.2.3", "r1.2.", "r1..3",
                             "r18446744073709551615.2.3", "r18446744073709551616.2.3", "7-0"}) {
        EXPECT_EQ(parse_record_cursor(text), std::nullopt) << text;
    }
}

class RecordFilterTest : public testing::Test {
protected:
    void SetUp() override {
        context.generation = 7;
        context.kind = abi::EventKind::flow_end;
        context.verdict = abi::Verdict::allow;
        context.end = abi::FlowEnd::reset;
        context.family = abi::IpFamily::v4;
        context.proto = abi::L4Proto::tcp;
        context.rule = "web-in";
        context.from_zone = "internet";
        context.to_zone = "servers";
        context.in_port = "outside";
        record.context = &context;
        record.src = abi::IpAddr::of_v4(abi::Ipv4Addr::of_host(0x0a010203));
        record.dst = abi::IpAddr::of_v4(abi::Ipv4Addr::of_host(0xc6336450));
        record.sport = 40'000;
        record.dport = 443;
        record.time_ns = 100 * kSecond;
        record.started_ns = 70 * kSecond;
    }
    bool fits(const std::string& text) const {
        const auto filter = RecordFilter::parse(text);
        EXPECT_TRUE(filter) << text << ": " << (filter ? "" : filter.error().detail);
        return filter && filter->fits(record);
    }
    static std::string error(const std::string& text) {
        const auto filter = RecordFilter::parse(text);
        return filter ? "" : std::to_string(filter.error().column) + ": " + filter.error().detail;
    }
    RecordContext context;
    FlowRecord record;
};

TEST_F(RecordFilterTest, EachFieldHoldsAndDoesNot) {
    for (const char* text : {"",
                             "src == 10.1.2.3",
                             "src == 10.0.0.0/8",
                             "src in {192.0.2.1, 10.1.0.0/16}",
                             "dst != 10.0.0.0/8",
                             "sport == 40000",
                             "sport >= 40000",
                             "dport in {80, 400-500}",
                             "dport < 444",
                             "proto == tcp",
                             "proto == 6",
                             "proto in {udp, tcp}",
                             "rule == web-in",
                             "rule in {gone, web-in}",
                             "rule != gone",
                             "from_zone == internet",
                             "to_zone == servers",
                             "to_zone != internet",
                             "in_port == outside",
                             "generation == 7",
                             "generation in {1-7}",
                             "event == flow_end",
                             "verdict == allow",
                             "end == reset",
                             "end != closed",
                             "reason != rule_limit",
                             "age_s == 30",
                             "age_s > 29.5 and age_s < 30.5",
                             "src != 2001:db8::/32",
                             "proto == tcp and dport == 443 and rule == web-in"}) {
        EXPECT_TRUE(fits(text)) << text;
    }
    for (const char* text :
         {"src == 10.1.2.4", "src != 10.0.0.0/8", "src == 2001:db8::/32", "dst == 10.0.0.0/8", "sport > 40000",
          "dport in {80, 444-500}", "proto == udp", "rule == web", "rule != web-in", "from_zone == servers",
          "in_port == inside", "generation > 7", "event == flow_start", "verdict == deny", "end == closed",
          "reason == rule_limit", "age_s > 30", "proto == tcp and dport == 80"}) {
        EXPECT_FALSE(fits(text)) << text;
    }
}

TEST_F(RecordFilterTest, WhatARecordHasNotFitsNoValue) {
    context.kind = abi::EventKind::drop;
    context.family = abi::IpFamily::none;
    context.rule = {};
    context.reason = "no_policy";
    EXPECT_TRUE(fits("event == drop and reason == no_policy"));
    for (const char* text : {"src == 0.0.0.0/0", "dst == ::/0", "verdict in {allow, deny, reject}", "age_s >= 0",
                             "proto == 6", "rule == default", "end == reset"}) {
        EXPECT_FALSE(fits(text)) << text;
    }
    EXPECT_TRUE(fits("src != 10.0.0.0/8 and verdict != allow"));
}

TEST_F(RecordFilterTest, Ipv6Prefixes) {
    context.family = abi::IpFamily::v6;
    record.src.bytes = {0x20, 0x01, 0x0d, 0xb8, 0, 0x51};
    EXPECT_TRUE(fits("src == 2001:db8:51::/48"));
    EXPECT_FALSE(fits("src == 2001:db8:52::/48"));
    EXPECT_FALSE(fits("src == 0.0.0.0/0"));
}

TEST_F(RecordFilterTest, MistakesHaveTheirPlaceAndARemedy) {
    EXPECT_EQ(error("state == established").substr(0, 33), "1: there is no field \"state\"; the");
    EXPECT_EQ(error("dport == 443 and vedict == deny"), "18: there is no field \"vedict\"; did you mean \"verdict\"?");
    EXPECT_EQ(error("verdict == drop"), "12: there is no verdict \"drop\"; there are deny, allow, reject");
    EXPECT_EQ(error("event == flow_stat"), "10: there is no event \"flow_stat\"; did you mean \"flow_start\"?");
    EXPECT_EQ(error("reason == rule_limt"), "11: there is no drop reason \"rule_limt\"; did you mean \"rule_limit\"?");
    EXPECT_EQ(error("end > closed"), "5: \"end\" has no order; compare it with ==, != or in");
    EXPECT_EQ(error("dport == 70000"),
              "10: \"70000\" is no number from 0 to 65535 and no range of them; write e.g. 443 or 8000-8100");
}

}  // namespace
}  // namespace sluice::cp
