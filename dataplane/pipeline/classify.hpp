/// Asks the policy: packets that may open a flow, flows that an older policy judged, and frames that are not IP.
#pragma once

#include "dataplane/pipeline/burst.hpp"
#include "dataplane/pipeline/rule_meter.hpp"

namespace sluice::dp {

/// ARP, neighbour discovery and other ethertypes: the policy's `wire:` key decides, a built-in rule counts.
void judge_wire_frames(Burst& burst, const TableView& view, RuleMeter& rules) noexcept;

/// Answers all questions of the burst in one batch.
void classify(Burst& burst, const TableView& view, abi::WorkerCounters& counters) noexcept;

}  // namespace sluice::dp
