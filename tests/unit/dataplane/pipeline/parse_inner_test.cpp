#include "tests/unit/dataplane/pipeline/parse_case.hpp"

namespace sluice::test {
namespace {

struct Inner {
    bool valid{};
    dp::InnerTuple tuple;
};

/// Wraps `quote` into an ICMP error from a third host and parses both.
Inner inner_of(const Bytes& quote, bool v4, const Eth& eth = {}) {
    Bytes bytes =
        v4 ? frame(Ipv4{.src = "203.0.113.1"}, Icmp{.type = 3, .code = 4, .id = 0, .seq = 1400, .payload = quote}, eth)
           : frame(Ipv6{.src = "2001:db8:ffff::1"}, Icmp{.type = 2, .id = 0, .seq = 1400, .payload = quote}, eth);
    const dp::Packet packet = as_packet(bytes);
    dp::ParsedPacket outer;
    EXPECT_EQ(dp::parse(packet, outer), std::nullopt);
    EXPECT_TRUE(dp::is_icmp_error(outer));
    Inner inner;
    inner.valid = dp::parse_inner(packet, outer, inner.tuple);
    return inner;
}

TEST(ParseInner, ReadsTheQuotedTuple) {
    const Inner v4 =
        inner_of(datagram(Ipv4{.src = "198.51.100.80", .dst = "192.0.2.1"}, Tcp{.sport = 443, .dport = 50000}), true);
    ASSERT_TRUE(v4.valid);
    EXPECT_EQ(v4.tuple.family, abi::IpFamily::v4);
    EXPECT_EQ(v4.tuple.src, address("198.51.100.80"));
    EXPECT_EQ(v4.tuple.dst, address("192.0.2.1"));
    EXPECT_EQ(v4.tuple.proto, abi::L4Proto::tcp);
    EXPECT_EQ(v4.tuple.sport.to_host(), 443);
    EXPECT_EQ(v4.tuple.dport.to_host(), 50000);

    const Inner v6 = inner_of(datagram(Ipv6{.ext = {destination_options()}}, Udp{.sport = 53, .dport = 4242}), false);
    ASSERT_TRUE(v6.valid);
    EXPECT_EQ(v6.tuple.src, address("2001:db8:51::7"));
    EXPECT_EQ(v6.tuple.dst, address("2001:db8:51::80"));
    EXPECT_EQ(v6.tuple.proto, abi::L4Proto::udp);
    EXPECT_EQ(v6.tuple.dport.to_host(), 4242);

    const Inner echo = inner_of(datagram(Ipv4{}, Icmp{.type = 8, .id = 99}), true);
    ASSERT_TRUE(echo.valid);
    EXPECT_EQ(echo.tuple.icmp.type, 8);
    EXPECT_EQ(echo.tuple.icmp.id, 99);
    EXPECT_TRUE(inner_of(datagram(Ipv6{}, Icmp{.type = 128, .id = 99}), false).valid);
    EXPECT_TRUE(inner_of(datagram(Ipv4{}, Raw{47, bytes_of(8)}), true).valid);
}

TEST(ParseInner, I6_EightBytesOfTransportAreEnoughAndFewerAreNot) {
    const Bytes v4 = datagram(Ipv4{}, Tcp{.payload = bytes_of(1000)});
    for (std::size_t bytes = 0; bytes < 28; ++bytes) EXPECT_FALSE(inner_of(first(v4, bytes), true).valid) << bytes;
    for (std::size_t bytes = 28; bytes < 100; ++bytes) EXPECT_TRUE(inner_of(first(v4, bytes), true).valid) << bytes;
    const Bytes v6 = datagram(Ipv6{.ext = {destination_options()}}, Tcp{.payload = bytes_of(1000)});
    for (std::size_t bytes = 0; bytes < 56; ++bytes) EXPECT_FALSE(inner_of(first(v6, bytes), false).valid) << bytes;
    for (std::size_t bytes = 56; bytes < 100; ++bytes) EXPECT_TRUE(inner_of(first(v6, bytes), false).valid) << bytes;
    // What only the Ethernet padding would complete is not there.
    EXPECT_FALSE(inner_of(first(v4, 24), true, Eth{.pad_to = 200}).valid);
}

TEST(ParseInner, I6_InnerHeaderLengthPastTheEndIsNotFollowed) {
    EXPECT_FALSE(inner_of(first(datagram(Ipv4{.ihl = 15}, Tcp{}), 28), true).valid);
    EXPECT_FALSE(inner_of(first(datagram(Ipv4{.ihl = 15}, Tcp{.payload = bytes_of(100)}), 67), true).valid);
    EXPECT_TRUE(inner_of(first(datagram(Ipv4{.ihl = 15}, Tcp{.payload = bytes_of(100)}), 68), true).valid);
    for (std::uint8_t ihl = 0; ihl < 5; ++ihl) EXPECT_FALSE(inner_of(datagram(Ipv4{.ihl = ihl}, Tcp{}), true).valid);
    EXPECT_FALSE(inner_of(datagram(Ipv4{.total_bytes = 27}, Tcp{}), true).valid) << "claims 7 bytes of transport";
    EXPECT_FALSE(inner_of(datagram(Ipv4{.version = 6}, Tcp{}), true).valid);
    EXPECT_FALSE(inner_of(datagram(Ipv6{.version = 4}, Tcp{}), false).valid);
    EXPECT_FALSE(inner_of(datagram(Ipv6{.payload_bytes = 7}, Tcp{}), false).valid);
    EXPECT_FALSE(inner_of(datagram(Ipv6{.ext = {destination_options({1, 4, 0, 0, 0, 0}, 9)}}, Tcp{}), false).valid);
}

TEST(ParseInner, ErrorsAboutErrorsAndLaterFragmentsAreRefused) {
    EXPECT_FALSE(inner_of(datagram(Ipv4{}, Icmp{.type = 3, .payload = bytes_of(28)}), true).valid);
    EXPECT_FALSE(inner_of(datagram(Ipv6{}, Icmp{.type = 1, .payload = bytes_of(48)}), false).valid);
    EXPECT_FALSE(inner_of(datagram(Ipv4{.proto = 58}, Icmp{.type = 128}), true).valid);
    EXPECT_FALSE(inner_of(datagram(Ipv4{.fragment_offset = 1480}, Tcp{}), true).valid);
    EXPECT_TRUE(inner_of(datagram(Ipv4{.more_fragments = true}, Tcp{}), true).valid);
    EXPECT_FALSE(inner_of(datagram(Ipv6{.ext = {fragment(1400, true)}}, Tcp{}), false).valid);
    EXPECT_TRUE(inner_of(datagram(Ipv6{.ext = {fragment(0, true)}}, Tcp{}), false).valid);
}

}  // namespace
}  // namespace sluice::test
