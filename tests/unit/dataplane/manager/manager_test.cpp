/// The manager over its real socket: publish, refuse, confirm, revert, stalled workers, hostile clients.
#include "dataplane/manager/manager.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include <sluice/abi/layout.hpp>

#include "tests/unit/dataplane/manager/rig.hpp"

namespace sluice::test {
namespace {

using abi::AnswerKind;
using abi::RefuseReason;
using namespace std::chrono_literals;

TEST(Manager, GreetsWithPortsStateAndReadOnlyTelemetry) {
    Rig rig;
    Client client{rig.socket()};
    const auto message = client.expect(abi::MessageType::hello);
    ASSERT_TRUE(message);
    const auto hello = message->as<abi::Hello>();
    EXPECT_EQ(hello.layout_hash, abi::kLayoutHash);
    EXPECT_STREQ(hello.ports[1].text.data(), "p1");
    EXPECT_EQ(hello.wire_count, 1U);
    EXPECT_EQ(hello.state.running_generation, 0U);
    ASSERT_EQ(message->fds.size(), 3U);
    for (const auto& fd : message->fds) {
        const auto bytes = static_cast<std::size_t>(lseek(fd.get(), 0, SEEK_END));
        EXPECT_EQ(mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0), MAP_FAILED);
        EXPECT_LT(pwrite(fd.get(), "x", 1, 0), 0);
        EXPECT_NE(ftruncate(fd.get(), 0), 0);
        void* const readable = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, fd.get(), 0);
        ASSERT_NE(readable, MAP_FAILED);
        EXPECT_EQ(mprotect(readable, bytes, PROT_READ | PROT_WRITE), -1);
        EXPECT_EQ(static_cast<const abi::TelemetryHeader*>(readable)->magic, abi::kTelemetryMagic);
        munmap(readable, bytes);
    }
}

TEST(Manager, AdoptsWhenEveryWorkerRunsIt) {
    Rig rig;
    Client client{rig.socket()};
    ASSERT_TRUE(client.claim());
    const auto answer = client.publish(*tables_for(5));
    EXPECT_EQ(answer.kind, AnswerKind::adopted) << answer.where.data();
    EXPECT_EQ(answer.generation, 5U);
    EXPECT_EQ(answer.header.sequence, 42U);
    // Adopted means that nobody runs anything older: no waiting here.
    for (const auto& worker : rig.workers) EXPECT_EQ(worker->generation, 5U);
    EXPECT_EQ(rig.telemetry->manager().generation.read(), 5U);
}

TEST(Manager, TakesUnchangedSectionsFromWhatItHolds) {
    Rig rig;
    Client client{rig.socket()};
    ASSERT_TRUE(client.claim());
    ASSERT_EQ(client.publish(*tables_for(1)).kind, AnswerKind::adopted);
    const auto changed = tables_for(2, cp::Action::deny);
    const auto answer = client.publish(*changed, 0, 5'000, false);  // the rules section only
    EXPECT_EQ(answer.kind, AnswerKind::adopted) << answer.where.data();
    const auto fresh = tables_for(3);
    Rig other;
    Client stranger{other.socket()};
    ASSERT_TRUE(stranger.claim());
    EXPECT_EQ(stranger.publish(*fresh, 0, 5'000, false).reason, RefuseReason::section_not_held);
}

TEST(Manager, RefusedGenerationLeavesTheOldOne) {
    Rig rig;
    Client client{rig.socket()};
    ASSERT_TRUE(client.claim());
    ASSERT_EQ(client.publish(*tables_for(5)).kind, AnswerKind::adopted);
    const auto old = client.publish(*tables_for(4));
    EXPECT_EQ(old.kind, AnswerKind::refused);
    EXPECT_EQ(old.reason, RefuseReason::generation_old);
    EXPECT_EQ(old.generation, 5U);
    const auto unknown_port = PolicyBuilder{}.zone("outside", {"p0"}).zone("inside", {"p7"}).build();
    EXPECT_EQ(client.publish(CompiledTables{unknown_port, 6}).kind, AnswerKind::refused);
    EXPECT_EQ(rig.workers[0]->generation, 5U);
    EXPECT_EQ(client.publish(*tables_for(7)).kind, AnswerKind::adopted);
}

TEST(Manager, FailOpenIsShownWhileTrafficPassesWithoutAPolicy) {
    Rig rig{{.fail_open = true}};
    const auto open = [&] { return rig.telemetry->manager().fail_open.read(); };
    EXPECT_EQ(open(), 1U);
    Client client{rig.socket()};
    EXPECT_EQ(client.expect(abi::MessageType::hello)->as<abi::Hello>().state.fail_open, 1);
    ASSERT_TRUE(client.claim());
    ASSERT_EQ(client.publish(*tables_for(1)).kind, AnswerKind::adopted);
    EXPECT_EQ(open(), 0U);
    EXPECT_EQ(Rig{}.telemetry->manager().fail_open.read(), 0U);
}

TEST(Manager, OfferedAgainIsAdoptedAgain) {
    Rig rig;
    Client client{rig.socket()};
    ASSERT_TRUE(client.claim());
    const auto tables = tables_for(5);
    ASSERT_EQ(client.publish(*tables).kind, AnswerKind::adopted);
    EXPECT_EQ(client.publish(*tables).kind, AnswerKind::adopted);
}

/// The same generation, compiled otherwise: it is run at once, and nothing that a revert returns to is another.
TEST(Manager, SameGenerationWithOtherTablesReplacesThem) {
    Rig rig;
    Client client{rig.socket()};
    ASSERT_TRUE(client.claim());
    PolicyBuilder b;
    b.zone("outside", {"p0"}).zone("inside", {"p1"});
    b.rule({.id = "web", .service = {"tcp/443"}, .action = cp::Action::allow});
    const cp::Policy before = b.build();
    b.rule({.id = "dns", .service = {"udp/53"}, .action = cp::Action::allow});
    const cp::Policy after = b.build();
    cp::SlotMap slots;
    ASSERT_EQ(client.publish(*tables_for(1)).kind, AnswerKind::adopted);
    const CompiledTables edited{before, after, slots, 2};
    ASSERT_FALSE(edited.view().overlay.rules.empty());
    ASSERT_EQ(client.publish(edited).kind, AnswerKind::adopted);
    const CompiledTables whole{after, slots, 2};
    ASSERT_EQ(whole.compiled().manifest.generation_digest, edited.compiled().manifest.generation_digest);
    ASSERT_EQ(client.publish(whole).kind, AnswerKind::adopted);
    client.send(abi::GetStatus{});
    const auto state = client.expect(abi::MessageType::status)->as<abi::Status>().state;
    EXPECT_EQ(state.running_generation, 2U);
    EXPECT_EQ(state.previous_generation, 1U);
}

TEST(Manager, HasOnePublisher) {
    Rig rig;
    auto first = std::make_unique<Client>(rig.socket());
    ASSERT_TRUE(first->claim());
    Client second{rig.socket()};
    EXPECT_FALSE(second.claim());
    const auto answer = second.publish(*tables_for(1));
    EXPECT_EQ(answer.reason, RefuseReason::not_publisher);
    first.reset();
    EXPECT_TRUE(eventually([&] { return second.claim(); }));
}

// P10: nobody confirms; the dataplane goes back by itself, whoever is still there.
TEST(Manager, P10RevertsAtTheDeadline) {
    Rig rig;
    auto client = std::make_unique<Client>(rig.socket());
    ASSERT_TRUE(client->claim());
    ASSERT_EQ(client->publish(*tables_for(1)).kind, AnswerKind::adopted);
    const auto pending = client->publish(*tables_for(2, cp::Action::deny), 60'000);
    ASSERT_EQ(pending.kind, AnswerKind::adopted);
    EXPECT_NE(pending.confirm_deadline.ns, 0U);
    client.reset();  // the control plane is killed meanwhile
    rig.advance(59s);
    EXPECT_FALSE(eventually([&] { return rig.workers[0]->generation == 1; }, 200ms));
    rig.advance(2s);
    EXPECT_TRUE(eventually([&] { return rig.workers[0]->generation == 1 && rig.workers[1]->generation == 1; }));
    Client late{rig.socket()};
    const auto hello = late.expect(abi::MessageType::hello)->as<abi::Hello>();
    EXPECT_EQ(hello.state.running_generation, 1U);
    EXPECT_EQ(hello.state.source, static_cast<std::uint8_t>(abi::StateSource::reverted));
    EXPECT_EQ(hello.state.confirm_deadline.ns, 0U);
}

TEST(Manager, ConfirmedStays) {
    Rig rig;
    Client client{rig.socket()};
    ASSERT_TRUE(client.claim());
    ASSERT_EQ(client.publish(*tables_for(1)).kind, AnswerKind::adopted);
    ASSERT_EQ(client.publish(*tables_for(2), 60'000).kind, AnswerKind::adopted);
    abi::Confirm confirm;
    confirm.generation = 2;
    client.send(confirm);
    EXPECT_EQ(client.answer().kind, AnswerKind::adopted);
    rig.advance(120s);
    EXPECT_FALSE(eventually([&] { return rig.workers[0]->generation == 1; }, 200ms));
    client.send(confirm);
    EXPECT_EQ(client.answer().reason, RefuseReason::nothing_to_confirm);
}

TEST(Manager, RevertsOnRequestToTheLastConfirmedOne) {
    Rig rig;
    Client client{rig.socket()};
    ASSERT_TRUE(client.claim());
    ASSERT_EQ(client.publish(*tables_for(1)).kind, AnswerKind::adopted);
    ASSERT_EQ(client.publish(*tables_for(2), 60'000).kind, AnswerKind::adopted);
    ASSERT_EQ(client.publish(*tables_for(3), 60'000).kind, AnswerKind::adopted);
    abi::Revert revert;
    revert.generation = 3;
    client.send(revert);
    const auto answer = client.answer();
    EXPECT_EQ(answer.kind, AnswerKind::adopted);
    EXPECT_EQ(answer.generation, 1U);
    client.send(revert);
    EXPECT_EQ(client.answer().kind, AnswerKind::refused);
}

TEST(Manager, FirstPolicyCannotBeUnconfirmed) {
    Rig rig;
    Client client{rig.socket()};
    ASSERT_TRUE(client.claim());
    EXPECT_EQ(client.publish(*tables_for(1), 1'000).reason, RefuseReason::nothing_to_confirm);
}

TEST(Manager, NamesAStalledWorkerAndGoesOn) {
    Rig rig;
    Client client{rig.socket()};
    ASSERT_TRUE(client.claim());
    ASSERT_EQ(client.publish(*tables_for(1)).kind, AnswerKind::adopted);
    rig.workers[1]->stall = true;
    std::uint64_t generation = 2;
    abi::Answer answer;
    while ((answer = client.publish(*tables_for(generation), 0, 50)).kind == AnswerKind::adopted) ++generation;
    EXPECT_EQ(answer.kind, AnswerKind::stalled);
    EXPECT_EQ(answer.stalled_workers, 2U);
    EXPECT_EQ(rig.workers[0]->generation, generation);

    // Unretired nodes are bounded: the way is blocked until the worker turns again, then free.
    while ((answer = client.publish(*tables_for(++generation), 0, 50)).kind == AnswerKind::stalled) {
        ASSERT_LT(generation, 10U);
    }
    EXPECT_EQ(answer.reason, RefuseReason::too_many_unretired);
    rig.advance(2s);
    const auto is_named = [&] {
        client.send(abi::GetStatus{});
        return client.expect(abi::MessageType::status)->as<abi::Status>().state.stalled_workers == 2;
    };
    EXPECT_TRUE(eventually(is_named));
    EXPECT_TRUE(std::any_of(client.notices.begin(), client.notices.end(), [](const abi::Notice& n) {
        return n.kind == abi::NoticeKind::worker_stalled && n.worker == 1;
    }));
    rig.workers[1]->stall = false;
    EXPECT_TRUE(eventually([&] { return client.publish(*tables_for(++generation)).kind == AnswerKind::adopted; }));
    EXPECT_EQ(rig.workers[1]->generation, generation);
}

TEST(Manager, HandsOutTheRunningGeneration) {
    Rig rig;
    Client client{rig.socket()};
    ASSERT_TRUE(client.claim());
    client.send(abi::GetRunning{});
    EXPECT_EQ(client.expect(abi::MessageType::running)->fds.size(), 0U);
    ASSERT_EQ(client.publish(*tables_for(9)).kind, AnswerKind::adopted);
    Client inspector{rig.socket()};
    inspector.send(abi::GetRunning{});
    const auto running = inspector.expect(abi::MessageType::running);
    ASSERT_TRUE(running);
    ASSERT_EQ(running->fds.size(), 1 + abi::kSectionKindCount);
    abi::Manifest manifest;
    ASSERT_EQ(pread(running->fds[0].get(), &manifest, sizeof manifest, 0), static_cast<ssize_t>(sizeof manifest));
    EXPECT_EQ(manifest.generation, 9U);
}

TEST(Manager, WalksTheFlowsOfAllWorkers) {
    Rig rig;
    rig.workers[0]->flow_count = 700;
    rig.workers[1]->flow_count = 3;
    Client client{rig.socket()};
    std::uint64_t cursor = 0, seen = 0, pages = 0;
    for (bool last = false; !last; ++pages) {
        ASSERT_LT(pages, 10U);
        abi::DumpFlows request;
        request.cursor = cursor;
        request.count_max = abi::kFlowsPerDumpMax;
        client.send(request);
        const auto message = client.expect(abi::MessageType::flow_dump);
        ASSERT_TRUE(message);
        const auto dump = message->as<abi::FlowDump>();
        seen += dump.count;
        cursor = dump.next;
        last = dump.last != 0;
    }
    EXPECT_EQ(seen, 703U);
    EXPECT_EQ(pages, 3U);
}

TEST(Manager, EndsFlowsForItsPublisherOnly) {
    Rig rig;
    rig.workers[0]->flow_count = 700;
    rig.workers[1]->flow_count = 3;
    Client reader{rig.socket()}, publisher{rig.socket()};
    ASSERT_TRUE(publisher.claim());
    abi::EndFlows request;
    request.answered = 1;
    request.filter.term_count = request.filter.range_count = 1;
    request.filter.terms[0] = {abi::FlowField::worker, 0, 0, 1};
    reader.send(request);
    const auto refused = reader.expect(abi::MessageType::flows_ended);
    ASSERT_TRUE(refused);
    EXPECT_EQ(refused->as<abi::FlowsEnded>().granted, 0U);
    EXPECT_EQ(refused->as<abi::FlowsEnded>().count, 0U);

    std::uint64_t seen = 0;
    for (bool last = false; !last;) {
        publisher.send(request);
        const auto message = publisher.expect(abi::MessageType::flows_ended);
        ASSERT_TRUE(message);
        const auto ended = message->as<abi::FlowsEnded>();
        EXPECT_EQ(ended.granted, 1U);
        ASSERT_GT(ended.next, request.cursor);
        seen += ended.count;
        request.cursor = ended.next;
        last = ended.last != 0;
    }
    EXPECT_EQ(seen, 703U) << "more than a page of a dump holds";
    EXPECT_EQ(rig.workers[1]->mailbox.task, dp::FlowTask::end_answered);
    EXPECT_EQ(rig.workers[1]->mailbox.filter.terms[0].field, abi::FlowField::worker);
}

TEST(Manager, NewFlowsAreWatchedForThePublisherAsLongAsItIsThere) {
    Rig rig;
    const auto watched = [&] {
        return rig.workers[0]->mailbox.new_flows_per_second.load() +
               rig.workers[1]->mailbox.new_flows_per_second.load();
    };
    Client reader{rig.socket()};
    abi::WatchFlows request;
    request.per_second = 700;
    {
        Client publisher{rig.socket()};
        ASSERT_TRUE(publisher.claim());
        reader.send(request);
        const auto refused = reader.expect(abi::MessageType::flows_watched);
        ASSERT_TRUE(refused);
        EXPECT_EQ(refused->as<abi::FlowsWatched>().granted, 0U);
        EXPECT_EQ(watched(), 0U);
        publisher.send(request);
        const auto granted = publisher.expect(abi::MessageType::flows_watched);
        ASSERT_TRUE(granted);
        EXPECT_EQ(granted->as<abi::FlowsWatched>().granted, 1U);
        EXPECT_EQ(watched(), 1400U) << "each worker is told the sum";
    }
    EXPECT_TRUE(eventually([&] { return watched() == 0; })) << "nobody reads any more";
}

TEST(Manager, AFilterThatCannotBeEvaluatedEndsTheConnection) {
    Rig rig;
    Client client{rig.socket()};
    abi::DumpFlows request;
    request.count_max = 1;
    request.filter.term_count = abi::kFlowTermsMax + 1;
    client.send(request);
    EXPECT_TRUE(client.ended());
}

TEST(Manager, EndsConnectionsThatMakeNoSenseAndLeaksNothing) {
    Rig rig;
    const auto before = open_descriptors();
    const auto generation = tables_for(1);
    abi::Offer offer;
    const auto fds = offer_fds(*generation, offer);
    const std::array<int, 2> two{fds[0].get(), fds[1].get()};
    const auto at_start = open_descriptors();
    const auto bytes_of = [](const auto& m) { return std::as_bytes(std::span{&m, 1}); };
    abi::Claim claim;
    claim.header.bytes = sizeof claim;
    abi::Claim wrong_magic = claim, wrong_length = claim, wrong_type = claim;
    wrong_magic.header.magic = 1;
    wrong_length.header.bytes = 15;
    wrong_type.header.type = abi::MessageType::answer;
    abi::Offer too_few = offer, twice = offer, negative = offer;
    too_few.header.bytes = twice.header.bytes = negative.header.bytes = sizeof(abi::Offer);
    twice.section_fd = {1, 1, -1, -1, -1, -1, -1, -1};
    negative.section_fd = {-7, 1, -1, -1, -1, -1, -1, -1};
    struct Case {
        const char* name;
        std::span<const std::byte> bytes;
        std::span<const int> fds;
    };
    const std::vector<int> many(20, fds[0].get());
    const std::vector<Case> cases = {
        {"one byte", bytes_of(claim).first(1), {}},
        {"cut header", bytes_of(claim).first(12), {}},
        {"wrong magic", bytes_of(wrong_magic), {}},
        {"wrong length", bytes_of(wrong_length), {}},
        {"a type of ours", bytes_of(wrong_type), {}},
        {"descriptors where none belong", bytes_of(claim), two},
        {"more descriptors than fit", bytes_of(claim), many},
        {"an offer without its descriptors", bytes_of(too_few), two},
        {"an offer without any", bytes_of(too_few), {}},
        {"one descriptor twice", bytes_of(twice), two},
        {"a negative position", bytes_of(negative), two},
    };
    for (const auto& c : cases) {
        Client client{rig.socket()};
        ASSERT_TRUE(client.send_bytes(c.bytes, c.fds)) << c.name;
        EXPECT_TRUE(client.ended()) << c.name;
    }
    EXPECT_TRUE(eventually([&] { return open_descriptors() == at_start; })) << open_descriptors() << " " << before;
    Client good{rig.socket()};
    EXPECT_TRUE(good.claim());
}

TEST(Manager, RefusedOffersLeakNoDescriptor) {
    Rig rig;
    Client client{rig.socket()};
    ASSERT_TRUE(client.claim());
    ASSERT_EQ(client.publish(*tables_for(5)).kind, AnswerKind::adopted);
    const auto before = open_descriptors();
    for (int i = 0; i < 20; ++i) ASSERT_EQ(client.publish(*tables_for(1)).kind, AnswerKind::refused);
    EXPECT_EQ(open_descriptors(), before);
    for (std::uint64_t g = 6; g < 30; ++g) ASSERT_EQ(client.publish(*tables_for(g)).kind, AnswerKind::adopted);
    // Running and previous are held, sections shared: a manifest more than before at most.
    EXPECT_TRUE(eventually([&] { return open_descriptors() <= before + 2; })) << open_descriptors() << " " << before;
}

TEST(Manager, ASlowClientBlocksNobody) {
    Rig rig;
    for (auto& worker : rig.workers) worker->flow_count = 100'000;
    Client slow{rig.socket()};
    abi::DumpFlows request;
    request.count_max = abi::kFlowsPerDumpMax;
    request.header.bytes = sizeof request;
    // Asks and never reads, until it is thrown out or not read from any more.
    for (int i = 0; i < 200; ++i) {
        if (send(slow.fd(), &request, sizeof request, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) break;
    }
    Client client{rig.socket()};
    ASSERT_TRUE(client.claim());
    EXPECT_EQ(client.publish(*tables_for(1)).kind, AnswerKind::adopted);
}

}  // namespace
}  // namespace sluice::test
