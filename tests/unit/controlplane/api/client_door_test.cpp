#include "controlplane/api/client_door.hpp"

#include <list>
#include <optional>

#include <gtest/gtest.h>

namespace sluice::cp::api {
namespace {

using namespace std::chrono_literals;
using Refusal = ClientDoor::Refusal;

TEST(ClientAddress, IsTheAddressOrTheNetworkThatOneHas) {
    EXPECT_EQ(client_address("198.51.100.7"), "198.51.100.7");
    EXPECT_EQ(client_address("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
    EXPECT_EQ(client_address("2001:db8:1:2::1"), client_address("2001:db8:1:2:ffff::9"));
    EXPECT_NE(client_address("2001:db8:1:2::1"), client_address("2001:db8:1:3::1"));
    EXPECT_EQ(client_address("::ffff:198.51.100.7"), "198.51.100.7");
    EXPECT_EQ(client_address("fe80::1%eth0"), "fe80::/64");
    EXPECT_EQ(client_address("unknown"), "unknown");
}

TEST(ClientDoor, OneAddressTakesItsOwnPlacesAndNobodyElses) {
    ClientDoor door{{.connections = 5, .connections_per_address = 2}};
    std::list<ClientDoor::Place> places;
    const auto enter = [&](const char* address) {
        auto place = door.enter(address);
        if (place) places.push_back(std::move(*place));
        return place ? std::nullopt : std::optional{place.error()};
    };
    EXPECT_FALSE(enter("a"));
    EXPECT_FALSE(enter("a"));
    for (int i = 0; i < 1000; ++i) EXPECT_EQ(enter("a"), Refusal::too_many_of_address);
    EXPECT_FALSE(enter("b"));
    EXPECT_EQ(door.connections(), 3U);
    places.pop_front();
    EXPECT_EQ(door.connections(), 2U);
    EXPECT_FALSE(enter("a"));
    EXPECT_FALSE(enter("b"));
    EXPECT_FALSE(enter("c"));
    EXPECT_EQ(enter("d"), Refusal::too_many);
    EXPECT_EQ(door.connections(), 5U);
    places.clear();
    EXPECT_EQ(door.connections(), 0U);
}

TEST(ClientDoor, APlaceIsLeftOnceWhateverItIsMovedThrough) {
    ClientDoor door{{.connections = 2, .connections_per_address = 2}};
    {
        auto first = *door.enter("a");
        const ClientDoor::Place second{std::move(first)};
        EXPECT_EQ(second.address(), "a");
        EXPECT_EQ(door.connections(), 1U);
    }
    EXPECT_EQ(door.connections(), 0U);
    EXPECT_EQ(door.enter("a")->address(), "a");
    EXPECT_EQ(door.connections(), 0U) << "nobody kept it";
}

// Whoever has many addresses takes all places, and can't keep them.
TEST(ClientDoor, TheStrangerWhoCameFirstGoesForTheOneWhoComes) {
    ClientDoor door{{.connections = 3, .connections_per_address = 2}};
    std::string closed;
    const auto enter = [&](const char* name) {
        auto place = door.enter(name);
        if (place) place->may_be_wanted([&closed, name] { closed += name; });
        return place;
    };
    auto known = *enter("a");
    known.stays();
    std::optional<ClientDoor::Place> first{*enter("b")}, second{*enter("c")};
    EXPECT_EQ(closed, "");
    {
        const auto third = enter("d");
        ASSERT_TRUE(third);
        EXPECT_EQ(closed, "b");
        EXPECT_EQ(door.connections(), 3U);
        EXPECT_EQ(door.enter("a")->address(), "a");
        EXPECT_EQ(closed, "bc");
        EXPECT_EQ(door.connections(), 2U);
        EXPECT_EQ(door.taken_away(), 2U);
    }
    first.reset();
    second.reset();
    EXPECT_EQ(door.connections(), 1U) << "what was taken away is not given back a second time";
    auto again = *enter("b"), more = *enter("b");
    EXPECT_EQ(enter("b").error(), Refusal::too_many_of_address);
    EXPECT_EQ(closed, "bc") << "who has as many as may be has none closed for one more";
    again.stays();
    more.stays();
    EXPECT_EQ(enter("c").error(), Refusal::too_many) << "nobody is a stranger";
    EXPECT_EQ(closed, "bc");
}

TEST(ClientDoor, EachClientHasItsOwnPace) {
    ClientDoor door{{.connections = 1, .connections_per_address = 1, .requests_per_second = 100}};
    AttemptLimit::Time now{};
    const ClientDoor::Client a{true, "a"}, b{true, "b"}, stranger{false, "a"};
    for (int i = 0; i < 200; ++i) EXPECT_TRUE(door.may_ask(a, now)) << i;
    EXPECT_FALSE(door.may_ask(a, now));
    EXPECT_TRUE(door.may_ask(b, now));
    EXPECT_TRUE(door.may_ask(stranger, now)) << "who only calls itself so";
    EXPECT_EQ(door.wait(a, now), 1s);
    now += 1s;
    for (int i = 0; i < 100; ++i) EXPECT_TRUE(door.may_ask(a, now)) << i;
    EXPECT_FALSE(door.may_ask(a, now)) << "a hundred a second, in the long run";
}

// Whoever has a /48 has 65,536 networks to ask from: beyond a number of them they share a bucket, and nobody else does.
TEST(ClientDoor, StrangersOfManyAddressesTakeNobodysPace) {
    ClientDoor door{{.connections = 1, .connections_per_address = 1, .requests_per_second = 100}};
    const AttemptLimit::Time now{};
    int turned_away = 0;
    for (int i = 0; i < 10'000; ++i) turned_away += door.may_ask({false, std::to_string(i)}, now) ? 0 : 1;
    EXPECT_GT(turned_away, 5'000);
    EXPECT_TRUE(door.may_ask({true, "token:anna/1"}, now));
    EXPECT_TRUE(door.may_ask({true, "token:bert/2"}, now));
}

TEST(ClientDoor, WithoutAPaceEverybodyMay) {
    ClientDoor door{{.connections = 1, .connections_per_address = 1}};
    for (int i = 0; i < 10'000; ++i) EXPECT_TRUE(door.may_ask({false, "a"}, {}));
}

}  // namespace
}  // namespace sluice::cp::api
