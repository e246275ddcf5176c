#include "controlplane/store/shadow_store.hpp"

#include <gtest/gtest.h>

#include "tests/unit/controlplane/store/older_database.hpp"
#include "tests/unit/controlplane/store/store_on_disk.hpp"

namespace sluice::cp {
namespace {

class ShadowStoreTest : public StoreOnDisk {
protected:
    static AuditRecord entry(const std::string& action) { return StoreOnDisk::entry(action, "CHG-1"); }
    static ShadowText named(const std::string& version) {
        return {.format = "yaml",
                .text = std::string{"name: x\n"} + '\xff',
                .hash = "h",
                .version = version,
                .draft = "web",
                .started_at_ns = 5};
    }
};

TEST_F(ShadowStoreTest, IsKeptOverARestartWithWhoAndWhy) {
    EXPECT_EQ(store->shadows().current(), nullptr);
    const auto before = store->audit().head().number;
    ASSERT_TRUE(store->shadows().put(named("a@1"), entry("shadow.start")));
    EXPECT_EQ(store->audit().head().number, before + 1);
    open();
    const auto kept = store->shadows().current();
    ASSERT_NE(kept, nullptr);
    EXPECT_EQ(kept->format, "yaml");
    EXPECT_EQ(kept->text, named("").text) << "byte for byte";
    EXPECT_EQ(kept->version, "a@1");
    EXPECT_EQ(kept->draft, "web");
    EXPECT_EQ(kept->started_by, "token:anna/1");
    EXPECT_EQ(kept->reason, "CHG-1");
    EXPECT_EQ(kept->started_at_ns, 5);
}

TEST_F(ShadowStoreTest, ThereIsOneAndItGoes) {
    ASSERT_TRUE(store->shadows().put(named("a@1"), entry("shadow.start")));
    ASSERT_TRUE(store->shadows().put(named("b@2"), entry("shadow.start")));
    open();
    EXPECT_EQ(store->shadows().current()->version, "b@2");
    ASSERT_TRUE(store->shadows().remove(entry("shadow.stop")));
    EXPECT_EQ(store->shadows().current(), nullptr);
    open();
    EXPECT_EQ(store->shadows().current(), nullptr);
}

// A state directory of before there were shadow policies.
TEST_F(ShadowStoreTest, AnOlderDatabaseGetsTheTable) {
    store.reset();
    {
        auto raw = *Database::open(dir + "/state.db");
        make_older(*raw, 6);
    }
    open();
    EXPECT_EQ(store->audit().page({})->entries.at(0).record.detail, "from version 6 to 9");
    EXPECT_EQ(store->shadows().current(), nullptr);
    ASSERT_TRUE(store->shadows().put(named("a@1"), entry("shadow.start")));
    open();
    EXPECT_EQ(store->shadows().current()->version, "a@1");
    EXPECT_TRUE(store->audit().verify().whole);
}

}  // namespace
}  // namespace sluice::cp
