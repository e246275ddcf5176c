#include "controlplane/store/policy_store.hpp"

#include <gtest/gtest.h>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "controlplane/store/durable_file.hpp"
#include "controlplane/store/file_ops.hpp"
#include "tests/harness/seed.hpp"
#include "tests/unit/controlplane/store/older_database.hpp"
#include "tests/unit/controlplane/store/power_cut_disk.hpp"
#include "tests/unit/controlplane/store/power_cut_vfs.hpp"

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
AuditRecord record(std::string result, unsigned n = 0) {
    AuditRecord r;
    r.actor = "token:0badcafe";
    r.origin = "192.0.2.7";
    r.action = "policy.put";
    r.reason = "CHG-" + std::to_string(n);
    r.after = {hash_of(n), n};
    r.result = std::move(result);
    return r;
}

/// The disk of the database, and the one of the file beside it.
struct Disk {
    test::PowerCutVfs database;
    test::PowerCutDisk files;
    std::unique_ptr<PolicyStore> open() {
        auto store = PolicyStore::open(files, "/s", {.vfs = database.name(), .print = {}});
        EXPECT_TRUE(store.has_value()) << store.error().what;
        return store ? std::move(*store) : nullptr;
    }
};

bool stage(PolicyStore& store, unsigned n, const std::string& text) {
    const auto slots = "slots " + std::to_string(n / 3);
    return store
        .stage({.ref = ref_of(n), .label = "p@" + std::to_string(n), .text = {{}, text}, .slots = {.whole = slots}},
               record("begun", n))
        .has_value();
}
/// One whole commit; false as soon as a step fails.
bool save(PolicyStore& store, unsigned n) {
    return stage(store, n, text_of(n)) && store.promote(record("adopted", n)).has_value();
}

// State directories of before tokens were kept here.
TEST(PolicyStore, ADatabaseWithoutTokensGetsTheirTable) {
    Disk disk;
    ASSERT_TRUE(save(*disk.open(), 1));
    {
        auto database = *Database::open("/s/state.db", disk.database.name());
        make_older(*database, 1);
    }
    auto store = disk.open();
    ASSERT_NE(store, nullptr);
    EXPECT_EQ(store->current()->generation, 1U);
    EXPECT_TRUE(store->tokens().list().empty());
    EXPECT_TRUE(store->drafts().list()->empty());
    ASSERT_TRUE(store->tokens().set_first("hash"));
    store.reset();
    store = disk.open();
    EXPECT_EQ(store->tokens().list().size(), 1U);
    const auto entries = store->audit().page({})->entries;
    EXPECT_EQ(entries.at(0).record.action, "token.made");
    EXPECT_EQ(entries.at(1).record.action, "store.upgraded");
    EXPECT_TRUE(store->audit().verify().whole);
}

// A4, Q17: the power goes after every single write and fsync of a save, many times over, what was not synced survives
// in any subset, and what is found is the old policy or the new one, whole, with a whole chain of entries.
TEST(PolicyStore, A4_PowerCutAtAnyCallLeavesOldOrNewAndAWholeChain) {
    SCOPED_TRACE(sluice::test::seed_line());
    std::mt19937_64 random{sluice::test::seed_of_this_run()};
    std::size_t cuts = 0, intents = 0;
    for (int round = 0; round < 35; ++round) {
        Disk disk;
        unsigned n = 1;
        ASSERT_TRUE(save(*disk.open(), n));
        bool ran_to_its_end = false;
        for (std::int64_t call = 0; !ran_to_its_end; ++call) {
            const unsigned next = n + 1;
            bool acknowledged = false;
            std::uint64_t entries_told = 0;
            {
                auto store = disk.open();
                ASSERT_NE(store, nullptr);
                disk.database.calls_until_cut = call;
                acknowledged = save(*store, next);
                entries_told = store->audit().head().number;
                if (acknowledged && random() % 2 == 0) store->audit().maintain();
                ran_to_its_end = !disk.database.cut();
                ASSERT_TRUE(acknowledged || !ran_to_its_end);
                if (!ran_to_its_end) ++cuts;
            }
            disk.database.power_on(random);
            auto store = disk.open();
            ASSERT_NE(store, nullptr);
            ASSERT_TRUE(store->damage().empty()) << store->damage().front() << " after call " << call;
            ASSERT_TRUE(store->current().has_value()) << "neither, after call " << call;
            const auto found = static_cast<unsigned>(store->current()->generation);
            ASSERT_TRUE(found == n || found == next);
            ASSERT_TRUE(!acknowledged || found == next) << "acknowledged and lost after call " << call;
            ASSERT_EQ(*store->text(*store->current()), text_of(found));
            const auto check = store->audit().verify();
            ASSERT_TRUE(check.whole) << check.what << " after call " << call;
            ASSERT_GE(check.head.number, entries_told) << "an entry that was told is gone";
            const auto head = *store->audit().entry(check.head.number);
            if (store->pending()) {
                ++intents;
                ASSERT_EQ(*store->text(*store->pending()), text_of(next));
                ASSERT_EQ(head->record.result, "begun") << "no intent without its entry";
                ASSERT_TRUE(store->discard_pending());
            } else {
                ASSERT_EQ(head->record.result, "adopted") << "nothing in force without its entry";
            }
            // Generation numbers never go back, whatever was lost.
            ASSERT_GT(store->next_generation(0), found);
            if (found == next) n = next;
        }
    }
    EXPECT_GE(cuts, 500U);
    EXPECT_GT(intents, 20U);
}

// Before the first policy too: whatever of the making of the database survives, the next start makes the rest.
TEST(PolicyStore, A4_PowerCutWhileTheDatabaseIsMade) {
    SCOPED_TRACE(sluice::test::seed_line());
    std::mt19937_64 random{sluice::test::seed_of_this_run()};
    for (std::int64_t call = 0;; ++call) {
        Disk disk;
        disk.database.calls_until_cut = call;
        (void)PolicyStore::open(disk.files, "/s", {.vfs = disk.database.name(), .print = {}});
        const bool cut = disk.database.cut();
        disk.database.power_on(random);
        auto store = disk.open();
        ASSERT_NE(store, nullptr) << "after call " << call;
        EXPECT_TRUE(store->damage().empty()) << store->damage().front();
        EXPECT_TRUE(save(*store, 1));
        EXPECT_TRUE(store->audit().verify().whole);
        if (!cut) break;
    }
}

// A crash between publish and promote: the intent is there with its text, so that the next start can finish it.
TEST(PolicyStore, StagedIntentSurvivesACrash) {
    Disk disk;
    std::mt19937_64 random{7};
    {
        auto store = disk.open();
        ASSERT_TRUE(save(*store, 1));
        ASSERT_TRUE(stage(*store, 2, text_of(2)));
    }
    disk.database.power_on(random);
    auto store = disk.open();
    EXPECT_EQ(store->current(), ref_of(1));
    ASSERT_EQ(store->pending(), ref_of(2));
    EXPECT_EQ(store->slots(), "slots 0");
    EXPECT_EQ(store->next_generation(0), 3U);
    ASSERT_TRUE(store->promote(record("adopted", 2)));
    EXPECT_EQ(store->current(), ref_of(2));
    EXPECT_FALSE(store->pending());
    const auto adopted = *store->adoption(2);
    EXPECT_EQ(adopted->asked.record.reason, "CHG-2") << "who asked outlives the crash";
}

// A6: a full disk at any byte refuses the new policy with ENOSPC and keeps the old one.
TEST(PolicyStore, A6_FullDiskKeepsTheOldPolicy) {
    bool refused = false, taken = false;
    for (std::size_t room = 0; room < 700'000; room += 25'000) {
        Disk disk;
        auto store = disk.open();
        ASSERT_TRUE(save(*store, 1));
        store->audit().maintain();
        disk.database.bytes_max = disk.database.used_bytes() + room;
        const bool staged = stage(*store, 2, std::string(300'000, 'x'));
        (staged ? taken : refused) = true;
        EXPECT_EQ(store->pending().has_value(), staged);
        if (!staged) {
            const std::string big(300'000, 'x');
            const auto why = store->stage({.ref = ref_of(2), .label = "p", .text = {{}, big}}, record("begun"));
            ASSERT_FALSE(why);
            EXPECT_TRUE(why.error().disk_full()) << why.error().what;
        }
        store.reset();
        store = disk.open();
        ASSERT_NE(store, nullptr) << "a start needs no room";
        EXPECT_EQ(store->current(), ref_of(1));
        EXPECT_EQ(*store->text(ref_of(1)), text_of(1));
        EXPECT_EQ(store->pending().has_value(), staged);
        EXPECT_TRUE(store->audit().verify().whole);
        disk.database.bytes_max = static_cast<std::size_t>(-1);
        EXPECT_TRUE(save(*store, 3)) << "with room again all is well";
    }
    EXPECT_TRUE(refused);
    EXPECT_TRUE(taken);
}

// An fsync that fails is an error of that change, and of no other: old or new, and the next change stands.
TEST(PolicyStore, A6_AFailingFsyncIsAnswered) {
    std::mt19937_64 random{11};
    for (std::int64_t at = 0; at < 6; ++at) {
        Disk disk;
        {
            auto store = disk.open();
            ASSERT_TRUE(save(*store, 1));
            disk.database.syncs_until_failure = at;
            const bool first = save(*store, 2);
            EXPECT_EQ(first, at >= 2) << "of a save's two fsyncs, number " << at;
            disk.database.syncs_until_failure = -1;
            if (store->pending()) {
                ASSERT_TRUE(store->discard_pending());
            }
            ASSERT_TRUE(save(*store, 3));
        }
        disk.database.power_on(random);
        auto store = disk.open();
        EXPECT_EQ(store->current(), ref_of(3));
        EXPECT_EQ(*store->text(ref_of(3)), text_of(3));
        const auto check = store->audit().verify();
        EXPECT_TRUE(check.whole) << check.what;
    }
}

TEST(PolicyStore, TheHistorySaysWhoWhenAndWhy) {
    Disk disk;
    auto store = disk.open();
    for (unsigned n = 1; n <= 3; ++n) ASSERT_TRUE(save(*store, n));
    const auto page = *store->history(2);
    ASSERT_EQ(page.size(), 2U);
    EXPECT_EQ(page[0].ref, ref_of(3));
    EXPECT_EQ(page[0].label, "p@3");
    EXPECT_EQ(page[0].asked.record.actor, "token:0badcafe");
    EXPECT_EQ(page[0].asked.record.origin, "192.0.2.7");
    EXPECT_EQ(page[0].asked.record.reason, "CHG-3");
    EXPECT_GE(page[0].at_ns, page[0].asked.record.at_ns);
    EXPECT_TRUE(page[0].text_kept);
    const auto rest = *store->history(10, page[1].entry);
    ASSERT_EQ(rest.size(), 1U);
    EXPECT_EQ(rest[0].ref, ref_of(1));
    EXPECT_FALSE(*store->adoption(9));

    // Back to generation 1, which the dataplane still had: a row more, none less.
    ASSERT_TRUE(store->restore(ref_of(1), record("adopted", 1)));
    EXPECT_EQ(store->history(10)->size(), 4U);
    EXPECT_EQ(disk.open()->current(), ref_of(1));
}

TEST(PolicyStore, GoingBackDropsTheIntentThatIsLeftAndNoneThatCameSince) {
    Disk disk;
    auto store = disk.open();
    ASSERT_TRUE(save(*store, 1));
    const auto back = [&](unsigned from) {
        auto outcome = record("adopted", 1);
        outcome.before = {hash_of(from), from};
        return store->restore(ref_of(1), std::move(outcome)).has_value();
    };
    // 2 was in force and could not be written down as that.
    ASSERT_TRUE(stage(*store, 2, text_of(2)));
    ASSERT_TRUE(back(2));
    EXPECT_FALSE(store->pending());
    store.reset();
    store = disk.open();
    EXPECT_FALSE(store->pending());
    // The way back from 2 is written down late, and 3 waits by then.
    ASSERT_TRUE(stage(*store, 3, text_of(3)));
    ASSERT_TRUE(back(2));
    EXPECT_EQ(store->pending(), ref_of(3));
    ASSERT_TRUE(store->promote(record("adopted", 3)));
    store.reset();
    EXPECT_EQ(disk.open()->current(), ref_of(3));
}

TEST(PolicyStore, OtherWordsAreAnotherTextOfTheSameGeneration) {
    Disk disk;
    auto store = disk.open();
    ASSERT_TRUE(save(*store, 1));
    ASSERT_TRUE(store->reword({.ref = ref_of(1), .label = "p", .text = {{}, "with a comment"}}, record("unchanged")));
    EXPECT_EQ(*store->text(ref_of(1)), "with a comment");
    EXPECT_EQ(store->history(10)->size(), 2U);
    // Both are there, byte for byte.
    EXPECT_EQ(store->history(10)->at(1).ref, ref_of(1));
    EXPECT_TRUE(store->history(10)->at(1).text_kept);
}

TEST(PolicyStore, KeepsTheTextsOfTheLastAdoptionsAndTheHistoryForEver) {
    Disk disk;
    auto store = disk.open();
    const unsigned last = kPolicyTextsKept + 10;
    for (unsigned n = 1; n <= last; ++n) ASSERT_TRUE(save(*store, n));
    EXPECT_FALSE(store->text(ref_of(10)));
    EXPECT_TRUE(store->text(ref_of(11)));
    EXPECT_EQ(store->history(last * 2)->size(), last);
    EXPECT_FALSE((*store->adoption(10))->text_kept);
}

TEST(PolicyStore, NumbersGoOnAboveWhatADataplaneRuns) {
    Disk disk;
    auto store = disk.open();
    EXPECT_EQ(store->next_generation(0), 1U);
    EXPECT_EQ(store->next_generation(41), 42U);
}

// ------------------------------------------------------------------------------------------------ on the real kernel
class OnRealFiles : public testing::Test {
protected:
    void SetUp() override {
        dir = (std::filesystem::temp_directory_path() / "sluice-store-XXXXXX").string();
        ASSERT_NE(::mkdtemp(dir.data()), nullptr);
    }
    void TearDown() override { std::filesystem::remove_all(dir); }
    std::unique_ptr<PolicyStore> open() {
        auto store = PolicyStore::open(posix_file_ops(), dir + "/state");
        EXPECT_TRUE(store.has_value()) << store.error().what;
        return store ? std::move(*store) : nullptr;
    }
    std::string dir;
};

TEST_F(OnRealFiles, OthersCanNeitherReadNorOpenIt) {
    auto store = open();
    ASSERT_TRUE(save(*store, 1));
    const auto second = PolicyStore::open(posix_file_ops(), dir + "/state");
    ASSERT_FALSE(second);
    EXPECT_NE(second.error().what.find("is in use by another process"), std::string::npos) << second.error().what;
    for (const auto& entry : std::filesystem::directory_iterator{dir + "/state"}) {
        EXPECT_EQ(entry.status().permissions(),
                  std::filesystem::perms::owner_read | std::filesystem::perms::owner_write)
            << entry.path();
    }
    store.reset();
    EXPECT_EQ(*open()->text(ref_of(1)), text_of(1));
}

// A3: what is damaged is named and kept, a good policy can still be put, and the chain says that something is missing.
TEST_F(OnRealFiles, A3_ADamagedDatabaseIsMovedAsideAndTheChainGoesOn) {
    {
        auto store = open();
        for (unsigned n = 1; n <= 3; ++n) ASSERT_TRUE(save(*store, n));
        store->audit().maintain(true);
    }
    std::ofstream{dir + "/state/state.db"} << std::string(9'000, 'x');
    auto store = open();
    ASSERT_EQ(store->damage().size(), 1U);
    EXPECT_NE(store->damage()[0].find("state.db is damaged: "), std::string::npos) << store->damage()[0];
    EXPECT_NE(store->damage()[0].find("it was moved to "), std::string::npos) << store->damage()[0];
    EXPECT_FALSE(store->current());
    EXPECT_TRUE(save(*store, 4));
    const auto check = store->audit().verify();
    EXPECT_TRUE(check.whole) << check.what;
    EXPECT_EQ(check.first, 8U) << "seven entries are in the file that was moved";
    EXPECT_EQ((*store->audit().entry(8))->record.action, "store.replaced");
}

TEST_F(OnRealFiles, ADatabaseThatIsGoneIsNoFirstStart) {
    ASSERT_TRUE(save(*open(), 1));
    {
        auto store = open();
        store->audit().maintain();
    }
    std::filesystem::remove(dir + "/state/state.db");
    auto store = open();
    ASSERT_EQ(store->damage().size(), 1U);
    EXPECT_NE(store->damage()[0].find("was not there any more"), std::string::npos) << store->damage()[0];
}

TEST_F(OnRealFiles, ATextThatWasChangedIsNotGivenOut) {
    ASSERT_TRUE(save(*open(), 1));
    {
        auto database = *Database::open(dir + "/state/state.db");
        const auto lock = database->lock();
        EXPECT_FALSE(database->run("UPDATE texts SET body = x'01'")) << "by accident it can't be changed";
        ASSERT_TRUE(database->run("DROP TRIGGER texts_are_not_changed"));
        ASSERT_TRUE(database->run("UPDATE texts SET body = x'00'"));
    }
    const auto text = open()->text(ref_of(1));
    ASSERT_FALSE(text);
    EXPECT_NE(text.error().what.find("is not what its digest says"), std::string::npos) << text.error().what;
}

// A1: kill -9 at random instants of a process that does nothing but change policies. STORE_KILLS=1000 for more of it.
TEST_F(OnRealFiles, A1_KilledAtRandomInstantsNothingAcknowledgedIsLost) {
    SCOPED_TRACE(sluice::test::seed_line());
    std::mt19937_64 random{sluice::test::seed_of_this_run()};
    const char* asked = std::getenv("STORE_KILLS");
    const int kills = asked != nullptr ? std::atoi(asked) : 60;
    unsigned n = 1, intents = 0;
    ASSERT_TRUE(save(*open(), n));
    for (int kill = 0; kill < kills; ++kill) {
        int acknowledged[2];
        ASSERT_EQ(::pipe(acknowledged), 0);
        const pid_t child = ::fork();
        if (child == 0) {
            auto store = PolicyStore::open(posix_file_ops(), dir + "/state");
            for (unsigned next = n + 1; store; ++next) {
                if (!save(**store, next) || ::write(acknowledged[1], &next, sizeof next) != sizeof next) break;
                if (next % 3 == 0) (*store)->audit().maintain();
            }
            ::_exit(1);
        }
        ::close(acknowledged[1]);
        unsigned last = n, got{};
        // The first has been written, so that kills do not only hit starts.
        const bool began = ::read(acknowledged[0], &got, sizeof got) == sizeof got;
        ASSERT_TRUE(began);
        ::usleep(static_cast<useconds_t>(random() % 8'000));
        ::kill(child, SIGKILL);
        ASSERT_EQ(::waitpid(child, nullptr, 0), child);
        for (last = got; ::read(acknowledged[0], &got, sizeof got) == sizeof got;) last = got;
        ::close(acknowledged[0]);
        auto store = open();
        ASSERT_NE(store, nullptr);
        ASSERT_TRUE(store->damage().empty()) << store->damage().front();
        n = static_cast<unsigned>(store->current()->generation);
        ASSERT_TRUE(n == last || n == last + 1) << "acknowledged " << last << ", found " << n;
        ASSERT_EQ(*store->text(*store->current()), text_of(n));
        const auto check = store->audit().verify();
        ASSERT_TRUE(check.whole) << check.what;
        if (store->pending()) {
            ++intents;
            ASSERT_EQ(store->pending()->generation, n + 1);
            ASSERT_TRUE(store->discard_pending());
        }
    }
    std::printf("[          ] %d kills, %u policies, %u intents found\n", kills, n, intents);
}

}  // namespace
}  // namespace sluice::cp
