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
#include <vector>

#include "controlplane/telemetry/segments.hpp"

namespace sluice::cp {

class EventReader {
public:
    using Sink = std::function<void(const abi::FlowEvent&)>;

    /// A new boot: what the old rings still hold goes to `sink` first. The same boot: goes on where it was.
    /// Events before `not_before` are skipped in silence (a restarted control plane has logged them already).
    void attach(std::shared_ptr<const TelemetrySegments> segments, const Sink& sink, abi::MonoTime not_before = {});
    /// Hands over what is new.
    void drain(const Sink& sink);

    std::uint64_t read() const noexcept { return read_; }
    std::uint64_t lost() const noexcept { return lost_; }
    /// Records with impossible enums; not handed over.
    std::uint64_t invalid() const noexcept { return invalid_; }

private:
    void drain_ring(std::uint32_t worker, const Sink& sink);

    std::shared_ptr<const TelemetrySegments> segments_;
    std::vector<std::uint64_t> next_;  // per worker
    abi::MonoTime not_before_{};
    std::uint64_t read_{}, lost_{}, invalid_{};
};

}  // namespace sluice::cp
