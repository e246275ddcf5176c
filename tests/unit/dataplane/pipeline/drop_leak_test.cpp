// X10: 10^4 packets for every drop reason that a worker can reach. The harness counts buffers after every step; here
// each packet must end with exactly its reason, and all buffers and the flow table must be back where they were.
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include <gtest/gtest.h>

#include "tests/harness/frames.hpp"
#include "tests/harness/harness.hpp"

namespace sluice::test {
namespace {

using abi::DropReason;

constexpr int kPacketsPerReason = 10'000;

cp::Policy policy() {
    PolicyBuilder p;
    p.zone("outside", {"p0"}).zone("inside", {"p1"});
    p.rule({.id = "web",
            .from = {"outside"},
            .to = {"inside"},
            .service = {"tcp/443", "udp/443", "proto/132"},
            .action = cp::Action::allow});
    p.rule(
        {.id = "closed", .from = {"outside"}, .to = {"inside"}, .service = {"tcp/22"}, .action = cp::Action::reject});
    return p.build();
}

struct DropCase {
    DropReason reason;
    std::function<FrameBytes(std::uint16_t)> frame;  ///< of the n-th packet
    std::function<void(Harness&)> prepare = [](Harness&) {};
    bool with_policy = true;
    std::uint32_t flow_entries_max = 64;
    std::uint32_t contiguous_max = UINT32_MAX;
};

/// The same frame every time.
DropCase always(DropReason reason, Bytes bytes) {
    return {.reason = reason, .frame = [bytes = std::move(bytes)](std::uint16_t) { return bytes; }};
}

void establish(Harness& h) {
    ASSERT_EQ(h.fate(0, frame(Ipv4{}, Tcp{.seq = 1000})), "forward");
    ASSERT_EQ(h.fate(1, frame(Ipv4{.src = "198.51.100.80", .dst = "198.51.100.7"},
                              Tcp{.sport = 443, .dport = 40000, .seq = 5000, .ack = 1001, .flags = kSyn | kAck})),
              "forward");
}

/// UDP flows to port 443 that have both buckets and the tag in common, as from somebody who knows the hash and its
/// secret (Q11): the index takes eight of them and refuses the ninth, however empty it is.
std::vector<Bytes> crafted_flows() {
    constexpr std::size_t kWanted = 9;
    constexpr std::uint32_t kSources = 40, kPorts = 50'000;
    const auto tuple_of = [](std::uint32_t n) {
        const abi::Ipv4Addr src = abi::Ipv4Addr::of_host(0xc6336401U + n / kPorts);  // 198.51.100.1, ...
        return dp::FlowTuple{abi::IpAddr::of_v4(src), abi::IpAddr::of_v4(abi::Ipv4Addr::of_host(0xc6336450U)),
                             abi::L4Port::of_host(static_cast<std::uint16_t>(1 + n % kPorts)),
                             abi::L4Port::of_host(443), abi::L4Proto::udp};
    };
    const dp::FlowHasher hasher{kHarnessSecret};
    std::unordered_map<std::uint64_t, std::vector<std::uint32_t>> alike;
    for (std::uint32_t n = 0; n < kSources * kPorts; ++n) {
        const dp::FlowTuple t = tuple_of(n);
        const auto key = dp::make_key<dp::FlowKeyV4>(t, dp::source_is_low(abi::IpFamily::v4, t), dp::FlowDomain{});
        const std::uint64_t hash = hasher.hash(key);
        if (hash >> 60 != 5) continue;  // a sixteenth of the tags is enough
        // A table of 64 has 16 buckets, and the first of a flow is where the low 32 bits stand among so many parts.
        auto& found = alike[(hash >> 48) << 8 | (hash >> 28 & 0xf)];
        found.push_back(n);
        if (found.size() < kWanted) continue;
        std::vector<Bytes> frames;
        for (const std::uint32_t of : found) {
            const std::string src = "198.51.100." + std::to_string(1 + of / kPorts);
            frames.push_back(
                frame(Ipv4{.src = src}, Udp{.sport = static_cast<std::uint16_t>(1 + of % kPorts), .dport = 443}));
        }
        return frames;
    }
    return {};
}

std::vector<DropCase> cases() {
    const Tcp ack{.seq = 1001, .ack = 5001, .flags = kAck};
    std::vector<DropCase> all;
    all.push_back({.reason = DropReason::no_policy,
                   .frame = [](std::uint16_t) { return frame(Ipv4{}, Tcp{}); },
                   .with_policy = false});
    all.push_back(always(DropReason::policy_deny, frame(Ipv4{}, Tcp{.dport = 5432})));
    all.push_back(always(DropReason::policy_reject, frame(Ipv4{}, Tcp{.dport = 22})));
    all.push_back(always(DropReason::l2_deny, frame(0x88b5, bytes_of(46))));
    all.push_back(always(DropReason::vlan_deny, frame(Ipv4{}, Tcp{}, Eth{.tags = {{0x8100, 7}}})));
    all.push_back(
        always(DropReason::nd_hoplimit, frame(Ipv6{.src = "fe80::1", .dst = "ff02::1:ff00:80", .hop_limit = 64},
                                              neighbour_solicitation("2001:db8:51::80"))));
    all.push_back(always(DropReason::nd_reject, frame(nd_packet("fe80::1", "ff02::1:ff00:80"),
                                                      neighbour_solicitation("2001:db8:51::80", {1, 0}))));
    all.push_back(always(DropReason::arp_reject, frame(Arp{.hardware_bytes = 200})));
    all.push_back(always(DropReason::ip_malformed, frame(Ipv4{.ihl = 4}, Tcp{})));
    all.push_back(always(DropReason::ip_options, frame(Ipv4{.options = {131, 3, 4, 0}}, Tcp{})));
    all.push_back(always(DropReason::martian, frame(Ipv4{.src = "127.0.0.1"}, Tcp{})));
    all.push_back(always(DropReason::proto_deny, frame(Ipv4{}, Raw{0, bytes_of(20)})));
    all.push_back(always(DropReason::frag_toolong,
                         frame(Ipv4{.dont_fragment = false, .fragment_offset = 65528}, Raw{17, bytes_of(100)})));
    all.push_back(always(DropReason::frag_malformed,
                         frame(Ipv4{.dont_fragment = false, .more_fragments = true}, Raw{17, bytes_of(13)})));
    all.push_back(always(DropReason::frag_tiny, frame(Ipv4{.more_fragments = true}, Raw{6, bytes_of(8)})));
    all.push_back(always(DropReason::frag_chain, frame(Ipv6{.ext = {fragment(0, true)}, .proto = std::uint8_t{60}},
                                                       Raw{60, {17, 1, 1, 4, 0, 0, 0, 0}})));
    all.push_back(always(DropReason::v6_ext_deny, frame(Ipv6{.ext = {routing(0, 1)}}, Tcp{})));
    all.push_back(
        always(DropReason::v6_ext_limit, frame(Ipv6{.ext = std::vector<Ext>(9, destination_options())}, Tcp{})));
    all.push_back(always(DropReason::tcp_malformed, frame(Ipv4{}, Tcp{.data_offset = std::uint8_t{4}})));
    all.push_back(always(DropReason::tcp_bad_flags, frame(Ipv4{}, Tcp{.flags = kSyn | kFin})));
    all.push_back(always(DropReason::tcp_no_flow, frame(Ipv4{}, ack)));
    all.push_back(always(DropReason::udp_malformed, frame(Ipv4{}, Udp{.length = std::uint16_t{7}})));
    all.push_back(always(DropReason::udp_port0, frame(Ipv4{}, Udp{.sport = 0})));
    all.push_back(always(DropReason::icmp_no_flow, frame(Ipv4{}, Icmp{.type = 0})));
    all.push_back(always(DropReason::icmp_malformed, frame(Ipv4{}, Icmp{.type = 3, .payload = bytes_of(10)})));
    all.push_back(always(
        DropReason::icmp_unrelated,
        frame(Ipv4{},
              Icmp{.type = 3, .payload = datagram(Ipv4{.src = "198.51.100.80", .dst = "198.51.100.7"}, Tcp{})})));
    all.push_back(always(DropReason::icmp_type_deny, frame(Ipv4{}, Icmp{.type = 5, .payload = bytes_of(28)})));
    all.push_back(always(DropReason::bad_l4_csum, frame(Ipv4{}, Tcp{.checksum = std::uint16_t{1}})));

    all.push_back(always(DropReason::sctp_malformed, frame(Ipv4{}, Raw{132, bytes_of(6)})));
    all.push_back(always(DropReason::sctp_bad_vtag, frame(Ipv4{}, Sctp{.tag = 7})));
    all.push_back(always(DropReason::sctp_no_flow, frame(Ipv4{}, Sctp{.tag = 7, .chunks = sctp_data(4)})));
    DropCase no_cookie = always(DropReason::sctp_bad_chunk, frame(Ipv4{}, Sctp{.tag = 9, .chunks = sctp_data(4)}));
    no_cookie.prepare = [](Harness& h) {
        ASSERT_EQ(h.fate(0, frame(Ipv4{}, Sctp{})), "forward");
        ASSERT_EQ(h.fate(1, frame(Ipv4{.src = "198.51.100.80", .dst = "198.51.100.7"},
                                  Sctp{.sport = 3868, .dport = 40000, .chunks = sctp_init(9)})),
                  "forward");
    };
    all.push_back(no_cookie);
    const Bytes quote = datagram(Ipv4{.src = "198.51.100.80", .dst = "198.51.100.7"}, Tcp{});
    all.push_back(
        always(DropReason::icmp_bad_inner, frame(Ipv4{}, Icmp{.type = 3, .code = 4, .seq = 67, .payload = quote})));
    DropCase split = always(DropReason::headers_split, frame(Ipv4{}, Tcp{}));
    split.contiguous_max = 40;
    all.push_back(split);

    // With a flow: SYN sent, or half of a handshake, or closed by RST.
    DropCase bad_ack = always(DropReason::tcp_bad_ack, frame(Ipv4{}, Tcp{.ack = 1, .flags = kAck}));
    bad_ack.prepare = [](Harness& h) { ASSERT_EQ(h.fate(0, frame(Ipv4{}, Tcp{})), "forward"); };
    all.push_back(bad_ack);
    DropCase closed = always(DropReason::tcp_closed, frame(Ipv4{}, ack));
    closed.prepare = [](Harness& h) {
        establish(h);
        ASSERT_EQ(h.fate(0, frame(Ipv4{}, Tcp{.seq = 1001, .flags = kRst})), "forward");
    };
    all.push_back(closed);
    DropCase beyond =
        always(DropReason::tcp_out_of_window, frame(Ipv4{}, Tcp{.seq = 500'000, .ack = 5001, .flags = kAck}));
    beyond.prepare = establish;
    all.push_back(beyond);
    DropCase full{.reason = DropReason::flow_table_full,
                  .frame =
                      [](std::uint16_t n) {
                          return frame(Ipv4{}, Udp{.sport = static_cast<std::uint16_t>(10'000 + n), .dport = 443});
                      },
                  .prepare =
                      [](Harness& h) {
                          for (std::uint16_t n = 1; n <= 4; ++n) {
                              // Answered: those are never evicted.
                              const Ipv4 back{.src = "198.51.100.80", .dst = "198.51.100.7"};
                              ASSERT_EQ(h.fate(0, frame(Ipv4{}, Udp{.sport = n, .dport = 443})), "forward");
                              ASSERT_EQ(h.fate(1, frame(back, Udp{.sport = 443, .dport = n})), "forward");
                          }
                      },
                  .flow_entries_max = 4};
    all.push_back(full);
    const std::vector<Bytes> crafted = crafted_flows();
    DropCase aimed = always(DropReason::flow_index_full, crafted.empty() ? Bytes{} : crafted.back());
    aimed.prepare = [crafted](Harness& h) {
        ASSERT_FALSE(crafted.empty()) << "no nine flows alike";
        for (std::size_t n = 0; n + 1 < crafted.size(); ++n) ASSERT_EQ(h.fate(0, crafted[n]), "forward") << n;
    };
    all.push_back(aimed);
    DropCase tx_full = always(DropReason::tx_full, frame(Ipv4{}, Udp{.dport = 443}));
    tx_full.prepare = [](Harness& h) { h.io.tx_room[1] = 0; };
    all.push_back(tx_full);
    DropCase down = always(DropReason::port_down, frame(Ipv4{}, Udp{.dport = 443}));
    down.prepare = [](Harness& h) { h.io.link[1] = false; };
    all.push_back(down);
    return all;
}

class EveryReason : public testing::TestWithParam<DropCase> {};

TEST_P(EveryReason, X10_DropsLeakNothing) {
    const DropCase& c = GetParam();
    Harness h{{.flow_entries_max = c.flow_entries_max, .buffers = 48}};
    if (c.with_policy) h.use(policy());
    ASSERT_NO_FATAL_FAILURE(c.prepare(h));
    const std::uint64_t flows = h.flows(), before = h.drops(0, c.reason);
    const std::size_t free_buffers = h.io.buffers_free();
    constexpr int kBatch = 20;
    for (int n = 0; n < kPacketsPerReason; n += kBatch) {
        for (int k = 0; k < kBatch; ++k) {
            const FrameBytes bytes = c.frame(static_cast<std::uint16_t>(n + k));
            ASSERT_TRUE(h.io.arrive(0, bytes, dp::L4Checksum::unknown, c.contiguous_max));
        }
        (void)h.run_once();
        (void)h.events();  // so that the ring is never lapped unread
    }
    EXPECT_EQ(h.drops(0, c.reason) - before, std::uint64_t{kPacketsPerReason});
    EXPECT_EQ(h.io.buffers_free(), free_buffers);
    if (c.reason != DropReason::tx_full && c.reason != DropReason::port_down) {
        EXPECT_EQ(h.flows(), flows);
    }
}

INSTANTIATE_TEST_SUITE_P(Drops, EveryReason, testing::ValuesIn(cases()),
                         [](const auto& i) { return std::string{abi::to_string(i.param.reason)}; });

// The wrong zone and a RST that answers nothing arrive at the inside port.
TEST(EveryReasonInside, X10_ZoneMismatchAndBadRst) {
    Harness h{{.flow_entries_max = 64, .buffers = 48}};
    h.use(policy());
    ASSERT_EQ(h.fate(0, frame(Ipv4{}, Tcp{})), "forward");
    const auto wrong_zone = frame(Ipv4{}, Tcp{});
    const auto wrong_rst = frame(Ipv4{.src = "198.51.100.80", .dst = "198.51.100.7"},
                                 Tcp{.sport = 443, .dport = 40000, .ack = 7, .flags = kRst | kAck});
    for (int n = 0; n < kPacketsPerReason; ++n) {
        ASSERT_TRUE(h.io.arrive(1, wrong_zone) && h.io.arrive(1, wrong_rst));
        (void)h.run_once();
        (void)h.events();
    }
    EXPECT_EQ(h.drops(1, DropReason::flow_zone_mismatch), std::uint64_t{kPacketsPerReason});
    EXPECT_EQ(h.drops(1, DropReason::tcp_bad_rst), std::uint64_t{kPacketsPerReason});
    EXPECT_EQ(h.io.buffers_free(), 48U);
}

}  // namespace
}  // namespace sluice::test
