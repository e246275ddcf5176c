#include "tests/simulation/traffic.hpp"

#include <tuple>
#include <utility>

#include "tests/simulation/cast.hpp"

namespace sluice::sim {

using abi::DropReason;
using abi::IpFamily;
using abi::L4Proto;
using namespace sluice::test;

std::optional<Letter> Traffic::next(std::size_t c, std::uint32_t choice) {
    constexpr std::size_t remembered = 6;
    const L4Proto proto = cast_of(c).proto;
    std::optional<Letter> letter = proto == L4Proto::tcp    ? next_tcp(c, choice)
                                   : proto == L4Proto::sctp ? next_sctp(c, choice)
                                                            : next_other(c, choice);
    if (letter) said_[c].push_back(*letter);
    if (said_[c].size() > remembered) said_[c].pop_front();
    return letter;
}

std::optional<Letter> Traffic::next_other(std::size_t c, std::uint32_t choice) {
    const Cast cast = cast_of(c);
    const bool from_client = choice % 3 != 2;
    // A port is left after a while for another one, so that flows come and go.
    if (choice % 16 == 15) ++talks_[c].incarnation;
    Letter letter;
    letter.tuple = tuple_of(cast, c, from_client, talks_[c].incarnation);
    letter.frame = wrap(cast, from_client, message(letter.tuple));
    letter.port = from_client ? cast.client.port : cast.server.port;
    const bool icmp = cast.proto == L4Proto::icmp || cast.proto == L4Proto::icmp6;
    letter.role = icmp && !from_client ? Role::icmp_reply : Role::plain;
    letter.conversation = c;
    letter.of_conversation = true;
    return letter;
}

std::optional<Letter> Traffic::next_tcp(std::size_t c, std::uint32_t choice) {
    Talk& t = talks_[c];
    if (t.in_flight != 0) return std::nullopt;
    const bool ended = t.stage == Stage::ended || (t.stage == Stage::reset && choice % 2 == 0);
    if (t.cut) ++t.incarnation;
    if (t.cut || ended) {
        t.stage = Stage::none;
        t.cut = false;
    }
    bool from_client = true;
    std::uint8_t flags = kAck;
    std::size_t data = 0;
    switch (t.stage) {
        case Stage::none:
            t.next_seq = {t.next_seq[0] + (1U << 20), t.next_seq[1] + (1U << 21)};
            if (choice % 16 == 3) t.next_seq[0] -= 1U << 25;  // numbers as low as no clock makes them
            std::tie(flags, t.stage) = std::pair{kSyn, Stage::syn};
            break;
        case Stage::syn:
            from_client = false;
            if (choice % 8 == 7) {  // nobody listens
                std::tie(flags, t.stage) = std::pair<int, Stage>{kRst | kAck, Stage::reset};
            } else {
                std::tie(flags, t.stage) = std::pair<int, Stage>{kSyn | kAck, Stage::syn_ack};
            }
            break;
        case Stage::syn_ack: t.stage = Stage::open; break;
        case Stage::open:
            from_client = choice % 2 == 0;
            if (choice % 8 < 5) {
                data = choice % 40;
            } else if (choice % 8 == 7) {
                std::tie(flags, t.stage) = std::pair<int, Stage>{kRst | kAck, Stage::reset};
            } else {
                t.client_closes = from_client;
                std::tie(flags, t.stage) = std::pair<int, Stage>{kFin | kAck, Stage::fin};
            }
            break;
        case Stage::fin:
            from_client = !t.client_closes;
            data = choice % 20;  // half closed: the other side may go on
            t.stage = Stage::fin_acked;
            break;
        case Stage::fin_acked:
            from_client = !t.client_closes;
            std::tie(flags, t.stage) = std::pair<int, Stage>{kFin | kAck, Stage::both_fins};
            break;
        case Stage::both_fins:
            from_client = t.client_closes;
            t.stage = Stage::ended;
            break;
        case Stage::cookie:  // SCTP's
        case Stage::ended: break;
        case Stage::reset: data = 5; break;  // what was still on its way
    }
    const Cast cast = cast_of(c);
    Letter letter;
    letter.tuple = tuple_of(cast, c, from_client, t.incarnation);
    const std::size_t me = from_client ? 0 : 1;
    const bool syn = (flags & kSyn) != 0;
    write_tcp(letter, cast, from_client,
              {.seq = t.next_seq[me],
               .ack = (flags & kAck) != 0 ? t.next_seq[1 - me] : 0,
               .flags = flags,
               .payload = bytes_of(data)},
              syn && choice % 3 != 0 ? static_cast<int>(choice % 9) : -1);
    t.next_seq[me] += static_cast<std::uint32_t>(data) + ((flags & (kSyn | kFin)) != 0 ? 1U : 0U);
    letter.conversation = c;
    letter.of_conversation = true;
    ++t.in_flight;
    return letter;
}

void Traffic::hear(const Letter& letter, bool cut) {
    if (!letter.of_conversation) return;
    Talk& t = talks_[letter.conversation];
    if (t.in_flight != 0) --t.in_flight;
    if (cut) t.cut = true;
}

void Traffic::lose(const Letter& letter) { hear(letter, true); }

Letter Traffic::noise(std::size_t c, Noise noise) const {
    const Cast cast = cast_of(c);
    Letter letter;
    letter.conversation = c;
    letter.port = cast.client.port;
    letter.tuple = tuple_of(cast, c, true, talks_[c].incarnation);
    letter.role = Role::broken;
    letter.answerable = false;
    L4 l4 = message(letter.tuple);
    // An error quotes what was sent last, or what never was.
    letter.quoted_seq = talks_[c].next_seq[0] - 1 + (talks_[c].incarnation % 4 == 3 ? 1U << 22 : 0U);
    if (Tcp* tcp = std::get_if<Tcp>(&l4)) tcp->seq = letter.quoted_seq;
    if (Sctp* sctp = std::get_if<Sctp>(&l4)) {
        letter.quoted_seq = talks_[c].incarnation % 2 == 0 ? 0 : talks_[c].next_seq[1] | 1U;
        sctp->tag = letter.quoted_seq;
    }
    const Ipv4 ip4{.src = cast.client.addr, .dst = cast.server.addr};
    const bool v6 = cast.family == IpFamily::v6;
    const Udp udp{.sport = 7, .dport = 9, .payload = bytes_of(12)};
    switch (noise) {
        case Noise::wrong_checksum:
            letter.frame = wrap(cast, true, udp);
            letter.frame.back() ^= 1U;
            letter.fault = DropReason::bad_l4_csum;
            break;
        case Noise::truncated:
            letter.frame = wrap(cast, true, l4);
            letter.frame.pop_back();
            letter.fault = DropReason::ip_malformed;
            break;
        case Noise::vlan:
            letter.frame = wrap(cast, true, l4, Eth{.tags = {{0x8100, 7}}});
            letter.fault = DropReason::vlan_deny;
            break;
        case Noise::fragment:
            letter.frame =
                v6 ? frame(Ipv6{.src = cast.client.addr, .dst = cast.server.addr, .ext = {fragment(0, true)}},
                           Raw{17, bytes_of(65)})
                   : frame(Ipv4{.src = cast.client.addr, .dst = cast.server.addr, .more_fragments = true},
                           Raw{17, bytes_of(65)});
            letter.fault = DropReason::frag_malformed;
            break;
        case Noise::ip_options:
            if (v6) return this->noise(c, Noise::vlan);
            letter.frame = frame(Ipv4{.src = ip4.src, .dst = ip4.dst, .options = {7, 4, 4, 0}}, udp);
            letter.fault = DropReason::ip_options;
            break;
        case Noise::land:
            letter.frame = v6 ? frame(Ipv6{.src = cast.client.addr, .dst = cast.client.addr}, udp)
                              : frame(Ipv4{.src = cast.client.addr, .dst = cast.client.addr}, udp);
            letter.fault = DropReason::martian;
            break;
        case Noise::wrong_port:
            if (cast.proto == L4Proto::tcp) return this->noise(c, Noise::truncated);
            letter.role = Role::plain;
            letter.answerable = true;
            letter.frame = wrap(cast, true, l4);
            if (cast.proto == L4Proto::sctp)
                write_sctp(letter, cast, true, {.kind = SctpSegment::Kind::init, .init_tag = 7});
            letter.port = cast.server.port;
            break;
        case Noise::related_error:
        case Noise::unrelated_error: {
            const std::string to = noise == Noise::related_error ? cast.client.addr : v6 ? "fd00:9::9" : "10.9.9.9";
            const std::string router = v6 ? "fd00:8::8" : "10.8.8.8";
            const Bytes quote =
                v6 ? datagram(Ipv6{.src = cast.client.addr, .dst = cast.server.addr}, l4) : datagram(ip4, l4);
            const Icmp error{.type = static_cast<std::uint8_t>(v6 ? 1 : 3), .id = 0, .seq = 0, .payload = quote};
            letter.frame =
                v6 ? frame(Ipv6{.src = router, .dst = to}, error) : frame(Ipv4{.src = router, .dst = to}, error);
            letter.port = cast.server.port;
            letter.quoted = letter.tuple;
            letter.tuple = {.family = cast.family,
                            .src = address(router),
                            .dst = address(to),
                            .proto = v6 ? L4Proto::icmp6 : L4Proto::icmp,
                            .icmp_type = error.type};
            letter.role = Role::icmp_error;
            if (noise == Noise::unrelated_error) letter.quoted.src = letter.quoted.dst;  // nobody's flow
            break;
        }
        case Noise::arp:
            letter.frame = frame(Arp{});
            letter.role = Role::arp;
            break;
        case Noise::other_ethertype:
            letter.frame = frame(std::uint16_t{0x88b5}, bytes_of(46));
            letter.role = Role::other_ethertype;
            break;
    }
    return letter;
}

std::string to_text(const Letter& letter) {
    static constexpr std::array<const char*, 12> kRoles{
        "SYN", "SYN-ACK", "ACK", "FIN", "RST", "packet", "association", "reply", "error", "ARP", "ethertype", "broken"};
    std::string text = letter.of_conversation ? "" : "noise about ";
    text += "conversation " + std::to_string(letter.conversation) + " ";
    text += kRoles[static_cast<std::size_t>(letter.role)];
    const Tuple& t = letter.tuple;
    text += " proto " + std::to_string(static_cast<unsigned>(t.proto)) + (t.family == IpFamily::v6 ? " v6 " : " v4 ") +
            std::to_string(t.sport) + ">" + std::to_string(t.dport) + " " + std::to_string(letter.frame.size()) +
            " bytes to port " + std::to_string(letter.port);
    return text;
}

}  // namespace sluice::sim
