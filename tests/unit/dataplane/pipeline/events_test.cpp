#include "dataplane/pipeline/events.hpp"

#include <array>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace sluice::dp {
namespace {

struct Ring {
    explicit Ring(std::size_t records) : slots(records) {}
    abi::EventRingHeader header;
    std::vector<abi::EventSlot> slots;
    abi::WorkerCounters counters;
};

abi::FlowEvent numbered(std::uint64_t n) {
    abi::FlowEvent e{};
    e.time = {n + 1};
    e.generation = n;
    e.packets = {n, n};
    e.bytes = {n, n};
    e.started = {n};
    e.slot = abi::RuleSlot{static_cast<std::uint32_t>(n)};
    return e;
}
bool whole(const abi::FlowEvent& e) {
    const std::uint64_t n = e.generation;
    return e.time.ns == n + 1 && e.packets[0] == n && e.packets[1] == n && e.bytes[0] == n && e.bytes[1] == n &&
           e.started.ns == n && e.slot == abi::RuleSlot{static_cast<std::uint32_t>(n)};
}

/// A reader as in the ABI's theory of operation: nothing if the record was overwritten meanwhile.
std::optional<abi::FlowEvent> read(const abi::EventSlot& slot, std::uint64_t sequence) {
    if (slot.sequence.load(std::memory_order_acquire) != sequence) return std::nullopt;
    std::array<std::uint64_t, sizeof(abi::FlowEvent) / 8> words{};
    auto* in = reinterpret_cast<std::uint64_t*>(const_cast<abi::FlowEvent*>(&slot.event));
    for (std::size_t i = 0; i < words.size(); ++i) {
        words[i] = std::atomic_ref<std::uint64_t>{in[i]}.load(std::memory_order_relaxed);
    }
    std::atomic_thread_fence(std::memory_order_acquire);
    if (slot.sequence.load(std::memory_order_relaxed) != sequence) return std::nullopt;
    return std::bit_cast<abi::FlowEvent>(words);
}

TEST(EventRing, AReaderThatIsLappedNeverSeesHalfARecord) {
    constexpr std::uint64_t kEvents = 200'000;
    Ring ring{1};  // every record overwrites the one that is being read
    EventWriter writer{ring.header, ring.slots, ring.counters, 1};
    std::thread writing{[&] {
        for (std::uint64_t n = 1; n <= kEvents; ++n) writer.write(numbered(n));
    }};
    std::uint64_t read_whole = 0;
    for (std::uint64_t newest = 0; newest < kEvents;) {
        newest = ring.header.written.load(std::memory_order_acquire);
        if (newest == 0) continue;
        const auto event = read(ring.slots[(newest - 1) % ring.slots.size()], newest);
        if (!event) continue;
        ++read_whole;
        ASSERT_TRUE(whole(*event)) << newest;
        ASSERT_EQ(event->generation, newest);
    }
    writing.join();
    EXPECT_GT(read_whole, 0U);
    EXPECT_EQ(ring.counters.events_written.read(), kEvents);
}

TEST(EventRing, KeepsTheNewestAndCountsOn) {
    Ring ring{4};
    EventWriter writer{ring.header, ring.slots, ring.counters, 1};
    for (std::uint64_t n = 1; n <= 10; ++n) writer.write(numbered(n));
    EXPECT_EQ(ring.header.written.load(), 10U);
    for (std::uint64_t n = 7; n <= 10; ++n) EXPECT_TRUE(read(ring.slots[(n - 1) % 4], n)) << n;
    EXPECT_FALSE(read(ring.slots[(6 - 1) % 4], 6));
}

abi::FlowEvent drop(abi::DropReason reason, std::uint64_t at_ns) {
    abi::FlowEvent e{};
    e.time = {at_ns};
    e.kind = abi::EventKind::drop;
    e.drop = reason;
    return e;
}

// X8: one cause uses its own budget up, not another's; what is written and what is left out add up.
TEST(EventBudget, EachCauseHasItsOwnAndNothingIsForgotten) {
    constexpr std::uint64_t kSecond = 1'000'000'000;
    Ring ring{4096};
    EventWriter writer{ring.header, ring.slots, ring.counters, 1};
    std::uint64_t at = 5 * kSecond;
    for (int n = 0; n < 1'000; ++n) writer.write_sampled(drop(abi::DropReason::martian, at++));
    for (int n = 0; n < 3; ++n) writer.write_sampled(drop(abi::DropReason::ip_malformed, at++));
    EXPECT_EQ(ring.header.written.load(), 103U);
    writer.settle({5 * kSecond + kSecond / 2});
    EXPECT_EQ(ring.header.written.load(), 103U) << "the second is not over";
    writer.settle({7 * kSecond});
    ASSERT_EQ(ring.header.written.load(), 104U);
    EXPECT_EQ(ring.slots[103].event.suppressed, 899U);
    EXPECT_EQ(ring.slots[103].event.drop, abi::DropReason::martian);
    writer.settle({9 * kSecond});
    EXPECT_EQ(ring.header.written.load(), 104U) << "said once";
    EXPECT_EQ(ring.counters.events_suppressed.read(), 900U);
}

TEST(EventBudget, OfNewFlowsIsTheWatchersAndSharedToo) {
    Ring ring{4096};
    EventWriter writer{ring.header, ring.slots, ring.counters, 4};
    abi::FlowEvent e{};
    e.kind = abi::EventKind::new_flow;
    e.time = {1'000'000'000};
    int made = 0;
    const auto tell = [&] {
        writer.tell_new_flow(e.time, [&] {
            ++made;
            return e;
        });
    };
    tell();
    EXPECT_EQ(made, 0) << "nobody watches";
    writer.watch_new_flows(200);
    for (int n = 0; n < 1'000; ++n) tell();
    EXPECT_EQ(ring.header.written.load(), 50U);
    EXPECT_EQ(made, 51) << "what is left out costs no event, but the one that stands for the rest";
    EXPECT_EQ(ring.counters.events_suppressed.read(), 0U);
    writer.watch_new_flows(0);
    writer.settle({3'000'000'000});
    ASSERT_EQ(ring.header.written.load(), 51U) << "what was left out is told, even if nobody watches by then";
    EXPECT_EQ(ring.slots[50].event.suppressed, 949U);
}

TEST(EventBudget, IsSharedByTheWorkers) {
    Ring ring{4096};
    EventWriter writer{ring.header, ring.slots, ring.counters, 4};
    for (int n = 0; n < 1'000; ++n) writer.write_sampled(drop(abi::DropReason::martian, 1'000'000'000));
    EXPECT_EQ(ring.header.written.load(), 25U);
}

}  // namespace
}  // namespace sluice::dp
