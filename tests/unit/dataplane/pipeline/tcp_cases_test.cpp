// The TCP cases by their ids, through a whole worker. Phases and windows in depth: tests/unit/dataplane/flow/tcp_*.
#include "tests/unit/dataplane/pipeline/tcp_conversation.hpp"

namespace sluice::test {
namespace {

using abi::FlowState;

template <typename Ip>
class TcpCases : public testing::Test {
protected:
    TcpCases() { h.use(shop_policy().build()); }
    void say(const std::vector<Said>& rows) { ASSERT_NO_FATAL_FAILURE(test::say<Ip>(h, rows)); }
    void connect(std::uint16_t win = kWindow) { ASSERT_NO_FATAL_FAILURE(test::connect<Ip>(h, win)); }

    Harness h;
};
using Families = testing::Types<Ipv4, Ipv6>;
TYPED_TEST_SUITE(TcpCases, Families);

TYPED_TEST(TcpCases, T7_SynAckWithWrongAckThenTheRightOne) {
    this->say({{kSyn, 0, 1000, 0, kClient},
               {kSyn | kAck, 0, 5000, 999, kShop, "tcp_bad_ack"},
               {kSyn | kAck, 0, 5000, 1001, kShop},
               {kAck, 0, 1001, 5001, kClient}});
    EXPECT_EQ(only_state(this->h), FlowState::established);
}

TYPED_TEST(TcpCases, T8_ChallengeAckOfAnOldIncarnation) {
    this->say({{kSyn, 0, 1000, 0, kClient},
               {kAck, 0, 90'000, 80'000, kShop},
               {kRst, 0, 80'000, 0, kClient},
               {kSyn, 0, 1000, 0, kClient},
               {kSyn | kAck, 0, 5000, 1001, kShop},
               {kAck, 0, 1001, 5001, kClient}});
    EXPECT_EQ(only_state(this->h), FlowState::established);
    EXPECT_EQ(this->h.counters().tcp_inexact_rst.read(), 0U);
    EXPECT_EQ(this->h.counters().flow_reopen.read(), 0U);
}

TYPED_TEST(TcpCases, T9_SynOnALiveFlowThenChallengeAckRstSyn) {
    this->connect();
    this->say({{kSyn, 0, 77'000, 0, kClient},
               {kAck, 0, 5001, 1001, kShop},
               {kAck, 10, 1001, 5001, kClient},  // the flow is as it was
               {kAck, 0, 5001, 1011, kShop},
               {kRst, 0, 1011, 0, kClient},
               {kSyn, 0, 77'000, 0, kClient},
               {kSyn | kAck, 0, 8000, 77'001, kShop},
               {kAck, 0, 77'001, 8001, kClient}});
    EXPECT_EQ(only_state(this->h), FlowState::established);
    EXPECT_EQ(this->h.counters().flow_reopen.read(), 1U);
}

// Both ends have forgotten the connection (a reboot, a power cut), while the firewall has not.
TYPED_TEST(TcpCases, D2_T9_BothEndsAreReborn) {
    this->connect();
    this->say({{kAck, 100, 1001, 5001, kClient},
               {kSyn, 0, 600'000, 0, kClient},
               {kSyn | kAck, 0, 900'000, 600'001, kShop},
               {kAck, 0, 600'001, 900'001, kClient},
               {kAck, 100, 900'001, 600'001, kShop},
               {kAck, 10, 1101, 5001, kClient, "tcp_out_of_window"}});  // of the old one
    EXPECT_EQ(only_state(this->h), FlowState::established);
    EXPECT_EQ(this->h.counters().flow_reopen.read(), 1U);
}

// And the new numbers are some that the old connection has used: what both offer tells that this is no repetition.
TYPED_TEST(TcpCases, D2_T9_BothEndsAreRebornWithNumbersOfTheOldConnection) {
    const Bytes scale1{3, 3, 1, 1}, scale7{3, 3, 7, 1};
    this->say({{kSyn, 0, 1000, 0, kClient, "forward", kWindow, scale7},
               {kSyn | kAck, 0, 5000, 1001, kShop, "forward", kWindow, scale7},
               {kAck, 0, 1001, 5001, kClient, "forward", 16'384},
               {kSyn, 0, 600, 0, kClient, "forward", 16'384, scale1},
               {kSyn | kAck, 0, 4600, 601, kShop, "forward", kWindow, scale7},
               {kAck, 0, 601, 4601, kClient, "forward", 16'384},
               {kAck, 100, 4601 + 130'000, 601, kShop, "tcp_out_of_window"}});
    EXPECT_EQ(only_state(this->h), FlowState::established);
    EXPECT_EQ(this->h.counters().flow_reopen.read(), 1U);
}

TYPED_TEST(TcpCases, D2_T9_BothEndsAreRebornWithNumbersOfTheOldConnectionAndScaleNoMore) {
    const Bytes scale7{3, 3, 7, 1};
    this->say({{kSyn, 0, 1000, 0, kClient, "forward", kWindow, scale7},
               {kSyn | kAck, 0, 5000, 1001, kShop, "forward", kWindow, scale7},
               {kAck, 0, 1001, 5001, kClient, "forward", 16'384},
               {kSyn, 0, 600, 0, kClient, "forward", 16'384},
               {kSyn | kAck, 0, 4600, 601, kShop},
               {kAck, 0, 601, 4601, kClient, "forward", 16'384},
               {kAck, 100, 4601 + 130'000, 601, kShop, "tcp_out_of_window"}});
    EXPECT_EQ(this->h.counters().flow_reopen.read(), 1U);
}

// And nobody listens there any more: the client hears it at once, and the flow is left to its timer.
TYPED_TEST(TcpCases, D2_T15_ARefusalOfTheLateSynReachesTheClient) {
    this->connect();
    this->say({{kSyn, 0, 600'000, 0, kClient},
               {kRst | kAck, 0, 0, 600'002, kShop, "tcp_bad_rst"},
               {kRst | kAck, 0, 0, 600'001, kShop},
               {kAck, 10, 1001, 5001, kClient}});
    EXPECT_EQ(only_state(this->h), FlowState::established);
    EXPECT_EQ(this->h.counters().tcp_inexact_rst.read(), 0U);
}

// Its client has given up then (RFC 9293 section 3.10.7.3): nothing that comes after the refusal agrees to that SYN.
TYPED_TEST(TcpCases, D2_D3_AgreementAfterARefusalBeginsNothing) {
    for (const std::uint32_t seq : {0U, 5001U + 100U}) {  // anywhere, and in the old connection's window
        SCOPED_TRACE(seq);
        Harness h;
        h.use(shop_policy().build());
        ASSERT_NO_FATAL_FAILURE(connect<TypeParam>(h));
        say<TypeParam>(h, {{kSyn, 0, 600'000, 0, kClient},
                           {kRst | kAck, 0, seq, 600'001, kShop},
                           {kSyn | kAck, 0, 900'000, 600'001, kShop, "tcp_bad_flags"},
                           {kAck, 10, 1001, 5001, kClient}});
        EXPECT_EQ(only_state(h), FlowState::established);
        EXPECT_EQ(h.counters().flow_reopen.read(), 0U);
        say<TypeParam>(h, {{kSyn, 0, 600'000, 0, kClient}, {kSyn | kAck, 0, 900'000, 600'001, kShop}});
        EXPECT_EQ(h.counters().flow_reopen.read(), 1U) << "asked again, and agreed";
    }
}

// Before the server has spoken, a second SYN with another number is a forgery or a new attempt: both may be answered.
TYPED_TEST(TcpCases, T7_AForgedSecondSynDoesNotHinderTheFirst) {
    this->say({{kSyn, 0, 1000, 0, kClient},
               {kSyn, 0, 66'000, 0, kClient},
               {kSyn | kAck, 0, 5000, 1001, kShop},
               {kAck, 0, 1001, 5001, kClient},
               {kAck, 10, 1001, 5001, kClient}});
    EXPECT_EQ(only_state(this->h), FlowState::established);
    EXPECT_EQ(this->h.counters().flow_reopen.read(), 0U);
}

TYPED_TEST(TcpCases, T7_ASecondAttemptWithAnotherNumberIsAnswered) {
    this->say({{kSyn, 0, 66'000, 0, kClient},
               {kSyn, 0, 1000, 0, kClient},
               {kSyn, 0, 1000, 0, kClient},
               {kSyn | kAck, 0, 5000, 1001, kShop},
               {kAck, 0, 1001, 5001, kClient},
               {kAck, 10, 5001, 1001, kShop}});
    EXPECT_EQ(only_state(this->h), FlowState::established);
    EXPECT_EQ(this->h.counters().flow_reopen.read(), 1U);
}

// A server that keeps nothing before the handshake is over (SYN cookies) answers a repeated SYN with another number; so
// does who forges an answer. Which of the two reached the client shows when it acknowledges one.
TYPED_TEST(TcpCases, T7_OfTwoSynAcksTheClientTakesTheFirst) {
    this->say({{kSyn, 0, 1000, 0, kClient},
               {kSyn | kAck, 0, 5000, 1001, kShop},
               {kSyn, 0, 1000, 0, kClient},
               {kSyn | kAck, 0, 900'000, 1001, kShop},
               {kAck, 0, 1001, 7001, kClient, "tcp_bad_ack"},
               {kAck, 0, 1001, 5001, kClient},
               {kAck, 10, 5001, 1001, kShop},
               {kAck, 10, 900'001, 1001, kShop, "tcp_out_of_window"}});
    EXPECT_EQ(only_state(this->h), FlowState::established);
}

TYPED_TEST(TcpCases, T7_OfTwoSynAcksTheClientTakesTheLast) {
    this->say({{kSyn, 0, 1000, 0, kClient},
               {kSyn | kAck, 0, 5000, 1001, kShop},
               {kSyn | kAck, 0, 900'000, 1001, kShop},
               {kAck, 0, 1001, 900'001, kClient},
               {kAck, 10, 5001, 1001, kShop, "tcp_out_of_window"},
               {kAck, 10, 900'001, 1001, kShop}});
    EXPECT_EQ(only_state(this->h), FlowState::established);
}

// The answer was lost behind us, or the handshake's last segment before us: what comes again is no new connection.
TYPED_TEST(TcpCases, D2_ARepeatedHandshakeBeginsNothing) {
    this->h.use(shop_policy(abi::RuleLog::both).build());
    this->say({{kSyn, 0, 1000, 0, kClient},
               {kSyn | kAck, 0, 5000, 1001, kShop},
               {kSyn, 0, 1000, 0, kClient},
               {kSyn | kAck, 0, 5000, 1001, kShop},
               {kAck, 0, 1001, 5001, kClient},
               {kSyn, 0, 1000, 0, kClient},
               {kSyn | kAck, 0, 5000, 1001, kShop},
               {kAck, 10, 1001, 5001, kClient}});
    EXPECT_EQ(only_state(this->h), FlowState::established);
    EXPECT_EQ(this->h.counters().flow_reopen.read(), 0U);
    EXPECT_EQ(this->h.counters().flows_created.read(), 1U);
    EXPECT_EQ(this->h.rule("web-in").hits.read(), 1U);
    EXPECT_EQ(this->h.events().size(), 1U);
}

// Nor is it where windows scale, also if one of the two lacks the option when it comes again.
TYPED_TEST(TcpCases, D2_ARepeatedHandshakeOfAFlowThatScalesBeginsNothing) {
    const Bytes scale3{3, 3, 3, 1}, scale7{3, 3, 7, 1};
    this->say({{kSyn, 0, 1000, 0, kClient, "forward", kWindow, scale7},
               {kSyn | kAck, 0, 5000, 1001, kShop, "forward", kWindow, scale3},
               {kAck, 0, 1001, 5001, kClient}});
    for (const auto& [again, answer] :
         {std::pair{scale7, scale3}, std::pair{Bytes{}, scale3}, std::pair{scale7, Bytes{}}})
        this->say({{kSyn, 0, 1000, 0, kClient, "forward", kWindow, again},
                   {kSyn | kAck, 0, 5000, 1001, kShop, "forward", kWindow, answer},
                   {kAck, 10, 1001, 5001, kClient}});
    EXPECT_EQ(only_state(this->h), FlowState::established);
    EXPECT_EQ(this->h.counters().flow_reopen.read(), 0U);
}

// The SYN that came again asks for nothing new, so nothing can agree to it: the client is connected and ignores that.
TYPED_TEST(TcpCases, D2_ARepeatedSynCantBeAgreedToLater) {
    this->say({{kSyn, 0, 1000, 0, kClient},
               {kSyn | kAck, 0, 5000, 1001, kShop},
               {kSyn, 0, 1000, 0, kClient},
               {kAck, 0, 1001, 5001, kClient},
               {kAck, 10, 5001, 1001, kShop},
               {kSyn | kAck, 0, 5011, 1001, kShop, "tcp_bad_flags"},
               {kAck, 10, 1001, 5011, kClient}});
    EXPECT_EQ(only_state(this->h), FlowState::established);
    EXPECT_EQ(this->h.counters().flow_reopen.read(), 0U);
}

// However many are forged behind it, the first one stays, and the last one.
TYPED_TEST(TcpCases, T7_OfManySynAcksTheFirstAndTheLastCount) {
    this->say({{kSyn, 0, 1000, 0, kClient},
               {kSyn | kAck, 0, 5000, 1001, kShop},
               {kSyn | kAck, 0, 900'000, 1001, kShop},
               {kSyn | kAck, 0, 800'000, 1001, kShop},
               {kAck, 0, 1001, 900'001, kClient, "tcp_bad_ack"},
               {kSyn | kAck, 0, 5000, 1001, kShop},
               {kAck, 0, 1001, 800'001, kClient}});
    EXPECT_EQ(only_state(this->h), FlowState::established);
}

TYPED_TEST(TcpCases, T7_D1_TheServerOfTheFirstSynAckMayReset) {
    this->say({{kSyn, 0, 1000, 0, kClient},
               {kSyn | kAck, 0, 5000, 1001, kShop},
               {kSyn | kAck, 0, 900'000, 1001, kShop},
               {kRst, 0, 400'000, 0, kShop, "tcp_bad_rst"},
               {kRst, 0, 5001, 0, kShop}});
    EXPECT_EQ(only_state(this->h), FlowState::closed);
}

TYPED_TEST(TcpCases, T7_AnotherFlowsSynAcksAreForgottenWithIt) {
    this->say({{kSyn, 0, 1000, 0, kClient},
               {kSyn | kAck, 0, 5000, 1001, kShop},
               {kSyn | kAck, 0, 900'000, 1001, kShop},
               {kRst, 0, 900'001, 0, kShop},
               {kSyn, 0, 2000, 0, kClient},
               {kSyn | kAck, 0, 60'000, 2001, kShop},
               {kAck, 0, 2001, 5001, kClient, "tcp_bad_ack"},
               {kAck, 0, 2001, 60'001, kClient}});
}

TYPED_TEST(TcpCases, T15_ASecondAttemptThatIsRefusedHearsIt) {
    this->say({{kSyn, 0, 66'000, 0, kClient},
               {kSyn, 0, 1000, 0, kClient},
               {kRst | kAck, 0, 0, 999, kShop, "tcp_bad_rst"},
               {kRst | kAck, 0, 0, 1001, kShop}});
    EXPECT_EQ(only_state(this->h), FlowState::syn_sent);
    this->say({{kRst | kAck, 0, 0, 66'001, kShop}});
    EXPECT_EQ(only_state(this->h), FlowState::closed);
}

// D3: what no rule allows can't make us forget a flow that a RST has closed, or one in TIME-WAIT.
TYPED_TEST(TcpCases, D3_ASynThatNoRuleAllowsLeavesAnEndedFlowAlone) {
    PolicyBuilder p;
    p.zone("outside", {"p0"}).zone("inside", {"p1"});
    p.rule(
        {.id = "web-in", .from = {"outside"}, .to = {"inside"}, .service = {"tcp/443"}, .action = cp::Action::allow});
    this->h.use(p.build());
    this->connect();
    this->say({{kFin | kAck, 0, 1001, 5001, kClient},
               {kFin | kAck, 0, 5001, 1002, kShop},
               {kAck, 0, 1002, 5002, kClient},
               {kSyn, 0, 700'000, 0, kShop, "policy_deny"}});
    EXPECT_EQ(only_state(this->h), FlowState::time_wait);
    this->say({{kAck, 0, 1002, 5002, kClient}, {kRst, 0, 1002, 0, kClient}});
    EXPECT_EQ(only_state(this->h), FlowState::closed);
    this->say({{kSyn, 0, 700'000, 0, kShop, "policy_deny"}, {kAck, 0, 1002, 5002, kClient, "tcp_closed"}});
    EXPECT_EQ(only_state(this->h), FlowState::closed);
    EXPECT_EQ(this->h.counters().flow_reopen.read(), 0U);
    this->say({{kSyn, 0, 2000, 0, kClient}});
    EXPECT_EQ(only_state(this->h), FlowState::syn_sent);
    EXPECT_EQ(this->h.counters().flow_reopen.read(), 1U);
}

// T27: a burst is what its packets are one by one. Behind the SYN that opens the flow anew, a straggler of the old
// connection is the new one's.
TYPED_TEST(TcpCases, T27_AStragglerBehindTheNewSynMeetsTheNewFlow) {
    this->h.use(shop_policy().build());
    this->connect();
    this->say(
        {{kFin | kAck, 0, 1001, 5001, kClient}, {kFin | kAck, 0, 5001, 1002, kShop}, {kAck, 0, 1002, 5002, kClient}});
    const auto sent = this->h.send({{kClient, said_frame<TypeParam>({kSyn, 0, 700'000, 0, kClient})},
                                    {kClient, said_frame<TypeParam>({kAck, 0, 1002, 5002, kClient})}});
    EXPECT_EQ(sent.size(), 1U);
    EXPECT_EQ(this->h.drops(abi::DropReason::tcp_bad_ack), 1U);
    EXPECT_EQ(only_state(this->h), FlowState::syn_sent);
}

// D2, the other end: the shop knows nothing of the old connection and simply accepts the new one.
TYPED_TEST(TcpCases, D2_TheFlowBeginsAnewWhenThePeerAgrees) {
    this->h.use(shop_policy(abi::RuleLog::both).build());
    this->connect();
    this->say({{kAck, 100, 1001, 5001, kClient},
               {kSyn, 0, 77'000, 0, kClient},
               {kSyn | kAck, 0, 8000, 66'001, kShop, "tcp_bad_flags"},
               {kSyn | kAck, 0, 8000, 77'001, kShop}});
    EXPECT_EQ(only_state(this->h), FlowState::syn_received);
    this->say({{kAck, 0, 77'001, 8001, kClient}, {kAck, 10, 77'001, 8001, kClient}, {kAck, 0, 8001, 77'011, kShop}});
    EXPECT_EQ(only_state(this->h), FlowState::established);
    EXPECT_EQ(this->h.counters().flow_reopen.read(), 1U);
    EXPECT_EQ(this->h.counters().flows_created.read(), 2U);
    EXPECT_EQ(this->h.counters().flows_closed.read(), 1U);
    EXPECT_EQ(this->h.rule("web-in").hits.read(), 2U) << "hits are flows";
    const auto events = this->h.events();
    ASSERT_EQ(events.size(), 4U);  // a start, the drop, and these
    EXPECT_EQ(events[2].kind, abi::EventKind::flow_end);
    EXPECT_EQ(events[2].end, abi::FlowEnd::reused);
    EXPECT_EQ(events[2].packets[0], 4U);
    EXPECT_EQ(events[3].kind, abi::EventKind::flow_start);
    EXPECT_EQ(events[3].dport, abi::L4Port::of_host(443)) << "in the original direction";
    EXPECT_EQ(this->h.dump()[0].packets[0], 2U) << "counters begin anew";
    EXPECT_EQ(this->h.dump()[0].packets[1], 2U);
}

TYPED_TEST(TcpCases, D2_ASynOfTheReplySideAndAnAgreementToNothingAreDropped) {
    this->connect();
    this->say({{kSyn, 0, 77'000, 0, kShop, "tcp_bad_flags"},
               {kSyn | kAck, 0, 8000, 77'001, kShop, "tcp_bad_flags"},
               {kSyn | kAck, 0, 8000, 77'001, kClient, "tcp_bad_flags"}});
}

TYPED_TEST(TcpCases, D2_ALateSynIsForgottenWithItsFlow) {
    this->connect();
    this->say({{kSyn, 0, 77'000, 0, kClient},
               {kRst, 0, 1001, 0, kClient},
               {kSyn, 0, 3000, 0, kClient},
               {kSyn | kAck, 0, 8000, 77'001, kShop, "tcp_bad_ack"},
               {kSyn | kAck, 0, 8000, 3001, kShop}});
}

TYPED_TEST(TcpCases, T10_ResetsExactFarAwayAndBelow) {
    this->connect();
    this->say({{kRst, 0, 1001 + 500'000, 0, kClient, "tcp_bad_rst"},
               {kRst, 0, 900, 0, kClient, "tcp_bad_rst"},
               {kRst | kAck, 0, 5001 + 500'000, 1001, kShop, "tcp_bad_rst"},
               {kRst, 0, 1001, 0, kClient}});
    EXPECT_EQ(only_state(this->h), FlowState::closed);
}

TYPED_TEST(TcpCases, D3_NothingButASynPassesAfterAReset) {
    this->connect();
    this->say({{kRst, 0, 1001, 0, kClient},
               {kAck, 10, 1001, 5001, kClient, "tcp_closed"},
               {kAck, 10, 5001, 1001, kShop, "tcp_closed"},
               {kSyn, 0, 9000, 0, kClient}});
    EXPECT_EQ(this->h.counters().flow_reopen.read(), 1U);
}

TYPED_TEST(TcpCases, D11_OvershootIsCounted) {
    this->connect(1024);
    this->say(
        {{kAck, 24, 3001, 5001, kClient, "forward", 1024}, {kAck, 1, 4001, 5001, kClient, "tcp_out_of_window", 1024}});
    EXPECT_EQ(this->h.counters().tcp_overshoot.read(), 1U);
}

TYPED_TEST(TcpCases, T13_ResetBeforeAGapThenTheSamePortsAgain) {
    this->connect();
    this->say({{kAck, 100, 2461, 5001, kClient},
               {kAck, 0, 5001, 1001, kShop},
               {kRst, 0, 1001, 0, kClient},
               {kSyn, 0, 60'000, 0, kClient},
               {kSyn | kAck, 0, 9000, 60'001, kShop}});
    EXPECT_EQ(this->h.counters().flow_reopen.read(), 1U);
}

TYPED_TEST(TcpCases, T14_InexactResetBehindBothFins) {
    this->connect();
    this->say({{kFin | kAck, 0, 1001, 5001, kClient},
               {kFin | kAck, 0, 5001, 1002, kShop},
               {kRst, 0, 1010, 0, kClient},
               {kAck, 0, 1002, 5002, kClient}});
    EXPECT_EQ(only_state(this->h), FlowState::time_wait);
    EXPECT_EQ(this->h.counters().tcp_inexact_rst.read(), 0U);
}

TYPED_TEST(TcpCases, T15_ResetThatAnswersASyn) {
    this->say({{kSyn, 0, 1000, 0, kClient},
               {kRst | kAck, 0, 0, 1002, kShop, "tcp_bad_rst"},
               {kRst | kAck, 0, 0, 1001, kShop}});
    EXPECT_EQ(only_state(this->h), FlowState::closed);
}

TYPED_TEST(TcpCases, T16_T17_OutOfTheWindow) {
    this->connect();
    this->say({{kAck, 100, 201'001, 5001, kClient, "tcp_out_of_window"},
               {kAck, 100, 61'001, 5001, kClient},
               {kAck, 0, 61'101, 1'005'001, kClient, "tcp_bad_ack"}});
}

TYPED_TEST(TcpCases, T18_RetransmissionOfAcknowledgedData) {
    this->connect();
    std::vector<Said> rows;
    for (std::uint32_t n = 0; n < 60; ++n) {
        rows.push_back({kAck, 1400, 1001 + n * 1460, 5001, kClient});
        rows.push_back({kAck, 0, 5001, 1001 + n * 1460 + 1400, kShop});
    }
    for (std::uint32_t n = 0; n < 60; ++n) rows.push_back({kAck, 1400, 1001 + n * 1460, 5001, kClient});
    this->say(rows);
}

TYPED_TEST(TcpCases, T19_OutOfOrderAckLostAckRepeatedFinOutOfWindow) {
    this->connect(8192);
    this->say({{kAck, 1000, 1001, 5001, kClient},
               {kAck, 1000, 2001, 5001, kClient},
               {kAck, 0, 5001, 3001, kShop},
               {kAck, 0, 5001, 2001, kShop},
               {kAck, 1000, 3001, 5001, kClient},
               {kFin | kAck, 0, 4001, 5001, kClient},
               {kFin | kAck, 0, 4001, 5001, kClient},
               {kAck, 0, 5001, 4002, kShop},
               {kAck, 100, 305'001, 4002, kShop, "tcp_out_of_window"}});
}

TYPED_TEST(TcpCases, T20_ScaledWindows) {
    const Bytes scale7{3, 3, 7, 1};
    this->say({{kSyn, 0, 1000, 0, kClient, "forward", 64'000, scale7},
               {kSyn | kAck, 0, 5000, 1001, kShop, "forward", 64'000, scale7},
               {kAck, 0, 1001, 5001, kClient, "forward", 1000},
               {kAck, 0, 5001, 1001, kShop, "forward", 1000},
               {kAck, 100, 101'001, 5001, kClient, "forward", 1000}});
    EXPECT_EQ(this->h.counters().tcp_overshoot.read(), 0U);
}

TYPED_TEST(TcpCases, T23_NumbersWrap) {
    this->say({{kSyn, 0, 0xfffffff0, 0, kClient},
               {kSyn | kAck, 0, 0xffffff00, 0xfffffff1, kShop},
               {kAck, 0, 0xfffffff1, 0xffffff01, kClient},
               {kAck, 1000, 0xfffffff1, 0xffffff01, kClient},
               {kAck, 1000, 0xffffff01, 985, kShop},
               {kAck, 0, 985, 745, kClient},
               {kAck, 0, 985, 746, kClient, "tcp_bad_ack"}});
}

TYPED_TEST(TcpCases, T24_SimultaneousOpen) {
    this->say({{kSyn, 0, 1000, 0, kClient},
               {kSyn, 0, 5000, 0, kShop},
               {kSyn | kAck, 0, 1000, 5001, kClient},
               {kSyn | kAck, 0, 5000, 1001, kShop},
               {kAck, 10, 1001, 5001, kClient},
               {kAck, 10, 5001, 1011, kShop}});
    EXPECT_EQ(only_state(this->h), FlowState::established);
}

TYPED_TEST(TcpCases, D12_SplitHandshake) {
    this->say({{kSyn, 0, 1000, 0, kClient},
               {kAck, 0, 5001, 1001, kShop},
               {kSyn, 0, 5000, 0, kShop},
               {kSyn | kAck, 0, 1000, 5001, kClient},
               {kAck, 0, 5001, 1001, kShop}});
    const auto flows = this->h.dump();
    ASSERT_EQ(flows.size(), 1U);
    EXPECT_EQ(flows[0].state, FlowState::established);
    EXPECT_EQ(flows[0].dport, abi::L4Port::of_host(443)) << "the roles never flip";
}

TYPED_TEST(TcpCases, T27_TimeWaitIsReused) {
    this->connect();
    this->say({{kFin | kAck, 0, 1001, 5001, kClient},
               {kFin | kAck, 0, 5001, 1002, kShop},
               {kAck, 0, 1002, 5002, kClient},
               {kSyn, 0, 900'000, 0, kClient},
               {kSyn | kAck, 0, 60, 900'001, kShop}});
    EXPECT_EQ(this->h.counters().flow_reopen.read(), 1U);
    EXPECT_EQ(only_state(this->h), FlowState::syn_received);
}

TYPED_TEST(TcpCases, T28_FastOpen) {
    this->say({{kSyn, 100, 1000, 0, kClient},
               {kSyn | kAck, 0, 5000, 1101, kShop},
               {kAck, 400, 5001, 1101, kShop},
               {kAck, 0, 1101, 5401, kClient}});
    EXPECT_EQ(only_state(this->h), FlowState::established);
    Harness again;
    again.use(shop_policy().build());
    say<TypeParam>(
        again, {{kSyn, 100, 1000, 0, kClient}, {kSyn | kAck, 0, 5000, 1001, kShop}, {kAck, 100, 1001, 5001, kClient}});
    EXPECT_EQ(only_state(again), FlowState::established);
}

TYPED_TEST(TcpCases, T29_ABadChecksumChangesNothing) {
    this->connect();
    for (const std::uint8_t flags : {kRst, kAck}) {
        EXPECT_EQ(this->h.fate(kClient,
                               frame(TypeParam{},
                                     Tcp{.seq = 1001, .ack = 5001, .flags = flags, .checksum = std::uint16_t{0x1234}})),
                  "bad_l4_csum");
    }
    EXPECT_EQ(only_state(this->h), FlowState::established);
}

TYPED_TEST(TcpCases, T30_HeadersThatLie) {
    this->connect();
    for (const std::uint8_t words : {std::uint8_t{4}, std::uint8_t{15}}) {
        EXPECT_EQ(this->h.fate(kClient,
                               frame(TypeParam{}, Tcp{.seq = 1001, .ack = 5001, .flags = kAck, .data_offset = words})),
                  "tcp_malformed");
    }
    for (const Bytes& options : {Bytes{3, 0, 1, 1}, Bytes{3, 1, 1, 1}}) {
        EXPECT_EQ(this->h.fate(kClient, frame(TypeParam{}, Tcp{.sport = 40001, .options = options})), "tcp_malformed");
    }
    EXPECT_EQ(only_state(this->h), FlowState::established);
}

TYPED_TEST(TcpCases, T31_UrgentDataResetWithDataAndASynFullOfOptions) {
    Bytes options{2, 4, 5, 0xb4, 4, 2, 3, 3, 7};
    options.resize(40, 1);
    this->say({{kSyn, 0, 1000, 0, kClient, "forward", kWindow, options},
               {kSyn | kAck, 0, 5000, 1001, kShop, "forward", kWindow, options},
               {kAck, 0, 1001, 5001, kClient},
               {kAck | kUrg | kPsh, 10, 1001, 5001, kClient},
               {kRst | kAck, 30, 5001, 1011, kShop}});
    EXPECT_EQ(only_state(this->h), FlowState::closed);
}

TYPED_TEST(TcpCases, SeqCheckLogLetsPassCountsAndTells) {
    auto policy = shop_policy();
    policy.policy.seq_check = abi::SeqCheck::log;
    this->h.use(policy.build());
    this->connect();
    (void)this->h.events();
    this->say({{kAck, 100, 201'001, 5001, kClient}, {kRst, 0, 1, 0, kClient}});
    EXPECT_EQ(this->h.counters().tcp_seq_logged.read(), 2U);
    const auto events = this->h.events();
    ASSERT_EQ(events.size(), 2U);
    EXPECT_EQ(events[0].kind, abi::EventKind::seq_check);
    EXPECT_EQ(events[0].verdict, abi::Verdict::allow);
    EXPECT_EQ(abi::to_string(events[0].drop), "tcp_out_of_window");
    EXPECT_EQ(events[0].sport.to_host(), 40'000) << "the segment's own ends";
    EXPECT_EQ(events[0].dport.to_host(), 443);
    EXPECT_EQ(abi::to_string(events[1].drop), "tcp_bad_rst");
    EXPECT_EQ(only_state(this->h), FlowState::established);
    this->h.use(shop_policy().build());  // strict again, for this flow too
    this->say({{kAck, 100, 1'000'001, 5001, kClient, "tcp_out_of_window"}});
}

TYPED_TEST(TcpCases, SeqCheckOffIsSilent) {
    auto policy = shop_policy();
    policy.policy.seq_check = abi::SeqCheck::off;
    this->h.use(policy.build());
    this->connect();
    (void)this->h.events();
    this->say({{kAck, 100, 201'001, 5001, kClient}, {kAck, 0, 5001, 70, kShop}});
    EXPECT_EQ(this->h.counters().tcp_seq_logged.read(), 0U);
    EXPECT_TRUE(this->h.events().empty());
}

}  // namespace
}  // namespace sluice::test
