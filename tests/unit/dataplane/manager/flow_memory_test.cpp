#include "dataplane/manager/flow_memory.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/flow/flow_table.hpp"
#include "tests/unit/dataplane/flow/slab_memory.hpp"

namespace sluice::dp {
namespace {

using abi::FlowLoss;
using test::add;
using test::v4_key;
using test::v6_key;

constexpr abi::MonoTime kStart{50'000'000'000};

abi::MonoTime seconds_later(std::uint64_t s) { return {kStart.ns + s * 1'000'000'000}; }

FlowMemoryShape shape(std::uint32_t workers = 2, std::uint32_t entries = 64) {
    return {.worker_count = workers,
            .entries = entries,
            .ports = {"a", "b", "c", "d"},
            .wires = {{0, 1}, {2, 3}},
            .rule_slots = 100};
}

/// A process: its memory, and a table on each worker's part.
struct Process {
    Process(const FlowMemoryShape& of, const StoredFds& stored, abi::MonoTime now = kStart)
        : opened{FlowMemory::open(of, stored, now)} {
        EXPECT_TRUE(opened.has_value()) << opened.error();
        RecoveryCount count;
        for (std::uint32_t w = 0; w < of.worker_count; ++w) {
            homes.push_back(opened->home(w, now));
            tables.push_back(std::make_unique<FlowTable>(FlowTableConfig{.entries_max = of.entries,
                                                                         .v6_entries_max = of.entries,
                                                                         .proxies_max = of.proxies,
                                                                         .hash_secret = {1, w},
                                                                         .slab = homes[w].slab,
                                                                         .limits = homes[w].limits}));
            for (const auto& s : opened->sources(w, now)) tables[w]->take_over(s.slab, s.move, homes[w].limits);
            count += tables[w]->recovered();
        }
        kept = opened->finish(count);
    }
    /// What the supervisor would hand to the next process.
    StoredFds stored() const {
        StoredFds all;
        for (const auto& [name, fd] : kept.fds) all.emplace(name, UniqueFd{fcntl(fd, F_DUPFD_CLOEXEC, 3)});
        return all;
    }
    std::uint64_t lost(FlowLoss why) const { return kept.count.lost[static_cast<std::size_t>(why)]; }

    Expected<FlowMemory, std::string> opened;
    std::vector<FlowHome> homes;
    std::vector<std::unique_ptr<FlowTable>> tables;
    KeptFlows kept;
};

/// Three flows on each of two workers.
StoredFds left_behind(std::uint32_t workers = 2) {
    Process p{shape(workers), {}};
    EXPECT_FALSE(p.kept.had_predecessor);
    for (std::uint32_t w = 0; w < workers; ++w) {
        FlowKeyV4 on_second_wire = v4_key(10 + w);
        on_second_wire.domain = FlowDomain{2};
        EXPECT_NE(add(*p.tables[w], v4_key(w), 100), kNoFlow);
        EXPECT_NE(add(*p.tables[w], v6_key(w), 100), kNoFlow);
        EXPECT_NE(add(*p.tables[w], on_second_wire, 100), kNoFlow);
        p.homes[w].anchor->flows.store(3);
    }
    return p.stored();
}

void overwrite(const UniqueFd& fd, std::size_t at, std::uint64_t value) {
    ASSERT_EQ(pwrite(fd.get(), &value, sizeof value, static_cast<off_t>(at)), static_cast<ssize_t>(sizeof value));
}

TEST(FlowMemory, TheSameShapeGoesOnWhereItStands) {
    const StoredFds stored = left_behind();
    ASSERT_EQ(stored.size(), 2U);
    EXPECT_TRUE(stored.contains("f.1.0") && stored.contains("f.1.1"));
    const Process next{shape(), stored, seconds_later(7)};
    EXPECT_TRUE(next.kept.whole());
    EXPECT_EQ(next.kept.count.kept, 6U);
    EXPECT_EQ(next.kept.fds[1].first, "f.1.1");
    EXPECT_EQ(next.homes[0].tick_at_origin, 700U) << "ticks go on";
    const FlowTable& t = *next.tables[1];
    const FlowHandle h = test::find(t, v4_key(1));
    ASSERT_NE(h, kNoFlow);
    EXPECT_EQ(t.hot(h).last_seen_tick, 100U);
    EXPECT_EQ(test::find(*next.tables[0], v4_key(1)), kNoFlow);
}

/// A worker that began 30 s after boot and has counted 40 s too many since: its tick 0 lies before the clock's own.
TEST(FlowMemory, TicksMayHaveBegunBeforeTheClock) {
    const StoredFds stored = left_behind();
    for (const auto& [name, fd] : stored) {
        overwrite(fd, offsetof(FlowMemoryHeader, anchor) + offsetof(FlowAnchor, tick_zero_ns),
                  0U - std::uint64_t{10'000'000'000});
    }
    const Process next{shape(), stored, seconds_later(0)};
    EXPECT_TRUE(next.kept.whole()) << next.lost(FlowLoss::damaged) << " damaged";
    EXPECT_EQ(next.kept.count.kept, 6U);
    EXPECT_EQ(next.homes[0].tick_at_origin, 6'000U);
}

TEST(FlowMemory, IsOursAlone) {
    for (const auto& [name, fd] : left_behind()) {
        struct stat st {};
        ASSERT_EQ(fstat(fd.get(), &st), 0);
        EXPECT_EQ(st.st_mode & 0777, 0600U) << name;
        EXPECT_NE(ftruncate(fd.get(), 0), 0) << "a cut would end the writer with SIGBUS";
    }
}

TEST(FlowMemory, AnotherSizeIsCopiedIntoANewSet) {
    StoredFds stored = left_behind();
    const Process next{shape(2, 128), stored, seconds_later(7)};
    EXPECT_TRUE(next.kept.whole());
    EXPECT_EQ(next.kept.count.kept, 6U);
    EXPECT_EQ(next.kept.fds[0].first, "f.2.0");
    const FlowTable& t = *next.tables[0];
    const FlowHot& e = t.hot(test::find(t, v6_key(0)));
    EXPECT_EQ(next.homes[0].limits.now_tick - e.last_seen_tick, 600U) << "idle for six seconds, then and now";
    // Both sets are in the store when this process dies: the newer one is whole, so it is right.
    for (auto& [name, fd] : next.stored()) stored.emplace(name, fd.duplicate());
    const Process third{shape(2, 128), stored, seconds_later(8)};
    EXPECT_EQ(third.kept.fds[0].first, "f.2.0");
    EXPECT_EQ(third.kept.count.kept, 6U);
    // And if it died while it stored the new set, the old one is.
    stored.erase("f.2.1");
    const Process fourth{shape(), stored, seconds_later(9)};
    EXPECT_EQ(fourth.kept.fds[0].first, "f.1.0");
    EXPECT_EQ(fourth.kept.count.kept, 6U);
}

TEST(FlowMemory, ASmallerTableTakesWhatFits) {
    const Process next{shape(2, 2), left_behind(), seconds_later(1)};
    EXPECT_EQ(next.kept.count.kept, 4U);
    EXPECT_EQ(next.lost(FlowLoss::room), 2U);
    EXPECT_FALSE(next.kept.whole());
}

// Who has been told no owners knows: one worker gets all. Of several nobody knows.
/// Six proxied flows: they move with their extensions where there is room, and are lost where there is none.
TEST(FlowMemory, AnotherNumberOfProxiesIsAnotherShape) {
    const auto with = [](std::uint32_t proxies) {
        FlowMemoryShape of = shape(1);
        of.proxies = proxies;
        return of;
    };
    Process before{with(6), {}};
    for (std::uint32_t n = 0; n < 6; ++n) {
        FlowTable& t = *before.tables[0];
        const FlowKeyV4 key = v4_key(n);
        const FlowHandle h = t.insert(key, t.hasher().hash(key), 100);
        ASSERT_NE(h, kNoFlow);
        FlowProxy* const proxy = t.extend(h);
        ASSERT_NE(proxy, nullptr) << n;
        proxy->cookie = 1000 + n;
        proxy->set(proxy_flag::answered);
        t.set_phase(h, FlowPhase::established, 100);
    }
    for (const std::uint32_t proxies : {6U, 9U, 4U}) {
        const Process next{with(proxies), before.stored(), seconds_later(7)};
        const std::uint32_t left = std::min(proxies, 6U);
        EXPECT_EQ(next.kept.count.kept, left) << proxies;
        EXPECT_EQ(next.lost(FlowLoss::room), 6 - left) << proxies;
        EXPECT_EQ(next.kept.fds[0].first, proxies == 6 ? "f.1.0" : "f.2.0") << proxies;
        const FlowTable& t = *next.tables[0];
        EXPECT_EQ(t.proxies_max(), proxies);
        EXPECT_EQ(t.proxies(), left);
        const FlowHandle h = test::find(t, v4_key(1));
        ASSERT_NE(h, kNoFlow);
        EXPECT_EQ(t.proxy(h).cookie, 1001U);
    }
}

TEST(FlowMemory, WithoutOwnersFlowsGoToOneWorkerButNotToOtherSeveral) {
    const Process one{shape(1, 128), left_behind(), seconds_later(1)};
    EXPECT_EQ(one.kept.count.kept, 6U);
    EXPECT_TRUE(one.kept.whole());
    const Process three{shape(3, 128), left_behind(), seconds_later(1)};
    EXPECT_EQ(three.kept.count.kept, 0U);
    EXPECT_EQ(three.lost(FlowLoss::workers), 6U);
    EXPECT_TRUE(three.kept.had_predecessor);
    EXPECT_EQ(three.kept.fds[2].first, "f.2.2");
}

FlowMemoryShape shape_with(const Owners& owners, HashSecret secret = {}, std::uint32_t entries = 64) {
    FlowMemoryShape s = shape(owners.workers(), entries);
    s.owners = owners;
    s.owner_secret = secret;
    return s;
}

/// 60 flows, each in its owner's table.
StoredFds owned(const FlowMemoryShape& of) {
    Process p{of, {}};
    for (std::uint32_t n = 0; n < 30; ++n) {
        const std::uint32_t v4 = of.owners ? of.owners->owner(v4_key(n)) : 0;
        const std::uint32_t v6 = of.owners ? of.owners->owner(v6_key(n)) : 0;
        EXPECT_NE(add(*p.tables[v4], v4_key(n), 100), kNoFlow);
        EXPECT_NE(add(*p.tables[v6], v6_key(n), 100), kNoFlow);
    }
    return p.stored();
}

void expect_each_with_its_owner(const Process& p, const Owners& owners) {
    EXPECT_TRUE(p.kept.whole()) << p.kept.count.lost_total() << " lost";
    EXPECT_EQ(p.kept.count.kept, 60U);
    for (std::uint32_t w = 0; w < owners.workers(); ++w) {
        for (std::uint32_t n = 0; n < 30; ++n) {
            EXPECT_EQ(test::find(*p.tables[w], v4_key(n)) != kNoFlow, owners.owner(v4_key(n)) == w) << w << ' ' << n;
            EXPECT_EQ(test::find(*p.tables[w], v6_key(n)) != kNoFlow, owners.owner(v6_key(n)) == w) << w << ' ' << n;
        }
    }
}

TEST(FlowMemory, FlowsFindTheirOwnersAmongAnyNumberOfWorkers) {
    constexpr HashSecret kSecret{7, 8};
    for (const std::uint32_t before : {1U, 2U, 3U, 8U}) {
        FlowMemoryShape old = shape(1);
        if (before > 1) old = shape_with(Owners::software(kSecret, before), kSecret);
        for (const std::uint32_t after : {2U, 3U, 8U}) {
            SCOPED_TRACE(std::to_string(before) + " workers, then " + std::to_string(after));
            const Owners owners = Owners::software(kSecret, after);
            const StoredFds stored = owned(old);
            const Process next{shape_with(owners, kSecret), stored, seconds_later(1)};
            expect_each_with_its_owner(next, owners);
            EXPECT_EQ(next.kept.fds[0].first, before == after ? "f.1.0" : "f.2.0");
        }
        const StoredFds stored = owned(old);
        const Process one{shape(1, 128), stored, seconds_later(1)};
        EXPECT_EQ(one.kept.count.kept, 60U);
        EXPECT_TRUE(one.kept.whole());
    }
}

/// As many workers, but others own the flows: devices decide now, or a process began without the old secret.
TEST(FlowMemory, WithOtherOwnersFlowsMove) {
    const StoredFds stored = owned(shape_with(Owners::software({7, 8}, 4), {7, 8}));
    const Owners owners = Owners::software({9, 9}, 4);
    const Process next{shape_with(owners, {9, 9}), stored, seconds_later(1)};
    expect_each_with_its_owner(next, owners);
    EXPECT_EQ(next.kept.fds[0].first, "f.2.0");
}

TEST(FlowMemory, TheSecretOfOwnersOutlivesTheProcess) {
    EXPECT_FALSE(FlowMemory::kept_owner_secret({}, kStart));
    EXPECT_FALSE(FlowMemory::kept_owner_secret(owned(shape(1)), kStart));
    const StoredFds stored = owned(shape_with(Owners::software({7, 8}, 2), {7, 8}));
    EXPECT_EQ(FlowMemory::kept_owner_secret(stored, seconds_later(1)), (HashSecret{7, 8}));
}

/// What is nobody's is counted once, not by every worker that looks at the table.
TEST(FlowMemory, LossesAreCountedOnce) {
    const StoredFds stored = owned(shape_with(Owners::software({7, 8}, 2), {7, 8}));
    FlowMemoryShape other = shape_with(Owners::software({7, 8}, 4), {7, 8});
    other.ports[1] = "x";
    const Process next{other, stored, seconds_later(1)};
    EXPECT_EQ(next.kept.count.kept, 0U);
    EXPECT_EQ(next.lost(FlowLoss::wire), 60U);
}

TEST(FlowMemory, AWireIsKnownByTheNamesOfItsPorts) {
    FlowMemoryShape other = shape();
    other.ports = {"d", "c", "a", "x"};  // the second wire turned round, the first one gone
    other.wires = {{0, 1}, {2, 3}};
    const Process next{other, left_behind(), seconds_later(1)};
    EXPECT_EQ(next.kept.count.kept, 2U);
    EXPECT_EQ(next.lost(FlowLoss::wire), 4U);
    FlowKeyV4 key = v4_key(10);
    key.domain = FlowDomain{0};
    const FlowHandle h = test::find(*next.tables[0], key);
    ASSERT_NE(h, kNoFlow);
    EXPECT_TRUE(next.tables[0]->hot(h).has(flow_flag::original_from_high_port));
}

TEST(FlowMemory, AnotherLayoutIsLeftAloneAndCounted) {
    const StoredFds stored = left_behind();
    for (const auto& [name, fd] : stored) overwrite(fd, offsetof(FlowMemoryHeader, layout_hash), 12345);
    const Process next{shape(), stored, seconds_later(1)};
    EXPECT_EQ(next.kept.count.kept, 0U);
    EXPECT_EQ(next.lost(FlowLoss::layout), 6U) << "as many as their process said it had";
    EXPECT_EQ(next.kept.fds[0].first, "f.2.0");
    EXPECT_FALSE(next.kept.whole());
}

TEST(FlowMemory, AnotherBootIsNotBelieved) {
    const StoredFds stored = left_behind();
    for (const auto& [name, fd] : stored) {
        overwrite(fd, offsetof(FlowMemoryHeader, form) + offsetof(FlowMemoryForm, boot), 0x3030303030303030);
    }
    const Process next{shape(), stored, seconds_later(1)};
    EXPECT_EQ(next.kept.count.kept, 0U);
    EXPECT_EQ(next.lost(FlowLoss::boot), 6U);
}

TEST(FlowMemory, ADamagedTableCostsItsOwnFlowsOnly) {
    const std::size_t form = offsetof(FlowMemoryHeader, form);
    const std::pair<std::size_t, std::uint64_t> damages[] = {
        {offsetof(FlowMemoryHeader, magic), 1},
        {offsetof(FlowMemoryHeader, anchor), seconds_later(2).ns},  // ticks of a time to come
        {form + offsetof(FlowMemoryForm, worker), 0x200000000},     // the number of another worker
        {form + offsetof(FlowMemoryForm, entries), 0x4000000040000},
        {form + offsetof(FlowMemoryForm, entries), 0x4000000000},
        {form + offsetof(FlowMemoryForm, port_count), 17},
    };
    for (const auto& [at, value] : damages) {
        SCOPED_TRACE(at);
        const StoredFds stored = left_behind();
        overwrite(stored.at("f.1.1"), at, value);
        const Process next{shape(), stored, seconds_later(1)};
        EXPECT_EQ(next.kept.count.kept, 3U);
        EXPECT_EQ(next.lost(FlowLoss::damaged), 1U) << "how many it had can't be told";
        EXPECT_EQ(next.kept.fds[0].first, "f.2.0");
    }
}

TEST(FlowMemory, WhatIsNotOursIsNotTouched) {
    StoredFds stored = left_behind();
    ASSERT_EQ(fchmod(stored.at("f.1.0").get(), 0644), 0);
    UniqueFd unsealed{memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
    ASSERT_EQ(ftruncate(unsealed.get(), 1 << 20), 0);
    stored.insert_or_assign("f.1.1", std::move(unsealed));
    stored.emplace("f.x.1", UniqueFd{memfd_create("y", MFD_CLOEXEC)});
    stored.emplace("f.9", UniqueFd{memfd_create("z", MFD_CLOEXEC)});
    const Process next{shape(), stored, seconds_later(1)};
    EXPECT_EQ(next.kept.count.kept, 0U);
    EXPECT_EQ(next.lost(FlowLoss::damaged), 2U);
}

}  // namespace
}  // namespace sluice::dp
