/// TCP conversations through the harness: outside is the client (the original side), inside the shop. Segments are
/// rows, and the fate of each is the last column.
#pragma once

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/harness/frames.hpp"
#include "tests/harness/harness.hpp"

namespace sluice::test {

inline constexpr std::uint8_t kClient = 0, kShop = 1;  ///< the harness's ports
inline constexpr std::uint16_t kWindow = 64240;

struct Said {
    std::uint8_t flags{};
    std::uint32_t len{}, seq{}, ack{};
    std::uint8_t from{};
    std::string fate{"forward"};
    std::uint16_t win{kWindow};
    Bytes options{};
};

/// outside -> anywhere inside: 443 allowed, 22 rejected; inside -> outside: everything; default deny.
inline PolicyBuilder shop_policy(abi::RuleLog log = abi::RuleLog::none) {
    PolicyBuilder p;
    p.zone("outside", {"p0"}).zone("inside", {"p1"});
    p.rule({.id = "web-in",
            .from = {"outside"},
            .to = {"inside"},
            .service = {"tcp/443"},
            .action = cp::Action::allow,
            .log = log});
    p.rule(
        {.id = "ssh-no", .from = {"outside"}, .to = {"inside"}, .service = {"tcp/22"}, .action = cp::Action::reject});
    p.rule({.id = "egress", .from = {"inside"}, .to = {"outside"}, .action = cp::Action::allow, .log = log});
    return p;
}

template <typename Ip>
FrameBytes said_frame(const Said& s, std::uint16_t port = 443) {
    Ip ip;
    Tcp tcp{.sport = 40000,
            .dport = port,
            .seq = s.seq,
            .ack = s.ack,
            .flags = s.flags,
            .window = s.win,
            .options = s.options,
            .payload = bytes_of(s.len)};
    if (s.from == kShop) {
        std::swap(ip.src, ip.dst);
        std::swap(tcp.sport, tcp.dport);
    }
    return frame(ip, tcp);
}

template <typename Ip>
void say(Harness& h, const std::vector<Said>& rows) {
    for (std::size_t i = 0; i < rows.size(); ++i) {
        ASSERT_EQ(h.fate(rows[i].from, said_frame<Ip>(rows[i])), rows[i].fate) << "row " << i;
    }
}

/// Numbers start behind 1000 (client) and 5000 (shop).
template <typename Ip>
void connect(Harness& h, std::uint16_t win = kWindow) {
    say<Ip>(h, {{kSyn, 0, 1000, 0, kClient, "forward", win},
                {kSyn | kAck, 0, 5000, 1001, kShop, "forward", win},
                {kAck, 0, 1001, 5001, kClient, "forward", win}});
}

inline abi::FlowState only_state(Harness& h) {
    const auto flows = h.dump();
    EXPECT_EQ(flows.size(), 1U);
    return flows.empty() ? abi::FlowState::none : flows[0].state;
}

}  // namespace sluice::test
