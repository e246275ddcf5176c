#include "controlplane/store/audit_log.hpp"

#include <gtest/gtest.h>

#include <random>

#include "controlplane/store/audit_entry.hpp"
#include "controlplane/store/policy_store.hpp"
#include "tests/harness/seed.hpp"
#include "tests/unit/controlplane/store/power_cut_disk.hpp"
#include "tests/unit/controlplane/store/power_cut_vfs.hpp"

namespace sluice::cp {
namespace {

AuditRecord record(std::string action, std::string actor = "token:0badcafe") {
    AuditRecord r;
    r.action = std::move(action);
    r.actor = std::move(actor);
    r.origin = "192.0.2.7";
    r.reason = "CHG-20418: 更换证书";
    r.result = "done";
    return r;
}

class AuditLogTest : public testing::Test {
protected:
    void SetUp() override {
        database = *Database::open("/s/audit.db", vfs.name());
        {
            const auto lock = database->lock();
            for (const auto statement : audit_schema()) ASSERT_TRUE(database->run(statement));
        }
        log = std::make_unique<AuditLog>(*database, files, "/s",
                                         [this](const AuditEntry& e) { told.push_back(e.number); });
    }
    void must_write(AuditRecord r) { ASSERT_TRUE(log->write(r)); }
    /// As somebody does who has the file and the tools.
    void tamper(std::string_view sql) {
        const auto lock = database->lock();
        (void)database->run("DROP TRIGGER IF EXISTS audit_is_not_changed");
        (void)database->run("DROP TRIGGER IF EXISTS audit_is_not_deleted");
        const auto done = database->run(sql);
        ASSERT_TRUE(done) << sql << ": " << done.error().what;
    }

    test::PowerCutVfs vfs;
    test::PowerCutDisk files;
    std::vector<std::uint64_t> told;
    std::unique_ptr<Database> database;
    std::unique_ptr<AuditLog> log;
};

// The form is a contract: who exported entries years ago must still be able to verify them.
TEST(AuditEntry, CanonicalBytesAndHashAsDocumented) {
    AuditEntry e;
    e.number = 2;
    e.prev = std::string(64, 'a');
    e.record = record("policy.put");
    e.record.at_ns = 1'795'000'000'000'000'001;
    e.record.before = {std::string(64, 'b'), 3};
    e.record.after = {std::string(64, 'c'), 4};
    e.record.request_id = "id-1";
    EXPECT_EQ(canonical_bytes(e), "prev 64\n" + std::string(64, 'a') +
                                      "\nnumber 1\n2\nat_ns 19\n1795000000000000001\nactor 14\ntoken:0badcafe\n"
                                      "origin 9\n192.0.2.7\naction 10\npolicy.put\nbefore_hash 64\n" +
                                      std::string(64, 'b') + "\nbefore_generation 1\n3\nafter_hash 64\n" +
                                      std::string(64, 'c') +
                                      "\nafter_generation 1\n4\napproval 0\n\nreason 23\nCHG-20418: 更换证书\n"
                                      "result 4\ndone\ndetail 0\n\nrequest_id 4\nid-1\n");
    EXPECT_EQ(audit_hash(e), sha256_hex(canonical_bytes(e)));
    EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(AuditEntry, TextsAreBoundedAndPrintable) {
    auto r = record("x");
    r.detail = "two\nlines\x7f";
    r.reason = std::string(999, 'x') + "更换";
    const auto fitted = fit(r);
    EXPECT_EQ(fitted.detail, "two lines ");
    EXPECT_EQ(fitted.reason, std::string(999, 'x')) << "no half of a character";
}

TEST_F(AuditLogTest, EntriesAreNumberedAndChained) {
    for (int i = 0; i < 5; ++i) must_write(record("policy.put"));
    const auto page = *log->page({});
    ASSERT_EQ(page.entries.size(), 5U);
    EXPECT_EQ(page.entries.back().prev, no_hash());
    for (std::size_t i = 0; i + 1 < 5; ++i) EXPECT_EQ(page.entries[i].prev, page.entries[i + 1].hash);
    EXPECT_EQ(told, (std::vector<std::uint64_t>{1, 2, 3, 4, 5}));
    const auto check = log->verify();
    EXPECT_TRUE(check.whole) << check.what;
    EXPECT_EQ(check.entries, 5U);
    EXPECT_EQ(check.head, log->head());
}

TEST_F(AuditLogTest, PagesAndFilters) {
    for (int i = 0; i < 7; ++i)
        must_write(record(i % 2 == 0 ? "policy.put" : "policy.confirm", i < 4 ? "token:a" : "token:b"));
    must_write(record("flows.end"));
    auto page = *log->page({.count_max = 3});
    ASSERT_EQ(page.entries.size(), 3U);
    EXPECT_EQ(page.entries[0].number, 8U);
    ASSERT_EQ(page.next, 6U);
    page = *log->page({.count_max = 100, .before = page.next});
    EXPECT_EQ(page.entries.size(), 5U);
    EXPECT_FALSE(page.next);
    EXPECT_EQ(log->page({.action = "policy"})->entries.size(), 7U);
    EXPECT_EQ(log->page({.action = "policy.put"})->entries.size(), 4U);
    EXPECT_EQ(log->page({.action = "pol"})->entries.size(), 0U);
    EXPECT_EQ(log->page({.actor = "token:b"})->entries.size(), 3U);
    must_write(record("flows.end", "token:b/7f3a9c21"));
    EXPECT_EQ(log->page({.actor = "token:b"})->entries.size(), 4U);
    EXPECT_EQ(log->page({.actor = "token:b/7f3a9c21"})->entries.size(), 1U);
    EXPECT_EQ(log->page({.actor = "token:b/"})->entries.size(), 0U);
    const auto third = (*log->entry(3))->record.at_ns;
    EXPECT_EQ(log->page({.since_ns = third})->entries.size(), 7U);
    EXPECT_EQ(log->page({.until_ns = third})->entries.size(), 2U);
    EXPECT_FALSE(*log->entry(99));
}

// Any one field of any one entry, any byte of it; any entry taken out, put in or moved: found, and the first is named.
TEST_F(AuditLogTest, EveryTamperingIsFound) {
    SCOPED_TRACE(sluice::test::seed_line());
    std::mt19937_64 random{sluice::test::seed_of_this_run()};
    static constexpr std::string_view kTexts[] = {"prev",       "hash",   "actor",  "origin",   "action", "before_hash",
                                                  "after_hash", "reason", "result", "approval", "detail", "request_id"};
    static constexpr std::string_view kNumbers[] = {"at_ns", "before_generation", "after_generation"};
    constexpr std::uint64_t kEntries = 20;
    for (std::uint64_t i = 0; i < kEntries; ++i) {
        auto r = record("policy.put");
        r.before = {std::string(64, 'b'), i};
        r.after = {std::string(64, 'c'), i + 1};
        must_write(r);
    }
    log->maintain();
    ASSERT_TRUE(log->verify().whole);
    const auto expect_broken = [&](std::uint64_t first, std::uint64_t last, const std::string& what) {
        const auto check = log->verify();
        EXPECT_FALSE(check.whole) << what;
        EXPECT_GE(check.broken, first) << what << ": " << check.what;
        EXPECT_LE(check.broken, last) << what << ": " << check.what;
        tamper("DELETE FROM audit");
        tamper("INSERT INTO audit SELECT * FROM kept");
        ASSERT_TRUE(log->verify().whole) << what;
    };
    tamper("CREATE TABLE kept AS SELECT * FROM audit");
    for (int round = 0; round < 300; ++round) {
        const auto number = 1 + random() % kEntries;
        const auto at = std::to_string(number);
        std::string sql;
        std::uint64_t first = number, last = number;
        switch (random() % 5) {
            case 0: {  // one byte of a text
                const auto column = std::string{kTexts[random() % std::size(kTexts)]};
                std::string text;
                {
                    const auto lock = database->lock();
                    (void)database->run("SELECT " + column + " FROM audit WHERE number = " + at, {},
                                        [&](const SqlRow& row) { text = row.text(0); });
                }
                const auto as_it_was = text;
                if (text.empty()) text = "x";
                text[random() % text.size()] = static_cast<char>('(' + random() % 80);
                if (text == as_it_was) text += "x";
                sql = "UPDATE audit SET " + column + " = '" + text + "' WHERE number = " + at;
                break;
            }
            case 1:
                sql = "UPDATE audit SET " + std::string{kNumbers[random() % std::size(kNumbers)]} +
                      " = 777 WHERE number = " + at;
                break;
            case 2: sql = "DELETE FROM audit WHERE number = " + at; break;
            case 3:  // renumbered to where it is not looked for
                sql = "UPDATE audit SET number = " + std::to_string(kEntries + 1 + random() % 3) +
                      " WHERE number = " + at;
                break;
            default:  // two entries change places
                last = 1 + random() % kEntries;
                if (last == number) continue;
                first = std::min(number, last);
                sql = "UPDATE audit SET number = CASE number WHEN " + at + " THEN -" + std::to_string(last) + " WHEN " +
                      std::to_string(last) + " THEN -" + at + " END WHERE number IN (" + at + "," +
                      std::to_string(last) + ")";
                tamper(sql);
                sql = "UPDATE audit SET number = -number WHERE number < 0";
                last = first;
        }
        tamper(sql);
        expect_broken(first, last, sql);
    }
}

// Whoever knows the form gives a changed entry its right hash: then it is the next one that does not follow.
TEST_F(AuditLogTest, AnEntryThatWasWrittenAnewBreaksTheNext) {
    for (int i = 0; i < 5; ++i) must_write(record("policy.put"));
    auto forged = **log->entry(3);
    forged.record.actor = "nobody";
    tamper("UPDATE audit SET actor = 'nobody', hash = '" + audit_hash(forged) + "' WHERE number = 3");
    const auto check = log->verify();
    EXPECT_FALSE(check.whole);
    EXPECT_EQ(check.broken, 4U);
    EXPECT_EQ(check.what, "entry 4 does not follow the one before it");
}

// Cut at the end: what the second place knows is missed; what it does not know yet is not.
TEST_F(AuditLogTest, ALostTailIsMissed) {
    for (int i = 0; i < 5; ++i) must_write(record("policy.put"));
    log->maintain();
    tamper("DELETE FROM audit WHERE number > 3");
    auto check = log->verify();
    EXPECT_FALSE(check.whole);
    EXPECT_EQ(check.broken, 4U);
    EXPECT_NE(check.what.find("entry 4 and those behind it, up to 5, are gone"), std::string::npos) << check.what;
    // The next process goes on behind what is left.
    log = std::make_unique<AuditLog>(*database, files, "/s");
    must_write(record("policy.put"));
    log->maintain();
    EXPECT_EQ(log->verify().broken, 5U) << "new entries do not cover what is missing";
    tamper("DELETE FROM audit");
    check = log->verify();
    EXPECT_EQ(check.broken, 1U);
    ASSERT_TRUE(write_durably(files, "/s", "audit-head", std::string_view{"nonsense\n"}));
    EXPECT_NE(log->verify().what.find("audit-head is damaged"), std::string::npos);
}

// A whole new chain, with all its hashes right, is another chain than the one whose head was held.
TEST_F(AuditLogTest, AnotherChainIsNotTheOneWhoseHeadWasHeld) {
    for (int i = 0; i < 5; ++i) must_write(record("policy.put"));
    log->maintain();
    tamper("DELETE FROM audit");
    log = std::make_unique<AuditLog>(*database, files, "/s");
    for (int i = 0; i < 9; ++i) must_write(record("policy.put", "token:other"));
    log->maintain();
    const auto check = log->verify();
    EXPECT_FALSE(check.whole);
    EXPECT_EQ(check.broken, 5U);
    EXPECT_NE(check.what.find("is another than the one in /s/audit-head"), std::string::npos) << check.what;
}

TEST_F(AuditLogTest, AccidentsWithAToolAreStopped) {
    must_write(record("policy.put"));
    const auto lock = database->lock();
    EXPECT_FALSE(database->run("DELETE FROM audit"));
    EXPECT_FALSE(database->run("UPDATE audit SET actor = 'nobody'"));
}

// A6: what has happened already waits in memory, bounded, and is written with its own time once there is room.
TEST_F(AuditLogTest, A6_OnAFullDiskEntriesWait) {
    must_write(record("policy.put"));
    vfs.bytes_max = 1;
    EXPECT_FALSE(log->write(record("policy.put")));
    for (std::size_t i = 0; i < AuditLog::kWaitingMax + 5; ++i) log->write_or_keep(record("policy.rollback"));
    EXPECT_EQ(log->counters().waiting, AuditLog::kWaitingMax);
    EXPECT_EQ(log->counters().lost, 5U);
    EXPECT_FALSE(log->trouble().empty());
    EXPECT_EQ(log->head().number, 1U);
    vfs.bytes_max = static_cast<std::size_t>(-1);
    log->maintain();
    EXPECT_EQ(log->counters().waiting, 0U);
    EXPECT_TRUE(log->trouble().empty());
    EXPECT_EQ(log->head().number, 1 + AuditLog::kWaitingMax);
    EXPECT_TRUE(log->verify().whole);
}

// Whoever knocks a million times costs a bounded number of entries, and the count is told.
TEST_F(AuditLogTest, AFloodAtTheDoorIsCountedNotCopied) {
    for (int i = 0; i < 1'000; ++i) {
        log->note(
            {.origin = "192.0.2." + std::to_string(i % 200), .what = "token-wrong: GET /v1/policy", .request_id = "r"});
    }
    log->maintain();
    EXPECT_EQ(log->head().number, AuditLog::kDoorEntriesPerMinute);
    EXPECT_EQ((*log->entry(1))->record.actor, "anonymous");
    EXPECT_EQ((*log->entry(1))->record.result, "refused");
    log->maintain(true);
    const auto sum = *log->entry(AuditLog::kDoorEntriesPerMinute + 1);
    ASSERT_TRUE(sum);
    EXPECT_TRUE(sum->record.detail.starts_with("980 more attempts within a minute: ")) << sum->record.detail;
    EXPECT_LT(sum->record.detail.size(), 2'001U);
}

}  // namespace
}  // namespace sluice::cp
