#include "tests/unit/dataplane/pipeline/parse_case.hpp"

namespace sluice::test {
namespace {

TEST(ParseIpv4, ReadsAWellFormedPacket) {
    const Parsed r = parse_frame(frame(Ipv4{.src = "192.0.2.9", .dst = "198.51.100.80"}, Udp{.payload = bytes_of(5)}));
    EXPECT_FALSE(r.reason);
    EXPECT_EQ(r.p.packet_class, dp::PacketClass::ip);
    EXPECT_EQ(r.p.family, abi::IpFamily::v4);
    EXPECT_EQ(r.p.src, address("192.0.2.9"));
    EXPECT_EQ(r.p.dst, address("198.51.100.80"));
    EXPECT_EQ(r.p.proto, abi::L4Proto::udp);
    EXPECT_EQ(r.p.l3_offset, 14);
    EXPECT_EQ(r.p.l4_offset, 34);
    EXPECT_EQ(r.p.payload_offset, 42);
    EXPECT_EQ(r.p.l4_bytes, 13U);
    EXPECT_EQ(r.p.payload_bytes, 5U);
    EXPECT_FALSE(r.p.l2_multicast);
    EXPECT_TRUE(r.p.checksum_known_good);
}

TEST(ParseIpv4, F1_LengthsVersionAndChecksumThatDisagreeAre_ip_malformed) {
    for (std::uint8_t ihl = 0; ihl < 5; ++ihl) EXPECT_EQ(reason_of(frame(Ipv4{.ihl = ihl}, Tcp{})), "ip_malformed");
    EXPECT_EQ(reason_of(frame(Ipv4{.total_bytes = 41}, Tcp{})), "ip_malformed") << "longer than the frame";
    EXPECT_EQ(reason_of(frame(Ipv4{.total_bytes = 65535}, Tcp{})), "ip_malformed");
    EXPECT_EQ(reason_of(frame(Ipv4{.total_bytes = 19}, Tcp{})), "ip_malformed") << "shorter than the header";
    EXPECT_EQ(reason_of(frame(Ipv4{.total_bytes = 0}, Tcp{})), "ip_malformed");
    EXPECT_EQ(reason_of(frame(Ipv4{.options = bytes_of(8, 1), .total_bytes = 27}, Tcp{})), "ip_malformed");
    EXPECT_EQ(reason_of(frame(Ipv4{.ihl = 15, .total_bytes = 59}, Tcp{.payload = bytes_of(40)})), "ip_malformed");
    EXPECT_EQ(reason_of(frame(Ipv4{.version = 5}, Tcp{})), "ip_malformed");
    EXPECT_EQ(reason_of(frame(Ipv4{.version = 6}, Tcp{})), "ip_malformed");
    EXPECT_EQ(reason_of(frame(Ipv4{}, Tcp{}, Eth{.ethertype = 0x86dd, .pad_to = 80})), "ip_malformed");
    EXPECT_EQ(reason_of(frame(Ipv4{.checksum = 0x1234}, Tcp{})), "ip_malformed");
    EXPECT_EQ(reason_of(frame(Ipv4{.checksum = 0}, Tcp{})), "ip_malformed");
}

TEST(ParseIpv4, F1_AnyBitFlippedInTheHeaderIsNoticed) {
    const Bytes good = frame(Ipv4{}, Udp{});
    for (std::size_t bit = 0; bit < 160; ++bit) {
        Bytes bad = good;
        bad[14 + bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
        EXPECT_EQ(reason_of(bad), "ip_malformed") << "bit " << bit;
    }
}

TEST(ParseIpv4, F2_EthernetPaddingBelongsToNothing) {
    for (const std::size_t frame_bytes : {60U, 64U, 100U, 1514U}) {
        const Parsed tcp = parse_frame(frame(Ipv4{}, Tcp{.payload = bytes_of(1)}, Eth{.pad_to = frame_bytes}));
        EXPECT_FALSE(tcp.reason);
        EXPECT_EQ(tcp.p.payload_bytes, 1U);
        EXPECT_EQ(tcp.p.l4_bytes, 21U);
        const Parsed udp = parse_frame(frame(Ipv4{}, Udp{}, Eth{.pad_to = frame_bytes}));
        EXPECT_FALSE(udp.reason);
        EXPECT_EQ(udp.p.payload_bytes, 0U);
        const Parsed six = parse_frame(frame(Ipv6{}, Udp{}, Eth{.pad_to = frame_bytes}));
        EXPECT_FALSE(six.reason);
        EXPECT_EQ(six.p.payload_bytes, 0U);
    }
    // A header that only the padding would complete is not there.
    EXPECT_EQ(reason_of(frame(Ipv4{.proto = 6}, Raw{.bytes = bytes_of(19)}, Eth{.pad_to = 100})), "tcp_malformed");
    EXPECT_EQ(reason_of(frame(Ipv4{}, Udp{.length = 9}, Eth{.pad_to = 100})), "udp_malformed");
}

TEST(ParseIpv4, F3_TtlIsNotLookedAtOnAWire) {
    for (const std::uint8_t ttl : {std::uint8_t{0}, std::uint8_t{1}, std::uint8_t{255}}) {
        EXPECT_EQ(reason_of(frame(Ipv4{.ttl = ttl}, Tcp{})), "pass");
        EXPECT_EQ(reason_of(frame(Ipv6{.hop_limit = ttl}, Tcp{})), "pass");
    }
}

TEST(ParseIpv4, F4_AddressesThatMustNotCrossAre_martian) {
    const auto from = [](const char* src) { return reason_of(frame(Ipv4{.src = src}, Udp{})); };
    const auto to = [](const char* dst) { return reason_of(frame(Ipv4{.dst = dst}, Udp{})); };
    for (const char* src : {"127.0.0.1", "127.255.255.255", "224.0.0.1", "239.1.2.3", "240.0.0.1", "255.255.255.255",
                            "0.0.0.1", "0.255.255.255", "0.0.0.0"}) {
        EXPECT_EQ(from(src), "martian") << src;
    }
    for (const char* dst : {"127.0.0.1", "0.0.0.0", "0.1.2.3", "240.0.0.1", "255.255.255.254"}) {
        EXPECT_EQ(to(dst), "martian") << dst;
    }
    for (const char* src : {"169.254.1.1", "10.0.0.1", "126.255.255.255", "128.0.0.1", "223.255.255.255", "1.0.0.0"}) {
        EXPECT_EQ(from(src), "pass") << src;
    }
    for (const char* dst : {"224.0.0.1", "239.255.255.255", "255.255.255.255", "169.254.1.1"}) {
        EXPECT_EQ(to(dst), "pass") << dst;
    }
}

TEST(ParseIpv4, F4_DhcpMaySpeakFromTheUnspecifiedAddressToEverybody) {
    const Parsed r =
        parse_frame(frame(Ipv4{.src = "0.0.0.0", .dst = "255.255.255.255"}, Udp{.sport = 68, .dport = 67}));
    EXPECT_FALSE(r.reason);
    EXPECT_TRUE(r.p.l2_multicast);
    EXPECT_EQ(reason_of(frame(Ipv4{.src = "0.0.0.1", .dst = "255.255.255.255"}, Udp{})), "martian");
    EXPECT_EQ(reason_of(frame(Ipv4{.src = "0.0.0.0", .dst = "224.0.0.22"}, Raw{2, bytes_of(8)})), "pass");  // IGMP
}

TEST(ParseIpv4, D8_LandAndProtocolZeroAreDropped) {
    EXPECT_EQ(reason_of(frame(Ipv4{.src = "198.51.100.80"}, Tcp{.sport = 443})), "martian");
    EXPECT_EQ(reason_of(frame(Ipv6{.src = "2001:db8:51::80"}, Tcp{.sport = 443})), "martian");
    EXPECT_EQ(reason_of(frame(Ipv4{}, Raw{0, bytes_of(40)})), "proto_deny");
}

TEST(ParseIpv4, IcmpOfTheOtherIpVersionIs_proto_deny) {
    EXPECT_EQ(reason_of(frame(Ipv4{.proto = 58}, Icmp{.type = 128})), "proto_deny");
    EXPECT_EQ(reason_of(frame(Ipv6{.proto = 1}, Icmp{.type = 8})), "proto_deny");
}

TEST(ParseIpv4, F5_D6_OnlyPaddingOptionsPass) {
    const auto with = [](const Bytes& options) { return reason_of(frame(Ipv4{.options = options}, Tcp{})); };
    EXPECT_EQ(with({1, 1, 1, 1}), "pass");
    EXPECT_EQ(with({1, 1, 1, 0}), "pass");
    EXPECT_EQ(with({0, 131, 3, 4}), "pass") << "behind end-of-list nothing is an option";
    EXPECT_EQ(with(bytes_of(40, 1)), "pass");
    EXPECT_EQ(with(bytes_of(40, 0)), "pass");
    EXPECT_EQ(with({131, 7, 4, 198, 51, 100, 1, 0}), "ip_options");  // LSRR
    EXPECT_EQ(with({137, 7, 4, 198, 51, 100, 1, 0}), "ip_options");  // SSRR
    EXPECT_EQ(with({1, 131, 7, 8, 198, 51, 100, 1}), "ip_options");  // LSRR, used up, behind a NOP
    EXPECT_EQ(with({7, 7, 4, 0, 0, 0, 0, 0}), "ip_options");         // RR
    EXPECT_EQ(with({68, 8, 5, 0, 0, 0, 0, 0}), "ip_options");        // timestamp
    EXPECT_EQ(with({148, 4, 0, 0}), "ip_options");                   // router alert
    EXPECT_EQ(with({7, 0, 4, 0}), "ip_options");                     // bad lengths
    EXPECT_EQ(with({7, 1, 4, 0}), "ip_options");
    EXPECT_EQ(with({7, 200, 4, 0}), "ip_options");
    EXPECT_EQ(with({1, 1, 1, 131}), "ip_options");
}

TEST(ParseIpv4, F10_FragmentsBeyondTheLargestDatagramAre_frag_toolong) {
    const auto end_at = [](std::uint16_t offset, std::size_t bytes, bool more) {
        return reason_of(frame(Ipv4{.dont_fragment = false, .more_fragments = more, .fragment_offset = offset},
                               Raw{17, bytes_of(bytes)}));
    };
    EXPECT_EQ(end_at(65528, 8, false), "frag_toolong");
    EXPECT_EQ(end_at(65528, 1400, false), "frag_toolong");
    EXPECT_EQ(end_at(64800, 1480, true), "frag_toolong");
    EXPECT_EQ(end_at(65504, 12, false), "frag_toolong") << "20 + 65,504 + 12 = 65,536";
    EXPECT_EQ(end_at(65504, 11, false), "pass") << "20 + 65,504 + 11 = 65,535";
}

TEST(ParseIpv4, F11_FragmentsThatContradictThemselvesAre_frag_malformed) {
    const auto piece = [](bool df, bool more, std::uint16_t offset, std::size_t bytes) {
        return reason_of(frame(Ipv4{.dont_fragment = df, .more_fragments = more, .fragment_offset = offset},
                               Raw{17, bytes_of(bytes)}));
    };
    EXPECT_EQ(piece(false, true, 0, 1479), "frag_malformed");
    EXPECT_EQ(piece(false, true, 1480, 7), "frag_malformed");
    EXPECT_EQ(piece(false, true, 0, 0), "frag_malformed");
    EXPECT_EQ(piece(false, false, 1480, 0), "frag_malformed");
    // DF with MF is odd and legal.
    EXPECT_EQ(piece(true, true, 0, 1480), "pass");
    EXPECT_EQ(piece(false, true, 0, 1480), "pass");
    EXPECT_EQ(piece(false, false, 1480, 7), "pass");
}

}  // namespace
}  // namespace sluice::test
