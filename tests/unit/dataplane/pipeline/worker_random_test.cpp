// A worker under everything at once: mutated frames from both sides, split buffers, policy switches, time that jumps,
// links that flap, devices that refuse, buffers that run out. The harness checks the conservation law and the buffers
// after every loop; here also that the flow count, the dump and the counters of coming and going agree.
#include <random>

#include <gtest/gtest.h>

#include "tests/harness/frames.hpp"
#include "tests/harness/harness.hpp"
#include "tests/harness/seed.hpp"
#include "tests/harness/seed_frames.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

cp::Policy policy(cp::Action inwards, abi::RuleLog log) {
    PolicyBuilder p;
    p.zone("outside", {"p0"}).zone("inside", {"p1"});
    p.rule({.id = "watch", .from = {"outside"}, .to = {"inside"}, .mode = abi::RuleMode::observe});
    p.rule({.id = "in", .from = {"outside"}, .to = {"inside"}, .action = inwards, .log = log});
    p.rule({.id = "out", .from = {"inside"}, .to = {"outside"}, .action = cp::Action::allow, .log = log});
    return p.build();
}

class Chaos {
public:
    explicit Chaos(std::uint32_t seed) : random_{seed}, seeds_{seed_frames()} {}

    void step(Harness& h) {
        switch (pick(50)) {
            case 0: h.use(policy(cp::Action::allow, abi::RuleLog::both)); return;
            case 1: h.use(policy(cp::Action::deny, abi::RuleLog::none)); return;
            case 2: h.use(policy(cp::Action::reject, abi::RuleLog::start)); return;
            case 3: h.advance(std::chrono::milliseconds{pick(40'000)}); return;
            case 4: h.skip(std::chrono::milliseconds{pick(400'000)}); return;
            case 5: h.io.link[pick(2)] = false; break;
            case 6: h.io.tx_room[pick(2)] = pick(20); break;
            case 7: h.io.can_allocate = false; break;
            default: break;
        }
        const std::size_t frames = 1 + pick(40);
        for (std::size_t i = 0; i < frames; ++i) {
            FrameBytes f = seeds_[pick(seeds_.size())];
            mutate(f);
            const std::uint32_t contiguous =
                pick(10) == 0 ? static_cast<std::uint32_t>(pick(f.size() + 1)) : UINT32_MAX;
            const auto checksum = pick(2) == 0 ? dp::L4Checksum::good : dp::L4Checksum::unknown;
            (void)h.io.arrive(static_cast<std::uint8_t>(pick(2)), f, checksum, contiguous);
        }
        do {
            (void)h.run_once();
        } while (h.io.waiting() != 0);
        (void)h.io.take_sent();
        (void)h.events();
        for (const std::size_t port : {0U, 1U}) {
            h.io.link[port] = true;
            h.io.tx_room[port] = SIZE_MAX;
        }
        h.io.can_allocate = true;
    }

private:
    std::size_t pick(std::size_t below) { return std::uniform_int_distribution<std::size_t>{0, below - 1}(random_); }

    void mutate(FrameBytes& f) {
        for (std::size_t n = pick(3); n != 0; --n) f[pick(f.size())] = static_cast<std::uint8_t>(pick(256));
        if (pick(20) == 0) f.resize(1 + pick(f.size()));
    }

    std::mt19937 random_;
    std::vector<Bytes> seeds_;
};

TEST(WorkerRandom, X10_NothingIsLostWhateverHappens) {
    SCOPED_TRACE(seed_line());
    Harness h{{.flow_entries_max = 48, .buffers = 96, .ring_records = 8192}};
    Chaos chaos{seed_of_this_run()};
    for (int n = 0; n < 2'000 && !testing::Test::HasFailure(); ++n) {
        chaos.step(h);
        if (n % 100 != 0) continue;
        const abi::WorkerCounters& c = h.counters();
        const std::size_t dumped = h.dump().size();  // its loops age too: count afterwards
        ASSERT_EQ(dumped, h.flows());
        ASSERT_EQ(c.flows_created.read(), h.flows() + c.flows_expired.read() + c.flows_closed.read() +
                                              c.flows_ended_by_policy.read() + c.syn_early_drop.read() +
                                              c.closing_early_drop.read());
    }
    const abi::WorkerCounters& c = h.counters();
    // The walk is worth something only if flows came and went in every way.
    EXPECT_GT(c.flows_created.read(), 100U);
    EXPECT_GT(c.flows_expired.read(), 0U);
    EXPECT_GT(c.flows_ended_by_policy.read(), 0U);
    EXPECT_GT(c.ports[0].forwarded_packets.read(), 1000U);
}

}  // namespace
}  // namespace sluice::test
