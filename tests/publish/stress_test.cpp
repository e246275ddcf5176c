/// Everything at once for the sanitizers: publishes with and without a confirmation, confirms, reverts on request and
/// at deadlines of milliseconds, workers that nap and come and go, and meanwhile readers of telemetry, events, flows
/// and the running generation. What is retired is unmapped and freed for real. The readers check that what they see
/// fits together; the rest is for ThreadSanitizer and AddressSanitizer to say.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <random>

#include "controlplane/telemetry/event_reader.hpp"
#include "tests/harness/seed.hpp"
#include "tests/publish/live_dataplane.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t kWorkers = 4;
constexpr auto kReadEvery = 300us;  // readers without a pause would take the CPUs from what they are to watch

struct Stress {
    Colours colours;
    Published published;
    Complaints complaints;
    std::uint32_t seed{seed_of_this_run()};
    std::atomic<bool> over{false};
    std::atomic<std::uint64_t> flows_read{0}, events_read{0}, statuses_read{0}, generations_mapped{0};

    void expect(bool right, const std::string& what) {
        if (!right) complaints.add(what);
    }
};

/// A worker's life: mostly traffic, now and then a nap with the tables in hand, or away and back.
void live(Stress& s, LiveWorker& worker, const std::atomic<bool>& stop) {
    Painter painter{s.colours, worker, s.published, s.complaints, s.seed};
    std::mt19937 random{s.seed + 100 + worker.index};
    while (!stop) {
        painter.round(false);
        switch (random() % 64) {
            case 0: std::this_thread::sleep_for(std::chrono::microseconds{random() % 3'000}); break;
            case 1:
                worker.worker.go_offline();
                std::this_thread::sleep_for(std::chrono::microseconds{random() % 1'000});
                worker.worker.go_online();
                break;
            default: painter.pause();
        }
    }
}

std::uint64_t generations_wanted() { return (long_run() ? 20'000 : 2'000) / (kSanitized ? 4 : 1); }

/// As a control plane that changes its mind all the time. Returns how many generations were put in force.
std::uint64_t publish_and_revert(Stress& s, const std::string& socket) {
    const std::uint64_t wanted = generations_wanted();
    std::mt19937 random{s.seed};
    Client client{socket};
    EXPECT_TRUE(client.claim());
    constexpr std::uint64_t kPushedBackMax = 20'000;
    std::uint64_t adopted = 0, refused = 0, pushed_back = 0;
    for (std::uint64_t g = 1; adopted < wanted && refused < 100 && pushed_back < kPushedBackMax; ++g) {
        const CompiledTables& tables = s.colours.tables(g);
        s.published.offered.store(g, std::memory_order_release);
        const std::uint64_t confirm_ms = random() % 3 == 0 ? 1 + random() % 4 : 0;
        const auto answer = client.publish(tables, adopted == 0 ? 0 : confirm_ms, 60'000);
        if (answer.kind == abi::AnswerKind::refused && answer.reason == abi::RefuseReason::too_many_unretired) {
            // Rightly: a worker's thread has had no turn for some generations, as it goes on a small machine.
            ++pushed_back;
            std::this_thread::sleep_for(std::chrono::milliseconds{1});
            continue;
        }
        if (answer.kind != abi::AnswerKind::adopted) {
            ++refused;
            ADD_FAILURE() << answer.where.data();
            continue;
        }
        ++adopted;
        s.published.acknowledged.store(g, std::memory_order_release);
        if (confirm_ms == 0) continue;
        switch (random() % 3) {
            case 0: {
                abi::Confirm confirm;
                confirm.generation = g;
                client.send(confirm);
                (void)client.answer();  // the deadline may have been first
                break;
            }
            case 1: {
                abi::Revert revert;
                revert.generation = g;
                client.send(revert);
                (void)client.answer();
                break;
            }
            default: break;
        }
    }
    return adopted;
}

void walk_flows(Stress& s, const std::string& socket) {
    Client client{socket};
    std::uint64_t cursor = 0;
    while (!s.over) {
        abi::DumpFlows request;
        request.cursor = cursor;
        request.count_max = 20;
        client.send(request);
        const auto message = client.expect(abi::MessageType::flow_dump);
        if (!message) return s.expect(false, "no answer to a flow dump");
        const auto dump = message->as<abi::FlowDump>();
        cursor = dump.last != 0 ? 0 : dump.next;
        for (std::uint32_t i = 0; i < dump.count; ++i) {
            const abi::FlowRecord& flow = dump.flows[i];
            s.expect(flow.generation <= s.published.offered, "a flow of a generation that was never offered");
            // 0: judged so long ago that the number is forgotten.
            s.expect(flow.generation == 0 || s.colours.owns(flow.generation, flow.slot),
                     "a flow of generation " + std::to_string(flow.generation) + " has another policy's rule");
        }
        s.flows_read += dump.count;
        std::this_thread::sleep_for(kReadEvery);
    }
}

void read_telemetry(Stress& s, const std::string& socket) {
    Client client{socket};
    auto hello = client.expect(abi::MessageType::hello);
    if (!hello || hello->fds.size() != 3) return s.expect(false, "no telemetry with hello");
    const auto copy = [&](std::size_t i) { return cp::UniqueFd{dup(hello->fds[i].get())}; };
    const auto segments = cp::TelemetrySegments::map({copy(0), copy(1), copy(2)});
    if (!segments) return s.expect(false, segments.error());
    cp::EventReader events;
    const auto check = [&](const abi::FlowEvent& e) {
        ++s.events_read;
        if (e.kind == abi::EventKind::drop) return;
        s.expect(s.colours.owns(e.generation, e.slot),
                 "an event of generation " + std::to_string(e.generation) + " has another policy's rule");
    };
    events.attach(*segments, check);
    while (!s.over) {
        events.drain(check);
        client.send(abi::GetStatus{});
        const auto status = client.expect(abi::MessageType::status);
        if (!status) return s.expect(false, "no answer to a question for the status");
        s.expect(status->as<abi::Status>().state.running_generation <= s.published.offered, "runs what nobody offered");
        ++s.statuses_read;
        std::this_thread::sleep_for(kReadEvery);
    }
}

/// Maps what runs, as sluice-inspect does; it may be retired meanwhile.
void map_running(Stress& s, const std::string& socket) {
    Client client{socket};
    while (!s.over) {
        client.send(abi::GetRunning{});
        const auto running = client.expect(abi::MessageType::running);
        if (!running) return s.expect(false, "no answer to a question for the running generation");
        if (running->fds.empty()) continue;
        void* const memory = mmap(nullptr, sizeof(abi::Manifest), PROT_READ, MAP_SHARED, running->fds.front().get(), 0);
        if (memory == MAP_FAILED) return s.expect(false, "a running generation cannot be mapped");
        s.expect(static_cast<const abi::Manifest*>(memory)->generation == running->as<abi::Running>().generation,
                 "another generation than was said");
        munmap(memory, sizeof(abi::Manifest));
        ++s.generations_mapped;
        std::this_thread::sleep_for(kReadEvery);
    }
}

TEST(PublishStress, EverythingAtOnce) {
    Stress s;
    std::uint64_t adopted = 0;
    {
        LiveDataplane dataplane{kWorkers,
                                [&](LiveWorker& worker, const std::atomic<bool>& stop) { live(s, worker, stop); }};
        std::vector<std::thread> readers;
        for (auto* reader : {walk_flows, read_telemetry, map_running}) {
            readers.emplace_back([&, reader] { reader(s, dataplane.socket()); });
        }
        adopted = publish_and_revert(s, dataplane.socket());
        s.over = true;
        for (auto& reader : readers) reader.join();
    }
    EXPECT_EQ(s.complaints.count(), 0U) << s.complaints.text();
    EXPECT_EQ(adopted, generations_wanted());
    EXPECT_GT(s.flows_read, 1'000U);
    EXPECT_GT(s.events_read, 1'000U);
    EXPECT_GT(s.generations_mapped, 10U);
    std::printf("%lu generations, %lu flow records, %lu events, %lu statuses, %lu mappings read meanwhile\n", adopted,
                s.flows_read.load(), s.events_read.load(), s.statuses_read.load(), s.generations_mapped.load());
}

}  // namespace
}  // namespace sluice::test
