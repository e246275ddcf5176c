/// Takes back what schemas behind a version brought, so that a database of that version is found. Where a schema
/// changed rows, the older rows are the test's to make.
#pragma once

#include <string>

#include <gtest/gtest.h>

#include "controlplane/store/database.hpp"

namespace sluice::cp {

inline void make_older(Database& database, int version) {
    struct Step {
        int brought;
        const char* back;
    };
    static constexpr Step kSteps[] = {
        {9, "ALTER TABLE pending DROP COLUMN guard"},
        {9, "DROP INDEX audit_by_after"},
        {9, "DROP INDEX audit_by_before"},
        {8, "DROP TABLE slot_changes"},
        {8, "CREATE TABLE slot_edits(number INTEGER PRIMARY KEY, edit BLOB NOT NULL, digest TEXT NOT NULL) STRICT"},
        {7, "DROP TABLE shadow"},
        {6, "DROP TABLE change_approvals"},
        {6, "DROP TABLE changes"},
        {6, "ALTER TABLE pending DROP COLUMN change"},
        {5, "DROP TABLE text_bases"},
        {5, "DROP TABLE slot_edits"},
        {4, "DROP TABLE drafts"},
        {3, "DROP TABLE set_members"},
        {3, "DROP TABLE set_numbers"},
        {2, "DROP TABLE tokens"},
    };
    const auto lock = database.lock();
    ASSERT_TRUE(database.run("PRAGMA foreign_keys=OFF"));
    for (const auto& [brought, back] : kSteps) {
        if (brought > version) {
            ASSERT_TRUE(database.run(back)) << back;
        }
    }
    ASSERT_TRUE(database.run("PRAGMA user_version=" + std::to_string(version)));
}

}  // namespace sluice::cp
