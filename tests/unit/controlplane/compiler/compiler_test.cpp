/// What single policies compile to, asked through the lookup that workers use. Random policies are the property tests'
/// (tests/property/acl_property_test.cpp).
#include "controlplane/compiler/compiler.hpp"

#include <gtest/gtest.h>

#include "controlplane/compiler/reference.hpp"
#include "dataplane/acl/lookup.hpp"
#include "tests/harness/policies.hpp"

namespace sluice::cp {
namespace {

using abi::L4Proto;
using test::CompiledTables;
using test::key;
using test::PolicyBuilder;

PolicyBuilder two_zones() {
    PolicyBuilder b;
    b.zone("outside", {"p0"}).zone("inside", {"p1"});
    b.set("web", {"198.51.100.80/32", "2001:db8:51::80/128"});
    return b;
}

TEST(Compiler, AnswersWithTheFirstRuleThatMatches) {
    const CompiledTables t{
        two_zones()
            .rule({.id = "ssh", .from = {"outside"}, .service = {"tcp/22"}, .action = Action::reject})
            .rule({.id = "web-in",
                   .from = {"outside"},
                   .to = {"web"},
                   .service = {"tcp/80", "tcp/443"},
                   .action = Action::allow})
            .rule({.id = "ping", .service = {"icmp/8", "icmp6/128"}, .action = Action::allow})
            .rule({.id = "egress", .from = {"inside"}, .to = {"outside"}, .action = Action::allow})
            .build()};
    EXPECT_EQ(t.rule_for(key(0, "192.0.2.1", 1, "198.51.100.80", L4Proto::tcp, 443)), "web-in");
    EXPECT_EQ(t.rule_for(key(0, "2001:db8::1", 1, "2001:db8:51::80", L4Proto::tcp, 443)), "web-in");
    EXPECT_EQ(t.rule_for(key(0, "192.0.2.1", 1, "198.51.100.81", L4Proto::tcp, 443)), "default");
    EXPECT_EQ(t.rule_for(key(0, "192.0.2.1", 1, "198.51.100.80", L4Proto::udp, 443)), "default");
    EXPECT_EQ(t.rule_for(key(0, "192.0.2.1", 1, "198.51.100.80", L4Proto::tcp, 22)), "ssh");
    EXPECT_EQ(t.rule_for(key(1, "192.0.2.1", 0, "198.51.100.80", L4Proto::tcp, 22)), "egress");
    EXPECT_EQ(t.rule_for(key(0, "192.0.2.1", 1, "198.51.100.90", L4Proto::icmp, 8 << 8)), "ping");
    EXPECT_EQ(t.rule_for(key(0, "192.0.2.1", 1, "198.51.100.90", L4Proto::icmp, 13 << 8)), "default");
    EXPECT_EQ(t.rule_for(key(0, "2001:db8::1", 1, "2001:db8::2", L4Proto::icmp6, 128 << 8)), "ping");
    EXPECT_EQ(t.view().port_zone[0], abi::ZoneId{0});
    EXPECT_EQ(t.view().port_zone[1], abi::ZoneId{1});
}

}  // namespace
}  // namespace sluice::cp
