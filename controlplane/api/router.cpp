#include "controlplane/api/router.hpp"

#include <algorithm>
#include <optional>

namespace sluice::cp::api {
namespace {

std::optional<PathParameters> match_pattern(std::string_view pattern, std::string_view path) {
    PathParameters parameters;
    while (!pattern.empty()) {
        if (pattern.front() != '{') {
            if (path.empty() || path.front() != pattern.front()) return std::nullopt;
            pattern.remove_prefix(1);
            path.remove_prefix(1);
            continue;
        }
        pattern.remove_prefix(pattern.find('}') + 1);
        const auto value = path.substr(0, path.find_first_of("/:"));
        if (value.empty()) return std::nullopt;
        parameters.emplace_back(value);
        path.remove_prefix(value.size());
    }
    if (!path.empty()) return std::nullopt;
    return parameters;
}

}  // namespace

/// Exactly `true`, as the handler reads it: what it would not take for a dry run is none.
Roles roles_for(const Route& route, const Request& request) {
    if (route.dry_run_roles.empty()) return route.roles;
    for (const auto& [name, value] : request.query) {
        if (name == "dry_run" && value == "true") return route.dry_run_roles;
    }
    return route.roles;
}

void Router::add(Route route) { routes_.push_back(std::move(route)); }

RouteMatch Router::match(std::string_view method, std::string_view path) const {
    const auto wanted = method == "HEAD" ? std::string_view{"GET"} : method;
    std::vector<std::string> allowed;
    for (const auto& route : routes_) {
        auto parameters = match_pattern(route.pattern, path);
        if (!parameters) continue;
        if (route.method == wanted) return Matched{&route, std::move(*parameters)};
        allowed.push_back(route.method);
        if (route.method == "GET") allowed.emplace_back("HEAD");
    }
    if (allowed.empty()) return NotFound{};
    std::ranges::sort(allowed);
    MethodNotAllowed answer;
    for (const auto& name : allowed) answer.allow += (answer.allow.empty() ? "" : ", ") + name;
    return answer;
}

}  // namespace sluice::cp::api
