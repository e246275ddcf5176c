/// The sources that pace and mix others' packets, over one without buffers; and how latencies are counted.
#include <algorithm>
#include <array>
#include <cstdint>

#include <gtest/gtest.h>

#include "dataplane/port/eal.hpp"
#include "tests/bench/rig/mixed_source.hpp"
#include "tests/bench/rig/paced_source.hpp"

namespace sluice::bench {
namespace {

/// Always has something, but no more for a port than its `left`.
class Endless final : public dp::PacketSource {
public:
    std::size_t receive(dp::PortIndex port, std::span<dp::Packet> out) noexcept override {
        std::size_t& room = left[static_cast<std::size_t>(port)];
        const std::size_t count = std::min(out.size(), room);
        room -= count;
        made_ += count;
        return count;
    }
    std::size_t send(dp::PortIndex, std::span<const dp::Packet> packets) noexcept override {
        sent_ += packets.size();
        return packets.size();
    }
    void release(std::span<const dp::Packet>) noexcept override {}
    bool allocate(std::uint32_t, dp::Packet&) noexcept override { return false; }
    bool link_up(dp::PortIndex) const noexcept override { return true; }
    std::uint64_t made() const noexcept override { return made_; }
    std::uint64_t sent() const noexcept override { return sent_; }
    std::uint64_t starved() const noexcept override { return 0; }

    std::array<std::size_t, 2> left{SIZE_MAX, SIZE_MAX};

private:
    std::uint64_t made_{}, sent_{};
};

constexpr dp::PortIndex kPort{0};

void wait_cycles(std::uint64_t cycles) {
    const std::uint64_t begin = dp::tsc_now().cycles;
    while (dp::tsc_now().cycles - begin < cycles) {
    }
}

TEST(LatencyCounts, QuantilesAreKnownToAStep) {
    LatencyCounts counts;
    EXPECT_EQ(counts.quantile(0.5), 0);
    for (std::uint64_t cycles = 1; cycles <= 100'000; ++cycles) counts.add(cycles);
    EXPECT_EQ(counts.total(), 100'000U);
    EXPECT_NEAR(counts.quantile(0.5), 50'000, 50'000 * 0.07);
    EXPECT_NEAR(counts.quantile(0.99), 99'000, 99'000 * 0.07);
    EXPECT_GE(counts.quantile(1), 100'000);
    counts.clear();
    counts.add(3);
    EXPECT_EQ(counts.quantile(0.99), 3);
    counts.add(UINT64_MAX);
    EXPECT_EQ(counts.total(), 2U) << "whatever it is, it has a place";
}

TEST(PacedSource, GivesWhatIsDueAndNoMore) {
    Endless endless;
    PacedSource paced{endless, 1};
    std::array<dp::Packet, dp::kBurstMax> burst;
    EXPECT_EQ(paced.receive(kPort, burst), dp::kBurstMax) << "not paced yet";
    constexpr double kEach = 20'000;
    const std::uint64_t begin = dp::tsc_now().cycles;
    paced.pace(kEach);
    std::uint64_t given = 0;
    while (given < 2'000) given += paced.receive(kPort, burst);
    const double each = static_cast<double>(dp::tsc_now().cycles - begin) / static_cast<double>(given);
    EXPECT_GE(each, kEach * 0.9);
}

TEST(PacedSource, LatencyBeginsWhenAPacketIsDueAndNotWhenItIsFetched) {
    Endless endless;
    PacedSource paced{endless, 1};
    std::array<dp::Packet, dp::kBurstMax> burst;
    constexpr std::uint64_t kWait = 4'000'000;
    paced.pace(static_cast<double>(kWait) / 1'000);
    wait_cycles(kWait);  // about a thousand are due by now, the first ones for all of it
    ASSERT_EQ(paced.receive(kPort, burst), dp::kBurstMax);
    EXPECT_EQ(paced.send(dp::PortIndex{1}, burst), dp::kBurstMax);
    EXPECT_EQ(paced.latency().total(), dp::kBurstMax);
    EXPECT_GE(paced.latency().quantile(0.1), kWait * 0.8);
}

TEST(PacedSource, WhatOnePortHasNotStaysDueForTheOther) {
    Endless endless;
    PacedSource paced{endless, 1};
    std::array<dp::Packet, dp::kBurstMax> burst;
    paced.pace(10);
    wait_cycles(10'000);
    endless.left[0] = 5;
    EXPECT_EQ(paced.receive(kPort, burst), 5U);
    EXPECT_EQ(paced.send(dp::PortIndex{1}, std::span{burst}.first(5)), 5U);
    EXPECT_EQ(paced.receive(kPort, burst), 0U);
    EXPECT_EQ(paced.receive(dp::PortIndex{1}, burst), dp::kBurstMax);
    EXPECT_EQ(paced.send(kPort, burst), dp::kBurstMax);
    EXPECT_EQ(paced.latency().total(), 5 + dp::kBurstMax);
}

TEST(MixedSource, KeepsTheShares) {
    for (const double share : {0.0, 0.05, 0.4, 1.0}) {
        Endless some, rest;
        MixedSource mixed{some, rest, share};
        std::array<dp::Packet, dp::kBurstMax> burst;
        for (int i = 0; i < 1'000; ++i) ASSERT_EQ(mixed.receive(kPort, burst), dp::kBurstMax);
        EXPECT_NEAR(static_cast<double>(some.made()) / static_cast<double>(mixed.made()), share, 0.002);
    }
}

TEST(MixedSource, GoesOnWithOneWhereTheOtherHasNothing) {
    Endless some, rest;
    some.left = {3, 0};
    MixedSource mixed{some, rest, 0.5};
    std::array<dp::Packet, dp::kBurstMax> burst;
    EXPECT_EQ(mixed.receive(kPort, burst), dp::kBurstMax);
    EXPECT_EQ(some.made(), 3U);
    rest.left = {0, 0};
    EXPECT_EQ(mixed.receive(kPort, burst), 0U);
}

}  // namespace
}  // namespace sluice::bench
