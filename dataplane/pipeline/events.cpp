#include "dataplane/pipeline/events.hpp"

#include <algorithm>
#include <bit>

namespace sluice::dp {

namespace {

constexpr std::size_t kEventWords = sizeof(abi::FlowEvent) / sizeof(std::uint64_t);
static_assert(kEventWords * sizeof(std::uint64_t) == sizeof(abi::FlowEvent));

}  // namespace

EventWriter::EventWriter(abi::EventRingHeader& ring, std::span<abi::EventSlot> slots, abi::WorkerCounters& counters,
                         std::uint32_t worker_count) noexcept
    : ring_{ring},
      slots_{slots},
      counters_{counters},
      worker_count_{std::max(1U, worker_count)},
      per_second_{std::max(1U, kEventsPerSecondAndCause / worker_count_)},
      written_{ring.written.load(std::memory_order_relaxed)} {}

void EventWriter::write(const abi::FlowEvent& event) noexcept {
    const std::uint64_t sequence = ++written_;
    abi::EventSlot& slot = slots_[(sequence - 1) & (slots_.size() - 1)];
    // A reader that looks while we overwrite must see that: first take the old number away. The fence keeps the words
    // below it; it pairs with the reader's fence between its copy and its second look at the number.
    slot.sequence.store(0, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_release);
    const auto words = std::bit_cast<std::array<std::uint64_t, kEventWords>>(event);
    auto* out = reinterpret_cast<std::uint64_t*>(&slot.event);
    for (std::size_t i = 0; i < kEventWords; ++i) {
        std::atomic_ref<std::uint64_t>{out[i]}.store(words[i], std::memory_order_relaxed);
    }
    slot.sequence.store(sequence, std::memory_order_release);  // pairs with the reader's first look
    ring_.written.store(sequence, std::memory_order_release);  // pairs with the reader's look at the newest
    counters_.events_written.add(1);
}

void EventWriter::report(Budget& budget) noexcept {
    if (budget.suppressed == 0) return;
    budget.first_suppressed.suppressed = budget.suppressed - 1;  // this event itself is no longer left out
    budget.suppressed = 0;
    write(budget.first_suppressed);
}

bool EventWriter::write_within(Budget& budget, std::uint32_t per_second, const abi::FlowEvent& event) noexcept {
    if (event.time.ns - budget.second_start_ns >= kSecondNs) {
        report(budget);
        budget.second_start_ns = event.time.ns;
        budget.used = 0;
    }
    if (budget.used < per_second) {
        ++budget.used;
        write(event);
        return true;
    }
    if (budget.suppressed++ == 0) {
        budget.first_suppressed = event;
        const std::uint64_t due = budget.second_start_ns + kSecondNs;
        settle_at_ns_ = settle_at_ns_ == 0 ? due : std::min(settle_at_ns_, due);
    }
    return false;
}

void EventWriter::write_sampled(const abi::FlowEvent& event) noexcept {
    Budget& budget =
        budgets_[event.kind == abi::EventKind::observed ? kObservedCause : static_cast<std::size_t>(event.drop)];
    if (!write_within(budget, per_second_, event)) counters_.events_suppressed.add(1);
}

void EventWriter::settle(abi::MonoTime now) noexcept {
    if (settle_at_ns_ == 0 || now.ns < settle_at_ns_) return;
    settle_at_ns_ = 0;
    for (Budget& budget : budgets_) {
        if (budget.suppressed == 0) continue;
        const std::uint64_t due = budget.second_start_ns + kSecondNs;
        if (now.ns >= due) {
            report(budget);
        } else {
            settle_at_ns_ = settle_at_ns_ == 0 ? due : std::min(settle_at_ns_, due);
        }
    }
}

}  // namespace sluice::dp
