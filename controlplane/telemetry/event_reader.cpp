#include "controlplane/telemetry/event_reader.hpp"

#include <atomic>
#include <cstring>

namespace sluice::cp {
namespace {

bool plausible(const abi::FlowEvent& e) noexcept {
    const auto kind = static_cast<std::uint8_t>(e.kind);
    return kind >= 1 && kind < abi::kEventKindCount && static_cast<std::uint8_t>(e.verdict) < abi::kVerdictCount &&
           static_cast<std::uint8_t>(e.end) < abi::kFlowEndCount &&
           static_cast<std::size_t>(e.drop) < abi::kDropReasonCount &&
           (e.family == abi::IpFamily::none || e.family == abi::IpFamily::v4 || e.family == abi::IpFamily::v6);
}

/// Word by word with relaxed loads: the writer may be writing at this very moment, and the sequence tells afterwards
/// whether what we have is whole.
void copy_racing(abi::FlowEvent& to, const abi::FlowEvent& from) noexcept {
    static_assert(sizeof(abi::FlowEvent) % 8 == 0 && alignof(abi::FlowEvent) == 8);
    using Word [[gnu::may_alias]] = std::uint64_t;
    std::uint64_t words[sizeof(abi::FlowEvent) / 8];
    const auto* source = reinterpret_cast<const Word*>(&from);
    for (std::size_t i = 0; i < std::size(words); ++i) words[i] = __atomic_load_n(source + i, __ATOMIC_RELAXED);
    std::memcpy(&to, words, sizeof to);
}

}  // namespace

void EventReader::attach(std::shared_ptr<const TelemetrySegments> segments, const Sink& sink,
                         std::span<const std::uint64_t> next) {
    const bool same_boot = segments_ != nullptr && segments_->boot_id() == segments->boot_id() &&
                           segments_->worker_count() == segments->worker_count();
    if (!same_boot) {
        if (segments_ != nullptr) drain(sink);
        next_.assign(segments->worker_count(), 1);
        for (std::uint32_t w = 0; w < segments->worker_count() && w < next.size(); ++w) {
            const std::uint64_t written = segments->ring(w).written.load(std::memory_order_acquire);
            if (next[w] != 0 && next[w] - 1 <= written) next_[w] = next[w];
        }
    }
    segments_ = std::move(segments);
}

void EventReader::drain(const Sink& sink) {
    if (segments_ == nullptr) return;
    for (std::uint32_t w = 0; w < segments_->worker_count(); ++w) drain_ring(w, sink);
}

void EventReader::drain_ring(std::uint32_t worker, const Sink& sink) {
    const auto slots = segments_->ring_slots(worker);
    auto& next = next_[worker];
    // acquire: pairs with the writer's release after the record.
    const std::uint64_t written = segments_->ring(worker).written.load(std::memory_order_acquire);
    if (written < next) return;
    if (written - next >= slots.size()) {
        const std::uint64_t oldest = written - slots.size() + 1;
        lost_ += oldest - next;
        next = oldest;
    }
    // Counted, not compared: a hostile writer may claim the highest sequence that there is.
    for (std::uint64_t left = written - next + 1; left > 0; --left, ++next) {
        const auto& slot = slots[(next - 1) % slots.size()];
        RingEvent event;
        // acquire: the record is not read before its sequence; pairs with the writer's release of the sequence.
        const auto before = slot.sequence.load(std::memory_order_acquire);
        copy_racing(event, slot.event);
        // The fence keeps the copy above the second look at the sequence.
        std::atomic_thread_fence(std::memory_order_acquire);
        const auto after = slot.sequence.load(std::memory_order_relaxed);
        if (before != next || after != next) {
            ++lost_;
            continue;
        }
        if (!plausible(event)) {
            ++invalid_;
            continue;
        }
        event.worker = worker;
        event.sequence = next;
        ++read_;
        sink(event);
    }
}

}  // namespace sluice::cp
