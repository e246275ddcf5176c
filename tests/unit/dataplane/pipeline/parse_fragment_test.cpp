// One fragment by itself, and the datagram when all are there. How fragments fit together: fragment_store_test.
#include <gtest/gtest.h>

#include <numeric>
#include <span>

#include "dataplane/pipeline/answer.hpp"
#include "tests/harness/fragments.hpp"
#include "tests/unit/dataplane/pipeline/parse_case.hpp"

namespace sluice::test {
namespace {

Bytes counting(std::size_t count) {
    Bytes out(count);
    std::iota(out.begin(), out.end(), std::uint8_t{1});
    return out;
}

/// What remains of `whole` after parse_reassembled, from pieces that begin at `at`.
struct Reassembled {
    std::optional<abi::DropReason> reason;
    dp::ParsedPacket p;
};
Reassembled reassembled(const Bytes& whole, const std::vector<std::size_t>& at) {
    std::vector<Bytes> frames = cut(whole, at);
    std::vector<std::span<const std::uint8_t>> data;
    for (Bytes& f : frames) {
        dp::ParsedPacket p;
        EXPECT_EQ(dp::parse(as_packet(f), p), std::nullopt);
        EXPECT_TRUE(p.is_fragment);
        data.push_back(std::span<const std::uint8_t>{f}.subspan(p.fragment.data_offset, p.fragment.data_bytes));
    }
    Reassembled out;
    out.reason =
        dp::parse_reassembled(as_packet(frames[0]), data, static_cast<std::uint32_t>(data_of(whole).size()), out.p);
    return out;
}

TEST(ParseFragment, ReadsWhatReassemblyNeeds) {
    const Bytes whole = frame(Ipv4{}, Udp{.payload = counting(100)});
    const Parsed first = parse_frame(piece(whole, 0, 64));
    EXPECT_EQ(first.reason, std::nullopt);
    EXPECT_TRUE(first.p.is_fragment);
    EXPECT_EQ(first.p.fragment.id, kFragmentId);
    EXPECT_EQ(first.p.fragment.offset_bytes, 0U);
    EXPECT_EQ(first.p.fragment.data_offset, 34U);
    EXPECT_EQ(first.p.fragment.data_bytes, 64U);
    EXPECT_TRUE(first.p.fragment.more);
    EXPECT_EQ(first.p.dport.to_host(), 53) << "the log line names the ports where they are known";

    const Parsed last = parse_frame(piece(frame(Ipv6{}, Udp{.payload = counting(100)}), 64));
    EXPECT_EQ(last.reason, std::nullopt);
    EXPECT_EQ(last.p.fragment.id, kFragmentId);
    EXPECT_EQ(last.p.fragment.offset_bytes, 64U);
    EXPECT_EQ(last.p.fragment.data_offset, 14U + 40 + 8);
    EXPECT_EQ(last.p.fragment.data_bytes, 44U);
    EXPECT_FALSE(last.p.fragment.more);
    EXPECT_FALSE(parse_frame(whole).p.is_fragment);
}

// RFC 1858 and RFC 3128: what decides about a datagram must not stand in two fragments, or be written twice.
TEST(ParseFragment, F9_TransportHeadersThatAreNotWholeInTheFirstFragmentAre_frag_tiny) {
    const Bytes tcp = frame(Ipv4{}, Tcp{.options = {2, 4, 5, 180}, .payload = counting(100)});
    EXPECT_EQ(reason_of(piece(tcp, 0, 8)), "frag_tiny");
    EXPECT_EQ(reason_of(piece(tcp, 0, 16)), "frag_tiny") << "RFC 1858 would let this pass; the options decide too";
    EXPECT_EQ(reason_of(piece(tcp, 0, 24)), "pass");
    EXPECT_EQ(reason_of(piece(tcp, 8, 40)), "frag_tiny") << "offset 1 (RFC 3128)";
    EXPECT_EQ(reason_of(piece(tcp, 16, 40)), "frag_tiny");
    EXPECT_EQ(reason_of(piece(tcp, 24, 40)), "pass");
    const Bytes sctp = frame(Ipv4{}, Sctp{.tag = 7, .chunks = sctp_data(24)});
    EXPECT_EQ(reason_of(piece(sctp, 0, 8)), "frag_tiny");
    EXPECT_EQ(reason_of(piece(sctp, 8, 8)), "frag_tiny");
    EXPECT_EQ(reason_of(piece(sctp, 0, 16)), "pass");
    for (const Bytes& short_header : {frame(Ipv4{}, Udp{.payload = counting(40)}), frame(Ipv6{}, Icmp{.type = 128})}) {
        EXPECT_EQ(reason_of(piece_with(short_header, 0, bytes_of(8), true)), "pass");
        EXPECT_EQ(reason_of(piece_with(short_header, 8, bytes_of(8), true)), "pass");
    }
    const Bytes tcp6 = frame(Ipv6{}, Tcp{.payload = counting(100)});
    EXPECT_EQ(reason_of(piece(tcp6, 0, 16)), "frag_tiny");
    EXPECT_EQ(reason_of(piece(tcp6, 8, 40)), "frag_tiny");
    EXPECT_EQ(reason_of(piece(tcp6, 0, 24)), "pass");
}

// RFC 7112.
TEST(ParseFragment, F12_HeaderChainsThatGoOnInTheSecondFragmentAre_frag_chain) {
    const Bytes whole = frame(Ipv6{.ext = {destination_options(Bytes{1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})}},
                              Udp{.payload = counting(40)});
    EXPECT_EQ(reason_of(piece(whole, 0, 8)), "frag_chain") << "inside an extension header";
    EXPECT_EQ(reason_of(piece(whole, 0, 16)), "frag_chain") << "the transport header is all in the second";
    EXPECT_EQ(reason_of(piece(whole, 0, 24)), "pass");
    EXPECT_EQ(reason_of(piece(whole, 24, 8)), "pass");
    EXPECT_EQ(reason_of(piece(frame(Ipv6{.ext = {destination_options()}}, Tcp{.payload = counting(40)}), 0, 24)),
              "frag_tiny")
        << "16 bytes of TCP";
}

TEST(ParseFragment, FaultsOfAFirstFragmentAreKnownToBeAFragments) {
    const Bytes whole = frame(Ipv6{.ext = {routing(0, 1, bytes_of(20, 0))}}, Udp{.payload = counting(40)});
    const Parsed r = parse_frame(piece(whole, 0, 40));
    EXPECT_EQ(r.reason, abi::DropReason::v6_ext_deny);
    EXPECT_TRUE(r.p.is_fragment);
    EXPECT_EQ(r.p.fragment.id, kFragmentId);
}

TEST(ParseFragment, ADatagramIsWhatItWasBeforeItWasCut) {
    const auto compare = [](const Bytes& whole, const std::vector<std::size_t>& at) {
        const Parsed uncut = parse_frame(whole);
        const Reassembled r = reassembled(whole, at);
        EXPECT_EQ(r.reason, uncut.reason);
        EXPECT_FALSE(r.p.is_fragment);
        EXPECT_EQ(r.p.src, uncut.p.src);
        EXPECT_EQ(r.p.dst, uncut.p.dst);
        EXPECT_EQ(r.p.proto, uncut.p.proto);
        EXPECT_EQ(r.p.sport, uncut.p.sport);
        EXPECT_EQ(r.p.dport, uncut.p.dport);
        EXPECT_EQ(r.p.l4_bytes, uncut.p.l4_bytes);
        EXPECT_EQ(r.p.payload_bytes, uncut.p.payload_bytes);
        EXPECT_EQ(r.p.checksum_known_good, uncut.p.checksum_known_good);
        return r.p;
    };
    EXPECT_EQ(compare(frame(Ipv4{}, Udp{.payload = counting(100)}), {0, 8, 104}).payload_bytes, 100U);
    EXPECT_EQ(compare(frame(Ipv6{}, Udp{.payload = counting(101)}), {0, 64}).payload_bytes, 101U);
    const auto tcp = compare(frame(Ipv4{}, Tcp{.seq = 77, .flags = kAck, .payload = counting(100)}), {0, 32, 64});
    EXPECT_EQ(tcp.tcp.seq, 77U);
    EXPECT_EQ(tcp.tcp.flags, kAck);
    EXPECT_EQ(compare(frame(Ipv6{.ext = {destination_options()}}, Tcp{.payload = counting(50)}), {0, 40}).tcp.seq,
              1000U);
    EXPECT_EQ(compare(frame(Ipv6{}, Icmp{.type = 128, .id = 9, .payload = counting(77)}), {0, 8}).icmp.id, 9U);
    compare(frame(Ipv4{}, Raw{47, counting(60)}), {0, 16});
    EXPECT_FALSE(
        compare(frame(Ipv4{}, Sctp{.tag = 7, .chunks = sctp_data(30) + sctp_data(5)}), {0, 16}).checksum_known_good);
}

TEST(ParseFragment, TheChecksumIsVerifiedOverAllPieces) {
    Bytes whole = frame(Ipv4{}, Udp{.payload = counting(100)});
    whole.back() ^= 1;
    EXPECT_EQ(reassembled(whole, {0, 64}).reason, abi::DropReason::bad_l4_csum) << "wrong in the last piece";
    whole.back() ^= 1;
    whole[50] ^= 1;
    EXPECT_EQ(reassembled(whole, {0, 64}).reason, abi::DropReason::bad_l4_csum) << "wrong in the first";
    const Bytes wrong =
        frame(Ipv6{.ext = {destination_options()}}, Tcp{.payload = counting(9), .checksum = std::uint16_t{1}});
    EXPECT_EQ(reassembled(wrong, {0, 32}).reason, abi::DropReason::bad_l4_csum);
    // What stands behind the UDP length is in no checksum (RFC 9868).
    Bytes surplus = frame(Ipv4{}, Udp{.payload = counting(40)});
    const Bytes udp = data_of(surplus) + bytes_of(24);
    surplus = frame(Ipv4{}, Raw{17, udp});
    EXPECT_EQ(reassembled(surplus, {0, 16, 56}).reason, std::nullopt);
}

TEST(ParseFragment, LengthsAreTheWholeDatagrams) {
    EXPECT_EQ(reassembled(frame(Ipv4{}, Udp{.payload = counting(40), .length = std::uint16_t{49}}), {0, 16}).reason,
              abi::DropReason::udp_malformed);
    EXPECT_EQ(reassembled(frame(Ipv6{}, Icmp{.type = 135, .payload = counting(40)}), {0, 16}).reason,
              abi::DropReason::nd_hoplimit);
    EXPECT_EQ(
        reassembled(frame(nd_packet("fe80::1", "ff02::1:ff00:80"), neighbour_solicitation("2001:db8:51::80")), {0, 16})
            .reason,
        abi::DropReason::nd_reject)
        << "RFC 6980";
}

// The headers that count are the first fragment's: with more options in front, the datagram may be too long after all.
TEST(ParseFragment, F10_LengthIsJudgedAgainWithTheFirstFragmentsHeaders) {
    Bytes first = piece(frame(Ipv4{.options = {1, 1, 1, 0}}, Udp{.payload = counting(60)}), 0, 32);
    dp::ParsedPacket p;
    EXPECT_EQ(dp::parse_reassembled(as_packet(first), {}, 65'535 - 24 + 1, p), abi::DropReason::frag_toolong);
    EXPECT_NE(dp::parse_reassembled(as_packet(first), {}, 65'535 - 24, p), abi::DropReason::frag_toolong);
    first = piece(frame(Ipv6{}, Udp{.payload = counting(60)}), 0, 32);
    EXPECT_EQ(dp::parse_reassembled(as_packet(first), {}, 65'536, p), abi::DropReason::frag_toolong);
    EXPECT_NE(dp::parse_reassembled(as_packet(first), {}, 65'535, p), abi::DropReason::frag_toolong);
}

TEST(ParseFragment, AFragmentIsNeverAnswered) {
    Bytes bytes = piece(frame(Ipv4{}, Udp{.payload = counting(60)}), 0, 32);
    dp::ParsedPacket p;
    ASSERT_EQ(dp::parse(as_packet(bytes), p), std::nullopt);
    EXPECT_FALSE(dp::may_answer(as_packet(bytes), p));
}

}  // namespace
}  // namespace sluice::test
