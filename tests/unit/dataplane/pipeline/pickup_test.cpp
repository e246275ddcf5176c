// Flows taken up in mid-stream after a restart (CASES A14, D5, T4, T5, T22).
#include "tests/unit/dataplane/pipeline/tcp_conversation.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;
using abi::FlowState;

template <typename Ip>
class Pickup : public testing::Test {
protected:
    Pickup() { h.use(shop_policy().build()); }
    void say(const std::vector<Said>& rows) { ASSERT_NO_FATAL_FAILURE(test::say<Ip>(h, rows)); }

    Harness h{{.pickup = 30s}};
};
using Families = testing::Types<Ipv4, Ipv6>;
TYPED_TEST_SUITE(Pickup, Families);

TYPED_TEST(Pickup, T4_OffAtAnOrdinaryStart) {
    Harness first;
    first.use(shop_policy().build());
    say<TypeParam>(first,
                   {{kAck, 10, 7000, 9000, kClient, "tcp_no_flow"}, {kSyn | kAck, 0, 1, 1, kShop, "tcp_no_flow"}});
    EXPECT_EQ(first.counters().flow_pickup.read(), 0U);
}

TYPED_TEST(Pickup, T5_TheAllowedDirectionIsPickedUp) {
    this->say({{kAck, 10, 7000, 9000, kClient}, {kAck, 0, 9000, 7010, kShop}});
    EXPECT_EQ(this->h.counters().flow_pickup.read(), 1U);
    EXPECT_EQ(this->h.rule("web-in").hits.read(), 1U);
    EXPECT_EQ(only_state(this->h), FlowState::established);
    this->say(
        {{kFin | kAck, 0, 7010, 9000, kClient}, {kFin | kAck, 0, 9000, 7011, kShop}, {kAck, 0, 7011, 9001, kClient}});
    EXPECT_EQ(only_state(this->h), FlowState::time_wait);
}

TYPED_TEST(Pickup, T5_ADeniedDirectionIsNot) {
    EXPECT_EQ(this->h.fate(kClient, said_frame<TypeParam>({kAck, 10, 7000, 9000, kClient}, 80)), "policy_deny");
    EXPECT_EQ(this->h.flows(), 0U);
}

// A reject in mid-stream would end a connection whose other direction is allowed.
TYPED_TEST(Pickup, ARejectedDirectionIsNotAnswered) {
    EXPECT_EQ(this->h.fate(kClient, said_frame<TypeParam>({kAck, 10, 7000, 9000, kClient}, 22)), "policy_deny");
    EXPECT_EQ(this->h.fate(kClient, said_frame<TypeParam>({kSyn, 0, 7000, 0, kClient}, 22)), "policy_reject+answer");
}

TYPED_TEST(Pickup, T5_NothingIsPickedUpFromSynAckFinOrRst) {
    this->say({{kSyn | kAck, 0, 7000, 9000, kClient, "tcp_bad_flags"},
               {kFin | kAck, 0, 7000, 9000, kClient, "tcp_bad_flags"},
               {kRst, 0, 7000, 0, kClient, "tcp_bad_flags"},
               {kRst | kAck, 0, 7000, 9000, kClient, "tcp_bad_flags"}});
    EXPECT_EQ(this->h.flows(), 0U);
}

TYPED_TEST(Pickup, T22_WindowsAreNotCheckedWhenTheScaleIsNotKnown) {
    this->say(
        {{kAck, 10, 7000, 9000, kClient}, {kAck, 10, 9'000'000, 7010, kShop}, {kAck, 10, 900'000, 9000, kClient}});
    EXPECT_EQ(this->h.counters().tcp_window_unknown.read(), 2U);
    this->say({{kRst, 0, 5, 0, kClient}});  // not exact: without effect
    EXPECT_EQ(only_state(this->h), FlowState::established);
}

TYPED_TEST(Pickup, TheWindowOfTimeEndsAndAPublishDoesNotOpenItAgain) {
    this->h.advance(29s);
    this->h.use(shop_policy().build());
    this->say({{kAck, 10, 7000, 9000, kClient}});
    this->h.advance(1s);
    EXPECT_EQ(this->h.fate(kShop, said_frame<TypeParam>({kAck, 10, 1, 1, kShop}, 80)), "tcp_no_flow");
    this->h.use(shop_policy().build());
    EXPECT_EQ(this->h.fate(kShop, said_frame<TypeParam>({kAck, 10, 1, 1, kShop}, 80)), "tcp_no_flow");
    this->say({{kAck, 0, 9000, 7010, kShop}});  // what was picked up stays
    EXPECT_EQ(this->h.counters().flow_pickup.read(), 1U);
}

// Two packets of one flow in one burst: the first picks it up, the second is its reply or its next.
TYPED_TEST(Pickup, TheBurstsSecondPacketFindsWhatItsFirstHasPickedUp) {
    const auto sent = this->h.send({{kClient, said_frame<TypeParam>({kAck, 10, 7000, 9000, kClient})},
                                    {kClient, said_frame<TypeParam>({kAck, 10, 7010, 9000, kClient})},
                                    {kClient, said_frame<TypeParam>({kFin | kAck, 0, 7020, 9000, kClient})}});
    EXPECT_EQ(sent.size(), 3U);
    EXPECT_EQ(this->h.counters().flow_pickup.read(), 1U);
    EXPECT_EQ(only_state(this->h), FlowState::fin_wait);
}

}  // namespace
}  // namespace sluice::test
