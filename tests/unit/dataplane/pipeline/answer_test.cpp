#include "dataplane/pipeline/answer.hpp"

#include "tests/unit/dataplane/pipeline/parse_case.hpp"

namespace sluice::test {
namespace {

struct Answer {
    Bytes bytes;
    std::optional<abi::DropReason> reason;  ///< what the parser says of it
    dp::ParsedPacket p;
    dp::Packet packet;
};

bool answerable(Bytes frame, dp::L4Checksum device = dp::L4Checksum::unknown) {
    dp::Packet packet = as_packet(frame);
    packet.l4_checksum = device;
    dp::ParsedPacket p;
    EXPECT_EQ(dp::parse(packet, p), std::nullopt);
    return dp::may_answer(packet, p);
}

/// The answer in a buffer of exactly the announced size, with every byte dirty before.
Answer answer_to(Bytes frame) {
    const dp::Packet packet = as_packet(frame, dp::PortIndex{3});
    dp::ParsedPacket p;
    EXPECT_EQ(dp::parse(packet, p), std::nullopt);
    EXPECT_TRUE(dp::may_answer(packet, p));
    Answer answer;
    answer.bytes = bytes_of(dp::answer_bytes(packet, p), 0xee);
    answer.packet = as_packet(answer.bytes, dp::PortIndex{9});
    dp::build_answer(packet, p, answer.packet);
    EXPECT_EQ(answer.packet.total_bytes, answer.bytes.size());
    EXPECT_EQ(answer.packet.in_port, dp::PortIndex{3});
    EXPECT_GE(answer.bytes.size(), 60U);
    answer.reason = dp::parse(answer.packet, answer.p);
    return answer;
}

TEST(Answer, ResetNumbersFollowRfc9293) {
    struct Row {
        std::uint8_t flags;
        std::size_t payload;
        std::uint8_t rst_flags;
        std::uint32_t rst_seq, rst_ack;
    };
    // The rejected segment has seq 1000 and ack 5000, which counts only where the flag is set.
    const Row rows[] = {
        {kSyn, 0, kRst | kAck, 0, 1001},
        {kSyn, 100, kRst | kAck, 0, 1101},  // TCP Fast Open
        {kSyn | kEce | kCwr, 0, kRst | kAck, 0, 1001},
        {kFin, 0, kRst | kAck, 0, 1001},
        {kAck, 0, kRst, 5000, 0},
        {kAck | kPsh, 10, kRst, 5000, 0},
        {kFin | kAck, 0, kRst, 5000, 0},
        {kSyn | kAck, 0, kRst, 5000, 0},
    };
    for (const bool v4 : {true, false}) {
        for (const Row& row : rows) {
            const Tcp tcp{.sport = 1111,
                          .dport = 22,
                          .seq = 1000,
                          .ack = 5000,
                          .flags = row.flags,
                          .payload = bytes_of(row.payload)};
            const Answer a = answer_to(v4 ? frame(Ipv4{}, tcp) : frame(Ipv6{}, tcp));
            ASSERT_FALSE(a.reason) << abi::to_string(*a.reason);
            EXPECT_TRUE(a.p.checksum_known_good);
            EXPECT_EQ(a.p.tcp.flags, row.rst_flags);
            EXPECT_EQ(a.p.tcp.seq, row.rst_seq);
            EXPECT_EQ(a.p.tcp.ack, row.rst_ack);
            EXPECT_EQ(a.p.sport.to_host(), 22);
            EXPECT_EQ(a.p.dport.to_host(), 1111);
            EXPECT_EQ(a.p.src, address(v4 ? "198.51.100.80" : "2001:db8:51::80"));
            EXPECT_EQ(a.p.dst, address(v4 ? "198.51.100.7" : "2001:db8:51::7"));
            EXPECT_EQ(a.p.payload_bytes, 0U);
        }
    }
    const Answer wrap = answer_to(frame(Ipv4{}, Tcp{.seq = 0xffffffff}));
    EXPECT_EQ(wrap.p.tcp.ack, 0U);
}

TEST(Answer, MacsAreSwappedTagsCopiedAndThePaddingClean) {
    const Eth eth{.tags = {{0x88a8, 0x6064}, {0x8100, 7}}};
    const Bytes rejected = frame(Ipv4{}, Tcp{}, eth);
    const Answer a = answer_to(rejected);
    EXPECT_TRUE(std::equal(kOutsideMac.begin(), kOutsideMac.end(), a.bytes.begin()));
    EXPECT_TRUE(std::equal(kInsideMac.begin(), kInsideMac.end(), a.bytes.begin() + 6));
    EXPECT_TRUE(std::equal(a.bytes.begin() + 12, a.bytes.begin() + 22, rejected.begin() + 12));
    EXPECT_EQ(a.p.vlan, 0x64);
    const Answer untagged = answer_to(frame(Ipv4{}, Tcp{}));
    ASSERT_EQ(untagged.bytes.size(), 60U);
    EXPECT_EQ((Bytes{untagged.bytes.begin() + 54, untagged.bytes.end()}), bytes_of(6, 0));
}

TEST(Answer, ProhibitedQuotesWhatFits) {
    for (const bool v4 : {true, false}) {
        const std::size_t header = v4 ? 20 : 40;
        const std::size_t max = v4 ? 576 : 1280;
        for (const std::size_t payload : {0U, 1U, 400U, 519U, 520U, 521U, 1183U, 1184U, 1185U, 1400U}) {
            const Bytes quoted = v4 ? datagram(Ipv4{}, Udp{.payload = bytes_of(payload)})
                                    : datagram(Ipv6{}, Udp{.payload = bytes_of(payload)});
            const Answer a = answer_to(frame(v4 ? 0x0800 : 0x86dd, quoted, Eth{.pad_to = 80}));
            ASSERT_FALSE(a.reason) << abi::to_string(*a.reason);
            EXPECT_EQ(a.p.proto, v4 ? abi::L4Proto::icmp : abi::L4Proto::icmp6);
            EXPECT_EQ(a.p.icmp.type, v4 ? 3 : 1);
            EXPECT_EQ(a.p.icmp.code, v4 ? 13 : 1);
            EXPECT_TRUE(a.p.checksum_known_good);
            const std::size_t quote_bytes = std::min(quoted.size(), max - header - 8);
            ASSERT_EQ(a.p.payload_bytes, quote_bytes);
            const auto quote = a.bytes.begin() + a.p.payload_offset;
            EXPECT_TRUE(std::equal(quoted.begin(), quoted.begin() + static_cast<std::ptrdiff_t>(quote_bytes), quote));
            // The sender of the rejected packet can find its own flow in it.
            dp::InnerTuple inner;
            ASSERT_TRUE(dp::parse_inner(a.packet, a.p, inner));
            EXPECT_EQ(inner.dport.to_host(), 53);
            EXPECT_EQ(inner.src, a.p.dst);
            EXPECT_EQ(inner.dst, a.p.src);
        }
    }
}

TEST(Answer, QuotesOnlyTheFirstSegment) {
    Bytes whole = frame(Ipv4{}, Udp{.payload = bytes_of(300)});
    dp::Packet packet = as_packet(whole);
    packet.contiguous_bytes = 100;
    packet.l4_checksum = dp::L4Checksum::good;
    dp::ParsedPacket p;
    ASSERT_EQ(dp::parse(packet, p), std::nullopt);
    ASSERT_TRUE(dp::may_answer(packet, p));
    EXPECT_EQ(dp::answer_bytes(packet, p), 14U + 20 + 8 + 86);
}

TEST(Answer, RequestsOfOtherProtocolsAreAnsweredByIcmp) {
    EXPECT_EQ(answer_to(frame(Ipv4{}, Icmp{})).p.icmp.code, 13);
    EXPECT_EQ(answer_to(frame(Ipv6{}, Icmp{.type = 128})).p.icmp.code, 1);
    EXPECT_EQ(answer_to(frame(Ipv4{}, Raw{47, bytes_of(4)})).p.icmp.code, 13);
}

TEST(Answer, NeverAnswersWhatMustNotBe) {
    EXPECT_TRUE(answerable(frame(Ipv4{}, Tcp{})));
    EXPECT_FALSE(answerable(frame(Ipv4{}, Tcp{.flags = kRst})));
    EXPECT_FALSE(answerable(frame(Ipv4{}, Tcp{.flags = kRst | kAck})));
    EXPECT_FALSE(answerable(frame(Ipv4{}, Icmp{.type = 3, .payload = bytes_of(28)})));
    EXPECT_FALSE(answerable(frame(Ipv4{}, Icmp{.type = 11, .payload = bytes_of(28)})));
    EXPECT_FALSE(answerable(frame(Ipv6{}, Icmp{.type = 1, .payload = bytes_of(48)})));
    EXPECT_FALSE(answerable(frame(Ipv6{}, Icmp{.type = 127, .payload = bytes_of(48)})));
    // multicast and broadcast, of either layer and on either side
    EXPECT_FALSE(answerable(frame(Ipv4{}, Udp{}, Eth{.dst = kBroadcastMac})));
    EXPECT_FALSE(answerable(frame(Ipv4{}, Udp{}, Eth{.src = {1, 0, 0x5e, 0, 0, 1}})));
    EXPECT_FALSE(answerable(frame(Ipv4{.dst = "224.0.0.251"}, Udp{})));
    EXPECT_FALSE(answerable(frame(Ipv4{.dst = "255.255.255.255"}, Udp{})));
    EXPECT_FALSE(answerable(frame(Ipv4{.src = "0.0.0.0", .dst = "255.255.255.255"}, Udp{})));
    EXPECT_FALSE(answerable(frame(Ipv6{.dst = "ff02::fb"}, Udp{})));
    // not verified
    EXPECT_FALSE(answerable(frame(Ipv6{}, Udp{.checksum = 0})));
    EXPECT_FALSE(answerable(frame(Ipv4{}, Sctp{})));
    EXPECT_TRUE(answerable(frame(Ipv4{}, Sctp{}), dp::L4Checksum::good));
    // not IP
    EXPECT_FALSE(answerable(frame(Arp{}, Eth{})));
    EXPECT_FALSE(answerable(frame(0xaaaa, bytes_of(46))));
    EXPECT_FALSE(answerable(frame(nd_packet("fe80::1", "fe80::2"), neighbour_solicitation("fe80::2"))));
}

TEST(Answer, NeverAnswersAFragment) {
    // They are held, so this looks at the second line of defence; their datagram is answered when it is whole.
    for (const bool more : {true, false}) {
        Bytes bytes = frame(Ipv4{.more_fragments = more, .fragment_offset = 1480}, Raw{17, bytes_of(64)});
        const dp::Packet packet = as_packet(bytes);
        dp::ParsedPacket p;
        ASSERT_EQ(dp::parse(packet, p), std::nullopt);
        p.checksum_known_good = true;
        EXPECT_FALSE(dp::may_answer(packet, p));
    }
}

TEST(Answer, AnAnswerIsNeverAnswered) {
    for (const Bytes& rejected :
         {frame(Ipv4{}, Tcp{}), frame(Ipv6{}, Tcp{}), frame(Ipv4{}, Udp{}), frame(Ipv6{}, Udp{})}) {
        const Answer a = answer_to(rejected);
        EXPECT_FALSE(dp::may_answer(a.packet, a.p));
    }
}

}  // namespace
}  // namespace sluice::test
