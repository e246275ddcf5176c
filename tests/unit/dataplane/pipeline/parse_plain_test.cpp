/// The plain frame's short way through the parser says what the layers' files say, field by field.
#include "dataplane/pipeline/parse_plain.hpp"

#include <vector>

#include <gtest/gtest.h>

#include "dataplane/pipeline/parse.hpp"
#include "tests/harness/changed_frames.hpp"
#include "tests/harness/edge_frame.hpp"
#include "tests/harness/frames.hpp"
#include "tests/harness/seed.hpp"

namespace sluice::test {
namespace {

using dp::L4Checksum;
using dp::ParsedPacket;

void expect_same(const ParsedPacket& a, const ParsedPacket& b) {
    EXPECT_EQ(a.src, b.src);
    EXPECT_EQ(a.dst, b.dst);
    EXPECT_EQ(a.sport, b.sport);
    EXPECT_EQ(a.dport, b.dport);
    EXPECT_EQ(a.l3_offset, b.l3_offset);
    EXPECT_EQ(a.l4_offset, b.l4_offset);
    EXPECT_EQ(a.payload_offset, b.payload_offset);
    EXPECT_EQ(a.vlan, b.vlan);
    EXPECT_EQ(a.l4_bytes, b.l4_bytes);
    EXPECT_EQ(a.payload_bytes, b.payload_bytes);
    EXPECT_EQ(a.packet_class, b.packet_class);
    EXPECT_EQ(a.family, b.family);
    EXPECT_EQ(a.proto, b.proto);
    EXPECT_EQ(a.l2_multicast, b.l2_multicast);
    EXPECT_EQ(a.checksum_known_good, b.checksum_known_good);
    EXPECT_EQ(a.is_fragment, b.is_fragment);
    EXPECT_EQ(a.udp_zero_checksum6, b.udp_zero_checksum6);
    EXPECT_EQ(a.tcp.seq, b.tcp.seq);
    EXPECT_EQ(a.tcp.ack, b.tcp.ack);
    EXPECT_EQ(a.tcp.window, b.tcp.window);
    EXPECT_EQ(a.tcp.flags, b.tcp.flags);
    EXPECT_EQ(a.tcp.wscale, b.tcp.wscale);
    EXPECT_EQ(a.tcp.mss, b.tcp.mss);
    EXPECT_EQ(a.tcp.sack_permitted, b.tcp.sack_permitted);
}

/// True: it went the short way, and both ways said the same.
bool went_the_short_way(const Bytes& frame, std::size_t contiguous, L4Checksum device) {
    const EdgeFrame edge{frame, contiguous, device};
    const dp::FrameView view = dp::view_of(edge.packet());
    ParsedPacket short_way, long_way;
    if (!dp::parse_plain(view, short_way)) return false;
    const dp::Fault fault = dp::parse_layers(view, long_way);
    EXPECT_FALSE(fault) << "the layers drop it as " << abi::kDropReasons[static_cast<std::size_t>(*fault)].name;
    expect_same(short_way, long_way);
    return true;
}

/// Segments of a live flow, in the shapes that may go the short way.
std::vector<Bytes> segments() {
    std::vector<Bytes> all;
    for (const std::size_t bytes : {0U, 1U, 6U, 300U}) {
        const Tcp data{.ack = 77, .flags = kAck | kPsh, .payload = bytes_of(bytes)};
        const Tcp with_options{
            .ack = 77, .flags = kAck, .options = {1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2}, .payload = bytes_of(bytes)};
        all.push_back(frame(Ipv4{}, data));
        all.push_back(frame(Ipv4{}, data, Eth{.pad_to = 400}));
        all.push_back(frame(Ipv4{}, with_options));
        all.push_back(frame(Ipv4{}, Tcp{.flags = kSyn, .options = {2, 4, 5, 180, 4, 2, 3, 3, 7, 0, 0, 0}}));
        all.push_back(frame(Ipv6{}, Tcp{.ack = 77, .flags = kSyn | kAck, .options = {3, 3, 2, 1, 2, 4, 4, 0}}));
        all.push_back(frame(Ipv6{}, data));
        all.push_back(frame(Ipv6{}, with_options, Eth{.dst = kBroadcastMac}));
    }
    return all;
}

TEST(ParsePlain, SegmentsOfLiveFlowsGoTheShortWay) {
    for (const Bytes& segment : segments()) {
        for (const auto device : {L4Checksum::unknown, L4Checksum::good}) {
            EXPECT_TRUE(went_the_short_way(segment, segment.size(), device));
        }
        EXPECT_FALSE(went_the_short_way(segment, segment.size(), L4Checksum::bad));
    }
}

TEST(ParsePlain, WhatIsNotPlainIsLeftToTheLayers) {
    const Tcp ack{.flags = kAck};
    const Bytes others[] = {
        frame(Ipv4{}, Tcp{.flags = kSyn, .options = {2, 3, 5, 0}}),
        frame(Ipv4{}, Udp{}),
        frame(Ipv4{.more_fragments = true}, ack),
        frame(Ipv4{.fragment_offset = 64}, ack),
        frame(Ipv4{.options = {1, 1, 1, 0}}, ack),
        frame(Ipv4{.checksum = 1}, ack),
        frame(Ipv4{.total_bytes = 2000}, ack),
        frame(Ipv4{.total_bytes = 39}, ack),
        frame(Ipv4{.src = "127.0.0.1"}, ack),
        frame(Ipv4{.src = "224.0.0.1"}, ack),
        frame(Ipv4{.dst = "0.0.0.1"}, ack),
        frame(Ipv4{.dst = "255.255.255.255"}, ack),
        frame(Ipv4{.src = "198.51.100.80"}, ack),
        frame(Ipv4{}, Tcp{.flags = kAck, .data_offset = 4}),
        frame(Ipv4{}, Tcp{.flags = kAck, .data_offset = 15}),
        frame(Ipv4{}, Tcp{.flags = kAck, .checksum = 1}),
        frame(Ipv4{}, ack, Eth{.tags = {{0x8100, 7}}}),
        frame(Ipv6{.src = "::1"}, ack),
        frame(Ipv6{.src = "ff02::1"}, ack),
        frame(Ipv6{.dst = "::ffff:192.0.2.1"}, ack),
        frame(Ipv6{.src = "2001:db8:51::80"}, ack),
        frame(Ipv6{.ext = {destination_options()}}, ack),
    };
    for (const Bytes& other : others) {
        EXPECT_FALSE(went_the_short_way(other, other.size(), L4Checksum::unknown)) << &other - others;
    }
}

TEST(ParsePlain, NoFrameReadsOtherwiseThanByTheLayers) {
    SCOPED_TRACE(seed_line());
    ChangedFrames frames{segments(), 80, seed_of_this_run()};
    std::size_t plain = 0;
    for (int round = 0; round < 200'000 && !testing::Test::HasFailure(); ++round) {
        const auto [bytes, contiguous, device] = frames.next();
        plain += went_the_short_way(bytes, contiguous, device) ? 1 : 0;
    }
    EXPECT_GT(plain, 20'000U) << "too few to mean anything";
}

}  // namespace
}  // namespace sluice::test
