#include <gtest/gtest.h>

#include "dataplane/flow/flow_entry.hpp"

namespace sluice::dp {
namespace {

// What operators see of a phase. The sides of a FIN and the steps of a simultaneous open are the table's own business.
TEST(Phase, EachHasItsPublicState) {
    using P = FlowPhase;
    using S = abi::FlowState;
    const struct {
        P phase;
        S state;
    } cases[] = {
        {P::free, S::none},
        {P::syn_sent, S::syn_sent},
        {P::syn_crossed, S::syn_sent},
        {P::syn_acked_ahead, S::syn_received},
        {P::syn_received, S::syn_received},
        {P::established, S::established},
        {P::fin_wait_original, S::fin_wait},
        {P::fin_wait_reply, S::fin_wait},
        {P::closing, S::closing},
        {P::time_wait, S::time_wait},
        {P::closed, S::closed},
        {P::udp_oneway, S::oneway},
        {P::icmp_oneway, S::oneway},
        {P::other_oneway, S::oneway},
        {P::udp_stream, S::stream},
        {P::icmp_answered, S::stream},
        {P::other_stream, S::stream},
        {P::sctp_init, S::opening},
        {P::sctp_init_acked, S::opening},
        {P::sctp_cookie_echoed, S::opening},
        {P::sctp_established, S::established},
        {P::sctp_shutdown, S::closing},
        {P::sctp_closed, S::closed},
    };
    EXPECT_EQ(std::size(cases), kFlowPhaseCount) << "a phase is missing here";
    for (const auto& c : cases) EXPECT_EQ(public_state(c.phase), c.state) << "phase " << static_cast<int>(c.phase);
    EXPECT_EQ(public_state(static_cast<P>(200)), S::none) << "no phase: a damaged entry";
}

}  // namespace
}  // namespace sluice::dp
