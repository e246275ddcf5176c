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
    std::string actor;  ///< who asks, for Request::actor
};

class Gateway {
public:
    /// `audit` hears of those who are turned away at the door.
    Gateway(const Router& router, BearerAuth auth, bool metrics_open, ApiCounters& counters, AuditLog& audit)
        : router_{router}, auth_{auth}, metrics_open_{metrics_open}, counters_{counters}, audit_{audit} {}

    /// `has_body`: the header announces one. The answer to a refused request is complete.
    std::variant<Admitted, Response> admit(const Request& request, bool has_body) const;

private:
    bool is_open(const RouteMatch& match) const;
    void note_refusal(const Request& request, const RouteMatch& match, AuthResult result) const;

    const Router& router_;
    BearerAuth auth_;
    bool metrics_open_;
    ApiCounters& counters_;
    AuditLog& audit_;
};

/// Runs the handler; what it throws becomes a 500 that tells nothing of the inside.
Response call_handler(const Route& route, const Request& request, const PathParameters& parameters);

}  // namespace sluice::cp::api
