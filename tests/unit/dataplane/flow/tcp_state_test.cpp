// Phases: handshake, close, reopening. Windows: tcp_window_test.cpp, resets: tcp_reset_test.cpp.
#include "dataplane/flow/tcp_state.hpp"

#include "tests/unit/dataplane/flow/tcp_rows.hpp"

namespace sluice::dp {
namespace {

constexpr std::uint16_t W = 64240;

TEST(TcpState, HandshakeDataAndClose) {
    play("client closes first", after_handshake({
                                    {P | A, 100, 1001, 5001, W, O, {Ph::established}},
                                    {A, 0, 5001, 1101, W, Re, {Ph::established}},
                                    {F | A, 0, 1101, 5001, W, O, {Ph::fin_wait_original}},
                                    {A, 0, 5001, 1102, W, Re, {Ph::fin_wait_original}},
                                    {P | A, 50, 5001, 1102, W, Re, {Ph::fin_wait_original}},
                                    {F | A, 0, 5051, 1102, W, Re, {Ph::closing}},
                                    {A, 0, 1102, 5052, W, O, {Ph::time_wait}},
                                    {F | A, 0, 5051, 1102, W, Re, {Ph::time_wait}},
                                }));
    play("server closes first, FIN answered by FIN", after_handshake({
                                                         {F | A, 0, 5001, 1001, W, Re, {Ph::fin_wait_reply}},
                                                         {F | A, 0, 1001, 5002, W, O, {Ph::closing}},
                                                         {A, 0, 5002, 1002, W, Re, {Ph::time_wait}},
                                                     }));
    play("simultaneous close", after_handshake({
                                   {F | A, 0, 1001, 5001, W, O, {Ph::fin_wait_original}},
                                   {F | A, 0, 5001, 1001, W, Re, {Ph::closing}},
                                   {A, 0, 1002, 5002, W, O, {Ph::closing}},
                                   {A, 0, 5002, 1002, W, Re, {Ph::time_wait}},
                               }));
    play("an ACK short of the FIN does not end it", after_handshake({
                                                        {F | A, 10, 1001, 5001, W, O, {Ph::fin_wait_original}},
                                                        {F | A, 0, 5001, 1011, W, Re, {Ph::closing}},
                                                        {A, 0, 1012, 5002, W, O, {Ph::closing}},
                                                        {A, 0, 5002, 1012, W, Re, {Ph::time_wait}},
                                                    }));
}

TEST(TcpState, T7_SynAckWithWrongAckIsDroppedThenTheRightOnePasses) {
    play("T7", {{S, 0, 1000, 0, W, O, {Ph::syn_sent}},
                {S | A, 0, 5000, 1000, W, Re, {Ph::syn_sent, DropReason::tcp_bad_ack}},
                {S | A, 0, 5000, 1002, W, Re, {Ph::syn_sent, DropReason::tcp_bad_ack}},
                {S | A, 0, 5000, 1001, W, Re, {Ph::syn_received}},
                {A, 0, 1001, 5000, W, O, {Ph::syn_received, DropReason::tcp_bad_ack}},
                {A, 0, 1001, 5002, W, O, {Ph::syn_received, DropReason::tcp_bad_ack}},
                {A, 0, 1001, 5001, W, O, {Ph::established}}});
}

// Half the circle away a number is neither ahead nor behind: the two comparisons of serial numbers both say no (RFC
// 1982 section 3.2), and what asks only them takes it for equal.
TEST(TcpState, T7_AckHalfTheCircleAwayIsWrongToo) {
    constexpr std::uint32_t kHalf = 0x80000000;
    play("SYN-ACK", {{S, 0, 1000, 0, W, O, {Ph::syn_sent}},
                     {S | A, 0, 5000, 1001 + kHalf, W, Re, {Ph::syn_sent, DropReason::tcp_bad_ack}},
                     {S | A, 0, 5000, 1001, W, Re, {Ph::syn_received}},
                     {A, 0, 1001, 5001 + kHalf, W, O, {Ph::syn_received, DropReason::tcp_bad_ack}}});
    play("RST", {{S, 0, 1000, 0, W, O, {Ph::syn_sent}},
                 {R | A, 0, 0, 1001 + kHalf, 0, Re, {Ph::syn_sent, DropReason::tcp_bad_rst}}});
}

TEST(TcpState, T8_OldIncarnationChallengeAckThenRstThenNewSyn) {
    play("T8", {{S, 0, 1000, 0, W, O, {Ph::syn_sent}},
                {A, 0, 90000, 80000, W, Re, {Ph::syn_sent, {}, 0, false}},
                {A, 10, 90000, 80000, W, Re, {Ph::syn_sent, DropReason::tcp_bad_ack}},
                {R, 0, 80000, 0, 0, O, {Ph::syn_sent, {}, 0, false}},
                {S, 0, 1000, 0, W, O, {Ph::syn_sent}},
                {S | A, 0, 5000, 1001, W, Re, {Ph::syn_received}},
                {A, 0, 1001, 5001, W, O, {Ph::established}}});
}

TEST(TcpState, T9_SynOnEstablishedPassesWithoutEffect) {
    play("D2", after_handshake({
                   {S, 0, 77000, 0, W, O, {Ph::established, {}, tcp_note::syn_on_live, false}},
                   {A, 0, 5001, 1001, W, Re, {Ph::established}},
                   {S, 0, 88000, 0, W, Re, {Ph::established, DropReason::tcp_bad_flags}},
                   {R, 0, 1001, 0, 0, O, {Ph::closed}},
                   {S, 0, 77000, 0, W, O, {Ph::free}},
               }));
    const TcpSegment syn{S, 77000, 0, 100, W};
    EXPECT_TRUE(tcp_answers(syn, {S | A, 1, 77001, 0, W}));
    EXPECT_TRUE(tcp_answers(syn, {S | A, 1, 77101, 0, W})) << "Fast Open";
    EXPECT_FALSE(tcp_answers(syn, {S | A, 1, 77000, 0, W}));
    EXPECT_FALSE(tcp_answers(syn, {S | A, 1, 77102, 0, W}));
    EXPECT_FALSE(tcp_answers(syn, {A, 1, 77001, 0, W}));
}

TEST(TcpState, D3_NothingButASynPassesAClosedFlow) {
    play("D3", after_handshake({
                   {R, 0, 5001, 0, 0, Re, {Ph::closed}},
                   {P | A, 10, 1001, 5001, W, O, {Ph::closed, DropReason::tcp_closed}},
                   {A, 0, 5001, 1001, W, Re, {Ph::closed, DropReason::tcp_closed}},
                   {F | A, 0, 1001, 5001, W, O, {Ph::closed, DropReason::tcp_closed}},
                   {S | A, 0, 5000, 1001, W, Re, {Ph::closed, DropReason::tcp_closed}},
                   {R, 0, 5001, 0, 0, Re, {Ph::closed, DropReason::tcp_closed}},
                   {S, 0, 2000, 0, W, O, {Ph::free}},
               }));
}

TEST(TcpState, T24_SimultaneousOpen) {
    play("SYN, SYN, SYN-ACK, SYN-ACK, data", {{S, 0, 1000, 0, W, O, {Ph::syn_sent}},
                                              {S, 0, 5000, 0, W, Re, {Ph::syn_crossed}},
                                              {S | A, 0, 1000, 5001, W, O, {Ph::syn_acked_ahead}},
                                              {S | A, 0, 5000, 1001, W, Re, {Ph::established}},
                                              {P | A, 5, 1001, 5001, W, O, {Ph::established}},
                                              {P | A, 5, 5001, 1006, W, Re, {Ph::established}}});
    play("the reply side acknowledges first", {{S, 0, 1000, 0, W, O, {Ph::syn_sent}},
                                               {S, 0, 5000, 0, W, Re, {Ph::syn_crossed}},
                                               {S | A, 0, 5000, 1001, W, Re, {Ph::syn_received}},
                                               {S | A, 0, 1000, 5001, W, O, {Ph::established}},
                                               {S | A, 0, 1000, 5001, W, O, {Ph::established, {}, 0, false}}});
    play("with another number than its SYN's",
         {{S, 0, 1000, 0, W, O, {Ph::syn_sent}},
          {S, 0, 5000, 0, W, Re, {Ph::syn_crossed}},
          {S | A, 0, 9000, 5001, W, O, {Ph::syn_crossed, DropReason::tcp_bad_flags}},
          {S | A, 0, 1000, 5000, W, O, {Ph::syn_crossed, DropReason::tcp_bad_ack}}});
}

TEST(TcpState, D12_SplitHandshakeKeepsTheRoles) {
    play("four-way", {{S, 0, 1000, 0, W, O, {Ph::syn_sent}},
                      {S, 0, 5000, 0, W, Re, {Ph::syn_crossed}},
                      {S | A, 0, 1000, 5001, W, O, {Ph::syn_acked_ahead}},
                      {A, 0, 5001, 1001, W, Re, {Ph::established}},
                      {S, 0, 9000, 0, W, Re, {Ph::established, DropReason::tcp_bad_flags}}});
    play("five-way: the challenge ACK first", {{S, 0, 1000, 0, W, O, {Ph::syn_sent}},
                                               {A, 0, 5001, 1001, W, Re, {Ph::syn_sent}},
                                               {S, 0, 5000, 0, W, Re, {Ph::syn_crossed}},
                                               {S | A, 0, 1000, 5001, W, O, {Ph::syn_acked_ahead}},
                                               {A, 0, 5001, 1001, W, Re, {Ph::established}}});
}

TEST(TcpState, T26_HalfCloseLetsTheOtherSideGoOn) {
    play("T26", after_handshake({
                    {F | A, 0, 1001, 5001, W, O, {Ph::fin_wait_original}},
                    {P | A, 1000, 5001, 1002, W, Re, {Ph::fin_wait_original, {}, 0, true}},
                    {A, 0, 1002, 6001, W, O, {Ph::fin_wait_original, {}, 0, true}},
                    {P | A, 1000, 6001, 1002, W, Re, {Ph::fin_wait_original}},
                    {F | A, 0, 7001, 1002, W, Re, {Ph::closing}},
                    {A, 0, 1002, 7002, W, O, {Ph::time_wait}},
                }));
}

TEST(TcpState, T27_TimeWaitIsReusedByANewerSynFromEitherSide) {
    const Rows to_time_wait = after_handshake({
        {F | A, 0, 1001, 5001, W, O, {Ph::fin_wait_original}},
        {F | A, 0, 5001, 1002, W, Re, {Ph::closing}},
        {A, 0, 1002, 5002, W, O, {Ph::time_wait}},
    });
    const auto then = [&](const Row& row) {
        Rows rows = to_time_wait;
        rows.push_back(row);
        return rows;
    };
    play("older", then({S, 0, 900, 0, W, O, {Ph::time_wait, {}, tcp_note::syn_on_live, false}}));
    play("the number behind the FIN", then({S, 0, 1002, 0, W, O, {Ph::time_wait, {}, tcp_note::syn_on_live, false}}));
    play("newer", then({S, 0, 1003, 0, W, O, {Ph::free}}));
    play("older, reversed", then({S, 0, 5002, 0, W, Re, {Ph::time_wait, DropReason::tcp_bad_flags}}));
    play("newer, reversed", then({S, 0, 5003, 0, W, Re, {Ph::free}}));
}

TEST(TcpState, T28_FastOpenAcksDataOrTheSynAlone) {
    play("acks the data", {{S, 100, 1000, 0, W, O, {Ph::syn_sent}},
                           {S | A, 0, 5000, 1101, W, Re, {Ph::syn_received}},
                           {A, 0, 1101, 5001, W, O, {Ph::established}}});
    play("acks the SYN; the data come again", {{S, 100, 1000, 0, W, O, {Ph::syn_sent}},
                                               {S | A, 0, 5000, 1001, W, Re, {Ph::syn_received}},
                                               {A, 100, 1001, 5001, W, O, {Ph::established}}});
    play("acks too much", {{S, 100, 1000, 0, W, O, {Ph::syn_sent}},
                           {S | A, 0, 5000, 1102, W, Re, {Ph::syn_sent, DropReason::tcp_bad_ack}}});
    play("the SYN comes again without its data", {{S, 100, 1000, 0, W, O, {Ph::syn_sent}},
                                                  {S, 0, 1000, 0, W, O, {Ph::syn_sent}},
                                                  {S | A, 0, 5000, 1101, W, Re, {Ph::syn_received}}});
    play("server data ahead of the handshake's ACK", {{S, 100, 1000, 0, W, O, {Ph::syn_sent}},
                                                      {S | A, 0, 5000, 1101, W, Re, {Ph::syn_received}},
                                                      {P | A, 400, 5001, 1101, W, Re, {Ph::syn_received}},
                                                      {A, 0, 1101, 5401, W, O, {Ph::established}}});
}

TEST(TcpState, SegmentsThatFitNoHandshakeAreDropped) {
    play("client's own SYN-ACK, ACK, FIN after its SYN",
         {
             {S, 0, 1000, 0, W, O, {Ph::syn_sent}},
             {S | A, 0, 1000, 1, W, O, {Ph::syn_sent, DropReason::tcp_bad_flags}},
             {A, 0, 1001, 1, W, O, {Ph::syn_sent, DropReason::tcp_bad_ack}},
             {F | A, 0, 1001, 1, W, O, {Ph::syn_sent, DropReason::tcp_bad_flags}},
             {F | A, 0, 1, 1001, W, Re, {Ph::syn_sent, DropReason::tcp_bad_flags}},
             {S, 0, 1000, 0, W, O, {Ph::syn_sent, {}, 0, true}},
             {S, 0, 3000, 0, W, O, {Ph::syn_sent, {}, tcp_note::syn_on_live, false}},  // the worker keeps it
             {S | A, 0, 5000, 3001, W, Re, {Ph::syn_sent, DropReason::tcp_bad_ack}},
             {S | A, 0, 5000, 1001, W, Re, {Ph::syn_received}},
         });
    play("a SYN-ACK repeats, another one does not pass",
         after_handshake({
             {S | A, 0, 5000, 1001, W, Re, {Ph::established, {}, 0, false}},
             {S | A, 0, 9000, 1001, W, Re, {Ph::established, DropReason::tcp_bad_flags}},
             {S | A, 0, 1000, 5001, W, O, {Ph::established, {}, 0, false}},
             {S | A, 0, 9000, 5001, W, O, {Ph::established, DropReason::tcp_bad_flags}},
         }));
    play("a server that forgot answers the repeated SYN with another number",
         {{S, 0, 1000, 0, W, O, {Ph::syn_sent}},
          {S | A, 0, 5000, 1001, W, Re, {Ph::syn_received}},
          {S, 0, 1000, 0, W, O, {Ph::syn_received, {}, 0, false}},  // asks for nothing new
          {S, 0, 3000, 0, W, O, {Ph::syn_received, {}, tcp_note::syn_on_live, false}},
          {S | A, 0, 7000, 1001, W, Re, {Ph::syn_received}},
          {A, 0, 1001, 5001, W, O, {Ph::syn_received, DropReason::tcp_bad_ack}},
          {A, 0, 1001, 7001, W, O, {Ph::established}}});
}

TEST(TcpState, T2_OnlyASynOpensAndOnlyAnAckIsPickedUp) {
    for (unsigned flags = 0; flags < 256; ++flags) {
        const auto f = static_cast<std::uint8_t>(flags);
        EXPECT_EQ(tcp_opens(f), (f & S) != 0 && (f & (A | R | F)) == 0) << flags;
        EXPECT_EQ(tcp_picks_up(f), (f & A) != 0 && (f & (S | R | F)) == 0) << flags;
    }
}

// Every phase, direction and kind of segment: never reads outside the table, never leads to a phase that is not TCP's.
TEST(TcpState, EveryCellIsTotal) {
    for (std::uint8_t phase = 1; phase <= static_cast<std::uint8_t>(Ph::closed); ++phase) {
        for (const Direction d : {O, Re}) {
            for (const std::uint8_t flags : {std::uint8_t{S}, std::uint8_t{S | A}, std::uint8_t{A}, std::uint8_t{F | A},
                                             std::uint8_t{R}, std::uint8_t{R | A}}) {
                for (const SeqCheck check : {SeqCheck::strict, SeqCheck::log, SeqCheck::off}) {
                    FlowHot flow{};
                    flow.phase = static_cast<Ph>(phase);
                    const TcpResult r = tcp_advance(flow, d, {flags, 1, 1, 0}, check);
                    if (r.outcome != TcpOutcome::pass) continue;
                    EXPECT_GE(r.next, Ph::syn_sent);
                    EXPECT_LE(r.next, Ph::closed);
                }
            }
        }
    }
}

}  // namespace
}  // namespace sluice::dp
