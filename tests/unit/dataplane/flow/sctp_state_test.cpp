// Associations as rows of a capture (CASES G2). The client (O) names tag 7 for what it is sent, the server (Re) tag 9;
// so the client's packets carry 9, the server's 7.
#include "dataplane/flow/sctp_state.hpp"

#include <optional>
#include <vector>

#include <gtest/gtest.h>

namespace sluice::dp {
namespace {

using abi::DropReason;
using Ph = FlowPhase;
constexpr Direction O = Direction::original, Re = Direction::reply;
constexpr std::uint16_t INIT = sctp_chunk::init, INIT_ACK = sctp_chunk::init_ack, ECHO = sctp_chunk::cookie_echo,
                        ACK = sctp_chunk::cookie_ack, SHUT = sctp_chunk::shutdown, SHUT_ACK = sctp_chunk::shutdown_ack,
                        DONE = sctp_chunk::shutdown_complete, ABORT = sctp_chunk::abort, DATA = sctp_chunk::other;

struct Then {
    FlowPhase phase{};  ///< afterwards; free = the flow reopens
    std::optional<DropReason> dropped{};
    bool quiet{};  ///< passes, and is no sign of life
};
constexpr Then quiet(FlowPhase phase) { return {phase, {}, true}; }

struct Row {
    std::uint16_t chunks{};
    std::uint32_t tag{}, init_tag{};
    Direction from{};
    Then then{};
    bool reflected{};
};
using Rows = std::vector<Row>;

FlowHot play(const char* name, const Rows& rows, bool pickup = false) {
    SCOPED_TRACE(name);
    FlowHot flow{};
    const SctpPacket first{rows[0].tag, rows[0].init_tag, rows[0].chunks, false};
    pickup ? sctp_pick_up(flow, first) : sctp_open(flow, first);
    flow.phase = rows[0].then.phase;
    for (std::size_t i = 1; i < rows.size(); ++i) {
        SCOPED_TRACE(testing::Message() << "row " << i);
        const Row& row = rows[i];
        const SctpPacket packet{row.tag, row.init_tag, row.chunks, row.reflected};
        EXPECT_TRUE(sctp_tag_legal(packet)) << "parse and track let no other one come so far";
        const FlowHot before = flow;
        const SctpResult r = sctp_advance(flow, row.from, packet);
        if (row.then.dropped) {
            EXPECT_EQ(int(r.outcome), int(TcpOutcome::drop));
            EXPECT_EQ(abi::to_string(r.reason), abi::to_string(*row.then.dropped));
            EXPECT_EQ(flow.seq_end, before.seq_end) << "a dropped packet changes nothing";
            EXPECT_EQ(flow.seq_acked, before.seq_acked);
        } else if (row.then.phase == Ph::free) {
            EXPECT_EQ(int(r.outcome), int(TcpOutcome::reopen));
        } else {
            EXPECT_EQ(int(r.outcome), int(TcpOutcome::pass)) << abi::to_string(r.reason);
            EXPECT_EQ(r.refreshes, !row.then.quiet);
            EXPECT_EQ(int(r.next), int(row.then.phase));
            flow.phase = r.next;
        }
    }
    return flow;
}

Rows associated(const Rows& more = {}) {
    Rows all = {
        //  chunks   tag named from  then
        {INIT, 0, 7, O, {Ph::sctp_init}},
        {INIT_ACK, 7, 9, Re, {Ph::sctp_init_acked}},
        {ECHO | DATA, 9, 0, O, {Ph::sctp_cookie_echoed}},
        {ACK, 7, 0, Re, {Ph::sctp_established}},
        {DATA, 9, 0, O, {Ph::sctp_established}},
    };
    all.insert(all.end(), more.begin(), more.end());
    return all;
}

constexpr Then bad_tag(FlowPhase phase) { return {phase, DropReason::sctp_bad_vtag}; }
constexpr Then bad_chunk(FlowPhase phase) { return {phase, DropReason::sctp_bad_chunk}; }

TEST(SctpState, G2_AnAssociationFromInitToShutdownComplete) {
    play("shutdown by the client", associated({{DATA | SHUT, 9, 0, O, {Ph::sctp_shutdown}},
                                               {DATA, 7, 0, Re, {Ph::sctp_shutdown}},  // it finishes what it has
                                               {SHUT_ACK, 7, 0, Re, {Ph::sctp_shutdown}},
                                               {DONE, 9, 0, O, {Ph::sctp_closed}},
                                               {DATA, 7, 0, Re, bad_chunk(Ph::sctp_closed)},
                                               {INIT, 0, 77, O, {Ph::free}}}));
    play("by the server", associated({{SHUT, 7, 0, Re, {Ph::sctp_shutdown}},
                                      {SHUT_ACK, 9, 0, O, {Ph::sctp_shutdown}},
                                      {DONE, 7, 0, Re, {Ph::sctp_closed}}}));
    play("nothing is done before it began", associated({{DONE, 9, 0, O, bad_chunk(Ph::sctp_established)}}));
    // SHUTDOWN COMPLETE was lost behind us: the server asks again, and the client, which has forgotten, gives its tag
    // back (RFC 9260 section 8.4 (5)).
    play("the last packet is lost", associated({{SHUT, 9, 0, O, {Ph::sctp_shutdown}},
                                                {SHUT_ACK, 7, 0, Re, {Ph::sctp_shutdown}},
                                                {DONE, 9, 0, O, {Ph::sctp_closed}},
                                                {SHUT_ACK, 7, 0, Re, quiet(Ph::sctp_closed)},
                                                {DONE, 7, 0, O, quiet(Ph::sctp_closed), true}}));
}

TEST(SctpState, G2_WrongTagsAreDroppedAndChangeNothing) {
    for (const std::uint16_t chunks : {DATA, ABORT, SHUT, SHUT_ACK, DONE, INIT_ACK, ECHO, ACK}) {
        play("live", associated({{chunks, 8, 5, O, bad_tag(Ph::sctp_established)},
                                 {chunks, 7, 5, O, bad_tag(Ph::sctp_established)},  // the other direction's
                                 {chunks, 9, 5, Re, bad_tag(Ph::sctp_established)},
                                 {DATA, 7, 0, Re, {Ph::sctp_established}}}));
        play("before the server has named one",
             {{INIT, 0, 7, O, {Ph::sctp_init}}, {chunks, 9, 5, O, bad_tag(Ph::sctp_init)}});
    }
    play("a server answers another INIT", {{INIT, 0, 7, O, {Ph::sctp_init}},
                                           {INIT_ACK, 8, 9, Re, bad_tag(Ph::sctp_init)},
                                           {INIT_ACK, 7, 9, Re, {Ph::sctp_init_acked}}});
}

TEST(SctpState, G2_AnAbortNeedsTheTagOrGivesItBack) {
    play("own", associated({{ABORT, 9, 0, O, {Ph::sctp_closed}}, {ABORT, 9, 0, O, quiet(Ph::sctp_closed)}}));
    play("T bit", associated({{ABORT, 9, 0, Re, {Ph::sctp_closed}, true}}));
    play("T bit, but the wrong one", associated({{ABORT, 7, 0, Re, bad_tag(Ph::sctp_established), true}}));
    play("nobody listens", {{INIT, 0, 7, O, {Ph::sctp_init}}, {ABORT, 7, 0, Re, {Ph::sctp_closed}}});
}

TEST(SctpState, NothingIsSaidBeforeTheCookie) {
    play("data on INIT ACK", {{INIT, 0, 7, O, {Ph::sctp_init}},
                              {INIT_ACK, 7, 9, Re, {Ph::sctp_init_acked}},
                              {DATA, 9, 0, O, bad_chunk(Ph::sctp_init_acked)},
                              {DATA, 7, 0, Re, bad_chunk(Ph::sctp_init_acked)},
                              {ACK, 7, 0, Re, bad_chunk(Ph::sctp_init_acked)},
                              {ECHO, 9, 0, O, {Ph::sctp_cookie_echoed}},
                              {SHUT, 7, 0, Re, {Ph::sctp_cookie_echoed}},  // too early, and ignored
                              {DATA, 7, 0, Re, {Ph::sctp_cookie_echoed}},  // overtakes COOKIE ACK
                              {ACK, 7, 0, Re, {Ph::sctp_established}}});
}

// RFC 9260 section 5.1.3: the server keeps nothing, so each of its answers names another tag.
TEST(SctpState, InitSentAgainMayBeAnsweredTwice) {
    for (const std::uint32_t used : {9U, 10U}) {
        const FlowHot flow = play("either answer is good", {{INIT, 0, 7, O, {Ph::sctp_init}},
                                                            {INIT, 0, 7, O, {Ph::sctp_init}},
                                                            {INIT_ACK, 7, 9, Re, {Ph::sctp_init_acked}},
                                                            {INIT_ACK, 7, 10, Re, {Ph::sctp_init_acked}},
                                                            {ECHO, used, 0, O, {Ph::sctp_cookie_echoed}},
                                                            {ACK, 7, 0, Re, {Ph::sctp_established}},
                                                            {DATA, used, 0, O, {Ph::sctp_established}},
                                                            {DATA, 19 - used, 0, O, bad_tag(Ph::sctp_established)}});
        EXPECT_EQ(flow.seq_acked[0] | flow.seq_acked[1], 0U) << "no candidates are left";
    }
}

TEST(SctpState, AForgedSecondInitDoesNotHinderTheFirst) {
    play("the true one is answered", {{INIT, 0, 7, O, {Ph::sctp_init}},
                                      {INIT, 0, 66, O, quiet(Ph::sctp_init)},
                                      {INIT_ACK, 66, 99, Re, {Ph::sctp_init_acked}},
                                      {INIT_ACK, 7, 9, Re, {Ph::sctp_init_acked}},
                                      {ABORT, 66, 0, Re, quiet(Ph::sctp_init_acked)},  // of what the forger began
                                      {ECHO, 9, 0, O, {Ph::sctp_cookie_echoed}},
                                      {ACK, 7, 0, Re, {Ph::sctp_established}},
                                      {DATA, 7, 0, Re, {Ph::sctp_established}}});
    play("given up, and begun anew", {{INIT, 0, 66, O, {Ph::sctp_init}},
                                      {INIT, 0, 7, O, quiet(Ph::sctp_init)},
                                      {INIT_ACK, 7, 9, Re, {Ph::sctp_init_acked}},
                                      {ECHO, 9, 0, O, {Ph::sctp_cookie_echoed}},
                                      {ACK, 7, 0, Re, {Ph::sctp_established}},
                                      {DATA, 7, 0, Re, {Ph::sctp_established}},
                                      {DATA, 66, 0, Re, bad_tag(Ph::sctp_established)}});
}

// RFC 9260 section 5.2.1; what the kernel's selftest of collisions plays.
TEST(SctpState, G2_InitsThatCross) {
    play("both answer with their own tags", {{INIT, 0, 7, O, {Ph::sctp_init}},
                                             {INIT, 0, 9, Re, {Ph::sctp_init}},
                                             {INIT_ACK, 9, 7, O, {Ph::sctp_init_acked}},
                                             {INIT_ACK, 7, 9, Re, {Ph::sctp_init_acked}},
                                             {ECHO, 9, 0, O, {Ph::sctp_cookie_echoed}},
                                             {ECHO, 7, 0, Re, {Ph::sctp_cookie_echoed}},
                                             {ACK, 9, 0, O, {Ph::sctp_established}},
                                             {ACK, 7, 0, Re, {Ph::sctp_established, {}, true}},
                                             {DATA, 9, 0, O, {Ph::sctp_established}},
                                             {DATA, 7, 0, Re, {Ph::sctp_established}}});
    // The client's INIT is late: the server has an association by then, and answers with a tag that leads nowhere.
    play("one arrives late", {{INIT, 0, 7, O, {Ph::sctp_init}},
                              {INIT, 0, 9, Re, {Ph::sctp_init}},
                              {INIT_ACK, 9, 7, O, {Ph::sctp_init_acked}},
                              {ECHO, 7, 0, Re, {Ph::sctp_cookie_echoed}},
                              {ACK, 9, 0, O, {Ph::sctp_established}},
                              {INIT_ACK, 7, 99, Re, quiet(Ph::sctp_established)},
                              {DATA, 7, 0, Re, {Ph::sctp_established}},
                              {DATA, 9, 0, O, {Ph::sctp_established}},
                              {DATA, 99, 0, O, bad_tag(Ph::sctp_established)}});
}

// RFC 9260 section 5.2.2.
TEST(SctpState, G2_ARestartTakesOverWithItsCookieAckAndNotBefore) {
    const Rows restart = {{INIT, 0, 70, O, quiet(Ph::sctp_established)},
                          {DATA, 7, 0, Re, {Ph::sctp_established}},  // the server goes on with the old one meanwhile
                          {INIT_ACK, 70, 90, Re, quiet(Ph::sctp_established)},
                          {ECHO, 90, 0, O, quiet(Ph::sctp_established)},
                          {DATA, 9, 0, O, {Ph::sctp_established}},
                          {ACK, 70, 0, Re, {Ph::sctp_established}},
                          {DATA, 90, 0, O, {Ph::sctp_established}},
                          {DATA, 70, 0, Re, {Ph::sctp_established}},
                          {DATA, 9, 0, O, bad_tag(Ph::sctp_established)},
                          {DATA, 7, 0, Re, bad_tag(Ph::sctp_established)}};
    play("the client", associated(restart));
    Rows repeated = restart;
    repeated.insert(repeated.begin() + 3, restart.front());
    play("its INIT doubled on the way", associated(repeated));
    play("another INIT behind the answer", associated({{INIT, 0, 70, O, quiet(Ph::sctp_established)},
                                                       {INIT_ACK, 70, 90, Re, quiet(Ph::sctp_established)},
                                                       {INIT, 0, 71, O, quiet(Ph::sctp_established)},
                                                       {ECHO, 90, 0, O, bad_tag(Ph::sctp_established)}}));
    play("the server", associated({{INIT, 0, 90, Re, quiet(Ph::sctp_established)},
                                   {INIT_ACK, 90, 70, O, quiet(Ph::sctp_established)},
                                   {ECHO, 70, 0, Re, quiet(Ph::sctp_established)},
                                   {ACK, 90, 0, O, {Ph::sctp_established}},
                                   {DATA, 90, 0, O, {Ph::sctp_established}},
                                   {DATA, 70, 0, Re, {Ph::sctp_established}}}));
    play("forged, and refused by the server", associated({{INIT, 0, 66, O, quiet(Ph::sctp_established)},
                                                          {ABORT, 66, 0, Re, quiet(Ph::sctp_established)},
                                                          {DATA, 9, 0, O, {Ph::sctp_established}}}));
    play("no COOKIE ACK without both tags", associated({{INIT, 0, 66, O, quiet(Ph::sctp_established)},
                                                        {ACK, 66, 0, Re, bad_chunk(Ph::sctp_established)},
                                                        {DATA, 7, 0, Re, {Ph::sctp_established}}}));
    play("the old cookie again", associated({{ECHO, 9, 0, O, quiet(Ph::sctp_established)},
                                             {ACK, 7, 0, Re, quiet(Ph::sctp_established)},
                                             {INIT_ACK, 7, 8, Re, quiet(Ph::sctp_established)}}));
}

TEST(SctpState, PickedUpTagsAreLearned) {
    play("from data",
         {{DATA, 9, 0, O, {Ph::sctp_established}},
          {ABORT, 7, 0, Re, bad_tag(Ph::sctp_established)},
          {DATA, 7, 0, Re, {Ph::sctp_established}},
          {DATA, 8, 0, Re, bad_tag(Ph::sctp_established)},
          {DATA, 8, 0, O, bad_tag(Ph::sctp_established)},
          {ABORT, 7, 0, Re, {Ph::sctp_closed}}},
         true);
    EXPECT_TRUE(sctp_picks_up({9, 0, DATA, false}));
    for (const std::uint16_t chunks : {INIT, INIT_ACK, ECHO, ACK, ABORT, DONE, SHUT}) {
        EXPECT_FALSE(sctp_picks_up({9, 0, chunks, false}));
        EXPECT_FALSE(sctp_picks_up({9, 0, static_cast<std::uint16_t>(DATA | chunks), false}));
    }
}

TEST(SctpState, QuotedTags) {
    FlowHot flow{};
    sctp_open(flow, {0, 7, INIT, false});
    flow.phase = Ph::sctp_init;
    EXPECT_TRUE(sctp_may_have_sent(flow, O, 0)) << "the INIT";
    EXPECT_FALSE(sctp_may_have_sent(flow, Re, 8));
    flow = play("live", associated());
    EXPECT_TRUE(sctp_may_have_sent(flow, O, 9));
    EXPECT_TRUE(sctp_may_have_sent(flow, Re, 7));
    EXPECT_FALSE(sctp_may_have_sent(flow, O, 7));
    EXPECT_FALSE(sctp_may_have_sent(flow, O, 0)) << "its INIT is long gone";
    (void)sctp_advance(flow, O, {0, 70, INIT, false});
    EXPECT_TRUE(sctp_may_have_sent(flow, O, 0)) << "a restart's";
    EXPECT_TRUE(sctp_may_have_sent(flow, Re, 70));
}

}  // namespace
}  // namespace sluice::dp
