// Handshakes in the server's stead where there is little room: the table's share of half-open flows, and extensions
// that run out.
#include "dataplane/pipeline/syn_proxy.hpp"

#include "tests/unit/dataplane/flow/slab_memory.hpp"
#include "tests/unit/dataplane/pipeline/proxied_policy.hpp"
#include "tests/unit/dataplane/pipeline/tcp_conversation.hpp"
#include "tests/unit/dataplane/pipeline/tcp_reading.hpp"

namespace sluice::test {
namespace {

using abi::DropReason;

// A table that is full of half-open flows answers with cookies too, where the rule may; no flow dies for a SYN then.
TEST(SynProxyPressure, X1_TheTablesShareOfHalfOpenFlowsIsALimitToo) {
    Harness h{{.flow_entries_max = 16}};  // four half-open ones
    h.use(proxied({.half_open_max = 1000, .over = abi::HalfOpenOver::syn_cookie}));
    for (std::uint16_t port = 1; port <= 4; ++port) {
        EXPECT_EQ(h.fate(kClient, frame(Ipv4{}, Tcp{.sport = port})), "forward");
    }
    for (std::uint16_t port = 5; port <= 1000; ++port) {
        const auto out = h.send({{kClient, frame(Ipv4{}, Tcp{.sport = port})}});
        ASSERT_EQ(out.size(), 1U);
        ASSERT_EQ(read_tcp(out[0].bytes).flags, kSyn | kAck);
    }
    EXPECT_EQ(h.flows(), 4U);
    EXPECT_EQ(h.counters().syn_early_drop.read(), 0U);
    EXPECT_EQ(h.counters().syn_cookies_sent.read(), 996U);
}

/// Flows of one client and one server, by the client's port.
struct ManyProxied {
    explicit ManyProxied(const HarnessOptions& options) : h{options} { h.use(proxied()); }

    /// What the client gets to its cookie's ACK: 1 = the SYN to the server, and the table has the flow.
    std::vector<std::uint8_t> open(std::uint16_t port) {
        const auto cookie = h.send({{kClient, frame(Ipv4{}, Tcp{.sport = port})}});
        if (cookie.size() != 1) return {};
        const std::uint32_t acked = read_tcp(cookie[0].bytes).seq + 1;
        const auto out = from_client({.sport = port, .seq = 1001, .ack = acked, .flags = kAck});
        std::vector<std::uint8_t> flags;
        for (const auto& sent : out) flags.push_back(read_tcp(sent.bytes).flags);
        if (flags == std::vector<std::uint8_t>{kSyn}) {
            const Tcp answer{.sport = 443, .dport = port, .seq = 5000, .ack = 1001, .flags = kSyn | kAck};
            EXPECT_EQ(h.send({{kShop, frame(Ipv4{.src = Ipv4{}.dst, .dst = Ipv4{}.src}, answer)}}).size(), 2U);
        }
        return flags;
    }
    std::vector<Output> from_client(const Tcp& tcp) { return h.send({{kClient, frame(Ipv4{}, tcp)}}); }
    void reset(std::uint16_t port) { EXPECT_EQ(from_client({.sport = port, .seq = 1001, .flags = kRst}).size(), 1U); }

    Harness h;
};
const std::vector<std::uint8_t> kIn{kSyn}, kRefused{kRst};

TEST(SynProxyPressure, ExtensionsRunOutAndAreGivenBack) {
    ManyProxied many{{.flow_entries_max = 64}};  // four extensions
    for (std::uint16_t port = 1; port <= 4; ++port) EXPECT_EQ(many.open(port), kIn);
    EXPECT_EQ(many.open(5), kRefused);
    EXPECT_EQ(many.h.drops(kClient, DropReason::syn_proxy_full), 1U);
    EXPECT_EQ(many.h.end_flows({}, false), 4U);
    EXPECT_EQ(many.open(6), kIn);
    EXPECT_EQ(many.h.counters().closing_early_drop.read(), 0U);
}

TEST(SynProxyPressure, FlowsThatAreDoneWithGiveTheirExtensionsOldestFirst) {
    ManyProxied many{{.flow_entries_max = 64}};
    for (std::uint16_t port = 1; port <= 4; ++port) EXPECT_EQ(many.open(port), kIn);
    many.reset(3);
    many.reset(2);
    EXPECT_EQ(many.open(5), kIn);
    EXPECT_EQ(many.h.drops(kClient, DropReason::tcp_closed), 0U);
    EXPECT_TRUE(many.from_client({.sport = 2, .seq = 1001, .flags = kRst}).empty());
    EXPECT_EQ(many.h.drops(kClient, DropReason::tcp_closed), 1U) << "of the two, 2 closed later and is known still";
    EXPECT_EQ(many.open(6), kIn);
    EXPECT_EQ(many.h.counters().closing_early_drop.read(), 2U);
    EXPECT_EQ(many.open(7), kRefused) << "the others are assured";
    EXPECT_EQ(many.h.drops(kClient, DropReason::syn_proxy_full), 1U);
    EXPECT_EQ(many.h.flows(), 4U);
}

TEST(SynProxyPressure, A2_FlowsThatWereDoneWithGiveThemToTheNextProcessToo) {
    constexpr std::uint32_t kEntries = 64;
    dp::test::SlabMemory memory{kEntries, kEntries};
    dp::FlowAnchor anchor;
    const HarnessOptions options{.flow_entries_max = kEntries,
                                 .flow_home = {.slab = memory.slab(),
                                               .anchor = &anchor,
                                               .tick_at_origin = 0,
                                               .limits = {.now_tick = 0, .rule_slots = 1024, .wires = 1}}};
    {
        ManyProxied before{options};
        for (std::uint16_t port = 1; port <= 4; ++port) EXPECT_EQ(before.open(port), kIn);
        before.reset(3);
    }
    ManyProxied after{options};
    EXPECT_EQ(after.h.recovered().kept, 4U);
    EXPECT_EQ(after.open(5), kIn);
    EXPECT_EQ(after.h.counters().closing_early_drop.read(), 1U);
    EXPECT_EQ(after.open(6), kRefused);
}

}  // namespace
}  // namespace sluice::test
