// CASES G2 through a whole worker. The states in depth: tests/unit/dataplane/flow/sctp_state_test.cpp.
#include "tests/unit/dataplane/pipeline/edge.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;
using abi::FlowState;

PolicyBuilder signalling() {
    PolicyBuilder p = edge();
    p.rule(
        {.id = "diameter", .from = {"outside"}, .to = {"shop"}, .service = {"proto/132"}, .action = cp::Action::allow});
    return p;
}

/// The client names tag 7, the shop tag 9: `in` packets carry 9, `out` packets 7.
template <typename Ip>
class SctpCases : public testing::Test {
protected:
    SctpCases() { h.use(signalling().build()); }
    std::string in(std::uint32_t tag, const Bytes& chunks) {
        return h.fate(kOutside, frame(test::in<Ip>(), Sctp{.tag = tag, .chunks = chunks}));
    }
    std::string out(std::uint32_t tag, const Bytes& chunks) {
        return h.fate(kInside,
                      frame(test::out<Ip>(), Sctp{.sport = 3868, .dport = 40000, .tag = tag, .chunks = chunks}));
    }
    void associate() {
        ASSERT_EQ(in(0, sctp_init(7)), "forward");
        ASSERT_EQ(out(7, sctp_init_ack(9)), "forward");
        ASSERT_EQ(in(9, cookie_echo + sctp_data(5)), "forward");
        ASSERT_EQ(out(7, cookie_ack), "forward");
    }
    FlowState state() {
        const auto flows = h.dump();
        EXPECT_EQ(flows.size(), 1U);
        return flows.empty() ? FlowState::none : flows[0].state;
    }

    const Bytes cookie_echo = sctp_chunk(10, bytes_of(8)), cookie_ack = sctp_chunk(11), abort_ = sctp_chunk(6);
    Harness h;
};
TYPED_TEST_SUITE(SctpCases, Families);

TYPED_TEST(SctpCases, G2_OnlyAnInitOpensAFlow) {
    EXPECT_EQ(this->in(9, sctp_data(5)), "sctp_no_flow");
    EXPECT_EQ(this->in(9, this->abort_), "sctp_no_flow");
    EXPECT_EQ(this->in(9, sctp_init_ack(7)), "sctp_no_flow");
    EXPECT_EQ(this->in(9, this->cookie_echo), "sctp_no_flow");
    EXPECT_EQ(this->in(9, sctp_init(7)), "sctp_bad_vtag");
    EXPECT_EQ(this->in(0, sctp_data(5)), "sctp_bad_vtag");
    EXPECT_EQ(this->h.flows(), 0U);
    EXPECT_EQ(this->h.fate(kInside, frame(out<TypeParam>(), Sctp{.sport = 5000, .dport = 5000})), "forward")
        << "by the policy, as any";
    EXPECT_EQ(this->h.fate(kOutside, frame(in<TypeParam>(),
                                           Sctp{.sport = 5000, .dport = 5000, .tag = 7, .chunks = sctp_init_ack(1)})),
              "forward");
}

TYPED_TEST(SctpCases, G2_DataAndAbortNeedTheTagOfTheAssociation) {
    this->associate();
    EXPECT_EQ(this->state(), FlowState::established);
    EXPECT_EQ(this->in(8, sctp_data(5)), "sctp_bad_vtag");
    EXPECT_EQ(this->in(8, this->abort_), "sctp_bad_vtag");
    EXPECT_EQ(this->out(9, this->abort_), "sctp_bad_vtag");
    EXPECT_EQ(this->in(9, sctp_data(5)), "forward");
    EXPECT_EQ(this->out(7, sctp_data(5)), "forward");
    EXPECT_EQ(this->out(7, this->abort_), "forward");
    EXPECT_EQ(this->state(), FlowState::closed);
    EXPECT_EQ(this->in(9, sctp_data(5)), "sctp_bad_chunk");
    EXPECT_EQ(this->in(0, sctp_init(70)), "forward");
    EXPECT_EQ(this->h.counters().flow_reopen.read(), 1U);
    EXPECT_EQ(this->state(), FlowState::opening);
}

TYPED_TEST(SctpCases, G2_InitsThatCrossAreOneFlow) {
    EXPECT_EQ(this->in(0, sctp_init(7)), "forward");
    EXPECT_EQ(this->out(0, sctp_init(9)), "forward");
    EXPECT_EQ(this->in(9, sctp_init_ack(7)), "forward");
    EXPECT_EQ(this->out(7, this->cookie_echo), "forward");
    EXPECT_EQ(this->in(9, this->cookie_ack), "forward");
    EXPECT_EQ(this->out(7, sctp_init_ack(99)), "forward") << "the answer to the INIT that came late";
    EXPECT_EQ(this->in(9, sctp_data(5)), "forward");
    EXPECT_EQ(this->out(7, sctp_data(5)), "forward");
    EXPECT_EQ(this->state(), FlowState::established);
}

TYPED_TEST(SctpCases, TimersByPhase) {
    ASSERT_EQ(this->in(0, sctp_init(7)), "forward");
    this->h.skip(31s);
    EXPECT_EQ(this->out(7, sctp_init_ack(9)), "sctp_no_flow") << "opening: 30 s";
    this->associate();
    this->h.skip(599s);
    EXPECT_EQ(this->in(9, sctp_data(1)), "forward");
    this->h.skip(601s);
    EXPECT_EQ(this->in(9, sctp_data(1)), "sctp_no_flow") << "associated: 600 s, twenty HEARTBEATs";
}

TYPED_TEST(SctpCases, D3_AnInitThatNoRuleAllowsLeavesAClosedFlowAlone) {
    PolicyBuilder p;
    p.zone("outside", {"p0"}).zone("inside", {"p1"});
    p.rule({.id = "in", .from = {"outside"}, .to = {"inside"}, .service = {"proto/132"}, .action = cp::Action::allow});
    this->h.use(p.build());
    ASSERT_EQ(this->in(0, sctp_init(7)), "forward");
    ASSERT_EQ(this->out(7, this->abort_), "forward");
    EXPECT_EQ(this->out(0, sctp_init(5)), "policy_deny");
    EXPECT_EQ(this->state(), FlowState::closed);
    EXPECT_EQ(this->in(0, sctp_init(70)), "forward");
    EXPECT_EQ(this->state(), FlowState::opening);
    EXPECT_EQ(this->h.counters().flow_reopen.read(), 1U);
}

TYPED_TEST(SctpCases, D5_AnAssociationIsPickedUpFromItsDataAlone) {
    Harness later{{.pickup = 30s}};
    later.use(signalling().build());
    const auto say = [&](std::uint8_t port, std::uint32_t tag, const Bytes& chunks) {
        return port == kOutside
                   ? later.fate(port, frame(in<TypeParam>(), Sctp{.tag = tag, .chunks = chunks}))
                   : later.fate(port, frame(out<TypeParam>(),
                                            Sctp{.sport = 3868, .dport = 40000, .tag = tag, .chunks = chunks}));
    };
    EXPECT_EQ(say(kOutside, 9, this->abort_), "sctp_bad_chunk");
    EXPECT_EQ(say(kOutside, 9, sctp_data(5)), "forward");
    EXPECT_EQ(later.counters().flow_pickup.read(), 1U);
    EXPECT_EQ(say(kInside, 7, sctp_data(5)), "forward");
    EXPECT_EQ(say(kInside, 8, sctp_data(5)), "sctp_bad_vtag");
    ASSERT_EQ(later.dump().size(), 1U);
    EXPECT_EQ(later.dump()[0].state, FlowState::established);
}

}  // namespace
}  // namespace sluice::test
