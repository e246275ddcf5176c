// A table under pressure: who dies for a new flow, and who never does (CASES X1, X2, D9, Q9, Q10).
#include <random>

#include <gtest/gtest.h>

#include "tests/harness/seed.hpp"
#include "tests/unit/dataplane/pipeline/edge.hpp"

namespace sluice::test {
namespace {

using abi::DropReason;
using abi::FlowPressure;
using namespace std::chrono_literals;

FlowPressure pressure(const Harness& h) { return static_cast<FlowPressure>(h.counters().flow_pressure.read()); }

/// Connection `n` of clients outside; the handshake is as in edge.hpp.
Ipv4 client(std::uint32_t n) {
    return {.src = "203.0." + std::to_string(113 + n / 250) + "." + std::to_string(1 + n % 250)};
}
Ipv4 answer_to(std::uint32_t n) {
    Ipv4 ip = client(n);
    std::swap(ip.src, ip.dst);
    return ip;
}
std::string syn(Harness& h, std::uint32_t n) { return h.fate(kOutside, frame(client(n), tcp_in(kSyn, 1000))); }
void finish(Harness& h, std::uint32_t n) {
    ASSERT_EQ(h.fate(kInside, frame(answer_to(n), tcp_out(kSyn | kAck, 5000, 1001))), "forward") << n;
    ASSERT_EQ(h.fate(kOutside, frame(client(n), tcp_in(kAck, 1001, 5001))), "forward") << n;
}
bool lives(Harness& h, std::uint32_t n) {
    return h.fate(kOutside, frame(client(n), tcp_in(kAck, 1001, 5001))) == "forward";
}

TEST(Pressure, HalfOpenFlowsHaveAQuarterAndTheOldestDiesFirst) {
    Harness h{{.flow_entries_max = 40}};
    h.use(edge().build());
    for (std::uint32_t n = 0; n < 10; ++n) EXPECT_EQ(syn(h, n), "forward");
    EXPECT_EQ(h.counters().flows_half_open.read(), 10U);
    EXPECT_EQ(pressure(h), FlowPressure::none);
    (void)h.events();
    EXPECT_EQ(syn(h, 10), "forward");
    EXPECT_EQ(h.counters().flows_half_open.read(), 10U);
    EXPECT_EQ(h.counters().syn_early_drop.read(), 1U);
    EXPECT_EQ(pressure(h), FlowPressure::half_open);
    const auto events = h.events();
    ASSERT_EQ(events.size(), 2U);
    EXPECT_EQ(events[0].kind, abi::EventKind::flow_end);
    EXPECT_EQ(events[0].end, abi::FlowEnd::evicted);
    EXPECT_EQ(events[0].src, address("203.0.113.1")) << "the first that came";
    EXPECT_EQ(events[1].kind, abi::EventKind::flow_start);
    EXPECT_EQ(h.fate(kInside, frame(answer_to(0), tcp_out(kSyn | kAck, 5000, 1001))), "tcp_no_flow");
    finish(h, 1);  // an assured flow is none of them any more
    EXPECT_EQ(h.counters().flows_half_open.read(), 9U);
    EXPECT_EQ(syn(h, 11), "forward");
    EXPECT_EQ(h.counters().syn_early_drop.read(), 1U);
    h.advance(1s);
    EXPECT_EQ(pressure(h), FlowPressure::none);
}

TEST(Pressure, OneWayFlowsAreHalfOpenUntilTheyAreAnswered) {
    Harness h{{.flow_entries_max = 8}};
    h.use(edge().build());
    const auto ask = [&](std::uint16_t port) {
        return h.fate(kInside, frame(out<Ipv4>(), Udp{.sport = port, .dport = 53}));
    };
    EXPECT_EQ(ask(1001), "forward");
    EXPECT_EQ(h.fate(kInside, frame(out<Ipv4>(), Icmp{})), "forward");
    EXPECT_EQ(h.counters().flows_half_open.read(), 2U);
    EXPECT_EQ(h.fate(kOutside, frame(Ipv4{}, Udp{.sport = 53, .dport = 1001})), "forward");
    EXPECT_EQ(h.counters().flows_half_open.read(), 1U);
    EXPECT_EQ(ask(1002), "forward");
    EXPECT_EQ(ask(1003), "forward");
    EXPECT_EQ(h.counters().syn_early_drop.read(), 1U) << "the echo request";
    EXPECT_EQ(h.fate(kOutside, frame(Ipv4{}, Icmp{.type = 0})), "icmp_no_flow");
    EXPECT_EQ(h.fate(kOutside, frame(Ipv4{}, Udp{.sport = 53, .dport = 1001})), "forward");
}

TEST(Pressure, D9_ClosingFlowsDieNextAndAssuredOnesNever) {
    Harness h{{.flow_entries_max = 8}};
    h.use(edge().build());
    for (std::uint32_t n = 0; n < 8; ++n) {
        ASSERT_EQ(syn(h, n), "forward");
        finish(h, n);
    }
    EXPECT_EQ(h.fate(kOutside, frame(client(3), tcp_in(kRst, 1001))), "forward");
    EXPECT_EQ(h.fate(kInside, frame(answer_to(5), tcp_out(kFin | kAck, 5001, 1001))), "forward")
        << "a half close is none";
    EXPECT_EQ(syn(h, 20), "forward");
    EXPECT_EQ(h.counters().closing_early_drop.read(), 1U);
    EXPECT_EQ(pressure(h), FlowPressure::closing);
    finish(h, 20);
    EXPECT_EQ(syn(h, 21), "flow_table_full");
    EXPECT_EQ(pressure(h), FlowPressure::full);
    EXPECT_EQ(h.drops(DropReason::flow_table_full), 1U);
    for (const std::uint32_t n : {0U, 1U, 2U, 4U, 6U, 7U, 20U}) EXPECT_TRUE(lives(h, n)) << n;
    EXPECT_EQ(h.fate(kOutside, frame(client(5), tcp_in(kAck, 1001, 5002))), "forward");
    EXPECT_FALSE(lives(h, 3));
    EXPECT_EQ(h.fate(kOutside, frame(Ipv6{}, tcp_in(kSyn, 1))), "flow_table_full");
}

// What a policy has ended is over, though its entry still waits for a packet to answer.
TEST(Pressure, MarksMakeRoom) {
    Harness h{{.flow_entries_max = 8}};
    h.use(edge().build());
    for (std::uint32_t n = 0; n < 8; ++n) {
        ASSERT_EQ(syn(h, n), "forward");
        finish(h, n);
    }
    EXPECT_EQ(h.end_flows({}, true), 8U);
    EXPECT_EQ(h.flows(), 0U);
    for (std::uint32_t n = 20; n < 28; ++n) {
        ASSERT_EQ(syn(h, n), "forward") << n;
        finish(h, n);
    }
    EXPECT_EQ(h.flows(), 8U);
    EXPECT_EQ(h.dump().size(), 8U);
    EXPECT_EQ(h.counters().closing_early_drop.read(), 0U) << "no flow died";
}

TEST(Pressure, AMarkIsNoHalfOpenFlow) {
    Harness h{{.flow_entries_max = 40}};
    h.use(edge().build());
    for (std::uint32_t n = 0; n < 10; ++n) ASSERT_EQ(syn(h, n), "forward");
    EXPECT_EQ(h.counters().flows_half_open.read(), 10U);
    EXPECT_EQ(h.end_flows({}, true), 10U);
    EXPECT_EQ(h.counters().flows_half_open.read(), 0U);
    EXPECT_EQ(syn(h, 20), "forward");
    EXPECT_EQ(h.counters().flows_half_open.read(), 1U);
    EXPECT_EQ(h.send({{kOutside, frame(client(0), tcp_in(kAck, 1001, 5001))}}).size(), 2U)
        << "and is a mark all the same";
}

TEST(Pressure, ClosedFlowsMakeRoomBeforeTheLastHandshakes) {
    Harness h{{.flow_entries_max = 20}};  // five half-open ones
    h.use(edge().build());
    for (std::uint32_t n = 0; n < 17; ++n) {
        ASSERT_EQ(syn(h, n), "forward");
        finish(h, n);
    }
    for (const std::uint32_t n : {4U, 2U}) EXPECT_EQ(h.fate(kOutside, frame(client(n), tcp_in(kRst, 1001))), "forward");
    for (std::uint32_t n = 20; n < 23; ++n) EXPECT_EQ(syn(h, n), "forward");  // 17 and three half-open: full
    EXPECT_EQ(syn(h, 23), "forward");
    EXPECT_EQ(h.counters().syn_early_drop.read(), 1U) << "three of five are more than half";
    h.run_once();
    EXPECT_EQ(h.fate(kInside, frame(answer_to(20), tcp_out(kSyn | kAck, 5000, 1001))), "tcp_no_flow");
    finish(h, 21);
    EXPECT_EQ(syn(h, 24), "forward");
    EXPECT_EQ(h.counters().closing_early_drop.read(), 1U) << "two of five: the first that was closed";
    EXPECT_FALSE(lives(h, 4));
    EXPECT_EQ(h.fate(kOutside, frame(client(2), tcp_in(kAck, 1001, 5001))), "tcp_closed")
        << "the other one is still there";
    finish(h, 22);
    finish(h, 24);
    EXPECT_EQ(syn(h, 25), "forward");
    EXPECT_EQ(h.counters().closing_early_drop.read(), 2U);
    EXPECT_EQ(syn(h, 26), "forward");
    EXPECT_EQ(h.counters().syn_early_drop.read(), 2U) << "nobody else is left to go";
}

TEST(Pressure, X1_Q9_AFloodOfSynsHarmsNoAssuredFlowAndFewConnects) {
    constexpr std::uint32_t kEntries = 2000, kAssured = 1800, kFloodPerConnect = 20, kConnects = 500;
    Harness h{{.flow_entries_max = kEntries}};
    h.use(edge().build());
    for (std::uint32_t n = 0; n < kAssured; ++n) {
        ASSERT_EQ(syn(h, n), "forward");
        finish(h, n);
        (void)h.events();
    }
    SCOPED_TRACE(seed_line());
    std::mt19937 random{seed_of_this_run()};
    std::uint32_t connected = 0, flood = 0;
    for (std::uint32_t n = 0; n < kConnects; ++n) {
        // A client's handshake takes as long as kFloodPerConnect flood SYNs at each of its two waits.
        const std::uint32_t who = kAssured + n;
        const std::string first = syn(h, who);
        const auto storm = [&] {
            for (std::uint32_t k = 0; k < kFloodPerConnect; ++k, ++flood) {
                const std::string from = std::to_string(1 + random() % 99) + "." + std::to_string(random() % 256) +
                                         "." + std::to_string(random() % 256) + "." +
                                         std::to_string(1 + random() % 254);
                Tcp t = tcp_in(kSyn, static_cast<std::uint32_t>(random()));
                t.sport = static_cast<std::uint16_t>(1024 + random() % 60'000);
                (void)h.fate(kOutside, frame(Ipv4{.src = from}, t));
            }
        };
        storm();
        const std::string second = h.fate(kInside, frame(answer_to(who), tcp_out(kSyn | kAck, 5000, 1001)));
        storm();
        const std::string third = h.fate(kOutside, frame(client(who), tcp_in(kAck, 1001, 5001)));
        if (first == "forward" && second == "forward" && third == "forward") ++connected;
        // They leave again, in order, as clients do: else they would fill the table for good.
        EXPECT_EQ(h.fate(kOutside, frame(client(who), tcp_in(kRst, 1001))), "forward") << n;
        (void)h.events();
    }
    EXPECT_GE(connected * 100, kConnects * 95);
    EXPECT_GT(h.counters().syn_early_drop.read(), std::uint64_t{flood} * 9 / 10);
    EXPECT_LE(h.flows(), kEntries);
    for (std::uint32_t n = 0; n < kAssured; ++n) ASSERT_TRUE(lives(h, n)) << "assured flow " << n;
    EXPECT_EQ(h.drops(DropReason::flow_table_full), 0U);
}

TEST(Pressure, X2_Q10_ATableOfHandshakesRefusesNewOnesAndRecovers) {
    constexpr std::uint32_t kEntries = 400;
    Harness h{{.flow_entries_max = kEntries}};
    PolicyBuilder p = edge();
    cp::Policy policy = p.build();
    policy.timeouts.tcp_established_ms = 60'000;
    h.use(policy);
    for (std::uint32_t n = 0; n < kEntries; ++n) {
        ASSERT_EQ(syn(h, n), "forward");
        finish(h, n);
        (void)h.events();
    }
    for (std::uint32_t n = 500; n < 600; ++n) EXPECT_EQ(syn(h, n), "flow_table_full");
    for (std::uint32_t n = 0; n < kEntries; ++n) ASSERT_TRUE(lives(h, n)) << n;
    EXPECT_EQ(h.flows(), kEntries);
    (void)h.events();
    h.advance(59s);
    EXPECT_EQ(h.flows(), kEntries);
    h.advance(2s);
    EXPECT_EQ(h.flows(), 0U) << "a second after they were over";
    (void)h.events();
    EXPECT_EQ(syn(h, 700), "forward");
    EXPECT_EQ(pressure(h), FlowPressure::none);
}

}  // namespace
}  // namespace sluice::test
