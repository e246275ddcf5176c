#include "controlplane/store/policy_store.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "controlplane/store/durable_file.hpp"
#include "controlplane/store/file_ops.hpp"
#include "tests/harness/seed.hpp"
#include "tests/unit/controlplane/store/power_cut_disk.hpp"

namespace sluice::cp {
namespace {

std::string hash_of(unsigned n) {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string hash(64, '0');
    for (std::size_t i = 63; n != 0; --i, n /= 16) hash[i] = kDigits[n % 16];
    return hash;
}
PolicyRef ref_of(unsigned n) { return {hash_of(n), n % 2 != 0 ? "yaml" : "json", n}; }
std::string text_of(unsigned n) { return "policy number " + std::to_string(n) + std::string(n % 50, '.'); }

std::unique_ptr<PolicyStore> must_open(FileOps& ops, const std::string& dir) {
    auto store = PolicyStore::open(ops, dir);
    EXPECT_TRUE(store.has_value());
    return std::move(*store);
}

/// One whole commit; false as soon as a step fails.
bool save(PolicyStore& store, unsigned n) {
    return store.stage(ref_of(n), text_of(n), "slots " + std::to_string(n / 3)) && store.promote();
}

// A4, Q17: the power goes after every single system call of a save, many times over, and what is found is the old
// policy or the new one, whole.
TEST(PolicyStore, PowerCutAtAnyCallLeavesOldOrNew) {
    SCOPED_TRACE(sluice::test::seed_line());
    std::mt19937_64 random{sluice::test::seed_of_this_run()};
    std::size_t cuts = 0;
    for (int round = 0; round < 40; ++round) {
        test::PowerCutDisk disk;
        unsigned n = 1;
        {
            auto store = must_open(disk, "/s");
            ASSERT_TRUE(save(*store, n));
        }
        for (std::int64_t call = 0;; ++call) {
            const unsigned next = n + 1;
            bool acknowledged = false;
            {
                auto store = must_open(disk, "/s");
                disk.calls_until_cut = call;
                acknowledged = save(*store, next);
                if (!disk.cut()) {  // ran to its end: every call of a save has had its cut
                    ASSERT_TRUE(acknowledged);
                    break;
                }
            }
            ++cuts;
            disk.power_on(random);
            auto store = must_open(disk, "/s");
            ASSERT_TRUE(store->damage().empty()) << store->damage().front() << " after call " << call;
            ASSERT_TRUE(store->current().has_value()) << "neither, after call " << call;
            const auto found = static_cast<unsigned>(store->current()->generation);
            ASSERT_TRUE(found == n || found == next);
            ASSERT_TRUE(!acknowledged || found == next) << "acknowledged and lost";
            ASSERT_EQ(*store->text(*store->current()), text_of(found));
            if (store->pending()) {
                ASSERT_EQ(*store->text(*store->pending()),
                          text_of(static_cast<unsigned>(store->pending()->generation)));
                ASSERT_TRUE(store->discard_pending());
            }
            // Generation numbers never go back, whatever was lost.
            ASSERT_GT(store->next_generation(0), found);
            if (found == next) n = next;
        }
    }
    EXPECT_GE(cuts, 500U);
}

// A crash between publish and promote: the intent is there with its text, so that the next start can finish it.
TEST(PolicyStore, StagedIntentSurvivesACrash) {
    test::PowerCutDisk disk;
    std::mt19937_64 random{7};
    {
        auto store = must_open(disk, "/s");
        ASSERT_TRUE(save(*store, 1));
        ASSERT_TRUE(store->stage(ref_of(2), text_of(2), "a 16\n"));
    }
    disk.power_on(random);
    auto store = must_open(disk, "/s");
    EXPECT_EQ(store->current(), ref_of(1));
    ASSERT_EQ(store->pending(), ref_of(2));
    EXPECT_EQ(store->slots(), "a 16\n");
    EXPECT_EQ(store->next_generation(0), 3U);
    ASSERT_TRUE(store->promote());
    EXPECT_EQ(store->current(), ref_of(2));
    EXPECT_FALSE(store->pending());
}

// A6: a full disk at any byte refuses the new policy with ENOSPC and keeps the old one.
TEST(PolicyStore, FullDiskKeepsTheOldPolicy) {
    for (std::size_t room = 0; room < 900; room += 13) {
        test::PowerCutDisk disk;
        auto store = must_open(disk, "/s");
        ASSERT_TRUE(save(*store, 1));
        disk.bytes_max = 500 + room;
        const auto staged = store->stage(ref_of(2), std::string(600, 'x'), "slots");
        if (!staged) {
            EXPECT_TRUE(staged.error().disk_full()) << staged.error().what;
            EXPECT_FALSE(store->pending());
        }
        auto again = must_open(disk, "/s");
        EXPECT_EQ(again->current(), ref_of(1));
        EXPECT_EQ(*again->text(ref_of(1)), text_of(1));
        EXPECT_EQ(again->pending().has_value(), staged.has_value());
    }
}

TEST(PolicyStore, KeepsTheLastFiftyVersions) {
    test::PowerCutDisk disk;
    auto store = must_open(disk, "/s");
    for (unsigned n = 1; n <= 60; ++n) ASSERT_TRUE(save(*store, n));
    EXPECT_FALSE(store->text(ref_of(10)));
    EXPECT_TRUE(store->text(ref_of(11)));
    EXPECT_EQ(store->history().size(), kPolicyVersionsKept);
    ASSERT_TRUE(store->restore(ref_of(30)));
    EXPECT_EQ(must_open(disk, "/s")->current(), ref_of(30));
    EXPECT_FALSE(store->restore(ref_of(5)));
}

TEST(PolicyStore, DamageIsNamedAndAGoodPolicyCanStillBePut) {
    test::PowerCutDisk disk;
    for (const char* line : {"", "x", "zz.yaml 1", "0.yaml", "current\n", "../../etc/passwd.yaml 3\n"}) {
        ASSERT_TRUE(write_durably(disk, "/s/policy", "current", std::string_view{line}));
        auto store = must_open(disk, "/s");
        EXPECT_FALSE(store->current());
        ASSERT_EQ(store->damage().size(), 1U);
        EXPECT_NE(store->damage().front().find("/s/policy/current is damaged"), std::string::npos);
    }
    auto store = must_open(disk, "/s");
    EXPECT_TRUE(save(*store, 1));
    EXPECT_TRUE(must_open(disk, "/s")->damage().empty());
}

TEST(PolicyStore, NumbersGoOnAboveWhatADataplaneRuns) {
    test::PowerCutDisk disk;
    auto store = must_open(disk, "/s");
    EXPECT_EQ(store->next_generation(0), 1U);
    EXPECT_EQ(store->next_generation(41), 42U);
}

TEST(DurableFile, OnTheRealFileSystem) {
    std::string dir = (std::filesystem::temp_directory_path() / "sluice-store-XXXXXX").string();
    ASSERT_NE(::mkdtemp(dir.data()), nullptr);
    {
        auto store = must_open(posix_file_ops(), dir + "/state");
        ASSERT_TRUE(save(*store, 1));
        ASSERT_TRUE(save(*store, 2));
    }
    {
        auto store = must_open(posix_file_ops(), dir + "/state");
        EXPECT_EQ(store->current(), ref_of(2));
        EXPECT_EQ(*store->text(ref_of(2)), text_of(2));
    }
    const auto mode = std::filesystem::status(dir + "/state/policy/current").permissions();
    EXPECT_EQ(mode, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    const auto refused = write_durably(posix_file_ops(), dir + "/nowhere", "x", std::string_view{"y"});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().error_number, ENOENT);
    std::filesystem::remove_all(dir);
}

}  // namespace
}  // namespace sluice::cp
