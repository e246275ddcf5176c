#include "controlplane/store/change_store.hpp"

#include <gtest/gtest.h>

#include "controlplane/store/policy_store.hpp"
#include "tests/harness/seed.hpp"
#include "tests/unit/controlplane/store/older_database.hpp"
#include "tests/unit/controlplane/store/power_cut_disk.hpp"
#include "tests/unit/controlplane/store/power_cut_vfs.hpp"

namespace sluice::cp {
namespace {

using Kind = ChangeTrouble::Kind;

class ChangeStoreTest : public testing::Test {
protected:
    void SetUp() override { open(); }
    void open() {
        store.reset();
        auto opened = PolicyStore::open(files, "/s", {.vfs = database.name(), .print = {}});
        ASSERT_TRUE(opened) << opened.error().what;
        store = std::move(*opened);
    }
    ChangeStore& changes() { return store->changes(); }
    static AuditRecord entry(const std::string& actor, const std::string& action = "change.approve") {
        AuditRecord record;
        record.actor = actor;
        record.reason = "because " + actor;
        record.action = action;
        record.result = "done";
        return record;
    }
    static Change change(std::uint32_t needed, std::string text = "sluice: 1\n", std::int64_t at_ns = 0) {
        Change c{.kind = "put", .format = "yaml", .text = std::move(text), .base = {3, "b", "edge@b"}};
        c.state = needed == 0 ? ChangeState::scheduled : ChangeState::pending;
        c.hash = std::string(64, 'a');
        c.version = "edge@aaaaaa";
        c.needed = needed;
        c.at_ns = c.due_ns = at_ns;
        c.expires_ns = 9'000'000'000'000'000'000;
        return c;
    }
    Change add(std::uint32_t needed, std::string text = "sluice: 1\n", std::int64_t at_ns = 0) {
        auto kept = changes().add(change(needed, std::move(text), at_ns), entry("token:anna/1", "policy.put"));
        EXPECT_TRUE(kept);
        return kept ? *kept : Change{};
    }
    bool stage(std::uint64_t of) {
        const PolicyRef ref{std::string(64, 'a'), "yaml", store->next_generation(0)};
        return store
            ->stage({.ref = ref, .label = "edge@aaaaaa", .text = {{}, "sluice: 1\n"}, .change = of},
                    entry("token:anna/1", "policy.put"))
            .has_value();
    }
    ChangeState state_of(std::uint64_t id) { return changes().find(id)->value().state; }

    test::PowerCutVfs database;
    test::PowerCutDisk files;
    std::unique_ptr<PolicyStore> store;
};

TEST_F(ChangeStoreTest, KeepsWhatWasSentOverARestart) {
    auto sent = change(2, "sluice: 1\n", 77);
    sent.confirm_ms = 60'000;
    sent.guard = "drop-rate=5";
    sent.break_glass = true;
    ASSERT_TRUE(changes().add(sent, entry("token:anna/1", "policy.put")));
    ASSERT_TRUE(changes().approve(1, false, entry("token:bert/2")));
    open();
    ASSERT_EQ(changes().waiting().size(), 1U);
    EXPECT_EQ(changes().waiting()[0].text, "") << "lists carry no texts";
    const auto found = *changes().find(1);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->text, "sluice: 1\n");
    EXPECT_EQ(found->kind, "put");
    EXPECT_EQ(found->format, "yaml");
    EXPECT_EQ(found->base.generation, 3U);
    EXPECT_EQ(found->base.hash, "b");
    EXPECT_EQ(found->base.version, "edge@b");
    EXPECT_EQ(found->hash, std::string(64, 'a'));
    EXPECT_EQ(found->by, "token:anna/1");
    EXPECT_EQ(found->reason, "because token:anna/1");
    EXPECT_EQ(found->needed, 2U);
    EXPECT_EQ(found->at_ns, 77);
    EXPECT_EQ(found->confirm_ms, 60'000U);
    EXPECT_EQ(found->guard, "drop-rate=5");
    EXPECT_TRUE(found->break_glass);
    ASSERT_EQ(found->approvals.size(), 1U);
    EXPECT_EQ(found->approvals[0].by, "token:bert/2");
    EXPECT_EQ(found->approvals[0].reason, "because token:bert/2");
    EXPECT_EQ(store->audit().page({.action = "policy.put"})->entries.at(0).record.detail, "change 1");
    EXPECT_FALSE(*changes().find(2));
}

TEST_F(ChangeStoreTest, NobodyApprovesHisOwnAndNobodyTwiceWhateverTheToken) {
    const auto id = add(2).id;
    EXPECT_EQ(changes().approve(id, false, entry("token:anna/1")).error().kind, Kind::own);
    EXPECT_EQ(changes().approve(id, false, entry("token:anna/9")).error().kind, Kind::own) << "her other token";
    ASSERT_TRUE(changes().approve(id, false, entry("token:bert/2")));
    const auto entries = store->audit().head().number;
    EXPECT_EQ(changes().approve(id, false, entry("token:bert/2")).error().kind, Kind::twice);
    EXPECT_EQ(changes().approve(id, false, entry("token:bert/3")).error().kind, Kind::twice) << "his other token";
    EXPECT_EQ(store->audit().head().number, entries);
    EXPECT_EQ(state_of(id), ChangeState::pending);
    const auto last = changes().approve(id, false, entry("oidc:bert/2@https://id.example"));
    ASSERT_TRUE(last) << "another subject, as far as anybody can know";
    EXPECT_EQ(last->state, ChangeState::scheduled);
    EXPECT_NE(last->due_ns, 0);
    EXPECT_EQ(changes().approve(id, false, entry("token:carl/4")).error().kind, Kind::not_waiting);
    EXPECT_EQ(approvers_of(*last), "token:bert/2, oidc:bert/2@https://id.example");
}

TEST_F(ChangeStoreTest, ASubjectIsANameOfTokensAndAWholeSubjectElsewhere) {
    EXPECT_EQ(subject_of("token:anna/7f3a9c21"), "token:anna");
    EXPECT_EQ(subject_of("token:anna"), "token:anna");
    EXPECT_EQ(subject_of("oidc:a/b@https://id.example/x"), "oidc:a/b@https://id.example/x");
    EXPECT_EQ(subject_of("cert:CN=anna/x"), "cert:CN=anna/x");
}

TEST_F(ChangeStoreTest, ApprovedItIsDueAtItsTime) {
    const auto id = add(1, "x", 77).id;
    EXPECT_EQ(changes().approve(id, false, entry("token:bert/2"))->due_ns, 77);
}

TEST_F(ChangeStoreTest, ABrokenGlassStandsForWhatIsMissing) {
    const auto id = add(3).id;
    ASSERT_TRUE(changes().approve(id, false, entry("token:bert/2")));
    const auto broken = changes().approve(id, true, entry("token:bert/2"));
    ASSERT_TRUE(broken);
    EXPECT_EQ(broken->state, ChangeState::scheduled);
    EXPECT_EQ(approvers_of(*broken), "token:bert/2, token:bert/2 (break-glass)");
}

TEST_F(ChangeStoreTest, AnEndIsTheEndAndTakesTheText) {
    const auto id = add(1).id;
    EXPECT_EQ(changes().end(id, {ChangeState::withdrawn, ""}, entry("token:bert/2"), true).error().kind,
              Kind::not_author);
    const auto ended = changes().end(id, {ChangeState::rejected, "no"}, entry("token:bert/2", "change.reject"));
    ASSERT_TRUE(ended);
    EXPECT_EQ(ended->state, ChangeState::rejected);
    EXPECT_EQ(ended->detail, "no");
    EXPECT_EQ(ended->text, "");
    EXPECT_EQ(ended->bytes, 10U);
    EXPECT_NE(ended->ended_ns, 0);
    EXPECT_TRUE(changes().waiting().empty());
    const auto entries = store->audit().head().number;
    EXPECT_EQ(changes().end(id, {ChangeState::failed, ""}, entry("system")).error().is, ChangeState::rejected);
    EXPECT_EQ(store->audit().head().number, entries);
    EXPECT_TRUE(changes().end(add(1).id, {ChangeState::withdrawn, ""}, entry("token:anna/2"), true))
        << "her other token";
    EXPECT_EQ(changes().end(9, {ChangeState::failed, ""}, entry("system")).error().kind, Kind::absent);
}

TEST_F(ChangeStoreTest, ListsPageByPageAndByState) {
    for (int n = 0; n < 5; ++n) add(1);
    ASSERT_TRUE(changes().end(2, {ChangeState::rejected, ""}, entry("token:bert/2")));
    const auto first = *changes().list({}, 2);
    ASSERT_EQ(first.changes.size(), 2U);
    EXPECT_EQ(first.changes[0].id, 5U);
    EXPECT_EQ(first.next, 4U);
    const auto second = *changes().list({}, 3, first.next);
    EXPECT_EQ(second.changes.back().id, 1U);
    EXPECT_FALSE(second.next);
    const auto pending = *changes().list(ChangeState::pending, 10);
    ASSERT_EQ(pending.changes.size(), 4U);
    EXPECT_EQ(pending.changes[3].id, 1U);
    EXPECT_EQ(changes().list(ChangeState::rejected, 10)->changes.at(0).id, 2U);
}

TEST_F(ChangeStoreTest, IsBoundedInCountAndBytesAndKeepsSomeThatEnded) {
    const std::string large(kChangeBytesMax / 2, 'x');
    ASSERT_TRUE(changes().add(change(1, large), entry("token:anna/1")));
    EXPECT_EQ(changes().add(change(1, large + "y"), entry("token:anna/1")).error().kind, Kind::too_large);
    ASSERT_TRUE(changes().end(1, {ChangeState::rejected, ""}, entry("token:bert/2")));
    for (std::size_t n = 0; n < kChangesWaitingMax; ++n) add(1, "x");
    EXPECT_EQ(changes().add(change(1), entry("token:anna/1")).error().kind, Kind::too_many);
    ASSERT_TRUE(changes().end(2, {ChangeState::rejected, ""}, entry("token:bert/2")));
    EXPECT_EQ(add(1).id, kChangesWaitingMax + 2);
    store.reset();
    {
        const std::string columns =
            "kind, state, format, bytes, base_generation, base_hash, base_version, hash, version, made_by, origin, "
            "request_id, reason, made_ns, needed, at_ns, expires_ns, due_ns, confirm_ms, guard, break_glass, ended_ns, "
            "detail, generation, text";
        auto raw = *Database::open("/s/state.db", database.name());
        const auto held = raw->lock();
        const auto copy = [&](const std::string& offset, const std::string& where) {
            return raw->run("INSERT INTO changes(id, " + columns + ") SELECT id + " + offset + ", " + columns +
                            " FROM changes WHERE " + where);
        };
        ASSERT_TRUE(copy("10000", "id = 1"));
        for (int doubled = 1; doubled < 1024; doubled *= 2) ASSERT_TRUE(copy(std::to_string(doubled), "id > 10000"));
    }
    open();
    ASSERT_TRUE(changes().end(3, {ChangeState::rejected, ""}, entry("token:bert/2")));
    const auto next = add(1).id;
    EXPECT_GT(next, 11'000U) << "no number is given twice";
    std::size_t ended = 0;
    const auto all = *changes().list({}, 5000);
    for (const auto& one : all.changes) ended += waits(one.state) ? 0 : 1;
    EXPECT_EQ(ended, kChangesEndedKept);
    EXPECT_TRUE(*changes().find(60)) << "what waits stays, however old";
}

// The state of a change moves with the intent: staged, promoted, discarded.
TEST_F(ChangeStoreTest, IsAppliedWhenItsPolicyIsInTheHistory) {
    const auto id = add(0).id;
    ASSERT_TRUE(stage(id));
    EXPECT_EQ(state_of(id), ChangeState::applying);
    EXPECT_EQ(store->pending_change(), id);
    open();
    EXPECT_EQ(store->pending_change(), id) << "over a restart";
    ASSERT_TRUE(store->promote(entry("system", "policy.put")));
    const auto done = *changes().find(id);
    EXPECT_EQ(done->state, ChangeState::applied);
    EXPECT_EQ(done->generation, store->current()->generation);
    EXPECT_EQ(done->text, "");
    EXPECT_EQ(store->pending_change(), 0U);
    EXPECT_TRUE(changes().waiting().empty());

    const auto other = add(0).id;
    ASSERT_TRUE(stage(other));
    ASSERT_TRUE(store->discard_pending());
    EXPECT_EQ(state_of(other), ChangeState::scheduled) << "it is due again";
    EXPECT_EQ(changes().find(other)->value().text, "sluice: 1\n");
    ASSERT_TRUE(stage(other));
    ASSERT_TRUE(store->discard_pending(entry("system", "policy.revert"), {ChangeState::failed, "not confirmed"}));
    EXPECT_EQ(state_of(other), ChangeState::failed);
    EXPECT_EQ(changes().find(other)->value().detail, "not confirmed");

    const auto words = add(0).id;
    ASSERT_TRUE(store->reword({.ref = *store->current(), .label = "l", .text = {{}, "# x"}, .change = words},
                              entry("token:anna/1", "policy.put")));
    EXPECT_EQ(state_of(words), ChangeState::applied);
}

// Q17 for changes: the power goes at any call between the last approval and the end. What is found is applied with its
// row in the history, or waits, never both and never neither.
TEST_F(ChangeStoreTest, A4_APowerCutLeavesItAppliedOrWaiting) {
    SCOPED_TRACE(sluice::test::seed_line());
    std::mt19937_64 random{sluice::test::seed_of_this_run()};
    std::size_t cuts = 0, applied = 0, staged = 0;
    for (int round = 0; round < 6; ++round) {
        bool ran_to_its_end = false;
        for (std::int64_t call = 0; !ran_to_its_end; ++call) {
            const auto id = add(1).id;
            const auto generation = store->next_generation(0);
            database.calls_until_cut = call;
            (void)(changes().approve(id, false, entry("token:bert/2")) && stage(id) &&
                   store->promote(entry("system", "policy.put")));
            ran_to_its_end = !database.cut();
            cuts += ran_to_its_end ? 0 : 1;
            store.reset();
            database.power_on(random);
            open();
            ASSERT_TRUE(store->damage().empty()) << "after call " << call;
            ASSERT_TRUE(store->audit().verify().whole);
            const auto found = *changes().find(id);
            ASSERT_TRUE(found) << "neither, after call " << call;
            const auto row = *store->adoption(generation);
            ASSERT_EQ(found->state == ChangeState::applied, row.has_value()) << "after call " << call;
            ASSERT_EQ(found->state == ChangeState::applying, store->pending_change() == id) << "after call " << call;
            ASSERT_EQ(found->approvals.empty(), found->state == ChangeState::pending);
            if (store->pending()) {
                ++staged;
                ASSERT_TRUE(store->discard_pending());
            }
            if (found->state == ChangeState::applied) {
                ++applied;
            } else {
                ASSERT_EQ(changes().find(id)->value().text, "sluice: 1\n") << "it can still be applied";
                ASSERT_TRUE(changes().end(id, {ChangeState::failed, ""}, entry("system")));
            }
        }
    }
    EXPECT_GE(cuts, 60U);
    EXPECT_GE(applied, 6U);
    EXPECT_GT(staged, 6U);
}

TEST_F(ChangeStoreTest, AFullDiskKeepsWhatWasThere) {
    const auto id = add(1).id;
    database.bytes_max = 1;
    EXPECT_TRUE(changes().add(change(1), entry("token:anna/1")).error().storage.disk_full());
    EXPECT_EQ(changes().approve(id, false, entry("token:bert/2")).error().kind, Kind::storage);
    EXPECT_EQ(changes().end(id, {ChangeState::rejected, ""}, entry("token:bert/2")).error().kind, Kind::storage);
    database.bytes_max = static_cast<std::size_t>(-1);
    EXPECT_EQ(state_of(id), ChangeState::pending);
    EXPECT_TRUE(changes().find(id)->value().approvals.empty());
    EXPECT_EQ(changes().waiting().size(), 1U);
    EXPECT_TRUE(store->audit().verify().whole);
}

// A state directory of before changes waited, with an intent that was staged when it was left.
TEST_F(ChangeStoreTest, AnOlderDatabaseGetsTheTablesAndKeepsItsIntent) {
    ASSERT_TRUE(stage(0));
    store.reset();
    {
        auto raw = *Database::open("/s/state.db", database.name());
        make_older(*raw, 5);
    }
    open();
    EXPECT_EQ(store->audit().page({})->entries.at(0).record.detail, "from version 5 to 9");
    ASSERT_TRUE(store->pending());
    EXPECT_EQ(store->pending_change(), 0U);
    ASSERT_TRUE(store->promote(entry("system", "policy.put")));
    const auto id = add(0).id;
    ASSERT_TRUE(stage(id));
    EXPECT_EQ(store->pending_change(), id);
    EXPECT_TRUE(store->audit().verify().whole);
}

}  // namespace
}  // namespace sluice::cp
