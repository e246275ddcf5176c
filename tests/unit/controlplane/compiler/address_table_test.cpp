/// Address tables against the intervals that they are made of, through the lookup's own walk: every edge of every
/// interval and its neighbour, at all densities, so that all kinds of node are met.
#include "controlplane/compiler/address_table.hpp"

#include <random>
#include <set>

#include <gtest/gtest.h>

#include "tests/harness/policies.hpp"
#include "tests/harness/seed.hpp"

namespace sluice::cp {
namespace {

/// Kinds of node in a table's cells, the root's and all inside.
std::set<abi::AddressNode> kinds_of(const AddressTable& table) {
    std::set<abi::AddressNode> kinds;
    const auto see = [&](std::uint32_t cell) {
        if (cell >= abi::kAddressIsNode) kinds.insert(static_cast<abi::AddressNode>(cell >> 28 & 7U));
    };
    for (const std::uint32_t cell : table.root) see(cell);
    return kinds;
}

TEST(AddressTable, ChoosesANodeByHowManyKeysItHas) {
    for (const auto& [count, kind] : {std::pair{1U, abi::AddressNode::small},
                                      {4U, abi::AddressNode::small},
                                      {5U, abi::AddressNode::medium},
                                      {14U, abi::AddressNode::medium},
                                      {15U, abi::AddressNode::large},
                                      {464U, abi::AddressNode::large},
                                      {465U, abi::AddressNode::bitmap}}) {
        Intervals<std::uint32_t> line{{0, 0}};
        for (std::uint32_t i = 0; i < count; ++i) {  // two keys each
            line.push_back({0x0a010000 + 3 + i * 7, 1});
            line.push_back({0x0a010000 + 4 + i * 7, 0});
        }
        const AddressTable table = address_table(line, 1U << 20);
        EXPECT_EQ(kinds_of(table), std::set{kind}) << count;
        EXPECT_EQ(table.node_visits_max, 1U);
    }
}

TEST(AddressTable, SparseHostsCostALittleEach) {
    Intervals<std::uint32_t> line{{0, 0}};
    std::mt19937 random{1};
    std::set<std::uint32_t> hosts;
    while (hosts.size() < 100'000) hosts.insert(random() & ~1U);
    for (const std::uint32_t host : hosts) {
        line.push_back({host, 1});
        line.push_back({host + 1, 0});
    }
    EXPECT_LT(address_table(line, 1U << 22).lines.size() * sizeof(abi::AddressLine), 100'000U * 48);
}

TEST(AddressTable, EndsWhenItIsTooLong) {
    Intervals<std::uint32_t> line{{0, 0}};
    for (std::uint32_t i = 1; i < 50'000; ++i) line.push_back({i << 12, i % 2});
    EXPECT_GT(address_table(line, 100).lines.size(), 100U);
    EXPECT_LT(address_table(line, 100).lines.size(), 200U);
}

/// Hosts of one /64 at a few places far apart: a walk skips what they share.
TEST(AddressTable, SkipsWhatAllAddressesBelowShare) {
    Intervals<V6Number> line{{{}, 0}};
    for (std::uint64_t i = 0; i < 200; ++i) {
        line.push_back({{.high = 0x20010db8'00000001ULL, .low = 0x10 + 2 * i}, 1});
        line.push_back({{.high = 0x20010db8'00000001ULL, .low = 0x11 + 2 * i}, 0});
    }
    const AddressTable table = address_table(line, 1U << 20);
    EXPECT_EQ(kinds_of(table), std::set{abi::AddressNode::span});
    EXPECT_EQ(table.node_visits_max, 2U) << "one for six chunks, one for the last";
}

/// Random sets of both families and all densities, asked at every edge and beside it.
TEST(AddressTable, EveryEdgeIsWhereTheSetSays) {
    const std::uint32_t seed = test::seed_of_this_run();
    std::mt19937_64 random{seed};
    for (int round = 0; round < 30; ++round) {
        test::PolicyBuilder b;
        b.zone("z", {"p0"});
        NetSet set{.name = "s", .nets = {}, .pos = {}};
        const std::uint64_t count = random() % 3 == 0 ? random() % 3'000 : random() % 60;
        const unsigned spread = static_cast<unsigned>(random() % 120);
        std::vector<std::pair<abi::IpAddr, abi::IpFamily>> asked;
        for (std::uint64_t i = 0; i < count; ++i) {
            const bool v4 = random() % 2 == 0;
            const unsigned bits = v4 ? 32 : 128;
            Prefix p{.family = v4 ? abi::IpFamily::v4 : abi::IpFamily::v6};
            p.bits = static_cast<std::uint8_t>(bits - (random() % 2 == 0 ? 0 : random() % 30));
            p.addr = test::address(v4 ? "10.1.0.0" : "2001:db8::");
            for (unsigned bit = std::min(spread, bits - 16U); bit < bits; ++bit) {
                const auto mask = static_cast<std::uint8_t>(0x80U >> (bit % 8));
                if (bit >= p.bits) {
                    p.addr.bytes[bit / 8] = static_cast<std::uint8_t>(p.addr.bytes[bit / 8] & ~mask);
                } else if (random() % 2 == 0) {
                    p.addr.bytes[bit / 8] = static_cast<std::uint8_t>(p.addr.bytes[bit / 8] ^ mask);
                }
            }
            set.nets.push_back(p);
            abi::IpAddr last = p.addr;
            for (unsigned bit = p.bits; bit < bits; ++bit)
                last.bytes[bit / 8] = static_cast<std::uint8_t>(last.bytes[bit / 8] | (0x80U >> (bit % 8)));
            for (abi::IpAddr a : {p.addr, last}) {
                asked.emplace_back(a, p.family);
                const bool up = a.bytes == last.bytes;
                for (unsigned byte = bits / 8; byte-- > 0;) {
                    const std::uint8_t before = a.bytes[byte];
                    a.bytes[byte] = static_cast<std::uint8_t>(up ? before + 1 : before - 1);
                    if (before != (up ? 0xff : 0)) break;
                }
                asked.emplace_back(a, p.family);
            }
        }
        const AddressList list = address_list(set.nets);
        b.policy.sets.push_back(std::move(set));
        b.rule({.id = "in", .from = {"s"}});
        const test::CompiledTables tables{b.build()};
        for (const auto& [address, family] : asked) {
            dp::LookupKey key{.src = address, .dst = address, .family = family, .proto = abi::L4Proto::tcp};
            key.from = key.to = abi::ZoneId{0};
            const auto inside = [](const auto& ranges, const auto& at) {
                return std::any_of(ranges.begin(), ranges.end(),
                                   [&](const auto& r) { return r.first <= at && at <= r.last; });
            };
            const bool held =
                family == abi::IpFamily::v4
                    ? inside(list.v4, address.v4().to_host())
                    : inside(list.v6, V6Number{abi::NetOrder<std::uint64_t>::read(address.bytes.data()).to_host(),
                                               abi::NetOrder<std::uint64_t>::read(address.bytes.data() + 8).to_host()});
            ASSERT_EQ(tables.lookup(key).rule, held ? 0U : 1U) << "seed " << seed << " round " << round;
        }
    }
}

}  // namespace
}  // namespace sluice::cp
