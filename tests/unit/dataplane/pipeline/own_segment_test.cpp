#include "dataplane/pipeline/own_segment.hpp"

#include "tests/unit/dataplane/pipeline/parse_case.hpp"
#include "tests/unit/dataplane/pipeline/tcp_reading.hpp"

namespace sluice::test {
namespace {

const dp::OwnSegment kSynAck{.seq = 0xdeadbeef,
                             .ack = 1001,
                             .tsval = 70,
                             .tsecr = 9,
                             .window = 5,
                             .mss = 1400,
                             .flags = kSyn | kAck,
                             .wscale = 7,
                             .sack = true,
                             .timestamps = true};

Bytes built(const dp::OwnSegment& s, Bytes about) {
    const dp::Packet packet = as_packet(about, dp::PortIndex{3});
    dp::ParsedPacket p;
    EXPECT_EQ(dp::parse(packet, p), std::nullopt);
    Bytes out = bytes_of(dp::own_frame_bytes(s, p.family, p.l3_offset), 0xee);
    dp::Packet segment = as_packet(out, dp::PortIndex{9});
    dp::build_own_segment(s, packet, p, segment);
    EXPECT_EQ(segment.total_bytes, out.size());
    EXPECT_EQ(segment.in_port, dp::PortIndex{3});
    return out;
}

TEST(OwnSegment, SaysWhatWasOrderedToWhomItWasOrdered) {
    for (const bool v4 : {true, false}) {
        const Bytes about = v4 ? frame(Ipv4{}, Tcp{.sport = 1111}) : frame(Ipv6{}, Tcp{.sport = 1111});
        for (const bool onward : {false, true}) {
            dp::OwnSegment s = kSynAck;
            s.onward = onward;
            const Bytes out = built(s, about);
            const TcpReading r = read_tcp(out), asked = read_tcp(about);
            EXPECT_EQ(r.src, onward ? asked.src : asked.dst);
            EXPECT_EQ(r.dst, onward ? asked.dst : asked.src);
            EXPECT_EQ(r.src_mac, onward ? kOutsideMac : kInsideMac);
            EXPECT_EQ(r.dst_mac, onward ? kInsideMac : kOutsideMac);
            EXPECT_EQ(std::pair(r.sport, r.dport),
                      onward ? std::pair(asked.sport, asked.dport) : std::pair(asked.dport, asked.sport));
            EXPECT_EQ(r.seq, 0xdeadbeefU);
            EXPECT_EQ(r.ack, 1001U);
            EXPECT_EQ(r.flags, kSyn | kAck);
            EXPECT_EQ(r.window, 5U);
            EXPECT_EQ(r.mss, 1400U);
            EXPECT_EQ(r.wscale, 7U);
            EXPECT_TRUE(r.sack_permitted);
            EXPECT_EQ(r.timestamps, (std::pair{70U, 9U}));
            EXPECT_EQ(r.payload_bytes, 0U);
            // The product's own parser finds nothing wrong either.
            Bytes copy = out;
            dp::ParsedPacket p;
            EXPECT_EQ(dp::parse(as_packet(copy), p), std::nullopt);
        }
    }
}

TEST(OwnSegment, WithoutOptionsItIsAPaddedHeader) {
    const Bytes out = built({.seq = 7, .ack = 99, .flags = kRst}, frame(Ipv4{}, Tcp{}));
    EXPECT_EQ(out.size(), 60U);
    const TcpReading r = read_tcp(out);
    EXPECT_EQ(r.ack, 0U) << "it acknowledges nothing";
    EXPECT_FALSE(r.mss || r.wscale || r.timestamps || r.sack_permitted);
    EXPECT_TRUE(std::all_of(out.begin() + 54, out.end(), [](std::uint8_t b) { return b == 0; }));
}

TEST(OwnSegment, KeepsThePriorityTagOfWhatItIsAbout) {
    const Bytes out = built(kSynAck, frame(Ipv4{}, Tcp{}, Eth{.tags = {{0x8100, 0xa000}}}));
    EXPECT_EQ(out[12] << 8 | out[13], 0x8100);
    EXPECT_EQ(out[14], 0xa0);
    EXPECT_EQ(out[16] << 8 | out[17], 0x0800);
}

TEST(OwnSegment, WithoutAPacketItGoesWhereItsEndsSay) {
    for (const bool v4 : {true, false}) {
        const dp::OwnEnds ends{
            kOutsideMac,
            kInsideMac,
            v4 ? abi::IpFamily::v4 : abi::IpFamily::v6,
            {address(v4 ? "198.51.100.7" : "2001:db8:51::7"), address(v4 ? "198.51.100.80" : "2001:db8:51::80"),
             abi::L4Port::of_host(1111), abi::L4Port::of_host(443), abi::L4Proto::tcp}};
        Bytes out = bytes_of(dp::own_frame_bytes(kSynAck, ends.family, 14), 0xee);
        dp::Packet segment = as_packet(out);
        dp::build_own_segment(kSynAck, ends, segment);
        const TcpReading r = read_tcp(out);
        EXPECT_EQ(r.src_mac, kOutsideMac);
        EXPECT_EQ(r.dst_mac, kInsideMac);
        EXPECT_EQ(r.v6, !v4);
        EXPECT_EQ(std::pair(r.sport, r.dport), std::pair(std::uint16_t{1111}, std::uint16_t{443}));
        EXPECT_EQ(r.dst.back(), v4 ? 80 : 0x80);
    }
}

}  // namespace
}  // namespace sluice::test
