#include "tests/unit/dataplane/pipeline/parse_case.hpp"

namespace sluice::test {
namespace {

using dp::SctpPacket;
namespace chunk = dp::sctp_chunk;

SctpPacket packet_of(std::uint32_t tag, const Bytes& chunks) {
    const Parsed r = parse_frame(frame(Ipv4{}, Sctp{.tag = tag, .chunks = chunks}));
    EXPECT_FALSE(r.reason);
    EXPECT_EQ(r.p.payload_bytes, chunks.size());
    return r.p.sctp;
}
std::string reason_of_chunks(const Bytes& chunks) {
    const std::string v4 = reason_of(frame(Ipv4{}, Sctp{.tag = 7, .chunks = chunks}));
    EXPECT_EQ(reason_of(frame(Ipv6{}, Sctp{.tag = 7, .chunks = chunks})), v4);
    return v4;
}

TEST(ParseSctp, G2_ChunksThatDecideAreTold) {
    const SctpPacket init = packet_of(0, sctp_init(0x01020304));
    EXPECT_EQ(init.chunks, chunk::init);
    EXPECT_EQ(init.tag, 0U);
    EXPECT_EQ(init.init_tag, 0x01020304U);
    const SctpPacket init_ack = packet_of(0xa0b0c0d0, sctp_init_ack(9));
    EXPECT_EQ(init_ack.chunks, chunk::init_ack);
    EXPECT_EQ(init_ack.tag, 0xa0b0c0d0U);
    EXPECT_EQ(init_ack.init_tag, 9U);
    EXPECT_EQ(packet_of(7, sctp_data(1)).chunks, chunk::other);
    EXPECT_EQ(packet_of(7, sctp_chunk(10, bytes_of(30)) + sctp_data(1)).chunks, chunk::cookie_echo | chunk::other);
    EXPECT_EQ(packet_of(7, sctp_chunk(11)).chunks, chunk::cookie_ack);
    EXPECT_EQ(packet_of(7, sctp_chunk(3, bytes_of(12, 0)) + sctp_chunk(7, bytes_of(4))).chunks,
              chunk::shutdown | chunk::other);
    EXPECT_EQ(packet_of(7, sctp_chunk(8)).chunks, chunk::shutdown_ack);
    for (const std::uint8_t type : {std::uint8_t{6}, std::uint8_t{14}}) {
        const std::uint16_t kind = type == 6 ? chunk::abort : chunk::shutdown_complete;
        EXPECT_EQ(packet_of(7, sctp_chunk(type)).chunks, kind);
        EXPECT_FALSE(packet_of(7, sctp_chunk(type)).reflected);
        EXPECT_TRUE(packet_of(7, sctp_chunk(type, {}, 1)).reflected);
    }
    EXPECT_FALSE(packet_of(7, sctp_chunk(4, {}, 1)).reflected) << "another chunk's flag";
    EXPECT_TRUE(dp::sctp_tag_legal(init));
    EXPECT_FALSE(dp::sctp_tag_legal(packet_of(5, sctp_init(7))));
    EXPECT_FALSE(dp::sctp_tag_legal(packet_of(0, sctp_data(1))));
}

TEST(ParseSctp, G2_LengthsThatDoNotAddUpAre_sctp_malformed) {
    EXPECT_EQ(reason_of_chunks({}), "sctp_malformed") << "no chunk";
    for (std::size_t bytes = 1; bytes < 4; ++bytes) {
        EXPECT_EQ(reason_of_chunks(Bytes(bytes, 0)), "sctp_malformed");
        EXPECT_EQ(reason_of_chunks(sctp_data(4) + Bytes(bytes, 0)), "sctp_malformed") << "a rest of " << bytes;
    }
    for (const int length : {0, 1, 3, 9, 12, 255}) {
        const auto bytes = static_cast<std::uint8_t>(length);
        const Bytes claims{0, 0, 0, bytes, 1, 2, 3, 4};
        EXPECT_EQ(reason_of_chunks(claims), "sctp_malformed") << length;
        EXPECT_EQ(reason_of_chunks(sctp_data(4) + claims), "sctp_malformed") << int{bytes};
    }
    EXPECT_EQ(reason_of_chunks({0, 0, 0, 8, 1, 2, 3, 4}), "pass");
    EXPECT_EQ(reason_of_chunks({0, 0, 0xff, 0xff, 1, 2, 3, 4}), "sctp_malformed");
    EXPECT_EQ(reason_of_chunks({0, 0, 0, 5, 1, 0, 0, 0}), "pass") << "padded";
    EXPECT_EQ(reason_of_chunks({0, 0, 0, 5, 1}), "sctp_malformed") << "its padding is not there";
    EXPECT_EQ(reason_of_chunks(sctp_chunk(1, bytes_of(12))), "sctp_malformed") << "INIT has 20 bytes";
    EXPECT_EQ(reason_of_chunks(sctp_chunk(2, bytes_of(15))), "sctp_malformed");
    EXPECT_EQ(reason_of_chunks(sctp_init(0)), "sctp_malformed") << "RFC 9260 section 3.3.2: never 0";
    EXPECT_EQ(reason_of_chunks(sctp_init_ack(0)), "sctp_malformed");
}

TEST(ParseSctp, G2_BundlesThatNobodySendsAre_sctp_malformed) {
    for (const Bytes& alone : {sctp_init(7), sctp_init_ack(7), sctp_chunk(14)}) {
        EXPECT_EQ(reason_of_chunks(alone), "pass");
        EXPECT_EQ(reason_of_chunks(alone + sctp_data(3)), "sctp_malformed");
        EXPECT_EQ(reason_of_chunks(sctp_data(3) + alone), "sctp_malformed");
    }
    for (const std::uint8_t first : {std::uint8_t{10}, std::uint8_t{11}}) {
        EXPECT_EQ(reason_of_chunks(sctp_chunk(first) + sctp_data(3)), "pass");
        EXPECT_EQ(reason_of_chunks(sctp_data(3) + sctp_chunk(first)), "sctp_malformed");
    }
    EXPECT_EQ(reason_of_chunks(sctp_data(3) + sctp_chunk(9) + sctp_chunk(6)), "pass");
}

// A bundle may go on in a later segment of the buffer; only where a packet begins is ours to see.
TEST(ParseSctp, ChunksBehindTheFirstSegmentAreNotLookedAt) {
    Bytes bytes = frame(Ipv4{}, Sctp{.tag = 7, .chunks = sctp_data(20) + sctp_chunk(6)});
    const auto with = [&](std::uint32_t contiguous) {
        dp::Packet packet = as_packet(bytes);
        packet.contiguous_bytes = contiguous;
        Parsed r;
        r.reason = dp::parse(packet, r.p);
        return r;
    };
    const auto all = static_cast<std::uint32_t>(bytes.size());
    EXPECT_EQ(with(all).p.sctp.chunks, chunk::other | chunk::abort);
    EXPECT_EQ(with(all - 1).p.sctp.chunks, chunk::other);
    EXPECT_FALSE(with(all - 1).reason);
    EXPECT_EQ(with(14 + 20 + 15).reason, abi::DropReason::headers_split) << "the first chunk's header";
    bytes = frame(Ipv4{}, Sctp{});
    EXPECT_EQ(with(14 + 20 + 12 + 7).reason, abi::DropReason::headers_split) << "inside the Initiate Tag";
    EXPECT_FALSE(with(14 + 20 + 12 + 8).reason);
}

}  // namespace
}  // namespace sluice::test
