// What the service says became of a generation.
#include "tests/unit/controlplane/lifecycle/policy_service_rig.hpp"

namespace sluice::cp {
namespace {

class CommitViewTest : public PolicyServiceTest {
protected:
    CommitView view(std::uint64_t generation) {
        const auto found = service->commit_view(generation);
        EXPECT_TRUE(found) << found.error().detail;
        return found ? *found : CommitView{};
    }
    CommitStanding standing(std::uint64_t generation) { return view(generation).standing; }
    static CommitOptions by_anna(std::optional<std::chrono::milliseconds> confirm_within = {}) {
        return {.confirm_within = confirm_within, .caller = {.actor = "token:anna/1", .reason = "CHG-7"}};
    }
};

TEST_F(CommitViewTest, OneThatWasConfirmedIsAdoptedUntilAnotherComes) {
    start_service();
    const auto first = must_put(policy_text(kWebIn));
    const auto second = must_put(policy_text(kSshOut), by_anna(60s));
    const auto waiting = view(second.generation);
    EXPECT_EQ(waiting.standing, CommitStanding::pending_confirmation);
    EXPECT_EQ(waiting.hash, second.hash);
    EXPECT_EQ(waiting.asked.record.actor, "token:anna/1");
    EXPECT_EQ(waiting.asked.record.reason, "CHG-7");
    EXPECT_EQ(waiting.settled.number, 0U);
    EXPECT_TRUE(waiting.confirm_deadline);
    EXPECT_EQ(standing(first.generation), CommitStanding::adopted) << "what is gone back to";
    ASSERT_TRUE(service->confirm(second.generation, {.actor = "token:bert/2"}));
    const auto kept = view(second.generation);
    EXPECT_EQ(kept.standing, CommitStanding::adopted);
    EXPECT_EQ(kept.asked.record.actor, "token:anna/1");
    EXPECT_FALSE(kept.confirm_deadline);
    EXPECT_EQ(standing(first.generation), CommitStanding::superseded);
    EXPECT_EQ(view(first.generation).settled.record.after.generation, second.generation) << "since then";
}

TEST_F(CommitViewTest, ManyTimesTheSameDoesNotHideWhatCameThen) {
    start_service();
    const auto first = must_put(policy_text(kWebIn));
    for (int i = 0; i < 1100; ++i) ASSERT_EQ(must_put(policy_text(kWebIn)).state, CommitState::unchanged);
    const auto second = must_put(policy_text(kSshOut));
    EXPECT_EQ(standing(first.generation), CommitStanding::superseded);
    EXPECT_EQ(view(first.generation).settled.record.after.generation, second.generation);
}

TEST_F(CommitViewTest, WhatWasNeverTakenWasNotTakenBack) {
    start_service();
    must_put(policy_text(kWebIn));
    const auto second = must_put(policy_text(kSshOut));
    ASSERT_TRUE(service->rollback(second.generation, {}));
    auto state = dataplane->state();
    ASSERT_EQ(static_cast<abi::StateSource>(state.process.source), abi::StateSource::reverted)
        << "until the next publish";
    dataplane->die_at_next_offer();
    ASSERT_FALSE(put(policy_text(kTrial)));
    dataplane.reset();
    start_dataplane(std::move(state), 2);
    ASSERT_TRUE(soon([&] { return standing(second.generation + 1) != CommitStanding::unsettled; }));
    EXPECT_EQ(standing(second.generation + 1), CommitStanding::discarded);
}

TEST_F(CommitViewTest, OneThatWasLeftSaysWhy) {
    start_service();
    const auto first = must_put(policy_text(kWebIn));
    const auto second = must_put(policy_text(kSshOut), by_anna(60s));
    ASSERT_TRUE(service->rollback(second.generation, {.actor = "token:bert/2"}));
    EXPECT_EQ(standing(second.generation), CommitStanding::rolled_back);
    EXPECT_EQ(view(second.generation).settled.record.actor, "token:bert/2");
    EXPECT_EQ(view(second.generation).settled.record.detail, "before it was confirmed");
    EXPECT_EQ(view(second.generation).hash, second.hash);

    const auto third = must_put(policy_text(kTrial), by_anna(60s));
    dataplane->revert_by_deadline();
    ASSERT_TRUE(soon([&] { return standing(third.generation) == CommitStanding::reverted; }));
    EXPECT_NE(view(third.generation).settled.record.detail.find("not confirmed in time"), std::string::npos);
    EXPECT_EQ(standing(first.generation), CommitStanding::adopted);

    const auto fourth = must_put(policy_text(kTrial));
    ASSERT_TRUE(service->rollback(fourth.generation, {}));
    EXPECT_EQ(standing(fourth.generation), CommitStanding::rolled_back) << "of what had been in force";
    const auto metrics = service->metrics(false);
    EXPECT_NE(metrics.find("sluice_publishes_total{result=\"reverted\"} 1\n"), std::string::npos) << metrics;
    EXPECT_NE(metrics.find("sluice_publishes_total{result=\"rolled_back\"} 2\n"), std::string::npos) << metrics;
}

TEST_F(CommitViewTest, OneThatTheDataplaneRefusedWasNeverInForce) {
    start_service();
    const auto first = must_put(policy_text(kWebIn));
    dataplane->refuse_next(abi::RefuseReason::digest_wrong);
    ASSERT_FALSE(put(policy_text(kSshOut)));
    EXPECT_EQ(standing(first.generation + 1), CommitStanding::discarded);
    const auto none = service->commit_view(first.generation + 2);
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().code, "no-such-commit");
    ASSERT_FALSE(service->confirm(first.generation + 2, {}));
    EXPECT_FALSE(service->commit_view(first.generation + 2)) << "who asks for what is not there makes no commit";
}

TEST_F(CommitViewTest, OutlivesTheProcess) {
    start_service();
    const auto first = must_put(policy_text(kWebIn));
    const auto second = must_put(policy_text(kSshOut), by_anna(60s));
    ASSERT_TRUE(service->rollback(second.generation, {}));
    service.reset();
    start_service();
    ASSERT_TRUE(soon([&] { return ready(); }));
    EXPECT_EQ(standing(second.generation), CommitStanding::rolled_back);
    EXPECT_EQ(standing(first.generation), CommitStanding::adopted);
}

TEST_F(CommitViewTest, ARollbackThatWaitsForApprovalHasLeftNothing) {
    start_service();
    const std::string approvals = "approvals: {needed: 1}\n";
    must_put(policy_text(kWebIn, approvals));
    auto waits = must_put(policy_text(kSshOut, approvals), by_anna());
    ASSERT_TRUE(waits.change);
    const auto second = service->approve_change(waits.change->id, {.actor = "token:bert/2"}, false);
    ASSERT_TRUE(second) << second.error().detail;
    const auto back = service->rollback(second->generation, {.actor = "token:anna/1"});
    ASSERT_TRUE(back);
    ASSERT_EQ(back->state, CommitState::waiting);
    EXPECT_EQ(standing(second->generation), CommitStanding::adopted);
    EXPECT_NE(view(second->generation).settled.record.action, "policy.rollback");
    ASSERT_TRUE(service->reject_change(back->change->id, {.actor = "token:bert/2", .reason = "no"}));
    auto third = must_put(policy_text(kTrial, approvals), by_anna());
    ASSERT_TRUE(service->approve_change(third.change->id, {.actor = "token:bert/2"}, false));
    EXPECT_EQ(standing(second->generation), CommitStanding::superseded);
}

TEST_F(CommitViewTest, WhatNobodyHasSettledYetIsCalledSo) {
    start_service();
    const auto first = must_put(policy_text(kWebIn));
    dataplane->die_at_next_offer();
    const auto lost = put(policy_text(kSshOut));
    ASSERT_FALSE(lost);
    EXPECT_EQ(lost.error().code, "outcome-unknown");
    EXPECT_EQ(standing(first.generation + 1), CommitStanding::unsettled);
    service.reset();
    open_service();
    EXPECT_EQ(standing(first.generation + 1), CommitStanding::unsettled) << "and a process that starts then knows it";
}

}  // namespace
}  // namespace sluice::cp
