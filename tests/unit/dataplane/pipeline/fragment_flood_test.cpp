// F19: first fragments that nobody will ever complete, a million of them, beside traffic that is not fragmented and a
// host that sends whole datagrams in pieces.
#include <gtest/gtest.h>

#include "tests/harness/fragments.hpp"
#include "tests/harness/harness.hpp"

namespace sluice::test {
namespace {

using abi::DropReason;

constexpr std::uint32_t kFloodPackets = 1'000'000;
constexpr std::uint32_t kBatch = 200;  ///< a loop's worth: at most 256 buffers are not held

cp::Policy policy() {
    PolicyBuilder p;
    p.zone("outside", {"p0"}).zone("inside", {"p1"});
    p.rule({.id = "dns", .from = {"outside"}, .to = {"inside"}, .service = {"udp/53"}, .action = cp::Action::allow});
    return p.build();
}

/// A minimal frame, changed in place: building a million from their description takes longer than judging them.
void number(Bytes& fragment, std::uint32_t n) {
    const bool v4 = fragment[12] == 0x08;
    const std::size_t id = v4 ? 14 + 4 : 14 + 40 + 4;
    // IPv4's identification has 16 bits: the rest goes into the source address.
    const std::size_t rest = v4 ? 14 + 12 + 2 : id + 2;
    const std::uint16_t halves[2] = {static_cast<std::uint16_t>(n), static_cast<std::uint16_t>(n >> 16)};
    const std::size_t at[2] = {id, rest};
    for (int i = 0; i < 2; ++i) {
        fragment[at[i]] = static_cast<std::uint8_t>(halves[i] >> 8);
        fragment[at[i] + 1] = static_cast<std::uint8_t>(halves[i]);
    }
    if (!v4) return;
    fragment[14 + 10] = fragment[14 + 11] = 0;
    const std::uint16_t sum = internet_checksum({fragment.begin() + 14, fragment.begin() + 34});
    fragment[14 + 10] = static_cast<std::uint8_t>(sum >> 8);
    fragment[14 + 11] = static_cast<std::uint8_t>(sum);
}

TEST(FragmentFlood, F19_Q13_MemoryIsBoundedAndOtherTrafficUnharmed) {
    constexpr std::uint32_t kHeldMax = 1536;
    Harness h{{.flow_entries_max = 64, .buffers = kHeldMax + 256, .fragments = {.packets_max = kHeldMax}}};
    h.use(policy());
    const std::size_t free_buffers = h.io.buffers_free();
    Bytes floods[2] = {piece(frame(Ipv4{.src = "203.0.1.1"}, Udp{.payload = bytes_of(100)}), 0, 64),
                       piece(frame(Ipv6{}, Udp{.payload = bytes_of(100)}), 0, 64)};
    const Bytes plain = frame(Ipv4{}, Udp{.payload = bytes_of(20)});
    const Bytes whole = frame(Ipv4{}, Udp{.payload = bytes_of(200)});
    std::uint64_t plain_sent = 0, left = 0;
    for (std::uint32_t n = 0; n < kFloodPackets; n += kBatch) {
        for (std::uint32_t k = 0; k < kBatch; ++k) {
            Bytes& flood = floods[k % 2];
            number(flood, n + k);
            ASSERT_TRUE(h.io.arrive(0, flood)) << "the flood has taken the receive side's buffers";
            if (k % 10 == 0) {
                ASSERT_TRUE(h.io.arrive(0, plain));
                ++plain_sent;
            }
            if (k == 50) {
                ASSERT_TRUE(h.io.arrive(0, piece(whole, 0, 64, n)));
            }
            if (k == 150) {
                ASSERT_TRUE(h.io.arrive(0, piece(whole, 64, SIZE_MAX, n)));
            }
        }
        do {
            (void)h.run_once();
        } while (h.io.waiting() != 0);
        left += h.io.take_sent().size();
        (void)h.events();
        const abi::PortCounters& port = h.counters().ports[0];
        ASSERT_LE(port.held_packets.read(), kHeldMax);
        ASSERT_LE(h.counters().frag_held_bytes.read(), 4U << 20);
    }
    const std::uint64_t datagrams = h.counters().frag_reassembled.read();
    EXPECT_EQ(datagrams, kFloodPackets / kBatch) << "pieces that come soon after each other still meet";
    EXPECT_EQ(left, plain_sent + 2 * datagrams) << "not one packet that is no fragment was lost";
    EXPECT_EQ(h.drops(DropReason::frag_nomem), kFloodPackets - kHeldMax);
    h.advance(std::chrono::seconds{61});
    EXPECT_EQ(h.drops(DropReason::frag_timeout), std::uint64_t{kHeldMax});
    EXPECT_EQ(h.io.buffers_free(), free_buffers);
}

}  // namespace
}  // namespace sluice::test
