// Flows that outlive the worker: a second harness on the memory of a first one is the process after it (CASES A2).
#include <unistd.h>

#include <cstring>

#include "tests/harness/single_step.hpp"
#include "tests/unit/dataplane/flow/slab_memory.hpp"
#include "tests/unit/dataplane/pipeline/tcp_conversation.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;
using abi::FlowState;
using dp::test::SlabMemory;

constexpr std::uint32_t kEntries = 64;

/// As shop_policy, as far as web-in goes, but the zones have changed numbers.
PolicyBuilder renumbered_policy() {
    PolicyBuilder p;
    p.zone("inside", {"p1"}).zone("outside", {"p0"});
    p.rule({.id = "web-in", .from = {"outside"}, .service = {"tcp/443"}, .action = cp::Action::allow});
    return p;
}

template <typename Ip>
class FlowHome : public testing::Test {
protected:
    HarnessOptions options(std::uint32_t tick = 0) {
        return {.flow_entries_max = kEntries,
                .flow_home = {.slab = memory.slab(),
                              .anchor = &anchor,
                              .tick_at_origin = tick,
                              .limits = {.now_tick = tick, .rule_slots = 1024, .wires = 1}}};
    }
    SlabMemory memory{kEntries, kEntries};
    dp::FlowAnchor anchor;
};
using Families = testing::Types<Ipv4, Ipv6>;
TYPED_TEST_SUITE(FlowHome, Families);

TYPED_TEST(FlowHome, A2_AConnectionGoesOnAsIfNothingHadHappened) {
    {
        Harness before{this->options()};
        before.use(shop_policy().build());
        connect<TypeParam>(before);
        say<TypeParam>(before, {{kAck, 100, 1001, 5001, kClient}});
    }
    Harness h{this->options(100)};
    EXPECT_EQ(h.recovered().kept, 1U);
    EXPECT_EQ(h.recovered().lost_total(), 0U);
    EXPECT_EQ(h.flows(), 1U) << "before the first packet";
    h.use(shop_policy().build());
    // Windows are known: the next packet is checked as before.
    EXPECT_EQ(h.fate(kShop, said_frame<TypeParam>({kAck, 10, 900'000'000, 1101, kShop})), "tcp_out_of_window");
    say<TypeParam>(h, {{kAck, 0, 5001, 1101, kShop}, {kAck, 10, 1101, 5001, kClient}});
    EXPECT_EQ(h.counters().flow_pickup.read() + h.counters().tcp_window_unknown.read(), 0U);
    EXPECT_EQ(only_state(h), FlowState::established);
    EXPECT_EQ(h.dump()[0].packets[0], 4U) << "SYN, ACK and data before, data after";
}

/// As shop_policy, but nothing comes in any more.
PolicyBuilder no_longer(abi::OnChange on_change) {
    PolicyBuilder p;
    p.zone("outside", {"p0"}).zone("inside", {"p1"});
    p.policy.on_change = on_change;
    return p;
}

TYPED_TEST(FlowHome, A2_AMarkIsOneToTheNextProcessToo) {
    {
        Harness before{this->options()};
        before.use(shop_policy().build());
        connect<TypeParam>(before);
        before.use(no_longer(abi::OnChange::kill).build());
        ASSERT_EQ(before.flows(), 0U);
        ASSERT_EQ(only_state(before), FlowState::killed);
    }
    Harness h{this->options(100)};
    EXPECT_EQ(h.recovered().lost_total(), 0U);
    EXPECT_EQ(h.flows(), 0U) << "counted again, and not as a flow";
    h.use(shop_policy().build());  // allowed again: what is over is over
    EXPECT_EQ(h.flows(), 0U);
    EXPECT_EQ(h.counters().flows_rejudged.read(), 0U);
    EXPECT_EQ(h.send({{kClient, said_frame<TypeParam>({kAck, 10, 1001, 5001, kClient})}}).size(), 2U);
    EXPECT_EQ(h.fate(kClient, said_frame<TypeParam>({kSyn, 0, 9000, 0, kClient})), "forward");
    EXPECT_EQ(h.flows(), 1U);
}

// From its first answer on a mark is `closed`, which other protocols' flows never are.
TYPED_TEST(FlowHome, A2_AMarkThatHasAnsweredIsNoDamage) {
    const FrameBytes asks =
        frame(TypeParam{.src = TypeParam{}.dst, .dst = TypeParam{}.src}, Udp{.sport = 5353, .dport = 53});
    {
        Harness before{this->options()};
        before.use(shop_policy().build());
        ASSERT_EQ(before.fate(kShop, asks), "forward");
        before.use(no_longer(abi::OnChange::kill).build());
        EXPECT_EQ(before.fate(kShop, asks), "flow_killed+answer");
        ASSERT_EQ(before.dump().size(), 1U);
    }
    Harness h{this->options(100)};
    EXPECT_EQ(h.recovered().lost_total(), 0U);
    EXPECT_EQ(h.recovered().kept, 1U);
    EXPECT_EQ(h.flows(), 0U);
    h.use(shop_policy().build());
    EXPECT_EQ(h.fate(kShop, asks), "forward") << "told once: this is another conversation";
}

TYPED_TEST(FlowHome, A2_AKeptFlowIsAskedAboutAgain) {
    {
        Harness before{this->options()};
        before.use(shop_policy().build());
        connect<TypeParam>(before);
        before.use(no_longer(abi::OnChange::keep).build());
        ASSERT_EQ(before.dump().at(0).kept, 1U);
    }
    Harness h{this->options(100)};
    EXPECT_EQ(h.recovered().lost_total(), 0U);
    h.set_valid_since(std::vector<std::uint32_t>(64, 1));
    h.use(no_longer(abi::OnChange::keep).build());
    EXPECT_EQ(h.counters().flows_kept_on_change.read(), 1U);
    h.use(no_longer(abi::OnChange::reevaluate).build());
    EXPECT_EQ(h.flows(), 0U);
}

// The stamps of two processes are the same numbers and mean nothing to each other.
TYPED_TEST(FlowHome, A2_WhatThePolicyDeniesNowDoesNotPassOnAnOldStamp) {
    {
        Harness before{this->options()};
        before.use(shop_policy().build());
        connect<TypeParam>(before);
    }
    Harness h{this->options(100)};
    PolicyBuilder closed;
    closed.zone("outside", {"p0"}).zone("inside", {"p1"});
    h.use_in_next_loop(closed.build());  // as many switches as the worker before had seen
    EXPECT_EQ(h.fate(kShop, said_frame<TypeParam>({kAck, 0, 5001, 1001, kShop})), "policy_deny");
    EXPECT_EQ(h.counters().flows_ended_by_policy.read(), 1U);
    EXPECT_EQ(h.flows(), 0U);
}

TYPED_TEST(FlowHome, ZonesAreThoseOfTheNewPolicy) {
    {
        Harness before{this->options()};
        before.use(shop_policy().build());
        connect<TypeParam>(before);
    }
    Harness h{this->options(100)};
    h.use(renumbered_policy().build());
    say<TypeParam>(h, {{kAck, 10, 1001, 5001, kClient}, {kAck, 0, 5001, 1011, kShop}});
    EXPECT_EQ(h.drops(abi::DropReason::flow_zone_mismatch), 0U);
}

// A7 in spirit: time went on while nobody ran, by the clock that both processes share.
TYPED_TEST(FlowHome, IdleTimeGoesOnOverTheRestart) {
    {
        Harness before{this->options()};
        before.use(shop_policy().build());
        EXPECT_EQ(before.fate(kShop, frame(TypeParam{}, Udp{.sport = 5353, .dport = 53})), "forward");
        before.advance(10s);
        before.set_clock();
        EXPECT_EQ(this->anchor.tick_zero_ns.load(), before.now_mono().ns - 10'000'000'000U);
        EXPECT_EQ(this->anchor.flows.load(), 1U);
    }
    Harness h{this->options(1'500)};  // 5 s later
    h.use(shop_policy().build());
    h.set_clock();
    EXPECT_EQ(this->anchor.tick_zero_ns.load(), h.now_mono().ns - 15'000'000'000U) << "ticks mean what they meant";
    h.advance(14s);
    EXPECT_EQ(h.flows(), 1U);
    h.advance(2s);
    EXPECT_EQ(h.flows(), 0U);
    EXPECT_EQ(h.counters().flows_expired.read(), 1U);
}

// Behind every instruction of a connection's first packets: what a successor finds is no flow, or one that knows its
// numbers, so that the rest of the connection passes.
TYPED_TEST(FlowHome, AFlowIsNeverLiveBeforeItsNumbers) {
    const SharedMemory shared{this->memory.bytes()};
    std::byte* const slab = shared.data();
    const auto body = [&](void (*begin)()) {
        HarnessOptions o = this->options();
        o.flow_home.slab = dp::FlowSlab::at(slab, kEntries, kEntries);
        o.buffers = 8;
        Harness h{o};
        h.use(shop_policy().build());
        const FrameBytes syn = said_frame<TypeParam>({kSyn, 0, 1000, 0, kClient});
        begin();
        const bool passed = h.fate(kClient, syn) == "forward";
        _exit(passed ? 0 : 1);
    };
    std::vector<std::byte> last(this->memory.bytes());
    std::size_t empty = 0, live = 0;
    const auto look = [&] {
        if (std::memcmp(last.data(), slab, last.size()) == 0) return;
        std::memcpy(last.data(), slab, last.size());
        std::memcpy(this->memory.data(), slab, last.size());
        const dp::FlowTable t{this->memory.config({.now_tick = 0, .rule_slots = 1024, .wires = 1})};
        ASSERT_EQ(t.recovered().lost_total(), 0U);
        ++(t.count() == 0 ? empty : live);
        if (t.count() == 0) return;
        const dp::FlowHot& e = t.hot(dp::FlowHandle{t.next_live(0, kEntries)});
        ASSERT_EQ(e.seq_end[0], 1001U);
        ASSERT_EQ(e.window_max[0], kWindow);
        ASSERT_NE(e.slot_and_log, 0U);
    };
    ASSERT_GT(single_step(body, look), 1'000U);
    EXPECT_GT(empty, 3U);
    EXPECT_GT(live, 0U);
}

}  // namespace
}  // namespace sluice::test
