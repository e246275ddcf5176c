#include "tests/unit/dataplane/pipeline/parse_case.hpp"
#include "tests/unit/dataplane/pipeline/parse_check.hpp"

namespace sluice::test {
namespace {

std::string with_chain(const std::vector<Ext>& ext, const L4& l4 = Udp{}) {
    return reason_of(frame(Ipv6{.ext = ext}, l4));
}

TEST(ParseIpv6, ReadsAWellFormedPacketBehindExtensionHeaders) {
    const Parsed r = parse_frame(frame(
        Ipv6{.src = "2001:db8::9", .ext = {hop_by_hop(), routing(4, 0), fragment(0, false), destination_options()}},
        Tcp{.dport = 8443, .flags = kAck, .payload = bytes_of(3)}));
    EXPECT_FALSE(r.reason);
    EXPECT_EQ(r.p.packet_class, dp::PacketClass::ip);
    EXPECT_EQ(r.p.family, abi::IpFamily::v6);
    EXPECT_EQ(r.p.src, address("2001:db8::9"));
    EXPECT_EQ(r.p.dst, address("2001:db8:51::80"));
    EXPECT_EQ(r.p.proto, abi::L4Proto::tcp);
    EXPECT_EQ(r.p.dport.to_host(), 8443);
    EXPECT_EQ(r.p.l4_offset, 14 + 40 + 32);
    EXPECT_EQ(r.p.l4_bytes, 23U);
    EXPECT_EQ(r.p.payload_bytes, 3U);
    EXPECT_TRUE(r.p.checksum_known_good);
}

TEST(ParseIpv6, F1_F17_LengthsAndVersionThatDisagreeAre_ip_malformed) {
    EXPECT_EQ(reason_of(frame(Ipv6{.version = 4}, Udp{})), "ip_malformed");
    EXPECT_EQ(reason_of(frame(Ipv6{}, Udp{}, Eth{.ethertype = 0x0800})), "ip_malformed");
    EXPECT_EQ(reason_of(frame(Ipv6{.payload_bytes = 0}, Udp{})), "ip_malformed");
    EXPECT_EQ(reason_of(frame(Ipv6{.payload_bytes = 9}, Udp{})), "ip_malformed") << "longer than the frame";
    EXPECT_EQ(reason_of(frame(Ipv6{.payload_bytes = 65535}, Udp{})), "ip_malformed");
    EXPECT_EQ(reason_of(frame(Ipv6{.proto = 59}, Raw{})), "ip_malformed") << "nothing behind the header";
    const Bytes jumbo_option{0xc2, 4, 0, 1, 0, 0};
    EXPECT_EQ(with_chain({hop_by_hop(jumbo_option)}), "ip_malformed");
    EXPECT_EQ(reason_of(frame(Ipv6{.ext = {hop_by_hop(jumbo_option)}, .payload_bytes = 0}, Udp{})), "ip_malformed");
}

TEST(ParseIpv6, F4_AddressesThatMustNotCrossAre_martian) {
    for (const char* src : {"::1", "ff02::1", "ff0e::1", "::", "::ffff:192.0.2.1"}) {
        EXPECT_EQ(reason_of(frame(Ipv6{.src = src}, Udp{})), "martian") << src;
    }
    for (const char* dst : {"::1", "::", "ff00::1", "ff01::1", "ff11::1", "::ffff:192.0.2.1"}) {
        EXPECT_EQ(reason_of(frame(Ipv6{.dst = dst}, Udp{})), "martian") << dst;
    }
    for (const char* src : {"fe80::1", "fd00::1", "2001:db8::1", "::2"}) {
        EXPECT_EQ(reason_of(frame(Ipv6{.src = src}, Udp{})), "pass") << src;
    }
    const Parsed group = parse_frame(frame(Ipv6{.dst = "ff02::fb"}, Udp{}));
    EXPECT_FALSE(group.reason);
    EXPECT_TRUE(group.p.l2_multicast);
    // MLD report of a host that has no address yet (RFC 3590).
    EXPECT_EQ(
        reason_of(frame(Ipv6{.src = "::", .dst = "ff02::16", .hop_limit = 1, .ext = {hop_by_hop({5, 2, 0, 0, 1, 0})}},
                        Icmp{.type = 143})),
        "pass");
}

TEST(ParseIpv6, F10_FragmentsBeyondTheLargestDatagramAre_frag_toolong) {
    for (const std::size_t bytes : {8U, 9U, 100U, 1414U}) {
        EXPECT_EQ(with_chain({fragment(65528, false)}, Raw{17, bytes_of(bytes)}), "frag_toolong") << bytes;
    }
    EXPECT_EQ(with_chain({fragment(65528, false)}, Raw{17, bytes_of(7)}), "pass") << "ends at 65,535";
    EXPECT_EQ(with_chain({destination_options(), fragment(65528, false)}, Raw{17, bytes_of(1)}), "frag_toolong")
        << "headers in front of the fragment header count in the payload length";
    EXPECT_EQ(with_chain({fragment(64800, true)}, Raw{17, bytes_of(1400)}), "frag_toolong");
}

TEST(ParseIpv6, F11_FragmentsThatContradictThemselvesAre_frag_malformed) {
    EXPECT_EQ(with_chain({fragment(0, true)}, Raw{17, bytes_of(1399)}), "frag_malformed");
    EXPECT_EQ(with_chain({fragment(800, true)}, Raw{17, bytes_of(1)}), "frag_malformed");
    EXPECT_EQ(with_chain({fragment(800, false)}, Raw{17, {}}), "frag_malformed");
    EXPECT_EQ(with_chain({fragment(0, true)}, Raw{17, bytes_of(1400)}), "pass");
    EXPECT_EQ(with_chain({fragment(1400, false)}, Raw{17, bytes_of(1)}), "pass");
    EXPECT_EQ(with_chain({fragment(0, false)}), "pass") << "atomic (RFC 6946)";
}

TEST(ParseIpv6, F15_ForbiddenAndMisplacedHeadersAre_v6_ext_deny) {
    EXPECT_EQ(with_chain({routing(0, 1, bytes_of(20, 0))}), "v6_ext_deny");
    EXPECT_EQ(with_chain({routing(0, 0, bytes_of(20, 0))}), "v6_ext_deny") << "RFC 5095: used up or not";
    EXPECT_EQ(with_chain({routing(1, 0)}), "v6_ext_deny");
    EXPECT_EQ(with_chain({routing(2, 1, bytes_of(20, 0))}), "v6_ext_deny");
    EXPECT_EQ(with_chain({routing(4, 3, bytes_of(20, 0))}), "v6_ext_deny");
    EXPECT_EQ(with_chain({routing(2, 0, bytes_of(20, 0))}), "pass");
    EXPECT_EQ(with_chain({destination_options(), hop_by_hop()}), "v6_ext_deny") << "hop-by-hop not first";
    EXPECT_EQ(with_chain({hop_by_hop(), hop_by_hop()}), "v6_ext_deny");
    EXPECT_EQ(with_chain({routing(4, 0), routing(4, 0)}), "v6_ext_deny");
    EXPECT_EQ(with_chain({fragment(0, false), fragment(0, false)}), "v6_ext_deny");
    EXPECT_EQ(with_chain({hop_by_hop({5, 2, 0, 0, 1, 0})}), "pass") << "router alert: a rule decides";
}

TEST(ParseIpv6, F16_D7_ChainsPastTheLimitsAre_v6_ext_limit) {
    for (const std::size_t count : {9U, 30U, 130U}) {
        EXPECT_EQ(with_chain(std::vector<Ext>(count, destination_options())), "v6_ext_limit") << count;
    }
    EXPECT_EQ(with_chain(std::vector<Ext>(8, destination_options())), "pass");
    const auto padded_to = [](std::size_t bytes) {  // one header of so many bytes, filled with PadN
        Bytes options;
        std::size_t left = bytes - 2;
        while (left > 0) {
            const std::size_t n = std::min<std::size_t>(left == 258 ? 200 : left, 257);
            options = options + Bytes{1, static_cast<std::uint8_t>(n - 2)} + bytes_of(n - 2, 0);
            left -= n;
        }
        return destination_options(options);
    };
    EXPECT_EQ(with_chain({padded_to(512)}), "pass");
    EXPECT_EQ(with_chain({padded_to(520)}), "v6_ext_limit");
    EXPECT_EQ(with_chain({padded_to(256), padded_to(256)}), "pass");
    EXPECT_EQ(with_chain({padded_to(256), padded_to(264)}), "v6_ext_limit");
    EXPECT_EQ(with_chain({padded_to(2048)}), "v6_ext_limit");
    EXPECT_EQ(with_chain({destination_options({1, 4, 0, 0, 0, 0}, 255)}), "v6_ext_limit");
}

TEST(ParseIpv6, F16_OptionsThatDoNotAddUpAre_v6_ext_limit) {
    EXPECT_EQ(with_chain({destination_options({1, 5, 0, 0, 0, 0})}), "v6_ext_limit");
    EXPECT_EQ(with_chain({destination_options({1, 255, 0, 0, 0, 0})}), "v6_ext_limit");
    EXPECT_EQ(with_chain({hop_by_hop({0, 0, 0, 0, 0, 1})}), "v6_ext_limit") << "a type without a length";
    EXPECT_EQ(with_chain({hop_by_hop({0, 0, 0, 0, 0, 0})}), "pass") << "six times Pad1";
    EXPECT_EQ(with_chain({destination_options({0x1e, 4, 9, 9, 9, 9})}), "pass") << "unknown, to be skipped";
}

TEST(ParseIpv6, F16_AnOptionTypeAsLastByteOfTheFrameIsNotReadPast) {
    const Bytes bytes = frame(Ipv6{.ext = {hop_by_hop({0, 0, 0, 0, 0, 1})}}, Raw{59, {}});
    EXPECT_EQ(reason_of(bytes), "v6_ext_limit");
    EXPECT_EQ(parse_at_the_edge(bytes, bytes.size(), dp::L4Checksum::good), nullptr);
}

TEST(ParseIpv6, HeadersPastTheEndOfTheDatagramAre_ip_malformed) {
    EXPECT_EQ(with_chain({destination_options({1, 4, 0, 0, 0, 0}, 7)}), "ip_malformed");
    EXPECT_EQ(reason_of(frame(Ipv6{.proto = 60}, Raw{.bytes = {17, 0, 1, 4, 0, 0, 0}})), "ip_malformed");
    // What only the padding would complete is not there.
    EXPECT_EQ(reason_of(frame(Ipv6{.proto = 60}, Raw{.bytes = {17, 0, 1, 4, 0, 0, 0}}, Eth{.pad_to = 200})),
              "ip_malformed");
}

TEST(ParseIpv6, F18_NoNextHeaderIsLeftToTheRulesAndDeniedUnderItsOwnName) {
    for (const auto& ext : {std::vector<Ext>{}, std::vector<Ext>{destination_options()}}) {
        const Parsed r = parse_frame(frame(Ipv6{.ext = ext}, Raw{59, bytes_of(10)}));
        EXPECT_FALSE(r.reason);
        EXPECT_EQ(r.p.proto, abi::L4Proto::ipv6_no_next);
        EXPECT_EQ(r.p.sport.wire(), 0);
        EXPECT_EQ(r.p.l4_bytes, 10U);
        EXPECT_EQ(dp::reason_of_denial(r.p), abi::DropReason::proto_deny);
    }
    const Parsed tcp = parse_frame(frame(Ipv6{}, Tcp{}));
    EXPECT_EQ(dp::reason_of_denial(tcp.p), abi::DropReason::policy_deny);
}

TEST(ParseIpv6, F18_EspEndsTheChain) {
    const Parsed r = parse_frame(frame(Ipv6{.ext = {hop_by_hop(), destination_options()}}, Raw{50, bytes_of(40)}));
    EXPECT_FALSE(r.reason);
    EXPECT_EQ(r.p.proto, abi::L4Proto::esp);
    EXPECT_EQ(r.p.sport.wire(), 0);
    EXPECT_EQ(r.p.payload_offset, r.p.l4_offset);
    EXPECT_EQ(r.p.payload_bytes, 40U);
}

}  // namespace
}  // namespace sluice::test
