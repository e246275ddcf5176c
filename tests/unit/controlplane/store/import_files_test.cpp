#include "controlplane/store/import_files.hpp"

#include <gtest/gtest.h>

#include <random>

#include "controlplane/store/policy_store.hpp"
#include "tests/harness/seed.hpp"
#include "tests/unit/controlplane/store/power_cut_disk.hpp"
#include "tests/unit/controlplane/store/power_cut_vfs.hpp"

namespace sluice::cp {
namespace {

std::string hash_of(char digit) { return std::string(64, digit); }

class ImportTest : public testing::Test {
protected:
    void write(const std::string& name, std::string_view text) {
        const auto slash = name.rfind('/');
        const auto dir = slash == std::string::npos ? std::string{"/s"} : "/s/" + name.substr(0, slash);
        ASSERT_TRUE(write_durably(files, dir, slash == std::string::npos ? name : name.substr(slash + 1), text));
    }
    void old_state() {
        write("policy/" + hash_of('1') + ".yaml", "first");
        write("policy/" + hash_of('2') + ".json", "second");
        write("policy/" + hash_of('3') + ".yaml", "third");
        write("policy/history", hash_of('1') + ".yaml 1\n" + hash_of('2') + ".json 4\n");
        write("policy/current", hash_of('2') + ".json 4\n");
        write("policy/pending", hash_of('3') + ".yaml 7\n");
        write("generation", "7\n");
        write("slots", "live 4 web-in\n");
    }
    Expected<std::unique_ptr<PolicyStore>, FileError> open() {
        return PolicyStore::open(files, "/s", {.vfs = vfs.name(), .print = {}});
    }
    void expect_all_of_it(PolicyStore& store) {
        EXPECT_EQ(store.current(), (PolicyRef{hash_of('2'), "json", 4}));
        EXPECT_EQ(store.pending(), (PolicyRef{hash_of('3'), "yaml", 7}));
        EXPECT_EQ(*store.text(*store.current()), "second");
        EXPECT_EQ(*store.text(*store.pending()), "third");
        EXPECT_EQ(store.slots(), "live 4 web-in\n");
        EXPECT_EQ(store.next_generation(0), 8U);
        EXPECT_EQ(store.history(10)->size(), 2U);
        EXPECT_EQ(*store.text({hash_of('1'), "yaml", 1}), "first");
        EXPECT_EQ((*store.audit().entry(1))->record.action, "store.imported");
        EXPECT_TRUE(store.audit().verify().whole);
    }

    test::PowerCutVfs vfs;
    test::PowerCutDisk files;
};

TEST_F(ImportTest, TakesOverWhatAnEarlierVersionLeft) {
    old_state();
    expect_all_of_it(**open());
    expect_all_of_it(**open());  // once
}

// A4: the power goes at any call of the import: it is done again, whole.
TEST_F(ImportTest, A4_APowerCutDuringTheImport) {
    SCOPED_TRACE(sluice::test::seed_line());
    std::mt19937_64 random{sluice::test::seed_of_this_run()};
    old_state();
    for (std::int64_t call = 0;; ++call) {
        test::PowerCutVfs disk;
        disk.calls_until_cut = call;
        test::PowerCutDisk copy = files;
        (void)PolicyStore::open(copy, "/s", {.vfs = disk.name(), .print = {}});
        const bool cut = disk.cut();
        disk.power_on(random);
        auto store = PolicyStore::open(copy, "/s", {.vfs = disk.name(), .print = {}});
        ASSERT_TRUE(store) << store.error().what << " after call " << call;
        expect_all_of_it(**store);
        if (!cut) break;
    }
}

TEST_F(ImportTest, DamageIsNamedAndAGoodPolicyCanStillBePut) {
    for (const char* line : {"", "x", "zz.yaml 1", "0.yaml", "current\n", "../../etc/passwd.yaml 3\n"}) {
        test::PowerCutVfs disk;
        files = {};
        write("policy/current", line);
        write("generation", "3\n");
        const auto store = PolicyStore::open(files, "/s", {.vfs = disk.name(), .print = {}});
        ASSERT_TRUE(store);
        EXPECT_FALSE((*store)->current());
        ASSERT_EQ((*store)->damage().size(), 1U);
        EXPECT_NE((*store)->damage().front().find("/s/policy/current is damaged"), std::string::npos);
        EXPECT_EQ((*store)->next_generation(0), 4U);
    }
    EXPECT_FALSE(read_file_state(files, "/elsewhere"));
}

}  // namespace
}  // namespace sluice::cp
