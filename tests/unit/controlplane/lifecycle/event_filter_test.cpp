#include "controlplane/lifecycle/event_filter.hpp"

#include <gtest/gtest.h>

#include "controlplane/policy/address.hpp"
#include "controlplane/telemetry/event_json.hpp"

namespace sluice::cp {
namespace {

/// As the log has it.
std::string line_of(const EventText& event) { return event_json(event); }

EventText denied() {
    return {.time_ns = 1,
            .kind = abi::EventKind::flow_denied,
            .verdict = abi::Verdict::deny,
            .family = abi::IpFamily::v4,
            .proto = abi::L4Proto::tcp,
            .src = parse_address("198.51.100.7")->addr,
            .dst = parse_address("192.0.2.80")->addr,
            .sport = 40000,
            .dport = 443,
            .in_port = "outside",
            .from_zone = "internet",
            .to_zone = "servers",
            .rule = "no-web",
            .generation = 7};
}

bool fits(std::string_view filter, const EventText& event) {
    const auto parsed = EventFilter::parse(filter);
    EXPECT_TRUE(parsed) << parsed.error().detail;
    return parsed && parsed->fits(line_of(event));
}

TEST(EventFilter, AsksWhatTheLineSays) {
    for (const auto* filter :
         {"", "src==198.51.100.0/24", "dst==192.0.2.80", "sport==40000", "dport in {80,443}", "proto==tcp",
          "rule==no-web", "from_zone==internet and to_zone==servers", "in_port==outside", "generation==7",
          "event==flow_denied", "verdict==deny", "verdict!=allow and src!=10.0.0.0/8"})
        EXPECT_TRUE(fits(filter, denied())) << filter;
    for (const auto* filter : {"src==198.51.101.0/24", "dst==2001:db8::1", "sport<40000", "dport==80", "proto==udp",
                               "rule==no", "from_zone==servers", "in_port==inside", "generation>7", "event==drop",
                               "verdict==allow", "end==closed", "reason==martian", "age_s>0"})
        EXPECT_FALSE(fits(filter, denied())) << filter;
}

TEST(EventFilter, KnowsWhatOnlySomeEventsHave) {
    EventText ping = denied();
    ping.proto = abi::L4Proto::icmp;
    ping.sport = 77;
    ping.dport = 0x0800;
    EXPECT_TRUE(fits("proto==icmp and dport==2048 and sport==77", ping));
    EventText ended = denied();
    ended.kind = abi::EventKind::flow_end;
    ended.verdict = abi::Verdict::allow;
    ended.end = abi::FlowEnd::expired;
    ended.duration_ms = 61'000;
    EXPECT_TRUE(fits("end==expired and age_s>60", ended));
    EXPECT_FALSE(fits("age_s>61", ended));
    EventText drop = denied();
    drop.kind = abi::EventKind::drop;
    drop.reason = "martian";
    EXPECT_TRUE(fits("reason==martian and event==drop", drop));
    EXPECT_FALSE(fits("verdict==allow", drop)) << "no rule decided";
    EventText six = denied();
    six.family = abi::IpFamily::v6;
    six.src = parse_address("2001:db8::7")->addr;
    EXPECT_TRUE(fits("src==2001:db8::/32", six));
}

TEST(EventFilter, WhatIsNoLineFitsNothing) {
    const auto filter = EventFilter::parse("src==10.0.0.0/8");
    for (const auto* line : {"", "{", "[]", "7", "{}", R"({"src":7,"sport":"x","generation":-1})"})
        EXPECT_FALSE(filter->fits(line)) << line;
    EXPECT_FALSE(EventFilter::parse("colour==red"));
}

}  // namespace
}  // namespace sluice::cp
