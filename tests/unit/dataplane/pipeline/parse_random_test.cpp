/// Random and mutated frames, each at the end of a heap block of exactly its size: under ASan a read past the frame is
/// a finding. What parse lets pass must be consistent in itself, whatever was thrown at it.
#include <algorithm>
#include <memory>
#include <random>

#include "dataplane/pipeline/answer.hpp"
#include "tests/unit/dataplane/pipeline/parse_case.hpp"

namespace sluice::test {
namespace {

std::vector<Bytes> seed_frames() {
    const Bytes syn_options{2, 4, 5, 180, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7};
    const Bytes inner4 = datagram(Ipv4{}, Tcp{});
    const Bytes inner6 = datagram(Ipv6{.ext = {destination_options()}}, Udp{.payload = bytes_of(10)});
    return {
        frame(Ipv4{}, Tcp{.options = syn_options}),
        frame(Ipv4{}, Tcp{.flags = kAck, .payload = bytes_of(33)}, Eth{.tags = {{0x8100, 7}}}),
        frame(Ipv4{.options = {1, 1, 1, 0}}, Udp{.payload = bytes_of(12)}),
        frame(Ipv4{}, Udp{.checksum = 0}, Eth{.pad_to = 60}),
        frame(Ipv4{}, Icmp{.payload = bytes_of(56)}),
        frame(Ipv4{}, Icmp{.type = 3, .code = 4, .payload = inner4}),
        frame(Ipv4{}, Icmp{.type = 11, .payload = datagram(Ipv4{}, Icmp{})}),
        frame(Ipv4{}, Sctp{.chunks = bytes_of(20)}),
        frame(Ipv4{}, Raw{47, bytes_of(30)}),
        frame(Ipv4{.more_fragments = true}, Raw{17, bytes_of(64)}),
        frame(Ipv6{}, Tcp{.options = syn_options}),
        frame(Ipv6{.ext = {hop_by_hop(), routing(4, 0), fragment(0, false), destination_options()}},
              Tcp{.flags = kAck | kPsh, .payload = bytes_of(7)}),
        frame(Ipv6{.ext = {fragment(0, true)}}, Raw{17, bytes_of(64)}),
        frame(Ipv6{}, Udp{.payload = bytes_of(3)}, Eth{.tags = {{0x88a8, 5}, {0x8100, 6}}}),
        frame(Ipv6{}, Icmp{.type = 128, .payload = bytes_of(20)}),
        frame(Ipv6{}, Icmp{.type = 2, .payload = inner6}),
        frame(Ipv6{.ext = {destination_options()}}, Raw{59, bytes_of(4)}),
        frame(Ipv6{.ext = {hop_by_hop({5, 2, 0, 0, 1, 0})}}, Raw{50, bytes_of(40)}),
        frame(Arp{}, Eth{.pad_to = 60}),
        frame(38, bytes_of(38), Eth{.pad_to = 60}),
        frame(nd_packet("fe80::1", "ff02::1:ff00:80"), neighbour_solicitation("fe80::80", link_layer_option(1))),
        frame(nd_packet("fe80::1", "ff02::1"),
              router_advertisement(link_layer_option(1) + Bytes{5, 1, 0, 0, 0, 0, 5, 220})),
    };
}

/// Parses `bytes` from a block that ends where they end, and checks what came out.
void parse_at_the_edge(const Bytes& bytes, std::size_t contiguous, dp::L4Checksum device) {
    const auto block = std::make_unique<std::uint8_t[]>(contiguous);
    std::copy_n(bytes.begin(), contiguous, block.get());
    const dp::Packet packet{.data = block.get(),
                            .contiguous_bytes = static_cast<std::uint32_t>(contiguous),
                            .total_bytes = static_cast<std::uint32_t>(bytes.size()),
                            .l4_checksum = device};
    dp::ParsedPacket p;
    if (dp::parse(packet, p)) return;

    if (p.packet_class == dp::PacketClass::ip || p.packet_class == dp::PacketClass::nd) {
        ASSERT_LE(p.l3_offset, p.l4_offset);
        ASSERT_LE(p.l4_offset, p.payload_offset);
        ASSERT_LE(std::size_t{p.payload_offset} + p.payload_bytes, std::size_t{p.l4_offset} + p.l4_bytes);
        ASSERT_LE(std::size_t{p.l4_offset} + p.l4_bytes, bytes.size());
        ASSERT_LE(p.payload_offset, contiguous) << "headers are contiguous";
        ASSERT_NE(p.src, p.dst);
    }
    if (dp::is_icmp_error(p)) {
        dp::InnerTuple inner;
        dp::parse_inner(packet, p, inner);
    }
    if (!dp::may_answer(packet, p)) return;
    const std::uint32_t answer_bytes = dp::answer_bytes(packet, p);
    ASSERT_LE(answer_bytes, 14U + 8 + 1280);
    const auto room = std::make_unique<std::uint8_t[]>(answer_bytes);
    dp::Packet answer{.data = room.get(), .contiguous_bytes = answer_bytes};
    dp::build_answer(packet, p, answer);
    dp::ParsedPacket parsed_answer;
    ASSERT_EQ(dp::parse(answer, parsed_answer), std::nullopt) << "we say nothing that we would not let pass";
    ASSERT_FALSE(dp::may_answer(answer, parsed_answer));
}

TEST(ParseRandom, SeedFramesAreWhatTheyClaim) {
    std::size_t passed = 0;
    for (const Bytes& seed : seed_frames()) passed += reason_of(seed) == "pass" ? 1U : 0U;
    EXPECT_EQ(passed, seed_frames().size() - 2) << "all but the two fragments";
}

TEST(ParseRandom, EveryTruncationOfEveryFrameIsSafe) {
    for (const Bytes& seed : seed_frames()) {
        for (std::size_t bytes = 0; bytes <= seed.size(); ++bytes) {
            for (const auto device : {dp::L4Checksum::unknown, dp::L4Checksum::good}) {
                ASSERT_NO_FATAL_FAILURE(parse_at_the_edge(first(seed, bytes), bytes, device));
                ASSERT_NO_FATAL_FAILURE(parse_at_the_edge(seed, bytes, device));  // cut by segments, not by length
            }
        }
    }
}

TEST(ParseRandom, MutatedFramesAreSafe) {
    const unsigned seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random{seed};
    const std::vector<Bytes> frames = seed_frames();
    for (int round = 0; round < 200'000; ++round) {
        Bytes bytes = frames[random() % frames.size()];
        const unsigned changes = 1 + random() % 4;
        for (unsigned i = 0; i < changes; ++i) {
            // Most of what can go wrong stands in the first 120 bytes; 0, 1 and 255 are the interesting lengths.
            std::uint8_t& byte = bytes[12 + random() % std::min<std::size_t>(bytes.size() - 12, 120)];
            const std::uint8_t values[] = {0, 1, 0xff, static_cast<std::uint8_t>(byte + 1),
                                           static_cast<std::uint8_t>(random())};
            byte = values[random() % std::size(values)];
        }
        // Half of them with a right IPv4 header checksum, or nothing behind it would ever be reached.
        if (bytes.size() >= 34 && bytes[12] == 8 && bytes[13] == 0 && random() % 2 == 0) {
            const std::size_t header = std::min<std::size_t>((bytes[14] & 0x0fU) * 4, bytes.size() - 14);
            bytes[24] = bytes[25] = 0;
            const std::uint16_t sum =
                internet_checksum({bytes.begin() + 14, bytes.begin() + 14 + static_cast<std::ptrdiff_t>(header)});
            bytes[24] = static_cast<std::uint8_t>(sum >> 8);
            bytes[25] = static_cast<std::uint8_t>(sum);
        }
        const std::size_t contiguous = random() % 4 == 0 ? random() % (bytes.size() + 1) : bytes.size();
        const auto device = random() % 4 == 0 ? dp::L4Checksum::unknown : dp::L4Checksum::good;
        ASSERT_NO_FATAL_FAILURE(parse_at_the_edge(bytes, contiguous, device)) << "round " << round;
    }
}

TEST(ParseRandom, RandomBytesAreSafe) {
    const unsigned seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random{seed};
    constexpr std::uint16_t kEthertypes[] = {0x0800, 0x86dd, 0x0806, 0x8100, 0x88a8, 0x0026};
    for (int round = 0; round < 100'000; ++round) {
        Bytes bytes(random() % 200);
        for (auto& b : bytes) b = static_cast<std::uint8_t>(random());
        if (bytes.size() > 14) {
            const std::uint16_t ethertype = kEthertypes[random() % std::size(kEthertypes)];
            bytes[12] = static_cast<std::uint8_t>(ethertype >> 8);
            bytes[13] = static_cast<std::uint8_t>(ethertype);
            if (ethertype == 0x0800) bytes[14] = static_cast<std::uint8_t>(0x45 + random() % 11);
            if (ethertype == 0x86dd) bytes[14] = 0x60;
        }
        ASSERT_NO_FATAL_FAILURE(parse_at_the_edge(bytes, bytes.size(), dp::L4Checksum::good)) << "round " << round;
    }
}

}  // namespace
}  // namespace sluice::test
