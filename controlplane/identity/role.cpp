#include "controlplane/identity/role.hpp"

namespace sluice::cp {

std::string_view to_text(Role role) noexcept {
    switch (role) {
        case Role::viewer: return "viewer";
        case Role::operator_: return "operator";
        case Role::editor: return "editor";
        case Role::approver: return "approver";
        case Role::auditor: return "auditor";
        case Role::admin: return "admin";
    }
    return "invalid";
}

std::optional<Role> role_from(std::string_view text) noexcept {
    for (const auto role : kRoles) {
        if (to_text(role) == text) return role;
    }
    return std::nullopt;
}

std::string to_text(Roles roles, std::string_view between) {
    std::string text;
    for (const auto role : kRoles) {
        if (!roles.has(role)) continue;
        if (!text.empty()) text += between;
        text += to_text(role);
    }
    return text;
}

std::optional<Roles> roles_from(std::string_view text) {
    Roles roles;
    while (!text.empty()) {
        const auto word = text.substr(0, text.find(' '));
        const auto role = role_from(word);
        if (!role) return std::nullopt;
        roles.add(*role);
        text.remove_prefix(word.size() == text.size() ? word.size() : word.size() + 1);
    }
    return roles;
}

}  // namespace sluice::cp
