/// TCP segments as rows of a capture, for tests: what is sent, by whom, and what the state machine makes of it.
///
///     //  flags  len   seq   ack   win  from  then
///     {   S,       0, 1000,    0, 4096, O,    {Ph::syn_sent} },
///     {   S|A,     0, 5000, 1001, 4096, Re,   {Ph::syn_received} },
///     {   A,       0, 1001, 9999, 4096, O,    {Ph::syn_received, DropReason::tcp_bad_ack} },
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <gtest/gtest.h>

#include "dataplane/flow/tcp_state.hpp"

namespace sluice::dp {

using abi::DropReason;
using abi::SeqCheck;
using Ph = FlowPhase;
inline constexpr std::uint8_t F = 0x01, S = 0x02, R = 0x04, P = 0x08, A = 0x10, U = 0x20;
inline constexpr Direction O = Direction::original, Re = Direction::reply;

struct Then {
    FlowPhase phase{};  ///< afterwards; free = the flow reopens
    std::optional<DropReason> dropped{};
    std::uint8_t notes{};             ///< tcp_note, all of them
    std::optional<bool> refreshes{};  ///< where the row is about that
};

struct Row {
    std::uint8_t flags{};
    std::uint32_t len{}, seq{}, ack{};
    std::uint16_t win{};
    Direction from{};
    Then then{};
    std::uint8_t wscale{0xff};

    TcpSegment segment() const { return {flags, seq, ack, len, win, wscale}; }
};
using Rows = std::vector<Row>;

/// The first row opens the flow (a SYN) or, with `pickup`, is its middle; each later one is judged. A dropped segment
/// must leave the entry as it was.
inline void play(const char* name, const Rows& rows, SeqCheck check = SeqCheck::strict, bool pickup = false) {
    SCOPED_TRACE(name);
    FlowHot flow{};
    if (pickup) {
        tcp_pick_up(flow, rows.front().segment());
    } else {
        tcp_open(flow, rows.front().segment());
    }
    flow.phase = rows.front().then.phase;
    for (std::size_t i = 1; i < rows.size(); ++i) {
        SCOPED_TRACE(testing::Message() << "row " << i);
        const Row& row = rows[i];
        const FlowHot before = flow;
        const TcpResult r = tcp_advance(flow, row.from, row.segment(), check);
        if (row.then.dropped) {
            ASSERT_EQ(int(r.outcome), int(TcpOutcome::drop));
            EXPECT_EQ(abi::to_string(r.reason), abi::to_string(*row.then.dropped));
            EXPECT_EQ(int(flow.phase), int(row.then.phase));
            EXPECT_EQ(flow.seq_end, before.seq_end) << "a dropped segment changes nothing";
            EXPECT_EQ(flow.seq_acked, before.seq_acked);
            EXPECT_EQ(flow.window_max, before.window_max);
            EXPECT_EQ(flow.flags, before.flags);
        } else if (row.then.phase == Ph::free) {
            ASSERT_EQ(int(r.outcome), int(TcpOutcome::reopen));
        } else {
            ASSERT_EQ(int(r.outcome), int(TcpOutcome::pass)) << abi::to_string(r.reason);
            EXPECT_EQ(int(r.notes), int(row.then.notes));
            if (row.then.refreshes) {
                EXPECT_EQ(r.refreshes, *row.then.refreshes);
            }
            flow.phase = r.next;
            ASSERT_EQ(int(flow.phase), int(row.then.phase));
        }
    }
}

/// A handshake from 1000 and 5000, with these windows and scales, and what follows.
inline Rows after_handshake(const Rows& more, std::uint16_t win = 64240, std::uint8_t scale_original = 0xff,
                            std::uint8_t scale_reply = 0xff) {
    Rows all = {
        {S, 0, 1000, 0, win, O, {Ph::syn_sent}, scale_original},
        {S | A, 0, 5000, 1001, win, Re, {Ph::syn_received}, scale_reply},
        {A, 0, 1001, 5001, win, O, {Ph::established}},
    };
    all.insert(all.end(), more.begin(), more.end());
    return all;
}

}  // namespace sluice::dp
