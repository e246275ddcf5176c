// Handshakes in the server's stead, packet by packet: what client and server see, what is refused and how it is
// counted, and that every end of such a flow gives back what it took.
#include "dataplane/pipeline/syn_proxy.hpp"

#include <algorithm>

#include "tests/unit/dataplane/flow/slab_memory.hpp"
#include "tests/unit/dataplane/pipeline/proxied_policy.hpp"
#include "tests/unit/dataplane/pipeline/tcp_conversation.hpp"
#include "tests/unit/dataplane/pipeline/tcp_reading.hpp"

namespace sluice::test {
namespace {

using abi::DropReason;
using namespace std::chrono_literals;

constexpr std::uint32_t kClientIsn = 1000, kServerIsn = 5'000'000;

/// What the client's SYN offers, and the server's SYN-ACK.
struct Offer {
    Bytes options;
    std::uint16_t window{kWindow};
};
const Offer kModern{mss_option(1460) + sack_permitted_option() + timestamps_option(77, 0) + wscale_option(8)};
const Offer kServer{mss_option(1400) + sack_permitted_option() + timestamps_option(900, 77) + wscale_option(9), 28'960};
const Offer kBareServer{mss_option(1400)};

template <typename Ip>
class SynProxy : public testing::Test {
protected:
    explicit SynProxy(const HarnessOptions& options = {}) : harness{options} {}

    /// One frame; all that leaves because of it.
    std::vector<Output> from(std::uint8_t port, const FrameBytes& frame) { return harness.send({{port, frame}}); }
    std::vector<Output> client(std::uint8_t flags, std::uint32_t seq, std::uint32_t ack, const Bytes& options = {},
                               std::uint32_t len = 0, std::uint16_t window = kWindow) {
        return from(kClient, said_frame<Ip>({flags, len, seq, ack, kClient, "", window, options}));
    }
    std::vector<Output> server(std::uint8_t flags, std::uint32_t seq, std::uint32_t ack, const Bytes& options = {},
                               std::uint32_t len = 0, std::uint16_t window = kWindow) {
        return from(kShop, said_frame<Ip>({flags, len, seq, ack, kShop, "", window, options}));
    }
    /// The only packet; to this port.
    static TcpReading only(const std::vector<Output>& out, std::uint8_t port) {
        EXPECT_EQ(out.size(), 1U);
        if (out.empty()) return {};
        EXPECT_EQ(out[0].port, port);
        return read_tcp(out[0].bytes);
    }
    TcpReading syn_ack(const Offer& offer = kModern) { return only(client(kSyn, isn, 0, offer.options), kClient); }
    /// The ACK to that; the SYN that the server gets.
    TcpReading syn_for(const TcpReading& syn_ack, std::uint32_t len = 0) {
        Bytes options;
        if (syn_ack.timestamps) options = timestamps_option(78, syn_ack.timestamps->first);
        return only(client(kAck, isn + 1, syn_ack.seq + 1, options, len, 500), kShop);
    }
    /// The whole handshake; what the client gets at its end.
    TcpReading connect(const Offer& client_offer = kModern, const Offer& server_offer = kServer) {
        cookie = syn_ack(client_offer);
        const TcpReading syn = syn_for(cookie);
        EXPECT_EQ(syn.seq, isn);
        const auto both = server(kSyn | kAck, kServerIsn, isn + 1, server_offer.options, 0, server_offer.window);
        EXPECT_EQ(both.size(), 2U);
        if (both.size() != 2) return {};
        to_server = read_tcp(both[both[0].port == kShop ? 0 : 1].bytes);
        return read_tcp(both[both[0].port == kShop ? 1 : 0].bytes);
    }
    void expect_nothing_left() {
        EXPECT_EQ(harness.flows(), 0U);
        harness.advance(10ms);
        EXPECT_EQ(harness.counters().flows_proxied.read(), 0U);
        EXPECT_EQ(harness.counters().flows_half_open.read(), 0U);
    }

    Harness harness;
    TcpReading cookie, to_server;
    std::uint32_t isn{kClientIsn};  ///< of the client's next SYN
};
using Families = testing::Types<Ipv4, Ipv6>;
TYPED_TEST_SUITE(SynProxy, Families);

TYPED_TEST(SynProxy, X1_ASynIsAnsweredAndNothingIsKept) {
    auto& h = this->harness;
    h.use(proxied({.over = abi::HalfOpenOver::syn_cookie}, {.timestamps = abi::SynPromise::on}));
    const TcpReading a = this->syn_ack();
    EXPECT_EQ(a.flags, kSyn | kAck);
    EXPECT_EQ(a.ack, kClientIsn + 1);
    EXPECT_EQ(a.window, 0U) << "the server has not answered";
    const bool v4 = std::is_same_v<TypeParam, Ipv4>;
    EXPECT_EQ(a.mss, v4 ? 1460 : 1440);
    EXPECT_EQ(a.wscale, 7U);
    EXPECT_TRUE(a.sack_permitted);
    ASSERT_TRUE(a.timestamps);
    EXPECT_EQ(a.timestamps->second, 77U);
    EXPECT_EQ(h.flows(), 0U);
    EXPECT_EQ(h.counters().syn_cookies_sent.read(), 1U);
    EXPECT_EQ(h.rule("web-in").hits.read(), 0U) << "hits are flows";
    EXPECT_EQ(this->syn_ack().seq, a.seq) << "a repeated SYN gets the same answer";
    // A client that offers nothing is promised nothing.
    const TcpReading bare = this->syn_ack({});
    EXPECT_FALSE(bare.wscale || bare.timestamps || bare.sack_permitted);
    h.advance(100ms);
    EXPECT_EQ(h.counters().syn_cookies_active.read(), 1U);
    h.advance(2s);
    EXPECT_EQ(h.counters().syn_cookies_active.read(), 0U);
}

TYPED_TEST(SynProxy, AHandshakeOnBothSidesAndDataBothWays) {
    auto& h = this->harness;
    h.use(proxied({.over = abi::HalfOpenOver::syn_cookie}, {.timestamps = abi::SynPromise::on}));
    const TcpReading opened = this->connect();
    EXPECT_EQ(opened.flags, kAck);
    EXPECT_EQ(opened.seq, this->cookie.seq + 1);
    EXPECT_EQ(opened.ack, kClientIsn + 1);
    EXPECT_EQ(opened.window, 28'960U >> 7) << "a SYN's window is not scaled, an ACK's is";
    EXPECT_EQ(opened.timestamps, (std::pair{this->cookie.timestamps->first, 78U}));
    EXPECT_EQ(this->to_server.flags, kAck);
    EXPECT_EQ(this->to_server.seq, kClientIsn + 1);
    EXPECT_EQ(this->to_server.ack, kServerIsn + 1);
    EXPECT_EQ(this->to_server.window, 65'535U >> 8) << "500 units are more than a SYN can say";
    EXPECT_EQ(this->to_server.timestamps, (std::pair{78U, 900U}));
    EXPECT_EQ(only_state(h), abi::FlowState::established);
    EXPECT_EQ(h.dump()[0].proxied, 1U);
    EXPECT_EQ(h.counters().syn_cookies_accepted.read(), 1U);
    EXPECT_EQ(h.rule("web-in").hits.read(), 1U);

    const std::uint32_t stamp = this->cookie.timestamps->first;
    const TcpReading request = this->only(
        this->client(kAck | kPsh, kClientIsn + 1, this->cookie.seq + 1, timestamps_option(80, stamp), 100), kShop);
    EXPECT_EQ(request.ack, kServerIsn + 1);
    EXPECT_EQ(request.timestamps, (std::pair{80U, 900U}));
    const TcpReading answer = this->only(
        this->server(kAck, kServerIsn + 1, kClientIsn + 101, timestamps_option(950, 80), 1000, 100), kClient);
    EXPECT_EQ(answer.seq, this->cookie.seq + 1);
    EXPECT_EQ(answer.window, 400U);
    EXPECT_EQ(answer.timestamps, (std::pair{stamp + 50, 80U}));
    // A hole: the client has what lies behind it.
    this->server(kAck, kServerIsn + 2001, kClientIsn + 101, timestamps_option(951, 80), 1000, 100);
    const TcpReading hole =
        this->only(this->client(kAck, kClientIsn + 101, this->cookie.seq + 1001,
                                timestamps_option(81, stamp + 51) + Bytes{1, 1, 5, 10} +
                                    big32(this->cookie.seq + 2001) + big32(this->cookie.seq + 3001)),
                   kShop);
    EXPECT_EQ(hole.ack, kServerIsn + 1001);
    EXPECT_EQ(hole.sack, (std::vector{std::pair{kServerIsn + 2001, kServerIsn + 3001}}));
    // Both close.
    EXPECT_EQ(this->only(this->client(kFin | kAck, kClientIsn + 101, this->cookie.seq + 3001), kShop).ack,
              kServerIsn + 3001);
    EXPECT_EQ(this->only(this->server(kFin | kAck, kServerIsn + 3001, kClientIsn + 102), kClient).seq,
              this->cookie.seq + 3001);
    this->client(kAck, kClientIsn + 102, this->cookie.seq + 3002);
    EXPECT_EQ(only_state(h), abi::FlowState::time_wait);
    EXPECT_EQ(h.counters().tcp_overshoot.read() + h.counters().tcp_window_unknown.read(), 0U);
    h.advance(121s);
    this->expect_nothing_left();
}

TYPED_TEST(SynProxy, NumbersAreCheckedAsInAnyFlow) {
    auto& h = this->harness;
    h.use(proxied());
    this->connect(kModern, {mss_option(1400) + sack_permitted_option() + wscale_option(9)});
    EXPECT_TRUE(this->client(kAck, kClientIsn + 1, kServerIsn + 1).empty()) << "the server's own number";
    EXPECT_EQ(h.drops(kClient, DropReason::tcp_bad_ack), 1U);
    EXPECT_TRUE(this->server(kAck, kServerIsn + 100'000'000, kClientIsn + 1, {}, 10).empty());
    EXPECT_EQ(h.drops(kShop, DropReason::tcp_out_of_window), 1U);
    // A reset from either end, with the number that the other waits for.
    EXPECT_EQ(this->only(this->server(kRst, kServerIsn + 1, 0), kClient).seq, this->cookie.seq + 1);
    EXPECT_EQ(only_state(h), abi::FlowState::closed);
    EXPECT_TRUE(this->client(kAck, kClientIsn + 1, this->cookie.seq + 1).empty());
    EXPECT_EQ(h.drops(kClient, DropReason::tcp_closed), 1U) << "a cookie is good for one flow";
}

TYPED_TEST(SynProxy, BeforeTheServerHasAnsweredTheClientWaits) {
    auto& h = this->harness;
    h.use(proxied());
    const TcpReading a = this->syn_ack();
    const TcpReading syn = this->syn_for(a, 100);  // data although the window is closed
    EXPECT_EQ(syn.flags, kSyn);
    EXPECT_EQ(syn.payload_bytes, 0U);
    EXPECT_EQ(syn.mss, 1460U);
    EXPECT_EQ(syn.wscale, 8U);
    EXPECT_EQ(syn.window, 65'535U);
    EXPECT_TRUE(syn.sack_permitted);
    EXPECT_FALSE(syn.timestamps) << "they were not promised";
    EXPECT_EQ(h.counters().syn_proxy_data.read(), 1U);
    EXPECT_EQ(only_state(h), abi::FlowState::syn_sent);
    EXPECT_TRUE(this->client(kAck, kClientIsn + 1, a.seq + 1, {}, 1).empty());
    EXPECT_TRUE(this->client(kSyn, kClientIsn, 0, kModern.options).empty());
    EXPECT_TRUE(this->client(kFin | kAck, kClientIsn + 1, a.seq + 1).empty());
    EXPECT_EQ(h.drops(kClient, DropReason::syn_proxy_wait), 3U);
    // Of the server, a wrong acknowledgement or flags.
    EXPECT_TRUE(this->server(kSyn | kAck, kServerIsn, kClientIsn + 2).empty());
    EXPECT_EQ(h.drops(kShop, DropReason::tcp_bad_ack), 1U);
    EXPECT_TRUE(this->server(kSyn, kServerIsn, 0).empty());
    EXPECT_EQ(h.drops(kShop, DropReason::tcp_bad_flags), 1U);
    EXPECT_TRUE(this->server(kRst | kAck, 0, kClientIsn + 7).empty());
    EXPECT_EQ(h.drops(kShop, DropReason::tcp_bad_rst), 1U);
    EXPECT_EQ(only_state(h), abi::FlowState::syn_sent);
    // It knows an older connection: the answer is the client's reset, and the next SYN finds it gone.
    const TcpReading reset = this->only(this->server(kAck, 77, 88), kShop);
    EXPECT_EQ(reset.flags, kRst);
    EXPECT_EQ(reset.seq, 88U);
}

TYPED_TEST(SynProxy, ASilentServerIsAskedFourTimes) {
    auto& h = this->harness;
    h.use(proxied({.over = abi::HalfOpenOver::syn_cookie}, {}, abi::RuleLog::both));
    const TcpReading a = this->syn_ack();
    const TcpReading syn = this->syn_for(a);
    h.io.take_sent();
    h.events();
    h.advance(7'500ms);
    const auto repeated = h.io.take_sent();
    ASSERT_EQ(repeated.size(), 3U);
    for (const Output& out : repeated) {
        EXPECT_EQ(out.port, kShop);
        const TcpReading again = read_tcp(out.bytes);
        EXPECT_EQ(std::tuple(again.seq, again.flags, again.mss, again.wscale, again.window, again.sack_permitted),
                  std::tuple(syn.seq, syn.flags, syn.mss, syn.wscale, syn.window, syn.sack_permitted));
        EXPECT_EQ(again.dst_mac, kInsideMac);
        EXPECT_EQ(again.src, syn.src);
    }
    EXPECT_EQ(h.counters().syn_proxy_repeats.read(), 3U);
    h.advance(8s);
    const auto given_up = h.io.take_sent();
    ASSERT_EQ(given_up.size(), 1U);
    EXPECT_EQ(given_up[0].port, kClient);
    const TcpReading reset = read_tcp(given_up[0].bytes);
    EXPECT_EQ(reset.flags, kRst);
    EXPECT_EQ(reset.seq, a.seq + 1);
    EXPECT_EQ(reset.dst_mac, kOutsideMac);
    EXPECT_EQ(h.counters().syn_proxy_unanswered.read(), 1U);
    const auto events = h.events();
    ASSERT_EQ(events.size(), 1U);
    EXPECT_EQ(events[0].end, abi::FlowEnd::unanswered);
    this->expect_nothing_left();
}

TYPED_TEST(SynProxy, AServerThatRefusesResetsTheClient) {
    auto& h = this->harness;
    h.use(proxied());
    const TcpReading a = this->syn_ack();
    this->syn_for(a);
    const TcpReading reset = this->only(this->server(kRst | kAck, 0, kClientIsn + 1), kClient);
    EXPECT_EQ(reset.flags, kRst);
    EXPECT_EQ(reset.seq, a.seq + 1);
    EXPECT_EQ(h.counters().syn_proxy_refused.read(), 1U);
    EXPECT_EQ(only_state(h), abi::FlowState::closed);
    h.advance(20s);
    this->expect_nothing_left();
    EXPECT_TRUE(h.io.take_sent().empty()) << "no timer is left";
}

TYPED_TEST(SynProxy, AClientThatGivesUpIsGoneForTheServerToo) {
    auto& h = this->harness;
    h.use(proxied());
    const TcpReading a = this->syn_ack();
    this->syn_for(a);
    EXPECT_TRUE(this->client(kRst, kClientIsn + 2, 0).empty());
    EXPECT_EQ(h.drops(kClient, DropReason::tcp_bad_rst), 1U);
    const TcpReading reset = this->only(this->client(kRst, kClientIsn + 1, 0), kShop);
    EXPECT_EQ(reset.flags, kRst);
    EXPECT_EQ(reset.seq, kClientIsn + 1);
    h.advance(20s);
    this->expect_nothing_left();
}

TYPED_TEST(SynProxy, ATimestampPromiseThatTheServerDoesNotKeep) {
    auto& h = this->harness;
    h.use(proxied({.over = abi::HalfOpenOver::syn_cookie}, {.timestamps = abi::SynPromise::on}));
    const TcpReading a = this->syn_ack();
    ASSERT_TRUE(a.timestamps);
    this->syn_for(a);
    const auto both = this->server(kSyn | kAck, kServerIsn, kClientIsn + 1, kBareServer.options);
    ASSERT_EQ(both.size(), 2U);
    for (const Output& out : both) {
        EXPECT_EQ(read_tcp(out.bytes).flags, kRst);
        EXPECT_EQ(read_tcp(out.bytes).seq, out.port == kShop ? kClientIsn + 1 : a.seq + 1);
    }
    EXPECT_EQ(h.drops(kShop, DropReason::syn_proxy_mismatch), 1U);
    h.advance(11s);
    // The next try is promised what the server does: its MSS too.
    const TcpReading next = this->syn_ack();
    EXPECT_FALSE(next.timestamps);
    EXPECT_FALSE(next.sack_permitted);
    EXPECT_EQ(next.mss, 1400U);
    this->connect(kModern, kBareServer);
    EXPECT_EQ(only_state(h), abi::FlowState::established);
}

TYPED_TEST(SynProxy, WhatServersDoIsLearnedFromOrdinaryHandshakes) {
    auto& h = this->harness;
    h.use(proxied({.half_open_max = 1, .over = abi::HalfOpenOver::syn_cookie}));
    // The first goes through as it is.
    const auto syn = said_frame<TypeParam>({kSyn, 0, 1000, 0, kClient, "", kWindow, kModern.options});
    EXPECT_EQ(h.fate(kClient, syn), "forward");
    // While it is half-open, another is answered with a cookie; nothing is known yet.
    const auto other = [&] {
        TypeParam ip;
        return this->only(this->from(kClient, frame(ip, Tcp{.sport = 40'001, .options = kModern.options})), kClient);
    };
    const TcpReading before = other();
    EXPECT_FALSE(before.timestamps);
    EXPECT_EQ(h.fate(kShop, said_frame<TypeParam>({kSyn | kAck, 0, 5000, 1001, kShop, "", kWindow, kServer.options})),
              "forward");
    const TcpReading after = other();
    EXPECT_TRUE(after.timestamps);
    EXPECT_EQ(after.mss, 1400U);
    EXPECT_EQ(h.fate(kClient, said_frame<TypeParam>({kAck, 0, 1001, 5001, kClient})), "forward");
    EXPECT_EQ(h.fate(kClient, frame(TypeParam{}, Tcp{.sport = 40'002})), "forward")
        << "the first is open: there is room";
}

TYPED_TEST(SynProxy, CookiesThatAreWrongOldOrOfAnother) {
    auto& h = this->harness;
    h.use(proxied());
    EXPECT_TRUE(this->client(kAck, kClientIsn + 1, 1).empty());
    EXPECT_EQ(h.drops(kClient, DropReason::syn_cookie_bad), 1U) << "it may be of the process before";
    const TcpReading a = this->syn_ack();
    EXPECT_TRUE(this->client(kAck, kClientIsn + 1, a.seq + 2).empty());
    EXPECT_TRUE(this->client(kAck, kClientIsn + 2, a.seq + 1, {}, 1).empty());
    EXPECT_EQ(h.drops(kClient, DropReason::syn_cookie_bad), 3U);
    EXPECT_TRUE(this->server(kAck, 5000, 6000).empty());
    EXPECT_EQ(h.drops(kShop, DropReason::syn_cookie_bad), 1U);
    h.advance(65s);
    EXPECT_TRUE(this->client(kAck, kClientIsn + 1, a.seq + 1).empty()) << "too late";
    EXPECT_EQ(h.drops(kClient, DropReason::syn_cookie_bad), 3U);
    EXPECT_EQ(h.drops(kClient, DropReason::tcp_no_flow), 1U) << "nobody has got a cookie since";
    EXPECT_EQ(h.flows(), 0U);
}

TYPED_TEST(SynProxy, AProbeOfTheClosedWindowStandsForALostAck) {
    auto& h = this->harness;
    h.use(proxied());
    const TcpReading a = this->syn_ack();
    EXPECT_EQ(this->only(this->client(kAck, kClientIsn, a.seq + 1), kShop).seq, kClientIsn);
    EXPECT_EQ(only_state(h), abi::FlowState::syn_sent);
}

TYPED_TEST(SynProxy, LimitsAreAskedBeforeTheCookieAndAgainBehindIt) {
    auto& h = this->harness;
    h.use(proxied({.states_max = 1, .over = abi::HalfOpenOver::syn_cookie}));
    const TcpReading a = this->syn_ack();
    const auto other_syn = frame(TypeParam{}, Tcp{.sport = 40'001});
    const TcpReading b = this->only(this->from(kClient, other_syn), kClient);
    this->syn_for(a);
    EXPECT_TRUE(this->from(kClient, other_syn).empty());
    EXPECT_EQ(h.drops(kClient, DropReason::rule_limit), 1U);
    // It believes to be connected: it is told that it is not.
    const TcpReading reset = this->only(
        this->from(kClient, frame(TypeParam{}, Tcp{.sport = 40'001, .seq = 1001, .ack = b.seq + 1, .flags = kAck})),
        kClient);
    EXPECT_EQ(reset.flags, kRst);
    EXPECT_EQ(reset.seq, b.seq + 1);
    EXPECT_EQ(h.drops(kClient, DropReason::rule_limit), 2U);
}

TYPED_TEST(SynProxy, HalfOpenIsALimitOfItsOwn) {
    auto& h = this->harness;
    h.use(proxied({.half_open_max = 2}));
    const auto syn = [&](std::uint16_t port) { return h.fate(kClient, frame(TypeParam{}, Tcp{.sport = port})); };
    EXPECT_EQ(syn(1), "forward");
    EXPECT_EQ(syn(2), "forward");
    EXPECT_EQ(syn(3), "half_open_limit");
    EXPECT_EQ(h.fate(kShop, frame(TypeParam{.src = TypeParam{}.dst, .dst = TypeParam{}.src},
                                  Tcp{.sport = 443, .dport = 1, .seq = 5000, .ack = 1001, .flags = kSyn | kAck})),
              "forward");
    EXPECT_EQ(syn(3), "half_open_limit") << "a handshake is over with its third segment";
    EXPECT_EQ(h.fate(kClient, frame(TypeParam{}, Tcp{.sport = 1, .seq = 1001, .ack = 5001, .flags = kAck})), "forward");
    EXPECT_EQ(syn(3), "forward");
    // A reset gives back too, and so do time and a policy that no longer allows it.
    EXPECT_EQ(h.fate(kClient, frame(TypeParam{}, Tcp{.sport = 2, .seq = 1001, .flags = kRst})), "forward");
    EXPECT_EQ(syn(4), "forward");
    EXPECT_EQ(syn(5), "half_open_limit");
    h.advance(31s);
    EXPECT_EQ(syn(5), "forward");
    EXPECT_EQ(syn(6), "forward");
    EXPECT_EQ(syn(7), "half_open_limit");
    h.use(proxied({.half_open_max = 3}));
    EXPECT_EQ(syn(7), "forward") << "the others still count";
    EXPECT_EQ(syn(8), "half_open_limit");
}

TYPED_TEST(SynProxy, AnErrorAboutTheSynRefusesTheClient) {
    auto& h = this->harness;
    h.use(proxied());
    const TcpReading a = this->syn_ack();
    this->syn_for(a);
    const bool v4 = std::is_same_v<TypeParam, Ipv4>;
    const auto error = [&](std::uint32_t seq) {
        const Bytes quote = datagram(TypeParam{}, Tcp{.seq = seq});
        if constexpr (std::is_same_v<TypeParam, Ipv4>) {
            return frame(Ipv4{.src = "198.51.100.1", .dst = "198.51.100.7"},
                         Icmp{.type = 3, .code = 1, .id = 0, .seq = 0, .payload = quote});
        } else {
            return frame(Ipv6{.src = "2001:db8:51::1", .dst = "2001:db8:51::7"},
                         Icmp{.type = 1, .code = 3, .id = 0, .seq = 0, .payload = quote});
        }
    };
    EXPECT_EQ(h.fate(kShop, error(kClientIsn + 100'000'000)), "icmp_bad_inner");
    const TcpReading reset = this->only(this->from(kShop, error(kClientIsn)), kClient);
    EXPECT_EQ(reset.flags, kRst);
    EXPECT_EQ(reset.seq, a.seq + 1);
    EXPECT_EQ(reset.src.back(), v4 ? 80 : 0x80) << "from the server, not from the router";
    EXPECT_EQ(h.counters().syn_proxy_refused.read(), 1U);
    this->expect_nothing_left();
}

TYPED_TEST(SynProxy, ErrorsAboutTranslatedSegmentsFindTheirFlow) {
    auto& h = this->harness;
    h.use(proxied());
    this->connect(kModern, {mss_option(1400) + sack_permitted_option() + wscale_option(9)});
    this->server(kAck, kServerIsn + 1, kClientIsn + 1, {}, 1000);
    TypeParam back;
    std::swap(back.src, back.dst);
    const Bytes seen = datagram(
        back, Tcp{.sport = 443, .dport = 40'000, .seq = this->cookie.seq + 1, .ack = kClientIsn + 1, .flags = kAck});
    Bytes error;
    if constexpr (std::is_same_v<TypeParam, Ipv4>) {
        error = frame(Ipv4{.dst = "198.51.100.80"}, Icmp{.type = 3, .code = 4, .id = 0, .seq = 1400, .payload = seen});
    } else {
        error = frame(Ipv6{.dst = "2001:db8:51::80"}, Icmp{.type = 2, .id = 0, .seq = 1400, .payload = seen});
    }
    const auto out = this->from(kClient, error);
    ASSERT_EQ(out.size(), 1U);
    EXPECT_EQ(out[0].port, kShop);
    const std::size_t at = std::is_same_v<TypeParam, Ipv4> ? 14 + 20 + 8 + 20 + 4 : 14 + 40 + 8 + 40 + 4;
    EXPECT_EQ(Bytes(out[0].bytes.begin() + static_cast<long>(at), out[0].bytes.begin() + static_cast<long>(at) + 4),
              big32(kServerIsn + 1));
}

TYPED_TEST(SynProxy, ASynAckThatComesAgainIsAnsweredHere) {
    auto& h = this->harness;
    h.use(proxied());
    const Offer offer{mss_option(1400) + sack_permitted_option() + wscale_option(9)};
    this->connect(kModern, offer);
    this->client(kAck, kClientIsn + 1, this->cookie.seq + 1, {}, 10);
    const TcpReading ack = this->only(this->server(kSyn | kAck, kServerIsn, kClientIsn + 1, offer.options), kShop);
    EXPECT_EQ(ack.flags, kAck);
    EXPECT_EQ(ack.seq, kClientIsn + 11);
    EXPECT_EQ(ack.ack, kServerIsn + 1);
    EXPECT_EQ(only_state(h), abi::FlowState::established);
}

TYPED_TEST(SynProxy, AKilledFlowIsResetWithTheNumbersOfEachEnd) {
    auto& h = this->harness;
    h.use(proxied());
    this->connect(kModern, {mss_option(1400) + sack_permitted_option() + wscale_option(9)});
    cp::Policy other = proxied();
    other.rules[0].action = cp::Action::deny;
    other.rules[0].limits = {};
    other.on_change = abi::OnChange::kill;
    h.use(other);
    const auto both = this->client(kAck, kClientIsn + 1, this->cookie.seq + 1, {}, 10);
    ASSERT_EQ(both.size(), 2U);
    for (const Output& out : both) {
        const TcpReading r = read_tcp(out.bytes);
        EXPECT_EQ(r.flags & kRst, kRst);
        EXPECT_EQ(r.seq, out.port == kClient ? this->cookie.seq + 1 : kClientIsn + 1);
    }
    const auto back = this->server(kAck, kServerIsn + 1, kClientIsn + 11, {}, 5);
    ASSERT_EQ(back.size(), 2U);
    for (const Output& out : back) {
        EXPECT_EQ(read_tcp(out.bytes).seq, out.port == kShop ? kClientIsn + 11 : this->cookie.seq + 1);
    }
}

TYPED_TEST(SynProxy, TheNameOfAnEndedFlowBeginsAnew) {
    auto& h = this->harness;
    h.use(proxied());
    const Offer offer{mss_option(1400) + sack_permitted_option() + wscale_option(9)};
    this->connect(kModern, offer);
    this->server(kRst, kServerIsn + 1, 0);
    EXPECT_EQ(only_state(h), abi::FlowState::closed);
    this->isn += 64'000;
    this->connect(kModern, offer);
    EXPECT_EQ(only_state(h), abi::FlowState::established);
    EXPECT_EQ(h.counters().flow_reopen.read(), 1U);
    EXPECT_EQ(h.flows(), 1U);
    h.advance(10ms);
    EXPECT_EQ(h.counters().flows_proxied.read(), 1U);
}

TYPED_TEST(SynProxy, WhatMayNotBeAnsweredIsRefused) {
    auto& h = this->harness;
    h.use(proxied());
    EXPECT_EQ(h.fate(kClient, frame(TypeParam{}, Tcp{.options = mss_option(100)})), "half_open_limit");
    EXPECT_EQ(h.fate(kClient, frame(TypeParam{}, Tcp{.dport = 22})), "policy_reject+answer");
    EXPECT_EQ(h.fate(kClient, frame(TypeParam{}, Tcp{.dport = 23})), "policy_deny");
    EXPECT_EQ(h.counters().syn_cookies_sent.read(), 0U);
    h.io.can_allocate = false;
    EXPECT_TRUE(this->client(kSyn, kClientIsn, 0).empty());
    h.io.can_allocate = true;
}

// A second harness on the memory of the first is the process after it.
TYPED_TEST(SynProxy, A2_ProxiedFlowsOutliveTheProcess) {
    constexpr std::uint32_t kEntries = 64;
    dp::test::SlabMemory memory{kEntries, kEntries};
    dp::FlowAnchor anchor;
    const auto options = [&](std::uint32_t tick) {
        return HarnessOptions{.flow_entries_max = kEntries,
                              .flow_home = {.slab = memory.slab(),
                                            .anchor = &anchor,
                                            .tick_at_origin = tick,
                                            .limits = {.now_tick = tick, .rule_slots = 1024, .wires = 1}}};
    };
    const Bytes server_options = mss_option(1400) + wscale_option(9);
    std::uint32_t answered = 0, waiting = 0;
    {
        Harness before{options(0)};
        before.use(proxied());
        const auto one = [&](std::uint8_t port, const FrameBytes& f, std::size_t index = 0) {
            const auto out = before.send({{port, f}});
            EXPECT_GT(out.size(), index);
            return read_tcp(out.at(index).bytes);
        };
        answered = one(kClient, said_frame<TypeParam>({kSyn, 0, 1000, 0, kClient, "", kWindow, kModern.options})).seq;
        one(kClient, said_frame<TypeParam>({kAck, 0, 1001, answered + 1, kClient}));
        one(kShop, said_frame<TypeParam>({kSyn | kAck, 0, kServerIsn, 1001, kShop, "", kWindow, server_options}), 1);
        // Another one waits for its server.
        waiting = one(kClient, frame(TypeParam{}, Tcp{.sport = 40'001})).seq;
        one(kClient, frame(TypeParam{}, Tcp{.sport = 40'001, .seq = 1001, .ack = waiting + 1, .flags = kAck}));
    }
    Harness h{options(100)};
    EXPECT_EQ(h.recovered().kept, 2U);
    EXPECT_EQ(h.recovered().lost_total(), 0U);
    h.use(proxied());
    const auto out = h.send({{kClient, said_frame<TypeParam>({kAck, 10, 1001, answered + 1, kClient})}});
    ASSERT_EQ(out.size(), 1U);
    EXPECT_EQ(read_tcp(out[0].bytes).ack, kServerIsn + 1);
    // The other's SYN is sent again, and its client told in the end.
    h.io.take_sent();
    h.advance(16s);
    const auto later = h.io.take_sent();
    ASSERT_EQ(later.size(), 4U);
    EXPECT_EQ(read_tcp(later[0].bytes).flags, kSyn);
    EXPECT_EQ(read_tcp(later[3].bytes).flags, kRst);
    EXPECT_EQ(read_tcp(later[3].bytes).seq, waiting + 1);
    h.advance(10ms);
    EXPECT_EQ(h.counters().flows_proxied.read(), 1U);
}

}  // namespace
}  // namespace sluice::test
