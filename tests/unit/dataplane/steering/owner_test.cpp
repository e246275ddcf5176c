#include "dataplane/steering/owner.hpp"

#include <algorithm>
#include <random>

#include <gtest/gtest.h>

#include "dataplane/steering/rss.hpp"
#include "tests/harness/seed.hpp"

namespace sluice::dp {
namespace {

using abi::IpFamily;
using abi::L4Proto;

constexpr HashSecret kSecret{11, 12};

RssProgram program(std::uint32_t workers) {
    std::string why;
    RssDevice device{.key_bytes = 40, .table_count = 128, .hashes_tcp_and_udp = true, .program = {}};
    return *program_for({device}, workers, why);
}

/// Both kinds, for so many workers.
std::vector<Owners> both(std::uint32_t workers) {
    return {Owners::software(kSecret, workers), Owners::rss(program(workers), workers)};
}

struct Random {
    std::mt19937 engine{test::seed_of_this_run()};
    std::uint32_t operator()() { return static_cast<std::uint32_t>(engine()); }
    FlowTuple ends(IpFamily family, L4Proto proto) {
        FlowTuple t{.proto = proto};
        for (abi::IpAddr* const a : {&t.src, &t.dst}) {
            for (std::size_t i = 0; i < (family == IpFamily::v6 ? 16U : 4U); ++i) {
                a->bytes[i] = static_cast<std::uint8_t>((*this)());
            }
        }
        t.sport = abi::L4Port::of_wire(static_cast<std::uint16_t>((*this)()));
        t.dport = abi::L4Port::of_wire(static_cast<std::uint16_t>((*this)()));
        return t;
    }
};

FlowTuple turned(const FlowTuple& t) { return {t.dst, t.src, t.dport, t.sport, t.proto}; }

TEST(Owner, IsTheSameForBothDirectionsAndForTheFlowsKey) {
    SCOPED_TRACE(test::seed_line());
    Random random;
    for (const std::uint32_t workers : {1U, 2U, 3U, 4U, 8U, 64U}) {
        for (const Owners& owners : both(workers)) {
            for (int n = 0; n < 2'000; ++n) {
                const auto family = n % 2 == 0 ? IpFamily::v4 : IpFamily::v6;
                const auto proto = n % 3 == 0 ? L4Proto::udp : n % 3 == 1 ? L4Proto::tcp : L4Proto::sctp;
                const FlowTuple t = random.ends(family, proto);
                const FlowDomain domain{static_cast<std::uint16_t>(n % 4)};
                const WorkerIndex owner = owners.owner(family, t, domain);
                ASSERT_LT(owner, workers);
                ASSERT_EQ(owners.owner(family, turned(t), domain), owner);
                const bool low = source_is_low(family, t);
                if (family == IpFamily::v4) {
                    ASSERT_EQ(owners.owner(make_key<FlowKeyV4>(t, low, domain)), owner);
                } else {
                    ASSERT_EQ(owners.owner(make_key<FlowKeyV6>(t, low, domain)), owner);
                }
            }
        }
    }
}

/// The flow's key has identifier and type of the request; a packet has neither that its ends would show.
TEST(Owner, OfIcmpIsThatOfItsAddresses) {
    SCOPED_TRACE(test::seed_line());
    Random random;
    for (const Owners& owners : both(8)) {
        for (int n = 0; n < 500; ++n) {
            FlowTuple t = random.ends(IpFamily::v4, L4Proto::icmp);
            t.sport = t.dport = {};
            const bool low = source_is_low(IpFamily::v4, t);
            const auto key = make_icmp_key<FlowKeyV4>(t, low, {}, static_cast<std::uint16_t>(n), 8 << 8,
                                                      low ? Asker::low_asks : Asker::high_asks);
            ASSERT_EQ(owners.owner(key), owners.owner(IpFamily::v4, t, {}));
        }
    }
}

TEST(Owner, OfManyKeysIsThatOfEach) {
    SCOPED_TRACE(test::seed_line());
    Random random;
    std::vector<FlowKeyV4> keys;
    for (int n = 0; n < 77; ++n) {
        const FlowTuple t = random.ends(IpFamily::v4, L4Proto::tcp);
        keys.push_back(make_key<FlowKeyV4>(t, source_is_low(IpFamily::v4, t), FlowDomain{2}));
    }
    for (const Owners& owners : both(4)) {
        std::vector<WorkerIndex> all(keys.size());
        owners.owners(keys, all.data());
        for (std::size_t i = 0; i < keys.size(); ++i) EXPECT_EQ(all[i], owners.owner(keys[i])) << i;
    }
}

/// 64,000 flows over 8 workers: each gets its eighth, within five standard deviations (84 each).
TEST(Owner, SharesFlowsEvenly) {
    SCOPED_TRACE(test::seed_line());
    Random random;
    for (const Owners& owners : both(8)) {
        std::array<int, 8> share{};
        for (int n = 0; n < 64'000; ++n) {
            const auto family = n % 2 == 0 ? IpFamily::v4 : IpFamily::v6;
            ++share[owners.owner(family, random.ends(family, L4Proto::tcp), {})];
        }
        for (const int s : share) EXPECT_NEAR(s, 8'000, 5 * 84);
    }
}

/// Flows of one pair of hosts are spread too, and who does not know the secret cannot tell where a flow goes.
TEST(Owner, DependsOnPortsAndSecret) {
    FlowTuple t = Random{}.ends(IpFamily::v4, L4Proto::tcp);
    const Owners one = Owners::software(kSecret, 2), other = Owners::software({kSecret[0], kSecret[1] + 1}, 2);
    int of_first = 0, differ = 0;
    for (std::uint16_t port = 1; port <= 1'000; ++port) {
        t.sport = abi::L4Port::of_host(port);
        of_first += one.owner(IpFamily::v4, t, {}) == 0 ? 1 : 0;
        differ += one.owner(IpFamily::v4, t, {}) != other.owner(IpFamily::v4, t, {}) ? 1 : 0;
    }
    EXPECT_NEAR(of_first, 500, 5 * 16);
    EXPECT_NEAR(differ, 500, 5 * 16);
}

TEST(Owner, IdentityTellsWhetherOwnersCouldDiffer) {
    const RssProgram two = program(2);
    RssProgram other_table = two, other_key = two;
    std::swap(other_table.table[0], other_table.table[1]);
    other_key.key[39] ^= 1;
    std::vector<std::uint64_t> all = {
        Owners::software(kSecret, 2).identity(),  Owners::software(kSecret, 3).identity(),
        Owners::software({11, 13}, 2).identity(), Owners::software({10, 12}, 2).identity(),
        Owners::rss(two, 2).identity(),           Owners::rss(program(4), 4).identity(),
        Owners::rss(other_table, 2).identity(),   Owners::rss(other_key, 2).identity()};
    EXPECT_EQ(Owners::software(kSecret, 2).identity(), all.front());
    std::sort(all.begin(), all.end());
    EXPECT_EQ(std::unique(all.begin(), all.end()), all.end());
}

}  // namespace
}  // namespace sluice::dp
