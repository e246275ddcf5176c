// What becomes of a live flow that the policy no longer allows: ended, kept or killed.
#include "dataplane/pipeline/rejudge.hpp"

#include <gtest/gtest.h>

#include "tests/unit/dataplane/pipeline/tcp_conversation.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;
using abi::FlowState;
using abi::OnChange;

/// As the shop's policy, but nothing comes in any more.
PolicyBuilder closed_policy(OnChange on_change, abi::RuleLog log = abi::RuleLog::none) {
    PolicyBuilder p;
    p.zone("outside", {"p0"}).zone("inside", {"p1"});
    p.policy.on_change = on_change;
    p.rule({.id = "closed", .from = {"outside"}, .to = {"inside"}, .action = cp::Action::deny, .log = log});
    p.rule({.id = "egress", .from = {"inside"}, .to = {"outside"}, .action = cp::Action::allow});
    return p;
}

PolicyBuilder udp_policy() {
    PolicyBuilder p = shop_policy();
    p.rule({.id = "dns", .from = {"outside"}, .to = {"inside"}, .service = {"udp/53"}, .action = cp::Action::allow});
    return p;
}

struct TcpNumbers {
    std::uint32_t seq{}, ack{};
    std::uint8_t flags{};
};
template <typename Ip>
TcpNumbers tcp_of(const FrameBytes& f) {
    const std::size_t at = 14 + (std::is_same_v<Ip, Ipv4> ? 20 : 40);
    const auto be32 = [&](std::size_t i) {
        return std::uint32_t{f[i]} << 24 | std::uint32_t{f[i + 1]} << 16 | std::uint32_t{f[i + 2]} << 8 | f[i + 3];
    };
    return {be32(at + 4), be32(at + 8), f[at + 13]};
}
template <typename Ip>
std::uint8_t icmp_type_of(const FrameBytes& f) {
    return f[14 + (std::is_same_v<Ip, Ipv4> ? 20 : 40)];
}

template <typename Ip>
class OnChangeBothFamilies : public testing::Test {
protected:
    OnChangeBothFamilies() { h.use(udp_policy().build()); }
    FrameBytes udp(std::uint8_t from) {
        Ip ip;
        Udp u{.payload = bytes_of(10)};
        if (from == kShop) {
            std::swap(ip.src, ip.dst);
            std::swap(u.sport, u.dport);
        }
        return frame(ip, u);
    }
    Harness h;
};
using Families = testing::Types<Ipv4, Ipv6>;
TYPED_TEST_SUITE(OnChangeBothFamilies, Families);

TYPED_TEST(OnChangeBothFamilies, P13_KeptFlowsGoOnUnderTheirOldRule) {
    connect<TypeParam>(this->h);
    PolicyBuilder p = closed_policy(OnChange::keep, abi::RuleLog::start);
    p.rule({.id = "web-in", .from = {"outside"}, .to = {"inside"}, .action = cp::Action::allow});
    this->h.use(p.build());
    say<TypeParam>(this->h, {{kAck, 10, 1001, 5001, kClient}, {kAck, 10, 5001, 1011, kShop}});
    EXPECT_EQ(this->h.fate(kClient, said_frame<TypeParam>({kSyn, 0, 1, 0, kClient}, 444)), "policy_deny")
        << "nothing new comes in";
    const auto flows = this->h.dump();
    ASSERT_EQ(flows.size(), 1U);
    EXPECT_EQ(flows[0].kept, 1U);
    EXPECT_EQ(flows[0].generation, 2U);
    EXPECT_EQ(flows[0].slot, abi::kSlotFirstFree) << "web-in, the rule that allowed it";
    EXPECT_EQ(this->h.counters().flows_kept_on_change.read(), 1U);
    const auto events = this->h.events();
    ASSERT_GE(events.size(), 1U);
    EXPECT_EQ(events[0].kind, abi::EventKind::flow_kept);
    EXPECT_EQ(events[0].generation, 2U);
    EXPECT_EQ(events[0].verdict, abi::Verdict::deny);
}

// Its slot may be given away once the sweep has looked at all flows: whoever gets it has nothing to do with this one.
TYPED_TEST(OnChangeBothFamilies, AKeptFlowWhoseRuleIsGoneStandsUnderTheOneThatKeepsIt) {
    connect<TypeParam>(this->h);
    const abi::RuleSlot before = this->h.dump().at(0).slot;
    this->h.use(closed_policy(OnChange::keep).build());
    const auto flows = this->h.dump();
    ASSERT_EQ(flows.size(), 1U);
    EXPECT_EQ(flows[0].kept, 1U);
    EXPECT_NE(flows[0].slot, before);
    EXPECT_EQ(this->h.rule("closed").hits.read(), 0U) << "it refused nobody";
    say<TypeParam>(this->h, {{kAck, 10, 1001, 5001, kClient}});
    EXPECT_EQ(this->h.rule("closed").packets.read(), 1U);
    // It counts there as well: the slot's next rule finds none of its own, and nothing is given back twice.
    PolicyBuilder p = closed_policy(OnChange::keep);
    p.rule({.id = "ssh", .from = {"outside"}, .to = {"inside"}, .service = {"tcp/22"}, .action = cp::Action::allow});
    this->h.use(p.build());
    EXPECT_EQ(this->h.dump().at(0).slot, flows[0].slot);
    this->h.use(udp_policy().build());
    EXPECT_EQ(this->h.dump().at(0).kept, 0U);
}

TYPED_TEST(OnChangeBothFamilies, AKeptFlowIsJudgedAgainByEveryLaterPolicy) {
    connect<TypeParam>(this->h);
    this->h.use(closed_policy(OnChange::keep).build());
    this->h.use(closed_policy(OnChange::keep).build());
    EXPECT_EQ(this->h.counters().flows_kept_on_change.read(), 2U);
    this->h.use(closed_policy(OnChange::reevaluate).build());
    EXPECT_EQ(this->h.flows(), 0U);
    EXPECT_EQ(this->h.counters().flows_ended_by_policy.read(), 1U);
}

TYPED_TEST(OnChangeBothFamilies, AKeptFlowThatIsAllowedAgainIsAnOrdinaryOne) {
    connect<TypeParam>(this->h);
    this->h.use(closed_policy(OnChange::keep).build());
    this->h.use(udp_policy().build());
    const auto flows = this->h.dump();
    ASSERT_EQ(flows.size(), 1U);
    EXPECT_EQ(flows[0].kept, 0U);
}

// It stands under web-in, and web-in is not why it lives.
TYPED_TEST(OnChangeBothFamilies, AKeptFlowIsConcernedWhateverItsRuleSays) {
    connect<TypeParam>(this->h);
    this->h.use(closed_policy(OnChange::keep).build());
    this->h.set_valid_since(std::vector<std::uint32_t>(64, 1));
    this->h.use_in_next_loop(closed_policy(OnChange::reevaluate).build());
    EXPECT_EQ(this->h.fate(kClient, said_frame<TypeParam>({kAck, 10, 1001, 5001, kClient})), "policy_deny");
    EXPECT_EQ(this->h.flows(), 0U);
}

// A set has changed that no rule asks about this flow: its tables are those that it was judged under, be they the first
// that there were.
TYPED_TEST(OnChangeBothFamilies, AChangeOfSetsAsksNobodyWhomItDoesNotConcern) {
    connect<TypeParam>(this->h);
    for (std::uint32_t n = 0; n < 3; ++n) {
        this->h.refresh_sets();
        EXPECT_EQ(this->h.fate(kClient, said_frame<TypeParam>({kAck, 10, 1001 + 10 * n, 5001, kClient})), "forward");
    }
    EXPECT_EQ(this->h.counters().flows_rejudged.read(), 0U);
    this->h.use_in_next_loop(closed_policy(OnChange::reevaluate).build());
    this->h.refresh_sets();
    EXPECT_EQ(this->h.fate(kClient, said_frame<TypeParam>({kAck, 10, 1031, 5001, kClient})), "policy_deny");
}

// The usual packet's way asks as all others do.
TYPED_TEST(OnChangeBothFamilies, AMarkedFlowHasNoUsualPackets) {
    connect<TypeParam>(this->h);
    say<TypeParam>(this->h, {{kAck, 10, 1001, 5001, kClient}});
    this->h.use(closed_policy(OnChange::kill).build());
    this->h.set_valid_since(std::vector<std::uint32_t>(64, 1));
    this->h.use(closed_policy(OnChange::kill).build());
    EXPECT_EQ(this->h.send({{kClient, said_frame<TypeParam>({kAck, 10, 1011, 5001, kClient})}}).size(), 2U);
    EXPECT_EQ(this->h.drops(kClient, abi::DropReason::flow_killed), 1U);
}

// What is kept is the connection, not the right to make another one in its place (CASES D2).
TYPED_TEST(OnChangeBothFamilies, AKeptFlowDoesNotBeginAnew) {
    const std::vector<Said> agreement{{kSyn | kAck, 0, 8000, 77'001, kShop, "tcp_bad_flags"}};
    connect<TypeParam>(this->h);
    this->h.use(closed_policy(OnChange::keep).build());
    say<TypeParam>(this->h, {{kSyn, 0, 77'000, 0, kClient}});
    say<TypeParam>(this->h, agreement);
    EXPECT_EQ(only_state(this->h), FlowState::established);
    EXPECT_EQ(this->h.counters().flow_reopen.read(), 0U);
}

TYPED_TEST(OnChangeBothFamilies, ASynThatCameBeforeIsForgottenWhenTheFlowIsKept) {
    connect<TypeParam>(this->h);
    say<TypeParam>(this->h, {{kSyn, 0, 77'000, 0, kClient}});
    this->h.use(closed_policy(OnChange::keep).build());
    say<TypeParam>(this->h, {{kSyn | kAck, 0, 8000, 77'001, kShop, "tcp_bad_flags"}});
    EXPECT_EQ(this->h.counters().flow_reopen.read(), 0U);
}

TYPED_TEST(OnChangeBothFamilies, TheDenyingRulesWordCounts) {
    connect<TypeParam>(this->h);
    PolicyBuilder p = closed_policy(OnChange::reevaluate);
    p.policy.rules[0].on_change = OnChange::keep;
    this->h.use(p.build());
    EXPECT_EQ(this->h.flows(), 1U);
}

TYPED_TEST(OnChangeBothFamilies, P13_AKilledTcpFlowIsResetAtBothEnds) {
    connect<TypeParam>(this->h);
    (void)this->h.events();
    this->h.use(closed_policy(OnChange::kill, abi::RuleLog::start).build());
    EXPECT_EQ(this->h.flows(), 0U) << "a mark is no flow";
    EXPECT_EQ(this->h.counters().flows_ended_by_policy.read(), 1U);
    EXPECT_EQ(only_state(this->h), FlowState::killed);
    const auto events = this->h.events();
    ASSERT_EQ(events.size(), 1U);
    EXPECT_EQ(events[0].end, abi::FlowEnd::policy);
    EXPECT_EQ(events[0].generation, 2U);

    const auto out = this->h.send({{kClient, said_frame<TypeParam>({kAck | kPsh, 10, 1001, 5001, kClient})}});
    ASSERT_EQ(out.size(), 2U);
    for (const Output& o : out) {
        const TcpNumbers n = tcp_of<TypeParam>(o.bytes);
        if (o.port == kClient) {
            EXPECT_EQ(n.flags, kRst);
            EXPECT_EQ(n.seq, 5001U) << "what the client waits for";
        } else {
            EXPECT_EQ(n.flags, kRst | kAck);
            EXPECT_EQ(n.seq, 1001U) << "what the shop waits for";
            EXPECT_EQ(n.ack, 5001U);
        }
    }
    EXPECT_EQ(this->h.drops(kClient, abi::DropReason::flow_killed), 1U);
}

// The other end speaks first, and its challenge ACK (RFC 5961) is answered as well.
TYPED_TEST(OnChangeBothFamilies, EveryPacketOfAKilledTcpFlowIsAnswered) {
    connect<TypeParam>(this->h);
    this->h.use(closed_policy(OnChange::kill).build());
    EXPECT_EQ(this->h.send({{kShop, said_frame<TypeParam>({kAck, 5, 5001, 1001, kShop})}}).size(), 2U);
    const auto again = this->h.send({{kClient, said_frame<TypeParam>({kAck, 0, 1001, 5001, kClient})}});
    ASSERT_EQ(again.size(), 2U);
    EXPECT_EQ(this->h.send({{kClient, said_frame<TypeParam>({kRst, 0, 1001, 0, kClient})}}).size(), 0U)
        << "a RST is not answered";
    this->h.advance(11s);
    EXPECT_EQ(this->h.dump().size(), 0U);
    EXPECT_EQ(this->h.fate(kClient, said_frame<TypeParam>({kAck, 0, 1001, 5001, kClient})), "tcp_no_flow");
    EXPECT_EQ(this->h.counters().flows_closed.read() + this->h.counters().flows_expired.read(), 0U)
        << "its end was counted once";
}

// A mark waits for the flow's next packet, however late, within the flow's own time.
TYPED_TEST(OnChangeBothFamilies, AMarkWaitsForThePacket) {
    connect<TypeParam>(this->h);
    this->h.use(closed_policy(OnChange::kill).build());
    this->h.advance(60s);
    EXPECT_EQ(this->h.send({{kClient, said_frame<TypeParam>({kAck, 0, 1001, 5001, kClient})}}).size(), 2U);
}

TYPED_TEST(OnChangeBothFamilies, ASynOverAMarkMeetsThePolicy) {
    connect<TypeParam>(this->h);
    this->h.use(closed_policy(OnChange::kill).build());
    EXPECT_EQ(this->h.fate(kClient, said_frame<TypeParam>({kSyn, 0, 9000, 0, kClient})), "policy_deny");
    EXPECT_EQ(this->h.dump().size(), 0U);
    this->h.use(udp_policy().build());
    connect<TypeParam>(this->h);
    EXPECT_EQ(this->h.flows(), 1U);
}

TYPED_TEST(OnChangeBothFamilies, AKilledUdpFlowTellsEachEndOnce) {
    EXPECT_EQ(this->h.fate(kClient, this->udp(kClient)), "forward");
    EXPECT_EQ(this->h.fate(kShop, this->udp(kShop)), "forward");
    this->h.use(closed_policy(OnChange::kill).build());
    const std::uint8_t unreachable = std::is_same_v<TypeParam, Ipv4> ? 3 : 1;
    for (const std::uint8_t from : {kClient, kShop}) {
        const auto out = this->h.send({{from, this->udp(from)}});
        ASSERT_EQ(out.size(), 1U);
        EXPECT_EQ(out[0].port, from);
        EXPECT_EQ(icmp_type_of<TypeParam>(out[0].bytes), unreachable);
    }
    EXPECT_EQ(this->h.fate(kClient, this->udp(kClient)), "policy_deny") << "a first packet again";
    EXPECT_EQ(this->h.dump().size(), 0U);
}

TYPED_TEST(OnChangeBothFamilies, ThePacketThatIsJudgedIsAnsweredAtOnce) {
    connect<TypeParam>(this->h);
    this->h.use_in_next_loop(closed_policy(OnChange::kill).build());
    const auto out = this->h.send({{kClient, said_frame<TypeParam>({kAck, 10, 1001, 5001, kClient})},
                                   {kClient, said_frame<TypeParam>({kAck, 10, 1011, 5001, kClient})}});
    EXPECT_EQ(out.size(), 4U);
    EXPECT_EQ(this->h.rule("closed").hits.read(), 1U);
}

TYPED_TEST(OnChangeBothFamilies, AMarkIsNotAnsweredToAnotherPort) {
    connect<TypeParam>(this->h);
    this->h.use(closed_policy(OnChange::kill).build());
    // The client's words from the shop's side: somebody else, or a loop.
    EXPECT_EQ(this->h.fate(kShop, said_frame<TypeParam>({kAck, 10, 1001, 5001, kClient})), "flow_zone_mismatch");
}

TYPED_TEST(OnChangeBothFamilies, AnErrorAboutAMarkedFlowIsNotAnswered) {
    connect<TypeParam>(this->h);
    this->h.use(closed_policy(OnChange::kill).build());
    TypeParam quoted, ip;
    std::swap(quoted.src, quoted.dst);
    const Bytes inner = datagram(quoted, Tcp{.sport = 443, .dport = 40000, .seq = 5001, .flags = kAck});
    const std::uint8_t type = std::is_same_v<TypeParam, Ipv4> ? 3 : 1;
    EXPECT_EQ(this->h.fate(kClient, frame(ip, Icmp{.type = type, .code = 3, .id = 0, .seq = 0, .payload = inner})),
              "flow_killed");
}

}  // namespace
}  // namespace sluice::test
