// What is given up under overload, by name and in order: first the ladder alone, then a real worker whose traffic grows
// until every step has been taken, and whose assured flows are all there at the end.
#include "controlplane/telemetry/overload.hpp"

#include <optional>
#include <vector>

#include <gtest/gtest.h>

#include "tests/harness/harness.hpp"
#include "tests/unit/dataplane/pipeline/edge.hpp"

namespace sluice::cp {
namespace {

using namespace std::chrono_literals;
using test::Harness;

abi::MonoTime at_ms(std::uint64_t ms) { return {ms * 1'000'000}; }

TEST(OverloadLadder, AStepShowsForTwoSecondsAfterItWasTaken) {
    OverloadLadder ladder;
    ladder.add(at_ms(1'000), {5, 5, 5, 5});
    EXPECT_EQ(ladder.highest(at_ms(1'000)), std::nullopt) << "what was before we looked";
    ladder.add(at_ms(2'000), {6, 5, 5, 5});
    EXPECT_EQ(ladder.highest(at_ms(2'000)), OverloadStep::samples);
    ladder.add(at_ms(3'000), {6, 5, 7, 5});
    EXPECT_EQ(ladder.highest(at_ms(3'000)), OverloadStep::half_open);
    EXPECT_TRUE(ladder.on(OverloadStep::samples, at_ms(3'999)));
    EXPECT_FALSE(ladder.on(OverloadStep::samples, at_ms(4'000)));
    EXPECT_FALSE(ladder.on(OverloadStep::events, at_ms(3'000)));
    EXPECT_EQ(ladder.highest(at_ms(5'000)), std::nullopt);
}

TEST(OverloadLadder, NamesStandInTheOrderOfWhatTheyCost) {
    EXPECT_EQ(kOverloadSteps[static_cast<std::size_t>(OverloadStep::samples)], "samples");
    EXPECT_EQ(kOverloadSteps[static_cast<std::size_t>(OverloadStep::new_flows)], "new_flows");
    EXPECT_LT(OverloadStep::samples, OverloadStep::events);
    EXPECT_LT(OverloadStep::events, OverloadStep::half_open);
    EXPECT_LT(OverloadStep::half_open, OverloadStep::new_flows);
}

// ------------------------------------------------------------------------------------------------------ a real worker
constexpr std::uint32_t kEntries = 2'048;  // 512 of them for half-open flows
constexpr std::uint32_t kRing = 256;       // events; read once a second here

test::Ipv4 client(std::uint32_t n) {
    return {.src = "198." + std::to_string(20 + n / 62'500) + "." + std::to_string(n / 250 % 250) + "." +
                   std::to_string(1 + n % 250)};
}
test::Ipv4 server_to(std::uint32_t n) {
    test::Ipv4 ip = client(n);
    std::swap(ip.src, ip.dst);
    return ip;
}

/// The worker, and who reads its ring once a second.
class Overloaded {
public:
    Overloaded() : h{{.flow_entries_max = kEntries, .ring_records = kRing}} {
        h.use(test::edge().default_action(cp::Action::deny, abi::RuleLog::start).build());
        second();
    }
    void syn(std::uint32_t n) { h.fate(test::kOutside, test::frame(client(n), test::tcp_in(test::kSyn, 1000))); }
    void connect(std::uint32_t n) {
        syn(n);
        h.fate(test::kInside, test::frame(server_to(n), test::tcp_out(test::kSyn | test::kAck, 5000, 1001)));
        h.fate(test::kOutside, test::frame(client(n), test::tcp_in(test::kAck, 1001, 5001)));
    }
    bool lives(std::uint32_t n) {
        return h.fate(test::kOutside, test::frame(client(n), test::tcp_in(test::kAck, 1001, 5001))) == "forward";
    }
    void denied() { h.fate(test::kOutside, test::frame(test::Ipv4{}, test::Tcp{.dport = 999})); }
    /// What the reader finds at the end of a second, and the ladder is told.
    std::optional<OverloadStep> second() {
        const std::uint64_t written = h.counters().events_written.read();
        lost_ += written - read_ > kRing ? written - read_ - kRing : 0;
        read_ = written;
        h.advance(1s);
        const abi::WorkerCounters& c = h.counters();
        ladder_.add(h.now_mono(),
                    {c.events_suppressed.read(), lost_, c.syn_early_drop.read() + c.closing_early_drop.read(),
                     h.drops(abi::DropReason::flow_table_full)});
        return ladder_.highest(h.now_mono());
    }
    Harness h;

private:
    OverloadLadder ladder_;
    std::uint64_t read_{}, lost_{};
};

TEST(OverloadLadder, AWorkerGivesUpTheCheapestFirstAndAssuredFlowsNever) {
    Overloaded o;
    std::uint32_t next = 0;
    std::vector<std::uint32_t> assured;
    std::vector<std::optional<OverloadStep>> seen;
    const auto connect = [&](std::uint32_t count) {
        for (std::uint32_t i = 0; i < count; ++i) {
            assured.push_back(next);
            o.connect(next++);
        }
    };
    connect(50);
    for (int i = 0; i < 60; ++i) o.denied();
    EXPECT_EQ(o.second(), std::nullopt) << "an ordinary second";

    for (int i = 0; i < 140; ++i) o.denied();  // more than a hundred of one cause
    EXPECT_EQ(o.second(), OverloadStep::samples);

    connect(100);
    for (int i = 0; i < 200; ++i) o.denied();
    for (std::uint32_t i = 0; i < 200; ++i) o.syn(next++);  // with the hundred and the denials more than the ring holds
    EXPECT_EQ(o.second(), OverloadStep::events);

    for (std::uint32_t i = 0; i < 600; ++i) o.syn(next++);  // more than their quarter
    EXPECT_EQ(o.second(), OverloadStep::half_open);

    while (assured.size() < kEntries) connect(1);
    for (std::uint32_t i = 0; i < 10; ++i) o.syn(next++);
    EXPECT_EQ(o.second(), OverloadStep::new_flows);

    EXPECT_EQ(o.h.flows(), kEntries);
    for (const std::uint32_t n : assured) ASSERT_TRUE(o.lives(n)) << n;
    o.h.advance(3s);
    EXPECT_EQ(o.second(), std::nullopt) << "over";
}

}  // namespace
}  // namespace sluice::cp
