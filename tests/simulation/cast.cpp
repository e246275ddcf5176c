#include "tests/simulation/cast.hpp"

#include <array>
#include <utility>

namespace sluice::sim {

using abi::IpFamily;
using abi::L4Proto;
using namespace sluice::test;

Cast cast_of(std::size_t c) {
    static constexpr std::array<std::pair<bool, L4Proto>, 8> kKinds{{{false, L4Proto::udp},
                                                                     {true, L4Proto::udp},
                                                                     {false, L4Proto::icmp},
                                                                     {true, L4Proto::icmp6},
                                                                     {false, L4Proto::gre},
                                                                     {true, L4Proto::sctp},
                                                                     {false, L4Proto::tcp},
                                                                     {true, L4Proto::tcp}}};
    static constexpr std::array<std::uint16_t, 3> kPorts3{53, 443, 8000};
    const auto [v6, proto] = kKinds[c % 8];
    const auto wire = static_cast<std::uint8_t>(c / 8 % 2);
    const std::string net = v6 ? "fd00:" + std::to_string(wire) + "::" : "10." + std::to_string(wire) + ".";
    const std::string client = net + (v6 ? "1:" : "1.") + std::to_string(c + 1);
    const std::string server = net + (v6 ? "2:" : "2.") + std::to_string(1 + c % 2);
    const auto side = static_cast<std::uint8_t>((c * 5 / 4) & 1U);
    const auto low = static_cast<std::uint8_t>(wire * 2);
    return {v6 ? IpFamily::v6 : IpFamily::v4,
            proto,
            {client, static_cast<std::uint8_t>(low + side)},
            {server, static_cast<std::uint8_t>(low + 1 - side)},
            kPorts3[c % 3]};
}

Bytes wrap(const Cast& cast, bool from_client, const L4& l4, const Eth& eth) {
    const Host &from = from_client ? cast.client : cast.server, &to = from_client ? cast.server : cast.client;
    if (cast.family == IpFamily::v6) return frame(Ipv6{.src = from.addr, .dst = to.addr}, l4, eth);
    return frame(Ipv4{.src = from.addr, .dst = to.addr}, l4, eth);
}

/// So few that a SYN meets what its port has left behind.
std::uint16_t client_port(std::size_t c, std::uint32_t incarnation) {
    return static_cast<std::uint16_t>(2000 + c * 100 + incarnation % 4);
}

Tuple tuple_of(const Cast& cast, std::size_t c, bool from_client, std::uint32_t incarnation) {
    const Host &from = from_client ? cast.client : cast.server, &to = from_client ? cast.server : cast.client;
    Tuple t{.family = cast.family, .src = address(from.addr), .dst = address(to.addr), .proto = cast.proto};
    switch (cast.proto) {
        case L4Proto::icmp:
            t.icmp_id = static_cast<std::uint16_t>(c + 1);
            t.icmp_type = from_client ? 8 : 0;
            break;
        case L4Proto::icmp6:
            t.icmp_id = static_cast<std::uint16_t>(c + 1);
            t.icmp_type = from_client ? 128 : 129;
            break;
        case L4Proto::tcp:
        case L4Proto::udp:
        case L4Proto::sctp:
            t.sport = from_client ? client_port(c, incarnation) : cast.dport;
            t.dport = from_client ? cast.dport : client_port(c, incarnation);
            break;
        default: break;
    }
    return t;
}

L4 message(const Tuple& t) {
    switch (t.proto) {
        case L4Proto::udp: return Udp{.sport = t.sport, .dport = t.dport, .payload = bytes_of(20)};
        case L4Proto::icmp:
        case L4Proto::icmp6: return Icmp{.type = t.icmp_type, .id = t.icmp_id, .payload = bytes_of(24)};
        case L4Proto::sctp: return Sctp{.sport = t.sport, .dport = t.dport};
        case L4Proto::tcp: return Tcp{.sport = t.sport, .dport = t.dport, .flags = kAck, .payload = bytes_of(5)};
        default: return Raw{static_cast<std::uint8_t>(t.proto), bytes_of(30)};
    }
}

void write_tcp(Letter& letter, const Cast& cast, bool from_client, Tcp tcp, int wscale) {
    tcp.sport = letter.tuple.sport;
    tcp.dport = letter.tuple.dport;
    if (wscale >= 0) tcp.options = {3, 3, static_cast<std::uint8_t>(wscale)};
    letter.frame = wrap(cast, from_client, tcp);
    letter.port = from_client ? cast.client.port : cast.server.port;
    const auto has = [&](std::uint8_t flag) { return (tcp.flags & flag) != 0; };
    letter.segment = {.syn = has(kSyn),
                      .ack = has(kAck),
                      .fin = has(kFin),
                      .rst = has(kRst),
                      .seq = tcp.seq,
                      .ack_number = tcp.ack,
                      .payload = static_cast<std::uint32_t>(tcp.payload.size()),
                      .window = tcp.window,
                      .wscale = wscale};
    letter.role = has(kRst)   ? Role::rst
                  : has(kSyn) ? has(kAck) ? Role::syn_ack : Role::syn
                  : has(kFin) ? Role::fin
                              : Role::ack;
    letter.answerable = !has(kRst);
}

}  // namespace sluice::sim
