#include "controlplane/identity/role.hpp"

#include <gtest/gtest.h>

namespace sluice::cp {
namespace {

TEST(Role, TextsAreReadBack) {
    for (const auto role : kRoles) {
        EXPECT_EQ(role_from(to_text(role)), role);
        EXPECT_TRUE(kEveryRole.has(role));
    }
    for (const auto* word : {"", "Admin", "root", "operator_", "viewer "}) EXPECT_FALSE(role_from(word)) << word;
}

TEST(Roles, AreASet) {
    Roles roles{Role::editor};
    EXPECT_TRUE(roles.has(Role::editor));
    EXPECT_FALSE(roles.has(Role::viewer));
    EXPECT_FALSE(roles.has_any_of({Role::admin, Role::viewer}));
    EXPECT_FALSE(Roles{}.has_any_of(kEveryRole));
    roles.add(Role::viewer);
    EXPECT_TRUE(roles.has_any_of({Role::admin, Role::viewer}));
    EXPECT_EQ(to_text(roles), "viewer editor");
    EXPECT_EQ(to_text(kEveryRole, ", "), "viewer, operator, editor, approver, auditor, admin");
}

TEST(Roles, AreReadFromWordsAndAWordThatIsNoneIsNoRole) {
    EXPECT_EQ(roles_from(to_text(kEveryRole)), kEveryRole);
    EXPECT_EQ(roles_from("editor viewer"), (Roles{Role::viewer, Role::editor}));
    EXPECT_EQ(roles_from(""), Roles{});
    for (const auto* text : {"viewer,editor", "viewer  editor", "viewer root", " viewer"}) {
        EXPECT_FALSE(roles_from(text)) << text;
    }
}

}  // namespace
}  // namespace sluice::cp
