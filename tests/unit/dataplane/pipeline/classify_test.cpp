// What the tables are asked: the default, frames that are no IP, a flow's own question after a switch.
#include "dataplane/pipeline/classify.hpp"

#include <gtest/gtest.h>

#include "tests/unit/dataplane/pipeline/edge.hpp"

namespace sluice::test {
namespace {

template <typename Ip>
class ClassifyBothFamilies : public testing::Test {};
TYPED_TEST_SUITE(ClassifyBothFamilies, Families);

TYPED_TEST(ClassifyBothFamilies, T1_UnwantedSynIsDeniedByTheDefault) {
    Harness h;
    h.use(edge().build());
    EXPECT_EQ(h.fate(kOutside, frame(in<TypeParam>(), tcp_in(kSyn, 1, 0, 5432))), "policy_deny");
    EXPECT_EQ(h.rule("default").hits.read(), 1U);
    EXPECT_EQ(h.rule("default").packets.read(), 1U);
    EXPECT_EQ(h.flows(), 0U);
}

TEST(WireFrames, ArpNdAndOthersFollowTheWireKeyAndCountOnBuiltins) {
    Harness h;
    h.use(edge().build());
    const auto arp = frame(Arp{});
    const auto nd = frame(nd_packet("fe80::1", "ff02::1:ff00:80"), neighbour_solicitation("2001:db8:51::80"));
    const auto other = frame(0x88b5, bytes_of(50));
    EXPECT_EQ(h.fate(kOutside, arp), "forward");
    EXPECT_EQ(h.fate(kOutside, nd), "forward");
    EXPECT_EQ(h.fate(kOutside, other), "l2_deny");
    EXPECT_EQ(h.rule("builtin:arp").hits.read(), 1U);
    EXPECT_EQ(h.rule("builtin:arp").bytes.read(), arp.size());
    EXPECT_EQ(h.rule("builtin:nd").packets.read(), 1U);
    EXPECT_EQ(h.rule("builtin:other").hits.read(), 1U);
    EXPECT_EQ(h.flows(), 0U);

    h.use(edge().wire(abi::WireAction::deny, abi::WireAction::deny, abi::WireAction::allow).build());
    EXPECT_EQ(h.fate(kOutside, arp), "policy_deny");
    EXPECT_EQ(h.fate(kOutside, nd), "policy_deny");
    EXPECT_EQ(h.fate(kOutside, other), "forward");
    EXPECT_EQ(h.rule("builtin:arp").hits.read(), 2U);
}

TYPED_TEST(ClassifyBothFamilies, AllowedFlowsGoOnUnderANewPolicyWithItsRule_D10) {
    Harness h;
    h.use(edge().build());
    connect<TypeParam>(h);
    PolicyBuilder p;
    p.zone("inside", {"p1"}).zone("outside", {"p0"});  // zone numbers change places
    p.rule({.id = "https", .from = {"outside"}, .to = {"inside"}, .service = {"tcp/443"}, .action = cp::Action::allow});
    h.use(p.build());
    // The first packet comes from the reply side: it is the original direction that the policy is asked about.
    EXPECT_EQ(h.fate(kInside, frame(out<TypeParam>(), tcp_out(kAck | kPsh, 5001, 1001))), "forward");
    EXPECT_EQ(h.fate(kOutside, frame(in<TypeParam>(), tcp_in(kAck, 1001, 5001))), "forward");
    EXPECT_EQ(h.rule("https").hits.read(), 1U);
    EXPECT_EQ(h.rule("https").packets.read(), 2U);
    ASSERT_EQ(h.dump().size(), 1U);
    EXPECT_EQ(h.dump()[0].generation, 2U);
    EXPECT_EQ(h.dump()[0].from_zone, abi::ZoneId{1});
}

}  // namespace
}  // namespace sluice::test
