#include "controlplane/policy/service.hpp"

#include <gtest/gtest.h>

#include "controlplane/policy/names.hpp"
#include "controlplane/policy/test_address.hpp"

namespace sluice::cp {
namespace {

using abi::L4Proto;

TEST(Service, ReadsAndWritesTheOneSpelling) {
    struct Case {
        std::string_view text;
        ServiceTerm term;
        std::string_view spelt;
    };
    for (const auto& [text, term, spelt] : {
             Case{"tcp/443", {L4Proto::tcp, 443, 443}, "tcp/443"},
             Case{"tcp/8000-8100", {L4Proto::tcp, 8000, 8100}, "tcp/8000-8100"},
             Case{"udp/1-65535", {L4Proto::udp, 1, 65535}, "udp/1-65535"},
             Case{"udp/53-53", {L4Proto::udp, 53, 53}, "udp/53"},
             Case{"icmp", {L4Proto::icmp, 0, 0xffff}, "icmp"},
             Case{"icmp/echo-request", {L4Proto::icmp, 0x0800, 0x08ff}, "icmp/8"},
             Case{"icmp/3/4", {L4Proto::icmp, 0x0304, 0x0304}, "icmp/3/4"},
             Case{"icmp/255", {L4Proto::icmp, 0xff00, 0xffff}, "icmp/255"},
             Case{"icmp6/echo-reply", {L4Proto::icmp6, 0x8100, 0x81ff}, "icmp6/129"},
             Case{"icmp6/packet-too-big", {L4Proto::icmp6, 0x0200, 0x02ff}, "icmp6/2"},
             Case{"icmp6", {L4Proto::icmp6, 0, 0xffff}, "icmp6"},
             Case{"proto/47", {L4Proto::gre, 0, 0xffff}, "proto/47"},
             Case{"proto/0", {static_cast<L4Proto>(0), 0, 0xffff}, "proto/0"},
             Case{"proto/6", {L4Proto::tcp, 0, 0xffff}, "proto/6"},
             Case{"proto/1", {L4Proto::icmp, 0, 0xffff}, "icmp"},
         }) {
        const auto read = parse_service_term(text);
        ASSERT_TRUE(read) << text << ": " << read.error().detail;
        EXPECT_EQ(*read, term) << text;
        EXPECT_EQ(to_text(*read), spelt);
        const auto again = parse_service_term(spelt);
        ASSERT_TRUE(again) << spelt;
        EXPECT_EQ(*again, term);
    }
}

TEST(Service, P5_RefusesWhatIsNoService) {
    for (const std::string_view text : {"",
                                        "tcp",
                                        "udp",
                                        "tcp/",
                                        "tcp/0",
                                        "tcp/65536",
                                        "tcp/99999999999",
                                        "tcp/ 80",
                                        "tcp/80 ",
                                        "tcp/080",
                                        "tcp/1-0",
                                        "tcp/80-79",
                                        "tcp/1-2-3",
                                        "tcp/-1",
                                        "TCP/80",
                                        "tcp/80/81",
                                        "icmp/",
                                        "icmp/256",
                                        "icmp/8/256",
                                        "icmp/8/",
                                        "icmp/8/0/0",
                                        "icmp/echo",
                                        "icmp6/redirected",
                                        "icmpv6",
                                        "proto",
                                        "proto/",
                                        "proto/256",
                                        "proto/gre",
                                        "sctp/1",
                                        "http",
                                        "/80"}) {
        EXPECT_FALSE(parse_service_term(text)) << text;
    }
}

TEST(Service, BuiltInsHaveNamesThatReadersKnow) {
    std::string names;
    for (const auto& service : built_in_services()) {
        names += std::string{service.name} + " ";
        EXPECT_TRUE(is_name(service.name));
        EXPECT_FALSE(service.terms.empty());
    }
    EXPECT_EQ(names, "dns http https ntp ping ssh ");
}

TEST(TestAddress, SplitsWhatPeopleWrite) {
    struct Case {
        std::string_view text, address, zone, service;
    };
    for (const auto& [text, address, zone, service] : {
             Case{"192.0.2.80@dmz:443/tcp", "192.0.2.80", "dmz", "tcp/443"},
             Case{"192.0.2.80:53/udp", "192.0.2.80", "", "udp/53"},
             Case{"192.0.2.80@dmz", "192.0.2.80", "dmz", ""},
             Case{"192.0.2.80", "192.0.2.80", "", ""},
             Case{"2001:db8::80@dmz:443/tcp", "2001:db8::80", "dmz", "tcp/443"},
             Case{"[2001:db8::80]:443/tcp", "2001:db8::80", "", "tcp/443"},
             Case{"[2001:db8::80]@dmz:443/tcp", "2001:db8::80", "dmz", "tcp/443"},
             Case{"2001:db8::80", "2001:db8::80", "", ""},
             Case{"192.0.2.80:3/4/icmp", "192.0.2.80", "", "icmp/3/4"},
         }) {
        const auto target = parse_test_target(text);
        ASSERT_TRUE(target) << text << ": " << target.error().detail;
        EXPECT_EQ(to_text(target->address), address);
        EXPECT_EQ(target->zone, zone) << text;
        EXPECT_EQ(target->service.value_or(""), service) << text;
    }
    for (const std::string_view text :
         {"", "@dmz", "192.0.2.80@", "192.0.2.80@:443/tcp", "192.0.2.80:443", "192.0.2.80:", "[::1", "[::1]x", "[]",
          "192.0.2.0/24@dmz:1/tcp", "2001:db8::80:443/tcp", ":443/tcp"}) {
        EXPECT_FALSE(parse_test_target(text)) << text;
    }
}

TEST(Names, NearestIsAFewSlipsAway) {
    const std::vector<std::string_view> known{"dmz", "internet", "web-in"};
    EXPECT_EQ(nearest("dzm", known), "dmz");
    EXPECT_EQ(nearest("internt", known), "internet");
    EXPECT_EQ(nearest("wbe-in", known), "web-in");
    EXPECT_EQ(nearest("storage", known), std::nullopt);
    EXPECT_EQ(nearest(std::string(100'000, 'a'), known), std::nullopt);
    EXPECT_EQ(quoted("caf\xc3\xa9\x1b"), "\"caf\xc3\xa9?\"");
}

}  // namespace
}  // namespace sluice::cp
