#include "dataplane/flow/tcp_state.hpp"

#include <vector>

#include <gtest/gtest.h>

namespace sluice::dp {
namespace {

using abi::DropReason;
constexpr std::uint8_t F = 0x01, S = 0x02, R = 0x04, P = 0x08, A = 0x10;
constexpr Direction O = Direction::original, Re = Direction::reply;
using Ph = FlowPhase;

struct Step {
    Direction from;
    std::uint8_t flags;
    std::uint32_t len, seq, ack;
    FlowPhase then;  // free = the flow reopens
    std::optional<DropReason> dropped{};
};

/// The first step opens the flow; each later one is judged.
void play(const char* name, const std::vector<Step>& steps) {
    SCOPED_TRACE(name);
    FlowHot flow{};
    const Step& syn = steps.front();
    tcp_open(flow, {syn.flags, syn.seq, syn.ack, syn.len});
    flow.phase = Ph::syn_sent;
    ASSERT_EQ(syn.then, Ph::syn_sent);
    for (std::size_t i = 1; i < steps.size(); ++i) {
        SCOPED_TRACE(testing::Message() << "step " << i);
        const Step& s = steps[i];
        const TcpResult r = tcp_advance(flow, s.from, {s.flags, s.seq, s.ack, s.len});
        if (s.dropped) {
            ASSERT_EQ(r.outcome, TcpOutcome::drop);
            EXPECT_EQ(abi::to_string(r.reason), abi::to_string(*s.dropped));
            EXPECT_EQ(flow.phase, s.then) << "a dropped segment changes nothing";
        } else if (s.then == Ph::free) {
            ASSERT_EQ(r.outcome, TcpOutcome::reopen);
        } else {
            ASSERT_EQ(r.outcome, TcpOutcome::pass) << abi::to_string(r.reason);
            flow.phase = r.next;
            EXPECT_EQ(int(flow.phase), int(s.then));
        }
    }
}

const std::vector<Step> kHandshake = {
    {O, S, 0, 1000, 0, Ph::syn_sent},
    {Re, S | A, 0, 5000, 1001, Ph::syn_received},
    {O, A, 0, 1001, 5001, Ph::established},
};
std::vector<Step> after_handshake(std::vector<Step> more) {
    auto all = kHandshake;
    all.insert(all.end(), more.begin(), more.end());
    return all;
}

TEST(TcpState, HandshakeDataAndClose) {
    play("client closes first", after_handshake({
                                    {O, P | A, 100, 1001, 5001, Ph::established},
                                    {Re, A, 0, 5001, 1101, Ph::established},
                                    {O, F | A, 0, 1101, 5001, Ph::fin_wait_original},
                                    {Re, A, 0, 5001, 1102, Ph::fin_wait_original},
                                    {Re, P | A, 50, 5001, 1102, Ph::fin_wait_original},
                                    {Re, F | A, 0, 5051, 1102, Ph::closing},
                                    {O, A, 0, 1102, 5052, Ph::time_wait},
                                    {Re, F | A, 0, 5051, 1102, Ph::time_wait},
                                }));
    play("server closes first, FIN answered by FIN", after_handshake({
                                                         {Re, F | A, 0, 5001, 1001, Ph::fin_wait_reply},
                                                         {O, F | A, 0, 1001, 5002, Ph::closing},
                                                         {Re, A, 0, 5002, 1002, Ph::time_wait},
                                                     }));
    play("simultaneous close", after_handshake({
                                   {O, F | A, 0, 1001, 5001, Ph::fin_wait_original},
                                   {Re, F | A, 0, 5001, 1001, Ph::closing},
                                   {O, A, 0, 1002, 5002, Ph::closing},
                                   {Re, A, 0, 5002, 1002, Ph::time_wait},
                               }));
}

TEST(TcpState, T7_SynAckWithWrongAckIsDroppedThenTheRightOnePasses) {
    play("T7", {{O, S, 0, 1000, 0, Ph::syn_sent},
                {Re, S | A, 0, 5000, 1000, Ph::syn_sent, DropReason::tcp_bad_ack},
                {Re, S | A, 0, 5000, 1002, Ph::syn_sent, DropReason::tcp_bad_ack},
                {Re, S | A, 0, 5000, 1001, Ph::syn_received},
                {O, A, 0, 1001, 5000, Ph::syn_received, DropReason::tcp_bad_ack},
                {O, A, 0, 1001, 5001, Ph::established}});
}

// Half the circle away a number is neither ahead nor behind: the two comparisons of serial numbers both say no (RFC
// 1982 section 3.2), and what asks only them takes it for equal.
TEST(TcpState, T7_AckHalfTheCircleAwayIsWrongToo) {
    constexpr std::uint32_t kHalf = 0x80000000;
    play("SYN-ACK", {{O, S, 0, 1000, 0, Ph::syn_sent},
                     {Re, S | A, 0, 5000, 1001 + kHalf, Ph::syn_sent, DropReason::tcp_bad_ack},
                     {Re, S | A, 0, 5000, 1001, Ph::syn_received},
                     {O, A, 0, 1001, 5001 + kHalf, Ph::syn_received, DropReason::tcp_bad_ack}});
    play("RST",
         {{O, S, 0, 1000, 0, Ph::syn_sent}, {Re, R | A, 0, 0, 1001 + kHalf, Ph::syn_sent, DropReason::tcp_bad_rst}});
}

TEST(TcpState, T8_OldIncarnationChallengeAckThenRstThenNewSyn) {
    play("T8", {{O, S, 0, 1000, 0, Ph::syn_sent},
                {Re, A, 0, 90000, 80000, Ph::syn_sent},
                {Re, A, 10, 90000, 80000, Ph::syn_sent, DropReason::tcp_bad_ack},
                {O, R, 0, 80000, 0, Ph::closed},
                {O, S, 0, 1000, 0, Ph::free}});
}

TEST(TcpState, T9_SynOnEstablishedPassesWithoutEffect) {
    play("D2", after_handshake({
                   {O, S, 0, 77000, 0, Ph::established},
                   {Re, A, 0, 5001, 1001, Ph::established},
                   {Re, S, 0, 88000, 0, Ph::established, DropReason::tcp_bad_flags},
                   {O, R, 0, 1001, 0, Ph::closed},
                   {O, S, 0, 77000, 0, Ph::free},
               }));
}

TEST(TcpState, ForgeableSegmentsAreNoSignOfLife) {
    FlowHot flow{};
    tcp_open(flow, {S, 1000, 0, 0});
    flow.phase = Ph::established;
    EXPECT_FALSE(tcp_advance(flow, O, {S, 50, 0, 0}).refreshes);
    EXPECT_TRUE(tcp_advance(flow, O, {A, 1001, 0, 0}).refreshes);
}

TEST(TcpState, T15_RstThatAnswersASynMustAcknowledgeIt) {
    play("T15", {{O, S, 0, 1000, 0, Ph::syn_sent},
                 {Re, R, 0, 0, 0, Ph::syn_sent, DropReason::tcp_bad_rst},
                 {Re, R | A, 0, 0, 1000, Ph::syn_sent, DropReason::tcp_bad_rst},
                 {Re, R | A, 0, 0, 1002, Ph::syn_sent, DropReason::tcp_bad_rst},
                 {Re, R | A, 0, 0, 1001, Ph::closed}});
}

TEST(TcpState, D3_NothingButASynPassesAClosedFlow) {
    play("D3", after_handshake({
                   {Re, R, 0, 5001, 0, Ph::closed},
                   {O, P | A, 10, 1001, 5001, Ph::closed, DropReason::tcp_closed},
                   {Re, A, 0, 5001, 1001, Ph::closed, DropReason::tcp_closed},
                   {O, F | A, 0, 1001, 5001, Ph::closed, DropReason::tcp_closed},
                   {Re, S | A, 0, 5000, 1001, Ph::closed, DropReason::tcp_closed},
                   {O, S, 0, 2000, 0, Ph::free},
               }));
}

TEST(TcpState, T24_SimultaneousOpen) {
    play("SYN, SYN, SYN-ACK, SYN-ACK, data", {{O, S, 0, 1000, 0, Ph::syn_sent},
                                              {Re, S, 0, 5000, 0, Ph::syn_crossed},
                                              {O, S | A, 0, 1000, 5001, Ph::syn_acked_ahead},
                                              {Re, S | A, 0, 5000, 1001, Ph::established},
                                              {O, P | A, 5, 1001, 5001, Ph::established},
                                              {Re, P | A, 5, 5001, 1006, Ph::established}});
    play("the reply side acknowledges first", {{O, S, 0, 1000, 0, Ph::syn_sent},
                                               {Re, S, 0, 5000, 0, Ph::syn_crossed},
                                               {Re, S | A, 0, 5000, 1001, Ph::syn_received},
                                               {O, S | A, 0, 1000, 5001, Ph::established},
                                               {O, S | A, 0, 1000, 5001, Ph::established}});
    // D12: the four-way split handshake is the same thing with a bare ACK at the end.
    play("split handshake", {{O, S, 0, 1000, 0, Ph::syn_sent},
                             {Re, S, 0, 5000, 0, Ph::syn_crossed},
                             {O, S | A, 0, 1000, 5001, Ph::syn_acked_ahead},
                             {Re, A, 0, 5001, 1001, Ph::established}});
}

TEST(TcpState, T26_HalfCloseLetsTheOtherSideGoOn) {
    play("T26", after_handshake({
                    {O, F | A, 0, 1001, 5001, Ph::fin_wait_original},
                    {Re, P | A, 1000, 5001, 1002, Ph::fin_wait_original},
                    {O, A, 0, 1002, 6001, Ph::fin_wait_original},
                    {Re, P | A, 1000, 6001, 1002, Ph::fin_wait_original},
                    {Re, F | A, 0, 7001, 1002, Ph::closing},
                    {O, A, 0, 1002, 7002, Ph::time_wait},
                }));
}

TEST(TcpState, T27_TimeWaitIsReusedByANewerSynFromEitherSide) {
    const std::vector<Step> to_time_wait = {
        {O, F | A, 0, 1001, 5001, Ph::fin_wait_original},
        {Re, F | A, 0, 5001, 1002, Ph::closing},
        {O, A, 0, 1002, 5002, Ph::time_wait},
    };
    auto older = to_time_wait, newer = to_time_wait, reversed = to_time_wait;
    older.push_back({O, S, 0, 900, 0, Ph::time_wait});
    newer.push_back({O, S, 0, 1003, 0, Ph::free});
    reversed.push_back({Re, S, 0, 6000, 0, Ph::free});
    play("older", after_handshake(older));
    play("newer", after_handshake(newer));
    play("reversed", after_handshake(reversed));
}

TEST(TcpState, T28_FastOpenAcksDataOrTheSynAlone) {
    play("acks the data", {{O, S, 100, 1000, 0, Ph::syn_sent}, {Re, S | A, 0, 5000, 1101, Ph::syn_received}});
    play("acks the SYN", {{O, S, 100, 1000, 0, Ph::syn_sent}, {Re, S | A, 0, 5000, 1001, Ph::syn_received}});
    play("acks too much",
         {{O, S, 100, 1000, 0, Ph::syn_sent}, {Re, S | A, 0, 5000, 1102, Ph::syn_sent, DropReason::tcp_bad_ack}});
    play("server data ahead of the handshake's ACK", {{O, S, 100, 1000, 0, Ph::syn_sent},
                                                      {Re, S | A, 0, 5000, 1101, Ph::syn_received},
                                                      {Re, P | A, 400, 5001, 1101, Ph::syn_received},
                                                      {Re, S | A, 0, 5000, 1101, Ph::syn_received},
                                                      {O, A, 0, 1101, 5401, Ph::established}});
}

TEST(TcpState, T23_SequenceNumbersWrap) {
    play("T23", {{O, S, 0, 0xffffffff, 0, Ph::syn_sent},
                 {Re, S | A, 0, 0xfffffffe, 0, Ph::syn_received},
                 {O, A, 0, 0, 0xffffffff, Ph::established},
                 {O, F | A, 10, 0, 0xffffffff, Ph::fin_wait_original},
                 {Re, F | A, 0, 0xffffffff, 11, Ph::closing},
                 {O, A, 0, 11, 0, Ph::time_wait}});
}

TEST(TcpState, SegmentsThatFitNoHandshakeAreDropped) {
    play("client's own SYN-ACK, ACK, FIN after its SYN",
         {
             {O, S, 0, 1000, 0, Ph::syn_sent},
             {O, S | A, 0, 1000, 1, Ph::syn_sent, DropReason::tcp_bad_flags},
             {O, A, 0, 1001, 1, Ph::syn_sent, DropReason::tcp_bad_ack},
             {O, F | A, 0, 1001, 1, Ph::syn_sent, DropReason::tcp_bad_flags},
             {Re, F | A, 0, 1, 1001, Ph::syn_sent, DropReason::tcp_bad_flags},
             {O, S, 0, 3000, 0, Ph::syn_sent},
             {Re, S | A, 0, 5000, 3001, Ph::syn_received},
         });
    play("a SYN-ACK repeats, another one does not pass",
         after_handshake({
             {Re, S | A, 0, 5000, 1001, Ph::established},
             {Re, S | A, 0, 9000, 1001, Ph::established, DropReason::tcp_bad_flags},
         }));
}

TEST(TcpState, T2_OnlyASynOpens) {
    for (unsigned flags = 0; flags < 256; ++flags) {
        const auto f = static_cast<std::uint8_t>(flags);
        const bool expected = (f & S) != 0 && (f & (A | R | F)) == 0;
        EXPECT_EQ(tcp_opens(f), expected) << flags;
    }
}

// Every phase, direction and kind of segment: never reads outside the table, never leads to a phase that is not TCP's.
TEST(TcpState, EveryCellIsTotal) {
    for (std::uint8_t phase = 1; phase <= static_cast<std::uint8_t>(Ph::closed); ++phase) {
        for (const Direction d : {O, Re}) {
            for (const std::uint8_t flags : {std::uint8_t{S}, std::uint8_t{S | A}, std::uint8_t{A}, std::uint8_t{F | A},
                                             std::uint8_t{R}, std::uint8_t{R | A}}) {
                FlowHot flow{};
                flow.phase = static_cast<Ph>(phase);
                const TcpResult r = tcp_advance(flow, d, {flags, 1, 1, 0});
                if (r.outcome != TcpOutcome::pass) continue;
                EXPECT_GE(r.next, Ph::syn_sent);
                EXPECT_LE(r.next, Ph::closed);
            }
        }
    }
}

}  // namespace
}  // namespace sluice::dp
