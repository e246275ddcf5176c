/// What one drain of the rings found, with all that turns its numbers into names and times. Made once and shared by
/// those who write it down, each on a thread of its own: it never changes.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include <sluice/abi/telemetry.hpp>

#include "controlplane/telemetry/event_json.hpp"
#include "controlplane/telemetry/names.hpp"

namespace sluice::cp {

/// An event, and where in its worker's ring it stood.
struct RingEvent : abi::FlowEvent {
    std::uint32_t worker{};
    std::uint64_t sequence{};
};

struct EventBatch {
    std::uint64_t boot_id{};        ///< of the dataplane process whose rings these were
    std::vector<RingEvent> events;  ///< of each worker in its order
    std::shared_ptr<const Names> names;
    UtcClock clock;
};
using EventBatchPtr = std::shared_ptr<const EventBatch>;

}  // namespace sluice::cp
