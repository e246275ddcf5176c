/// Every frame that the memory source makes, read by the parser and by plain loops of the test's own; and its
/// conversations through a real worker, which must let all of it pass.
#include "dataplane/port/memory_source.hpp"

#include <gtest/gtest.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <tuple>
#include <vector>

#include "dataplane/pipeline/parse.hpp"
#include "dataplane/port/conversation.hpp"
#include "dataplane/port/eal.hpp"
#include "tests/bench/rig/real_worker.hpp"
#include "tests/bench/rig/rules.hpp"
#include "tests/harness/frames.hpp"

namespace sluice::dp {
namespace {

using test::operator+;

constexpr std::uint8_t kTcp = 6, kUdp = 17;
constexpr std::uint32_t kFlows = 6 * MemorySource::kFlowStep;
constexpr unsigned kBuffers = 255;

class Source : public testing::Test {
protected:
    static void SetUpTestSuite() {
        if (pool != nullptr) return;
        Config config;
        config.eal = {"--no-pci", "--no-telemetry", "--no-huge", "--no-shconf", "-m", "64"};
        cpu_set_t cpus;
        ASSERT_EQ(sched_getaffinity(0, sizeof cpus, &cpus), 0);
        std::uint32_t lcore = 0;
        while (!CPU_ISSET(lcore, &cpus)) ++lcore;
        config.worker_lcores = {lcore};
        const auto started = start_eal(config);
        ASSERT_TRUE(started) << started.error();
        pool = rte_pktmbuf_pool_create("test", kBuffers, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
        ASSERT_NE(pool, nullptr);
    }
    void TearDown() override { EXPECT_EQ(rte_mempool_avail_count(pool), kBuffers) << "buffers leak"; }

    MemorySourceConfig config(Conversation conversation) const {
        return {.pool = pool, .conversation = conversation, .flow_count = kFlows, .targets = targets};
    }

    static inline rte_mempool* pool{};
    std::vector<bench::FilterRule> rules{bench::made_rules(10, kTcp)};
    std::vector<FlowTarget> targets{bench::targets_of(rules)};
};

using Ends = std::tuple<std::uint32_t, std::uint32_t, std::uint16_t, std::uint16_t>;  // client first

/// RFC 1071 over header and pseudo header, by the harness's own loop: 0 if right.
std::uint16_t plain_l4_checksum(const Packet& p, std::uint32_t l4_bytes) {
    const test::Bytes addresses(p.data + 26, p.data + 34), l4(p.data + 34, p.data + 34 + l4_bytes);
    const test::Bytes proto_and_length{0, p.data[23], 0, static_cast<std::uint8_t>(l4_bytes)};
    return test::internet_checksum(addresses + proto_and_length + l4);
}

/// Parses a frame as if the device had said nothing of its checksums.
ParsedPacket checked(Packet packet) {
    ParsedPacket parsed;
    packet.l4_checksum = L4Checksum::unknown;
    const auto fault = parse(packet, parsed);
    EXPECT_FALSE(fault) << abi::kDropReasons[static_cast<std::size_t>(fault.value_or(abi::DropReason{}))].name;
    EXPECT_TRUE(parsed.checksum_known_good);
    EXPECT_EQ(packet.total_bytes, MemorySource::kFrameBytes);
    EXPECT_EQ(test::internet_checksum(test::Bytes(packet.data + 14, packet.data + 34)), 0);
    EXPECT_EQ(plain_l4_checksum(packet, parsed.l4_bytes), 0);
    return parsed;
}

/// One round's packets by port, fetched as a worker does: the ports in turns.
struct Round {
    std::array<std::vector<ParsedPacket>, 2> port;
};
Round fetch_round(MemorySource& source, L4Checksum expected, std::size_t packets = kFlows) {
    Round round;
    const std::uint64_t number = source.made() == 0 ? 0 : source.round() + 1;
    for (int empty = 0; empty < 2;) {
        for (const std::uint8_t p : {std::uint8_t{0}, std::uint8_t{1}}) {
            std::array<Packet, kBurstMax> burst;
            if (round.port[0].size() + round.port[1].size() == packets) return round;
            const std::size_t count = source.receive(PortIndex{p}, burst);
            EXPECT_EQ(source.round(), number);
            empty = count == 0 ? empty + 1 : 0;
            for (std::size_t i = 0; i < count; ++i) {
                EXPECT_EQ(burst[i].l4_checksum, expected);
                EXPECT_EQ(burst[i].in_port, PortIndex{p});
                round.port[p].push_back(checked(burst[i]));
            }
            source.send(PortIndex{static_cast<std::uint8_t>(1 - p)}, {burst.data(), count});
        }
    }
    ADD_FAILURE() << "the round did not end";
    return round;
}

Ends ends_of(const ParsedPacket& p, bool from_client) {
    const auto src = p.src.v4().to_host(), dst = p.dst.v4().to_host();
    return from_client ? Ends{src, dst, p.sport.to_host(), p.dport.to_host()}
                       : Ends{dst, src, p.dport.to_host(), p.sport.to_host()};
}

TEST_F(Source, EveryFrameParsesAndEveryFlowSpeaksOnceARound) {
    for (const bool marked : {true, false}) {
        auto c = config(Conversation::tcp);
        c.marked_good = marked;
        MemorySource source{c};
        std::set<Ends> flows;
        for (std::uint64_t round = 0; round < 12; ++round) {
            const Round got = fetch_round(source, marked ? L4Checksum::good : L4Checksum::unknown);
            std::set<Ends> spoke;
            for (const std::size_t port : {std::size_t{0}, std::size_t{1}}) {
                for (const ParsedPacket& p : got.port[port]) spoke.insert(ends_of(p, port == 0));
            }
            ASSERT_EQ(spoke.size(), kFlows);
            if (round == 0) flows = spoke;
            EXPECT_EQ(spoke, flows) << "round " << round << " has other flows";
            const std::size_t clients = round == 0 || round == 2 ? kFlows : round == 1 ? 0 : kFlows / 2;
            EXPECT_EQ(got.port[0].size(), clients) << "round " << round;
        }
        EXPECT_EQ(source.made(), 12U * kFlows);
        EXPECT_EQ(source.sent(), 12U * kFlows);
    }
}

TEST_F(Source, SpreadsItsFlowsEvenlyOverTheRules) {
    for (const std::uint32_t count : {1U, 7U, 10U}) {
        rules = bench::made_rules(count, kTcp);
        targets = bench::targets_of(rules);
        MemorySource source{config(Conversation::tcp)};
        std::vector<std::uint32_t> hits(count);
        const Round round = fetch_round(source, L4Checksum::good);
        for (const ParsedPacket& p : round.port[0]) {
            std::size_t matching = 0;
            for (std::size_t r = 0; r < count; ++r) {
                const bool match = (p.src.v4().to_host() ^ rules[r].src.addr) >> 8 == 0 &&
                                   p.dst.v4().to_host() == rules[r].dst.addr &&
                                   p.dport.to_host() == rules[r].services[0].first;
                hits[r] += match ? 1 : 0;
                matching += match ? 1 : 0;
            }
            ASSERT_EQ(matching, 1U);
        }
        EXPECT_LE(*std::max_element(hits.begin(), hits.end()) - *std::min_element(hits.begin(), hits.end()), 1U);
    }
}

TEST_F(Source, FirstPacketsComeFromClientsOnlyAndRepeatAfterARound) {
    auto c = config(Conversation::udp);
    MemorySource source{c};
    std::set<Ends> first, second;
    const Round opening = fetch_round(source, L4Checksum::good);
    for (const ParsedPacket& p : opening.port[0]) {
        EXPECT_EQ(p.proto, abi::L4Proto::udp);
        first.insert(ends_of(p, true));
    }
    EXPECT_EQ(first.size(), kFlows);
    const Round again = fetch_round(source, L4Checksum::good);
    EXPECT_TRUE(again.port[1].empty());
    for (const ParsedPacket& p : again.port[0]) second.insert(ends_of(p, true));
    EXPECT_EQ(first, second);
}

TEST_F(Source, FindsNoBufferWhenAllAreHeldAndGoesOnWhenTheyComeBack) {
    MemorySource source{config(Conversation::tcp)};
    std::vector<Packet> held;
    std::array<Packet, kBurstMax> burst;
    while (const std::size_t count = source.receive(MemorySource::kClients, burst)) {
        held.insert(held.end(), burst.begin(), burst.begin() + static_cast<std::ptrdiff_t>(count));
    }
    EXPECT_EQ(source.starved(), 1U);
    EXPECT_EQ(source.made(), held.size());
    source.release(held);
    EXPECT_EQ(source.receive(MemorySource::kClients, burst), kBurstMax);
    source.release(burst);
    Packet own;
    ASSERT_TRUE(source.allocate(100, own));
    EXPECT_EQ(own.total_bytes, 100U);
    EXPECT_FALSE(source.allocate(5'000, own));
    source.release({&own, 1});
}

/// All stages, the real flow table and real tables: what a bench measures is forwarding, not dropping.
TEST_F(Source, ItsConversationsPassARealWorkerWithoutADrop) {
    const TscRate tsc = TscCalibration{}.finish();
    const auto tables = bench::Tables::make(bench::policy_of(rules), 1);
    ASSERT_TRUE(tables) << tables.error();
    for (const bool marked : {true, false}) {
        auto c = config(Conversation::tcp);
        c.marked_good = marked;
        MemorySource source{c};
        bench::RealWorker worker{source, kFlows, (*tables)->rule_slots(), tsc};
        worker.publish(**tables);
        worker.run(std::uint64_t{kFlows} * 200);
        EXPECT_EQ(worker.complaint(kFlows), "");
        EXPECT_GE(source.round(), 199U);
        EXPECT_EQ(worker.lookups(), kFlows) << "only first packets are looked up";
    }
}

/// Every connection goes through all its steps in order, with an end of its own; after the first eight rounds an eighth
/// of the seats stands at each step.
TEST_F(Source, ItsLivesBeginTalkAndEnd) {
    MemorySource source{config(Conversation::lives)};
    std::map<Ends, std::uint32_t> step_of;
    std::uint64_t begun = 0;
    for (std::uint64_t round = 0; round < 40; ++round) {
        const std::size_t steps = std::min<std::uint64_t>(round + 1, kLifeSteps);
        const Round got = fetch_round(source, L4Checksum::good, kFlows / kLifeSteps * steps);
        ASSERT_EQ(got.port[0].size() + got.port[1].size(), kFlows / kLifeSteps * steps) << "round " << round;
        for (const std::size_t port : {std::size_t{0}, std::size_t{1}}) {
            for (const ParsedPacket& p : got.port[port]) {
                const auto [seat, is_new] = step_of.try_emplace(ends_of(p, port == 0), 0);
                begun += is_new ? 1 : 0;
                ASSERT_LT(seat->second, kLifeSteps) << "an end that was used before";
                ASSERT_EQ(client_speaks_at(seat->second), port == 0);
                ASSERT_EQ(p.tcp.flags, life_segment(seat->second, 0).flags) << "step " << seat->second;
                ++seat->second;
            }
        }
    }
    EXPECT_EQ(source.begun(), begun);
    EXPECT_EQ(begun, kFlows / kLifeSteps * 40);
}

TEST_F(Source, ItsLivesPassARealWorkerAndAFlowIsMadeForEach) {
    const auto tables = bench::Tables::make(bench::policy_of(rules), 1);
    ASSERT_TRUE(tables) << tables.error();
    MemorySource source{config(Conversation::lives)};
    bench::RealWorker worker{source, 1U << 16, (*tables)->rule_slots(), TscCalibration{}.finish()};
    worker.publish(**tables);
    worker.run(std::uint64_t{kFlows} * 100);
    EXPECT_EQ(worker.complaint(worker.flows()), "");
    EXPECT_EQ(worker.flows_created(), source.begun());
    EXPECT_EQ(worker.lookups(), source.begun());
}

TEST_F(Source, ItsFirstPacketsMakeAFlowEach) {
    rules = bench::made_rules(10, kUdp);
    targets = bench::targets_of(rules);
    const auto tables = bench::Tables::make(bench::policy_of(rules), 1);
    ASSERT_TRUE(tables) << tables.error();
    MemorySource source{config(Conversation::udp)};
    bench::RealWorker worker{source, kFlows, (*tables)->rule_slots(), TscCalibration{}.finish()};
    worker.publish(**tables);
    worker.run(kFlows);
    EXPECT_EQ(worker.complaint(kFlows), "");
    EXPECT_EQ(worker.lookups(), kFlows);
}

}  // namespace
}  // namespace sluice::dp
