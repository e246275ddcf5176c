/// The memory source's conversations against two ends that keep state, as real ones do.
#include "dataplane/port/conversation.hpp"

#include <gtest/gtest.h>

#include <array>

namespace sluice::dp {
namespace {

constexpr std::uint8_t kSyn = 0x02, kAck = 0x10;

/// One end: what it will send next, and what it has received in order.
struct End {
    std::uint32_t next{}, received{};
    bool has_received{};
};

/// Takes a segment from `from` to `to`; false: a real TCP would not have sent it.
bool exchange(End& from, End& to, const ConversationSegment& s) {
    const bool syn = (s.flags & kSyn) != 0;
    if (syn) from.next = s.seq;
    if (s.seq != from.next) return false;
    if (((s.flags & kAck) != 0) != from.has_received) return false;
    if (from.has_received && s.ack != from.received) return false;
    from.next += s.payload_bytes + (syn ? 1U : 0U);
    to.received = from.next;
    to.has_received = true;
    return true;
}

TEST(Conversation, SaysWhatRealEndsWouldSay) {
    // Flow 0 starts at 0 and at the last number, so that both sides wrap; the others stand anywhere.
    for (const std::uint32_t flow : {0U, 1U, 2U, 3U, 77U, 1'000'000U, 9'999'999U}) {
        std::array<End, 2> ends;  // client, server
        for (std::uint64_t round = 0; round < 2'000; ++round) {
            const std::size_t speaker = client_speaks(round, flow) ? 0 : 1;
            ASSERT_TRUE(exchange(ends[speaker], ends[1 - speaker], segment_of(round, flow)))
                << "flow " << flow << ", round " << round;
        }
        EXPECT_EQ(ends[0].next,
                  client_start(flow) + 1 + 999 * kPayloadBytes - ((flow & 1) == 0 ? 0 : 1) * kPayloadBytes);
    }
}

TEST(Conversation, OpensWithAHandshakeAndThenMovesBothWays) {
    EXPECT_EQ(segment_of(0, 5).flags, kSyn);
    EXPECT_EQ(segment_of(1, 5).flags, kSyn | kAck);
    EXPECT_EQ(segment_of(2, 5).flags, kAck);
    for (std::uint64_t round = kHandshakeRounds; round < 20; ++round) {
        EXPECT_NE(client_speaks(round, 4), client_speaks(round, 5));      // half of the flows in each direction
        EXPECT_NE(client_speaks(round, 4), client_speaks(round + 1, 4));  // and each flow in turns
        EXPECT_EQ(segment_of(round, 4).payload_bytes, kPayloadBytes);
    }
}

TEST(Conversation, ALifeOpensTalksAndClosesOnBothSides) {
    constexpr std::uint8_t kFin = 0x01;
    for (const std::uint32_t flow : {0U, 1U, 77U, 9'999'999U}) {
        std::array<End, 2> ends;
        std::array<int, 2> fins{};
        for (std::uint32_t step = 0; step < kLifeSteps; ++step) {
            const std::size_t speaker = client_speaks_at(step) ? 0 : 1;
            const ConversationSegment s = life_segment(step, flow);
            ASSERT_TRUE(exchange(ends[speaker], ends[1 - speaker], s)) << "flow " << flow << ", step " << step;
            if ((s.flags & kFin) == 0) continue;
            ++fins[speaker];
            ++ends[speaker].next;  // a FIN takes a number
            ++ends[1 - speaker].received;
        }
        EXPECT_EQ(fins, (std::array<int, 2>{1, 1}));
        EXPECT_EQ(ends[0].next, client_start(flow) + 2 + kPayloadBytes);
        EXPECT_EQ(ends[1].next, server_start(flow) + 2 + kPayloadBytes);
    }
}

}  // namespace
}  // namespace sluice::dp
