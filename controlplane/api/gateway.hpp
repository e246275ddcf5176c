/// What is decided on the header alone, before a byte of the body is read: who asks, for what, and whether it fits. So
/// nobody without a token can make us hold a body.
#pragma once

#include <variant>

#include "controlplane/api/auth.hpp"
#include "controlplane/api/resources.hpp"
#include "controlplane/api/router.hpp"

namespace sluice::cp::api {

struct Admitted {
    const Route* route{};
    PathParameters parameters;
};

class Gateway {
public:
    Gateway(const Router& router, BearerAuth auth, bool metrics_open, ApiCounters& counters)
        : router_{router}, auth_{auth}, metrics_open_{metrics_open}, counters_{counters} {}

    /// `has_body`: the header announces one. The answer to a refused request is complete.
    std::variant<Admitted, Response> admit(const Request& request, bool has_body) const;

private:
    bool is_open(const RouteMatch& match) const;

    const Router& router_;
    BearerAuth auth_;
    bool metrics_open_;
    ApiCounters& counters_;
};

/// Runs the handler; what it throws becomes a 500 that tells nothing of the inside.
Response call_handler(const Route& route, const Request& request, const PathParameters& parameters);

}  // namespace sluice::cp::api
