// Packets that the device does not take are drops of the port that they came from.
#include "dataplane/pipeline/tx.hpp"

#include <gtest/gtest.h>

#include "tests/unit/dataplane/pipeline/edge.hpp"

namespace sluice::test {
namespace {

using abi::DropReason;

TEST(Shortage, TxFullAndPortDownAreDropsOfTheArrivalPort) {
    Harness h;
    h.use(edge().build());
    h.io.tx_room[kInside] = 1;
    const auto syn = frame(Ipv4{}, tcp_in(kSyn, 1000));
    EXPECT_EQ(h.send({{kOutside, syn}, {kOutside, syn}, {kOutside, syn}}).size(), 1U);
    EXPECT_EQ(h.drops(kOutside, DropReason::tx_full), 2U);
    h.io.tx_room[kInside] = SIZE_MAX;
    h.io.link[kInside] = false;
    EXPECT_EQ(h.fate(kOutside, syn), "port_down");
    h.io.link[kInside] = true;
    EXPECT_EQ(h.fate(kOutside, syn), "forward");
}

TEST(Shortage, AnswersThatTheDeviceRefusesAreCounted) {
    Harness h;
    h.use(edge().build());
    h.io.tx_room[kOutside] = 0;
    EXPECT_EQ(h.fate(kOutside, frame(Ipv4{}, tcp_in(kSyn, 1, 0, 22))), "policy_reject, tx_full");
    EXPECT_EQ(h.counters().ports[kOutside].originated_packets.read(), 1U);
}

}  // namespace
}  // namespace sluice::test
