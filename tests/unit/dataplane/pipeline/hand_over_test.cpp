// Several workers: each packet meets the worker that owns its flow, however it came in, in the order in which it came,
// or it is counted. Frames arrive as devices with one queue, with queues of their own idea, or with symmetric RSS would
// bring them; workers run in random order on one thread (SEED), and on a thread each.
#include "dataplane/pipeline/hand_over.hpp"

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <thread>
#include <tuple>

#include <gtest/gtest.h>

#include "dataplane/steering/rss.hpp"
#include "tests/harness/conversations.hpp"
#include "tests/harness/fragments.hpp"
#include "tests/harness/seed.hpp"
#include "tests/harness/team.hpp"

namespace sluice::test {
namespace {

using abi::DropReason;

/// Less than `n`.
std::uint32_t below(std::mt19937& random, std::uint32_t n) { return static_cast<std::uint32_t>(random() % n); }

enum class Device : std::uint8_t {
    one_queue,  ///< a port has one, read by one worker
    own_idea,   ///< spreads the two directions of a flow as it likes, but always the same way
    rss,        ///< as programmed: TCP and UDP by addresses and ports, all the rest by addresses
    liar,       ///< promised that, and spreads as it likes
};

cp::Policy policy() {
    PolicyBuilder p;
    p.zone("outside", {"p0"}).zone("inside", {"p1"});
    p.rule({.id = "in", .from = {"outside"}, .to = {"inside"}, .action = cp::Action::allow});
    return p.build();
}

dp::Owners owners_for(Device device, std::uint32_t workers) {
    if (device != Device::rss && device != Device::liar) return dp::Owners::software({5, 6}, workers);
    std::string why;
    const auto program = dp::program_for(
        {{.key_bytes = 40, .table_count = 128, .hashes_tcp_and_udp = true, .program = {}}}, workers, why);
    return dp::Owners::rss(*program, workers);
}

/// Traffic, the device in front of the workers, and the book of what was sent and has left.
class Stage {
public:
    Stage(Device device, std::uint32_t workers, std::uint32_t ring_capacity = 0)
        : device_{device},
          team{{.workers = workers, .owners = owners_for(device, workers), .ring_capacity = ring_capacity}} {
        team.use(policy());
        for (std::uint32_t n = 0; n < kFlows; ++n) talks_.emplace_back(n);
    }

    /// Every flow is there, in both directions.
    void open() {
        for (Conversation& c : talks_) {
            for (const auto& [direction, bytes] : c.opening()) give(c, direction, bytes, Kind::whole);
            if (c.proto() == Conversation::Proto::tcp) continue;
            step(c, 0, Kind::whole);
            team.drain();
        }
        team.drain();
        look_at_what_left();
        ASSERT_EQ(team.drops(DropReason::hand_over_full), 0U);
    }

    void random_step(std::mt19937& random) {
        Conversation& c = talks_[below(random, kFlows)];
        const auto direction = static_cast<std::uint8_t>(below(random, 2));
        const bool ping = c.proto() == Conversation::Proto::ping;
        const bool udp = c.proto() == Conversation::Proto::udp;
        step(c, direction,
             below(random, 8) == 0 && udp      ? Kind::fragment
             : below(random, 64) == 0 && !ping ? Kind::error
                                               : Kind::whole);
    }

    void step(Conversation& c, std::uint8_t direction, Kind kind) {
        switch (kind) {
            case Kind::whole: return give(c, direction, c.next(direction), kind);
            case Kind::error: return give(c, direction, c.error(direction), kind);
            case Kind::fragment: break;
        }
        for (const Bytes& piece : c.next_in_pieces(direction)) give(c, direction, piece, kind);
    }

    /// Order: per flow, direction and kind the numbers only grow. One worker: all of a flow leaves through one.
    void look_at_what_left() {
        for (const Sent& s : team.take_sent()) {
            const auto mark = mark_of(s.bytes);
            if (!mark) continue;  // a handshake
            ++left;
            EXPECT_EQ(s.port, 1 - mark->direction);
            const auto [at, is_new] = worker_of_.try_emplace(mark->flow, s.worker);
            const bool is_liar = device_ == Device::liar;
            EXPECT_TRUE(is_liar || at->second == s.worker) << "flow " << mark->flow << " left through two workers";
            auto& last = last_[{mark->flow, mark->direction, mark->kind}];
            // Three pieces have one number.
            const bool in_order = mark->kind == Kind::fragment ? mark->number + 1 >= last : mark->number >= last;
            EXPECT_TRUE(is_liar || in_order)
                << "flow " << mark->flow << " number " << mark->number << " behind " << last;
            last = mark->number + 1;
        }
    }

    /// Each flow stands in its owner's table and in no other.
    void check_tables() {
        std::set<std::vector<std::uint8_t>> seen;
        std::size_t count = 0;
        for (std::uint32_t w = 0; w < team.count(); ++w) {
            for (const abi::FlowRecord& f : team.flows(w)) {
                std::vector<std::uint8_t> name(f.src.bytes.begin(), f.src.bytes.end());
                name.insert(name.end(), f.dst.bytes.begin(), f.dst.bytes.end());
                name.push_back(static_cast<std::uint8_t>(f.proto));
                const std::uint16_t sport = f.sport.to_host();
                name.push_back(static_cast<std::uint8_t>(sport >> 8));
                name.push_back(static_cast<std::uint8_t>(sport));
                EXPECT_TRUE(seen.insert(name).second) << "a flow in two tables";
                const bool is_icmp = f.proto == abi::L4Proto::icmp || f.proto == abi::L4Proto::icmp6;
                const dp::FlowTuple ends{f.src, f.dst, is_icmp ? abi::L4Port{} : f.sport,
                                         is_icmp ? abi::L4Port{} : f.dport, f.proto};
                EXPECT_EQ(team.owners().owner(f.family, ends, dp::FlowDomain{0}), w);
                ++count;
            }
        }
        EXPECT_EQ(count, kFlows);
    }

    /// Where the device puts it.
    std::uint32_t queue(const Conversation& c, std::uint8_t direction, Kind kind) const {
        const std::uint32_t n = team.count();
        switch (device_) {
            case Device::one_queue: return direction % n;
            case Device::liar:
            case Device::own_idea: {
                const dp::FlowTuple t = c.ends(direction);
                return (t.sport.to_host() * 7U + t.src.bytes[3] + t.src.bytes[15] * 3U + direction) % n;
            }
            case Device::rss: break;
        }
        dp::FlowTuple t = c.ends(direction);
        if (kind == Kind::error) {  // the router's address, the same for all
            t.src = address(c.family() == abi::IpFamily::v6 ? "2001:db8:99::1" : "192.0.2.99");
        }
        if (kind != Kind::whole) t.sport = t.dport = {};
        return team.owners().owner(c.family(), t, dp::FlowDomain{0});
    }

    std::string drops() const {
        std::string text;
        for (std::size_t r = 0; r < abi::kDropReasonCount; ++r) {
            const std::uint64_t n = team.drops(static_cast<DropReason>(r));
            if (n != 0) text += std::string{abi::kDropReasons[r].name} + ' ' + std::to_string(n) + ' ';
        }
        return text;
    }

    std::uint64_t given{}, left{};

private:
    static constexpr std::uint32_t kFlows = 60;

    void give(Conversation& c, std::uint8_t direction, const Bytes& bytes, Kind kind) {
        const std::uint32_t q = queue(c, direction, kind);
        while (!team.arrive(q, direction, bytes)) {
            if (is_threaded) {
                std::this_thread::yield();
            } else {
                (void)team.run(q);
            }
        }
        if (mark_of(bytes)) {
            ++given;
        } else {
            team.drain();  // one step of a handshake after the other
        }
    }

    Device device_;
    std::vector<Conversation> talks_;
    std::map<std::uint32_t, std::uint32_t> worker_of_;
    std::map<std::tuple<std::uint32_t, std::uint8_t, Kind>, std::uint32_t> last_;

public:
    bool is_threaded{};
    Team team;
};

struct Shape {
    Device device;
    std::uint32_t workers;
};

std::string name_of(const testing::TestParamInfo<Shape>& shape) {
    static constexpr std::array kNames{"OneQueue", "OwnIdea", "Rss", "Liar"};
    return kNames[static_cast<std::size_t>(shape.param.device)] + std::to_string(shape.param.workers);
}

class Workers : public testing::TestWithParam<Shape> {};

TEST_P(Workers, KeepEveryPromiseInAnyInterleaving) {
    SCOPED_TRACE(seed_line());
    std::mt19937 random{seed_of_this_run()};
    Stage s{GetParam().device, GetParam().workers};
    s.open();
    if (HasFatalFailure()) return;
    for (int n = 0; n < 4'000 && !HasFailure(); ++n) {
        for (std::uint32_t burst = below(random, 8); burst > 0; --burst) s.random_step(random);
        for (std::uint32_t runs = below(random, 3); runs > 0; --runs) (void)s.team.run(below(random, s.team.count()));
        s.team.check();
        if (n % 64 == 0) s.look_at_what_left();
    }
    s.team.drain();
    s.look_at_what_left();
    s.team.check();
    EXPECT_EQ(s.left + s.team.drops(DropReason::hand_over_full), s.given) << s.drops();
    EXPECT_EQ(s.team.drops(DropReason::hand_over_full), 0U);
    s.check_tables();
    EXPECT_TRUE(GetParam().workers == 1 || s.team.handed_over() > 100);
    std::uint64_t misplaced = 0;
    for (std::uint32_t w = 0; w < s.team.count(); ++w) misplaced += s.team.counters(w).steering_misplaced.read();
    EXPECT_EQ(misplaced, 0U);
}

/// Rings for 64 packets, workers that run far too seldom: what does not fit is dropped and counted, and what is left is
/// in order all the same.
TEST_P(Workers, DropAndCountWhereRingsAreFull) {
    SCOPED_TRACE(seed_line());
    std::mt19937 random{seed_of_this_run()};
    Stage s{GetParam().device, GetParam().workers, 64};
    s.open();
    if (HasFatalFailure()) return;
    for (int n = 0; n < 300 && !HasFailure(); ++n) {
        // Somebody receives all the time, somebody else nearly never.
        const std::uint32_t asleep = below(random, s.team.count());
        for (int step = 0; step < 400; ++step) s.random_step(random);
        for (std::uint32_t w = 0; w < s.team.count(); ++w) {
            for (int runs = 0; runs < 20 && w != asleep; ++runs) (void)s.team.run(w);
        }
        s.team.check();
    }
    s.team.drain();
    s.look_at_what_left();
    s.team.check();
    const std::uint64_t full = s.team.drops(DropReason::hand_over_full);
    // With RSS only ICMP errors and fragments are handed over: too few to fill a ring each time.
    EXPECT_TRUE(GetParam().device == Device::rss || GetParam().workers == 1 || full > 100) << full;
    std::uint64_t other = 0;
    for (std::size_t r = 0; r < abi::kDropReasonCount; ++r) other += s.team.drops(static_cast<DropReason>(r));
    other -= full;
    // Of a datagram that lost a piece the others wait on, or die when the store needs room: held or dropped, all told.
    std::uint64_t held = 0;
    for (std::uint32_t w = 0; w < s.team.count(); ++w) {
        for (const auto& port : s.team.counters(w).ports) held += port.held_packets.read();
    }
    EXPECT_EQ(s.left + full + other + held, s.given);
    s.check_tables();
}

TEST_P(Workers, KeepEveryPromiseOnThreads) {
    SCOPED_TRACE(seed_line());
    std::mt19937 random{seed_of_this_run()};
    Stage s{GetParam().device, GetParam().workers, 64};
    s.open();
    if (HasFatalFailure()) return;
    s.is_threaded = true;
    s.team.start_threads();
    for (int n = 0; n < 20'000; ++n) s.random_step(random);
    for (int spins = 0; spins < 200'000 && !s.team.idle(); ++spins) std::this_thread::yield();
    s.team.stop_threads();
    s.is_threaded = false;
    s.team.drain();
    s.look_at_what_left();
    s.team.check();
    std::uint64_t dropped = 0, held = 0;
    for (std::size_t r = 0; r < abi::kDropReasonCount; ++r) dropped += s.team.drops(static_cast<DropReason>(r));
    for (std::uint32_t w = 0; w < s.team.count(); ++w) {
        for (const auto& port : s.team.counters(w).ports) held += port.held_packets.read();
    }
    EXPECT_EQ(s.left + dropped + held, s.given);
    s.check_tables();
}

INSTANTIATE_TEST_SUITE_P(HandOver, Workers,
                         testing::Values(Shape{Device::one_queue, 2}, Shape{Device::one_queue, 4},
                                         Shape{Device::one_queue, 8}, Shape{Device::own_idea, 1},
                                         Shape{Device::own_idea, 2}, Shape{Device::own_idea, 4},
                                         Shape{Device::own_idea, 8}, Shape{Device::rss, 2}, Shape{Device::rss, 4},
                                         Shape{Device::rss, 8}),
                         name_of);

/// A device that was told to and does not: found by the spot check, and from then on nothing is left to it.
TEST(HandOver, StopsTrustingADeviceThatPlacesFlowsWrong) {
    std::mt19937 random{seed_of_this_run()};
    Stage s{Device::liar, 4};
    for (int n = 0; n < 500; ++n) s.random_step(random);
    s.team.drain();
    std::uint64_t misplaced = 0;
    for (std::uint32_t w = 0; w < s.team.count(); ++w) misplaced += s.team.counters(w).steering_misplaced.read();
    EXPECT_GT(misplaced, 0U);
    EXPECT_LE(misplaced, 8U) << "once for each worker and port";
    const std::uint64_t before = s.team.handed_over();
    for (int n = 0; n < 1'000; ++n) s.random_step(random);
    s.team.drain();
    EXPECT_GT(s.team.handed_over(), before + 500);
    s.team.check();
}

/// Everything comes through one queue, and nine packets in ten belong to a worker that stands still: it loses what its
/// ring does not hold, one flow as the other, and whoever reads the queue loses nothing of its own.
TEST(HandOver, X5_AFloodForOneWorkerCostsTheOthersNothing) {
    Team t{{.workers = 2, .owners = dp::Owners::software({5, 6}, 2)}};
    t.use(policy());
    std::array<std::uint64_t, 2> given{};
    std::map<std::uint16_t, int> left_of_flood;
    for (int round = 0; round < 20; ++round) {
        std::uint64_t own_in_round = 0;
        for (std::uint16_t sport = 1; sport <= 900; ++sport) {
            const dp::FlowTuple ends{.src = address("198.51.100.7"),
                                     .dst = address("198.51.100.80"),
                                     .sport = abi::L4Port::of_host(sport),
                                     .dport = abi::L4Port::of_host(53),
                                     .proto = abi::L4Proto::udp};
            const auto owner = t.owners().owner(abi::IpFamily::v4, ends, dp::FlowDomain{0});
            if (owner == 0 && ++own_in_round > 50) continue;
            while (!t.arrive(0, 0, frame(Ipv4{}, Udp{.sport = sport}))) (void)t.run(0);
            ++given[owner];
        }
        for (int n = 0; n < 40; ++n) (void)t.run(0);
        EXPECT_EQ(t.counters(0).ports[0].forwarded_packets.read(), given[0]);
        if (round % 4 == 3) (void)t.run(1);  // far too seldom
        t.check();
    }
    t.drain();
    for (const Sent& s : t.take_sent()) {
        if (s.worker == 1) ++left_of_flood[static_cast<std::uint16_t>(s.bytes[34] << 8 | s.bytes[35])];
    }
    const std::uint64_t full = t.drops(DropReason::hand_over_full);
    EXPECT_GT(full, given[1] / 2);
    EXPECT_EQ(t.counters(1).ports[0].forwarded_packets.read() + full, given[1]);
    EXPECT_GT(left_of_flood.size(), 300U) << "some flows got all the room";
    t.check();
}

/// A faulty fragment ends its datagram wherever the others wait.
TEST(HandOver, FaultyFragmentsCondemnTheirDatagramAtItsOwner) {
    for (std::uint32_t receiver : {0U, 1U}) {
        Team t{{.workers = 2, .owners = dp::Owners::software({5, 6}, 2)}};
        t.use(policy());
        const Bytes whole = frame(Ipv4{.dont_fragment = false}, Udp{.payload = bytes_of(100)});
        ASSERT_TRUE(t.arrive(receiver, 0, piece(whole, 0, 64)));
        t.drain();
        Bytes faulty = piece(whole, 64);
        faulty[14 + 6] |= 0x20;  // more fragments behind this one, whose length is no multiple of 8
        const std::uint16_t sum = internet_checksum([&] {
            Bytes header(faulty.begin() + 14, faulty.begin() + 34);
            header[10] = header[11] = 0;
            return header;
        }());
        faulty[14 + 10] = static_cast<std::uint8_t>(sum >> 8);
        faulty[14 + 11] = static_cast<std::uint8_t>(sum);
        ASSERT_TRUE(t.arrive(1 - receiver, 0, faulty));
        t.drain();
        EXPECT_EQ(t.drops(DropReason::frag_malformed), 2U);
        t.check();
    }
}

/// What no flow is about stays where it came: neighbours' frames, what the policy's wire part is asked about, malformed
/// packets.
TEST(HandOver, LeavesFramesWithoutFlowsWhereTheyCame) {
    Team t{{.workers = 2, .owners = dp::Owners::software({5, 6}, 2)}};
    t.use(policy());
    Bytes bad = frame(Ipv4{.checksum = 0x1234}, Udp{});
    for (const std::uint32_t w : {0U, 1U}) {
        ASSERT_TRUE(t.arrive(w, 0, frame(Arp{})));
        ASSERT_TRUE(
            t.arrive(w, 0, frame(nd_packet("fe80::1", "ff02::1:ff00:80"), neighbour_solicitation("2001:db8:51::80"))));
        ASSERT_TRUE(t.arrive(w, 0, frame(0x88cc, bytes_of(60))));
        ASSERT_TRUE(t.arrive(w, 0, bad));
        ASSERT_TRUE(t.arrive(w, 0, bytes_of(9)));
    }
    t.drain();
    EXPECT_EQ(t.handed_over(), 0U);
    for (const std::uint32_t w : {0U, 1U}) EXPECT_EQ(t.counters(w).ports[0].rx_packets.read(), 5U);
    EXPECT_EQ(t.drops(DropReason::ip_malformed), 2U);
    t.check();
}

TEST(HandOver, RingsTogetherHoldWhatIsPromised) {
    for (std::uint32_t workers = 2; workers <= abi::kWorkersMax; ++workers) {
        dp::HandOverRings rings{workers};
        EXPECT_GE(rings.between(0, 1).capacity(), dp::kFragmentsMax);
        EXPECT_EQ(rings.between(0, 1).capacity() * (workers - 1), dp::HandOverRings::packets_max(workers));
        EXPECT_LE(dp::HandOverRings::packets_max(workers), 2 * dp::HandOverRings::kPacketsMax);
    }
}

}  // namespace
}  // namespace sluice::test
