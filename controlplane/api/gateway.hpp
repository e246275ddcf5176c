/// What is decided on the header alone, before a byte of the body is read: who asks, for what, whether a role of theirs
/// is let in, and whether it fits. So nobody without a token can make us hold a body.
#pragma once

#include <string_view>
#include <variant>

#include "controlplane/api/authenticator.hpp"
#include "controlplane/api/resources.hpp"
#include "controlplane/api/router.hpp"

namespace sluice::cp::api {

struct Admitted {
    const Route* route{};
    PathParameters parameters;
    AuthDecision who;  ///< `actor` is for Request::actor
};

/// The `code` of the answer to who is turned away for it; empty: nobody is.
std::string_view code_of(AuthResult result);

class Gateway {
public:
    /// `audit` hears of those who are turned away at the door.
    Gateway(const Router& router, Authenticator& authenticator, bool metrics_open, ApiCounters& counters,
            AuditLog& audit)
        : router_{router},
          authenticator_{authenticator},
          metrics_open_{metrics_open},
          counters_{counters},
          audit_{audit} {}

    /// Who asks. Nothing: it takes a while to find out; ask `verify`, where that holds nobody up.
    /// `certificate`: what the peer's says, if certificates are asked for here. One that is not good is never let in;
    /// beside a good one a token says who asks.
    std::optional<AuthDecision> recognise(const Request& request,
                                          const std::optional<AuthDecision>& certificate = {}) const;
    AuthDecision verify(const Request& request) const;
    /// Of `verify`: it may wait for somebody else's server.
    bool may_wait(const Request& request) const;
    /// `has_body`: the header announces one. The answer to a refused request is complete.
    std::variant<Admitted, Response> admit(const Request& request, bool has_body, const AuthDecision& who) const;
    bool still_live(const Admitted& admitted) const { return authenticator_.still_live(admitted.who); }

private:
    bool is_open(const RouteMatch& match) const;
    Response turn_away(const Request& request, const RouteMatch& match, const AuthDecision& who) const;
    Response forbid(const Request& request, const Route& route, Roles needed, const AuthDecision& who) const;

    const Router& router_;
    Authenticator& authenticator_;
    bool metrics_open_;
    ApiCounters& counters_;
    AuditLog& audit_;
};

/// Runs the handler; what it throws becomes a 500 that tells nothing of the inside.
Response call_handler(const Route& route, const Request& request, const PathParameters& parameters);

}  // namespace sluice::cp::api
