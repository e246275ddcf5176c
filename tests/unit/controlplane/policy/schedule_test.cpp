#include "controlplane/policy/schedule.hpp"

#include <algorithm>
#include <string>

#include <gtest/gtest.h>

#include "controlplane/policy/reader.hpp"

namespace sluice::cp {
namespace {

UnixSeconds instant(std::string_view text) {
    const auto at = parse_instant(text);
    EXPECT_TRUE(at) << text;
    return at.value_or(0);
}

Schedule schedule(std::string zone, std::uint8_t days, std::string_view from, std::string_view to) {
    return {"s", std::move(zone), days, parse_day_time(from).value(), parse_day_time(to).value(), {}};
}

constexpr std::uint8_t kSat = 1U << 5, kSun = 1U << 6;

TEST(Times, OfDay) {
    EXPECT_EQ(parse_day_time("00:00").value(), 0);
    EXPECT_EQ(parse_day_time("05:30").value(), 330);
    EXPECT_EQ(parse_day_time("24:00").value(), 1440);
    for (const auto* wrong : {"", "5:30", "24:01", "25:00", "05:60", "05-30", "05:30 ", "-1:00", "aa:bb"})
        EXPECT_EQ(parse_day_time(wrong).error().code, "bad-time") << wrong;
    EXPECT_EQ(day_time_text(330), "05:30");
}

TEST(Times, Instants) {
    EXPECT_FALSE(parse_instant("1999-12-31T23:59Z")) << "nobody means what is long ago";
    EXPECT_EQ(instant("2026-12-05T02:00+08:00"), 1'796'407'200);
    EXPECT_EQ(instant("2026-12-04T18:00:00Z"), 1'796'407'200);
    EXPECT_EQ(instant("2026-12-04T12:30:01-05:30"), 1'796'407'201);
    EXPECT_EQ(instant_text(1'796'407'200), "2026-12-04T18:00:00Z");
    for (const auto* wrong : {"", "2026-12-05", "2026-12-05T02:00", "2026-13-05T02:00Z", "2026-02-30T02:00Z",
                              "2026-12-05T24:00Z", "2026-12-05T02:60Z", "2026-12-05 02:00Z", "2026-12-05T02:00+8",
                              "2026-12-05T02:00Zx", "26-12-05T02:00Z", "2026-12-05T02:00+15:00"})
        EXPECT_EQ(parse_instant(wrong).error().code, "bad-instant") << wrong;
}

TEST(Times, WhatExpiresWithADayIsThereUntilItsEnd) {
    EXPECT_EQ(parse_expiry("2027-03-31").value(), instant("2027-04-01T00:00Z"));
    EXPECT_EQ(parse_expiry("2028-02-29").value(), instant("2028-03-01T00:00Z"));
    EXPECT_EQ(parse_expiry("2027-03-31T18:00+08:00").value(), instant("2027-03-31T10:00Z"));
    EXPECT_FALSE(parse_expiry("2027-02-29"));
    EXPECT_NE(parse_expiry("tomorrow").error().detail.find("write 2027-03-31"), std::string::npos);
}

TEST(Times, OnlyNamesOfTheDatabaseAreZones) {
    for (const auto* name : {"UTC", "Asia/Shanghai", "America/Argentina/Buenos_Aires", "Etc/GMT+5"})
        EXPECT_TRUE(check_time_zone(name)) << name;
    for (const auto* name :
         {"", "Asia/Shangai", "/etc/passwd", "../../etc/passwd", "localtime", "file:UTC", "libc:localtime"})
        EXPECT_EQ(check_time_zone(name).error().code, "unknown-time-zone") << name;
}

TEST(IsOpen, ByTheClockOfItsZone) {
    const auto window = schedule("Asia/Shanghai", kSat | kSun, "01:00", "05:00");
    EXPECT_FALSE(is_open(window, instant("2026-12-05T00:59:59+08:00")));  // a Saturday
    EXPECT_TRUE(is_open(window, instant("2026-12-05T01:00+08:00")));
    EXPECT_TRUE(is_open(window, instant("2026-12-04T20:59:59Z")));
    EXPECT_FALSE(is_open(window, instant("2026-12-05T05:00+08:00")));
    EXPECT_FALSE(is_open(window, instant("2026-12-07T02:00+08:00"))) << "a Monday";
}

TEST(IsOpen, AWindowOverMidnightBelongsToTheDayOnWhichItBegan) {
    const auto night = schedule("UTC", kSat, "22:00", "06:00");
    EXPECT_FALSE(is_open(night, instant("2026-12-05T05:00Z"))) << "that would be Friday's";
    EXPECT_TRUE(is_open(night, instant("2026-12-05T22:00Z")));
    EXPECT_TRUE(is_open(night, instant("2026-12-06T05:59Z")));
    EXPECT_FALSE(is_open(night, instant("2026-12-06T06:00Z")));
    const auto all_day = schedule("UTC", kSat, "00:00", "24:00");
    EXPECT_TRUE(is_open(all_day, instant("2026-12-05T23:59:59Z")));
    EXPECT_FALSE(is_open(all_day, instant("2026-12-06T00:00Z")));
    const auto from_noon_to_noon = schedule("UTC", kSat, "12:00", "12:00");
    EXPECT_TRUE(is_open(from_noon_to_noon, instant("2026-12-06T11:59Z")));
}

/// Berlin, 2026: 29 March 02:00 becomes 03:00, 25 October 03:00 becomes 02:00.
TEST(IsOpen, AnHourThatIsLeftOutIsNeverOpenAndOneThatComesTwiceIsOpenTwice) {
    const auto two_to_three = schedule("Europe/Berlin", kEveryDay, "02:00", "03:00");
    for (UnixSeconds at = instant("2026-03-29T00:00Z"); at < instant("2026-03-29T12:00Z"); at += 60)
        ASSERT_FALSE(is_open(two_to_three, at)) << instant_text(at);
    EXPECT_TRUE(is_open(two_to_three, instant("2026-10-25T00:30Z")));
    EXPECT_TRUE(is_open(two_to_three, instant("2026-10-25T01:30Z")));
    EXPECT_FALSE(is_open(two_to_three, instant("2026-10-25T02:00Z")));
}

TEST(Edges, NothingChangesBetweenThem) {
    for (const auto* zone : {"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"}) {
        for (const auto& [from, to] : {std::pair{"02:00", "03:00"}, {"01:30", "02:15"}, {"22:00", "02:30"}}) {
            const auto s = schedule(zone, kEveryDay, from, to);
            const UnixSeconds first = instant("2026-01-01T00:00Z"), last = instant("2027-01-01T00:00Z");
            const auto edges = schedule_edges(s, first, last);
            ASSERT_TRUE(std::ranges::is_sorted(edges));
            ASSERT_TRUE(edges.front() >= first && edges.back() < last);
            std::size_t next = 0;
            bool open = is_open(s, first);
            for (UnixSeconds at = first; at < last; at += 15 * 60) {  // all offsets are multiples of it
                for (; next < edges.size() && edges[next] <= at; ++next) open = is_open(s, edges[next]);
                ASSERT_EQ(is_open(s, at), open) << zone << " " << from << " " << instant_text(at);
            }
        }
    }
}

constexpr std::string_view kPolicy = R"(sluice: 1
name: timed
default: {action: deny}
zones: {lan: {ports: [p0]}, wan: {ports: [p1]}}
schedules:
  change-window: {tz: Asia/Shanghai, days: [sat, sun], from: "01:00", to: "05:00"}
rules:
  - {id: ops, from: lan, to: wan, when: change-window, action: allow, expires: 2027-03-31,
     owner: ops@bank.example, ticket: CHG-20418, reason: "the move of the data centre"}
tests:
  - {from: 10.0.0.1@lan, to: "192.0.2.1@wan:22/tcp", at: 2026-12-05T02:00+08:00, expect: allow, by: ops}
)";

TEST(Schedules, AreRead) {
    const auto policy = read_policy(kPolicy, PolicyFormat::yaml);
    ASSERT_TRUE(policy) << policy.error().front().detail;
    ASSERT_EQ(policy->schedules.size(), 1U);
    EXPECT_EQ(policy->schedules[0].time_zone, "Asia/Shanghai");
    EXPECT_EQ(policy->schedules[0].days, kSat | kSun);
    EXPECT_EQ(policy->schedules[0].first_minute, 60);
    EXPECT_EQ(policy->schedules[0].end_minute, 300);
    const Rule& rule = policy->rules.at(0);
    EXPECT_EQ(rule.when, 0);
    EXPECT_EQ(rule.expires, instant("2027-04-01T00:00Z"));
    ASSERT_TRUE(rule.notes);
    EXPECT_EQ(rule.notes->owner, "ops@bank.example");
    EXPECT_EQ(rule.notes->ticket, "CHG-20418");
    EXPECT_EQ(rule.notes->reason, "the move of the data centre");
    EXPECT_EQ(policy->tests[0].at, instant("2026-12-04T18:00Z"));
    EXPECT_EQ(standing_of(*policy, rule, instant("2026-12-04T18:00Z")), Standing::enforced);
    EXPECT_EQ(standing_of(*policy, rule, instant("2026-12-07T18:00Z")), Standing::absent);
    EXPECT_EQ(standing_of(*policy, rule, instant("2027-04-02T18:00Z")), Standing::observed);
}

/// Two spellings of one instant are one policy.
TEST(Schedules, TheVersionGoesByWhatIsMeant) {
    std::string other{kPolicy};
    const auto replace = [&](std::string_view was, std::string_view is) {
        const auto at = other.find(was);
        ASSERT_NE(at, std::string::npos);
        other.replace(at, was.size(), is);
    };
    const auto version = [](std::string_view text) { return read_policy(text, PolicyFormat::yaml).value().version; };
    replace("2026-12-05T02:00+08:00", "2026-12-04T18:00:00Z");
    replace("[sat, sun]", "[sun, sat]");
    replace("2027-03-31,", "\"2027-04-01T00:00Z\",");
    EXPECT_EQ(version(other), version(kPolicy));
    replace("[sun, sat]", "sun");
    EXPECT_NE(version(other), version(kPolicy));
}

struct Wrong {
    std::string_view was, is, code, pointer, says;
};

TEST(Schedules, MistakesAreNamed) {
    const Wrong wrongs[] = {
        {"Asia/Shanghai", "Asia/Shangai", "unknown-time-zone", "/schedules/change-window/tz", "no time zone"},
        {"[sat, sun]", "[sat, sunn]", "bad-choice", "/schedules/change-window/days/1", "did you mean \"sun\"?"},
        {"\"01:00\"", "\"1:00\"", "bad-time", "/schedules/change-window/from", "HH:MM"},
        {", to: \"05:00\"", "", "missing-key", "/schedules/change-window", "lacks \"to\""},
        {"when: change-window", "when: change-windw", "undefined-name", "/rules/0/when",
         "did you mean \"change-window\"?"},
        {"2027-03-31", "2027-02-31", "bad-instant", "/rules/0/expires", "no day"},
        {"2026-12-05T02:00+08:00", "2026-12-05T02:00", "bad-instant", "/tests/0/at", "with its zone"},
        {"\"the move of the data centre\"", "\"\"", "bad-note", "/rules/0/reason", "one line"},
    };
    for (const Wrong& wrong : wrongs) {
        std::string text{kPolicy};
        text.replace(text.find(wrong.was), wrong.was.size(), wrong.is);
        const auto policy = read_policy(text, PolicyFormat::yaml);
        ASSERT_FALSE(policy) << wrong.is;
        ASSERT_EQ(policy.error().size(), 1U) << wrong.is << ": " << policy.error()[1].detail;
        EXPECT_EQ(policy.error()[0].code, wrong.code) << wrong.is;
        EXPECT_EQ(policy.error()[0].pointer, wrong.pointer) << wrong.is;
        EXPECT_NE(policy.error()[0].detail.find(wrong.says), std::string::npos) << policy.error()[0].detail;
    }
}

}  // namespace
}  // namespace sluice::cp
