#include "tests/unit/dataplane/pipeline/parse_case.hpp"

namespace sluice::test {
namespace {

const char* const kHost = "fe80::80";
const char* const kRouter = "fe80::1";
const char* const kTarget = "2001:db8:51::80";
const char* const kSolicited = "ff02::1:ff00:80";
const char* const kAllNodes = "ff02::1";
const char* const kAllRouters = "ff02::2";

struct Row {
    const char* name;
    Ipv6 ip;
    Icmp message;
};

std::vector<Row> valid_messages() {
    return {
        {"RS", nd_packet(kHost, kAllRouters), router_solicitation(link_layer_option(1))},
        {"RS before an address", nd_packet("::", kAllRouters), router_solicitation()},
        {"RA", nd_packet(kRouter, kAllNodes),
         router_advertisement(link_layer_option(1) + Bytes{5, 1, 0, 0, 0, 0, 5, 220})},
        {"NS", nd_packet(kHost, kSolicited), neighbour_solicitation(kTarget, link_layer_option(1))},
        {"NS to one host", nd_packet(kHost, kTarget), neighbour_solicitation(kTarget)},
        {"NS of duplicate address detection", nd_packet("::", kSolicited), neighbour_solicitation(kTarget)},
        {"NA", nd_packet(kTarget, kHost), neighbour_advertisement(kTarget, 0x60, link_layer_option(2))},
        {"NA to all", nd_packet(kTarget, kAllNodes), neighbour_advertisement(kTarget, 0x20, link_layer_option(2))},
    };
}

TEST(ParseNd, ValidMessagesAreTheirOwnClass) {
    for (const Row& row : valid_messages()) {
        const Parsed r = parse_frame(frame(row.ip, row.message));
        EXPECT_FALSE(r.reason) << row.name;
        EXPECT_EQ(r.p.packet_class, dp::PacketClass::nd) << row.name;
        EXPECT_EQ(r.p.icmp.type, row.message.type);
    }
}

TEST(ParseNd, I11_AnyHopLimitBut255Is_nd_hoplimit) {
    for (Row row : valid_messages()) {
        for (const unsigned hop_limit : {0U, 1U, 64U, 254U}) {
            row.ip.hop_limit = static_cast<std::uint8_t>(hop_limit);
            EXPECT_EQ(reason_of(frame(row.ip, row.message)), "nd_hoplimit") << row.name;
        }
    }
}

TEST(ParseNd, L5_OptionsThatDoNotAddUpAre_nd_reject) {
    for (const Row& row : valid_messages()) {
        Icmp message = row.message;
        message.payload = message.payload + Bytes{14, 0, 0, 0, 0, 0, 0, 0};  // length 0 would never end
        EXPECT_EQ(reason_of(frame(row.ip, message)), "nd_reject") << row.name;
        message.payload = row.message.payload + Bytes{14, 2, 0, 0, 0, 0, 0, 0};
        EXPECT_EQ(reason_of(frame(row.ip, message)), "nd_reject") << row.name << ", option past the end";
        message.payload = row.message.payload + Bytes{14};
        EXPECT_EQ(reason_of(frame(row.ip, message)), "nd_reject") << row.name << ", half an option";
    }
}

TEST(ParseNd, L5_CodeLengthAndFragmentHeaderAre_nd_reject) {
    for (const Row& row : valid_messages()) {
        Icmp message = row.message;
        message.code = 1;
        EXPECT_EQ(reason_of(frame(row.ip, message)), "nd_reject") << row.name;
        Ipv6 ip = row.ip;
        ip.ext = {fragment(0, false)};
        EXPECT_EQ(reason_of(frame(ip, row.message)), "nd_reject") << row.name << ", RFC 6980";
    }
    for (const Row& row : valid_messages()) {
        if (row.message.type == 133) continue;  // RS has nothing behind its header
        Icmp message = row.message;
        message.payload = first(message.payload, row.message.type == 134 ? 7 : 15);
        EXPECT_EQ(reason_of(frame(row.ip, message)), "nd_reject") << row.name;
    }
}

TEST(ParseNd, L5_AddressesThatContradictTheMessageAre_nd_reject) {
    EXPECT_EQ(reason_of(frame(nd_packet("::", kAllRouters), router_solicitation(link_layer_option(1)))), "nd_reject");
    EXPECT_EQ(reason_of(frame(nd_packet("2001:db8::1", kAllNodes), router_advertisement())), "nd_reject");
    EXPECT_EQ(reason_of(frame(nd_packet(kHost, kSolicited), neighbour_solicitation("ff02::1"))), "nd_reject");
    EXPECT_EQ(reason_of(frame(nd_packet("::", kAllNodes), neighbour_solicitation(kTarget))), "nd_reject");
    EXPECT_EQ(reason_of(frame(nd_packet("::", kSolicited), neighbour_solicitation(kTarget, link_layer_option(1)))),
              "nd_reject");
    EXPECT_EQ(reason_of(frame(nd_packet(kTarget, kHost), neighbour_advertisement("ff02::1"))), "nd_reject");
    EXPECT_EQ(reason_of(frame(nd_packet(kTarget, kAllNodes), neighbour_advertisement(kTarget, 0x60))), "nd_reject");
}

TEST(ParseNd, L5_ChecksumIsVerifiedFirst) {
    Icmp message = neighbour_solicitation(kTarget);
    message.checksum = 0x1234;
    EXPECT_EQ(reason_of(frame(nd_packet(kHost, kSolicited), message)), "bad_l4_csum");
}

TEST(ParseNd, I10_RedirectNeverCrosses) {
    EXPECT_EQ(reason_of(frame(nd_packet(kRouter, kHost), nd_redirect(kHost, kTarget))), "icmp_type_deny");
    EXPECT_EQ(reason_of(frame(nd_packet("2001:db8::1", kHost), nd_redirect(kHost, kTarget))), "nd_reject");
    Ipv6 from_afar = nd_packet(kRouter, kHost);
    from_afar.hop_limit = 64;
    EXPECT_EQ(reason_of(frame(from_afar, nd_redirect(kHost, kTarget))), "nd_hoplimit");
}

/// All of a message is looked at, its options too, so all of it must be at hand.
TEST(ParseNd, AMessageWhoseEndStandsInALaterSegmentIs_headers_split) {
    for (const Row& row : valid_messages()) {
        Bytes whole = frame(row.ip, row.message);
        for (std::size_t cut = 54; cut <= whole.size(); ++cut) {
            dp::Packet packet = as_packet(whole);
            packet.contiguous_bytes = static_cast<std::uint32_t>(cut);
            packet.l4_checksum = dp::L4Checksum::good;  // else a part of it would not even be summed up
            dp::ParsedPacket p;
            const auto reason = dp::parse(packet, p);
            if (cut < whole.size()) {
                EXPECT_EQ(reason, abi::DropReason::headers_split) << row.name << ", " << cut;
            } else {
                EXPECT_EQ(reason, std::nullopt) << row.name;
            }
        }
    }
}

}  // namespace
}  // namespace sluice::test
