// The whole state table, cell by cell: each phase, each side, each kind of segment, once with numbers that fit the
// handshake and once with numbers that do not. tcp_state_test.cpp has the stories; here no cell can change unseen.
#include <array>
#include <string>

#include <gtest/gtest.h>

#include "tests/unit/dataplane/flow/tcp_rows.hpp"

namespace sluice::dp {
namespace {

// The original side's SYN had sequence 1000, the reply side's 5000; neither has sent anything since.
constexpr std::uint32_t kSyn[2] = {1000, 5000};

FlowHot flow_in(Ph phase) {
    FlowHot flow{};
    flow.phase = phase;
    for (const std::size_t side : {0U, 1U}) {
        flow.seq_acked[side] = flow.seq_end[side] = kSyn[side] + 1;
        flow.window_max[side] = 1000;
    }
    return flow;
}

/// SYN, SYN-ACK, ACK, FIN, RST of one side.
std::array<TcpSegment, 5> fitting(Direction from) {
    const std::uint32_t syn = kSyn[index(from)], next = syn + 1, ack = kSyn[index(opposite(from))] + 1;
    return {{{S, syn, 0, 0}, {S | A, syn, ack, 0}, {A, next, ack, 0}, {F | A, next, ack, 0}, {R | A, next, ack, 0}}};
}
/// A newer SYN; another SYN-ACK, data and a FIN that acknowledge what was never sent; a RST that nobody waits for.
std::array<TcpSegment, 5> unfitting(Direction from) {
    const std::uint32_t syn = kSyn[index(from)], never = kSyn[index(opposite(from))] + 500'000;
    return {{{S, syn + 2000, 0, 0},
             {S | A, syn + 4000, never, 0},
             {A, syn + 1, never, 10},
             {F | A, syn + 1, never, 0},
             {R, syn + 100'000, 0, 0}}};
}

std::string name_of(Ph phase) {
    switch (phase) {
        case Ph::syn_sent: return "sent";
        case Ph::syn_crossed: return "crossed";
        case Ph::syn_acked_ahead: return "ahead";
        case Ph::syn_received: return "received";
        case Ph::established: return "estab";
        case Ph::fin_wait_original: return "finO";
        case Ph::fin_wait_reply: return "finR";
        case Ph::closing: return "closing";
        case Ph::time_wait: return "wait";
        case Ph::closed: return "closed";
        default: return "no phase of TCP";
    }
}

/// The phase after it, with ~ behind it if the segment is no sign of life; or `reopen`; or ! and why it is dropped.
std::string outcome(Ph phase, Direction from, const TcpSegment& segment) {
    FlowHot flow = flow_in(phase);
    const TcpResult r = tcp_advance(flow, from, segment, SeqCheck::strict);
    if (r.outcome == TcpOutcome::drop) return "!" + std::string{abi::to_string(r.reason)}.substr(4);  // without tcp_
    if (r.outcome == TcpOutcome::reopen) return "reopen";
    return name_of(r.next) + (r.refreshes ? "" : "~");
}

struct Cells {
    Ph phase;
    Direction from;
    std::array<const char*, 5> fits, fits_not;
};

// Above the outcome of a segment that fits, below of one that does not.
// clang-format off
const Cells kRows[] = {
//                            SYN            SYN-ACK        ACK            FIN            RST
{Ph::syn_sent,           O,  {"sent",        "!bad_flags",  "!bad_ack",    "!bad_flags",  "closed"},
                             {"sent~",       "!bad_flags",  "!bad_ack",    "!bad_flags",  "sent~"}},
{Ph::syn_sent,           Re, {"crossed",     "received",    "sent~",       "!bad_flags",  "closed"},
                             {"crossed",     "!bad_ack",    "!bad_ack",    "!bad_flags",  "!bad_rst"}},
{Ph::syn_crossed,        O,  {"crossed",     "ahead",       "ahead",       "!bad_flags",  "closed"},
                             {"crossed~",    "!bad_ack",    "!bad_ack",    "!bad_flags",  "!bad_rst"}},
{Ph::syn_crossed,        Re, {"crossed",     "received",    "received",    "!bad_flags",  "closed"},
                             {"crossed",     "!bad_ack",    "!bad_ack",    "!bad_flags",  "!bad_rst"}},
{Ph::syn_acked_ahead,    O,  {"ahead~",      "ahead",       "ahead",       "finO",        "closed"},
                             {"ahead~",      "!bad_ack",    "!bad_ack",    "!bad_ack",    "!bad_rst"}},
{Ph::syn_acked_ahead,    Re, {"ahead~",      "estab",       "estab",       "finR",        "closed"},
                             {"ahead~",      "!bad_ack",    "!bad_ack",    "!bad_ack",    "!bad_rst"}},
{Ph::syn_received,       O,  {"received~",   "estab",       "estab",       "finO",        "closed"},
                             {"received~",   "!bad_ack",    "!bad_ack",    "!bad_ack",    "!bad_rst"}},
{Ph::syn_received,       Re, {"!bad_flags",  "received",    "received",    "finR",        "closed"},
                             {"!bad_flags",  "!bad_ack",    "!bad_ack",    "!bad_ack",    "!bad_rst"}},
{Ph::established,        O,  {"estab~",      "estab~",      "estab",       "finO",        "closed"},
                             {"estab~",      "!bad_flags",  "!bad_ack",    "!bad_ack",    "!bad_rst"}},
{Ph::established,        Re, {"!bad_flags",  "estab~",      "estab",       "finR",        "closed"},
                             {"!bad_flags",  "!bad_flags",  "!bad_ack",    "!bad_ack",    "!bad_rst"}},
{Ph::fin_wait_original,  O,  {"finO~",       "finO~",       "finO",        "finO",        "closed"},
                             {"finO~",       "!bad_flags",  "!bad_ack",    "!bad_ack",    "!bad_rst"}},
{Ph::fin_wait_original,  Re, {"!bad_flags",  "finO~",       "finO",        "closing",     "closed"},
                             {"!bad_flags",  "!bad_flags",  "!bad_ack",    "!bad_ack",    "!bad_rst"}},
{Ph::fin_wait_reply,     O,  {"finR~",       "finR~",       "finR",        "closing",     "closed"},
                             {"finR~",       "!bad_flags",  "!bad_ack",    "!bad_ack",    "!bad_rst"}},
{Ph::fin_wait_reply,     Re, {"!bad_flags",  "finR~",       "finR",        "finR",        "closed"},
                             {"!bad_flags",  "!bad_flags",  "!bad_ack",    "!bad_ack",    "!bad_rst"}},
{Ph::closing,            O,  {"closing~",    "closing~",    "closing",     "closing",     "closed"},
                             {"closing~",    "!bad_flags",  "!bad_ack",    "!bad_ack",    "!bad_rst"}},
{Ph::closing,            Re, {"!bad_flags",  "closing~",    "closing",     "closing",     "closed"},
                             {"!bad_flags",  "!bad_flags",  "!bad_ack",    "!bad_ack",    "!bad_rst"}},
{Ph::time_wait,          O,  {"wait~",       "wait~",       "wait",        "wait",        "closed"},
                             {"reopen",      "!bad_flags",  "!bad_ack",    "!bad_ack",    "!bad_rst"}},
{Ph::time_wait,          Re, {"!bad_flags",  "wait~",       "wait",        "wait",        "closed"},
                             {"reopen",      "!bad_flags",  "!bad_ack",    "!bad_ack",    "!bad_rst"}},
{Ph::closed,             O,  {"reopen",      "!closed",     "!closed",     "!closed",     "!closed"},
                             {"reopen",      "!closed",     "!closed",     "!closed",     "!closed"}},
{Ph::closed,             Re, {"reopen",      "!closed",     "!closed",     "!closed",     "!closed"},
                             {"reopen",      "!closed",     "!closed",     "!closed",     "!closed"}},
};
// clang-format on

TEST(TcpTable, EveryCellIsWhatItShouldBe) {
    constexpr const char* kKinds[] = {"SYN", "SYN-ACK", "ACK", "FIN", "RST"};
    for (const Cells& row : kRows) {
        for (std::size_t kind = 0; kind < 5; ++kind) {
            SCOPED_TRACE(name_of(row.phase) + (row.from == O ? ", original: " : ", reply: ") + kKinds[kind]);
            EXPECT_EQ(outcome(row.phase, row.from, fitting(row.from)[kind]), row.fits[kind]) << "fitting";
            EXPECT_EQ(outcome(row.phase, row.from, unfitting(row.from)[kind]), row.fits_not[kind]) << "not fitting";
        }
    }
    EXPECT_EQ(std::size(kRows), 2 * static_cast<std::size_t>(Ph::closed)) << "a phase has no row";
}

}  // namespace
}  // namespace sluice::dp
