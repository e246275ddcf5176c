/// What DPDK is asked for, the idle sleep, and chains of buffers; without devices or huge pages.
#include "dataplane/port/eal.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <array>
#include <memory>
#include <numeric>
#include <vector>

#include "dataplane/port/dpdk_io.hpp"
#include "dataplane/port/worker_loop.hpp"

namespace sluice::dp {
namespace {

using testing::Contains;
using testing::Not;

Config config() {
    Config c;
    c.worker_lcores = {1, 3};
    return c;
}

TEST(Eal, WorkersAreTheLcoresAndTheFirstIsMain) {
    const auto arguments = eal_arguments(config(), std::uint64_t{1} << 32);
    const auto after = [&](const char* name) { return *(std::find(arguments.begin(), arguments.end(), name) + 1); };
    EXPECT_EQ(after("-l"), "1,3");
    EXPECT_EQ(after("--main-lcore"), "1");
    EXPECT_THAT(arguments, Contains("--in-memory"));
    EXPECT_THAT(arguments, Not(Contains("--no-huge")));
}

TEST(Eal, GoesWithoutHugePagesWhenThereAreTooFew) {
    const auto arguments = eal_arguments(config(), std::uint64_t{255} << 20);
    EXPECT_THAT(arguments, Contains("--no-huge"));
    EXPECT_THAT(arguments, Contains("--no-shconf"));
    EXPECT_THAT(arguments, Not(Contains("--in-memory")));  // they exclude each other
    auto small = config();
    small.eal = {"--in-memory", "-m64"};
    EXPECT_THAT(eal_arguments(small, std::uint64_t{64} << 20), Not(Contains("--no-huge")));
    EXPECT_THAT(eal_arguments(small, 0), Contains("--no-huge"));
}

TEST(Eal, CalibratesToAPartInTenThousand) {
    const TscCalibration calibration;
    const TscRate first = calibration.finish();
    const TscRate second = TscCalibration{}.finish();
    EXPECT_GT(first.hz, 100'000'000U);
    const double ratio = static_cast<double>(first.hz) / static_cast<double>(second.hz);
    EXPECT_NEAR(ratio, 1.0, 1e-4);
    const auto now = first.to_mono(tsc_now());
    EXPECT_LT(abi::MonoTime::now().ns - now.ns, 10'000'000U);
}

TEST(IdleSleep, GrowsWhileNothingComesAndEndsWithTheFirstPacket) {
    IdleSleep idle{20, 320};
    for (int i = 0; i < 64; ++i) EXPECT_EQ(idle.after_round(0), 0U);
    std::vector<std::uint32_t> sleeps;
    for (int i = 0; i < 7; ++i) sleeps.push_back(idle.after_round(0));
    EXPECT_EQ(sleeps, (std::vector<std::uint32_t>{20, 40, 80, 160, 320, 320, 320}));
    EXPECT_EQ(idle.after_round(1), 0U);
    for (int i = 0; i < 64; ++i) EXPECT_EQ(idle.after_round(0), 0U);
    EXPECT_EQ(idle.after_round(0), 20U);
}

TEST(IdleSleep, ZeroNeverSleeps) {
    IdleSleep idle{0, 0};
    for (int i = 0; i < 200; ++i) EXPECT_EQ(idle.after_round(0), 0U);
}

/// Buffers of 2 KiB by hand, chained; nothing is freed by the pull because no segment runs empty.
struct Segment {
    std::array<std::uint8_t, 2048> room{};
    std::unique_ptr<rte_mbuf> owned{std::make_unique<rte_mbuf>()};
    rte_mbuf& mbuf{*owned};

    void fill(std::uint16_t headroom, std::uint16_t bytes, std::uint8_t first) {
        mbuf.buf_addr = room.data();
        mbuf.buf_len = static_cast<std::uint16_t>(room.size());
        mbuf.data_off = headroom;
        mbuf.data_len = bytes;
        mbuf.pkt_len = bytes;
        mbuf.nb_segs = 1;
        std::iota(room.begin() + headroom, room.begin() + headroom + bytes, first);
    }
};

TEST(PullUp, BringsTheHeadersTogetherAndKeepsEveryByte) {
    Segment head, tail;
    head.fill(128, 100, 0);
    tail.fill(0, 1'000, 100);
    head.mbuf.next = &tail.mbuf;
    head.mbuf.nb_segs = 2;
    head.mbuf.pkt_len = 1'100;
    pull_up(head.mbuf, kContiguousBytes);
    EXPECT_EQ(head.mbuf.data_len, kContiguousBytes);
    EXPECT_EQ(tail.mbuf.data_len, 460U);
    EXPECT_EQ(head.mbuf.pkt_len, 1'100U);
    std::uint8_t expected = 0;
    for (const rte_mbuf* m = &head.mbuf; m != nullptr; m = m->next) {
        for (std::uint16_t i = 0; i < m->data_len; ++i) {
            ASSERT_EQ(*rte_pktmbuf_mtod_offset(m, const std::uint8_t*, i), expected);
            ++expected;
        }
    }
}

TEST(PullUp, StopsWhereThereIsNoRoom) {
    Segment head, tail;
    head.fill(2'000, 40, 0);
    tail.fill(0, 100, 40);
    head.mbuf.next = &tail.mbuf;
    head.mbuf.nb_segs = 2;
    head.mbuf.pkt_len = 140;
    pull_up(head.mbuf, kContiguousBytes);
    EXPECT_EQ(head.mbuf.data_len, 48U);
    EXPECT_EQ(tail.mbuf.data_len, 92U);
}

}  // namespace
}  // namespace sluice::dp
