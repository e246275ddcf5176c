/// What arrives of conversations, and of what only looks like theirs.
#include <algorithm>
#include <utility>

#include "tests/simulation/cast.hpp"
#include "tests/simulation/traffic.hpp"

namespace sluice::sim {

using abi::L4Proto;
using namespace sluice::test;

namespace {

/// Small numbers out of one: a step has to be the same whatever other steps are left out.
class Dice {
public:
    explicit Dice(std::uint32_t seed) : state_{seed} {}
    std::uint32_t pick(std::uint32_t below) {
        state_ = state_ * 6'364'136'223'846'793'005U + 1'442'695'040'888'963'407U;
        return static_cast<std::uint32_t>((state_ >> 33U) % below);
    }
    template <typename T, std::size_t N>
    T of(const T (&some)[N]) {
        return some[pick(N)];
    }

private:
    std::uint64_t state_;
};

}  // namespace

std::vector<Letter> Traffic::mutated(std::size_t c, Mutation mutation, std::uint32_t choice) {
    const L4Proto proto = cast_of(c).proto;
    switch (mutation) {
        case Mutation::again: break;
        case Mutation::swapped: {
            std::vector<Letter> letters;
            if (auto first = next(c, choice)) letters.push_back(*first);
            // The second is said before anybody has heard the first.
            const std::uint32_t in_flight = std::exchange(talks_[c].in_flight, 0);
            if (auto second = next(c, choice / 8)) letters.push_back(*second);
            talks_[c].in_flight += in_flight;
            std::reverse(letters.begin(), letters.end());
            return letters;
        }
        case Mutation::lost:
            if (const auto letter = next(c, choice)) hear(*letter, false);
            return {};
        case Mutation::forged:
            if (proto == L4Proto::sctp) return {forged_sctp(c, choice)};
            if (proto != L4Proto::tcp) break;
            return {forged(c, choice)};
        case Mutation::flood:
            if (proto != L4Proto::tcp && proto != L4Proto::udp) break;
            return flood(c, choice);
    }
    if (said_[c].empty()) return {};
    Letter letter = said_[c][choice % said_[c].size()];
    letter.of_conversation = false;
    return {letter};
}

/// Right numbers and flags mostly, and the edges of what a window allows.
Letter Traffic::forged(std::size_t c, std::uint32_t choice) const {
    static constexpr std::uint8_t kFlags[]{kAck, kAck, kAck, kFin | kAck, kRst, kRst | kAck, kSyn, kSyn, kSyn | kAck};
    static constexpr std::uint32_t kOff[]{
        0,      0,       0,       0,      1,        0U - 1,          1000,     0U - 1000,    64'240,
        64'241, 128'480, 128'481, 64'239, 1U << 20, 0U - (1U << 20), 1U << 31, 0U - 132'000, 0U - 132'001};
    static constexpr std::uint16_t kWindows[]{64'240, 64'240, 0, 1, 500, 65'535};
    static constexpr std::size_t kData[]{0, 0, 1, 100, 1000};
    static constexpr int kScales[]{-1, 0, 7, 14};
    Dice dice{choice};
    const Cast cast = cast_of(c);
    const Talk& t = talks_[c];
    const bool from_client = dice.pick(2) == 0;
    const std::size_t me = from_client ? 0 : 1;
    Letter letter;
    letter.conversation = c;
    letter.tuple = tuple_of(cast, c, from_client, t.incarnation - (dice.pick(8) == 0 ? 1 : 0));
    const std::uint8_t flags = dice.of(kFlags);
    write_tcp(letter, cast, from_client,
              {.seq = t.next_seq[me] + dice.of(kOff),
               .ack = (flags & kAck) != 0 ? t.next_seq[1 - me] + dice.of(kOff) : 0,
               .flags = flags,
               .window = dice.of(kWindows),
               .payload = bytes_of((flags & kRst) != 0 ? 0 : dice.of(kData))},
              (flags & kSyn) != 0 ? dice.of(kScales) : -1);
    return letter;
}

std::vector<Letter> Traffic::flood(std::size_t c, std::uint32_t choice) const {
    Dice dice{choice};
    const Cast cast = cast_of(c);
    std::vector<Letter> letters;
    const std::uint32_t first = dice.pick(64), count = 1 + dice.pick(20);
    for (std::uint32_t i = 0; i < count; ++i) {
        Letter letter;
        letter.conversation = c;
        letter.tuple = tuple_of(cast, c, true, 0);
        letter.tuple.sport = static_cast<std::uint16_t>(20'000 + first + i);
        letter.port = cast.client.port;
        letter.role = Role::plain;
        if (cast.proto == L4Proto::tcp) {
            write_tcp(letter, cast, true, {.seq = 1000 * i, .flags = kSyn});
        } else {
            letter.frame = wrap(cast, true, message(letter.tuple));
        }
        letters.push_back(std::move(letter));
    }
    return letters;
}

}  // namespace sluice::sim
