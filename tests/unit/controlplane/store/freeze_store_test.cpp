#include "controlplane/store/freeze_store.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "controlplane/store/policy_store.hpp"

namespace sluice::cp {
namespace {

class FreezeStoreTest : public testing::Test {
protected:
    void SetUp() override {
        std::string name = (std::filesystem::temp_directory_path() / "sluice-freeze-XXXXXX").string();
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        dir = name;
        open();
    }
    void TearDown() override {
        store.reset();
        std::filesystem::remove_all(dir);
    }
    void open() {
        store.reset();
        auto opened = PolicyStore::open(posix_file_ops(), dir);
        ASSERT_TRUE(opened) << opened.error().what;
        store = std::move(*opened);
    }
    static AuditRecord entry(const std::string& action) {
        AuditRecord record;
        record.actor = "token:anna/1";
        record.reason = "year's end";
        record.action = action;
        record.result = "done";
        return record;
    }
    std::uint64_t entries() { return store->audit().head().number; }

    std::string dir;
    std::unique_ptr<PolicyStore> store;
};

TEST_F(FreezeStoreTest, IsKeptOverARestartWithWhoAndWhy) {
    EXPECT_FALSE(store->freezes().window());
    const auto before = entries();
    ASSERT_TRUE(store->freezes().set({.from_ns = 10, .until_ns = 20, .set_at_ns = 5}, entry("freeze.set")));
    EXPECT_EQ(entries(), before + 1);
    open();
    const auto window = store->freezes().window();
    ASSERT_TRUE(window);
    EXPECT_EQ(window->set_by, "token:anna/1");
    EXPECT_EQ(window->reason, "year's end");
    EXPECT_EQ(window->set_at_ns, 5);
    EXPECT_FALSE(window->holds(9));
    EXPECT_TRUE(window->holds(10));
    EXPECT_TRUE(window->holds(19));
    EXPECT_FALSE(window->holds(20));
}

TEST_F(FreezeStoreTest, ThereIsOneAndItCanBeLifted) {
    ASSERT_TRUE(store->freezes().set({.from_ns = 10, .until_ns = 20}, entry("freeze.set")));
    ASSERT_TRUE(store->freezes().set({.from_ns = 30, .until_ns = 40}, entry("freeze.set")));
    EXPECT_EQ(store->freezes().window()->from_ns, 30);
    const auto lifted = store->freezes().lift(entry("freeze.lift"));
    ASSERT_TRUE(lifted);
    EXPECT_TRUE(*lifted);
    const auto before = entries();
    EXPECT_FALSE(*store->freezes().lift(entry("freeze.lift")));
    EXPECT_EQ(entries(), before) << "nothing was done";
    open();
    EXPECT_FALSE(store->freezes().window());
}

}  // namespace
}  // namespace sluice::cp
