// CASES I5: an ICMP error passes only if it quotes what its flow may have in flight (RFC 5927 section 4.1), and claims
// no MTU that cannot be. What it quotes at all: parse_inner_test.cpp; whose flow: track_test.cpp.
#include <type_traits>

#include "tests/unit/dataplane/pipeline/tcp_conversation.hpp"

namespace sluice::test {
namespace {

constexpr std::uint32_t kLag = kWindow;  ///< what the client has acknowledged may still be in flight for the shop

template <typename Ip>
class IcmpQuote : public testing::Test {
protected:
    static constexpr bool v4 = std::is_same_v<Ip, Ipv4>;
    IcmpQuote() { h.use(shop_policy().build()); }
    void say(const std::vector<Said>& rows) { ASSERT_NO_FATAL_FAILURE(test::say<Ip>(h, rows)); }

    /// A router outside tells the shop about its packet, one inside the client about the client's.
    Bytes error(std::uint8_t to, const Bytes& quote, std::uint8_t type, std::uint8_t code, std::uint32_t mtu) const {
        Ip router;
        if (to == kClient) std::swap(router.src, router.dst);
        router.src = v4 ? "203.0.113.1" : "2001:db8:99::1";
        return frame(router, Icmp{.type = type,
                                  .code = code,
                                  .id = static_cast<std::uint16_t>(mtu >> 16),
                                  .seq = static_cast<std::uint16_t>(mtu),
                                  .payload = quote});
    }
    std::string about(std::uint8_t sender, std::uint32_t seq, std::size_t quoted_bytes = 8) {
        Ip ip;
        Tcp tcp{.seq = seq, .flags = kAck, .payload = bytes_of(100)};
        if (sender == kShop) {
            std::swap(ip.src, ip.dst);
            std::swap(tcp.sport, tcp.dport);
        }
        const Bytes quote = first(datagram(ip, tcp), (v4 ? 20 : 40) + quoted_bytes);
        return h.fate(sender == kShop ? kClient : kShop,
                      error(sender, quote, v4 ? std::uint8_t{3} : std::uint8_t{1}, 0, 0));
    }
    std::string too_big(std::uint32_t mtu, std::uint32_t seq) {
        Ip ip;
        std::swap(ip.src, ip.dst);
        const Bytes quote = datagram(ip, Tcp{.sport = 443, .dport = 40000, .seq = seq, .flags = kAck});
        return h.fate(kClient, error(kShop, quote, v4 ? std::uint8_t{3} : std::uint8_t{2},
                                     v4 ? std::uint8_t{4} : std::uint8_t{0}, mtu));
    }

    Harness h;
};
using Families = testing::Types<Ipv4, Ipv6>;
TYPED_TEST_SUITE(IcmpQuote, Families);

TYPED_TEST(IcmpQuote, I5_OnlyWhatMayBeInFlightIsQuoted) {
    ASSERT_NO_FATAL_FAILURE(connect<TypeParam>(this->h));
    this->say({{kAck, 1400, 5001, 1001, kShop}, {kAck, 1400, 6401, 1001, kShop}, {kAck, 0, 1001, 6401, kClient}});
    EXPECT_EQ(this->about(kShop, 6401), "forward") << "in flight";
    EXPECT_EQ(this->about(kShop, 7801), "forward") << "what a pure ACK has: behind the last";
    EXPECT_EQ(this->about(kShop, 7802), "icmp_bad_inner") << "never sent";
    EXPECT_EQ(this->about(kShop, 5001), "forward") << "acknowledged, but the shop need not know yet";
    EXPECT_EQ(this->about(kShop, 6401 - kLag), "forward");
    EXPECT_EQ(this->about(kShop, 6400 - kLag), "icmp_bad_inner");
    EXPECT_EQ(this->about(kShop, 0x8000'0000), "icmp_bad_inner");
    EXPECT_EQ(this->about(kClient, 1001), "forward");
    EXPECT_EQ(this->about(kClient, 1002), "icmp_bad_inner");
    EXPECT_EQ(this->about(kClient, 7801), "icmp_bad_inner") << "the other side's number";
    EXPECT_EQ(this->about(kShop, 6401, 120), "forward") << "the whole packet is quoted";
    EXPECT_EQ(this->about(kShop, 7802, 120), "icmp_bad_inner");
    EXPECT_EQ(only_state(this->h), abi::FlowState::established);
    EXPECT_EQ(this->h.counters().icmp_related.read(), 6U);
    EXPECT_EQ(this->h.drops(abi::DropReason::icmp_bad_inner), 6U);
}

TYPED_TEST(IcmpQuote, I5_WhileTheFlowOpensItIsTheSynItself) {
    this->say({{kSyn, 0, 1000, 0, kClient}});
    EXPECT_EQ(this->about(kClient, 1000), "forward") << "nobody is there";
    EXPECT_EQ(this->about(kClient, 999), "icmp_bad_inner");
    EXPECT_EQ(this->about(kClient, 1002), "icmp_bad_inner");
    EXPECT_EQ(this->about(kShop, 5000), "icmp_bad_inner") << "it has said nothing yet";
    this->say({{kSyn, 0, 40'000, 0, kClient}});
    EXPECT_EQ(this->about(kClient, 40'000), "forward") << "a second SYN, which may be the true one";
    this->say({{kSyn | kAck, 0, 5000, 1001, kShop}});
    EXPECT_EQ(this->about(kShop, 5000), "forward");
    EXPECT_EQ(this->about(kShop, 6000), "icmp_bad_inner");
}

TYPED_TEST(IcmpQuote, I5_SeqCheckRulesBehindTheHandshake) {
    for (const abi::SeqCheck check : {abi::SeqCheck::log, abi::SeqCheck::off}) {
        Harness& harness = this->h;
        PolicyBuilder p = shop_policy();
        p.policy.seq_check = check;
        harness.use(p.build());
        this->say({{kSyn, 0, 1000, 0, kClient}});
        EXPECT_EQ(this->about(kClient, 9999), "icmp_bad_inner") << "the handshake stays strict";
        this->say({{kSyn | kAck, 0, 5000, 1001, kShop}, {kAck, 0, 1001, 5001, kClient}});
        (void)harness.events();
        const std::uint64_t logged = harness.counters().tcp_seq_logged.read();
        EXPECT_EQ(this->about(kClient, 9'000'000), "forward");
        const auto events = harness.events();
        ASSERT_EQ(events.size(), check == abi::SeqCheck::log ? 1U : 0U);
        EXPECT_EQ(harness.counters().tcp_seq_logged.read() - logged, events.size());
        if (!events.empty()) {
            EXPECT_EQ(events[0].kind, abi::EventKind::seq_check);
            EXPECT_EQ(events[0].drop, abi::DropReason::icmp_bad_inner);
        }
        this->say({{kRst, 0, 1001, 0, kClient}});
    }
}

TYPED_TEST(IcmpQuote, I5_NoPathHasSuchAnMtu) {
    ASSERT_NO_FATAL_FAILURE(connect<TypeParam>(this->h));
    if constexpr (std::is_same_v<TypeParam, Ipv4>) {
        EXPECT_EQ(this->too_big(67, 5001), "icmp_bad_inner");
        EXPECT_EQ(this->too_big(1, 5001), "icmp_bad_inner");
        EXPECT_EQ(this->too_big(0, 5001), "forward") << "a router from before RFC 1191";
        EXPECT_EQ(this->too_big(68, 5001), "forward");
        EXPECT_EQ(this->too_big(68, 900'000), "icmp_bad_inner");
        EXPECT_EQ(this->too_big(1400U | 5U << 16, 5001), "forward") << "what stands before the MTU is not of it";
    } else {
        EXPECT_EQ(this->too_big(1279, 5001), "icmp_bad_inner") << "RFC 8201 section 4";
        EXPECT_EQ(this->too_big(0, 5001), "icmp_bad_inner");
        EXPECT_EQ(this->too_big(1280, 5001), "forward");
        EXPECT_EQ(this->too_big(1280, 900'000), "icmp_bad_inner");
        EXPECT_EQ(this->too_big(1U << 16, 5001), "forward") << "32 bits wide";
    }
}

// I3: no error is a sign of life, and none ends a flow.
TYPED_TEST(IcmpQuote, I3_I5_AnErrorNeitherRefreshesNorEndsItsFlow) {
    using namespace std::chrono_literals;
    this->say({{kSyn, 0, 1000, 0, kClient}});
    this->h.skip(20s);
    EXPECT_EQ(this->about(kClient, 1000), "forward");
    EXPECT_EQ(only_state(this->h), abi::FlowState::syn_sent);
    this->h.skip(11s);
    EXPECT_EQ(this->about(kClient, 1000), "icmp_unrelated") << "30 s after the SYN";
}

TYPED_TEST(IcmpQuote, I5_ScaledWindowsLagFurther) {
    this->say({{kSyn, 0, 1000, 0, kClient, "forward", 64240, {3, 3, 7}},
               {kSyn | kAck, 0, 5000, 1001, kShop, "forward", 64240, {3, 3, 7}},
               {kAck, 0, 1001, 5001, kClient, "forward", 1000}});
    EXPECT_EQ(this->about(kShop, 5001 - (1000U << 7)), "forward");
    EXPECT_EQ(this->about(kShop, 5000 - (1000U << 7)), "icmp_bad_inner");
}

TYPED_TEST(IcmpQuote, G2_I5_TheQuotedTagMustBeTheAssociations) {
    constexpr bool is_v4 = std::is_same_v<TypeParam, Ipv4>;
    TypeParam out;
    std::swap(out.src, out.dst);
    ASSERT_EQ(this->h.fate(kShop, frame(out, Sctp{.sport = 3868, .dport = 40000})), "forward");
    ASSERT_EQ(this->h.fate(kClient, frame(TypeParam{}, Sctp{.tag = 7, .chunks = sctp_init_ack(9)})), "forward");
    const auto about = [&](std::uint32_t tag) {
        const Bytes quote = datagram(out, Sctp{.sport = 3868, .dport = 40000, .tag = tag});
        return this->h.fate(kClient, this->error(kShop, quote, is_v4 ? std::uint8_t{3} : std::uint8_t{1}, 0, 0));
    };
    EXPECT_EQ(about(0), "forward") << "the INIT";
    EXPECT_EQ(about(9), "forward");
    EXPECT_EQ(about(7), "icmp_bad_inner");
}

}  // namespace
}  // namespace sluice::test
