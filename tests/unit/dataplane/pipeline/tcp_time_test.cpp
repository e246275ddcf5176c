// TCP and time: what refreshes a flow, what does not, and when it ends.
#include "tests/unit/dataplane/pipeline/tcp_conversation.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;
using abi::FlowState;

abi::FlowTimeouts timeouts() {
    return {.tcp_established_ms = 600'000, .tcp_closing_ms = 20'000, .tcp_unacknowledged_ms = 60'000};
}

class TcpTime : public testing::Test {
protected:
    TcpTime() { h.use(shop_policy().timeouts(timeouts()).build()); }
    void say(const std::vector<Said>& rows) { ASSERT_NO_FATAL_FAILURE(test::say<Ipv4>(h, rows)); }

    Harness h;
};

TEST_F(TcpTime, T11_InexactResetLeavesTheFlowAndItsTimer) {
    connect<Ipv4>(h);
    h.advance(500s);
    say({{kRst, 0, 1500, 0, kClient}});
    EXPECT_EQ(h.counters().tcp_inexact_rst.read(), 1U);
    h.advance(60s);
    say({{kAck, 10, 1001, 5001, kClient}, {kAck, 0, 5001, 1011, kShop}});
    EXPECT_EQ(only_state(h), FlowState::established);
    // Nor does it prolong the flow: 600 s after the last ACK it is over, whatever resets came.
    h.advance(599s);
    say({{kRst, 0, 1500, 0, kClient}});
    h.advance(2s);
    EXPECT_EQ(h.flows(), 0U);
}

TEST_F(TcpTime, D2_ASynOnALiveFlowIsNoSignOfLife) {
    connect<Ipv4>(h);
    h.advance(590s);
    say({{kSyn, 0, 77'000, 0, kClient}});
    h.advance(11s);
    EXPECT_EQ(h.flows(), 0U);
}

TEST_F(TcpTime, D3_AClosedFlowIsNotProlonged) {
    connect<Ipv4>(h);
    say({{kRst, 0, 1001, 0, kClient}});
    h.advance(9s);
    say({{kAck, 10, 5001, 1001, kShop, "tcp_closed"}});
    h.advance(2s);
    EXPECT_EQ(h.flows(), 0U);
}

TEST_F(TcpTime, T26_AHalfClosedFlowLivesWhileDataFlow) {
    connect<Ipv4>(h);
    say({{kFin | kAck, 0, 1001, 5001, kClient}});
    for (std::uint32_t n = 0; n < 20; ++n) {  // 5 minutes; the timer is 20 s
        h.advance(15s);
        say({{kAck, 100, 5001 + n * 100, 1002, kShop}, {kAck, 0, 1002, 5101 + n * 100, kClient}});
    }
    EXPECT_EQ(only_state(h), FlowState::fin_wait);
    h.advance(21s);
    EXPECT_EQ(h.flows(), 0U);
}

TEST_F(TcpTime, T32_KeepAlivesAndProbesForAnHour) {
    connect<Ipv4>(h);
    say({{kAck, 100, 1001, 5001, kClient}, {kAck, 0, 5001, 1101, kShop, "forward", 0}});
    for (int minute = 0; minute < 60; ++minute) {
        h.advance(59s);
        say({{kAck, minute % 2 == 0 ? 1U : 0U, 1100, 5001, kClient},
             {kAck, 1, 1101, 5001, kClient},  // stays in flight: the shop has no room
             {kAck, 0, 5001, 1101, kShop, "forward", 0}});
    }
    EXPECT_EQ(only_state(h), FlowState::established);
    EXPECT_EQ(h.counters().tcp_overshoot.read(), 0U);
}

TEST_F(TcpTime, UnacknowledgedDataEndAFlowSooner) {
    connect<Ipv4>(h);
    h.advance(100s);  // longer than the shorter timeout: nothing is in flight
    ASSERT_EQ(h.flows(), 1U);
    say({{kAck, 100, 1001, 5001, kClient}});
    h.advance(59900ms);
    EXPECT_EQ(h.flows(), 1U);
    h.advance(400ms);  // a lap of the ageing is 250 ms
    EXPECT_EQ(h.flows(), 0U);
    EXPECT_EQ(h.counters().flows_expired.read(), 1U);
}

TEST_F(TcpTime, UnacknowledgedDataCountFromTheLastSegment) {
    connect<Ipv4>(h);
    say({{kAck, 100, 1001, 5001, kClient}});
    for (int n = 0; n < 5; ++n) {
        h.advance(50s);
        say({{kAck, 100, 1001, 5001, kClient}});  // the sender tries again
    }
    EXPECT_EQ(h.flows(), 1U);
    say({{kAck, 0, 5001, 1050, kShop}});  // half of it
    h.advance(59s);
    EXPECT_EQ(h.flows(), 1U);
    say({{kAck, 0, 5001, 1101, kShop}});  // all of it: the long timeout again
    h.advance(590s);
    EXPECT_EQ(h.flows(), 1U);
    h.advance(11s);
    EXPECT_EQ(h.flows(), 0U);
}

// For the packet a flow is over in the moment in which its time is, whether the ageing has come by or not.
TEST_F(TcpTime, UnacknowledgedDataEndAFlowForThePacketToo) {
    connect<Ipv4>(h);
    say({{kAck, 100, 1001, 5001, kClient}});
    h.skip(60s);
    say({{kAck, 0, 5001, 1101, kShop, "tcp_no_flow"}});
}

TEST_F(TcpTime, UnacknowledgedNeverProlongs) {
    auto set = timeouts();
    set.tcp_unacknowledged_ms = 900'000;
    h.use(shop_policy().timeouts(set).build());
    connect<Ipv4>(h);
    say({{kFin | kAck, 100, 1001, 5001, kClient}});
    h.advance(19s);
    EXPECT_EQ(h.flows(), 1U);
    h.advance(2s);
    EXPECT_EQ(h.flows(), 0U) << "tcp_closing is shorter";
}

}  // namespace
}  // namespace sluice::test
