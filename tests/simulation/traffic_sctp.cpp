/// Both ends of an SCTP association.
#include <array>
#include <tuple>
#include <utility>

#include "tests/simulation/cast.hpp"
#include "tests/simulation/traffic.hpp"

namespace sluice::sim {

using Kind = SctpSegment::Kind;
using namespace sluice::test;

namespace {

Bytes chunk_of(const SctpSegment& s) {
    const auto flags = static_cast<std::uint8_t>(s.reflected ? 1 : 0);
    switch (s.kind) {
        case Kind::init: return sctp_init(s.init_tag);
        case Kind::init_ack: return sctp_init_ack(s.init_tag);
        case Kind::cookie_echo: return sctp_chunk(10, {1, 2, 3, 4});
        case Kind::cookie_ack: return sctp_chunk(11);
        case Kind::data: return sctp_data(20);
        case Kind::shutdown: return sctp_chunk(7, {0, 0, 0, 1});
        case Kind::shutdown_ack: return sctp_chunk(8);
        case Kind::shutdown_complete: return sctp_chunk(14, {}, flags);
        case Kind::abort: return sctp_chunk(6, {}, flags);
    }
    return {};
}

}  // namespace

/// The tuple stands in `letter`, and gets the rest.
void write_sctp(Letter& letter, const Cast& cast, bool from_client, const SctpSegment& s) {
    letter.frame =
        wrap(cast, from_client,
             Sctp{.sport = letter.tuple.sport, .dport = letter.tuple.dport, .tag = s.tag, .chunks = chunk_of(s)});
    letter.port = from_client ? cast.client.port : cast.server.port;
    letter.sctp = s;
    letter.role = s.kind == Kind::init ? Role::plain : Role::association;
    letter.answerable = false;  // its checksum is the receiver's to verify
}

std::optional<Letter> Traffic::next_sctp(std::size_t c, std::uint32_t choice) {
    Talk& t = talks_[c];
    if (t.in_flight != 0) return std::nullopt;
    if (t.cut) ++t.incarnation;
    const bool reboots = t.stage == Stage::open && choice % 16 == 9;
    if (t.cut || t.stage == Stage::ended || reboots) t.stage = Stage::none;
    t.cut = false;
    bool from_client = true;
    SctpSegment s{.kind = Kind::data};
    switch (t.stage) {
        case Stage::none:
            for (std::uint32_t& tag : t.next_seq) tag = tag * 1'664'525U + 1'013'904'223U + (choice | 1U);
            std::tie(s.kind, t.stage) = std::pair{Kind::init, Stage::syn};
            break;
        case Stage::syn:
            from_client = false;
            std::tie(s.kind, t.stage) =
                choice % 8 == 7 ? std::pair{Kind::abort, Stage::ended} : std::pair{Kind::init_ack, Stage::syn_ack};
            break;
        case Stage::syn_ack: std::tie(s.kind, t.stage) = std::pair{Kind::cookie_echo, Stage::cookie}; break;
        case Stage::cookie:
            from_client = false;
            std::tie(s.kind, t.stage) = std::pair{Kind::cookie_ack, Stage::open};
            break;
        case Stage::open:
            from_client = choice % 2 == 0;
            if (choice % 8 == 7) std::tie(s.kind, t.stage) = std::pair{Kind::abort, Stage::ended};
            if (choice % 8 == 5 || choice % 8 == 6) {
                t.client_closes = from_client;
                std::tie(s.kind, t.stage) = std::pair{Kind::shutdown, Stage::fin};
            }
            break;
        case Stage::fin:
            from_client = !t.client_closes;
            std::tie(s.kind, t.stage) = std::pair{Kind::shutdown_ack, Stage::both_fins};
            break;
        default:
            from_client = t.client_closes;
            std::tie(s.kind, t.stage) = std::pair{Kind::shutdown_complete, Stage::ended};
            break;
    }
    const std::size_t me = from_client ? 0 : 1;
    // Each side names what the other's packets carry.
    s.tag = s.kind == Kind::init ? 0 : t.next_seq[1 - me] | 1U;
    s.init_tag = t.next_seq[me] | 1U;
    const Cast cast = cast_of(c);
    Letter letter;
    letter.conversation = c;
    letter.tuple = tuple_of(cast, c, from_client, t.incarnation);
    write_sctp(letter, cast, from_client, s);
    letter.of_conversation = true;
    ++t.in_flight;
    return letter;
}

/// A chunk of any kind with a tag that is right, the other side's, an old one or none of theirs.
Letter Traffic::forged_sctp(std::size_t c, std::uint32_t choice) const {
    const Cast cast = cast_of(c);
    const Talk& t = talks_[c];
    const bool from_client = choice % 2 == 0;
    const std::size_t me = from_client ? 0 : 1;
    const std::array tags{t.next_seq[1 - me] | 1U, t.next_seq[1 - me] | 1U, t.next_seq[me] | 1U, 0x5eedU};
    SctpSegment s;
    s.kind = static_cast<Kind>(choice / 2 % 9);
    s.tag = s.kind == Kind::init ? 0 : tags[choice / 18 % 4];
    s.init_tag = choice / 72 % 2 == 0 ? t.next_seq[me] | 1U : choice | 1U;
    s.reflected = (s.kind == Kind::abort || s.kind == Kind::shutdown_complete) && choice / 144 % 2 == 0;
    Letter letter;
    letter.conversation = c;
    letter.tuple = tuple_of(cast, c, from_client, t.incarnation);
    write_sctp(letter, cast, from_client, s);
    return letter;
}

}  // namespace sluice::sim
