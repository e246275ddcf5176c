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

/// Exactly `true`, as the handler reads it: what it would not take for a dry run is none.
bool is_dry_run(const Route& route, const Request& request) {
    if (route.dry_run_roles.empty()) return false;
    return std::ranges::any_of(request.query, [](const auto& q) { return q.first == "dry_run" && q.second == "true"; });
}

}  // namespace

Roles roles_for(const Route& route, const Request& request) {
    return is_dry_run(route, request) ? route.dry_run_roles : route.roles;
}

Lane lane_for(const Route& route, const Request& request) {
    return is_dry_run(route, request) ? Lane::plans : route.lane;
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
