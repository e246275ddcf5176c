// Extensions of flows (flow_proxy.hpp) in the slab: made, given back, found by the process after this one, or refused.
#include "dataplane/flow/flow_recovery.hpp"

#include <functional>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/dataplane/flow/slab_memory.hpp"

namespace sluice::dp::test {
namespace {

using abi::FlowLoss;

constexpr std::uint32_t kEntries = 64, kProxies = 4;

/// An open flow with an extension, as the worker makes it.
FlowHandle add_proxied(FlowTable& t, std::uint32_t n, FlowPhase phase = FlowPhase::established) {
    const FlowKeyV4 key = v4_key(n);
    const FlowHandle h = t.insert(key, t.hasher().hash(key), 50);
    if (h == kNoFlow) return h;
    FlowProxy* const x = t.extend(h);
    if (x == nullptr) {
        t.erase(h);
        return kNoFlow;
    }
    x->cookie = 100 + n;
    if (phase != FlowPhase::syn_sent) x->set(proxy_flag::answered);
    t.set_phase(h, phase, 50);
    return h;
}

TEST(ProxyRecovery, ExtensionsGoWithTheirEntries) {
    FlowTable t{{.entries_max = kEntries, .v6_entries_max = 4}};
    EXPECT_EQ(t.proxies_max(), kProxies);
    std::vector<FlowHandle> flows;
    for (int turn = 0; turn < 3; ++turn) {
        for (std::uint32_t n = 0; n < kProxies; ++n) {
            flows.push_back(add_proxied(t, n));
            ASSERT_NE(flows.back(), kNoFlow);
            EXPECT_EQ(t.proxy(flows.back()).cookie, 100 + n);
            EXPECT_EQ(t.owner_of_proxy(t.hot(flows.back()).extension_number()), flows.back());
            EXPECT_FALSE(t.hot(flows.back()).is_plain());
        }
        EXPECT_EQ(t.proxies(), kProxies);
        EXPECT_EQ(add_proxied(t, 99), kNoFlow);
        EXPECT_NE(add(t, v4_key(50)), kNoFlow) << "there is room for others";
        EXPECT_TRUE(t.hot(find(t, v4_key(50))).is_plain());
        t.erase(find(t, v4_key(50)));
        t.restart(flows[0], 60);
        EXPECT_FALSE(t.hot(flows[0]).extended()) << "what begins anew is the ends' own";
        EXPECT_EQ(t.proxies(), kProxies - 1);
        for (const FlowHandle h : flows) t.erase(h);
        EXPECT_EQ(t.proxies(), 0U);
        flows.clear();
    }
}

TEST(ProxyRecovery, ThereAreAsManyAsConfigured) {
    FlowTable t{{.entries_max = kEntries, .v6_entries_max = 4, .proxies_max = 7}};
    EXPECT_EQ(t.proxies_max(), 7U);
    for (std::uint32_t n = 0; n < 7; ++n) EXPECT_NE(add_proxied(t, n), kNoFlow) << n;
    EXPECT_EQ(add_proxied(t, 7), kNoFlow);
    EXPECT_EQ(t.proxies(), 7U);
}

TEST(ProxyRecovery, TheNextProcessFindsThemWhereTheyAre) {
    SlabMemory memory{kEntries, 4};
    {
        FlowTable t{memory.config()};
        add_proxied(t, 1);
        t.erase(add_proxied(t, 2));
        add_proxied(t, 3, FlowPhase::syn_sent);
    }
    FlowTable t{memory.config({.now_tick = 60})};
    EXPECT_EQ(t.recovered().kept, 2U);
    EXPECT_EQ(t.recovered().lost_total(), 0U);
    EXPECT_EQ(t.proxies(), 2U);
    EXPECT_EQ(t.proxy(find(t, v4_key(1))).cookie, 101U);
    EXPECT_EQ(t.proxy(find(t, v4_key(3))).cookie, 103U);
    EXPECT_NE(add_proxied(t, 4), kNoFlow);
    EXPECT_NE(add_proxied(t, 5), kNoFlow);
    EXPECT_EQ(add_proxied(t, 6), kNoFlow) << "each stands once";
    EXPECT_EQ(t.proxy(find(t, v4_key(1))).cookie, 101U);
}

TEST(ProxyRecovery, OrInASlabOfAnotherShape) {
    SlabMemory old{kEntries, 4}, fresh{64, 4}, small{4, 4};
    {
        FlowTable t{old.config()};
        add_proxied(t, 1);
        add(t, v4_key(2));
        add_proxied(t, 3);
    }
    FlowMove move;
    FlowTable t{fresh.config({.now_tick = 60})};
    t.take_over(old.slab(), move, {.now_tick = 60});
    EXPECT_EQ(t.recovered().kept, 3U);
    EXPECT_EQ(t.proxies(), 2U);
    for (const std::uint32_t n : {1U, 3U}) {
        const FlowHandle h = find(t, v4_key(n));
        ASSERT_NE(h, kNoFlow);
        EXPECT_EQ(t.proxy(h).cookie, 100 + n);
        EXPECT_EQ(t.owner_of_proxy(t.hot(h).extension_number()), h);
    }
    EXPECT_FALSE(t.hot(find(t, v4_key(2))).extended());
    FlowTable less{small.config({.now_tick = 60})};  // room for one extension
    less.take_over(old.slab(), move, {.now_tick = 60});
    EXPECT_EQ(less.recovered().kept, 2U);
    EXPECT_EQ(less.recovered().lost[static_cast<std::size_t>(FlowLoss::room)], 1U);
    EXPECT_EQ(less.count(), 2U);
}

struct Damage {
    const char* what;
    std::function<void(FlowHot&, FlowProxy&)> hit;
};

TEST(ProxyRecovery, WhatMakesNoSenseIsDroppedAndCounted) {
    const Damage damages[] = {
        {"no such extension", [](FlowHot& e, FlowProxy&) { e.set_extension(kProxies); }},
        {"another flow's", [](FlowHot&, FlowProxy& x) { ++x.flow; }},
        {"a flag that there is not", [](FlowHot&, FlowProxy& x) { x.flags |= 0x80; }},
        {"a scale that there is not", [](FlowHot&, FlowProxy& x) { x.server_wscale = 16; }},
        {"a promise to who asked for none",
         [](FlowHot&, FlowProxy& x) { x.client_wscale = kNoScale, x.promised_wscale = 7; }},
        {"padding", [](FlowHot&, FlowProxy& x) { x.must_be_zero[3] = 1; }},
        {"open, and the server has not answered",
         [](FlowHot&, FlowProxy& x) { x.flags = static_cast<std::uint8_t>(x.flags & ~proxy_flag::answered); }},
        {"of a flow that is no TCP",
         [](FlowHot& e, FlowProxy&) { e.v4.proto = abi::L4Proto::udp, e.phase = FlowPhase::udp_stream; }},
    };
    for (const Damage& damage : damages) {
        for (const bool moved : {false, true}) {
            SlabMemory memory{kEntries, 4}, other{64, 4};
            {
                FlowTable t{memory.config()};
                const FlowHandle h = add_proxied(t, 1);
                add_proxied(t, 2);
                damage.hit(t.hot(h), t.proxy(h));
            }
            const auto config = moved ? other.config({.now_tick = 60}) : memory.config({.now_tick = 60});
            FlowTable t{config};
            if (moved) t.take_over(memory.slab(), FlowMove{}, {.now_tick = 60});
            EXPECT_EQ(t.recovered().kept, 1U) << damage.what;
            EXPECT_EQ(t.recovered().lost[static_cast<std::size_t>(FlowLoss::damaged)], 1U) << damage.what;
            EXPECT_EQ(t.proxies(), 1U) << damage.what;
        }
    }
}

TEST(ProxyRecovery, NoTwoFlowsShareOne) {
    SlabMemory memory{kEntries, 4};
    {
        FlowTable t{memory.config()};
        const FlowHandle first = add_proxied(t, 1), second = add(t, v4_key(2));
        t.hot(second).set_extension(t.hot(first).extension_number());
    }
    FlowTable t{memory.config({.now_tick = 60})};
    EXPECT_EQ(t.recovered().kept, 1U);
    EXPECT_EQ(t.proxies(), 1U);
    EXPECT_NE(find(t, v4_key(1)), kNoFlow);
}

}  // namespace
}  // namespace sluice::dp::test
