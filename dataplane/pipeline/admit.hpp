/// Decides the packets that waited for the policy's word, in the order of arrival: an allowed first packet gets a flow
/// entry, a flow that an older policy judged is restamped or ended, everything else is dropped with its reason.
#pragma once

#include "dataplane/pipeline/burst.hpp"
#include "dataplane/pipeline/events.hpp"
#include "dataplane/pipeline/flow_book.hpp"
#include "dataplane/pipeline/rule_meter.hpp"

namespace sluice::dp {

void admit(Burst& burst, const TableView& view, FlowBook& flows, RuleMeter& rules, EventWriter& events,
           abi::WorkerCounters& counters) noexcept;

}  // namespace sluice::dp
