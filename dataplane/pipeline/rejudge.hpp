/// What becomes of a live flow when the policy has been asked about it again: on its next packet (`admit`) or by the
/// sweep after a switch (`sweep.hpp`). Both ask the same question and do the same with the answer.
#pragma once

#include <cstdint>

#include "dataplane/acl/lookup.hpp"
#include "dataplane/pipeline/burst.hpp"
#include "dataplane/pipeline/flow_book.hpp"
#include "dataplane/pipeline/rule_meter.hpp"

namespace sluice::dp {

/// The original direction's question, with the zones of the ports as the current policy names them. `passage` may be
/// either direction's.
LookupKey flow_question(const Passage& passage, FlowHandle h, const FlowTable& table) noexcept;

enum class Judged : std::uint8_t {
    goes_on,  ///< allowed, or kept although it is not (`on_change: keep`)
    ended,    ///< no longer allowed: the entry is gone
    marked,   ///< no longer allowed: over, and its ends will be told (`on_change: kill`)
};

Judged judge(FlowHandle h, const TableView& view, const LookupResult& answer, const Passage& passage, FlowBook& flows,
             RuleMeter& rules, const Moment& moment, abi::WorkerCounters& counters) noexcept;

/// The rule that decided, as far as flows care.
Ruling ruling_of(const TableView& view, abi::RuleIndex rule) noexcept;

}  // namespace sluice::dp
