#include "dataplane/pipeline/translate.hpp"

#include <random>

#include "tests/harness/seed.hpp"
#include "tests/unit/dataplane/pipeline/parse_case.hpp"
#include "tests/unit/dataplane/pipeline/tcp_reading.hpp"

namespace sluice::test {
namespace {

using dp::Direction;
using dp::FlowProxy;
namespace proxy_flag = dp::proxy_flag;

FlowProxy some_proxy() {
    FlowProxy x;
    x.cookie = 100;
    x.server_isn = 5000;  // what the client sees is 4900 less
    x.ts_shift = 70'000;
    x.client_wscale = 7;
    x.promised_wscale = 7;
    x.server_wscale = 9;
    x.set(proxy_flag::sack | proxy_flag::timestamps | proxy_flag::server_sack | proxy_flag::answered);
    return x;
}

Bytes translated(Bytes frame, const FlowProxy& x, Direction from) {
    const dp::Packet packet = as_packet(frame);
    dp::ParsedPacket p;
    EXPECT_EQ(dp::parse(packet, p), std::nullopt);
    dp::translate(packet, p, x, from);
    return frame;
}

Bytes segment(bool v4, const Tcp& tcp) { return v4 ? frame(Ipv4{}, tcp) : frame(Ipv6{}, tcp); }

TEST(Translate, EachEndReadsTheNumbersThatItKnows) {
    for (const bool v4 : {true, false}) {
        const FlowProxy x = some_proxy();
        const TcpReading to_server =
            read_tcp(translated(segment(v4, {.seq = 2001,
                                             .ack = 150,
                                             .flags = kAck,
                                             .window = 40,
                                             .options = timestamps_option(9, 70'500) + Bytes{1, 1, 5, 18} + big32(200) +
                                                        big32(300) + big32(400) + big32(450),
                                             .payload = bytes_of(77)}),
                                x, Direction::original));
        EXPECT_EQ(to_server.seq, 2001U) << "the client's own numbers stay";
        EXPECT_EQ(to_server.ack, 5050U);
        EXPECT_EQ(to_server.window, 40U);
        EXPECT_EQ(to_server.timestamps, (std::pair{9U, 500U}));
        EXPECT_EQ(to_server.sack, (std::vector{std::pair{5100U, 5200U}, std::pair{5300U, 5350U}}));
        EXPECT_EQ(to_server.payload_bytes, 77U);

        const TcpReading to_client = read_tcp(
            translated(segment(v4, {.seq = 5051,
                                    .ack = 2078,
                                    .flags = kAck | kPsh,
                                    .window = 40,
                                    .options = timestamps_option(501, 9) + Bytes{1, 1, 5, 10} + big32(7) + big32(8),
                                    .payload = bytes_of(3)}),
                       x, Direction::reply));
        EXPECT_EQ(to_client.seq, 151U);
        EXPECT_EQ(to_client.ack, 2078U);
        EXPECT_EQ(to_client.window, 160U) << "40 units of 512 are 160 of 128";
        EXPECT_EQ(to_client.timestamps, (std::pair{70'501U, 9U}));
        EXPECT_EQ(to_client.sack, (std::vector{std::pair{7U, 8U}})) << "what the server misses is the client's";
    }
}

TEST(Translate, AServerWithoutSackOrScalesSeesNeither) {
    FlowProxy x = some_proxy();
    x.flags = proxy_flag::sack | proxy_flag::answered;
    x.server_wscale = dp::kNoScale;
    const TcpReading r = read_tcp(translated(
        segment(true,
                {.ack = 150, .flags = kAck, .window = 40, .options = Bytes{1, 1, 5, 10} + big32(200) + big32(300)}),
        x, Direction::original));
    EXPECT_TRUE(r.sack.empty());
    EXPECT_EQ(r.window, 40U << 7);
    EXPECT_EQ(
        read_tcp(translated(segment(true, {.seq = 5001, .flags = kAck, .window = 65'535}), x, Direction::reply)).window,
        65'535U >> 7);
}

TEST(Translate, ASynOfTheClientKeepsItsWindowAndItsStamp) {
    const TcpReading r = read_tcp(
        translated(segment(true, {.seq = 7, .flags = kSyn, .window = 64'240, .options = timestamps_option(3, 0)}),
                   some_proxy(), Direction::original));
    EXPECT_EQ(r.seq, 7U);
    EXPECT_EQ(r.window, 64'240U);
    EXPECT_EQ(r.timestamps, (std::pair{3U, 0U}));
}

// Options at any place, even or odd; whatever the numbers are: there and back again is the same frame, and each
// checksum on the way is right. Frames of all lengths, odd ones too.
TEST(Translate, ThereAndBackIsTheSameFrame) {
    const std::uint64_t s = seed_of_this_run();
    SCOPED_TRACE("SEED=" + std::to_string(s));
    std::mt19937_64 random{s};
    const auto any32 = [&] { return static_cast<std::uint32_t>(random()); };
    for (int n = 0; n < 20'000; ++n) {
        FlowProxy x = some_proxy();
        x.cookie = any32();
        x.server_isn = any32();
        x.ts_shift = any32();
        x.server_wscale = x.promised_wscale = 7;  // windows round; without that they come back too
        Bytes options;
        for (std::uint64_t k = random() % 4; k-- != 0;) options = options + Bytes{1};
        if (random() % 2 == 0) options = options + Bytes{8, 10} + big32(any32()) + big32(any32());
        if (random() % 2 == 0) options = options + Bytes{1} + Bytes{5, 10} + big32(any32()) + big32(any32());
        const Tcp tcp{.seq = any32(),
                      .ack = any32(),
                      .flags = kAck,
                      .window = static_cast<std::uint16_t>(random()),
                      .options = options,
                      .payload = bytes_of(random() % 90)};
        const bool v4 = random() % 2 == 0;
        const Direction from = random() % 2 == 0 ? Direction::original : Direction::reply;
        const Bytes there = translated(segment(v4, tcp), x, from);
        const TcpReading r = read_tcp(there);
        ASSERT_FALSE(testing::Test::HasFailure());
        ASSERT_EQ(r.seq - tcp.seq, from == Direction::reply ? x.cookie - x.server_isn : 0);
        ASSERT_EQ(tcp.ack - r.ack, from == Direction::original ? x.cookie - x.server_isn : 0);
        FlowProxy back = x;
        std::swap(back.cookie, back.server_isn);
        back.ts_shift = 0U - x.ts_shift;
        const Bytes again = translated(there, back, from);
        ASSERT_EQ(read_tcp(again).window, tcp.window);
        ASSERT_EQ(again, segment(v4, tcp));
    }
}

TEST(Translate, OptionsThatMakeNoSenseEndTheSearch) {
    const FlowProxy x = some_proxy();
    for (const Bytes& options : {Bytes{8, 200, 1, 1}, Bytes{8, 0, 1, 1}, Bytes{8, 1, 1, 1}, Bytes{5, 40, 1, 1},
                                 Bytes{0, 8, 10, 1}, Bytes{8, 4, 9, 9}, Bytes{5, 3, 9, 1}, Bytes{1, 1, 1, 8}}) {
        const Bytes f = translated(segment(true, {.seq = 1, .ack = 150, .flags = kAck, .options = options}), x,
                                   Direction::original);
        EXPECT_TRUE(std::equal(options.begin(), options.end(), f.begin() + 54)) << "left as they are";
        EXPECT_EQ(Bytes(f.begin() + 42, f.begin() + 46), big32(5050));
    }
}

/// An ICMP error that quotes `quoted` bytes of a segment; translated.
Bytes translated_error(const Bytes& quote, const FlowProxy& x, Direction sender, bool v4) {
    Bytes f =
        v4 ? frame(Ipv4{.src = "198.51.100.1", .dst = sender == Direction::original ? "198.51.100.7" : "198.51.100.80"},
                   Icmp{.type = 3, .code = 1, .id = 0, .seq = 0, .payload = quote})
           : frame(Ipv6{.src = "2001:db8:51::1",
                        .dst = sender == Direction::original ? "2001:db8:51::7" : "2001:db8:51::80"},
                   Icmp{.type = 1, .code = 3, .id = 0, .seq = 0, .payload = quote});
    const dp::Packet packet = as_packet(f);
    dp::ParsedPacket p;
    EXPECT_EQ(dp::parse(packet, p), std::nullopt);
    dp::translate_quote(packet, p, x, sender);
    dp::ParsedPacket again;
    EXPECT_EQ(dp::parse(packet, again), std::nullopt) << "its checksum holds";
    return f;
}

TEST(Translate, AnErrorQuotesWhatItsReceiverHasSent) {
    const FlowProxy x = some_proxy();
    for (const bool v4 : {true, false}) {
        const Tcp from_client{.seq = 2001, .ack = 5050, .flags = kAck};  // as the server saw it
        const Tcp from_server{.sport = 443, .dport = 40'000, .seq = 151, .ack = 2078, .flags = kAck};
        const std::size_t ip = v4 ? 20 : 40, at = 14 + ip + 8 + ip;
        for (const std::size_t cut : {8U, 12U, 17U, 18U, 20U}) {
            const Bytes to_client =
                translated_error(first(v4 ? datagram(Ipv4{}, from_client) : datagram(Ipv6{}, from_client), ip + cut), x,
                                 Direction::original, v4);
            const Bytes expected_seq = big32(2001), expected_ack = big32(cut >= 12 ? 150 : 0);
            EXPECT_TRUE(
                std::equal(expected_seq.begin(), expected_seq.end(), to_client.begin() + static_cast<long>(at) + 4));
            if (cut >= 12) {
                EXPECT_TRUE(std::equal(expected_ack.begin(), expected_ack.end(),
                                       to_client.begin() + static_cast<long>(at) + 8));
            }
            const Bytes whole = v4 ? datagram(Ipv4{.src = "198.51.100.80", .dst = "198.51.100.7"}, from_server)
                                   : datagram(Ipv6{.src = "2001:db8:51::80", .dst = "2001:db8:51::7"}, from_server);
            const Bytes to_server = translated_error(first(whole, ip + cut), x, Direction::reply, v4);
            const Bytes server_seq = big32(5051);
            EXPECT_TRUE(
                std::equal(server_seq.begin(), server_seq.end(), to_server.begin() + static_cast<long>(at) + 4));
            if (cut < 20) continue;
            // The quoted checksum goes with it: what the server gets back is what it sent.
            Bytes sent = v4 ? datagram(Ipv4{.src = "198.51.100.80", .dst = "198.51.100.7"},
                                       Tcp{.sport = 443, .dport = 40'000, .seq = 5051, .ack = 2078, .flags = kAck})
                            : datagram(Ipv6{.src = "2001:db8:51::80", .dst = "2001:db8:51::7"},
                                       Tcp{.sport = 443, .dport = 40'000, .seq = 5051, .ack = 2078, .flags = kAck});
            EXPECT_TRUE(std::equal(sent.begin(), sent.begin() + static_cast<long>(ip + 20),
                                   to_server.begin() + static_cast<long>(at - ip)));
        }
    }
}

}  // namespace
}  // namespace sluice::test
