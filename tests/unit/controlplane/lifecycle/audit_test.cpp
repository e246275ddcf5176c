/// What the audit and the history say of all that can happen to a policy.
#include <fstream>

#include "controlplane/lifecycle/audit_records.hpp"
#include "tests/unit/controlplane/lifecycle/policy_service_rig.hpp"

namespace sluice::cp {
namespace {

const Caller kAnna{.actor = "token:0badcafe", .origin = "192.0.2.7", .request_id = "r-1", .reason = "CHG-20418"};
const Caller kBao{.actor = "token:00c0ffee", .origin = "192.0.2.8", .request_id = "r-2", .reason = "looks good"};

class AuditTest : public PolicyServiceTest {
protected:
    /// `action result`, oldest first, of what is about policies and flows.
    std::vector<std::string> story() {
        std::vector<std::string> out;
        const auto page = service->audit().page({.count_max = 1000});
        EXPECT_TRUE(page);
        for (auto e = page->entries.rbegin(); e != page->entries.rend(); ++e) {
            const auto& r = e->record;
            if (!r.action.starts_with("process.") && !r.action.starts_with("store."))
                out.push_back(r.action + " " + r.result);
        }
        return out;
    }
    void expect_whole() {
        const auto check = service->audit().verify();
        EXPECT_TRUE(check.whole) << check.what;
    }
    using Story = std::vector<std::string>;
};

TEST_F(AuditTest, EveryChangeIsAnnouncedAndSettled) {
    start_service();
    const auto first = must_put(policy_text(kWebIn), {.caller = kAnna});
    const auto second = must_put(policy_text(kSshOut), {.confirm_within = 60s, .caller = kAnna});
    ASSERT_TRUE(service->confirm(second.generation, kBao));
    EXPECT_EQ(story(), (Story{"policy.put begun", "policy.put adopted", "policy.put begun", "policy.put pending",
                              "policy.confirm begun", "policy.confirm adopted"}));
    const auto confirmed = *audited("policy.confirm");
    EXPECT_EQ(confirmed.actor, kBao.actor);
    EXPECT_EQ(confirmed.origin, kBao.origin);
    EXPECT_EQ(confirmed.approval, kBao.actor);
    EXPECT_EQ(confirmed.reason, kBao.reason);
    EXPECT_EQ(confirmed.before, (AuditState{first.hash, first.generation}));
    EXPECT_EQ(confirmed.after, (AuditState{second.hash, second.generation}));
    const auto put_entry = *audited("policy.put");
    EXPECT_EQ(put_entry.actor, kAnna.actor);
    EXPECT_EQ(put_entry.request_id, "r-1");

    // The history has who asked, and who confirmed.
    const auto rows = service->history(10, {})->adoptions;
    ASSERT_EQ(rows.size(), 2U);
    EXPECT_EQ(rows[0].asked.record.actor, kAnna.actor);
    EXPECT_EQ(rows[0].asked.record.reason, kAnna.reason);
    EXPECT_EQ(rows[0].approval, kBao.actor);
    EXPECT_EQ(rows[0].label, second.version);
    expect_whole();
}

TEST_F(AuditTest, WhatIsRefusedHasItsEntryToo) {
    start_service();
    const auto first = must_put(policy_text(kWebIn), {.caller = kAnna});
    EXPECT_FALSE(service->put("sluice: [", PolicyFormat::yaml, {.if_match = first.hash, .caller = kAnna}));
    EXPECT_EQ(audited("policy.put")->result, "refused");
    EXPECT_TRUE(audited("policy.put")->detail.starts_with("invalid-policy: ")) << audited("policy.put")->detail;
    EXPECT_EQ(audited("policy.put")->before.generation, first.generation);
    EXPECT_FALSE(service->put(policy_text(kSshOut), PolicyFormat::yaml, {.if_match = "stale", .caller = kBao}));
    EXPECT_EQ(audited("policy.put")->actor, kBao.actor);
    EXPECT_TRUE(audited("policy.put")->detail.starts_with("policy-changed: "));
    EXPECT_FALSE(service->patch("[]", {.if_match = first.hash, .caller = kBao}));
    EXPECT_EQ(audited("policy.patch")->result, "refused");
    EXPECT_FALSE(service->confirm(77, kBao));
    EXPECT_TRUE(audited("policy.confirm")->detail.starts_with("nothing-to-confirm: "));
    EXPECT_FALSE(service->rollback(77, kBao));
    EXPECT_EQ(audited("policy.rollback")->result, "refused");
    EXPECT_FALSE(service->restore(77, {.if_match = first.hash, .caller = kBao}));
    EXPECT_TRUE(audited("policy.restore")->detail.starts_with("no-such-generation: "));
    EXPECT_EQ(service->history(10, {})->adoptions.size(), 1U);
    EXPECT_EQ(must_put(policy_text(kWebIn), {.caller = kAnna}).state, CommitState::unchanged);
    EXPECT_EQ(audited("policy.put")->result, "unchanged");
    expect_whole();
}

TEST_F(AuditTest, RollingBackAndEndingFlows) {
    start_service();
    const auto first = must_put(policy_text(kWebIn));
    const auto second = must_put(policy_text(kSshOut), {.confirm_within = 60s});
    ASSERT_TRUE(service->rollback(second.generation, kBao));
    EXPECT_EQ(audited("policy.rollback")->before.generation, second.generation);
    EXPECT_EQ(audited("policy.rollback")->after.generation, first.generation);
    const auto third = must_put(policy_text(kTrial));
    ASSERT_TRUE(service->rollback(third.generation, kBao));
    EXPECT_EQ(audited("policy.rollback")->result, "adopted");
    EXPECT_EQ(service->history(1, {})->adoptions.front().ref.hash, first.hash);
    ASSERT_TRUE(service->end_flows({.filter = {}, .all = true, .caller = kAnna}));
    EXPECT_EQ(audited("flows.end")->result, "done");
    EXPECT_EQ(audited("flows.end")->reason, kAnna.reason);
    EXPECT_TRUE(audited("flows.end")->detail.starts_with("all; ended ")) << audited("flows.end")->detail;
    expect_whole();
}

// A6: what can't be audited is not done; what leads back is done, and its entry waits.
TEST_F(AuditTest, A6_NothingComesIntoForceUnaudited) {
    database_in_memory = true;
    start_service();
    const auto first = must_put(policy_text(kWebIn), {.caller = kAnna});
    const auto second = must_put(policy_text(kSshOut), {.confirm_within = 600s, .caller = kAnna});
    fill_disk(true);
    EXPECT_EQ(service->confirm(second.generation, kAnna).error().status, 507);
    EXPECT_EQ(service->end_flows({.filter = {}, .all = true, .caller = kAnna}).error().status, 507);
    const auto back = service->rollback(second.generation, kAnna);
    ASSERT_TRUE(back) << back.error().detail;
    EXPECT_EQ(running_hash(), first.hash);
    const auto refused = put(policy_text(kTrial), {.caller = kAnna});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().status, 507);
    EXPECT_EQ(running_hash(), first.hash);
    EXPECT_EQ(dataplane->offers(), 2U);
    EXPECT_FALSE(service->status().audit_trouble.empty());
    EXPECT_NE(service->metrics(false).find("sluice_audit_entries_waiting 3"), std::string::npos);

    fill_disk(false);
    ASSERT_TRUE(soon([&] { return service->status().audit_trouble.empty(); }));
    const auto told = story();
    EXPECT_EQ((Story{told.end() - 3, told.end()}),
              (Story{"policy.confirm failed", "policy.rollback done", "policy.put failed"}));
    EXPECT_EQ(must_put(policy_text(kTrial)).state, CommitState::adopted);
    expect_whole();
}

// What was gone back to stays, whether the disk has room again before this process ends or only then.
TEST_F(AuditTest, A6_ARollbackOnAFullDiskIsWrittenDownWhenThereIsRoom) {
    database_in_memory = true;
    start_service();
    const auto first = must_put(policy_text(kWebIn));
    const auto second = must_put(policy_text(kSshOut));
    fill_disk(true);
    const auto back = service->rollback(second.generation, kAnna);
    ASSERT_TRUE(back) << back.error().detail;
    ASSERT_EQ(back->warnings.size(), 1U);
    EXPECT_EQ(back->warnings[0].code, "current-not-written");
    EXPECT_EQ(running_hash(), first.hash);
    EXPECT_FALSE(service->status().not_ready.empty());

    fill_disk(false);
    ASSERT_TRUE(soon([&] { return service->status().not_ready.empty(); }));
    EXPECT_EQ(service->history(1, {})->adoptions.front().ref.hash, first.hash);
    EXPECT_EQ(story().back(), "policy.rollback adopted");
    service.reset();
    start_service();
    EXPECT_EQ(running_hash(), first.hash);
    EXPECT_EQ(service->current()->hash, first.hash);
    EXPECT_EQ(dataplane->offers(), 2U);
    expect_whole();
}

TEST_F(AuditTest, A1_ARollbackThatDiedBeforeItWasWrittenDownStays) {
    database_in_memory = true;
    start_service();
    const auto first = must_put(policy_text(kWebIn));
    const auto second = must_put(policy_text(kSshOut));
    fill_disk(true);
    ASSERT_TRUE(service->rollback(second.generation, kAnna));
    service.reset();
    fill_disk(false);

    start_service();
    ASSERT_TRUE(soon([&] { return service->current() && service->current()->hash == first.hash; }));
    EXPECT_EQ(running_hash(), first.hash);
    EXPECT_EQ(service->history(1, {})->adoptions.front().ref.hash, first.hash);
    EXPECT_EQ(story().back(), "policy.rollback adopted");
    EXPECT_EQ(must_put(policy_text(kTrial)).state, CommitState::adopted);
    expect_whole();
}

// ------------------------------------------------------------------------------------------------------- the history
TEST_F(AuditTest, AnyEarlierGenerationCanBePutInForceAgain) {
    start_service();
    const auto first = must_put(policy_text(kWebIn));
    const auto second = must_put(policy_text(kSshOut));
    const auto third = must_put(policy_text(kTrial));
    EXPECT_EQ(service->restore(first.generation, {.caller = kAnna}).error().status, 428);
    EXPECT_EQ(service->restore(first.generation, {.if_match = second.hash, .caller = kAnna}).error().status, 412);
    const auto back = service->restore(first.generation, {.if_match = third.hash, .caller = kAnna});
    ASSERT_TRUE(back) << back.error().detail;
    EXPECT_EQ(back->hash, first.hash);
    EXPECT_EQ(back->generation, third.generation + 1) << "the same version, another generation";
    EXPECT_EQ(running_hash(), first.hash);
    EXPECT_EQ(service->current()->text, policy_text(kWebIn));
    EXPECT_EQ(audited("policy.restore")->detail, "generation 1");
    const auto rows = service->history(10, {})->adoptions;
    ASSERT_EQ(rows.size(), 4U);
    EXPECT_EQ(rows[0].asked.record.action, "policy.restore");

    // On probation, and back by itself.
    const auto tried =
        service->restore(second.generation, {.if_match = first.hash, .confirm_within = 60s, .caller = kAnna});
    ASSERT_TRUE(tried);
    EXPECT_EQ(tried->state, CommitState::pending_confirmation);
    dataplane->revert_by_deadline();
    ASSERT_TRUE(soon([&] { return audited("policy.revert").has_value(); }));
    EXPECT_EQ(audited("policy.revert")->actor, "system");
    EXPECT_EQ(audited("policy.revert")->after.generation, tried->generation);
    EXPECT_EQ(running_hash(), first.hash);
    expect_whole();
}

TEST_F(AuditTest, TheHistoryShowsWhatChanged) {
    start_service();
    const auto first = must_put(policy_text(kWebIn));
    const auto second = must_put(policy_text(kWebIn + kSshOut));
    const auto third = must_put(policy_text(kSshOut));
    auto view = service->history_view(second.generation, {});
    ASSERT_TRUE(view) << view.error().detail;
    EXPECT_EQ(view->text, policy_text(kWebIn + kSshOut));
    EXPECT_EQ(view->against->ref.generation, first.generation);
    ASSERT_EQ(view->changes.size(), 1U);
    EXPECT_EQ(view->changes[0].op, "add");
    EXPECT_EQ(view->changes[0].id, "ssh-closed");
    view = service->history_view(first.generation, third.generation);
    ASSERT_TRUE(view) << view.error().detail;
    EXPECT_EQ(view->changes.size(), 2U);
    view = service->history_view(first.generation, {});
    ASSERT_TRUE(view);
    EXPECT_FALSE(view->against);
    EXPECT_EQ(service->history_view(99, {}).error().status, 404);
    EXPECT_EQ(service->history_view(first.generation, 99).error().status, 404);
    const auto page = service->history(2, {});
    EXPECT_EQ(page->current_entry, page->adoptions[0].entry);
    ASSERT_TRUE(page->next);
    EXPECT_EQ(service->history(2, page->next)->adoptions.size(), 1U);
}

// ------------------------------------------------------------------------------------------------ over the process's
// end
TEST_F(AuditTest, StartsAndStopsAreEntriesAndADeathIsSeen) {
    start_service();
    must_put(policy_text(kWebIn));
    service.reset();
    start_service();
    EXPECT_TRUE(audited("process.stop"));
    EXPECT_EQ(audited("process.start")->detail, "the audit is whole");
    EXPECT_EQ(audited("process.start")->after.generation, 1U);
    expect_whole();
}

TEST_F(AuditTest, ABrokenChainIsToldAndStopsNoTraffic) {
    start_service();
    const auto first = must_put(policy_text(kWebIn));
    service.reset();
    in_database("DROP TRIGGER audit_is_not_changed");
    in_database("UPDATE audit SET actor = 'somebody else' WHERE number = 3");
    testing::internal::CaptureStderr();
    start_service();
    ASSERT_TRUE(soon([&] { return ready(); }));
    const auto log = testing::internal::GetCapturedStderr();
    EXPECT_NE(log.find("the audit is broken: entry 3 is not what its hash says"), std::string::npos) << log;
    EXPECT_EQ(service->status().audit_trouble, "entry 3 is not what its hash says");
    EXPECT_NE(service->metrics(false).find("sluice_audit_chain_whole 0"), std::string::npos);
    EXPECT_EQ(audited("process.start")->detail, "the audit is broken: entry 3 is not what its hash says");
    EXPECT_EQ(running_hash(), first.hash);
    EXPECT_EQ(must_put(policy_text(kSshOut)).state, CommitState::adopted);
}

TEST_F(AuditTest, TheStateOfAnEarlierVersionIsTakenOver) {
    start_service();
    const auto first = must_put(policy_text(kWebIn));
    service.reset();
    std::filesystem::remove_all(config.state_dir);
    std::filesystem::create_directories(config.state_dir + "/policy");
    const auto write = [&](const std::string& name, const std::string& text) {
        std::ofstream{config.state_dir + "/" + name} << text;
    };
    write("policy/" + first.hash + ".yaml", policy_text(kWebIn));
    write("policy/history", first.hash + ".yaml 1\n");
    write("policy/current", first.hash + ".yaml 1\n");
    write("generation", "1\n");
    start_service();
    ASSERT_TRUE(soon([&] { return ready(); }));
    EXPECT_EQ(service->current()->text, policy_text(kWebIn));
    EXPECT_EQ(service->current()->generation, 1U);
    EXPECT_EQ(dataplane->offers(), 1U) << "it runs already";
    EXPECT_EQ(audited("store.imported")->result, "done");
    EXPECT_FALSE(std::filesystem::exists(config.state_dir + "/policy"));
    EXPECT_TRUE(std::filesystem::exists(config.state_dir + "/policy.imported/generation"));
    EXPECT_EQ(must_put(policy_text(kSshOut)).generation, 2U);
    expect_whole();
}

}  // namespace
}  // namespace sluice::cp
