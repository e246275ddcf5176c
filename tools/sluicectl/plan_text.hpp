/// What a plan says about packets, in a few lines; `-o json` has all of it.
#pragma once

#include <string>
#include <string_view>

#include <boost/json.hpp>

namespace sluice::ctl {

/// Packets that would be decided otherwise. Empty if there are none.
std::string effect_lines(const boost::json::value& plan, bool colours);

/// What becomes of flows that live, and what would have become of those that were recorded. Empty where the plan does
/// not say.
std::string flow_lines(const boost::json::value& plan, bool colours);

/// What is odd about the policy, with places in `file`. Empty if nothing is.
std::string finding_lines(const boost::json::value& plan, std::string_view file);

}  // namespace sluice::ctl
