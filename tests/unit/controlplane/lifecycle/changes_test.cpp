#include "tests/unit/controlplane/lifecycle/policy_service_rig.hpp"

#include "controlplane/store/wall_clock.hpp"

namespace sluice::cp {
namespace {

constexpr auto kAnna = "token:anna/1", kBert = "token:bert/2", kCarl = "token:carl/3";
const std::string kOne = "approvals: {needed: 1}\n", kTwo = "approvals: {needed: 2}\n";
/// A service that was started by nobody's fault just behind the time of a change must not fail the tests of being late.
constexpr auto kSoon = std::chrono::nanoseconds{1s};

class ChangesTest : public PolicyServiceTest {
protected:
    static std::int64_t in(std::chrono::nanoseconds span) { return wall_clock_ns() + span.count(); }
    static Caller by(std::string actor, std::string reason = {}) {
        return {.actor = std::move(actor), .reason = std::move(reason)};
    }
    /// Puts a policy that then has to wait. Its number, 0 if it does not.
    std::uint64_t wait(const std::string& text, CommitOptions options = {}) {
        if (options.caller.actor == "system") options.caller = by(kAnna, "CHG-1");
        const auto result = put(text, options);
        EXPECT_TRUE(result) << result.error().code << ": " << result.error().detail;
        if (!result || result->state != CommitState::waiting) return 0;
        return result->change->id;
    }
    Expected<CommitResult, Problem> approve(std::uint64_t id, const char* who = kBert) {
        return service->approve_change(id, by(who, "read it"), false);
    }
    Change change(std::uint64_t id) {
        const auto found = service->changes().find(id);
        EXPECT_TRUE(found && *found) << id;
        return found && *found ? **found : Change{};
    }
    ChangeState state(std::uint64_t id) { return change(id).state; }
    std::size_t history_rows() { return service->history(100, {})->adoptions.size(); }
    void freeze() {
        const auto now = wall_clock_ns();
        AuditRecord entry;
        entry.action = "freeze.set";
        ASSERT_TRUE(service->freezes().set({.from_ns = now - 1, .until_ns = now + 3'600'000'000'000}, entry));
    }
    void lift() {
        AuditRecord entry;
        entry.action = "freeze.lift";
        ASSERT_TRUE(*service->freezes().lift(entry));
    }
    /// A change is counted behind the store, where its state can be seen already.
    bool counts(const std::string& line) {
        return soon([&] { return service->metrics(false).find(line + "\n") != std::string::npos; });
    }
};

// ---------------------------------------------------------------------------------------------------------- four eyes
TEST_F(ChangesTest, WaitsForOthersAndIsAppliedAsItWasSent) {
    start_service();
    const auto first = must_put(policy_text(kWebIn, kTwo));
    const auto sent = put(policy_text(kSshOut, kTwo), {.caller = by(kAnna, "CHG-1")});
    ASSERT_TRUE(sent);
    EXPECT_EQ(sent->state, CommitState::waiting);
    EXPECT_EQ(sent->generation, 0U);
    ASSERT_TRUE(sent->change);
    const auto id = sent->change->id;
    EXPECT_EQ(sent->change->state, ChangeState::pending);
    EXPECT_EQ(sent->change->needed, 2U);
    EXPECT_EQ(sent->change->kind, "put");
    EXPECT_EQ(sent->change->base.hash, first.hash);
    EXPECT_EQ(sent->change->hash, sent->hash);
    EXPECT_EQ(sent->change->by, kAnna);
    EXPECT_NEAR(static_cast<double>(sent->change->expires_ns - in(24h)), 0, 60e9);
    EXPECT_EQ(running_hash(), first.hash);
    EXPECT_EQ(audited("policy.put")->result, "waiting");
    EXPECT_TRUE(counts("sluice_changes_waiting{state=\"pending\"} 1"));
    EXPECT_TRUE(counts("sluice_publishes_total{result=\"waiting\"} 1"));

    const auto one = approve(id);
    ASSERT_TRUE(one) << one.error().detail;
    EXPECT_EQ(one->state, CommitState::waiting);
    EXPECT_EQ(running_hash(), first.hash);
    EXPECT_EQ(audited("change.approve")->actor, kBert);
    EXPECT_EQ(audited("change.approve")->reason, "read it");
    EXPECT_NE(audited("change.approve")->detail.find("1 of 2 approvals"), std::string::npos);

    const auto last = approve(id, kCarl);
    ASSERT_TRUE(last) << last.error().detail;
    EXPECT_EQ(last->state, CommitState::adopted);
    EXPECT_EQ(last->hash, sent->hash);
    ASSERT_TRUE(last->change);
    EXPECT_EQ(last->change->state, ChangeState::applied);
    EXPECT_EQ(running_hash(), sent->hash);
    EXPECT_EQ(service->current()->text, policy_text(kSshOut, kTwo));
    const auto row = service->history(1, {})->adoptions.at(0);
    EXPECT_EQ(row.asked.record.actor, kAnna);
    EXPECT_EQ(row.asked.record.reason, "CHG-1");
    EXPECT_EQ(row.approval, "token:bert/2, token:carl/3");
    const auto adopted = audited("policy.put");
    EXPECT_EQ(adopted->result, "adopted");
    EXPECT_EQ(adopted->actor, kAnna);
    EXPECT_EQ(adopted->approval, "token:bert/2, token:carl/3");
    EXPECT_EQ(adopted->detail, "change 1; approved by token:bert/2: read it; approved by token:carl/3: read it");
    EXPECT_EQ(change(id).generation, last->generation);
    EXPECT_TRUE(counts("sluice_changes_waiting{state=\"pending\"} 0"));
    EXPECT_TRUE(counts("sluice_changes_total{outcome=\"applied\"} 1"));
}

TEST_F(ChangesTest, NeitherItsAuthorNorAnybodyTwice) {
    start_service();
    const auto first = must_put(policy_text(kWebIn, kTwo));
    const auto id = wait(policy_text(kSshOut, kTwo));
    const auto own = approve(id, kAnna);
    ASSERT_FALSE(own);
    EXPECT_EQ(own.error().status, 403);
    EXPECT_EQ(own.error().code, "own-change");
    EXPECT_EQ(audited("change.approve")->result, "refused");
    EXPECT_EQ(approve(id, "token:anna/99").error().code, "own-change") << "another token of hers";
    ASSERT_TRUE(approve(id));
    EXPECT_EQ(approve(id).error().code, "approved-already");
    EXPECT_EQ(approve(id, "token:bert/99").error().code, "approved-already");
    EXPECT_EQ(running_hash(), first.hash);
    EXPECT_EQ(approve(77).error().code, "no-such-change");
    ASSERT_TRUE(approve(id, kCarl));
    EXPECT_EQ(approve(id, kCarl).error().code, "change-not-waiting");
}

TEST_F(ChangesTest, TheProtectionIsChangedNoMoreEasily) {
    start_service();
    const auto open = must_put(policy_text(kWebIn), {.caller = by(kAnna)});
    const auto guarded = must_put(policy_text(kWebIn, kOne), {.caller = by(kAnna)});
    EXPECT_EQ(guarded.state, CommitState::adopted) << "nobody has to be asked to ask others from now on";
    EXPECT_NE(guarded.hash, open.hash);
    const auto without = wait(policy_text(kWebIn));
    EXPECT_NE(without, 0U) << "one alone takes it off";
    EXPECT_NE(wait(policy_text(kWebIn, "approvals: {needed: 1, within: 1s}\n")), 0U);
    EXPECT_EQ(running_hash(), guarded.hash);
    EXPECT_EQ(must_put(policy_text(kWebIn, kOne)).state, CommitState::unchanged) << "word for word what is there";
    const auto words = wait(policy_text(kWebIn, kOne) + "# other words\n");
    EXPECT_NE(words, 0U);
    ASSERT_TRUE(approve(words));
    EXPECT_EQ(state(words), ChangeState::applied);
    EXPECT_EQ(service->current()->text, policy_text(kWebIn, kOne) + "# other words\n");
    ASSERT_TRUE(approve(without)) << "the policy is the same, in whatever words";
    EXPECT_EQ(running_hash(), open.hash);
    EXPECT_EQ(must_put(policy_text(kSshOut)).state, CommitState::adopted);
}

TEST_F(ChangesTest, EveryWayToChangeThePolicyWaits) {
    start_service();
    const auto first = must_put(policy_text(kSshOut));
    const auto second = must_put(policy_text(kWebIn, kOne));
    const CommitOptions options{.if_match = second.hash, .caller = by(kAnna)};
    const auto edits = R"([{"op": "remove", "id": "web-in"}])";
    const auto patched = service->patch(edits, options);
    ASSERT_TRUE(patched) << patched.error().detail;
    EXPECT_EQ(patched->change->kind, "patch");
    EXPECT_EQ(patched->change->format, "edits");
    EXPECT_EQ(change(patched->change->id).text, edits);
    const std::string worked_on = policy_text(kTrial, kOne);
    ASSERT_TRUE(service->save_draft({.name = "web", .body = worked_on, .base = 0, .caller = by(kAnna)}));
    const auto draft = service->apply_draft("web", "", options);
    ASSERT_TRUE(draft);
    EXPECT_EQ(draft->change->kind, "draft");
    const auto restored = service->restore(first.generation, options);
    ASSERT_TRUE(restored);
    EXPECT_EQ(restored->change->kind, "restore");
    const auto back = service->rollback(second.generation, by(kAnna));
    ASSERT_TRUE(back) << back.error().detail;
    EXPECT_EQ(back->change->kind, "rollback");
    EXPECT_EQ(back->hash, first.hash) << "who approves sees what comes";
    EXPECT_EQ(running_hash(), second.hash);
    EXPECT_EQ(history_rows(), 2U);

    const auto view = service->change_view(patched->change->id);
    ASSERT_TRUE(view);
    ASSERT_TRUE(view->changes);
    ASSERT_EQ(view->changes->size(), 1U);
    EXPECT_EQ(view->changes->at(0).op, "remove");
    EXPECT_EQ(view->changes->at(0).id, "web-in");
    ASSERT_TRUE(approve(patched->change->id));
    EXPECT_EQ(running_hash(), patched->hash);
    EXPECT_EQ(audited("policy.patch")->result, "adopted");
    EXPECT_FALSE(service->change_view(back->change->id)->changes) << "its base is not in force any more";
}

TEST_F(ChangesTest, ARollbackIsAppliedInSpiteOfAFreeze) {
    start_service();
    const auto first = must_put(policy_text(kSshOut));
    const auto second = must_put(policy_text(kWebIn, kOne));
    freeze();
    const auto back = service->rollback(second.generation, by(kAnna));
    ASSERT_TRUE(back) << back.error().detail;
    ASSERT_TRUE(approve(back->change->id));
    EXPECT_EQ(running_hash(), first.hash);
}

TEST_F(ChangesTest, WhatWouldBeRefusedDoesNotWait) {
    start_service();
    const auto first = must_put(policy_text(kWebIn, kOne));
    EXPECT_EQ(put(policy_text("  - {id: a, from: nowhere, to: web, action: allow}\n")).error().status, 422);
    EXPECT_EQ(put(policy_text(kWebIn,
                              "tests:\n  - {from: 203.0.113.7@internet, to: \"198.51.100.80@servers:22/tcp\", "
                              "expect: allow}\n"))
                  .error()
                  .code,
              "policy-tests-failed");
    EXPECT_EQ(put(policy_text(kSshOut), {.if_match = std::string(64, '0')}).error().status, 412);
    EXPECT_TRUE(service->changes().list({}, 10)->changes.empty());
    EXPECT_EQ(running_hash(), first.hash);
}

TEST_F(ChangesTest, OverAnotherPolicyItIsStaleAndNeverMerged) {
    start_service();
    must_put(policy_text(kWebIn, kOne));
    const auto one = wait(policy_text(kSshOut, kOne)), other = wait(policy_text(kTrial, kOne));
    ASSERT_TRUE(approve(one));
    const auto now = running_hash();
    const auto refused = approve(other);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().status, 409);
    EXPECT_TRUE(soon([&] { return state(other) == ChangeState::stale; }));
    EXPECT_EQ(running_hash(), now);
    EXPECT_EQ(audited("change.stale")->actor, "system");
    EXPECT_TRUE(counts("sluice_changes_total{outcome=\"stale\"} 1"));
    EXPECT_TRUE(counts("sluice_changes_missed_total 0")) << "it had no time of its own";
}

TEST_F(ChangesTest, UnapprovedItExpires) {
    start_service();
    const auto first = must_put(policy_text(kWebIn, "approvals: {needed: 1, within: 1s}\n"));
    const auto id = wait(policy_text(kSshOut));
    std::this_thread::sleep_for(1100ms);
    const auto late = approve(id);
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().code, "change-not-waiting");
    EXPECT_EQ(state(id), ChangeState::expired);
    EXPECT_EQ(running_hash(), first.hash);
    EXPECT_EQ(audited("change.expire")->result, "failed");
    const auto other = wait(policy_text(kSshOut));
    EXPECT_TRUE(soon([&] { return state(other) == ChangeState::expired; })) << "without anybody asking";
    EXPECT_TRUE(counts("sluice_changes_total{outcome=\"expired\"} 2"));
}

TEST_F(ChangesTest, IsRejectedByOthersAndWithdrawnByItsAuthor) {
    start_service();
    const auto first = must_put(policy_text(kWebIn, kOne));
    const auto one = wait(policy_text(kSshOut, kOne)), other = wait(policy_text(kTrial, kOne));
    ASSERT_TRUE(service->reject_change(one, by(kBert, "not on a Friday")));
    EXPECT_EQ(change(one).detail, "not on a Friday");
    EXPECT_EQ(audited("change.reject")->reason, "not on a Friday");
    EXPECT_EQ(service->withdraw_change(other, by(kBert)).error().code, "not-the-author");
    EXPECT_EQ(audited("change.withdraw")->result, "refused");
    ASSERT_TRUE(service->withdraw_change(other, by("token:anna/99")));
    for (const auto id : {one, other}) {
        EXPECT_EQ(approve(id).error().code, "change-not-waiting");
        EXPECT_EQ(service->reject_change(id, by(kBert)).error().code, "change-not-waiting");
    }
    EXPECT_EQ(running_hash(), first.hash);
    EXPECT_TRUE(counts("sluice_changes_total{outcome=\"rejected\"} 1"));
    EXPECT_TRUE(counts("sluice_changes_total{outcome=\"withdrawn\"} 1"));
}

TEST_F(ChangesTest, AFreezeHoldsWhenItIsApplied) {
    start_service();
    const auto first = must_put(policy_text(kWebIn, kOne));
    freeze();
    const auto id = wait(policy_text(kSshOut, kOne));
    ASSERT_NE(id, 0U) << "it may be handed in: it is not applied now";
    EXPECT_EQ(approve(id).error().code, "change-freeze");
    EXPECT_EQ(service->approve_change(id, by(kCarl, "INC-7"), true).error().code, "change-freeze")
        << "the glass of approvals is not that of the freeze";
    EXPECT_EQ(state(id), ChangeState::pending);
    EXPECT_TRUE(change(id).approvals.empty()) << "the approval is not used up";
    const auto urgent = wait(policy_text(kTrial, kOne), {.break_glass = true, .caller = by(kAnna, "INC-7")});
    ASSERT_NE(urgent, 0U) << "the glass of the freeze is not that of approvals";
    EXPECT_EQ(running_hash(), first.hash);
    ASSERT_TRUE(approve(urgent));
    EXPECT_EQ(audited("freeze.broken")->actor, kAnna);
    EXPECT_NE(running_hash(), first.hash);
}

TEST_F(ChangesTest, AnAdminBreaksTheGlassAndEverybodyHears) {
    start_service();
    must_put(policy_text(kWebIn, kTwo));
    const auto id = wait(policy_text(kSshOut, kTwo));
    ASSERT_TRUE(approve(id));
    const auto done = service->approve_change(id, by(kCarl, "INC-7"), true);
    ASSERT_TRUE(done) << done.error().detail;
    EXPECT_EQ(done->state, CommitState::adopted);
    const auto entry = audited("approvals.broken");
    ASSERT_TRUE(entry);
    EXPECT_EQ(entry->actor, kCarl);
    EXPECT_EQ(entry->reason, "INC-7");
    EXPECT_EQ(service->history(1, {})->adoptions.at(0).approval, "token:bert/2, token:carl/3 (break-glass)");
    EXPECT_TRUE(counts("sluice_approvals_broken_total 1"));
}

TEST_F(ChangesTest, ProbationIsThatOfEveryCommit) {
    start_service();
    const auto first = must_put(policy_text(kWebIn, kOne));
    const auto id = wait(policy_text(kSshOut, kOne), {.confirm_within = 60s, .guard = *parse_guard("drop-rate=12.5")});
    EXPECT_EQ(change(id).guard, "drop-rate=12.5");
    const auto waits = approve(id);
    ASSERT_TRUE(waits);
    EXPECT_EQ(waits->state, CommitState::pending_confirmation);
    EXPECT_EQ(state(id), ChangeState::applying);
    EXPECT_EQ(service->reject_change(id, by(kBert)).error().code, "change-not-waiting") << "that is a rollback";
    ASSERT_TRUE(service->confirm(waits->generation, by(kCarl)));
    EXPECT_EQ(state(id), ChangeState::applied);
    EXPECT_EQ(service->history(1, {})->adoptions.at(0).approval, "token:bert/2, token:carl/3");

    const auto left = wait(policy_text(kTrial, kOne), {.confirm_within = 60s});
    const auto again = approve(left);
    ASSERT_TRUE(service->rollback(again->generation, by(kCarl))) << "leaving a probation needs nobody else";
    EXPECT_EQ(state(left), ChangeState::failed);
    const auto forgotten = wait(policy_text(kTrial, kOne), {.confirm_within = 60s});
    ASSERT_TRUE(approve(forgotten));
    dataplane->revert_by_deadline();
    EXPECT_TRUE(soon([&] { return state(forgotten) == ChangeState::failed; }));
    EXPECT_NE(change(forgotten).detail.find("not confirmed in time"), std::string::npos);
    EXPECT_NE(running_hash(), first.hash);
}

TEST_F(ChangesTest, WithoutADataplaneNoApprovalIsUsedUp) {
    start_service();
    must_put(policy_text(kWebIn, kOne));
    const auto id = wait(policy_text(kSshOut, kOne));
    auto kept = dataplane->state();
    dataplane.reset();
    ASSERT_TRUE(soon([&] { return !service->status().dataplane_connected; }));
    EXPECT_EQ(approve(id).error().status, 503);
    EXPECT_TRUE(change(id).approvals.empty());
    start_dataplane(std::move(kept), 2);
    ASSERT_TRUE(soon([&] { return connected(); }));
    ASSERT_TRUE(soon([&] { return approve(id).has_value(); }));
    EXPECT_EQ(state(id), ChangeState::applied);
}

// ---------------------------------------------------------------------------------------------------------- its time
TEST_F(ChangesTest, IsAppliedAtItsTimeOnceAndOverARestart) {
    start_service();
    const auto first = must_put(policy_text(kWebIn));
    const auto id = wait(policy_text(kSshOut), {.at_ns = in(kSoon)});
    EXPECT_EQ(state(id), ChangeState::scheduled);
    EXPECT_EQ(running_hash(), first.hash);
    EXPECT_TRUE(counts("sluice_changes_waiting{state=\"scheduled\"} 1"));
    service.reset();
    start_service();
    EXPECT_TRUE(soon([&] { return state(id) == ChangeState::applied; }));
    EXPECT_EQ(running_hash(), change(id).hash);
    const auto row = service->history(1, {})->adoptions.at(0);
    EXPECT_EQ(row.asked.record.actor, kAnna);
    EXPECT_EQ(row.approval, "");
    const auto rows = history_rows();
    service.reset();
    start_service();
    std::this_thread::sleep_for(1500ms);
    EXPECT_EQ(history_rows(), rows) << "once";
}

TEST_F(ChangesTest, WithApprovalsBothAreNeededByThen) {
    start_service();
    must_put(policy_text(kWebIn, kOne));
    const auto late = wait(policy_text(kTrial, kOne), {.at_ns = in(kSoon)});
    EXPECT_EQ(change(late).expires_ns, change(late).at_ns);
    EXPECT_TRUE(soon([&] { return state(late) == ChangeState::expired; }));
    EXPECT_TRUE(counts("sluice_changes_missed_total 1"));
    const auto id = wait(policy_text(kSshOut, kOne), {.at_ns = in(2 * kSoon)});
    const auto approved = approve(id);
    ASSERT_TRUE(approved);
    EXPECT_EQ(approved->state, CommitState::waiting);
    EXPECT_EQ(state(id), ChangeState::scheduled);
    EXPECT_NE(running_hash(), change(id).hash);
    EXPECT_TRUE(soon([&] { return state(id) == ChangeState::applied; }));
    EXPECT_GE(wall_clock_ns(), change(id).at_ns);
    EXPECT_EQ(service->history(1, {})->adoptions.at(0).approval, kBert);
}

TEST_F(ChangesTest, AtItsTimeItMeetsWhatEveryChangeMeets) {
    start_service();
    const auto first = must_put(policy_text(kWebIn));
    const auto frozen = wait(policy_text(kSshOut), {.at_ns = in(kSoon)});
    freeze();
    EXPECT_TRUE(soon([&] { return state(frozen) == ChangeState::failed; }));
    EXPECT_NE(change(frozen).detail.find("change-freeze"), std::string::npos);
    lift();
    const auto refused = wait(policy_text(kSshOut), {.at_ns = in(kSoon)});
    dataplane->refuse_next(abi::RefuseReason::bounds);
    EXPECT_TRUE(soon([&] { return state(refused) == ChangeState::failed; }));
    EXPECT_NE(change(refused).detail.find("refused-by-dataplane"), std::string::npos) << change(refused).detail;
    EXPECT_EQ(audited("change.fail")->actor, "system");
    EXPECT_EQ(running_hash(), first.hash);
    const auto stale = wait(policy_text(kSshOut), {.at_ns = in(2 * kSoon)});
    must_put(policy_text(kTrial));
    EXPECT_TRUE(soon([&] { return state(stale) == ChangeState::stale; }));
    EXPECT_TRUE(counts("sluice_changes_missed_total 3"));
    const auto taken_back = wait(policy_text(kSshOut), {.at_ns = in(kSoon)});
    ASSERT_TRUE(service->withdraw_change(taken_back, by(kAnna)));
    std::this_thread::sleep_for(1500ms);
    EXPECT_EQ(service->current()->text, policy_text(kTrial));
    EXPECT_TRUE(counts("sluice_changes_missed_total 3"));
}

TEST_F(ChangesTest, WhatWasMissedByFarIsToldAndNotApplied) {
    start_service();
    const auto first = must_put(policy_text(kWebIn));
    const auto id = wait(policy_text(kSshOut), {.at_ns = in(kSoon)});
    service.reset();
    std::this_thread::sleep_for(1500ms);
    change_late_max = 100ms;
    start_service();
    EXPECT_TRUE(soon([&] { return state(id) == ChangeState::failed; }));
    EXPECT_NE(change(id).detail.find("missed"), std::string::npos);
    EXPECT_EQ(running_hash(), first.hash);
}

TEST_F(ChangesTest, WaitsForADataplaneThatComesInTime) {
    start_service();
    must_put(policy_text(kWebIn));
    const auto id = wait(policy_text(kSshOut), {.at_ns = in(kSoon)});
    auto kept = dataplane->state();
    dataplane.reset();
    std::this_thread::sleep_for(1500ms);
    EXPECT_EQ(state(id), ChangeState::scheduled);
    start_dataplane(std::move(kept), 2);
    EXPECT_TRUE(soon([&] { return state(id) == ChangeState::applied; }));
}

// ------------------------------------------------------------------------------------------------------ dying between
TEST_F(ChangesTest, DeathBetweenTheLastApprovalAndTheIntentLeavesItDue) {
    start_service();
    must_put(policy_text(kWebIn, kOne));
    const auto id = wait(policy_text(kSshOut, kOne));
    service.reset();
    // What the transaction of the approval has written, and nothing behind it.
    in_database("INSERT INTO change_approvals VALUES(1, 'token:bert', 'token:bert/2', '', 1, 0)");
    in_database("UPDATE changes SET state = 'scheduled', due_ns = " + std::to_string(wall_clock_ns()));
    start_service();
    EXPECT_TRUE(soon([&] { return state(id) == ChangeState::applied; }));
    EXPECT_EQ(history_rows(), 2U);
    EXPECT_EQ(service->history(1, {})->adoptions.at(0).approval, kBert);
}

TEST_F(ChangesTest, DeathBetweenTheIntentAndTheOfferLeavesItDue) {
    start_service();
    const auto first = must_put(policy_text(kWebIn, kOne));
    const auto id = wait(policy_text(kSshOut, kOne));
    dataplane->die_at_next_offer();
    (void)approve(id);
    EXPECT_EQ(state(id), ChangeState::applying);
    service.reset();
    auto kept = dataplane->state();
    dataplane.reset();
    start_dataplane(std::move(kept), 2);
    EXPECT_EQ(running_hash(), first.hash);
    start_service();
    EXPECT_TRUE(soon([&] { return state(id) == ChangeState::applied; })) << to_text(state(id));
    EXPECT_EQ(history_rows(), 2U);
    EXPECT_EQ(running_hash(), change(id).hash);
}

TEST_F(ChangesTest, WhatADataplaneMayHaveDiedOfIsNotOfferedAgain) {
    start_service();
    const auto first = must_put(policy_text(kWebIn, kOne));
    const auto id = wait(policy_text(kSshOut, kOne));
    dataplane->die_at_next_offer();
    (void)approve(id);
    auto kept = dataplane->state();
    dataplane.reset();
    start_dataplane(std::move(kept), 2);
    EXPECT_TRUE(soon([&] { return state(id) == ChangeState::failed; })) << to_text(state(id));
    ASSERT_TRUE(soon([&] { return ready(); }));
    EXPECT_EQ(running_hash(), first.hash);
}

TEST_F(ChangesTest, DeathBehindTheOfferLeavesItApplied) {
    start_service();
    must_put(policy_text(kWebIn, kOne));
    const auto id = wait(policy_text(kSshOut, kOne), {.confirm_within = 60s});
    ASSERT_TRUE(approve(id));
    service.reset();
    // Confirmed, and the answer never reached the disk.
    auto state_of_it = dataplane->state();
    state_of_it.process.confirm_deadline = {};
    dataplane.reset();
    start_dataplane(std::move(state_of_it));
    start_service();
    EXPECT_TRUE(soon([&] { return state(id) == ChangeState::applied; }));
    EXPECT_EQ(history_rows(), 2U);
    EXPECT_EQ(dataplane->offers(), 0U) << "once";
}

}  // namespace
}  // namespace sluice::cp
