/// What somebody may do. A token has one role or several, and may do what any of them may; a route says which roles
/// are let in (api/router.hpp). Duties are separated by what each role is *not* let into: whoever edits does not
/// approve, whoever hands out tokens does not edit, whoever audits changes nothing. docs/OPERATING.md has the table.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::cp {

enum class Role : std::uint8_t {
    viewer,     ///< reads: policy, history, status, rules, flows, metrics; plans, which touch nothing
    operator_,  ///< ends flows, rolls back, puts what was in force before in force again
    editor,     ///< changes the policy
    approver,   ///< confirms what waits for its confirmation, or rolls it back
    auditor,    ///< reads the audit and who has a token
    admin,      ///< makes, lists and revokes tokens
};

inline constexpr std::array kRoles{Role::viewer,   Role::operator_, Role::editor,
                                   Role::approver, Role::auditor,   Role::admin};

std::string_view to_text(Role role) noexcept;
std::optional<Role> role_from(std::string_view text) noexcept;

/// A set of roles.
class Roles {
public:
    constexpr Roles() noexcept = default;
    constexpr Roles(std::initializer_list<Role> roles) noexcept {
        for (const auto role : roles) add(role);
    }
    constexpr void add(Role role) noexcept { bits_ = static_cast<std::uint8_t>(bits_ | bit(role)); }
    constexpr void add(Roles others) noexcept { bits_ |= others.bits_; }
    constexpr bool has(Role role) const noexcept { return (bits_ & bit(role)) != 0; }
    constexpr bool has_any_of(Roles others) const noexcept { return (bits_ & others.bits_) != 0; }
    constexpr bool empty() const noexcept { return bits_ == 0; }
    constexpr bool operator==(const Roles&) const noexcept = default;

private:
    static constexpr unsigned bit(Role role) noexcept { return 1U << static_cast<unsigned>(role); }
    std::uint8_t bits_{};
};

inline constexpr Roles kEveryRole{Role::viewer,   Role::operator_, Role::editor,
                                  Role::approver, Role::auditor,   Role::admin};

/// `viewer editor`, in the order of kRoles; `between` stands between two.
std::string to_text(Roles roles, std::string_view between = " ");
/// Of words with a space between; nothing if a word is no role.
std::optional<Roles> roles_from(std::string_view text);

}  // namespace sluice::cp
