#include "tests/unit/dataplane/pipeline/parse_case.hpp"

namespace sluice::test {
namespace {

using dp::PacketClass;

TEST(ParseLink, L1_RuntsAre_l2_deny) {
    const Bytes whole = frame(Ipv4{}, Tcp{});
    for (std::size_t bytes = 0; bytes < 14 + 20; ++bytes) EXPECT_EQ(reason_of(first(whole, bytes)), "l2_deny") << bytes;
    const Bytes whole6 = frame(Ipv6{}, Tcp{});
    for (std::size_t bytes = 0; bytes < 14 + 40; ++bytes)
        EXPECT_EQ(reason_of(first(whole6, bytes)), "l2_deny") << bytes;
    const Bytes arp = frame(Arp{});
    for (std::size_t bytes = 0; bytes < 14 + 8; ++bytes) EXPECT_EQ(reason_of(first(arp, bytes)), "l2_deny") << bytes;
    const Bytes tagged = frame(Ipv4{}, Tcp{}, Eth{.tags = {{0x8100, 7}, {0x8100, 8}}});
    for (std::size_t bytes = 0; bytes < 14 + 8 + 20; ++bytes) {
        EXPECT_EQ(reason_of(first(tagged, bytes)), "l2_deny") << bytes;
    }
}

TEST(ParseLink, L1_ShortFramesWithAWholeDatagramPass) {
    // 42 to 59 bytes: software ports do not pad, and a datagram that is whole is whole.
    EXPECT_EQ(reason_of(frame(Ipv4{}, Udp{})), "pass");
    EXPECT_EQ(reason_of(frame(Ipv4{}, Tcp{.flags = kAck})), "pass");
    EXPECT_EQ(reason_of(frame(Arp{})), "pass");
}

TEST(ParseLink, L1_UnknownEthertypesAndLengthFieldsAreClassOther) {
    for (const unsigned value : {0x0600U, 0xaaaaU, 0x8847U, 0x8863U, 0xffffU}) {
        const Parsed r = parse_frame(frame(static_cast<std::uint16_t>(value), bytes_of(46)));
        EXPECT_FALSE(r.reason) << std::hex << value;
        EXPECT_EQ(r.p.packet_class, PacketClass::other);
        EXPECT_EQ(r.p.family, abi::IpFamily::none);
        EXPECT_EQ(dp::reason_of_denial(r.p), abi::DropReason::l2_deny);
    }
    // 802.3: spanning tree, 38 bytes of LLC and BPDU.
    const Parsed bpdu = parse_frame(frame(38, bytes_of(38), Eth{.dst = {1, 0x80, 0xc2, 0, 0, 0}, .pad_to = 60}));
    EXPECT_FALSE(bpdu.reason);
    EXPECT_EQ(bpdu.p.packet_class, PacketClass::other);
    EXPECT_TRUE(bpdu.p.l2_multicast);
    EXPECT_EQ(reason_of(frame(47, bytes_of(46))), "l2_deny");      // longer than the frame
    EXPECT_EQ(reason_of(frame(1501, bytes_of(1501))), "l2_deny");  // neither length nor type
    EXPECT_EQ(reason_of(frame(0x05ff, bytes_of(2000))), "l2_deny");
}

TEST(ParseLink, L2_TagsGiveTheVlan) {
    const auto vlan_of = [](std::vector<VlanTag> tags) {
        const Parsed r = parse_frame(frame(Ipv4{}, Tcp{.dport = 443}, Eth{.tags = std::move(tags)}));
        EXPECT_FALSE(r.reason);
        EXPECT_EQ(r.p.dport.to_host(), 443);
        return r.p.vlan;
    };
    EXPECT_EQ(vlan_of({}), 0);
    EXPECT_EQ(vlan_of({{0x8100, 7}}), 7);
    EXPECT_EQ(vlan_of({{0x8100, 0xe007}}), 7) << "priority 7";
    EXPECT_EQ(vlan_of({{0x88a8, 100}, {0x8100, 7}}), 100);
    EXPECT_EQ(vlan_of({{0x8100, 0}}), 0) << "a priority tag is as good as none";
    EXPECT_EQ(vlan_of({{0x8100, 0xa000}}), 0);
    EXPECT_EQ(vlan_of({{0x8100, 0}, {0x8100, 7}}), 7) << "a priority tag hides no VLAN";
}

TEST(ParseLink, L2_ReservedVidAndThirdTagAre_vlan_deny) {
    EXPECT_EQ(reason_of(frame(Ipv4{}, Tcp{}, Eth{.tags = {{0x8100, 4095}}})), "vlan_deny");
    EXPECT_EQ(reason_of(frame(Ipv4{}, Tcp{}, Eth{.tags = {{0x88a8, 5}, {0x8100, 0x1fff}}})), "vlan_deny");
    EXPECT_EQ(reason_of(frame(Ipv4{}, Tcp{}, Eth{.tags = {{0x88a8, 5}, {0x8100, 6}, {0x8100, 7}}})), "vlan_deny");
    EXPECT_EQ(reason_of(frame(Ipv4{}, Tcp{}, Eth{.tags = {{0x8100, 0}, {0x8100, 0}, {0x8100, 0}}})), "vlan_deny");
}

TEST(ParseLink, L4_ValidArpIsItsOwnClass) {
    for (const Arp& arp : {Arp{}, Arp{.operation = 2, .target_mac = kInsideMac}, Arp{.sender_ip = "0.0.0.0"},
                           Arp{.target_ip = "198.51.100.7"}}) {  // request, reply, probe, announcement
        const Parsed r = parse_frame(frame(arp));
        EXPECT_FALSE(r.reason);
        EXPECT_EQ(r.p.packet_class, PacketClass::arp);
        EXPECT_TRUE(r.p.l2_multicast);
    }
    EXPECT_EQ(reason_of(frame(Arp{}, Eth{.dst = kBroadcastMac, .pad_to = 60})), "pass");
    EXPECT_EQ(reason_of(frame(Arp{}, Eth{.tags = {{0x8100, 7}}})), "pass");
}

TEST(ParseLink, L4_MalformedArpIs_arp_reject) {
    EXPECT_EQ(reason_of(frame(Arp{.hardware_type = 6})), "arp_reject");
    EXPECT_EQ(reason_of(frame(Arp{.protocol_type = 0x86dd})), "arp_reject");
    EXPECT_EQ(reason_of(frame(Arp{.hardware_bytes = 255}, Eth{.pad_to = 60})), "arp_reject");  // tcpdump: too long THA
    EXPECT_EQ(reason_of(frame(Arp{.hardware_bytes = 0})), "arp_reject");
    EXPECT_EQ(reason_of(frame(Arp{.protocol_bytes = 16})), "arp_reject");
    EXPECT_EQ(reason_of(frame(Arp{.operation = 0})), "arp_reject");
    EXPECT_EQ(reason_of(frame(Arp{.operation = 3})), "arp_reject");
    EXPECT_EQ(reason_of(frame(Arp{.sender_mac = kBroadcastMac})), "arp_reject");
    EXPECT_EQ(reason_of(frame(Arp{.sender_mac = {1, 0, 0x5e, 0, 0, 1}})), "arp_reject");
    EXPECT_EQ(reason_of(frame(Arp{.sender_mac = {}})), "arp_reject");
    EXPECT_EQ(reason_of(frame(Arp{.sender_ip = "255.255.255.255"})), "arp_reject");
    EXPECT_EQ(reason_of(frame(Arp{.sender_ip = "224.0.0.1"})), "arp_reject");
    EXPECT_EQ(reason_of(frame(Arp{.sender_ip = "127.0.0.1"})), "arp_reject");
    EXPECT_EQ(reason_of(frame(Arp{.operation = 2, .sender_ip = "0.0.0.0"})), "arp_reject");
    const Bytes whole = frame(Arp{});
    for (std::size_t bytes = 14 + 8; bytes < whole.size(); ++bytes) {
        EXPECT_EQ(reason_of(first(whole, bytes)), "arp_reject") << bytes;
    }
}

TEST(ParseLink, L1_AFrameOfAHeaderAndNothingElseIsWhole) {
    const Bytes bare = frame(0x88b5, {});
    ASSERT_EQ(bare.size(), 14U);
    EXPECT_EQ(reason_of(bare), "pass");
    EXPECT_EQ(reason_of(first(bare, 13)), "l2_deny");
}

TEST(ParseLink, HeadersBehindTheFirstSegmentAre_headers_split) {
    // Where a segment ends is the sender's choice as little as ours: every cut inside the headers has the same answer.
    Bytes whole = frame(Ipv6{.ext = {hop_by_hop()}}, Tcp{.options = {2, 4, 5, 180}, .payload = bytes_of(100)});
    const std::size_t header_bytes = whole.size() - 100;
    for (std::size_t cut = 0; cut <= whole.size(); ++cut) {
        dp::Packet packet = as_packet(whole);
        packet.contiguous_bytes = static_cast<std::uint32_t>(cut);
        dp::ParsedPacket p;
        const auto reason = dp::parse(packet, p);
        if (cut < header_bytes) {
            ASSERT_EQ(reason, abi::DropReason::headers_split) << cut;
        } else {
            ASSERT_EQ(reason, std::nullopt) << cut;
            EXPECT_EQ(p.payload_bytes, 100U);
            EXPECT_EQ(p.checksum_known_good, cut == whole.size()) << "a part of it proves nothing";
        }
    }
}

}  // namespace
}  // namespace sluice::test
