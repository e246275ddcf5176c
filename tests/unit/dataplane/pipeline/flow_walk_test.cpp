// The manager's walk over a worker's flows: bounded, filtered, and ending what fits.
#include "dataplane/pipeline/flow_walk.hpp"

#include <gtest/gtest.h>

#include "tests/unit/dataplane/pipeline/edge.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;
using abi::FlowField;

FrameBytes client(std::uint32_t n, std::uint16_t dport = 443) {
    return frame(Ipv4{}, Udp{.sport = static_cast<std::uint16_t>(1'000 + n), .dport = dport});
}

abi::FlowFilter sports(std::uint64_t first, std::uint64_t last) {
    abi::FlowFilter f;
    f.term_count = f.range_count = 1;
    f.terms[0] = {FlowField::sport, 0, 0, 1};
    f.ranges[0].first = {0, first};
    f.ranges[0].last = {0, last};
    return f;
}

class Walk : public testing::Test {
protected:
    Walk() {
        h.use(edge().build());
        for (std::uint32_t n = 0; n < 300; ++n) EXPECT_EQ(h.fate(kOutside, client(n)), "forward");
        (void)h.events();
    }
    Harness h{{.flow_entries_max = 2'048}};  // of which a quarter may be half-open
};

TEST_F(Walk, ShowsWhatFits) {
    EXPECT_EQ(h.dump(64, sports(1'100, 1'149)).size(), 50U);
    EXPECT_EQ(h.dump(7, sports(1'100, 1'149)).size(), 50U) << "page by page";
    EXPECT_EQ(h.dump(64, sports(1, 2)).size(), 0U);
    EXPECT_EQ(h.dump(64).size(), 300U);
}

TEST_F(Walk, P14_EndsWhatFitsAndNothingElse) {
    EXPECT_EQ(h.end_flows(sports(1'000, 1'099), false), 100U);
    EXPECT_EQ(h.flows(), 200U);
    EXPECT_EQ(h.counters().flows_ended_by_request.read(), 100U);
    const auto events = h.events();
    ASSERT_EQ(events.size(), 100U);
    EXPECT_EQ(events[0].end, abi::FlowEnd::request);
    EXPECT_EQ(h.dump(64, sports(1'000, 1'099)).size(), 0U);
    EXPECT_EQ(h.fate(kOutside, client(3)), "forward") << "a first packet, and the policy allows it";
    EXPECT_EQ(h.flows(), 201U);
}

TEST_F(Walk, AnsweredEndsLeaveMarks) {
    EXPECT_EQ(h.end_flows(sports(1'000, 1'009), true), 10U);
    EXPECT_EQ(h.end_flows(sports(1'000, 1'009), true), 0U) << "once";
    EXPECT_EQ(h.flows(), 290U);
    EXPECT_EQ(h.fate(kOutside, client(3)), "flow_killed+answer");
    EXPECT_EQ(h.fate(kOutside, client(3)), "forward") << "told once, it may begin anew";
    EXPECT_EQ(h.end_flows(sports(1'000, 1'009), false), 10U) << "nine marks and the new flow";
    EXPECT_EQ(h.dump(64, sports(1'000, 1'009)).size(), 0U);
    EXPECT_EQ(h.flows(), 290U);
    EXPECT_EQ(h.counters().flows_ended_by_request.read(), 11U);
}

TEST_F(Walk, MarksSurviveASwitchAndExpire) {
    EXPECT_EQ(h.end_flows(sports(1'000, 1'009), true), 10U);
    h.use(edge().build());
    EXPECT_EQ(h.dump(64, sports(1'000, 1'009)).size(), 10U);
    h.advance(31s);
    EXPECT_EQ(h.dump().size(), 0U);
    EXPECT_EQ(h.flows(), 0U);
    EXPECT_EQ(h.counters().flows_expired.read(), 290U);
}

}  // namespace
}  // namespace sluice::test
