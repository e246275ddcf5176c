/// A flow record as a line of JSON: the same words as the flow log's, for it is the same event.
#pragma once

#include <string>

#include "controlplane/records/flow_record.hpp"

namespace sluice::cp {

/// Without newline.
std::string record_json(const FlowRecord& record);

}  // namespace sluice::cp
