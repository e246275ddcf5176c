// Many connections at once through the SYN proxy, with two hosts that lose, double, refuse and reset, policies that
// change, time that jumps and buffers that run out. Each host knows what it has said and heard: a number that it can't
// know, or a wrong checksum, is the proxy's mistake.
#include <map>
#include <random>

#include "tests/harness/seed.hpp"
#include "tests/unit/dataplane/pipeline/tcp_conversation.hpp"
#include "tests/unit/dataplane/pipeline/tcp_reading.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

/// One side of a connection. `sent` and `heard` count from behind the SYN.
struct Side {
    bool open{};
    std::uint32_t isn{}, peer_isn{};
    std::uint32_t sent{}, heard{};
    std::uint32_t stamp{};       ///< own clock
    std::uint32_t peer_stamp{};  ///< the last that was heard
    bool stamps{};
};
struct Talk {
    Side client, server;
};

class Hosts {
public:
    Hosts(std::uint32_t seed, bool v4) : random_{seed}, v4_{v4} {}

    void step(Harness& h) {
        change_world(h);
        std::vector<std::pair<std::uint8_t, FrameBytes>> frames = std::move(answers_);
        answers_.clear();
        for (std::size_t n = 1 + pick(6); n != 0; --n) speak(static_cast<std::uint16_t>(1 + pick(kTalks)));
        frames.insert(frames.end(), answers_.begin(), answers_.end());
        answers_.clear();
        std::shuffle(frames.begin(), frames.end(), random_);
        for (const auto& [port, frame] : frames) {
            if (pick(20) != 0) (void)h.io.arrive(port, frame);
            if (pick(20) == 0) (void)h.io.arrive(port, frame);
        }
        do {
            (void)h.run_once();
        } while (h.io.waiting() != 0);
        hear_all(h);
        h.io.can_allocate = true;
    }
    void hear_all(Harness& h) {
        for (const Output& out : h.io.take_sent()) hear(out);
        (void)h.events();
    }

    std::size_t opened{}, data_heard{};

private:
    static constexpr std::size_t kTalks = 24;

    std::size_t pick(std::size_t below) { return std::uniform_int_distribution<std::size_t>{0, below - 1}(random_); }

    static cp::Policy policy(cp::Action action, std::uint32_t half_open, abi::OnChange on_change) {
        cp::Policy p = shop_policy(abi::RuleLog::both).build();
        p.rules[0].action = action;
        p.on_change = on_change;
        p.syn_proxy.timestamps = abi::SynPromise::on;
        if (action != cp::Action::allow) return p;
        p.rules[0].limits = {.half_open_max = half_open, .over = abi::HalfOpenOver::syn_cookie};
        return p;
    }
    void change_world(Harness& h) {
        switch (pick(60)) {
            case 0: return h.use(policy(cp::Action::allow, 0, abi::OnChange::reevaluate));
            case 1: return h.use(policy(cp::Action::allow, 3, abi::OnChange::reevaluate));
            case 2: return h.use(policy(cp::Action::deny, 0, pick(2) == 0 ? abi::OnChange::kill : abi::OnChange::keep));
            case 3: return h.advance(std::chrono::milliseconds{pick(20'000)});
            case 4: return h.skip(std::chrono::milliseconds{pick(100'000)});
            case 5: h.io.can_allocate = false; return;
            default: return h.advance(std::chrono::milliseconds{pick(50)});
        }
    }

    void say(std::uint8_t from, std::uint16_t port, Tcp tcp) {
        const bool client = from == kClient;
        tcp.sport = client ? port : 443;
        tcp.dport = client ? 443 : port;
        if (v4_) {
            Ipv4 ip;
            if (!client) std::swap(ip.src, ip.dst);
            answers_.emplace_back(from, frame(ip, tcp));
        } else {
            Ipv6 ip;
            if (!client) std::swap(ip.src, ip.dst);
            answers_.emplace_back(from, frame(ip, tcp));
        }
    }
    void say_data(std::uint8_t from, std::uint16_t port, Side& me, std::uint32_t bytes, std::uint8_t more = 0) {
        say(from, port,
            {.seq = me.isn + 1 + me.sent,
             .ack = me.peer_isn + 1 + me.heard,
             .flags = static_cast<std::uint8_t>(kAck | more),
             .window = 5000,
             .options = me.stamps ? timestamps_option(++me.stamp, me.peer_stamp) : Bytes{},
             .payload = bytes_of(bytes)});
        me.sent += bytes;
    }
    void speak(std::uint16_t port) {
        Talk& t = talks_[port];
        if (!t.client.open || pick(12) == 0) {
            if (t.client.open && pick(2) == 0) {
                say_data(kClient, port, t.client, 0, kRst);
                t.client.open = false;
                return;
            }
            t = Talk{};
            t.client.isn = static_cast<std::uint32_t>(random_());
            t.client.stamp = static_cast<std::uint32_t>(random_());
            Bytes options = mss_option(1400);
            if (pick(2) == 0) options = options + wscale_option(static_cast<std::uint8_t>(pick(15)));
            if (pick(2) == 0) options = options + sack_permitted_option();
            if (pick(2) == 0) options = options + timestamps_option(t.client.stamp, 0);
            return say(kClient, port, {.seq = t.client.isn, .flags = kSyn, .options = options});
        }
        if (t.server.open && pick(2) == 0) return say_data(kShop, port, t.server, static_cast<std::uint32_t>(pick(50)));
        say_data(kClient, port, t.client, static_cast<std::uint32_t>(pick(50)));
    }

    void hear(const Output& out) {
        const TcpReading r = read_tcp(out.bytes);
        if (testing::Test::HasFailure()) return;
        if (out.port == kClient) {
            hear_client(r.dport, r);
        } else {
            hear_server(r.sport, r);
        }
    }
    void hear_client(std::uint16_t port, const TcpReading& r) {
        Side& me = talks_[port].client;
        if ((r.flags & kRst) != 0) {
            me.open = false;
            return;
        }
        if ((r.flags & kSyn) != 0) {
            if (r.ack != me.isn + 1 || me.open) return;  // of an older try
            me.open = true;
            me.peer_isn = r.seq;
            me.stamps = r.timestamps.has_value();
            if (me.stamps) me.peer_stamp = r.timestamps->first;
            ++opened;
            return say_data(kClient, port, me, 0);
        }
        if (!me.open) return;
        const Side& peer = talks_[port].server;
        if (!peer.open) return;  // what it said before it began anew
        // Of another try on either side, if it acknowledges what this one never had.
        if (r.ack - (me.isn + 1) > me.sent) return;
        const std::uint32_t at = r.seq - (me.peer_isn + 1);
        ASSERT_LE(at + r.payload_bytes, peer.sent) << "port " << port;
        if (me.stamps && peer.stamps) {
            ASSERT_TRUE(r.timestamps);
            ASSERT_LE(r.timestamps->first - me.peer_stamp + 1000, 3000U)
                << "the server's clock, as the client knows it";
        }
        me.heard = std::max(me.heard, static_cast<std::uint32_t>(at + r.payload_bytes));
        data_heard += r.payload_bytes;
    }
    void hear_server(std::uint16_t port, const TcpReading& r) {
        Talk& t = talks_[port];
        Side& me = t.server;
        if ((r.flags & kRst) != 0) {
            me.open = false;
            return;
        }
        if ((r.flags & kSyn) != 0) {
            if (me.open && me.peer_isn == r.seq) return;  // again; it stays as it is
            if (r.seq != t.client.isn) return;            // of a try that the client has given up
            if (pick(8) == 0) {
                return say(kShop, port, {.seq = 0, .ack = r.seq + 1, .flags = kRst | kAck});
            }
            me = Side{};
            me.isn = static_cast<std::uint32_t>(random_());
            me.peer_isn = r.seq;
            me.stamp = static_cast<std::uint32_t>(random_());
            me.open = true;
            Bytes options = mss_option(1300);
            if (r.wscale && pick(3) != 0) options = options + wscale_option(static_cast<std::uint8_t>(pick(15)));
            if (r.sack_permitted && pick(3) != 0) options = options + sack_permitted_option();
            me.stamps = r.timestamps && pick(6) != 0;
            if (me.stamps) {
                me.peer_stamp = r.timestamps->first;
                options = options + timestamps_option(me.stamp, me.peer_stamp);
            }
            return say(kShop, port, {.seq = me.isn, .ack = r.seq + 1, .flags = kSyn | kAck, .options = options});
        }
        if (!me.open || me.peer_isn != t.client.isn) return;
        const std::uint32_t at = r.seq - (me.peer_isn + 1);
        if (at + r.payload_bytes > t.client.sent) return;  // of an older try
        ASSERT_LE(r.ack - (me.isn + 1), me.sent) << "port " << port;
        if (me.stamps && t.client.stamps) {
            ASSERT_TRUE(r.timestamps);
            ASSERT_LE(me.stamp - r.timestamps->second, 3000U) << "its own clock comes back";
        }
        me.heard = std::max(me.heard, static_cast<std::uint32_t>(at + r.payload_bytes));
        data_heard += r.payload_bytes;
    }

    std::mt19937 random_;
    bool v4_;
    std::map<std::uint16_t, Talk> talks_;
    std::vector<std::pair<std::uint8_t, FrameBytes>> answers_;
};

TEST(SynProxyRandom, NobodyHearsANumberThatItCannotKnow) {
    for (const bool v4 : {true, false}) {
        const std::uint32_t s = seed_of_this_run();
        SCOPED_TRACE(testing::Message() << "SEED=" << s << (v4 ? " IPv4" : " IPv6"));
        Harness h{{.flow_entries_max = 256, .buffers = 512, .ring_records = 8192}};
        cp::Policy first = shop_policy(abi::RuleLog::both).build();
        first.rules[0].limits.over = abi::HalfOpenOver::syn_cookie;
        h.use(first);
        Hosts hosts{s, v4};
        for (int n = 0; n < 4'000 && !testing::Test::HasFailure(); ++n) {
            hosts.step(h);
            ASSERT_LE(h.counters().flows_proxied.read(), 16U);
        }
        EXPECT_GT(hosts.opened, 500U);
        EXPECT_GT(hosts.data_heard, 10'000U);
        const abi::WorkerCounters& c = h.counters();
        EXPECT_GT(c.syn_cookies_accepted.read(), 300U);
        EXPECT_GT(c.syn_proxy_refused.read(), 10U);
        EXPECT_GT(c.syn_proxy_repeats.read(), 0U);
        // Everything ends, and gives back what it took.
        first.rules[0].action = cp::Action::deny;
        first.rules[0].limits = {};
        h.use(first);
        h.skip(3h);  // marks of killed flows too
        h.advance(2s);
        (void)h.io.take_sent();
        EXPECT_EQ(h.flows(), 0U);
        EXPECT_EQ(c.flows_proxied.read(), 0U);
        EXPECT_EQ(c.flows_half_open.read(), 0U);
        first.rules[0].action = cp::Action::allow;
        first.rules[0].limits = {.half_open_max = 1};
        h.use(first);
        EXPECT_EQ(h.fate(kClient, frame(Ipv4{}, Tcp{.sport = 60'000})), "forward") << "no half-open flow is counted";
        EXPECT_EQ(h.fate(kClient, frame(Ipv4{}, Tcp{.sport = 60'001})), "half_open_limit");
    }
}

}  // namespace
}  // namespace sluice::test
