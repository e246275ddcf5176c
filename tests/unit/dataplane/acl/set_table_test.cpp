/// Sets with changing members: what a batch does, what time does, what a next process finds, and that readers never
/// see half a member.
#include "dataplane/acl/set_table.hpp"

#include <atomic>
#include <bit>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "tests/harness/policies.hpp"

namespace sluice::test {
namespace {

using abi::RefuseReason;
using abi::SetId;
using abi::SetOp;
using dp::SetTable;

constexpr SetId kA{11}, kB{12};

/// Batches in order.
class Writer {
public:
    explicit Writer(SetTable& table) : table_{table} { batch_.epoch = 5; }
    Writer& put(SetOp op, SetId set, std::string_view member = {}, std::uint64_t expires_unix_ns = 0) {
        abi::SetChange& c = batch_.changes[batch_.count++];
        c = {.set = set, .expires_unix_ns = expires_unix_ns, .op = op};
        if (!member.empty()) {
            const cp::Prefix p = prefix(member);
            c.member = {.addr = p.addr, .family = p.family, .bits = p.bits};
        }
        return *this;
    }
    Expected<SetTable::Effect, dp::Refusal> send(const SetTable::Now& now = {}, dp::SetStamps* stamps = nullptr,
                                                 std::uint32_t policy_seq = 9) {
        batch_.number = table_.number() + 1;
        batch_.is_first = table_.epoch() == 5 ? 0 : 1;
        auto effect = table_.apply(batch_, now, stamps, policy_seq);
        batch_.count = 0;
        return effect;
    }
    abi::ChangeSets& batch() { return batch_; }

private:
    SetTable& table_;
    abi::ChangeSets batch_;
};

bool is_member(const SetTable& table, SetId set, std::string_view text) {
    const cp::Prefix p = prefix(text);
    return table.member(set, {.addr = p.addr, .family = p.family, .bits = p.bits}).found == 1;
}

std::uint64_t slots_of(const SetTable& table, std::string_view text) {
    const bool v6 = text.find(':') != std::string_view::npos;
    return table.index()->slots_of(address(text), v6 ? abi::IpFamily::v6 : abi::IpFamily::v4, ~std::uint64_t{0});
}

TEST(SetTable, HostsAndPrefixesOfBothFamiliesAreFound) {
    dp::OwnSetTable own{64};
    Writer w{*own};
    w.put(SetOp::add, kA, "192.0.2.7").put(SetOp::add, kA, "198.51.100.0/25").put(SetOp::add, kB, "2001:db8:5::/48");
    ASSERT_TRUE(w.put(SetOp::add, kB, "192.0.2.7").put(SetOp::add, kB, "0.0.0.0/0").send());
    EXPECT_EQ(std::popcount(slots_of(*own, "192.0.2.7")), 2);
    EXPECT_EQ(std::popcount(slots_of(*own, "198.51.100.127")), 2);
    EXPECT_EQ(std::popcount(slots_of(*own, "198.51.100.128")), 1);
    EXPECT_EQ(std::popcount(slots_of(*own, "2001:db8:5:ffff::1")), 1);
    EXPECT_EQ(slots_of(*own, "2001:db8:6::1"), 0U);
    ASSERT_TRUE(w.put(SetOp::remove, kB, "0.0.0.0/0").put(SetOp::remove, kA, "192.0.2.7").send());
    EXPECT_EQ(std::popcount(slots_of(*own, "192.0.2.7")), 1);
    EXPECT_EQ(slots_of(*own, "198.51.100.128"), 0U);
    EXPECT_FALSE(is_member(*own, kA, "192.0.2.7"));
    EXPECT_TRUE(is_member(*own, kB, "192.0.2.7"));
    EXPECT_EQ(own->counts().members, 3U);
}

TEST(SetTable, ABatchIsAppliedWholeOrNotAtAll) {
    dp::OwnSetTable own{4};
    Writer w{*own};
    ASSERT_TRUE(w.put(SetOp::add, kA, "192.0.2.1").send());
    for (const auto& spoil : std::vector<std::function<void(abi::SetChange&)>>{
             [](abi::SetChange& c) { c.member.bits = 33; }, [](abi::SetChange& c) { c.member.bits = 31; },
             [](abi::SetChange& c) { c.member.family = abi::IpFamily::none; },
             [](abi::SetChange& c) { c.set = SetId{0}; }, [](abi::SetChange& c) { c.op = SetOp{9}; },
             [](abi::SetChange& c) { c.member.addr.bytes[4] = 1; }}) {
        w.put(SetOp::add, kA, "192.0.2.2").put(SetOp::add, kA, "192.0.2.3");
        spoil(w.batch().changes[1]);
        const auto effect = w.send();
        ASSERT_FALSE(effect);
        EXPECT_EQ(effect.error().reason, RefuseReason::malformed_message);
        EXPECT_FALSE(is_member(*own, kA, "192.0.2.2"));
    }
    const auto full = w.put(SetOp::add, kA, "192.0.2.2")
                          .put(SetOp::add, kA, "192.0.2.3")
                          .put(SetOp::add, kA, "192.0.2.4")
                          .put(SetOp::add, kA, "192.0.2.5")
                          .send();
    ASSERT_FALSE(full);
    EXPECT_EQ(full.error().reason, RefuseReason::sets_full);
    EXPECT_EQ(own->counts().members, 1U);
    EXPECT_EQ(own->number(), 1U);
}

TEST(SetTable, TakesBatchesInOrderOnly) {
    dp::OwnSetTable own{16};
    Writer w{*own};
    ASSERT_TRUE(w.put(SetOp::add, kA, "192.0.2.1").send());
    abi::ChangeSets late;
    late.epoch = 5;
    for (const std::uint64_t number : {0, 1, 3}) {
        late.number = number;
        EXPECT_EQ(own->apply(late, {}, nullptr, 1).error().reason, RefuseReason::delta_order) << number;
    }
    late.number = 2;
    late.epoch = 6;
    EXPECT_FALSE(own->apply(late, {}, nullptr, 1));
    late.is_first = 1;
    EXPECT_TRUE(own->apply(late, {}, nullptr, 1));
    EXPECT_EQ(w.put(SetOp::stage, kA, "192.0.2.9").send().error().reason, RefuseReason::delta_order);
}

TEST(SetTable, AReplacementIsSeenWithTheNextViewAndNotBefore) {
    const auto policy = [] {
        PolicyBuilder b;
        b.zone("outside", {"p0"}).zone("inside", {"p1"}).set("blocked", {});
        cp::NetSet set{.name = "blocked", .nets = {}, .pos = {}, .by_api = true};
        b.policy.sets = {};
        b.policy.sets.push_back(std::move(set));
        b.rule({.id = "no", .from = {"blocked"}, .action = cp::Action::deny});
        b.default_action(cp::Action::allow);
        return b.build();
    }();
    const CompiledTables tables{policy};
    dp::TableView view = tables.view();
    ASSERT_EQ(view.set_uses.size(), 1U);
    const SetId blocked = view.sets[0].id;
    dp::OwnSetTable own{64};
    Writer w{*own};
    ASSERT_TRUE(w.put(SetOp::add, blocked, "192.0.2.1").send());
    const auto decides = [&](std::string_view src) {
        const auto k = key(0, src, 1, "203.0.113.1", abi::L4Proto::tcp, 80);
        dp::LookupResult r;
        dp::lookup(view, {&k, 1}, {&r, 1});
        return view.rule_id(r.rule);
    };
    view.members = own->view(view, nullptr, 0);
    EXPECT_EQ(decides("192.0.2.1"), "no");
    w.put(SetOp::begin, blocked).put(SetOp::stage, blocked, "192.0.2.2");
    ASSERT_TRUE(w.send());
    EXPECT_EQ(decides("192.0.2.2"), "default");
    const auto effect = w.put(SetOp::stage, blocked, "192.0.2.3").put(SetOp::commit, blocked).send();
    ASSERT_TRUE(effect);
    EXPECT_TRUE(effect->views && effect->everybody);
    EXPECT_EQ(decides("192.0.2.1"), "no");
    EXPECT_EQ(decides("192.0.2.3"), "default");
    view.members = own->view(view, nullptr, 0);
    EXPECT_EQ(decides("192.0.2.1"), "default");
    EXPECT_EQ(decides("192.0.2.2"), "no");
    EXPECT_EQ(decides("192.0.2.3"), "no");
    own->readers_have_moved();
    while (own->clean(1)) {
    }
    EXPECT_EQ(own->counts().members, 2U);
    EXPECT_EQ(slots_of(*own, "192.0.2.1"), 0U);
    EXPECT_EQ(decides("192.0.2.2"), "no");
}

TEST(SetTable, TimeToLiveRunsOutAndCanBeGivenAnew) {
    dp::OwnSetTable own{64};
    Writer w{*own};
    const SetTable::Now now{.mono = {1'000}, .unix_ns = 1'000'000};
    w.put(SetOp::add, kA, "192.0.2.1", 1'000'500).put(SetOp::add, kA, "192.0.2.2", 1'000'600);
    ASSERT_TRUE(w.put(SetOp::add, kA, "192.0.2.3").send(now));
    EXPECT_EQ(own->next_expiry().ns, 1'500U);
    ASSERT_TRUE(w.put(SetOp::add, kA, "192.0.2.1", 1'002'000).send(now));
    EXPECT_FALSE(own->expire({1'599}, nullptr, 1, 100).anything);
    EXPECT_TRUE(is_member(*own, kA, "192.0.2.2"));
    EXPECT_TRUE(own->expire({1'600}, nullptr, 1, 100).anything);
    EXPECT_FALSE(is_member(*own, kA, "192.0.2.2"));
    EXPECT_TRUE(is_member(*own, kA, "192.0.2.1"));
    own->expire({3'000}, nullptr, 1, 100);
    EXPECT_FALSE(is_member(*own, kA, "192.0.2.1"));
    EXPECT_TRUE(is_member(*own, kA, "192.0.2.3"));
    EXPECT_EQ(own->counts().expired, 2U);
}

TEST(SetTable, StampsTellWhomAChangeConcerns) {
    dp::OwnSetTable own{64};
    const auto stamps = std::make_unique<dp::SetStamps>();
    Writer w{*own};
    ASSERT_TRUE(
        w.put(SetOp::add, kA, "198.51.100.0/24").put(SetOp::add, kA, "2001:db8:0:7::9").send({}, stamps.get(), 9));
    const dp::SetView view = {.index = own->index().get(), .stamps = stamps.get()};
    const auto concerns = [&](std::string_view text, std::uint32_t judged) {
        const bool v6 = text.find(':') != std::string_view::npos;
        const auto family = v6 ? abi::IpFamily::v6 : abi::IpFamily::v4;
        return dp::changed_since(view, judged, dp::set_key(address(text), family, 64).high, family);
    };
    EXPECT_TRUE(concerns("198.51.100.0", 8));
    EXPECT_TRUE(concerns("198.51.100.255", 8));
    EXPECT_FALSE(concerns("198.51.100.255", 9));
    EXPECT_FALSE(concerns("198.51.101.0", 8));
    EXPECT_TRUE(concerns("2001:db8:0:7:1::1", 8));
    EXPECT_FALSE(concerns("2001:db8:0:8::9", 8));
    const auto wide = w.put(SetOp::add, kA, "10.0.0.0/23").send({}, stamps.get(), 10);
    EXPECT_TRUE(wide && wide->everybody);
    EXPECT_FALSE(w.put(SetOp::add, kA, "10.0.0.0/23").send({}, stamps.get(), 11)->anything);  // it was there
}

TEST(SetTable, ANextProcessFindsWhatWasThere) {
    dp::SetMemoryHeader header;
    std::vector<dp::MemberRecord> records(5000);
    std::vector<std::atomic<std::uint32_t>> hits(5000);
    const SetTable::Memory memory{.header = &header, .records = records, .hits = hits};
    std::uint32_t in_mid_write = 0;
    {
        SetTable table{memory, {1, 2}};
        Writer w{table};
        for (int batch = 0; batch < 4; ++batch) {
            for (int i = 0; i < 1000; ++i)
                w.put(SetOp::add, kA, "10.0." + std::to_string(batch * 4 + i / 256) + "." + std::to_string(i % 256), 0);
            ASSERT_TRUE(w.send());
        }
        ASSERT_TRUE(w.put(SetOp::remove, kA, "10.0.0.7").put(SetOp::add, kB, "10.0.0.8", 5'000).send());
        ASSERT_TRUE(w.put(SetOp::begin, kA).put(SetOp::stage, kA, "192.0.2.1").send());
        in_mid_write = header.records_used_max;
    }
    records[in_mid_write].kind = 999;  // a crash left this one half written
    records[in_mid_write].used = 1;
    header.records_used_max = in_mid_write + 1;
    SetTable next{memory, {3, 4}};
    EXPECT_EQ(next.counts().members, 4000U);
    EXPECT_EQ(next.epoch(), 5U);
    EXPECT_EQ(next.number(), 6U);
    EXPECT_TRUE(is_member(next, kA, "10.0.0.6"));
    EXPECT_FALSE(is_member(next, kA, "10.0.0.7"));
    EXPECT_TRUE(is_member(next, kB, "10.0.0.8"));
    EXPECT_EQ(slots_of(next, "192.0.2.1"), 0U);  // a replacement that was not whole
    next.expire({10'000}, nullptr, 1, 10);
    EXPECT_FALSE(is_member(next, kB, "10.0.0.8"));
}

/// Members that are always there are always found, and those that never are never, while others come and go around
/// them, in places that are used again and again.
TEST(SetTable, ReadersSeeWholeMembersWhileTheWriterWrites) {
    dp::OwnSetTable own{4096};
    Writer w{*own};
    for (int i = 0; i < 200; ++i) w.put(SetOp::add, kA, "192.0.2." + std::to_string(i));
    for (int i = 0; i < 400; ++i)
        w.put(SetOp::add, kB, "10.0." + std::to_string(i / 250) + "." + std::to_string(i % 250));
    ASSERT_TRUE(w.send());
    const auto index = own->index();
    std::atomic<bool> stop{false};
    std::atomic<std::uint64_t> wrong{0}, looks{0};
    std::vector<std::thread> readers;
    for (int r = 0; r < 2; ++r) {
        readers.emplace_back([&] {
            while (!stop) {
                for (int i = 0; i < 250; ++i) {
                    const auto addr = address("192.0.2." + std::to_string(i));
                    const bool found = index->slots_of(addr, abi::IpFamily::v4, ~std::uint64_t{0}) != 0;
                    wrong += found != (i < 200) ? 1 : 0;
                    ++looks;
                }
            }
        });
    }
    for (int round = 0; round < 300 || looks < 1000; ++round) {
        for (int i = 0; i < 200; ++i) {
            const int was = (round * 200 + i) % 400;
            w.put(round % 2 == 0 ? SetOp::remove : SetOp::add, kB,
                  "10.0." + std::to_string(was / 250) + "." + std::to_string(was % 250));
            w.put(round % 2 == 0 ? SetOp::add : SetOp::remove, kB,
                  "10.9." + std::to_string(i) + "." + std::to_string(round / 2 % 250));
        }
        ASSERT_TRUE(w.send());
    }
    stop = true;
    for (auto& reader : readers) reader.join();
    EXPECT_EQ(wrong, 0U);
}

}  // namespace
}  // namespace sluice::test
