#include "tests/harness/conversations.hpp"

#include <algorithm>
#include <cstring>

#include "tests/harness/fragments.hpp"

namespace sluice::test {

namespace {

constexpr std::array<std::uint8_t, 4> kMagic{0xf1, 0x0e, 0x1d, 0xc3};
constexpr std::size_t kMarkBytes = 16;

Bytes bytes_of_mark(const Mark& m) {
    Bytes b(kMarkBytes);
    std::copy(kMagic.begin(), kMagic.end(), b.begin());
    std::memcpy(b.data() + 4, &m.flow, 4);
    std::memcpy(b.data() + 8, &m.number, 4);
    b[12] = static_cast<std::uint8_t>(m.kind);
    b[13] = m.direction;
    return b;
}

constexpr std::uint32_t kClientIsn = 1'000, kServerIsn = 5'000;

}  // namespace

std::optional<Mark> mark_of(const Bytes& frame) {
    const auto at = std::search(frame.begin(), frame.end(), kMagic.begin(), kMagic.end());
    if (frame.end() - at < static_cast<std::ptrdiff_t>(kMarkBytes)) return std::nullopt;
    Mark m;
    std::memcpy(&m.flow, &*at + 4, 4);
    std::memcpy(&m.number, &*at + 8, 4);
    m.kind = static_cast<Kind>(at[12]);
    m.direction = at[13];
    return m;
}

Conversation::Conversation(std::uint32_t number)
    : number_{number},
      proto_{number % 5 == 4   ? Proto::ping
             : number % 2 == 0 ? Proto::tcp
                               : Proto::udp},
      v6_{number % 3 == 2},
      port_{static_cast<std::uint16_t>(20'000 + number),
            static_cast<std::uint16_t>(proto_ == Proto::tcp ? 443 : 4000)} {
    const std::string host = std::to_string(number % 200 + 1);
    address_ = v6_ ? std::array<std::string, 2>{"2001:db8:1::" + host, "2001:db8:2::80"}
                   : std::array<std::string, 2>{"203.0.113." + host, "198.51.100.80"};
    // A ping has no ports: only its addresses tell it from the next one.
    if (proto_ == Proto::ping) port_ = {};
}

dp::FlowTuple Conversation::ends(std::uint8_t direction) const {
    dp::FlowTuple t{.src = address(address_[direction]), .dst = address(address_[1 - direction])};
    t.sport = abi::L4Port::of_host(port_[direction]);
    t.dport = abi::L4Port::of_host(port_[1U - direction]);
    t.proto = proto_ == Proto::tcp   ? abi::L4Proto::tcp
              : proto_ == Proto::udp ? abi::L4Proto::udp
              : v6_                  ? abi::L4Proto::icmp6
                                     : abi::L4Proto::icmp;
    return t;
}

Bytes Conversation::make(std::uint8_t direction, const L4& l4) const {
    const std::string &src = address_[direction], &dst = address_[1 - direction];
    return v6_ ? frame(Ipv6{.src = src, .dst = dst}, l4)
               : frame(Ipv4{.src = src, .dst = dst, .dont_fragment = false}, l4);
}

Bytes Conversation::payload(Mark mark, std::size_t times) const {
    mark.flow = number_;
    Bytes all;
    for (std::size_t i = 0; i < times; ++i) all = all + bytes_of_mark(mark);
    return all;
}

std::vector<std::pair<std::uint8_t, Bytes>> Conversation::opening() const {
    if (proto_ != Proto::tcp) return {};
    return {
        {0, make(0, Tcp{.sport = port_[0], .dport = port_[1], .seq = kClientIsn, .flags = kSyn})},
        {1, make(1, Tcp{.sport = port_[1],
                        .dport = port_[0],
                        .seq = kServerIsn,
                        .ack = kClientIsn + 1,
                        .flags = kSyn | kAck})},
        {0,
         make(0,
              Tcp{.sport = port_[0], .dport = port_[1], .seq = kClientIsn + 1, .ack = kServerIsn + 1, .flags = kAck})}};
}

/// A TCP segment acknowledges nothing but the handshake: what the other side sent may have been lost on the way here.
Bytes Conversation::next(std::uint8_t direction) {
    const Bytes data = payload({.number = sent_[direction]++, .kind = Kind::whole, .direction = direction});
    const std::uint16_t sport = port_[direction], dport = port_[1U - direction];
    switch (proto_) {
        case Proto::udp: return make(direction, Udp{.sport = sport, .dport = dport, .payload = data});
        case Proto::ping: {
            const std::uint8_t type = v6_ ? (direction == 0 ? 128 : 129) : (direction == 0 ? 8 : 0);
            return make(direction, Icmp{.type = type, .id = 7, .payload = data});
        }
        case Proto::tcp: break;
    }
    const std::uint32_t isn = direction == 0 ? kClientIsn : kServerIsn;
    const std::uint32_t ack = direction == 0 ? kServerIsn : kClientIsn;
    const std::uint32_t seq = isn + 1 + bytes_[direction];
    bytes_[direction] += static_cast<std::uint32_t>(data.size());
    return make(direction,
                Tcp{.sport = sport, .dport = dport, .seq = seq, .ack = ack + 1, .flags = kAck, .payload = data});
}

std::vector<Bytes> Conversation::next_in_pieces(std::uint8_t direction) {
    const std::uint32_t number = datagrams_[direction]++;
    const Bytes data = payload({.number = number, .kind = Kind::fragment, .direction = direction}, 6);
    const Bytes whole =
        make(direction, Udp{.sport = port_[direction], .dport = port_[1U - direction], .payload = data});
    constexpr std::size_t kUdpBytes = 8;
    return cut(whole, {0, kUdpBytes + 2 * kMarkBytes, kUdpBytes + 4 * kMarkBytes},
               number_ << 16 | direction << 15 | number);
}

Bytes Conversation::error(std::uint8_t direction) {
    const std::uint8_t quoted = 1 - direction;
    const std::uint16_t sport = port_[quoted], dport = port_[1U - quoted];
    const Bytes data = payload({.number = errors_[direction]++, .kind = Kind::error, .direction = direction});
    const std::uint32_t isn = quoted == 0 ? kClientIsn : kServerIsn;
    const L4 about = proto_ == Proto::udp
                         ? L4{Udp{.sport = sport, .dport = dport, .payload = data}}
                         : L4{Tcp{.sport = sport, .dport = dport, .seq = isn, .flags = kAck, .payload = data}};
    if (v6_) {
        const Bytes inner = datagram(Ipv6{.src = address_[quoted], .dst = address_[direction]}, about);
        return frame(Ipv6{.src = "2001:db8:99::1", .dst = address_[quoted]},
                     Icmp{.type = 3, .id = 0, .seq = 0, .payload = inner});
    }
    const Bytes inner = datagram(Ipv4{.src = address_[quoted], .dst = address_[direction]}, about);
    return frame(Ipv4{.src = "192.0.2.99", .dst = address_[quoted]},
                 Icmp{.type = 11, .id = 0, .seq = 0, .payload = inner});
}

}  // namespace sluice::test
