// Which TCP connections came about and which came to nothing, as the guard of a commit asks.
#include <chrono>

#include <gtest/gtest.h>

#include "tests/unit/dataplane/pipeline/edge.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

struct Handshakes {
    std::uint64_t established{}, failed{};
    bool operator==(const Handshakes&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Handshakes& h) {
    return out << h.established << " established, " << h.failed << " failed";
}
Handshakes handshakes(const Harness& h) {
    return {h.counters().tcp_handshakes.read(), h.counters().tcp_handshakes_failed.read()};
}

template <typename Ip>
class HandshakeCount : public testing::Test {
protected:
    HandshakeCount() { h.use(edge().build()); }
    std::string syn(std::uint32_t seq = 1000, std::uint16_t dport = 443) {
        return h.fate(kOutside, frame(in<Ip>(), tcp_in(kSyn, seq, 0, dport)));
    }
    Harness h;
};
TYPED_TEST_SUITE(HandshakeCount, Families);

TYPED_TEST(HandshakeCount, OneThatIsOverCountsOnceWhateverComesBehind) {
    connect<TypeParam>(this->h);
    EXPECT_EQ(handshakes(this->h), (Handshakes{1, 0}));
    EXPECT_EQ(this->h.fate(kInside, frame(out<TypeParam>(), tcp_out(kRst | kAck, 5001, 1001))), "forward");
    this->h.advance(1h);
    EXPECT_EQ(this->h.counters().flows.read(), 0U);
    EXPECT_EQ(handshakes(this->h), (Handshakes{1, 0}));
}

TYPED_TEST(HandshakeCount, OneThatTheServerRefusesHasFailed) {
    EXPECT_EQ(this->syn(), "forward");
    EXPECT_EQ(handshakes(this->h), (Handshakes{0, 0})) << "nobody knows yet";
    EXPECT_EQ(this->h.fate(kInside, frame(out<TypeParam>(), tcp_out(kRst | kAck, 0, 1001))), "forward");
    EXPECT_EQ(handshakes(this->h), (Handshakes{0, 1}));
    this->h.advance(1h);
    EXPECT_EQ(handshakes(this->h), (Handshakes{0, 1})) << "once";
}

TYPED_TEST(HandshakeCount, OneThatNobodyAnswersHasFailedWhenItsTimeIsOver) {
    EXPECT_EQ(this->syn(), "forward");
    EXPECT_EQ(this->syn(), "forward") << "sent again, the same connection";
    this->h.advance(1h);
    EXPECT_EQ(this->h.counters().flows.read(), 0U);
    EXPECT_EQ(handshakes(this->h), (Handshakes{0, 1}));
}

TYPED_TEST(HandshakeCount, SynsThatNoRuleLetsInHaveFailedAndNothingElseHas) {
    EXPECT_EQ(this->syn(1000, 22), "policy_reject+answer");
    EXPECT_EQ(this->syn(1000, 23), "policy_deny");
    EXPECT_EQ(handshakes(this->h), (Handshakes{0, 2}));
    EXPECT_EQ(this->h.fate(kOutside, frame(in<TypeParam>(), tcp_in(kAck, 1001, 5001))), "tcp_no_flow");
    EXPECT_EQ(this->h.fate(kOutside, frame(in<TypeParam>(), Udp{.sport = 40000, .dport = 22})), "policy_reject+answer");
    EXPECT_EQ(this->h.fate(kOutside, frame(in<TypeParam>(), Udp{.sport = 40000, .dport = 443})), "forward");
    this->h.advance(1h);
    EXPECT_EQ(handshakes(this->h), (Handshakes{0, 2}));
}

TYPED_TEST(HandshakeCount, OneThatIsCutOffHalfOpenHasFailed) {
    EXPECT_EQ(this->syn(), "forward");
    PolicyBuilder closed;
    closed.zone("outside", {"p0"}).zone("inside", {"p1"});
    this->h.use(closed.build());
    EXPECT_NE(this->syn(), "forward");
    EXPECT_EQ(handshakes(this->h), (Handshakes{0, 2})) << "the flow, and the SYN that was sent again";
}

}  // namespace
}  // namespace sluice::test
