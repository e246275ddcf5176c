#include "tools/sluicectl/output.hpp"

#include <gtest/gtest.h>

#include "tools/sluicectl/command.hpp"
#include "tools/sluicectl/event_stream.hpp"

namespace sluice::ctl {
namespace {

TEST(Output, Units) {
    EXPECT_EQ(count_text(0), "0");
    EXPECT_EQ(count_text(999), "999");
    EXPECT_EQ(count_text(1'048'576), "1,048,576");
    EXPECT_EQ(bytes_text(1023), "1023 B");
    EXPECT_EQ(bytes_text(1536), "1.5 KiB");
    EXPECT_EQ(bytes_text(~std::uint64_t{}), "16384.0 PiB");
    EXPECT_EQ(duration_text(0.25), "0.2s");
    EXPECT_EQ(duration_text(61.5), "1m 1s");
    EXPECT_EQ(duration_text(7'440), "2h 4m");
    EXPECT_EQ(duration_text(200'000), "2d 7h");
    EXPECT_EQ(duration_text(-3), "0.0s");
}

TEST(Output, AnEndpointIsReadBackAsItIsWritten) {
    EXPECT_EQ(endpoint_text("10.0.0.1", 80), "10.0.0.1:80");
    EXPECT_EQ(endpoint_text("2001:db8::1", 80), "[2001:db8::1]:80");
    EXPECT_EQ(endpoint_text("2001:db8::1", 0), "2001:db8::1");
}

TEST(Output, TimesAreUtc) {
    EXPECT_LT(seconds_from_now("2001-01-01T00:00:00.000Z"), -1e8);
    EXPECT_GT(seconds_from_now("2201-01-01T00:00:00.500Z"), 1e8);
    EXPECT_EQ(seconds_from_now("yesterday"), 0);
}

TEST(Output, TablesAlignAndColourOnlyTheText) {
    Table table{{{"NAME"}, {"HITS", Align::right}}};
    table.add({{"a", Colour::green}, "5"});
    table.add({"caf\xc3\xa9-x", "1,234"});
    EXPECT_EQ(table.text(false), "NAME     HITS\na           5\ncaf\xc3\xa9-x  1,234\n");
    EXPECT_NE(table.text(true).find("\x1b[32ma\x1b[0m     "), std::string::npos);
}

TEST(Output, ControlCharactersDoNotReachTheTerminal) { EXPECT_EQ(printable("a\x1b[2Jb\n\x7f"), "a?[2Jb??"); }

TEST(Duration, ReadsWhatPeopleWrite) {
    EXPECT_EQ(parse_duration_s("10m"), 600U);
    EXPECT_EQ(parse_duration_s("1h30m"), 5'400U);
    EXPECT_EQ(parse_duration_s("45"), 45U);
    EXPECT_EQ(parse_duration_s("24h"), 86'400U);
    EXPECT_EQ(parse_duration_s("1d"), 86'400U);
    EXPECT_FALSE(parse_duration_s("2d"));
    EXPECT_EQ(parse_duration_s("90d", 100 * 86'400), 90U * 86'400);
    for (const auto* bad : {"", "0", "0s", "24h1s", "m", "10d", "1.5h", "-1s", "10 m", "99999999999999999999s"}) {
        EXPECT_FALSE(parse_duration_s(bad)) << bad;
    }
}

TEST(EventStreamReader, JoinsPieces) {
    EventStreamReader reader;
    EXPECT_TRUE(reader.feed(": comment\nretry: 5\n\nid: 1\nev").empty());
    EXPECT_TRUE(reader.feed("ent: flow\r\ndata: {\"a\":1}\r").empty());
    const auto events = reader.feed("\n\r\ndata: x\ndata: y\n\n");
    ASSERT_EQ(events.size(), 2U);
    EXPECT_EQ(events[0].id + events[0].type + events[0].data, "1flow{\"a\":1}");
    EXPECT_EQ(events[1].data, "x\ny");
    EXPECT_EQ(events[1].type, "message");
}

TEST(Explain, QuestionFromWords) {
    using boost::json::serialize;
    EXPECT_EQ(serialize(explain_question("p", "2001:db8::7", "[2001:db8::1]:443/tcp")),
              R"({"in_port":"p","src":"2001:db8::7","dst":"2001:db8::1","dport":443,"proto":"tcp"})");
    EXPECT_EQ(
        serialize(explain_question("p", "[::1]:9", "2001:db8::1/icmp6")),
        R"({"in_port":"p","src":"::1","dst":"2001:db8::1","icmp_type":128,"icmp_code":0,"proto":"icmp6","sport":9})");
    EXPECT_THROW(explain_question("p", "198.51.100.7", "198.51.100.80:/tcp"), CommandError);
    EXPECT_THROW(explain_question("p", "198.51.100.07", "198.51.100.80:1/tcp"), CommandError);
}

TEST(Errors, HavePlaceCauseAndRemedy) {
    const auto errors = boost::json::parse(
        R"([{"pointer":"/a","line":3,"column":9,"code":"x","detail":"one"},{"pointer":"/b","code":"x","detail":"two"},{"pointer":"","code":"x","detail":"three"}])");
    EXPECT_EQ(error_lines(errors.as_array(), "f.yaml"), "f.yaml:3:9: one\nf.yaml: /b: two\nf.yaml: three\n");
    EXPECT_EQ(error_lines(errors.as_array(), ""), "3:9: one\n/b: two\nthree\n");
}

}  // namespace
}  // namespace sluice::ctl
