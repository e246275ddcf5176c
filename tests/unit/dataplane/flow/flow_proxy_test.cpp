// What a flow with translated numbers remembers, when its SYN is sent again, and what is known about servers.
#include "dataplane/flow/flow_proxy.hpp"

#include <algorithm>
#include <map>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "dataplane/flow/proxy_timers.hpp"
#include "dataplane/flow/server_habits.hpp"
#include "tests/harness/seed.hpp"

namespace sluice::dp {
namespace {

FlowProxy scaled(std::uint8_t client, std::uint8_t promised, std::uint8_t server) {
    FlowProxy x;
    x.client_wscale = client;
    x.promised_wscale = promised;
    x.server_wscale = server;
    return x;
}

// Whoever scales how: a client never believes in more room than the server has, and believes in all of it up to a unit
// or to what its window field can say. And the other way round.
TEST(FlowProxy, WindowsPromiseWhatIsThere) {
    for (std::uint8_t client = 0; client <= kNoScale; ++client) {
        for (std::uint8_t server = 0; server <= kNoScale; ++server) {
            for (const unsigned wanted : {0U, 2U, 7U, 14U}) {
                const FlowProxy x =
                    scaled(client, client < kNoScale ? static_cast<std::uint8_t>(wanted) : kNoScale, server);
                const bool server_scales = client < kNoScale && server < kNoScale;
                const unsigned promised = client < kNoScale ? wanted : 0;
                for (const std::uint32_t said : {0U, 1U, 100U, 501U, 32'767U, 65'535U}) {
                    const auto window = static_cast<std::uint16_t>(said);
                    const std::uint64_t server_room = std::uint64_t{said} << (server_scales ? server : 0);
                    const std::uint64_t seen = std::uint64_t{x.window_to_client(window, false)} << promised;
                    ASSERT_LE(seen, server_room);
                    ASSERT_GE(seen + (1U << promised), std::min(server_room, std::uint64_t{65'535} << promised));
                    const std::uint64_t client_room = std::uint64_t{said} << (client < kNoScale ? client : 0);
                    const std::uint64_t told = std::uint64_t{x.window_to_server(window)}
                                               << (server_scales ? client : 0);
                    ASSERT_EQ(told, std::min(client_room, server_scales ? client_room : 65'535U));
                    // Of a SYN a window is never scaled.
                    ASSERT_EQ(x.window_to_client(window, true), said >> promised);
                }
            }
        }
    }
}

TEST(FlowProxy, ASegmentIsTrackedAsTheServerSeesIt) {
    FlowProxy x = scaled(7, 7, 9);
    x.cookie = 0x10;
    x.server_isn = 0xfffffff0;
    const TcpSegment data{.flags = 0x10, .seq = 500, .ack = 0x20, .payload_bytes = 3, .window = 9};
    EXPECT_EQ(at_server(x, Direction::original, data).ack, 0U) << "across the wrap";
    EXPECT_EQ(at_server(x, Direction::original, data).seq, 500U);
    EXPECT_EQ(at_server(x, Direction::reply, data).ack, 0x20U);
    const TcpSegment reset{.flags = 0x04, .seq = 500, .ack = 0};
    EXPECT_EQ(at_server(x, Direction::original, reset).ack, 0U) << "it acknowledges nothing";
}

TEST(ProxyTimers, ASynIsSentAgainThreeTimesAndThenGivenUp) {
    ProxyTimers timers{4};
    timers.start(2, 1000);
    std::vector<std::uint32_t> at;
    bool last = false;
    for (std::uint32_t tick = 1000; tick < 5000; ++tick) {
        while (const auto due = timers.take_due(tick)) {
            EXPECT_EQ(due->number, 2U);
            EXPECT_FALSE(last) << "nothing behind the last";
            at.push_back(tick - 1000);
            last = due->last;
        }
    }
    EXPECT_EQ(at, (std::vector<std::uint32_t>{100, 300, 700, 1500}));
    EXPECT_TRUE(last);
    timers.start(1, 0);
    timers.give_up(1, 10);
    const auto due = timers.take_due(10);
    ASSERT_TRUE(due);
    EXPECT_TRUE(due->last);
    EXPECT_FALSE(timers.take_due(10'000));
}

// Against the obvious: a map of times.
TEST(ProxyTimers, WhateverComesAndGoes) {
    const std::uint64_t s = test::seed_of_this_run();
    SCOPED_TRACE("SEED=" + std::to_string(s));
    std::mt19937_64 random{s};
    constexpr std::uint32_t kCount = 16;
    ProxyTimers timers{kCount};
    struct Plain {
        std::uint32_t due, sent;
    };
    std::map<std::uint32_t, Plain> plain;
    std::uint32_t now = 0xffffff00;  // ticks wrap on the way
    for (int step = 0; step < 50'000; ++step) {
        const auto n = static_cast<std::uint32_t>(random() % kCount);
        switch (random() % 3) {
            case 0:
                timers.start(n, now);
                plain[n] = {now + 100, 0};
                break;
            case 1:
                timers.stop(n);
                plain.erase(n);
                break;
            default: now += static_cast<std::uint32_t>(random() % 40);
        }
        while (const auto due = timers.take_due(now)) {
            const auto found = plain.find(due->number);
            ASSERT_NE(found, plain.end());
            Plain& p = found->second;
            ASSERT_GE(static_cast<std::int32_t>(now - p.due), 0);
            ASSERT_EQ(due->last, p.sent == 3);
            p.due = now + (200U << p.sent++);
            if (due->last) plain.erase(found);
        }
        for (const auto& [number, p] : plain) ASSERT_LT(static_cast<std::int32_t>(now - p.due), 0) << number;
    }
}

TEST(ServerHabits, WhatIsLearnedStaysUntilItIsSeenOtherwise) {
    HabitTable table{HashSecret{1, 2}};
    ServerName shop{.address = {198, 51, 100, 80}, .port = 0xbb01, .domain = FlowDomain{0}, .family = 4};
    ServerName mail = shop;
    mail.port = 0x1900;
    EXPECT_EQ(table.find(shop).mss, 0U);
    table.learn(shop, {1400, Habit::unknown, Habit::does});
    table.learn(mail, {1220, Habit::does_not, Habit::unknown});
    EXPECT_EQ(table.find(shop).mss, 1400U);
    EXPECT_EQ(table.find(shop).timestamps, Habit::does);
    EXPECT_EQ(table.find(shop).sack, Habit::unknown);
    EXPECT_EQ(table.find(mail).mss, 1220U);
    table.learn(shop, {0, Habit::does, Habit::does_not});
    EXPECT_EQ(table.find(shop).mss, 1400U);
    EXPECT_EQ(table.find(shop).timestamps, Habit::does_not);
}

TEST(ServerHabits, APromiseIsWhatThePolicyWantsAndTheServerDoes) {
    using abi::SynPromise;
    const std::array seen{Habit::unknown, Habit::does, Habit::does_not};
    const std::array<std::array<bool, 3>, 3> expected{
        {{false, false, false}, {true, true, false}, {false, true, false}}};
    for (std::size_t wanted = 0; wanted < 3; ++wanted) {
        for (std::size_t k = 0; k < 3; ++k) {
            EXPECT_EQ(promises(static_cast<SynPromise>(wanted), seen[k]), expected[wanted][k]) << wanted << " " << k;
        }
    }
}

}  // namespace
}  // namespace sluice::dp
