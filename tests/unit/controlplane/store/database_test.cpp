#include "controlplane/store/database.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "tests/unit/controlplane/store/power_cut_vfs.hpp"

namespace sluice::cp {
namespace {

std::int64_t count(Database& database) {
    std::int64_t n = -1;
    EXPECT_TRUE(database.run("SELECT count(*) FROM t", {}, [&](const SqlRow& row) { n = row.integer(0); }));
    return n;
}

TEST(Database, ValuesComeBackAsTheyWent) {
    test::PowerCutVfs vfs;
    auto database = *Database::open("/d", vfs.name());
    ASSERT_TRUE(database->run("CREATE TABLE t(a INTEGER, b TEXT, c BLOB, d TEXT) STRICT"));
    const std::string blob{"\0\xff'x", 4};
    ASSERT_TRUE(database->run("INSERT INTO t VALUES(?, ?, ?, ?)",
                              {std::int64_t{-7}, std::string_view{"it's 更换"}, Blob{blob}, std::monostate{}}));
    bool seen = false;
    ASSERT_TRUE(database->run("SELECT a, b, c, d FROM t", {}, [&](const SqlRow& row) {
        seen = true;
        EXPECT_EQ(row.integer(0), -7);
        EXPECT_EQ(row.text(1), "it's 更换");
        EXPECT_EQ(row.text(2), blob);
        EXPECT_TRUE(row.is_null(3));
    }));
    EXPECT_TRUE(seen);
}

TEST(Database, ATransactionIsAllOrNothing) {
    test::PowerCutVfs vfs;
    auto database = *Database::open("/d", vfs.name());
    ASSERT_TRUE(database->run("CREATE TABLE t(a INTEGER PRIMARY KEY) STRICT"));
    const auto failed = database->transaction([&]() -> Database::Outcome {
        (void)database->run("INSERT INTO t VALUES(1)");
        return Unexpected(FileError{EIO, "on purpose"});
    });
    EXPECT_FALSE(failed);
    EXPECT_EQ(count(*database), 0);
    EXPECT_TRUE(database->transaction([&] { return database->run("INSERT INTO t VALUES(1)"); }));
    const auto twice = database->transaction([&] { return database->run("INSERT INTO t VALUES(1)"); });
    ASSERT_FALSE(twice);
    EXPECT_NE(twice.error().what.find("UNIQUE"), std::string::npos) << twice.error().what;
    EXPECT_TRUE(database->transaction([&] { return database->run("INSERT INTO t VALUES(2)"); })) << "and it goes on";
}

// A commit costs one fsync; copying the log into the file is not its business.
TEST(Database, ACommitIsOneFsync) {
    test::PowerCutVfs vfs;
    auto database = *Database::open("/d", vfs.name());
    ASSERT_TRUE(database->run("CREATE TABLE t(a BLOB)"));
    const auto insert = [&] {
        const std::string text(3'000'000, 'x');
        return database->run("INSERT INTO t VALUES(?)", {Blob{text}});
    };
    ASSERT_TRUE(insert());
    const auto before = vfs.syncs.load();
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(insert());
    EXPECT_EQ(vfs.syncs - before, 5U);
    database->checkpoint();
    EXPECT_GT(vfs.syncs - before, 5U);
}

TEST(Database, TheLogIsCopiedWhenNobodyCommitsOrItIsLong) {
    using namespace std::chrono_literals;
    std::string dir = (std::filesystem::temp_directory_path() / "sluice-database-XXXXXX").string();
    ASSERT_NE(::mkdtemp(dir.data()), nullptr);
    const auto log_is_in_the_file = [&] {
        return std::filesystem::file_size(dir + "/d") > std::filesystem::file_size(dir + "/d-wal");
    };
    {
        auto database = *Database::open(dir + "/d");
        ASSERT_TRUE(database->run("CREATE TABLE t(a BLOB)"));
        const std::string text(8U << 20, 'x');
        const auto commit = [&] {
            return database->transaction([&] { return database->run("INSERT INTO t VALUES(?)", {Blob{text}}); });
        };
        ASSERT_TRUE(commit());
        database->checkpoint(1h);
        EXPECT_FALSE(log_is_in_the_file()) << "somebody has just committed";
        for (int i = 1; i < 8; ++i) ASSERT_TRUE(commit());
        database->checkpoint(1h);
        EXPECT_GT(std::filesystem::file_size(dir + "/d"), text.size() * 7) << "it is long";
        ASSERT_TRUE(commit());  // begins the log anew
        database->checkpoint(1h);
        EXPECT_LT(std::filesystem::file_size(dir + "/d"), text.size() * 9);
        database->checkpoint(0ms);
        EXPECT_GT(std::filesystem::file_size(dir + "/d"), text.size() * 9) << "nobody commits";
    }
    std::filesystem::remove_all(dir);
}

TEST(Database, ErrorsSayWhat) {
    const auto missing = Database::open("/nowhere/at/all.db");
    ASSERT_FALSE(missing);
    EXPECT_NE(missing.error().what.find("cannot open /nowhere/at/all.db: No such file or directory"), std::string::npos)
        << missing.error().what;
    test::PowerCutVfs vfs;
    auto database = *Database::open("/d", vfs.name());
    ASSERT_TRUE(database->run("CREATE TABLE t(a BLOB)"));
    vfs.bytes_max = 1;
    const std::string text(100'000, 'x');
    const auto full = database->run("INSERT INTO t VALUES(?)", {Blob{text}});
    ASSERT_FALSE(full);
    EXPECT_TRUE(full.error().disk_full());
    EXPECT_EQ(full.error().what, "cannot write /d: No space left on device");
}

}  // namespace
}  // namespace sluice::cp
