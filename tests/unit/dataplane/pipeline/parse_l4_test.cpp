#include "dataplane/flow/tcp_flags.hpp"
#include "tests/unit/dataplane/pipeline/parse_case.hpp"

namespace sluice::test {
namespace {

using dp::L4Checksum;

TEST(ParseL4, ReadsTcp) {
    const Parsed r = parse_frame(frame(Ipv4{}, Tcp{.sport = 1234,
                                                   .dport = 443,
                                                   .seq = 0xfffffff0,
                                                   .ack = 77,
                                                   .flags = kAck | kPsh,
                                                   .window = 512,
                                                   .options = bytes_of(12, 1),
                                                   .payload = bytes_of(9)}));
    EXPECT_FALSE(r.reason);
    EXPECT_EQ(r.p.sport.to_host(), 1234);
    EXPECT_EQ(r.p.dport.to_host(), 443);
    EXPECT_EQ(r.p.tcp.seq, 0xfffffff0U);
    EXPECT_EQ(r.p.tcp.ack, 77U);
    EXPECT_EQ(r.p.tcp.flags, kAck | kPsh);
    EXPECT_EQ(r.p.tcp.window, 512);
    EXPECT_EQ(r.p.payload_offset, 14 + 20 + 32);
    EXPECT_EQ(r.p.payload_bytes, 9U);
    EXPECT_EQ(r.p.tcp.wscale, 0xff);
}

TEST(ParseL4, ReadsTheOptionsOfASyn) {
    const Bytes linux_syn{2, 4, 5, 180, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7};
    for (const std::uint8_t flags : {kSyn, static_cast<std::uint8_t>(kSyn | kAck)}) {
        const Parsed r = parse_frame(frame(Ipv6{}, Tcp{.flags = flags, .options = linux_syn}));
        EXPECT_FALSE(r.reason);
        EXPECT_EQ(r.p.tcp.mss, 1460);
        EXPECT_EQ(r.p.tcp.wscale, 7);
        EXPECT_TRUE(r.p.tcp.sack_permitted);
    }
    EXPECT_EQ(parse_frame(frame(Ipv4{}, Tcp{.options = {3, 3, 15, 0}})).p.tcp.wscale, 14) << "RFC 7323 section 2.3";
    const Parsed none = parse_frame(frame(Ipv4{}, Tcp{}));
    EXPECT_EQ(none.p.tcp.mss, 0);
    EXPECT_EQ(none.p.tcp.wscale, 0xff);
    EXPECT_FALSE(none.p.tcp.sack_permitted);
    const Parsed end = parse_frame(frame(Ipv4{}, Tcp{.options = {0, 3, 3, 7}}));
    EXPECT_FALSE(end.reason);
    EXPECT_EQ(end.p.tcp.wscale, 0xff) << "behind end-of-list nothing counts";
}

TEST(ParseL4, T2_ParseDoesNotJudgeFlagsButTcpFlagsLegalDoes) {
    for (unsigned flags = 0; flags < 256; ++flags) {
        const Parsed r = parse_frame(frame(Ipv4{}, Tcp{.flags = static_cast<std::uint8_t>(flags)}));
        EXPECT_FALSE(r.reason) << flags;
        EXPECT_EQ(r.p.tcp.flags, flags);
    }
    using dp::tcp_flags_legal;
    static_assert(!tcp_flags_legal(0));                               // none (nmap -sN)
    static_assert(!tcp_flags_legal(kFin));                            // F (nmap -sF)
    static_assert(!tcp_flags_legal(kFin | kPsh | kUrg));              // FPU (nmap -sX)
    static_assert(!tcp_flags_legal(kSyn | kFin));                     // SF
    static_assert(!tcp_flags_legal(kSyn | kRst));                     // SR
    static_assert(!tcp_flags_legal(kSyn | kFin | kAck));              // SFA
    static_assert(!tcp_flags_legal(0xff) && !tcp_flags_legal(0x3f));  // all
    static_assert(!tcp_flags_legal(kRst | kFin) && !tcp_flags_legal(kRst | kFin | kAck));
    static_assert(!tcp_flags_legal(kSyn | kRst | kAck));
    static_assert(!tcp_flags_legal(kPsh) && !tcp_flags_legal(kUrg) && !tcp_flags_legal(kEce | kCwr));
    // Legal by themselves: whether they may come without a flow is the state machine's question.
    static_assert(tcp_flags_legal(kRst) && tcp_flags_legal(kRst | kAck) && tcp_flags_legal(kSyn | kAck));
    static_assert(tcp_flags_legal(kSyn | kPsh) && tcp_flags_legal(kSyn | kUrg) && tcp_flags_legal(kSyn | kEce | kCwr));
    static_assert(tcp_flags_legal(kSyn) && tcp_flags_legal(kAck) && tcp_flags_legal(kAck | kPsh));
    static_assert(tcp_flags_legal(kFin | kAck | kPsh | kUrg) && tcp_flags_legal(kRst | kAck | kPsh));
}

TEST(ParseL4, T29_WrongTcpChecksumsAre_bad_l4_csum) {
    for (const std::uint8_t flags : {kRst, static_cast<std::uint8_t>(kAck | kPsh)}) {
        Bytes v4 = frame(Ipv4{}, Tcp{.flags = flags, .payload = bytes_of(10)});
        EXPECT_EQ(reason_of(v4), "pass");
        v4.back() ^= 1;
        EXPECT_EQ(reason_of(v4), "bad_l4_csum");
        EXPECT_EQ(reason_of(v4, L4Checksum::good), "pass") << "the device is believed, and asked only once";
        EXPECT_EQ(reason_of(frame(Ipv4{}, Tcp{}), L4Checksum::bad), "bad_l4_csum");
        Bytes v6 = frame(Ipv6{}, Tcp{.flags = flags, .payload = bytes_of(11)});
        EXPECT_EQ(reason_of(v6), "pass");
        v6.back() ^= 1;
        EXPECT_EQ(reason_of(v6), "bad_l4_csum");
    }
    EXPECT_EQ(reason_of(frame(Ipv4{}, Tcp{.checksum = 0})), "bad_l4_csum");
    // The address is part of it.
    Bytes moved = frame(Ipv6{}, Udp{});
    moved[14 + 39] ^= 4;
    EXPECT_EQ(reason_of(moved), "bad_l4_csum");
    for (const bool v4 : {true, false}) {
        for (const L4& l4 : {L4{Udp{.checksum = 0x1234}},
                             L4{Icmp{.type = static_cast<std::uint8_t>(v4 ? 8 : 128), .checksum = 0x1234}}}) {
            EXPECT_EQ(reason_of(v4 ? frame(Ipv4{}, l4) : frame(Ipv6{}, l4)), "bad_l4_csum");
        }
    }
}

TEST(ParseL4, T30_HeaderLengthsThatCannotBeAre_tcp_malformed) {
    for (std::uint8_t words = 0; words < 5; ++words) {
        EXPECT_EQ(reason_of(frame(Ipv4{}, Tcp{.payload = bytes_of(60), .data_offset = words})), "tcp_malformed");
    }
    EXPECT_EQ(reason_of(frame(Ipv4{}, Tcp{.data_offset = 15})), "tcp_malformed");
    EXPECT_EQ(reason_of(frame(Ipv4{}, Tcp{.payload = bytes_of(39), .data_offset = 15})), "tcp_malformed");
    EXPECT_EQ(reason_of(frame(Ipv4{}, Tcp{.data_offset = 15}, Eth{.pad_to = 200})), "tcp_malformed");
    EXPECT_EQ(reason_of(frame(Ipv4{}, Tcp{.flags = kAck, .payload = bytes_of(40), .data_offset = 15})), "pass");
    for (std::size_t bytes = 0; bytes < 20; ++bytes) {
        EXPECT_EQ(reason_of(frame(Ipv4{}, Raw{6, bytes_of(bytes)})), "tcp_malformed") << bytes;
    }
}

TEST(ParseL4, T30_OptionLengthsThatCannotBeAre_tcp_malformed) {
    const auto syn = [](const Bytes& options) { return reason_of(frame(Ipv4{}, Tcp{.options = options})); };
    EXPECT_EQ(syn({99, 0, 0, 0}), "tcp_malformed");
    EXPECT_EQ(syn({99, 1, 0, 0}), "tcp_malformed");
    EXPECT_EQ(syn({1, 1, 99, 3}), "tcp_malformed") << "one byte past the header";
    EXPECT_EQ(syn({1, 1, 1, 99}), "tcp_malformed") << "a kind without a length";
    EXPECT_EQ(syn({2, 255, 5, 180}), "tcp_malformed");
    EXPECT_EQ(syn({2, 3, 5, 0}), "tcp_malformed");
    EXPECT_EQ(syn({3, 2, 1, 1}), "tcp_malformed");
    EXPECT_EQ(syn({4, 3, 0, 0}), "tcp_malformed");
    EXPECT_EQ(syn({99, 4, 0, 0}), "pass") << "unknown kinds are skipped by their length";
    // T31: a SYN with 40 bytes of options.
    EXPECT_EQ(syn({254, 40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                   0,   0,  0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}),
              "pass");
    // Other segments' options are not walked.
    EXPECT_EQ(reason_of(frame(Ipv4{}, Tcp{.flags = kAck, .options = {99, 0, 0, 0}})), "pass");
}

TEST(ParseL4, U2_UdpLengthsThatDisagreeAre_udp_malformed) {
    for (std::uint16_t length = 0; length < 8; ++length) {
        EXPECT_EQ(reason_of(frame(Ipv4{}, Udp{.payload = bytes_of(4), .length = length})), "udp_malformed");
    }
    EXPECT_EQ(reason_of(frame(Ipv4{}, Udp{.payload = bytes_of(4), .length = 13})), "udp_malformed");
    EXPECT_EQ(reason_of(frame(Ipv6{}, Udp{.length = 65535})), "udp_malformed");
    EXPECT_EQ(reason_of(frame(Ipv4{}, Raw{17, bytes_of(7)})), "udp_malformed");
    const Parsed empty = parse_frame(frame(Ipv4{}, Udp{}));
    EXPECT_FALSE(empty.reason) << "no payload is fine";
    EXPECT_EQ(empty.p.payload_bytes, 0U);
    // Surplus behind the UDP datagram (RFC 9868) is no payload and in no checksum.
    const Bytes udp_alone = first(datagram(Ipv4{}, Udp{.payload = bytes_of(4)}), 32);
    Bytes udp{udp_alone.begin() + 20, udp_alone.end()};
    const Parsed surplus = parse_frame(frame(Ipv4{}, Raw{17, udp + bytes_of(6)}));
    EXPECT_FALSE(surplus.reason);
    EXPECT_EQ(surplus.p.payload_bytes, 4U);
    EXPECT_EQ(surplus.p.l4_bytes, 18U);
}

TEST(ParseL4, U3_UdpWithoutChecksumPassesAndPortZeroDoesNot) {
    const Parsed v4 = parse_frame(frame(Ipv4{}, Udp{.checksum = 0}));
    EXPECT_FALSE(v4.reason);
    EXPECT_FALSE(v4.p.udp_zero_checksum6);
    EXPECT_TRUE(v4.p.checksum_known_good);
    const Parsed v6 = parse_frame(frame(Ipv6{}, Udp{.checksum = 0}));
    EXPECT_FALSE(v6.reason);
    EXPECT_TRUE(v6.p.udp_zero_checksum6);
    EXPECT_FALSE(v6.p.checksum_known_good);
    EXPECT_FALSE(parse_frame(frame(Ipv6{}, Udp{})).p.udp_zero_checksum6);
    for (const bool source : {true, false}) {
        const Udp udp = source ? Udp{.sport = 0} : Udp{.dport = 0};
        EXPECT_EQ(reason_of(frame(Ipv4{}, udp)), "udp_port0");
        EXPECT_EQ(reason_of(frame(Ipv6{}, udp)), "udp_port0");
    }
}

TEST(ParseL4, ReadsIcmpOfBothVersions) {
    struct Row {
        bool v4;
        std::uint8_t type;
        bool has_id;
        bool error;
    };
    const Row rows[] = {{true, 8, true, false},    {true, 0, true, false},    {true, 13, true, false},
                        {true, 14, true, false},   {true, 3, false, true},    {true, 11, false, true},
                        {true, 12, false, true},   {true, 40, false, false},  {false, 128, true, false},
                        {false, 129, true, false}, {false, 1, false, true},   {false, 2, false, true},
                        {false, 4, false, true},   {false, 143, false, false}};
    for (const Row& row : rows) {
        const Icmp icmp{.type = row.type, .code = 3, .id = 0xabcd, .payload = bytes_of(20)};
        const Parsed r = parse_frame(row.v4 ? frame(Ipv4{}, icmp) : frame(Ipv6{}, icmp));
        EXPECT_FALSE(r.reason) << int{row.type};
        EXPECT_EQ(r.p.proto, row.v4 ? abi::L4Proto::icmp : abi::L4Proto::icmp6);
        EXPECT_EQ(r.p.icmp.type, row.type);
        EXPECT_EQ(r.p.icmp.code, 3);
        EXPECT_EQ(r.p.icmp.id, row.has_id ? 0xabcd : 0) << int{row.type};
        EXPECT_EQ(dp::is_icmp_error(r.p), row.error) << int{row.type};
        EXPECT_EQ(r.p.payload_bytes, 20U);
        EXPECT_EQ(r.p.sport.wire(), 0);
    }
    for (std::size_t bytes = 0; bytes < 8; ++bytes) {
        EXPECT_EQ(reason_of(frame(Ipv4{}, Raw{1, bytes_of(bytes)})), "icmp_malformed");
        EXPECT_EQ(reason_of(frame(Ipv6{.ext = {destination_options()}, .proto = 58}, Raw{58, bytes_of(bytes)})),
                  "icmp_malformed");
    }
}

TEST(ParseL4, I10_RedirectAndSourceQuenchAre_icmp_type_deny) {
    EXPECT_EQ(reason_of(frame(Ipv4{}, Icmp{.type = 5, .payload = bytes_of(28)})), "icmp_type_deny");
    EXPECT_EQ(reason_of(frame(Ipv4{}, Icmp{.type = 4, .payload = bytes_of(28)})), "icmp_type_deny");
}

TEST(ParseL4, G1_G2_OtherProtocols) {
    const Parsed sctp = parse_frame(frame(Ipv4{}, Sctp{.sport = 5000, .dport = 3868}));
    EXPECT_FALSE(sctp.reason);
    EXPECT_EQ(sctp.p.sport.to_host(), 5000);
    EXPECT_EQ(sctp.p.dport.to_host(), 3868);
    EXPECT_FALSE(sctp.p.checksum_known_good);
    EXPECT_EQ(reason_of(frame(Ipv4{}, Raw{132, bytes_of(11)})), "sctp_malformed");
    for (const std::uint8_t proto :
         {std::uint8_t{47}, std::uint8_t{50}, std::uint8_t{51}, std::uint8_t{4}, std::uint8_t{41}, std::uint8_t{253}}) {
        const Parsed r = parse_frame(frame(Ipv4{}, Raw{proto, bytes_of(24)}));
        EXPECT_FALSE(r.reason);
        EXPECT_EQ(r.p.proto, abi::L4Proto{proto});
        EXPECT_EQ(r.p.payload_bytes, 24U);
        EXPECT_EQ(r.p.sport.wire(), 0);
        EXPECT_TRUE(r.p.checksum_known_good);
    }
}

}  // namespace
}  // namespace sluice::test
