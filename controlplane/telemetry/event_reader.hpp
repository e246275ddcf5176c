/// Reads the flow-event rings of all workers without ever making them wait. Called 20 times a second or more: a ring
/// holds 250 ms of a peak.
///
/// Theory of operation. Each ring has one cursor: the sequence that is wanted next. A record counts as read only if its
/// slot shows exactly the wanted sequence before and after the copy; else the writer has lapped us, and the distance is
/// counted as lost. Nothing that a ring says can make a drain longer than one ring length.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "controlplane/telemetry/event_batch.hpp"
#include "controlplane/telemetry/segments.hpp"

namespace sluice::cp {

class EventReader {
public:
    using Sink = std::function<void(const RingEvent&)>;

    /// A new boot: what the old rings still hold goes to `sink` first. The same boot: goes on where it was.
    /// `next`: sequence by worker to begin with, where somebody knows up to where a ring has been read before; 0 or
    /// none: as far back as there is anything. One that the ring has not come to yet is not believed.
    void attach(std::shared_ptr<const TelemetrySegments> segments, const Sink& sink,
                std::span<const std::uint64_t> next = {});
    /// Hands over what is new.
    void drain(const Sink& sink);

    /// Of the process that is being read; 0 before the first attach.
    std::uint64_t boot_id() const noexcept { return segments_ == nullptr ? 0 : segments_->boot_id(); }
    std::uint64_t read() const noexcept { return read_; }
    std::uint64_t lost() const noexcept { return lost_; }
    /// Records with impossible enums; not handed over.
    std::uint64_t invalid() const noexcept { return invalid_; }

private:
    void drain_ring(std::uint32_t worker, const Sink& sink);

    std::shared_ptr<const TelemetrySegments> segments_;
    std::vector<std::uint64_t> next_;  // per worker
    std::uint64_t read_{}, lost_{}, invalid_{};
};

}  // namespace sluice::cp
