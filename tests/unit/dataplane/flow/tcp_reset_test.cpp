// Which resets end a flow, which pass without effect, which are dropped (RFC 5961 section 3, CASES D1).
#include "dataplane/flow/tcp_state.hpp"

#include "tests/unit/dataplane/flow/tcp_rows.hpp"

namespace sluice::dp {
namespace {

constexpr std::uint16_t W = 64240;
constexpr Then ok{Ph::established};
constexpr Then inexact{Ph::established, {}, tcp_note::inexact_rst, false};
constexpr Then bad{Ph::established, DropReason::tcp_bad_rst};
constexpr Then closed{Ph::closed};

TEST(TcpReset, T10_ExactClosesFarAwayAndBelowAreDropped) {
    play("exact", after_handshake({{R, 0, 1001, 0, 0, O, closed}}));
    play("exact, of the reply side, with ACK", after_handshake({{R | A, 0, 5001, 1001, 0, Re, closed}}));
    play("behind data that nobody has acknowledged yet",
         after_handshake({{A, 100, 1001, 5001, W, O, ok}, {R, 0, 1101, 0, 0, O, closed}}));
    play("far out", after_handshake({{R, 0, 1001 + 500'000, 0, 0, O, bad}, {R, 0, 5001 + 500'000, 0, 0, Re, bad}}));
    play("below", after_handshake({{R, 0, 1000, 0, 0, O, bad}, {R, 0, 4000, 0, 0, Re, bad}}));
    play("just beyond", after_handshake({{R, 0, 1001 + W, 0, 0, O, inexact}, {R, 0, 1001 + W + 1, 0, 0, O, bad}}));
}

TEST(TcpReset, T11_InexactInTheWindowChangesNothing) {
    play("T11", after_handshake({{R, 0, 1500, 0, 0, O, inexact},
                                 {R | A, 0, 5002, 1001, 0, Re, inexact},
                                 {A, 100, 1001, 5001, W, O, ok},
                                 {A, 0, 5001, 1101, W, Re, ok}}));
}

TEST(TcpReset, T13_BeforeAGapItCloses) {
    play("T13", after_handshake({{A, 100, 1001 + 1460, 5001, W, O, ok},  // the segment before it was lost
                                 {A, 0, 5001, 1001, W, Re, ok},
                                 {R, 0, 1001, 0, 0, O, closed},
                                 {S, 0, 70'000, 0, W, O, {Ph::free}}}));
}

TEST(TcpReset, T14_BehindBothFinsAnInexactOneIsNothingSpecial) {
    play("T14", after_handshake({{F | A, 0, 1001, 5001, W, O, {Ph::fin_wait_original}},
                                 {F | A, 0, 5001, 1001, W, Re, {Ph::closing}},
                                 {R, 0, 1003, 0, 0, O, {Ph::closing, {}, 0, false}},
                                 {A, 0, 1002, 5002, W, O, {Ph::closing}},
                                 {A, 0, 5002, 1002, W, Re, {Ph::time_wait}},
                                 {R, 0, 5003, 0, 0, Re, {Ph::time_wait, {}, 0, false}},
                                 {R, 0, 5002, 0, 0, Re, closed}}));
}

TEST(TcpReset, T15_OneThatAnswersASynMustAcknowledgeIt) {
    const Then refused{Ph::syn_sent, DropReason::tcp_bad_rst};
    play("T15", {{S, 0, 1000, 0, W, O, {Ph::syn_sent}},
                 {R, 0, 0, 0, 0, Re, refused},
                 {R | A, 0, 0, 1000, 0, Re, refused},
                 {R | A, 0, 0, 1002, 0, Re, refused},
                 {R | A, 0, 0, 1001, 0, Re, closed}});
    play("behind the SYN-ACK too: the server has forgotten",
         {{S, 0, 1000, 0, W, O, {Ph::syn_sent}},
          {S | A, 0, 5000, 1001, W, Re, {Ph::syn_received}},
          {R | A, 0, 0, 1002, 0, Re, {Ph::syn_received, DropReason::tcp_bad_rst}},
          {R | A, 0, 0, 1001, 0, Re, closed}});
    play("the client gives up", {{S, 0, 1000, 0, W, O, {Ph::syn_sent}}, {R, 0, 1001, 0, 0, O, closed}});
    play("the client does not want this SYN-ACK", {{S, 0, 1000, 0, W, O, {Ph::syn_sent}},
                                                   {S | A, 0, 5000, 1001, W, Re, {Ph::syn_received}},
                                                   {R, 0, 1001, 0, 0, O, closed}});
}

TEST(TcpReset, T31_WithDataIsAResetToo) {
    play("T31", after_handshake({{R, 20, 1500, 0, 0, O, inexact}, {R | A, 20, 1001, 5001, 0, O, closed}}));
}

TEST(TcpReset, ItsAckIsNotBelieved) {
    play("an inexact one moves nothing",
         after_handshake(
             {{A, 100, 5001, 1001, W, Re, ok}, {R | A, 0, 1500, 5101, 0, O, inexact}, {R, 0, 5001, 0, 0, Re, closed}}));
}

}  // namespace
}  // namespace sluice::dp
