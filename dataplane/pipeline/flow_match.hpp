/// Whether a flow is one of those that a filter asks for. Bounded by the filter's terms and ranges; the filter has been
/// checked when it came (`abi::FlowFilter::valid`).
#pragma once

#include <sluice/abi/messages.hpp>

namespace sluice::dp {

bool fits(const abi::FlowFilter& filter, const abi::FlowRecord& flow) noexcept;

}  // namespace sluice::dp
