// Rules that pass packets on to later layers, as packets meet them: what each of them counts. Which rule decides is
// tested with the tables (tests/unit/controlplane/compiler, tests/property).
#include <gtest/gtest.h>

#include "tests/unit/dataplane/pipeline/edge.hpp"

namespace sluice::test {
namespace {

/// Two layers with exceptions in front of the applications; `pass-all` is of the last layer and decides.
cp::Policy layered() {
    PolicyBuilder p;
    p.zone("outside", {"p0"}).zone("inside", {"p1"});
    p.rule({.id = "friends", .from = {"198.51.100.0/24"}, .action = cp::Action::pass, .layer = 10});
    p.rule({.id = "guard", .from = {"outside"}, .service = {"udp/7000"}, .action = cp::Action::deny, .layer = 10});
    p.rule({.id = "org", .from = {"198.51.100.7"}, .action = cp::Action::pass, .layer = 20});
    p.rule({.id = "org-closed", .from = {"198.51.100.8"}, .action = cp::Action::reject, .layer = 20});
    p.rule({.id = "web-in", .service = {"udp/443"}, .action = cp::Action::allow});
    p.rule({.id = "pass-all", .action = cp::Action::pass});
    return p.build();
}

std::string udp(Harness& h, const std::string& src, std::uint16_t dport, std::uint16_t sport = 1000) {
    return h.fate(kOutside, frame(Ipv4{.src = src}, Udp{.sport = sport, .dport = dport}));
}

TEST(Layers, WhoPassesAPacketOnCountsItAsAHit) {
    Harness h;
    h.use(layered());
    const auto hits = [&](const char* rule) { return h.rule(rule).hits.read(); };
    EXPECT_EQ(udp(h, "198.51.100.7", 443), "forward");
    EXPECT_EQ(hits("friends"), 1U);
    EXPECT_EQ(hits("org"), 1U);
    EXPECT_EQ(hits("web-in"), 1U);
    EXPECT_EQ(udp(h, "198.51.100.7", 443), "forward");
    EXPECT_EQ(hits("friends"), 1U) << "its flow is there, nobody is asked";
    EXPECT_EQ(h.rule("friends").packets.read(), 0U) << "nor are its packets theirs";
    EXPECT_EQ(h.rule("web-in").packets.read(), 2U);
    EXPECT_GT(h.rule("friends").first_hit_ns.read(), 0U);

    EXPECT_EQ(udp(h, "198.51.100.8", 443), "policy_reject+answer");
    EXPECT_EQ(udp(h, "198.51.100.9", 7000), "policy_deny") << "the default, by pass-all";
    EXPECT_EQ(hits("friends"), 3U) << "whatever comes of it";
    EXPECT_EQ(hits("org"), 1U);
    EXPECT_EQ(hits("org-closed"), 1U);
    EXPECT_EQ(hits("pass-all"), 1U);

    EXPECT_EQ(udp(h, "203.0.113.1", 7000), "policy_deny");
    EXPECT_EQ(udp(h, "203.0.113.1", 443), "forward");
    EXPECT_EQ(hits("guard"), 1U);
    EXPECT_EQ(hits("friends"), 3U) << "nobody has passed these on";
    EXPECT_EQ(hits("web-in"), 2U);
}

/// Of packets of one burst each has its own way, and only the one that makes the flow counts.
TEST(Layers, OfABurstEachPacketHasItsOwnWay) {
    Harness h;
    h.use(layered());
    std::vector<std::pair<std::uint8_t, FrameBytes>> burst;
    for (const char* src :
         {"203.0.113.1", "198.51.100.7", "203.0.113.2", "198.51.100.9", "198.51.100.7", "198.51.100.8"})
        burst.emplace_back(kOutside, frame(Ipv4{.src = src}, Udp{.sport = 1000, .dport = 443}));
    h.send(burst);
    EXPECT_EQ(h.rule("friends").hits.read(), 3U);
    EXPECT_EQ(h.rule("org").hits.read(), 1U);
    EXPECT_EQ(h.rule("org-closed").hits.read(), 1U);
    EXPECT_EQ(h.rule("web-in").hits.read(), 4U);
}

TEST(Layers, AFlowThatIsJudgedAgainIsNotPassedOnAnew) {
    Harness h;
    h.use(layered());
    EXPECT_EQ(udp(h, "198.51.100.7", 443), "forward");
    cp::Policy again = layered();
    again.rules.back().log = abi::RuleLog::start;
    h.use(again);
    EXPECT_EQ(udp(h, "198.51.100.7", 443), "forward");
    EXPECT_EQ(h.rule("friends").hits.read(), 1U);
    EXPECT_EQ(h.rule("web-in").hits.read(), 1U);
}

}  // namespace
}  // namespace sluice::test
