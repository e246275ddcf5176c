/// Paths to handlers. A handler sees a Request and gives a Response; it knows nothing of sockets. The route says what
/// must hold before the body is read at all: the token, the role, the media type, whether there may be a body, and on
/// which threads the handler runs.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "controlplane/api/http_message.hpp"
#include "controlplane/identity/role.hpp"

namespace sluice::cp::api {

/// Where a handler runs. The I/O thread never waits for the policy service.
enum class Lane : std::uint8_t {
    inline_,  ///< on the I/O thread: constant answers only
    reads,    ///< thread pool of questions
    walks,    ///< thread of what the dataplane is asked for: one that answers slowly holds up no other question
    plans,    ///< thread of dry runs: one that looks at many flows holds up neither questions nor changes
    commits,  ///< thread of changes: a slow commit must not hold up the questions
};

enum class Access : std::uint8_t {
    token,
    monitoring,  ///< token, unless `metrics_open`
    open,
};

/// Values of `{name}` parts of the pattern, in order.
using PathParameters = std::vector<std::string>;
using Handler = std::function<Response(const Request&, const PathParameters&)>;

struct Route {
    std::string method;
    std::string pattern;  ///< `/v1/commits/{generation}:confirm`; a `{name}` matches no slash and no colon
    Access access{Access::token};
    /// Whoever has one of them is let in. The only place that says so: docs/OPERATING.md and openapi.yaml repeat it,
    /// and tests hold them to it. None = nobody.
    Roles roles{};
    Roles dry_run_roles{};  ///< with `?dry_run=true`; none = as without
    Lane lane{Lane::reads};
    std::vector<std::string> body_types;        ///< media types; empty = no body
    std::vector<std::string> query_parameters;  ///< known ones; any other is refused
    Handler handler;
};

struct NotFound {};
struct MethodNotAllowed {
    std::string allow;  ///< for the Allow header
};
struct Matched {
    const Route* route{};
    PathParameters parameters;
};
using RouteMatch = std::variant<Matched, NotFound, MethodNotAllowed>;

/// Which roles are let in by this request.
Roles roles_for(const Route& route, const Request& request);
/// Where it is handled.
Lane lane_for(const Route& route, const Request& request);

class Router {
public:
    void add(Route route);
    /// HEAD matches the route of GET.
    RouteMatch match(std::string_view method, std::string_view path) const;
    const std::vector<Route>& routes() const noexcept { return routes_; }

private:
    std::vector<Route> routes_;
};

}  // namespace sluice::cp::api
