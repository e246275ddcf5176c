// Numbers, acknowledgements and windows of flows that are open.
#include "dataplane/flow/tcp_window.hpp"

#include "tests/unit/dataplane/flow/tcp_rows.hpp"

namespace sluice::dp {
namespace {

constexpr std::uint16_t W = 64240;
constexpr Then ok{Ph::established};
constexpr Then out{Ph::established, DropReason::tcp_out_of_window};
constexpr Then bad_ack{Ph::established, DropReason::tcp_bad_ack};
constexpr Then overshoot{Ph::established, {}, tcp_note::overshoot};

TEST(TcpWindow, T16_DataFarBeyondTheWindowDoNotPass) {
    play("200,000 beyond", after_handshake({{A, 100, 1001 + 200'000, 5001, W, O, out}}, 65535));
    play("60,000 inside", after_handshake({{A, 100, 1001 + 60'000, 5001, W, O, ok}}, 65535));
    play(
        "the same of the reply side",
        after_handshake({{A, 100, 5001 + 200'000, 1001, W, Re, out}, {A, 100, 5001 + 60'000, 1001, W, Re, ok}}, 65535));
}

TEST(TcpWindow, D11_OneWindowMoreThanAdvertisedPassesAndIsCounted) {
    play("to the edge", after_handshake({{A, 1024, 1001, 5001, 1024, O, ok}}, 1024));
    play("one over", after_handshake({{A, 1025, 1001, 5001, 1024, O, overshoot}}, 1024));
    play("+2000", after_handshake({{A, 24, 1001 + 2000, 5001, 1024, O, overshoot}}, 1024));
    play("a whole window over", after_handshake({{A, 1024, 1001 + 1024, 5001, 1024, O, overshoot}}, 1024));
    play("and no byte more", after_handshake({{A, 1025, 1001 + 1024, 5001, 1024, O, out}}, 1024));
    play("+3000", after_handshake({{A, 1, 1001 + 3000, 5001, 1024, O, out}}, 1024));
    play("in the handshake's last segment",
         {{S, 0, 1000, 0, 1024, O, {Ph::syn_sent}},
          {S | A, 0, 5000, 1001, 1024, Re, {Ph::syn_received}},
          {A, 2049, 1001, 5001, 1024, O, {Ph::syn_received, DropReason::tcp_out_of_window}},
          {A, 2048, 1001, 5001, 1024, O, overshoot}});
}

TEST(TcpWindow, T17_AnAckOfDataNeverSentIsDropped) {
    play("1 MB", after_handshake({{A, 0, 1001, 5001 + 1'000'000, W, O, bad_ack}}));
    play("one byte", after_handshake({{A, 0, 1001, 5002, W, O, bad_ack}}));
    play("FIN with it", after_handshake({{F | A, 0, 1001, 5002, W, O, bad_ack}}));
    play("what was sent",
         after_handshake(
             {{A, 500, 5001, 1001, W, Re, ok}, {A, 0, 1001, 5502, W, O, bad_ack}, {A, 0, 1001, 5501, W, O, ok}}));
    play("too long ago",
         after_handshake({{A, 0, 1001, 5001U - 132'000, W, O, ok}, {A, 0, 1001, 5001U - 132'001, W, O, bad_ack}}));
}

TEST(TcpWindow, T18_AcknowledgedDataMayComeAgain) {
    Rows rows;
    for (std::uint32_t n = 0; n < 60; ++n) {
        rows.push_back({A, 1460, 1001 + n * 1460, 5001, W, O, ok});
        rows.push_back({A, 0, 5001, 1001 + (n + 1) * 1460, W, Re, ok});
    }
    for (std::uint32_t n = 0; n < 60; ++n) rows.push_back({A, 1460, 1001 + n * 1460, 5001, W, O, ok});
    play("60 x 1460 bytes of history", after_handshake(rows));
    play("history ends somewhere",
         after_handshake({{A, 0, 1001U - 132'000, 5001, W, O, ok}, {A, 0, 1001U - 132'001, 5001, W, O, out}}));
    play("with a window above it, the window counts",
         after_handshake({{A, 0, 5001, 1001, 64000, Re, ok},
                          {A, 0, 1001 - (64000U << 7), 5001, W, O, ok},
                          {A, 0, 1001 - (64000U << 7) - 1, 5001, W, O, out}},
                         64000, 7, 7));
}

TEST(TcpWindow, T19_OutOfOrderAndLostAcksAndARepeatedFin) {
    play("an older ACK behind a newer one", after_handshake({{A, 1000, 1001, 5001, W, O, ok},
                                                             {A, 1000, 2001, 5001, W, O, ok},
                                                             {A, 0, 5001, 3001, W, Re, ok},
                                                             {A, 0, 5001, 2001, W, Re, ok},
                                                             {A, 1000, 3001, 5001, W, O, ok}},
                                                            8192));
    play("the ACK between was lost", after_handshake({{A, 4000, 1001, 5001, W, O, ok},
                                                      {A, 4000, 5001, 5001, W, O, ok},
                                                      {A, 0, 5001, 9001, W, Re, ok},
                                                      {A, 8000, 9001, 5001, W, O, ok}},
                                                     8192));
    play("FIN sent again", after_handshake({{F | A, 100, 1001, 5001, W, O, {Ph::fin_wait_original}},
                                            {F | A, 100, 1001, 5001, W, O, {Ph::fin_wait_original}},
                                            {A, 0, 5001, 1102, W, Re, {Ph::fin_wait_original}},
                                            {F | A, 0, 1101, 5001, W, O, {Ph::fin_wait_original}}},
                                           8192));
    play("FIN out of the window",
         after_handshake({{F | A, 0, 1001 + 20'000, 5001, W, O, out}, {F | A, 0, 5001 + 20'000, 1001, W, Re, out}},
                         8192));
}

TEST(TcpWindow, T20_BothScaleAndTheWindowIsLarge) {
    const Rows rows = {{A, 0, 5001, 1001, 1000, Re, ok},  // 128,000 bytes
                       {A, 100, 1001 + 100'000, 5001, 1000, O, ok}};
    play("7 and 7", after_handshake(rows, 64000, 7, 7));
    Rows unscaled = rows;
    unscaled.back().then = overshoot;  // 64,000 from the SYN-ACK
    play("the reply side has not offered", after_handshake(unscaled, 64000, 7, 0xff));
    play("the original side has not offered", after_handshake(unscaled, 64000, 0xff, 7));
    play("each side has its own", after_handshake({{A, 0, 5001, 1001, 10, Re, ok},    // 10,240
                                                   {A, 0, 1001, 5001, 64000, O, ok},  // 64,000
                                                   {A, 2049, 1001 + 8192, 5001, 1, O, overshoot},
                                                   {A, 1, 5001 + 64'000, 1001, 10, Re, overshoot}},
                                                  100, 0, 10));
}

TEST(TcpWindow, T20_ASynsOwnWindowIsNeverScaled) {
    play("1000 is 1000, rounded up to the unit of 128", {{S, 0, 1000, 0, 1000, O, {Ph::syn_sent}, 7},
                                                         {S | A, 0, 5000, 1001, 1000, Re, {Ph::syn_received}, 7},
                                                         {A, 0, 1001, 5001, 8, O, {Ph::established}},
                                                         {A, 1024, 1001, 5001, 8, O, ok},
                                                         {A, 1, 2025, 5001, 8, O, overshoot},
                                                         {A, 1, 1001 + 2048, 5001, 8, O, out}});
    play("a segment behind the SYN-ACK is", {{S, 0, 1000, 0, 1000, O, {Ph::syn_sent}, 7},
                                             {S | A, 0, 5000, 1001, 1000, Re, {Ph::syn_received}, 7},
                                             {A, 10, 5001, 1001, 100, Re, {Ph::syn_received}},  // 12,800
                                             {A, 12'800, 1001, 5001, 8, O, ok},
                                             {A, 1, 1001 + 12'800, 5001, 8, O, overshoot}});
    play("a SYN that comes again without the option", {{S, 0, 1000, 0, 1000, O, {Ph::syn_sent}, 7},
                                                       {S, 0, 1000, 0, 1000, O, {Ph::syn_sent}},
                                                       {S | A, 0, 5000, 1001, 1000, Re, {Ph::syn_received}, 7},
                                                       {A, 0, 1001, 5001, 1000, O, ok},
                                                       {A, 1, 5001 + 100'000, 1001, 1000, Re, ok}});
}

TEST(TcpWindow, T23_NumbersWrap) {
    play("T23", {{S, 0, 0xffffffff, 0, W, O, {Ph::syn_sent}},
                 {S | A, 0, 0xfffffffe, 0, W, Re, {Ph::syn_received}},
                 {A, 0, 0, 0xffffffff, W, O, {Ph::established}},
                 {A, 2000, 0xffffffff, 0, W, Re, ok},
                 {A, 0, 0, 1999, W, O, ok},
                 {A, 10, 0xffffffff, 0, W, Re, ok},
                 {A, 0, 0, 0xffffffff, W, O, ok},
                 {A, 0, 0, 2000, W, O, bad_ack},
                 {F | A, 10, 0, 1999, W, O, {Ph::fin_wait_original}},
                 {F | A, 0, 1999, 11, W, Re, {Ph::closing}},
                 {A, 0, 11, 2000, W, O, {Ph::time_wait}}});
    play("the largest windows there are", after_handshake({{A, 0, 5001, 1001, 65535, Re, ok},
                                                           {A, 0, 1001 + (65535U << 14), 5001, 1, O, ok},
                                                           {A, 0, 1001 + 2 * (65535U << 14), 5001, 1, O, overshoot},
                                                           {A, 0, 1001 + 2 * (65535U << 14) + 1, 5001, 1, O, out},
                                                           {A, 0, 1001 - (65535U << 14), 5001, 1, O, ok},
                                                           {A, 0, 1001 - (65535U << 14) - 1, 5001, 1, O, out}},
                                                          65535, 14, 14));
}

TEST(TcpWindow, T22_WithoutTheHandshakeWindowsAreNotChecked) {
    const Then unknown{Ph::established, {}, tcp_note::window_unknown, true};
    play("T22",
         {{A, 100, 70'000, 90'000, 500, O, {Ph::established}},
          {A, 0, 90'000, 70'100, 500, Re, unknown},
          {A, 100, 70'000 + 5'000'000, 90'000, 500, O, unknown},
          {A, 0, 90'000, 70'100 + 5'000'000, 500, Re, unknown},
          {R, 0, 70'000, 0, 0, O, {Ph::established, {}, tcp_note::inexact_rst, false}},
          {R, 0, 70'100 + 5'000'000, 0, 0, O, {Ph::closed}}},
         SeqCheck::strict, true);
}

TEST(TcpWindow, T32_KeepAlivesAndZeroWindowProbesAreSignsOfLife) {
    const Then alive{Ph::established, {}, 0, true};
    Rows rows = {{A, 100, 1001, 5001, 1024, O, alive}, {A, 0, 5001, 1101, 0, Re, alive}};
    for (int n = 0; n < 30; ++n) {
        rows.push_back({A, 0, 1100, 5001, 1024, O, alive});  // keep-alive without a byte
        rows.push_back({A, 1, 1100, 5001, 1024, O, alive});  // with one that was sent before
        rows.push_back({A, 1, 1101, 5001, 1024, O, alive});  // probe of the closed window with the next one
        rows.push_back({A, 0, 5001, 1101, 0, Re, alive});
        rows.push_back({A, 0, 5000, 1101, 0, Re, alive});
    }
    play("T32", after_handshake(rows, 1024));
    play("the window was never open",
         after_handshake(
             {{A, 1, 1001, 5001, 0, O, ok}, {A, 2, 1001, 5001, 0, O, overshoot}, {A, 3, 1001, 5001, 0, O, out}}, 0));
}

TEST(TcpWindow, T31_UrgentDataAreData) {
    play("URG", after_handshake({{U | P | A, 10, 1001, 5001, W, O, ok}, {A, 0, 5001, 1011, W, Re, ok}}));
}

TEST(TcpWindow, SeqCheckLogLetsPassAndSaysWhy) {
    FlowHot flow{};
    tcp_open(flow, {S, 1000, 0, 0, W});
    flow.phase = Ph::syn_sent;
    flow.phase = tcp_advance(flow, Re, {S | A, 5000, 1001, 0, W}, SeqCheck::log).next;
    flow.phase = tcp_advance(flow, O, {A, 1001, 5001, 0, W}, SeqCheck::log).next;
    TcpResult r = tcp_advance(flow, O, {A, 1001 + 200'000, 5001, 10, W}, SeqCheck::log);
    EXPECT_EQ(int(r.outcome), int(TcpOutcome::pass));
    EXPECT_EQ(r.notes, tcp_note::violation);
    EXPECT_EQ(abi::to_string(r.reason), "tcp_out_of_window");
    r = tcp_advance(flow, Re, {A, 5001, 1001 + 200'010, 0, W}, SeqCheck::log);
    EXPECT_EQ(r.notes, 0) << "the tracker follows what passes";
    r = tcp_advance(flow, Re, {A, 5001, 3'000'000, 0, W}, SeqCheck::log);
    EXPECT_EQ(r.notes, tcp_note::violation);
    EXPECT_EQ(abi::to_string(r.reason), "tcp_bad_ack");
    r = tcp_advance(flow, O, {R, 1, 0, 0, 0}, SeqCheck::log);
    EXPECT_EQ(r.notes, tcp_note::violation);
    EXPECT_EQ(abi::to_string(r.reason), "tcp_bad_rst");
    EXPECT_EQ(int(r.next), int(Ph::established));
    EXPECT_FALSE(r.refreshes);
    EXPECT_EQ(int(tcp_advance(flow, O, {F | A, 9'000'000, 5001, 0, W}, SeqCheck::log).next),
              int(Ph::fin_wait_original));
}

TEST(TcpWindow, SeqCheckOffChecksTheHandshakeOnly) {
    play("off",
         {{S, 0, 1000, 0, W, O, {Ph::syn_sent}},
          {S | A, 0, 5000, 1002, W, Re, {Ph::syn_sent, DropReason::tcp_bad_ack}},
          {S | A, 0, 5000, 1001, W, Re, {Ph::syn_received}},
          {A, 0, 1001, 5001, W, O, {Ph::established}},
          {A, 10, 1001 + 900'000, 5001, W, O, {Ph::established}},
          {A, 0, 5001, 7'000'000, W, Re, {Ph::established}},
          {R, 0, 1, 0, 0, O, {Ph::established, {}, tcp_note::inexact_rst, false}},
          {S, 0, 1, 0, 0, Re, {Ph::established, DropReason::tcp_bad_flags}},
          {F | A, 0, 1, 5001, W, O, {Ph::fin_wait_original}},
          {F | A, 0, 1, 5001, W, Re, {Ph::closing}}},
         SeqCheck::off);
}

TEST(TcpWindow, DataInFlightAreKnown) {
    FlowHot flow{};
    tcp_open(flow, {S, 1000, 0, 0, W});
    flow.phase = Ph::syn_sent;
    flow.phase = tcp_advance(flow, Re, {S | A, 5000, 1001, 0, W}, SeqCheck::strict).next;
    flow.phase = tcp_advance(flow, O, {A, 1001, 5001, 0, W}, SeqCheck::strict).next;
    EXPECT_FALSE(flow.in_flight());
    (void)tcp_advance(flow, O, {A, 1001, 5001, 10, W}, SeqCheck::strict);
    EXPECT_TRUE(flow.in_flight());
    (void)tcp_advance(flow, Re, {A, 5001, 1010, 0, W}, SeqCheck::strict);
    EXPECT_TRUE(flow.in_flight());
    (void)tcp_advance(flow, Re, {A, 5001, 1011, 0, W}, SeqCheck::strict);
    EXPECT_FALSE(flow.in_flight());
}

FlowHot flow_after(const Rows& rows) {
    FlowHot flow{};
    tcp_open(flow, rows.front().segment());
    flow.phase = Ph::syn_sent;
    for (std::size_t i = 1; i < rows.size(); ++i) {
        const TcpResult r = tcp_advance(flow, rows[i].from, rows[i].segment(), SeqCheck::strict);
        EXPECT_EQ(int(r.outcome), int(TcpOutcome::pass)) << "row " << i;
        flow.phase = r.next;
    }
    return flow;
}

// What an ICMP error may quote (RFC 5927 section 4.1). The client offers 64,240 bytes, the server 1,000.
TEST(TcpQuotes, I5_FromAWindowBeforeTheLastAcknowledgementToTheLastSent) {
    Rows rows = after_handshake({{A, 500, 5001, 1001, 1000, Re, {}}, {A, 0, 1001, 5201, 64240, O, {}}});
    rows[1].win = 1000;
    const FlowHot flow = flow_after(rows);
    const std::uint32_t acked = 5201, sent = 5501;
    for (const auto& [seq, may] : {std::pair{acked, true},
                                   {sent, true},
                                   {sent + 1, false},
                                   {acked - 64240, true},
                                   {acked - 64241, false},
                                   {acked + 0x8000'0000, false}}) {
        EXPECT_EQ(tcp_may_be_in_flight(flow, Re, seq), may) << seq;
    }
    EXPECT_TRUE(tcp_may_be_in_flight(flow, O, 1001 - 1000));
    EXPECT_FALSE(tcp_may_be_in_flight(flow, O, 1001 - 1001)) << "by the server's window";
    EXPECT_FALSE(tcp_may_be_in_flight(flow, O, 1002));
}

TEST(TcpQuotes, I5_TheSynItselfAndAcrossTheWrap) {
    const FlowHot opening = flow_after({{S, 0, 0xffff'fffe, 0, 64240, O, {}}});
    EXPECT_TRUE(tcp_may_be_in_flight(opening, O, 0xffff'fffe));
    EXPECT_TRUE(tcp_may_be_in_flight(opening, O, 0xffff'ffff));
    EXPECT_FALSE(tcp_may_be_in_flight(opening, O, 0xffff'fffd));
    EXPECT_FALSE(tcp_may_be_in_flight(opening, O, 0));
    EXPECT_FALSE(tcp_may_be_in_flight(opening, Re, 5000)) << "it has said nothing yet";
    FlowHot wrapped = opening;
    wrapped.phase = Ph::established;
    wrapped.window_scales = 0;
    wrapped.window_max = {1000, 1000};
    wrapped.seq_end[0] = 700;
    EXPECT_TRUE(tcp_may_be_in_flight(wrapped, O, 700));
    EXPECT_TRUE(tcp_may_be_in_flight(wrapped, O, 0xffff'ffff - 1000));
    EXPECT_FALSE(tcp_may_be_in_flight(wrapped, O, 0xffff'fffe - 1000));
    EXPECT_FALSE(tcp_may_be_in_flight(wrapped, O, 701));
}

TEST(TcpQuotes, I5_WhatCantBeToldPasses) {
    FlowHot flow{};
    tcp_pick_up(flow, {A, 1000, 5000, 10, 64240, 0xff});
    flow.phase = Ph::established;
    EXPECT_TRUE(tcp_may_be_in_flight(flow, O, 99'999'999)) << "T22: the windows are not known";
    flow = flow_after(after_handshake({{R, 0, 1001, 0, 0, O, {}}}));
    EXPECT_EQ(int(flow.phase), int(Ph::closed));
    EXPECT_TRUE(tcp_may_be_in_flight(flow, O, 99'999'999)) << "there is nothing left to harm";
}

TEST(TcpQuotes, ARefusalAcknowledgesItsSyn) {
    const TcpSegment syn{S, 1000, 0, 100, 64240, 0xff};
    EXPECT_TRUE(tcp_refuses(syn, {R | A, 0, 1001, 0, 0, 0xff}));
    EXPECT_TRUE(tcp_refuses(syn, {R | A, 0, 1101, 0, 0, 0xff})) << "with its data";
    EXPECT_FALSE(tcp_refuses(syn, {R | A, 0, 1000, 0, 0, 0xff}));
    EXPECT_FALSE(tcp_refuses(syn, {R | A, 0, 1102, 0, 0, 0xff}));
    EXPECT_FALSE(tcp_refuses(syn, {R, 0, 1001, 0, 0, 0xff}));
    EXPECT_FALSE(tcp_refuses(syn, {S | A, 0, 1001, 0, 0, 0xff}));
}

}  // namespace
}  // namespace sluice::dp
