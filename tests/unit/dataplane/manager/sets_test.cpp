/// Set changes over the manager's real socket, and what of them a next process has.
#include <gtest/gtest.h>

#include <cstddef>

#include <sluice/abi/set_messages.hpp>

#include "controlplane/compiler/changing_sets.hpp"
#include "dataplane/manager/set_keeper.hpp"
#include "dataplane/manager/set_memory.hpp"
#include "tests/unit/dataplane/manager/rig.hpp"

namespace sluice::test {
namespace {

using abi::AnswerKind;
using abi::RefuseReason;
using abi::SetOp;

abi::SetMember member(std::string_view text) {
    const cp::Prefix p = prefix(text);
    return {.addr = p.addr, .family = p.family, .bits = p.bits};
}

std::optional<abi::SetsChanged> change(Client& client, std::uint64_t number, std::vector<abi::SetChange> changes,
                                       bool is_first = false, std::uint32_t within_ms = 5'000) {
    abi::ChangeSets batch;
    batch.epoch = 9;
    batch.number = number;
    batch.is_first = is_first ? 1 : 0;
    batch.adopt_within_ms = within_ms;
    batch.count = static_cast<std::uint16_t>(changes.size());
    std::copy(changes.begin(), changes.end(), batch.changes.begin());
    batch.header.bytes =
        static_cast<std::uint32_t>(offsetof(abi::ChangeSets, changes) + changes.size() * sizeof(abi::SetChange));
    if (!client.send_bytes(std::as_bytes(std::span{&batch, 1}).first(batch.header.bytes))) return std::nullopt;
    const auto answer = client.expect(abi::MessageType::sets_changed);
    if (!answer) return std::nullopt;
    return answer->as<abi::SetsChanged>();
}

abi::SetChange add(std::string_view text, std::uint64_t expires_unix_ns = 0) {
    return {.set = cp::set_id("blocked"), .expires_unix_ns = expires_unix_ns, .member = member(text), .op = SetOp::add};
}

bool has(Client& client, std::string_view text) {
    abi::GetMembers ask;
    ask.set = cp::set_id("blocked");
    ask.count = 1;
    ask.members[0] = member(text);
    ask.header.bytes = offsetof(abi::GetMembers, members) + sizeof(abi::SetMember);
    EXPECT_TRUE(client.send_bytes(std::as_bytes(std::span{&ask, 1}).first(ask.header.bytes)));
    const auto answer = client.expect(abi::MessageType::members);
    return answer && answer->as<abi::Members>().states[0].found == 1;
}

std::unique_ptr<CompiledTables> asking_tables(std::uint64_t generation, std::uint64_t set_delta = 0) {
    PolicyBuilder b;
    b.zone("outside", {"p0"}).zone("inside", {"p1"});
    b.policy.sets.push_back({.name = "blocked", .nets = {}, .pos = {}, .by_api = true, .members_max = 10});
    b.rule({.id = "no", .from = {"blocked"}, .action = cp::Action::deny});
    auto tables = std::make_unique<CompiledTables>(b.build(), generation, std::vector<std::string>{"p0", "p1"});
    if (set_delta != 0) tables->ask_for_sets_after(9, set_delta);
    return tables;
}

TEST(ManagerSets, AnswersWhenEveryWorkerDecidesByIt) {
    Rig rig;
    Client client{rig.socket()};
    ASSERT_TRUE(client.claim());
    ASSERT_EQ(client.publish(*asking_tables(1)).kind, AnswerKind::adopted);
    const auto done = change(client, 1, {add("192.0.2.1")}, true);
    ASSERT_TRUE(done);
    EXPECT_EQ(done->kind, AnswerKind::adopted);
    EXPECT_EQ(done->members, 1U);
    EXPECT_EQ(rig.tables.readers_before(rig.tables.current()->sequence), 0U);
    EXPECT_TRUE(has(client, "192.0.2.1"));
    EXPECT_FALSE(has(client, "192.0.2.2"));
    Client other{rig.socket()};
    const auto hello = other.expect(abi::MessageType::hello);
    ASSERT_TRUE(hello);
    EXPECT_EQ(hello->as<abi::Hello>().state.set_epoch, 9U);
    EXPECT_EQ(hello->as<abi::Hello>().state.last_delta, 1U);
}

TEST(ManagerSets, AStalledWorkerIsNamedAndAnsweredForLater) {
    Rig rig;
    Client client{rig.socket()};
    ASSERT_TRUE(client.claim());
    ASSERT_EQ(client.publish(*asking_tables(1)).kind, AnswerKind::adopted);
    rig.workers[1]->stall = true;
    std::this_thread::sleep_for(std::chrono::milliseconds{20});
    const auto stalled = change(client, 1, {add("192.0.2.1")}, true, 50);
    ASSERT_TRUE(stalled);
    EXPECT_EQ(stalled->kind, AnswerKind::stalled);
    EXPECT_EQ(stalled->stalled_workers, 2U);
    rig.workers[1]->stall = false;
    EXPECT_EQ(change(client, 2, {add("192.0.2.2")})->kind, AnswerKind::adopted);
}

TEST(ManagerSets, RefusesWhoHasNotClaimedAndWhatIsOutOfOrder) {
    Rig rig;
    Client stranger{rig.socket()};
    EXPECT_EQ(change(stranger, 1, {add("192.0.2.1")}, true)->reason, RefuseReason::not_publisher);
    Client client{rig.socket()};
    ASSERT_TRUE(client.claim());
    EXPECT_EQ(change(client, 2, {add("192.0.2.1")})->reason, RefuseReason::delta_order);
    EXPECT_EQ(change(client, 7, {add("192.0.2.1")}, true)->kind, AnswerKind::adopted);
    EXPECT_EQ(change(client, 7, {add("192.0.2.1")})->reason, RefuseReason::delta_order);
    EXPECT_FALSE(change(client, 8, {{.set = cp::set_id("blocked"), .op = SetOp{77}}}));
    EXPECT_TRUE(client.ended());
}

TEST(ManagerSets, AGenerationDoesNotRunBeforeTheSetsThatItAsks) {
    Rig rig;
    Client client{rig.socket()};
    ASSERT_TRUE(client.claim());
    ASSERT_EQ(change(client, 3, {add("192.0.2.1")}, true)->kind, AnswerKind::adopted);
    EXPECT_EQ(client.publish(*asking_tables(1, 4)).reason, RefuseReason::sets_behind);
    ASSERT_EQ(change(client, 4, {add("192.0.2.2")})->kind, AnswerKind::adopted);
    EXPECT_EQ(client.publish(*asking_tables(2, 4)).kind, AnswerKind::adopted);
}

TEST(ManagerSets, TimeToLiveRunsOutWithoutAPublisher) {
    Rig rig;
    {
        Client client{rig.socket()};
        ASSERT_TRUE(client.claim());
        const auto unix_ns = static_cast<std::uint64_t>(
            std::chrono::nanoseconds{std::chrono::system_clock::now().time_since_epoch()}.count());
        ASSERT_EQ(change(client, 1, {add("192.0.2.1", unix_ns + 3'600'000'000'000), add("192.0.2.2")}, true)->kind,
                  AnswerKind::adopted);
        EXPECT_TRUE(has(client, "192.0.2.1"));
    }
    rig.advance(std::chrono::seconds{3'601});
    Client client{rig.socket()};
    EXPECT_TRUE(eventually([&] { return !has(client, "192.0.2.1"); }));
    EXPECT_TRUE(has(client, "192.0.2.2"));
    EXPECT_TRUE(eventually([&] { return rig.telemetry->manager().set_expired.read() == 1; }));
}

TEST(ManagerSets, MembersOutliveTheProcess) {
    auto first = dp::SetMemory::open({}, 1024);
    ASSERT_TRUE(first) << first.error();
    const auto memory = std::make_shared<dp::SetMemory>(std::move(*first));
    {
        Rig rig{{.sets = memory}};
        Client client{rig.socket()};
        ASSERT_TRUE(client.claim());
        ASSERT_EQ(change(client, 1, {add("192.0.2.1"), add("2001:db8::/48")}, true)->kind, AnswerKind::adopted);
    }
    dp::StoredFds stored;
    stored.emplace(dp::SetMemory::name(), dp::UniqueFd{dup(memory->fd())});
    auto second = dp::SetMemory::open(stored, 1024);
    ASSERT_TRUE(second && second->had_predecessor());
    Rig rig{{.sets = std::make_shared<dp::SetMemory>(std::move(*second))}};
    Client client{rig.socket()};
    const auto hello = client.expect(abi::MessageType::hello);
    EXPECT_EQ(hello->as<abi::Hello>().state.last_delta, 1U);
    EXPECT_TRUE(has(client, "192.0.2.1"));
    EXPECT_TRUE(has(client, "2001:db8::/48"));
    auto smaller = dp::SetMemory::open(stored, 512);  // of another shape: nothing is believed
    ASSERT_TRUE(smaller);
    EXPECT_FALSE(smaller->had_predecessor());
}

}  // namespace
}  // namespace sluice::test
