// Fragments that fit, that don't, that are too many or too late. Frames here are data only; the store looks at nothing
// else.
#include "dataplane/pipeline/fragment_store.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "tests/harness/frames.hpp"

namespace sluice::test {
namespace {

using dp::FragmentStore;

constexpr dp::TscRate kRate{.hz = 1'000'000'000};

dp::TscTime at_ms(std::uint64_t ms) { return dp::TscTime{} + kRate.of_ms(ms); }

dp::FragmentKey key(std::uint32_t id, abi::IpFamily family = abi::IpFamily::v4) {
    return {.src = address("192.0.2.1"), .dst = address("192.0.2.2"), .id = id, .family = family};
}

/// A store with a memory for frames and for what it gave up.
class Bench final : public dp::FragmentDrops {
public:
    explicit Bench(dp::FragmentLimits limits = {}) : store{limits, kRate, {1, 2}} {}

    /// The datagram's byte k is `fill + k`, unless `fill` says otherwise.
    std::string add(const dp::FragmentKey& k, std::size_t offset, std::size_t bytes, bool more, std::uint64_t ms = 0,
                    std::uint8_t fill = 0) {
        frames.push_back(std::make_unique<Bytes>(bytes));
        Bytes& data = *frames.back();
        for (std::size_t i = 0; i < bytes; ++i) data[i] = static_cast<std::uint8_t>(fill + offset + i);
        dp::Fragment f{.packet = as_packet(data),
                       .offset_bytes = static_cast<std::uint16_t>(offset),
                       .data_offset = 0,
                       .data_bytes = static_cast<std::uint16_t>(bytes),
                       .body_offset = 0,
                       .more = more};
        f.packet.handle = &data;
        const auto added = store.add(k, f, at_ms(ms), *this);
        last = added.datagram;
        switch (added.outcome) {
            case FragmentStore::Outcome::held: return "held";
            case FragmentStore::Outcome::whole: return "whole";
            case FragmentStore::Outcome::duplicate: return "duplicate";
            default: return std::string{abi::to_string(added.reason)};
        }
    }
    void dropped(const dp::FragmentKey& k, std::span<const dp::Packet> packets, abi::DropReason why) noexcept override {
        for (std::size_t i = 0; i < packets.size(); ++i) {
            drops.push_back(std::to_string(k.id) + " " + std::string{abi::to_string(why)});
        }
    }
    std::vector<std::string> take_drops() { return std::exchange(drops, {}); }

    FragmentStore store;
    std::vector<std::unique_ptr<Bytes>> frames;
    std::vector<std::string> drops;
    std::uint32_t last{};
};

using Drops = std::vector<std::string>;

TEST(FragmentStore, GivesADatagramBackInOrderOfArrival) {
    Bench b;
    EXPECT_EQ(b.add(key(1), 16, 8, true), "held");
    EXPECT_EQ(b.add(key(1), 24, 3, false), "held");
    EXPECT_EQ(b.add(key(1), 0, 16, true), "whole");
    std::array<const dp::Fragment*, dp::kFragmentsMax> sorted;
    ASSERT_EQ(b.store.by_offset(b.last, sorted), 3U);
    EXPECT_EQ(sorted[0]->offset_bytes, 0);
    EXPECT_EQ(sorted[1]->offset_bytes, 16);
    EXPECT_EQ(sorted[2]->offset_bytes, 24);
    std::array<dp::Packet, dp::kFragmentsMax> packets;
    ASSERT_EQ(b.store.take(b.last, packets), 3U);
    for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(packets[i].handle, b.frames[i].get());
    EXPECT_TRUE(b.store.empty());
    EXPECT_EQ(b.store.packets(), 0U);
    EXPECT_EQ(b.store.bytes(), 0U);
    EXPECT_EQ(b.take_drops(), Drops{});
    EXPECT_EQ(b.add(key(1), 16, 8, true), "held") << "the key is free again";
}

TEST(FragmentStore, EveryPartOfTheKeyTellsDatagramsApart) {
    Bench b;
    const dp::FragmentKey base = key(1);
    std::vector<dp::FragmentKey> others(6, base);
    others[0].src = address("192.0.2.3");
    others[1].dst = address("192.0.2.3");
    others[2].id = 2;
    others[3].in_port = dp::PortIndex{1};
    others[4].family = abi::IpFamily::v6;
    others[5].proto = abi::L4Proto::tcp;
    EXPECT_EQ(b.add(base, 0, 8, true), "held");
    for (const dp::FragmentKey& other : others) EXPECT_EQ(b.add(other, 8, 8, false), "held");
    EXPECT_EQ(b.add(base, 8, 8, false), "whole");
}

/// Places are found by 32 bits of the key's hash. That they are the same is no proof.
TEST(FragmentStore, TwoKeysWithTheSameTagAreTwoDatagrams) {
    constexpr dp::HashSecret kSecret{1, 2};
    std::vector<std::pair<std::uint32_t, std::uint32_t>> tags;  // and whose they are
    for (std::uint32_t id = 0; id < 1U << 19; ++id) {
        const dp::FragmentKey k = key(id);
        tags.emplace_back(dp::siphash13(kSecret, std::as_bytes(std::span{&k, 1})) >> 32, id);
    }
    std::ranges::sort(tags);
    const auto same = std::ranges::adjacent_find(tags, {}, &std::pair<std::uint32_t, std::uint32_t>::first);
    ASSERT_NE(same, tags.end());
    Bench b{{.packets_max = 3}};  // one bucket
    EXPECT_EQ(b.add(key(same->second), 0, 8, true), "held");
    EXPECT_EQ(b.add(key((same + 1)->second), 8, 8, false), "held");
    EXPECT_EQ(b.add(key(same->second), 8, 8, false), "whole");
}

// The arrangements in which two fragments can meet; every one of them ends the datagram, and all that comes later.
struct Overlap {
    const char* name;
    struct Piece {
        std::size_t offset, bytes;
        bool more;
    };
    std::vector<Piece> first;
    Piece last;
};
const std::vector<Overlap> kOverlaps = {
    {"tail", {{0, 48, true}}, {40, 56, false}},
    {"head", {{40, 56, false}}, {0, 48, true}},
    {"inside", {{0, 64, true}}, {16, 8, true}},
    {"around", {{16, 8, true}}, {0, 64, true}},
    {"same start, longer", {{0, 32, true}}, {0, 48, true}},
    {"same start, shorter", {{0, 48, true}}, {0, 32, true}},
    {"same end, shorter", {{48, 48, false}}, {64, 32, false}},
    {"same end, longer", {{64, 32, false}}, {48, 48, false}},
    {"teardrop", {{0, 40, true}}, {24, 4, false}},
    {"across two", {{0, 24, true}, {24, 24, true}}, {8, 32, true}},
    {"by one byte", {{8, 1, false}}, {0, 16, true}},
    {"over the end", {{48, 48, false}}, {88, 16, true}},
};

TEST(FragmentStore, F7_AnyOverlapEndsTheDatagramAndWhatComesLater) {
    for (const auto family : {abi::IpFamily::v4, abi::IpFamily::v6}) {
        for (const Overlap& o : kOverlaps) {
            SCOPED_TRACE(o.name);
            Bench b;
            const dp::FragmentKey k = key(1, family);
            for (const auto& p : o.first) EXPECT_EQ(b.add(k, p.offset, p.bytes, p.more), "held");
            EXPECT_EQ(b.add(k, o.last.offset, o.last.bytes, o.last.more), "frag_overlap");
            EXPECT_EQ(b.take_drops(), Drops(o.first.size(), "1 frag_overlap"));
            EXPECT_EQ(b.add(k, 200, 8, true, 29'999), "frag_overlap") << "later pieces";
            EXPECT_EQ(b.store.packets(), 0U);
            EXPECT_EQ(b.add(key(2, family), o.last.offset, 8, true), "held") << "others are not concerned";
            b.store.expire(at_ms(60'000), b);
            EXPECT_EQ(b.add(k, 200, 8, true, 60'000), "held") << "forgotten when its time is over";
        }
    }
}

TEST(FragmentStore, NeighboursDoNotOverlap) {
    Bench b;
    EXPECT_EQ(b.add(key(1), 8, 8, true), "held");
    EXPECT_EQ(b.add(key(1), 16, 8, true), "held");
    EXPECT_EQ(b.add(key(1), 0, 8, true), "held");
    EXPECT_EQ(b.add(key(1), 24, 1, false), "whole");
}

TEST(FragmentStore, F6_D4_ByteExactCopiesAreToldAndNothingElseIs) {
    Bench b;
    EXPECT_EQ(b.add(key(1), 0, 16, true), "held");
    EXPECT_EQ(b.add(key(1), 0, 16, true), "duplicate");
    EXPECT_EQ(b.add(key(1), 0, 16, true), "duplicate");
    EXPECT_EQ(b.store.packets(), 1U);
    EXPECT_EQ(b.add(key(1), 16, 8, false), "whole");
    EXPECT_EQ(b.add(key(2), 0, 16, true), "held");
    EXPECT_EQ(b.add(key(2), 0, 16, true, 0, 1), "frag_overlap") << "other bytes";
    EXPECT_EQ(b.add(key(3), 8, 8, true), "held");
    EXPECT_EQ(b.add(key(3), 8, 8, false), "frag_overlap") << "the same bytes, but now the last";
    EXPECT_EQ(b.take_drops().size(), 2U);
}

TEST(FragmentStore, CopiesThatCannotBeReadAreOverlaps) {
    Bench b;
    Bytes data(16);
    dp::Fragment f{.packet = as_packet(data), .data_bytes = 16, .more = true};
    f.packet.contiguous_bytes = 8;  // the rest in a later segment
    EXPECT_EQ(b.store.add(key(1), f, at_ms(0), b).outcome, FragmentStore::Outcome::held);
    EXPECT_EQ(b.store.add(key(1), f, at_ms(0), b).reason, abi::DropReason::frag_overlap);
}

TEST(FragmentStore, F11_TwoEndsOrDataBehindTheEndAre_frag_malformed) {
    Bench b;
    EXPECT_EQ(b.add(key(1), 16, 8, false), "held");
    EXPECT_EQ(b.add(key(1), 24, 8, true), "frag_malformed") << "data behind the end";
    EXPECT_EQ(b.add(key(2), 16, 8, false), "held");
    EXPECT_EQ(b.add(key(2), 24, 8, false), "frag_malformed") << "another end";
    EXPECT_EQ(b.add(key(3), 16, 8, false), "held");
    EXPECT_EQ(b.add(key(3), 0, 8, false), "frag_malformed") << "another end, before";
    EXPECT_EQ(b.add(key(4), 16, 8, true), "held");
    EXPECT_EQ(b.add(key(4), 0, 8, false), "frag_malformed") << "an end before what is there";
    EXPECT_EQ(b.take_drops(), (Drops{"1 frag_malformed", "2 frag_malformed", "3 frag_malformed", "4 frag_malformed"}));
    EXPECT_EQ(b.add(key(4), 8, 8, true), "frag_malformed") << "later pieces too";
}

TEST(FragmentStore, F6_64FragmentsInAnyOrderAreADatagram_The65thIsTooMany) {
    std::vector<std::size_t> order(64);
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::mt19937 random{7};
    for (int round = 0; round < 20; ++round) {
        std::shuffle(order.begin(), order.end(), random);
        Bench b;
        for (std::size_t n = 0; n < 63; ++n) ASSERT_EQ(b.add(key(1), order[n] * 8, 8, order[n] != 63), "held");
        ASSERT_EQ(b.add(key(1), order[63] * 8, 8, order[63] != 63), "whole");
    }
    Bench b;
    for (std::size_t n = 0; n < 64; ++n) ASSERT_EQ(b.add(key(1), n * 8, 8, true), "held");
    EXPECT_EQ(b.add(key(1), 512, 8, false), "frag_nomem");
    EXPECT_EQ(b.take_drops(), Drops(64, "1 frag_nomem"));
    EXPECT_EQ(b.add(key(1), 520, 8, false), "frag_nomem") << "remembered";
}

TEST(FragmentStore, F9_TimeRunsFromTheFirstPieceAndIsNotProlonged) {
    Bench b;
    EXPECT_EQ(b.add(key(4), 0, 8, true, 1'000), "held");
    EXPECT_EQ(b.add(key(6, abi::IpFamily::v6), 0, 8, true, 1'000), "held");
    EXPECT_EQ(b.add(key(4), 8, 8, true, 30'000), "held");
    b.store.expire(at_ms(30'999), b);
    EXPECT_EQ(b.take_drops(), Drops{});
    b.store.expire(at_ms(31'000), b);
    EXPECT_EQ(b.take_drops(), Drops(2, "4 frag_timeout"));
    b.store.expire(at_ms(60'999), b);
    EXPECT_EQ(b.take_drops(), Drops{});
    b.store.expire(at_ms(61'000), b);
    EXPECT_EQ(b.take_drops(), Drops{"6 frag_timeout"});
    EXPECT_TRUE(b.store.empty());
}

TEST(FragmentStore, F9_APieceThatComesTooLateCompletesNothing) {
    Bench b;
    EXPECT_EQ(b.add(key(1), 0, 8, true, 0), "held");
    EXPECT_EQ(b.add(key(1), 8, 8, false, 30'000), "held") << "no sweep has come by";
    EXPECT_EQ(b.take_drops(), Drops{"1 frag_timeout"});
}

TEST(FragmentStore, OneCallEndsABoundedNumber) {
    Bench b{{.packets_max = 4096}};
    for (std::uint32_t id = 0; id < 1000; ++id) ASSERT_EQ(b.add(key(id), 0, 8, true), "held");
    int calls = 0;
    while (!b.store.empty()) {
        b.store.expire(at_ms(30'000), b);
        ASSERT_LE(b.take_drops().size(), 256U + dp::kFragmentsMax);
        ++calls;
    }
    EXPECT_GE(calls, 1000 / (256 + 64));
    EXPECT_LE(calls, 1000 / 128) << "and gets on with it";
}

TEST(FragmentStore, F19_TheOldestGoesWhenPacketsOrBytesAreFull) {
    Bench b{{.packets_max = 64, .memory_bytes_max = 1U << 20}};
    EXPECT_EQ(b.add(key(1000, abi::IpFamily::v6), 0, 8, true, 0), "held");
    for (std::uint32_t id = 0; id < 63; ++id) ASSERT_EQ(b.add(key(id), 0, 8, true, 10 + id), "held");
    EXPECT_EQ(b.add(key(63), 0, 8, true, 100), "held");
    EXPECT_EQ(b.take_drops(), Drops{"1000 frag_nomem"}) << "the oldest, though its time is the longest";
    EXPECT_EQ(b.add(key(64), 0, 8, true, 100), "held");
    EXPECT_EQ(b.take_drops(), Drops{"0 frag_nomem"});
    EXPECT_EQ(b.store.packets(), 64U);

    Bench bytes{{.packets_max = 64, .memory_bytes_max = 4000}};
    for (std::uint32_t id = 0; id < 4; ++id) ASSERT_EQ(bytes.add(key(id), 0, 1000, true), "held");
    EXPECT_EQ(bytes.add(key(4), 0, 8, true), "held");
    EXPECT_EQ(bytes.take_drops(), Drops{"0 frag_nomem"});
    EXPECT_EQ(bytes.store.bytes(), 3008U);
}

TEST(FragmentStore, ADatagramThatNeedsMoreThanThereIsGoesItself) {
    Bench b{{.packets_max = 64, .memory_bytes_max = 2000}};
    EXPECT_EQ(b.add(key(1), 0, 1000, true), "held");
    EXPECT_EQ(b.add(key(1), 1000, 1000, true), "held");
    EXPECT_EQ(b.add(key(1), 2000, 8, false), "frag_nomem");
    EXPECT_EQ(b.take_drops(), Drops(2, "1 frag_nomem"));
    EXPECT_EQ(b.add(key(1), 2008, 8, false), "frag_nomem") << "remembered: later pieces take no room";
}

TEST(FragmentStore, CondemnedDatagramsMakeRoomToo) {
    Bench b{{.packets_max = 64}};
    for (std::uint32_t id = 0; id < 1000; ++id) b.store.condemn(key(id), abi::DropReason::frag_tiny, at_ms(id), b);
    EXPECT_EQ(b.store.datagrams(), 64U);
    EXPECT_EQ(b.add(key(999), 0, 8, true, 1'000), "frag_tiny");
    EXPECT_EQ(b.add(key(0), 0, 8, true, 1'000), "held") << "long forgotten";
    EXPECT_EQ(b.take_drops(), Drops{});
}

TEST(FragmentStore, AFaultyPieceTakesTheHeldOnesWithIt) {
    Bench b;
    EXPECT_EQ(b.add(key(1), 8, 8, true), "held");
    b.store.condemn(key(1), abi::DropReason::frag_chain, at_ms(1), b);
    EXPECT_EQ(b.take_drops(), Drops{"1 frag_chain"});
    b.store.condemn(key(1), abi::DropReason::frag_tiny, at_ms(1), b);
    EXPECT_EQ(b.add(key(1), 16, 8, true), "frag_chain") << "the first reason stays";
}

TEST(FragmentStore, WholeDatagramsThatWaitAreInNobodysWay) {
    Bench b{{.packets_max = 64}};
    for (std::uint32_t id = 0; id < 32; ++id) {
        ASSERT_EQ(b.add(key(id), 0, 8, true), "held");
        ASSERT_EQ(b.add(key(id), 8, 8, false), "whole");
    }
    const std::uint32_t waiting = b.last;
    EXPECT_EQ(b.add(key(100), 0, 8, true), "frag_nomem") << "all 64 are somebody's";
    b.store.expire(at_ms(1'000'000), b);
    b.store.drop_all(abi::DropReason::frag_timeout, b);
    EXPECT_EQ(b.take_drops(), Drops{}) << "and not the store's to drop";
    std::array<dp::Packet, dp::kFragmentsMax> packets;
    EXPECT_EQ(b.store.take(waiting, packets), 2U);
    EXPECT_EQ(b.add(key(100), 0, 8, true), "held");
}

TEST(FragmentStore, DropAllLeavesNothing) {
    Bench b;
    EXPECT_EQ(b.add(key(1), 0, 8, true), "held");
    EXPECT_EQ(b.add(key(1), 8, 8, true), "held");
    EXPECT_EQ(b.add(key(2, abi::IpFamily::v6), 8, 8, true), "held");
    b.store.condemn(key(3), abi::DropReason::frag_tiny, at_ms(0), b);
    b.store.drop_all(abi::DropReason::frag_timeout, b);
    EXPECT_EQ(b.take_drops(), (Drops{"1 frag_timeout", "1 frag_timeout", "2 frag_timeout"}));
    EXPECT_TRUE(b.store.empty());
}

// Buckets have eight places; with ten thousand datagrams some are full, and only a few datagrams pay for it.
TEST(FragmentStore, FullBucketsAreRare) {
    Bench b{{.packets_max = 10'000, .memory_bytes_max = 1U << 28}};
    for (std::uint32_t id = 0; id < 10'000; ++id) ASSERT_EQ(b.add(key(id), 0, 8, true), "held");
    EXPECT_LE(b.take_drops().size(), 20U);
}

}  // namespace
}  // namespace sluice::test
