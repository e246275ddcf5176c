/// What is read of a usual packet is what the parser and `identify` make of it, and every packet that should be usual
/// is.
#include "dataplane/pipeline/usual.hpp"

#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "dataplane/pipeline/rx.hpp"
#include "tests/harness/changed_frames.hpp"
#include "tests/harness/edge_frame.hpp"
#include "tests/harness/frames.hpp"
#include "tests/harness/seed.hpp"

namespace sluice::test {
namespace {

using dp::L4Checksum;
using dp::ParsedPacket;

constexpr dp::FlowDomain kDomain{0x1234};

/// Should be usual, by what the parser's layers say of it.
bool is_usual(const ParsedPacket& p) {
    const bool no_options_or_tags = p.l3_offset == 14 && p.l4_offset == 34;
    const bool ordinary =
        dp::plain::is_ordinary_v4(p.src.v4().to_host()) && dp::plain::is_ordinary_v4(p.dst.v4().to_host());
    return ordinary && p.packet_class == dp::PacketClass::ip && p.family == abi::IpFamily::v4 && !p.is_fragment &&
           p.proto == abi::L4Proto::tcp && p.checksum_known_good && no_options_or_tags && (p.tcp.flags & 0x36) == kAck;
}

/// True: it was read as usual.
bool was_read(const Bytes& frame, std::size_t contiguous, L4Checksum device) {
    const EdgeFrame edge{frame, contiguous, device};
    const dp::Packet& packet = edge.packet();
    ParsedPacket p;
    const bool passes = !dp::parse_layers(dp::view_of(packet), p);
    dp::FlowKeyV4 key;
    dp::UsualSegment segment;
    const bool usual = dp::read_usual(packet, kDomain, key, segment);
    EXPECT_EQ(usual, passes && is_usual(p)) << testing::PrintToString(frame) << " of which " << contiguous;
    if (!usual || !passes) return usual;
    EXPECT_EQ(segment.seq, p.tcp.seq);
    EXPECT_EQ(segment.ack, p.tcp.ack);
    EXPECT_EQ(segment.window, p.tcp.window);
    EXPECT_EQ(segment.payload_bytes, p.payload_bytes);
    EXPECT_EQ(segment.flags, p.tcp.flags);
    EXPECT_EQ(segment.source_is_low, dp::source_is_low(p.family, p));
    EXPECT_EQ(key, dp::make_key<dp::FlowKeyV4>(p, segment.source_is_low, kDomain));
    return true;
}

/// Both directions, with and without data, options and padding.
std::vector<Bytes> segments() {
    std::vector<Bytes> all;
    for (const std::size_t bytes : {0U, 1U, 6U, 300U}) {
        for (const auto& [src, dst] : {std::pair{"198.51.100.7", "198.51.100.80"}, {"198.51.100.80", "198.51.100.7"}}) {
            const Ipv4 ip{.src = src, .dst = dst};
            all.push_back(frame(ip, Tcp{.ack = 77, .flags = kAck | kPsh, .payload = bytes_of(bytes)}));
            all.push_back(frame(ip, Tcp{.ack = 77, .flags = kAck, .payload = bytes_of(bytes)}, Eth{.pad_to = 400}));
            all.push_back(frame(ip, Tcp{.ack = 77, .flags = kAck, .options = {1, 1, 1, 0}}));
            all.push_back(frame(ip, Tcp{.ack = 77, .flags = kAck | kFin, .payload = bytes_of(bytes)}));
        }
    }
    return all;
}

TEST(Usual, SegmentsOfLiveFlowsAre) {
    for (const Bytes& segment : segments()) {
        for (const auto device : {L4Checksum::unknown, L4Checksum::good}) {
            EXPECT_TRUE(was_read(segment, segment.size(), device));
        }
        EXPECT_FALSE(was_read(segment, segment.size(), L4Checksum::bad));
    }
}

TEST(Usual, WhatMeansMoreToAFlowIsNot) {
    for (const int flags : {kAck | kSyn, kAck | kRst, +kPsh, +kFin, 0, 0x30, +kSyn, +kRst}) {
        const Bytes other = frame(Ipv4{}, Tcp{.ack = 77, .flags = static_cast<std::uint8_t>(flags)});
        EXPECT_FALSE(was_read(other, other.size(), L4Checksum::good)) << int{flags};
    }
    const Bytes congested = frame(Ipv4{}, Tcp{.ack = 77, .flags = 0xd0});
    EXPECT_TRUE(was_read(congested, congested.size(), L4Checksum::good)) << "ECE and CWR are the ends' business";
}

TEST(Usual, NoFrameReadsOtherwiseThanByTheParser) {
    SCOPED_TRACE(seed_line());
    ChangedFrames frames{segments(), 60, seed_of_this_run()};
    std::size_t usual = 0;
    for (int round = 0; round < 200'000 && !testing::Test::HasFailure(); ++round) {
        const auto [bytes, contiguous, device] = frames.next();
        usual += was_read(bytes, contiguous, device) ? 1 : 0;
    }
    EXPECT_GT(usual, 15'000U) << "too few to mean anything";
}

/// A packet that was read as usual becomes what any other packet is, when somebody has to look closer.
TEST(Usual, IsFilledInOnDemand) {
    Bytes bytes = segments().front();
    dp::Burst burst;
    burst.count = 1;
    burst.packet[0] = {.data = bytes.data(),
                       .contiguous_bytes = static_cast<std::uint32_t>(bytes.size()),
                       .total_bytes = static_cast<std::uint32_t>(bytes.size())};
    burst.passage = {.from = abi::ZoneId{0}, .to = abi::ZoneId{1}};
    burst.parsed[0].packet_class = dp::PacketClass::arp;  // of the burst before
    burst.parsed[0].is_fragment = true;
    abi::WorkerCounters counters;
    dp::parse_burst(burst, counters);
    ASSERT_TRUE(burst.usual.has(0));
    EXPECT_EQ(burst.parsed[0].packet_class, dp::PacketClass::ip);
    EXPECT_FALSE(burst.parsed[0].is_fragment);

    dp::fill_usual(burst, 0);
    EXPECT_FALSE(burst.usual.has(0));
    ParsedPacket p;
    ASSERT_FALSE(dp::parse(burst.packet[0], p));
    EXPECT_EQ(burst.parsed[0].src, p.src);
    EXPECT_EQ(burst.parsed[0].dport, p.dport);
    EXPECT_EQ(burst.parsed[0].payload_offset, p.payload_offset);
}

}  // namespace
}  // namespace sluice::test
