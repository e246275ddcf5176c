#include "controlplane/store/freeze_store.hpp"

#include <gtest/gtest.h>

#include "tests/unit/controlplane/store/store_on_disk.hpp"

namespace sluice::cp {
namespace {

class FreezeStoreTest : public StoreOnDisk {
protected:
    static AuditRecord entry(const std::string& action) { return StoreOnDisk::entry(action, "year's end"); }
    std::uint64_t entries() { return store->audit().head().number; }
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
