/// What the tests of the stages share: one policy, as it might stand at the edge of a network, and the frames of one
/// client outside and one shop inside, in both address families. A packet goes through all stages, so each stage is
/// tested as the worker that it is a part of; see tests/harness/harness.hpp.
#pragma once

#include <cstdint>
#include <utility>

#include <gtest/gtest.h>

#include "tests/harness/frames.hpp"
#include "tests/harness/harness.hpp"

namespace sluice::test {

inline constexpr std::uint8_t kOutside = 0, kInside = 1;

/// outside -> shop: web allowed, ssh rejected, ping allowed; inside -> outside: everything; default deny.
inline PolicyBuilder edge() {
    PolicyBuilder p;
    p.zone("outside", {"p0"}).zone("inside", {"p1"});
    p.set("shop", {"198.51.100.80/32", "2001:db8:51::80/128"});
    p.rule({.id = "web-in",
            .from = {"outside"},
            .to = {"shop"},
            .service = {"tcp/443", "udp/443"},
            .action = cp::Action::allow,
            .log = abi::RuleLog::both});
    p.rule({.id = "ops-closed",
            .from = {"outside"},
            .to = {"shop"},
            .service = {"tcp/22", "udp/22"},
            .action = cp::Action::reject,
            .log = abi::RuleLog::start});
    p.rule({.id = "ping-in",
            .from = {"outside"},
            .to = {"inside"},
            .service = {"icmp/8", "icmp6/128"},
            .action = cp::Action::allow});
    p.rule({.id = "egress", .from = {"inside"}, .to = {"outside"}, .action = cp::Action::allow});
    return p;
}

// Frames of the client (outside) and the shop (inside); `in` travels inwards.
template <typename Ip>
Ip in() {
    return {};
}
template <typename Ip>
Ip out() {
    Ip ip;
    std::swap(ip.src, ip.dst);
    return ip;
}
inline Tcp tcp_in(std::uint8_t flags, std::uint32_t seq, std::uint32_t ack = 0, std::uint16_t dport = 443) {
    return {.sport = 40000, .dport = dport, .seq = seq, .ack = ack, .flags = flags};
}
inline Tcp tcp_out(std::uint8_t flags, std::uint32_t seq, std::uint32_t ack = 0, std::uint16_t sport = 443) {
    return {.sport = sport, .dport = 40000, .seq = seq, .ack = ack, .flags = flags};
}

/// The client's handshake with the shop.
template <typename Ip>
void connect(Harness& h) {
    ASSERT_EQ(h.fate(kOutside, frame(in<Ip>(), tcp_in(kSyn, 1000))), "forward");
    ASSERT_EQ(h.fate(kInside, frame(out<Ip>(), tcp_out(kSyn | kAck, 5000, 1001))), "forward");
    ASSERT_EQ(h.fate(kOutside, frame(in<Ip>(), tcp_in(kAck, 1001, 5001))), "forward");
}

using Families = testing::Types<Ipv4, Ipv6>;

}  // namespace sluice::test
