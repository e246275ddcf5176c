// A flow's life beside its packets: its timeouts, its events, its record in a dump.
#include "dataplane/pipeline/flow_book.hpp"

#include <algorithm>

#include <gtest/gtest.h>

#include "tests/unit/dataplane/pipeline/edge.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

TEST(Expiry, UdpOneWayAndStreamEndAtTheirTimeouts_U4) {
    Harness h;
    h.use(edge().build());
    EXPECT_EQ(h.fate(kInside, frame(out<Ipv4>(), Udp{.sport = 5353, .dport = 53})), "forward");
    h.advance(29s);
    EXPECT_EQ(h.flows(), 1U);
    h.advance(2s);
    EXPECT_EQ(h.flows(), 0U);
    EXPECT_EQ(h.fate(kOutside, frame(Ipv4{}, Udp{.sport = 53, .dport = 5353})), "policy_deny");

    EXPECT_EQ(h.fate(kInside, frame(out<Ipv4>(), Udp{.sport = 5353, .dport = 53})), "forward");
    EXPECT_EQ(h.fate(kOutside, frame(Ipv4{}, Udp{.sport = 53, .dport = 5353})), "forward");
    h.advance(179s);
    EXPECT_EQ(h.fate(kOutside, frame(Ipv4{}, Udp{.sport = 53, .dport = 5353})), "forward") << "and refreshed";
    h.advance(179s);
    EXPECT_EQ(h.flows(), 1U);
    h.advance(2s);
    EXPECT_EQ(h.flows(), 0U);
    EXPECT_EQ(h.counters().flows_expired.read(), 2U);
}

TEST(Expiry, TcpPhasesHaveTheirOwn_A7) {
    Harness h;
    h.use(edge().build());
    EXPECT_EQ(h.fate(kOutside, frame(Ipv4{}, tcp_in(kSyn, 1000))), "forward");
    h.advance(31s);
    EXPECT_EQ(h.flows(), 0U) << "half open";
    connect<Ipv4>(h);
    h.advance(7439s);
    EXPECT_EQ(h.flows(), 1U) << "established";
    EXPECT_EQ(h.fate(kInside, frame(out<Ipv4>(), tcp_out(kRst, 5001))), "forward");
    EXPECT_EQ(h.fate(kOutside, frame(Ipv4{}, tcp_in(kAck, 1001, 5001))), "tcp_closed");
    h.advance(9s);
    EXPECT_EQ(h.fate(kOutside, frame(Ipv4{}, tcp_in(kAck, 1001, 5001))), "tcp_closed") << "D3: never prolongs";
    h.advance(2s);
    EXPECT_EQ(h.flows(), 0U);
    EXPECT_EQ(h.fate(kOutside, frame(Ipv4{}, tcp_in(kAck, 1001, 5001))), "tcp_no_flow");
}

TEST(Events, StartAndEndOfALoggedFlow) {
    Harness h;
    h.use(edge().build());
    EXPECT_EQ(h.fate(kOutside, frame(Ipv4{}, Udp{.dport = 443, .payload = bytes_of(10)})), "forward");
    auto events = h.events();
    ASSERT_EQ(events.size(), 1U);
    EXPECT_EQ(events[0].kind, abi::EventKind::flow_start);
    EXPECT_EQ(events[0].src, address("198.51.100.7"));
    EXPECT_EQ(events[0].dport, abi::L4Port::of_host(443));
    EXPECT_EQ(events[0].verdict, abi::Verdict::allow);
    EXPECT_EQ(events[0].generation, 1U);
    const auto started = events[0].time;
    EXPECT_EQ(h.fate(kInside, frame(out<Ipv4>(), Udp{.sport = 443, .dport = 40000})), "forward");
    h.advance(181s);
    events = h.events();
    ASSERT_EQ(events.size(), 1U);
    EXPECT_EQ(events[0].kind, abi::EventKind::flow_end);
    EXPECT_EQ(events[0].end, abi::FlowEnd::expired);
    EXPECT_EQ(events[0].packets[0], 1U);
    EXPECT_EQ(events[0].packets[1], 1U);
    EXPECT_EQ(events[0].in_port, kOutside);
    EXPECT_NEAR(static_cast<double>(events[0].started.ns), static_cast<double>(started.ns), 2e7);
}

TEST(Dump, WalksAllFlowsInPages) {
    Harness h{{.flow_entries_max = 5000}};
    h.use(edge().build());
    for (std::uint16_t n = 0; n < 300; ++n) {
        const auto sport = static_cast<std::uint16_t>(1000 + n);
        ASSERT_EQ(n % 2 == 0 ? h.fate(kOutside, frame(Ipv4{}, Udp{.sport = sport, .dport = 443}))
                             : h.fate(kOutside, frame(Ipv6{}, Udp{.sport = sport, .dport = 443})),
                  "forward");
    }
    for (const std::uint32_t page : {1U, 7U, 512U}) {
        auto flows = h.dump(page);
        ASSERT_EQ(flows.size(), 300U);
        std::sort(flows.begin(), flows.end(),
                  [](const auto& a, const auto& b) { return a.sport.to_host() < b.sport.to_host(); });
        for (std::uint16_t n = 0; n < 300; ++n) EXPECT_EQ(flows[n].sport.to_host(), 1000 + n);
    }
}

// The manager gives a worker one second per page, and an idle worker makes some 2,500 loops in it: a table with room
// for ten million flows and two in use must be walked in that.
TEST(Dump, AnAlmostEmptyTableIsWalkedInFewLoops) {
    constexpr std::uint32_t kEntries = 1U << 18, kLoopsPerSecond = 2'500, kTenMillion = 10'000'000;
    Harness h{{.flow_entries_max = kEntries}};
    h.use(edge().build());
    EXPECT_EQ(h.dump().size(), 0U);
    EXPECT_LE(h.dump_loops, kLoopsPerSecond / (kTenMillion / kEntries));
}

}  // namespace
}  // namespace sluice::test
