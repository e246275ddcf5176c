// Random and mutated TCP conversations, through the product and through the model: every verdict, phase and note must
// be the same. A difference is shrunk to the fewest segments that still show it, and printed as rows of a capture.
//   SEED=7 flow_test --gtest_filter='TcpModel.*'      the same conversations again
//   TCP_CONVERSATIONS=100000 ...                      fewer or more than a million
#include "tests/unit/dataplane/flow/tcp_pair.hpp"

#include <cstdlib>
#include <random>
#include <sstream>

#include "tests/harness/seed.hpp"
#include "tests/unit/dataplane/flow/tcp_rows.hpp"

namespace sluice::test {
namespace {

struct Conversation {
    dp::SeqCheck check{};
    bool pickup{};
    std::vector<Sent> sent;  // the first opens
    bool differs{};          // the last one is judged otherwise than expected
    TcpModel::State end{};
};

/// Makes conversations that are mostly sensible, and then a little off: the numbers that a check compares, and theirs
/// plus and minus one.
class Talker {
public:
    explicit Talker(std::uint64_t seed) : random_{seed} {}

    Conversation talk() {
        Conversation c;
        c.check = pick(4) == 0 ? (pick(2) == 0 ? dp::SeqCheck::log : dp::SeqCheck::off) : dp::SeqCheck::strict;
        c.pickup = pick(16) == 0;
        for (std::uint32_t& isn : isn_) isn = pick(2) == 0 ? static_cast<std::uint32_t>(random_()) : 0U - pick(3000);
        for (std::uint8_t& scale : scale_)
            scale = pick(2) == 0 ? std::uint8_t{0xff} : static_cast<std::uint8_t>(pick(15));
        dp::TcpSegment first{dp::S, isn_[0], 0, pick(8) == 0 ? pick(2000) : 0, window(), scale_[0]};
        if (c.pickup) first = {dp::A, isn_[0], isn_[1], pick(1500), window(), 0xff};
        c.sent.push_back({first, 0});
        TcpPair pair{c.check, c.pickup, first};
        const std::size_t count = 4 + pick(20);
        while (c.sent.size() < count) {
            const Sent sent = next(pair);
            c.sent.push_back(sent);
            c.differs = !pair.step(sent).empty();
            if (c.differs) break;
        }
        c.end = pair.model().state();
        return c;
    }

private:
    std::uint32_t pick(std::uint32_t below) { return static_cast<std::uint32_t>((random_() >> 32) * below >> 32); }
    std::uint16_t window() {
        constexpr std::uint16_t some[] = {0, 1, 500, 1024, 8192, 64240, 65535};
        return some[pick(std::size(some))];
    }

    Sent next(const TcpPair& pair) {
        const TcpModel& m = pair.model();
        Sent sent;
        sent.from = static_cast<int>(pick(2));
        if (m.state() == TcpModel::State::syn_sent && pick(8) != 0) sent.from = pair.role(1);
        if (m.state() == TcpModel::State::syn_received && pick(4) != 0) sent.from = pair.role(0);
        const int me = pair.role(sent.from);
        const auto& mine = m.side(me);
        const auto& theirs = m.side(1 - me);
        dp::TcpSegment& s = sent.segment;
        s.window = window();
        s.flags = flags(m.state(), me);
        s.payload_bytes = pick(3) == 0 ? 0 : pick(3000);
        if ((s.flags & (dp::S | dp::R)) != 0 && pick(8) != 0) s.payload_bytes = 0;
        if ((s.flags & dp::S) != 0 && pick(4) != 0) s.wscale = scale_[me];
        const std::int64_t seq_points[] = {mine.next,
                                           mine.unacked,
                                           mine.next - s.payload_bytes,
                                           mine.next - 1,
                                           mine.unacked + m.window_for(me) - s.payload_bytes,
                                           mine.unacked + 2 * m.window_for(me) - s.payload_bytes,
                                           mine.unacked - 132'000 - s.payload_bytes,
                                           mine.unacked - m.window_for(me) - s.payload_bytes,
                                           mine.unacked + m.window_for(me) / 2};
        s.seq = static_cast<std::uint32_t>(seq_points[pick(2) == 0 ? 0 : pick(std::size(seq_points))]);
        const std::int64_t ack_points[] = {theirs.next,
                                           theirs.unacked,
                                           (theirs.next + theirs.unacked) / 2,
                                           theirs.unacked - 132'000,
                                           theirs.unacked - m.window_for(1 - me),
                                           theirs.next + 1000};
        s.ack = static_cast<std::uint32_t>(ack_points[pick(2) == 0 ? 0 : pick(std::size(ack_points))]);
        if (!mine.known || ((s.flags & dp::S) != 0 && pick(4) != 0)) s.seq = isn_[sent.from];
        if (pick(4) == 0) s.seq += pick(3) - 1;
        if (pick(6) == 0) s.ack += pick(3) - 1;
        if (pick(40) == 0) s.seq = static_cast<std::uint32_t>(random_());
        if (pick(40) == 0) s.ack = static_cast<std::uint32_t>(random_());
        return sent;
    }

    /// What the state expects, mostly.
    std::uint8_t flags(TcpModel::State state, int me) {
        constexpr std::uint8_t any[] = {dp::S, dp::S | dp::A, dp::A, dp::A | dp::F, dp::R, dp::R | dp::A};
        if (pick(6) == 0) return any[pick(std::size(any))];
        if (state == TcpModel::State::syn_sent && me == 1) return pick(8) == 0 ? dp::S : dp::S | dp::A;
        if (state == TcpModel::State::syn_crossed) return pick(3) == 0 ? dp::A : dp::S | dp::A;
        return pick(10) == 0 ? dp::A | dp::F : dp::A;
    }

    std::mt19937_64 random_;
    std::uint32_t isn_[2]{};
    std::uint8_t scale_[2]{};
};

/// The first difference; empty: none.
std::string difference(const Conversation& c, std::size_t* at = nullptr) {
    TcpPair pair{c.check, c.pickup, c.sent.front().segment};
    for (std::size_t i = 1; i < c.sent.size(); ++i) {
        if (auto why = pair.step(c.sent[i]); !why.empty()) {
            if (at != nullptr) *at = i;
            return why;
        }
    }
    return "";
}

Conversation shrink(Conversation c) {
    std::size_t at = 0;
    (void)difference(c, &at);
    c.sent.resize(at + 1);
    for (std::size_t i = c.sent.size() - 1; i >= 1; --i) {
        Conversation fewer = c;
        fewer.sent.erase(fewer.sent.begin() + static_cast<std::ptrdiff_t>(i));
        if (!difference(fewer).empty()) c = fewer;
    }
    return c;
}

std::string rows(const Conversation& c) {
    std::ostringstream out;
    constexpr const char* checks[] = {"strict", "log", "off"};
    out << "seq_check " << checks[static_cast<int>(c.check)] << (c.pickup ? ", picked up" : "") << "\n"
        << "//  flags  len  seq  ack  win  from  [wscale]\n";
    for (const Sent& sent : c.sent) {
        const dp::TcpSegment& s = sent.segment;
        std::string flags;
        for (const auto& [bit, letter] : {std::pair{dp::S, 'S'}, {dp::F, 'F'}, {dp::R, 'R'}, {dp::A, 'A'}}) {
            if ((s.flags & bit) != 0) flags += (flags.empty() ? "" : "|") + std::string(1, letter);
        }
        out << "{ " << flags << ", " << s.payload_bytes << ", " << s.seq << "U, " << s.ack << "U, " << s.window << ", "
            << (sent.from == 0 ? "O" : "Re");
        if (s.wscale != 0xff) out << ", wscale " << int{s.wscale};
        out << " },\n";
    }
    return out.str();
}

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

TEST(TcpModel, AMillionConversationsAreJudgedAsTheRfcsSay) {
    const std::uint64_t count = from_environment("TCP_CONVERSATIONS", 1'000'000);
    SCOPED_TRACE(seed_line());
    Talker talker{seed_of_this_run()};
    std::uint64_t established = 0, closed = 0;
    for (std::uint64_t n = 0; n < count; ++n) {
        const Conversation c = talker.talk();
        if (c.differs) {
            const Conversation least = shrink(c);
            FAIL() << "conversation " << n << ": " << difference(least) << "\n" << rows(least);
        }
        established += c.end >= TcpModel::State::established ? 1 : 0;
        closed += c.end >= TcpModel::State::closing ? 1 : 0;
    }
    // Worth something only if they get somewhere.
    EXPECT_GT(established, count / 2);
    EXPECT_GT(closed, count / 20);
}

}  // namespace
}  // namespace sluice::test
