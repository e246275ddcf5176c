/// A change that waits, or has ended, as JSON: shared by the resource of changes and by the answers to commits.
#pragma once

#include <boost/json/fwd.hpp>

#include "controlplane/store/change_store.hpp"

namespace sluice::cp::api {

/// Without its text.
boost::json::object change_json(const Change& change);

}  // namespace sluice::cp::api
