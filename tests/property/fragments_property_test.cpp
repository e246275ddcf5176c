/// Random datagrams in random pieces, some missing, some twice, some over others, against a reassembler that is slow
/// and obvious: a map from byte to value. Every frame must have the fate that it foretells, and a datagram that becomes
/// whole the verdict of the same datagram in one piece. rapidcheck prints its seed and shrinks a failure to few pieces.
#include <algorithm>
#include <map>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "tests/harness/fragment_wire.hpp"
#include "tests/harness/fragments.hpp"

namespace sluice::test {

/// What happens to one piece of the datagram; all numbers are taken modulo what there is.
struct RawPiece {
    std::uint32_t first{}, bytes{}, how{}, change{};
    static constexpr std::uint32_t kMax = 1U << 16;
};
void showValue(const RawPiece& p, std::ostream& os) {
    os << "RawPiece{" << p.first << "," << p.bytes << "," << p.how << "," << p.change << "}";
}

}  // namespace sluice::test

namespace rc {

template <>
struct Arbitrary<sluice::test::RawPiece> {
    static Gen<sluice::test::RawPiece> arbitrary() {
        using sluice::test::RawPiece;
        const auto number = gen::resize(kNominalSize, gen::inRange<std::uint32_t>(0, RawPiece::kMax));
        return gen::build<RawPiece>(gen::set(&RawPiece::first, number), gen::set(&RawPiece::bytes, number),
                                    gen::set(&RawPiece::how, number), gen::set(&RawPiece::change, number));
    }
};

}  // namespace rc

namespace sluice::test {
namespace {

cp::Policy policy() {
    PolicyBuilder p;
    p.zone("outside", {"p0"}).zone("inside", {"p1"});
    p.rule({.id = "open",
            .from = {"outside"},
            .to = {"inside"},
            .service = {"tcp/443", "udp/443", "proto/47"},
            .action = cp::Action::allow});
    p.rule({.id = "closed",
            .from = {"outside"},
            .to = {"inside"},
            .service = {"tcp/22", "udp/22"},
            .action = cp::Action::reject});
    return p.build();
}

/// A datagram of any kind: the numbers decide.
Bytes datagram_frame(std::uint32_t kind, std::size_t payload_bytes) {
    static constexpr std::uint16_t kPorts[] = {443, 443, 22, 5000};
    const std::uint16_t dport = kPorts[kind / 2 % 4];
    Bytes payload(payload_bytes);
    for (std::size_t i = 0; i < payload.size(); ++i) payload[i] = static_cast<std::uint8_t>(i * 7 + kind);
    L4 l4 = Raw{47, payload};
    if (kind / 8 % 3 == 0) l4 = Udp{.dport = dport, .payload = payload};
    if (kind / 8 % 3 == 1) l4 = Tcp{.dport = dport, .options = {2, 4, 5, 180}, .payload = payload};
    if (kind % 2 == 0) return frame(Ipv4{.dont_fragment = false}, l4);
    Ipv6 ip;
    if (kind / 24 % 2 == 1) ip.ext = {destination_options()};
    return frame(ip, l4);
}

struct Piece {
    std::size_t offset{};
    Bytes data;
    bool more{};
    bool operator==(const Piece&) const = default;
    std::size_t end() const { return offset + data.size(); }
    /// A packet of its own: no fragment in IPv4, an atomic one in IPv6 (RFC 6946). Nobody looks at the others.
    bool alone() const { return offset == 0 && !more; }
};

/// The slow one. It knows of a datagram only its bytes and its pieces.
class Obvious {
public:
    explicit Obvious(const Bytes& whole) : whole_{whole} {}

    std::string give(const Piece& p) {
        if (p.alone()) return verdict_of(p.data, 1);
        if (const auto fault = faulty(p)) return end(*fault);
        if (condemned_) return *condemned_ + " x 1";
        for (const Piece& held : held_) {
            if (held == p) return "consumed";
        }
        for (std::size_t at = p.offset; at < p.end(); ++at) {
            if (bytes_.count(at) != 0) return end("frag_overlap");
        }
        const bool behind_the_end = last_ && (!p.more || p.end() > *last_);
        const bool end_too_early = !p.more && !bytes_.empty() && bytes_.rbegin()->first >= p.end();
        if (behind_the_end || end_too_early) return end("frag_malformed");
        held_.push_back(p);
        for (std::size_t k = 0; k < p.data.size(); ++k) bytes_[p.offset + k] = p.data[k];
        if (!p.more) last_ = p.end();
        if (!last_ || bytes_.size() != *last_) return "held";
        return verdict();
    }
    std::size_t held() const { return held_.size(); }

private:
    std::string end(const std::string& reason) {
        if (condemned_) return reason + " x 1";  // a fault of its own is told as such
        condemned_ = reason;
        const std::size_t count = held_.size() + 1;
        held_.clear();
        bytes_.clear();
        return reason + " x " + std::to_string(count);
    }

    std::optional<std::string> faulty(const Piece& p) const {
        if (p.data.empty() || (p.more && p.data.size() % 8 != 0)) return "frag_malformed";
        const bool v4 = whole_[12] == 0x08;
        std::uint8_t proto = whole_[v4 ? 14 + 9 : 14 + 6];
        std::size_t transport = 0;  // where the transport header begins in the data
        if (proto == 60) {
            if (p.offset != 0) return std::nullopt;
            if (p.data.size() < 8) return "frag_chain";
            proto = p.data[0];
            transport = 8;
            if (p.data.size() == transport) return "frag_chain";
        }
        const std::size_t least = proto == 6 ? 20U : proto == 17 ? 8U : 0U;
        if (p.offset != 0) return p.offset < least ? std::optional<std::string>{"frag_tiny"} : std::nullopt;
        if (p.data.size() - transport < least) return "frag_tiny";
        if (proto != 6) return std::nullopt;
        const std::size_t header = (p.data[transport + 12] >> 4) * 4U;
        return p.data.size() - transport < header ? std::optional<std::string>{"frag_tiny"} : std::nullopt;
    }

    std::string verdict() {
        Bytes data;
        for (const auto& [at, value] : bytes_) data.push_back(value);
        const std::size_t count = held_.size();
        *this = Obvious{whole_};
        return verdict_of(data, count);
    }

    /// The data in one piece, at a firewall that has seen nothing before.
    std::string verdict_of(const Bytes& data, std::size_t pieces) const {
        const bool v4 = whole_[12] == 0x08;
        Bytes uncut = first(whole_, v4 ? 34 : 54) + data;
        const std::size_t length = v4 ? data.size() + 20 : data.size();
        uncut[v4 ? 16 : 18] = static_cast<std::uint8_t>(length >> 8);
        uncut[v4 ? 17 : 19] = static_cast<std::uint8_t>(length);
        if (v4) {
            uncut[24] = uncut[25] = 0;
            const std::uint16_t sum = internet_checksum({uncut.begin() + 14, uncut.begin() + 34});
            uncut[24] = static_cast<std::uint8_t>(sum >> 8);
            uncut[25] = static_cast<std::uint8_t>(sum);
        }
        Harness h;
        h.use(policy());
        std::string fate = h.fate(0, uncut);
        const std::string count = " x " + std::to_string(pieces);
        if (fate == "forward") return "sent" + count;
        const auto plus = fate.find('+');
        return plus == std::string::npos ? fate + count : fate.substr(0, plus) + count + fate.substr(plus);
    }

    Bytes whole_;
    std::map<std::size_t, std::uint8_t> bytes_;
    std::vector<Piece> held_;
    std::optional<std::size_t> last_;
    std::optional<std::string> condemned_;
};

/// Another byte somewhere, but not in an extension header: the slow one does not know what may stand there.
void change(Piece& p, std::uint32_t where) {
    std::size_t at = where % p.data.size();
    if (p.offset == 0 && at < 8) at = p.data.size() - 1;
    p.data[at] ^= 1;
}

/// The datagram cut at random places, each piece done to as its numbers say, in the order of `order`.
std::vector<Piece> pieces_of(const Bytes& whole, const std::vector<RawPiece>& raw) {
    const Bytes data = data_of(whole);
    std::vector<Piece> out;
    const auto slice = [&](std::size_t from, std::size_t to) {
        return Piece{from,
                     {data.begin() + static_cast<std::ptrdiff_t>(from), data.begin() + static_cast<std::ptrdiff_t>(to)},
                     to != data.size()};
    };
    std::vector<std::size_t> cuts{0, data.size()};
    for (const RawPiece& r : raw) cuts.push_back(r.first % (data.size() / 8 + 1) * 8);
    std::sort(cuts.begin(), cuts.end());
    cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
    for (std::size_t i = 0; i + 1 < cuts.size(); ++i) {
        const RawPiece& r = raw[i % raw.size()];
        Piece p = slice(cuts[i], cuts[i + 1]);
        switch (r.how % 40) {  // most pieces are left alone, or no datagram would ever be whole
            case 0: continue;  // missing
            case 1: out.push_back(p); break;
            case 2:
                out.push_back(p);
                out.push_back(p);
                break;
            case 3: change(p, r.change); break;
            case 4:
                out.push_back(p);
                change(p, r.change);
                break;
            case 5: p.more = !p.more; break;
            case 6: p.data.push_back(0x55); break;
            case 7: {  // a piece of its own, anywhere
                const std::size_t from = r.change % (data.size() / 8) * 8;
                out.push_back(p);
                p = slice(from, std::min(data.size(), from + 8 + r.bytes % 64 / 8 * 8));
                break;
            }
            default: break;
        }
        out.push_back(p);
    }
    // Random order: by numbers that belong to the pieces, so that a smaller case keeps its order.
    std::vector<std::pair<std::uint32_t, Piece>> keyed;
    for (std::size_t i = 0; i < out.size(); ++i) {
        const RawPiece& r = raw[i % raw.size()];
        keyed.emplace_back(r.how % 3 == 0 ? static_cast<std::uint32_t>(i) : r.change, out[i]);
    }
    std::stable_sort(keyed.begin(), keyed.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = keyed[i].second;
    return out;
}

struct Seen {
    std::size_t sent{}, overlaps{}, copies{}, timeouts{};
};

void check(const Bytes& whole, const std::vector<RawPiece>& raw, Seen& seen) {
    // All of one datagram at one firewall; what it ends with is not a flow of the next one's.
    FragmentWire wire;
    wire.h.use(policy());
    Obvious obvious{whole};
    std::size_t n = 0;
    for (const Piece& p : pieces_of(whole, raw)) {
        const std::string expected = obvious.give(p);
        const std::string got = wire.give(piece_with(whole, p.offset, p.data, p.more));
        RC_LOG() << "piece " << n++ << ": " << p.offset << "+" << p.data.size() << (p.more ? "" : " last") << ": "
                 << got << "\n";
        RC_ASSERT(got == expected);
        seen.sent += got.starts_with("sent") ? 1U : 0U;
        seen.overlaps += got.starts_with("frag_overlap") ? 1U : 0U;
        seen.copies += got == "consumed" ? 1U : 0U;
        // The flow of one that was judged would decide about the next.
        if (p.alone() || wire.h.counters().frag_reassembled.read() != 0) break;
    }
    RC_ASSERT(wire.held() == obvious.held());
    const std::uint64_t before = wire.h.drops(abi::DropReason::frag_timeout);
    const std::size_t left = obvious.held();
    wire.h.skip(std::chrono::seconds{61});
    (void)wire.h.run_once();
    RC_ASSERT(wire.h.drops(abi::DropReason::frag_timeout) - before == left);
    RC_ASSERT(wire.held() == 0U);
    seen.timeouts += left != 0 ? 1U : 0U;
}

TEST(FragmentsProperty, F6_F7_F9_F11_PiecesAreJudgedAsTheSlowOneSays) {
    constexpr int kRounds = 10;  // of rapidcheck's hundred
    Seen seen;
    for (int round = 0; round < kRounds && !testing::Test::HasFailure(); ++round) {
        EXPECT_TRUE(rc::check("pieces are judged as the slow one says", [&] {
            const auto kind = *rc::gen::inRange<std::uint32_t>(0, 48);
            const auto payload = *rc::gen::resize(rc::kNominalSize, rc::gen::inRange<std::size_t>(24, 1200));
            const auto raw = *rc::gen::nonEmpty(rc::gen::resize(30, rc::gen::arbitrary<std::vector<RawPiece>>()));
            check(datagram_frame(kind, payload), raw, seen);
        }));
    }
    // Worth something only if all of it happened.
    EXPECT_GT(seen.sent, 0U);
    EXPECT_GT(seen.overlaps, 0U);
    EXPECT_GT(seen.copies, 0U);
    EXPECT_GT(seen.timeouts, 0U);
}

}  // namespace
}  // namespace sluice::test
