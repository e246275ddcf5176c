// Fragments through the whole worker: what leaves, in which order, what is counted, what is answered.
#include <algorithm>
#include <random>

#include <gtest/gtest.h>

#include "tests/harness/fragment_wire.hpp"
#include "tests/harness/fragments.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;
using abi::DropReason;

const Ipv4 kOut4{.dont_fragment = false};
const Ipv4 kBack4{.src = "198.51.100.80", .dst = "198.51.100.7", .dont_fragment = false};
const Ipv6 kOut6{};
const Ipv6 kBack6{.src = "2001:db8:51::80", .dst = "2001:db8:51::7"};

cp::Policy policy(cp::Action others = cp::Action::deny) {
    PolicyBuilder p;
    p.zone("outside", {"p0"}).zone("inside", {"p1"});
    p.rule({.id = "open",
            .from = {"outside"},
            .to = {"inside"},
            .service = {"tcp/443", "udp/53", "icmp", "icmp6/128"},
            .action = cp::Action::allow});
    p.rule({.id = "closed",
            .from = {"outside"},
            .to = {"inside"},
            .service = {"tcp/22", "udp/22"},
            .action = cp::Action::reject});
    p.rule({.id = "others", .from = {"outside"}, .to = {"inside"}, .action = others});
    return p.build();
}

Bytes noise(std::size_t count) {
    std::mt19937 random{static_cast<std::uint32_t>(count)};
    Bytes out(count);
    for (auto& b : out) b = static_cast<std::uint8_t>(random());
    return out;
}

class Wire : public FragmentWire {
public:
    explicit Wire(const HarnessOptions& options = {}) : FragmentWire{options} { h.use(policy()); }
};

std::vector<Bytes> datagrams(std::size_t payload_bytes) {
    return {frame(kOut4, Udp{.payload = noise(payload_bytes)}), frame(kOut6, Udp{.payload = noise(payload_bytes)})};
}

TEST(Reassemble, F6_InOrderAndReversedTheyLeaveAsTheyCame) {
    for (const Bytes& whole : datagrams(3000)) {
        Wire w;
        std::vector<Bytes> pieces = cut(whole, {0, 1480, 2960});
        EXPECT_EQ(w.give_all(pieces), "sent x 3");
        EXPECT_EQ(w.left, pieces);
        std::reverse(pieces.begin(), pieces.end());
        EXPECT_EQ(w.give_all(pieces), "sent x 3");
        EXPECT_EQ(w.left, pieces);
        EXPECT_EQ(w.h.counters().frag_reassembled.read(), 2U);
        EXPECT_EQ(w.h.counters().frag_held_bytes.read(), 0U);
        EXPECT_EQ(w.h.flows(), 1U);
        EXPECT_EQ(w.h.rule("open").hits.read(), 1U);
        EXPECT_EQ(w.h.rule("open").packets.read(), 2U) << "a datagram is one packet of its rule";
        std::uint64_t bytes = 0;
        for (const Bytes& p : pieces) bytes += p.size();
        EXPECT_EQ(w.h.rule("open").bytes.read(), 2 * bytes) << "with the bytes of all its frames";
    }
}

/// RFC 791: the protocol is part of what names a datagram.
TEST(Reassemble, OneIdentificationUnderTwoProtocolsIsTwoDatagrams) {
    Wire w;
    const auto udp = cut(frame(kOut4, Udp{.payload = noise(3000)}), {0, 1480});
    const auto tcp = cut(frame(kOut4, Tcp{.flags = kSyn, .payload = noise(2988)}), {0, 1480});
    EXPECT_EQ(w.give(udp[0]), "held");
    EXPECT_EQ(w.give(tcp[1]), "held");
    EXPECT_EQ(w.give(udp[1]), "sent x 2");
    EXPECT_EQ(w.left, udp);
}

TEST(Reassemble, F6_64InRandomOrder) {
    std::mt19937 random{64};
    for (const Bytes& whole : datagrams(64 * 100)) {
        Wire w;
        std::vector<std::size_t> at;
        for (std::size_t i = 0; i < 64; ++i) at.push_back(i * 96);
        std::vector<Bytes> pieces = cut(whole, at);
        std::shuffle(pieces.begin(), pieces.end(), random);
        EXPECT_EQ(w.give_all(pieces), "sent x 64");
        EXPECT_EQ(w.left, pieces);
    }
}

TEST(Reassemble, F6_AllOfADatagramInOneBurstAmongOthers) {
    Wire w;
    const std::vector<Bytes> pieces = cut(frame(kOut4, Udp{.payload = noise(100)}), {0, 16, 64});
    const Bytes before = frame(kOut4, Udp{.sport = 1}), after = frame(kOut4, Udp{.sport = 2});
    const auto out = w.h.send({{0, pieces[1]}, {0, before}, {0, pieces[2]}, {0, pieces[0]}, {0, after}});
    std::vector<Bytes> left;
    for (const Output& o : out) left.push_back(o.bytes);
    EXPECT_EQ(left, (std::vector<Bytes>{before, pieces[1], pieces[2], pieces[0], after}));
}

TEST(Reassemble, F6_D4_AByteExactCopyIsConsumedAndTheDatagramPasses) {
    for (const Bytes& whole : datagrams(3000)) {
        Wire w;
        const std::vector<Bytes> pieces = cut(whole, {0, 1480, 2960});
        EXPECT_EQ(w.give(pieces[2]), "held");
        EXPECT_EQ(w.give(pieces[2]), "consumed");
        EXPECT_EQ(w.give(pieces[0]), "held");
        EXPECT_EQ(w.give(pieces[0]), "consumed");
        Bytes other_ttl = pieces[0];
        if (other_ttl[12] == 0x86) {
            other_ttl[14 + 7] -= 1;  // came another way
            EXPECT_EQ(w.give(other_ttl), "consumed");
        }
        EXPECT_EQ(w.give(pieces[1]), "sent x 3");
        EXPECT_EQ(w.left, (std::vector<Bytes>{pieces[2], pieces[0], pieces[1]}));
        EXPECT_EQ(w.h.counters().frag_duplicates.read(), whole[12] == 0x86 ? 3U : 2U);
    }
}

TEST(Reassemble, F7_OverlapsEndTheDatagramAndLaterPieces) {
    for (const Bytes& whole : datagrams(200)) {
        Wire w;
        EXPECT_EQ(w.give(piece(whole, 0, 64)), "held");
        EXPECT_EQ(w.give(piece(whole, 128)), "held");
        EXPECT_EQ(w.give(piece(whole, 56, 16)), "frag_overlap x 3");
        EXPECT_EQ(w.give(piece(whole, 64, 64)), "frag_overlap x 1") << "what was missing";
        EXPECT_EQ(w.give(piece(whole, 0, 64)), "frag_overlap x 1");
        EXPECT_EQ(w.give(piece(whole, 0, 64, kFragmentId + 1)), "held") << "another datagram";
        EXPECT_EQ(w.held(), 1U);
    }
}

TEST(Reassemble, F7_TeardropAndSameRangeWithOtherBytes) {
    for (const Bytes& whole : datagrams(200)) {
        Wire w;
        EXPECT_EQ(w.give(piece(whole, 0, 40, 1)), "held");
        EXPECT_EQ(w.give(piece_with(whole, 24, bytes_of(4), false, 1)), "frag_overlap x 2");
        EXPECT_EQ(w.give(piece(whole, 0, 40, 2)), "held");
        EXPECT_EQ(w.give(piece_with(whole, 0, bytes_of(40), true, 2)), "frag_overlap x 2");
    }
}

TEST(Reassemble, F9_ATinyFirstFragmentTakesItsDatagramWithIt) {
    for (const Bytes& whole : {frame(kOut4, Tcp{.payload = noise(100)}), frame(kOut6, Tcp{.payload = noise(100)})}) {
        Wire w;
        EXPECT_EQ(w.give(piece(whole, 24)), "held");
        EXPECT_EQ(w.give(piece(whole, 0, 8)), "frag_tiny x 2");
        EXPECT_EQ(w.give(piece(whole, 8, 16)), "frag_tiny x 1");
        EXPECT_EQ(w.give(piece(whole, 24)), "frag_tiny x 1") << "remembered";
        EXPECT_EQ(w.h.flows(), 0U);
    }
}

TEST(Reassemble, F9_ANonFirstAloneEndsInTime) {
    for (const bool v6 : {false, true}) {
        Wire w;
        const auto seconds = std::chrono::seconds{v6 ? 60 : 30};
        const Bytes whole = datagrams(200)[v6 ? 1 : 0];
        EXPECT_EQ(w.give(piece(whole, 64, 64)), "held");
        w.h.advance(seconds - 1s);
        EXPECT_EQ(w.give(piece(whole, 128)), "held");
        EXPECT_EQ(w.h.drops(0, DropReason::frag_timeout), 0U);
        (void)w.h.events();
        w.h.advance(2s);
        EXPECT_EQ(w.h.drops(0, DropReason::frag_timeout), 2U) << "each of them, and the second is not given more time";
        EXPECT_EQ(w.held(), 0U);
        const auto events = w.h.events();
        ASSERT_EQ(events.size(), 1U) << "one line for the datagram";
        EXPECT_EQ(events[0].drop, DropReason::frag_timeout);
        EXPECT_EQ(events[0].packets[0], 2U);
        EXPECT_EQ(events[0].src, address(v6 ? "2001:db8:51::7" : "198.51.100.7"));
    }
}

TEST(Reassemble, F10_F11_F12_AFaultyPieceTakesItsDatagramWithIt) {
    for (const Bytes& whole : datagrams(200)) {
        Wire w;
        EXPECT_EQ(w.give(piece(whole, 0, 64, 1)), "held");
        EXPECT_EQ(w.give(piece_with(whole, 65528, bytes_of(100), false, 1)), "frag_toolong x 2");
        EXPECT_EQ(w.give(piece(whole, 0, 64, 2)), "held");
        EXPECT_EQ(w.give(piece_with(whole, 64, bytes_of(13), true, 2)), "frag_malformed x 2");
        EXPECT_EQ(w.give(piece(whole, 128, SIZE_MAX, 3)), "held") << "the last";
        EXPECT_EQ(w.give(piece_with(whole, 208, bytes_of(64), true, 3)), "frag_malformed x 2") << "and a longer one";
    }
    Wire w;
    const Bytes chain = frame(Ipv6{.ext = {destination_options()}}, Udp{.payload = noise(100)});
    EXPECT_EQ(w.give(piece(chain, 8)), "held");
    EXPECT_EQ(w.give(piece(chain, 0, 8)), "frag_chain x 2");
    EXPECT_EQ(w.give_all(cut(chain, {0, 16}, 9)), "sent x 2") << "whole in the first";
}

TEST(Reassemble, F10_TheLargestDatagramPassesAndOneByteMoreDoesNot) {
    for (const bool v6 : {false, true}) {
        const std::size_t most = v6 ? 65'535 : 65'535 - 20;
        for (const std::size_t bytes : {most, most + 1}) {
            Wire w;
            const Bytes head = v6 ? frame(kOut6, Raw{47, noise(8)}) : frame(kOut4, Raw{47, noise(8)});
            w.h.use(policy(cp::Action::allow));
            std::string last;
            for (std::size_t at = 0; at < bytes; at += 1456) {
                const std::size_t n = std::min<std::size_t>(1456, bytes - at);
                last = w.give(piece_with(head, at, noise(n), at + n < bytes));
            }
            EXPECT_EQ(last, (bytes == most ? "sent x " : "frag_toolong x ") + std::to_string((bytes + 1455) / 1456));
        }
    }
}

TEST(Reassemble, F11_DontFragmentWithMoreFragmentsPasses) {
    Wire w;
    std::vector<Bytes> pieces = cut(frame(kOut4, Udp{.payload = noise(200)}), {0, 64});
    for (Bytes& p : pieces) p = with_dont_fragment(p);
    EXPECT_EQ(w.give_all(pieces), "sent x 2");
}

TEST(Reassemble, F13_AnAtomicFragmentPassesBesideAPendingDatagramOfTheSameId) {
    Wire w;
    const std::vector<Bytes> pieces = cut(frame(kOut6, Udp{.payload = noise(200)}), {0, 64}, 5);
    const Bytes atomic = frame(Ipv6{.ext = {fragment(0, false, 5)}}, Udp{.payload = bytes_of(64)});
    EXPECT_EQ(w.give(pieces[0]), "held");
    EXPECT_EQ(w.give(atomic), "sent x 1");
    EXPECT_EQ(w.give(pieces[1]), "sent x 2");
    EXPECT_EQ(w.left, pieces);
    EXPECT_EQ(w.h.counters().frag_reassembled.read(), 1U);
}

TEST(Reassemble, TheVerdictIsTheDatagramsAndCountsForEachFragment) {
    for (const bool v6 : {false, true}) {
        Wire w;
        const Udp denied{.dport = 5000, .payload = noise(200)};
        const Bytes whole = v6 ? frame(kOut6, denied) : frame(kOut4, denied);
        EXPECT_EQ(w.give_all(cut(whole, {0, 64, 128})), "policy_deny x 3");
        EXPECT_EQ(w.h.rule("others").hits.read(), 1U);
        EXPECT_EQ(w.h.flows(), 0U);
    }
}

TEST(Reassemble, ARejectedDatagramIsAnsweredOnceAndByItsFirstFragment) {
    Wire w;
    const std::vector<Bytes> udp = cut(frame(kOut4, Udp{.dport = 22, .payload = noise(200)}), {0, 64, 128});
    EXPECT_EQ(w.give_all({udp[2], udp[0], udp[1]}), "policy_reject x 3+answer");
    ASSERT_EQ(w.answers.size(), 1U);
    EXPECT_EQ(w.answers[0][14 + 20], 3U) << "ICMP unreachable";
    EXPECT_EQ(w.answers[0][14 + 20 + 1], 13U);
    const Bytes quoted{w.answers[0].begin() + 14 + 28, w.answers[0].end()};
    EXPECT_EQ(quoted, (Bytes{udp[0].begin() + 14, udp[0].end()})) << "the first fragment, and nothing behind it";

    const Tcp syn{.dport = 22, .seq = 1000, .payload = noise(200)};
    for (const Bytes& whole : {frame(kOut4, syn), frame(kOut6, syn)}) {
        EXPECT_EQ(w.give_all(cut(whole, {0, 64, 128})), "policy_reject x 3+answer");
        ASSERT_EQ(w.answers.size(), 1U);
        const std::size_t tcp = whole[12] == 0x08 ? 34 : 54;
        const Bytes ack{w.answers[0].begin() + static_cast<std::ptrdiff_t>(tcp) + 8,
                        w.answers[0].begin() + static_cast<std::ptrdiff_t>(tcp) + 12};
        EXPECT_EQ(ack, (Bytes{0, 0, 1201 >> 8, 1201 & 0xff})) << "acknowledges the SYN and all 200 bytes";
    }
}

// What stands behind a short first fragment's datagram in its frame is Ethernet's, not a part of the quote.
TEST(Reassemble, EthernetPaddingIsNobodysData) {
    Wire w;
    const Bytes whole = frame(kOut4, Udp{.payload = noise(11)});
    Bytes first_piece = piece(whole, 0, 8), last_piece = piece(whole, 8);
    first_piece.resize(60, 0xa5);
    last_piece.resize(60, 0xa5);
    EXPECT_EQ(w.give_all({last_piece, first_piece}), "sent x 2");
    const Bytes rejected = frame(kOut4, Udp{.dport = 22, .payload = noise(11)});
    first_piece = piece(rejected, 0, 8);
    first_piece.resize(60, 0xa5);
    EXPECT_EQ(w.give_all({first_piece, piece(rejected, 8)}), "policy_reject x 2+answer");
    EXPECT_EQ(std::count(w.answers[0].begin(), w.answers[0].end(), std::uint8_t{0xa5}), 0);
    EXPECT_EQ(w.answers[0].size(), 14U + 20 + 8 + 28);
}

TEST(Reassemble, TheChecksumIsVerifiedOverAllPieces) {
    for (Bytes whole : datagrams(200)) {
        Wire w;
        whole.back() ^= 0x10;
        EXPECT_EQ(w.give_all(cut(whole, {0, 64, 128})), "bad_l4_csum x 3");
        EXPECT_EQ(w.h.flows(), 0U);
    }
    // A device sees one frame at a time: what it says about a fragment's checksum means nothing.
    Wire w;
    const std::vector<Bytes> right = cut(frame(kOut4, Udp{.payload = noise(200)}), {0, 64});
    EXPECT_EQ(w.give(right[0], 0, UINT32_MAX, dp::L4Checksum::bad), "held");
    EXPECT_EQ(w.give(right[1], 0, UINT32_MAX, dp::L4Checksum::bad), "sent x 2");
    const std::vector<Bytes> wrong = cut(frame(kOut4, Udp{.payload = noise(200), .checksum = 1}), {0, 64});
    EXPECT_EQ(w.give(wrong[0], 0, UINT32_MAX, dp::L4Checksum::good), "held");
    EXPECT_EQ(w.give(wrong[1], 0, UINT32_MAX, dp::L4Checksum::good), "bad_l4_csum x 2");
}

TEST(Reassemble, U3_ZeroChecksumsAreCounted) {
    Wire w;
    EXPECT_EQ(w.give_all(cut(frame(kOut6, Udp{.payload = noise(200), .checksum = 0}), {0, 64})), "sent x 2");
    EXPECT_EQ(w.h.counters().udp_zero_csum6.read(), 1U);
}

TEST(Reassemble, PiecesInSeveralBuffersPassUnverifiedAndUnanswered) {
    Wire w;
    const std::vector<Bytes> pieces = cut(frame(kOut4, Udp{.payload = noise(2000)}), {0, 1480});
    EXPECT_EQ(w.give(pieces[0], 0, 640), "held");
    EXPECT_EQ(w.give(pieces[1]), "sent x 2");
    EXPECT_EQ(w.left, pieces);
    const std::vector<Bytes> rejected = cut(frame(kOut4, Udp{.dport = 22, .payload = noise(2000)}), {0, 1480});
    EXPECT_EQ(w.give(rejected[0], 0, 640), "held");
    EXPECT_EQ(w.give(rejected[1]), "policy_reject x 2");
}

TEST(Reassemble, FragmentedPacketsOfAFlowAreTracked) {
    for (const bool v6 : {false, true}) {
        Wire w;
        const auto out = [&](const L4& l4) { return v6 ? frame(kOut6, l4) : frame(kOut4, l4); };
        const auto back = [&](const L4& l4) { return v6 ? frame(kBack6, l4) : frame(kBack4, l4); };
        const Icmp ask{.type = static_cast<std::uint8_t>(v6 ? 128 : 8), .payload = noise(4000)};
        const Icmp tell{.type = static_cast<std::uint8_t>(v6 ? 129 : 0), .payload = noise(4000)};
        EXPECT_EQ(w.give_all(cut(back(tell), {0, 1480, 2960}), 1), "icmp_no_flow x 3") << "nobody asked";
        EXPECT_EQ(w.give_all(cut(out(ask), {0, 1480, 2960})), "sent x 3");
        EXPECT_EQ(w.give_all(cut(back(tell), {0, 1480, 2960}, 2), 1), "sent x 3");
        // TCP: lengths are the whole segment's.
        EXPECT_EQ(w.give(out(Tcp{.seq = 1000})), "sent x 1");
        EXPECT_EQ(w.give(back(Tcp{.sport = 443, .dport = 40000, .seq = 5000, .ack = 1001, .flags = kSyn | kAck}), 1),
                  "sent x 1");
        EXPECT_EQ(
            w.give_all(cut(out(Tcp{.seq = 1001, .ack = 5001, .flags = kAck, .payload = noise(3000)}), {0, 1480}, 3)),
            "sent x 2");
        EXPECT_EQ(w.give(back(Tcp{.sport = 443, .dport = 40000, .seq = 5001, .ack = 4001, .flags = kAck}), 1),
                  "sent x 1")
            << "all 3,000 bytes were sent, so they may be acknowledged";
        const auto flows = w.h.dump();
        ASSERT_EQ(flows.size(), 2U);
    }
}

TEST(Reassemble, I3_AnErrorAboutAFragmentedPacketFindsItsFlow) {
    Wire w;
    const std::vector<Bytes> pieces = cut(frame(kOut4, Udp{.payload = noise(200)}), {0, 64});
    EXPECT_EQ(w.give_all(pieces), "sent x 2");
    const Bytes quote{pieces[0].begin() + 14, pieces[0].end()};
    EXPECT_EQ(w.give(frame(kBack4, Icmp{.type = 3, .code = 3, .payload = quote}), 1), "sent x 1");
    const Bytes later{pieces[1].begin() + 14, pieces[1].end()};
    EXPECT_EQ(w.give(frame(kBack4, Icmp{.type = 3, .code = 3, .payload = later}), 1), "icmp_malformed x 1");
}

TEST(Reassemble, ADatagramIsJudgedUnderThePolicyInForceWhenItIsWhole) {
    Wire w;
    const std::vector<Bytes> pieces = cut(frame(kOut4, Udp{.dport = 5000, .payload = noise(200)}), {0, 64, 128});
    EXPECT_EQ(w.give(pieces[0]), "held");
    EXPECT_EQ(w.give(pieces[1]), "held");
    w.h.use(policy(cp::Action::allow));
    EXPECT_EQ(w.held(), 2U) << "a switch ends nothing";
    EXPECT_EQ(w.give(pieces[2]), "sent x 3");
    EXPECT_EQ(w.give(piece(frame(kOut4, Udp{.sport = 3, .dport = 5000, .payload = noise(200)}), 0, 64)), "held");
    w.h.use(policy());
    EXPECT_EQ(w.give(piece(frame(kOut4, Udp{.sport = 3, .dport = 5000, .payload = noise(200)}), 64)),
              "policy_deny x 2");
}

TEST(Reassemble, AWorkerThatStopsGivesBackWhatItHolds) {
    Wire w;
    EXPECT_EQ(w.give(piece(datagrams(200)[0], 0, 64)), "held");
    EXPECT_EQ(w.give(piece(datagrams(200)[1], 64, 64)), "held");
    const std::size_t free = w.h.io.buffers_free();
    w.h.go_offline();
    EXPECT_EQ(w.h.io.buffers_free(), free + 2);
    EXPECT_EQ(w.h.drops(0, DropReason::frag_timeout), 2U);
}

TEST(Reassemble, WhatTheDeviceDoesNotTakeIsDroppedPieceByPiece) {
    Wire w;
    const std::vector<Bytes> pieces = cut(frame(kOut4, Udp{.payload = noise(200)}), {0, 64, 128});
    w.h.io.tx_room[1] = 1;
    EXPECT_EQ(w.give_all(pieces), "tx_full x 2sent x 1");
    w.h.io.tx_room[1] = SIZE_MAX;
    w.h.io.link[1] = false;
    EXPECT_EQ(w.give_all(pieces), "port_down x 3");
    w.h.io.link[1] = true;
    EXPECT_EQ(w.give_all(pieces), "sent x 3");
}

TEST(Reassemble, PortsAndVlansAreKeptApart) {
    Wire w;
    const Bytes whole = frame(kOut4, Udp{.payload = noise(200)});
    EXPECT_EQ(w.give(piece(whole, 0, 64)), "held");
    EXPECT_EQ(w.give(piece(whole, 64), 1), "held") << "the same datagram's last piece, from the other side";
    Bytes tagged = piece_with(whole, 0, bytes_of(8), true);
    tagged.insert(tagged.begin() + 12, {0x81, 0x00, 0x00, 0x07});
    EXPECT_EQ(w.give(tagged), "vlan_deny x 1") << "and it condemns nobody";
    EXPECT_EQ(w.give(piece(whole, 64)), "sent x 2");
}

TEST(Reassemble, WithoutAPolicyNothingIsHeld) {
    Harness closed;
    EXPECT_EQ(closed.fate(0, piece(datagrams(200)[0], 0, 64)), "no_policy");
    Harness open{{.fail_open = true}};
    EXPECT_EQ(open.fate(0, piece(datagrams(200)[0], 0, 64)), "forward");
}

TEST(Reassemble, F19_HeldPacketsNeverTakeMoreThanTheirShareOfBuffers) {
    Wire w{{.buffers = 256, .fragments = {.packets_max = 64}}};
    for (std::uint32_t id = 0; id < 1000; ++id) {
        const std::string fate = w.give(piece(datagrams(200)[id % 2], 0, 64, id));
        EXPECT_EQ(fate, id < 64 ? "held" : "frag_nomem x 1") << "the oldest goes, the new one stays";
        EXPECT_LE(w.held(), 64U);
    }
    EXPECT_EQ(w.give(piece(datagrams(200)[999 % 2], 64, SIZE_MAX, 999)), "frag_nomem x 1sent x 2")
        << "the newest is still there";
}

}  // namespace
}  // namespace sluice::test
