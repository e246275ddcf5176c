#include "controlplane/lifecycle/policy_service_impl.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "controlplane/policy/sha256.hpp"
#include "controlplane/policy/version.hpp"
#include "tests/unit/controlplane/lifecycle/policy_service_rig.hpp"

namespace sluice::cp {
namespace {

// A5: the policy holds without its slots, but nobody shall believe the counters as if nothing had happened.
TEST_F(PolicyServiceTest, DamagedSlotsAreTold) {
    start_service();
    const auto first = must_put(policy_text(kWebIn));
    service.reset();
    in_database("UPDATE numbers SET slots = 'live 4 web-in' || char(10) || 'live 4 web'");
    testing::internal::CaptureStderr();
    start_service();
    EXPECT_TRUE(soon([&] { return ready(); }));
    const auto log = testing::internal::GetCapturedStderr();
    EXPECT_NE(log.find("slots:"), std::string::npos) << log;
    EXPECT_EQ(service->current()->hash, first.hash);
    EXPECT_EQ(running_hash(), first.hash);
}

TEST_F(PolicyServiceTest, WithoutADataplaneNothingIsStored) {
    dataplane.reset();
    open_service();
    const auto refused = put(policy_text(kWebIn));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().status, 503);
    EXPECT_EQ(refused.error().code, "dataplane-unavailable");
    EXPECT_FALSE(service->current());
    EXPECT_EQ(audited("policy")->result, "failed") << "and no intent before it";
    EXPECT_EQ(service->audit().page({.action = "policy"})->entries.size(), 1U);
    const auto status = service->status();
    EXPECT_FALSE(status.dataplane_connected);
    ASSERT_EQ(status.not_ready.size(), 2U);
    EXPECT_NE(status.not_ready[0].find("the dataplane is not there: "), std::string::npos);
    EXPECT_EQ(status.not_ready[1], "no policy has been put yet");
    EXPECT_FALSE(service->flows({.count_max = 10, .cursor = std::nullopt, .filter = {}}));
}

TEST_F(PolicyServiceTest, FirstPolicyIsAdoptedStoredAndKeptOverARestart) {
    start_service();
    const auto result = must_put(policy_text(kWebIn + kSshOut));
    EXPECT_EQ(result.state, CommitState::adopted);
    EXPECT_EQ(result.generation, 1U);
    EXPECT_EQ(result.version, "edge@" + result.hash.substr(0, 6));
    EXPECT_EQ(running_hash(), result.hash);
    EXPECT_TRUE(ready());
    EXPECT_TRUE(service->status().in_sync);

    // Soon the last-good file holds this generation.
    EXPECT_TRUE(soon([&] { return last_good_generation() == 1; }));
    must_put(policy_text(kWebIn));
    must_put(policy_text(kWebIn + kSshOut));

    // A service that ends leaves none behind.
    service.reset();
    EXPECT_EQ(last_good_generation(), 3U);
    start_service();
    EXPECT_TRUE(soon([&] { return ready(); }));
    ASSERT_TRUE(service->current());
    EXPECT_EQ(service->current()->text, policy_text(kWebIn + kSshOut));
    EXPECT_EQ(service->current()->generation, 3U);
    EXPECT_EQ(dataplane->offers(), 3U) << "published although nothing had changed";
    EXPECT_EQ(must_put(policy_text(kWebIn)).generation, 4U);
}

// A store of before versions were made of digests: the policy keeps its name until it is changed.
TEST_F(PolicyServiceTest, APolicyWithAVersionOfOldKeepsItUntilItIsChanged) {
    start_service();
    const auto text = policy_text(kWebIn);
    must_put(text);
    const auto hash = service->current()->hash;
    service.reset();
    const auto old = to_hex(flat_version_of(parse_document(text, PolicyFormat::yaml).document));
    in_database("DROP TRIGGER history_is_not_changed");
    in_database("UPDATE history SET hash = '" + old + "'");
    start_service();
    ASSERT_TRUE(service->current());
    EXPECT_EQ(service->current()->hash, old);
    ASSERT_TRUE(soon([&] { return running_hash() == old; }));
    const auto edited = service->patch(R"([{"op": "remove", "id": "web-in"}])", {.if_match = old});
    ASSERT_TRUE(edited) << edited.error().detail;
    EXPECT_NE(edited->hash, old);
    EXPECT_EQ(service->current()->hash, edited->hash);
    must_put(text);
    EXPECT_EQ(service->current()->hash, hash);

    service.reset();
    in_database("UPDATE history SET hash = '" + std::string(64, 'a') + "'");
    start_service();
    EXPECT_FALSE(service->current()) << "its content is not what its name says";
}

TEST_F(PolicyServiceTest, PreconditionsAreAsked) {
    start_service();
    EXPECT_EQ(service->put(policy_text(kWebIn), PolicyFormat::yaml, {}).error().status, 428);
    EXPECT_EQ(put(policy_text(kWebIn), {.if_match = "abc"}).error().status, 412);
    must_put(policy_text(kWebIn));
    EXPECT_EQ(put(policy_text(kSshOut), {.if_none_match_any = true}).error().status, 412);
    EXPECT_EQ(put(policy_text(kSshOut), {.if_match = std::string(64, '0')}).error().status, 412);
    EXPECT_EQ(service->patch("[]", {}).error().status, 428);
}

// P9: writers who read the same version; exactly one wins, the others are told so.
TEST_F(PolicyServiceTest, OfWritersWithTheSameBaseOneWins) {
    start_service();
    const auto base = must_put(policy_text(kWebIn)).hash;
    std::atomic<int> won{0}, lost{0};
    std::vector<std::thread> writers;
    for (int w = 0; w < 6; ++w) {
        writers.emplace_back([&, w] {
            const auto rule = "  - {id: r" + std::to_string(w) + ", from: internet, to: web, action: deny}\n";
            const auto result = service->put(policy_text(rule), PolicyFormat::yaml, {.if_match = base});
            if (result) {
                ++won;
            } else {
                EXPECT_EQ(result.error().status, 412);
                ++lost;
            }
        });
    }
    for (auto& writer : writers) writer.join();
    EXPECT_EQ(won, 1);
    EXPECT_EQ(lost, 5);
    EXPECT_EQ(running_hash(), service->current()->hash);
}

TEST_F(PolicyServiceTest, TheSamePolicyIsNotPublishedAgain) {
    start_service();
    const auto first = must_put(policy_text(kWebIn));
    const auto again = must_put("# a comment\n" + policy_text(kWebIn));
    EXPECT_EQ(again.state, CommitState::unchanged);
    EXPECT_EQ(again.generation, first.generation);
    EXPECT_EQ(dataplane->offers(), 1U);
    EXPECT_TRUE(service->current()->text.starts_with("# a comment"));
    service.reset();
    start_service();
    EXPECT_TRUE(service->current()->text.starts_with("# a comment"));
}

TEST_F(PolicyServiceTest, ErrorsAndFailingTestsChangeNothing) {
    start_service();
    const auto before = must_put(policy_text(kWebIn));
    const auto broken = put(policy_text("  - {id: x, from: dzm, to: web, action: allow}\n"));
    ASSERT_FALSE(broken);
    EXPECT_EQ(broken.error().status, 422);
    EXPECT_EQ(broken.error().code, "invalid-policy");
    EXPECT_FALSE(broken.error().errors.empty());

    const auto failing = put(policy_text(
        kSshOut, "tests:\n  - {from: 198.51.100.7@internet, to: \"198.51.100.80@servers:443/tcp\", expect: allow}\n"));
    ASSERT_FALSE(failing);
    EXPECT_EQ(failing.error().code, "policy-tests-failed");
    ASSERT_EQ(failing.error().errors.size(), 1U);
    EXPECT_NE(failing.error().errors[0].detail.find("got deny by default"), std::string::npos)
        << failing.error().errors[0].detail;
    EXPECT_GT(failing.error().errors[0].pos.line, 1U);
    EXPECT_EQ(dataplane->offers(), 1U);
    EXPECT_EQ(service->current()->hash, before.hash);
}

TEST_F(PolicyServiceTest, PortsThatTheDataplaneDoesNotHaveAreErrorsOfThePolicy) {
    start_service();
    const auto before = must_put(policy_text(kWebIn));
    auto other = policy_text(kWebIn);
    other.replace(other.find("[inside]"), 8, "[nowhere]");
    const auto refused = put(other);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().status, 422);
    const auto& errors = refused.error().errors;
    ASSERT_EQ(errors.size(), 2U);
    EXPECT_EQ(errors[0].code, "port-without-zone");
    EXPECT_EQ(errors[1].code, "unknown-port");
    EXPECT_EQ(errors[1].pos.line, 6U);
    EXPECT_EQ(errors[1].detail, "the dataplane has no port \"nowhere\", it has outside, inside");
    EXPECT_EQ(dataplane->offers(), 1U);
    EXPECT_EQ(service->current()->hash, before.hash);
    EXPECT_EQ(audited("policy.put")->result, "refused");
    EXPECT_EQ(must_put(policy_text(kSshOut)).generation, 2U);  // no number is spent on it
    const auto plan = service->dry_run(other, PolicyFormat::yaml, {});
    ASSERT_TRUE(plan);
    EXPECT_FALSE(plan->ok);
    EXPECT_EQ(plan->errors.at(0).code, "port-without-zone");
}

// A6: the disk is full: 507, nothing offered, old files intact, and it works again when there is room.
TEST_F(PolicyServiceTest, A6_AFullDiskRefusesAndKeeps) {
    database_in_memory = true;
    start_service();
    const auto before = must_put(policy_text(kWebIn));
    fill_disk(true);
    const auto refused = put(policy_text(kSshOut));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().status, 507);
    EXPECT_EQ(dataplane->offers(), 1U);
    EXPECT_EQ(running_hash(), before.hash);
    fill_disk(false);
    EXPECT_EQ(service->current()->hash, before.hash);
    EXPECT_EQ(must_put(policy_text(kSshOut)).state, CommitState::adopted);
}

TEST_F(PolicyServiceTest, AStalledWorkerIsNamed) {
    start_service();
    dataplane->stall_workers(2);
    const auto result = must_put(policy_text(kWebIn));
    EXPECT_EQ(result.state, CommitState::stalled);
    EXPECT_EQ(result.stalled_workers, std::vector<std::string>{"worker 1"});
    EXPECT_EQ(service->current()->hash, result.hash);
}

// A slot is the name under which flows are told and counted: it passes to another rule when no flow is left under it.
TEST_F(PolicyServiceTest, ASlotPassesOnWhenTheFlowsOfItsRuleAreJudged) {
    const auto many = [](int first, int last) {
        std::string rules;
        for (int i = first; i < last; ++i) {
            rules += "  - {id: r" + std::to_string(i) + ", from: internet, to: web, service: tcp/" +
                     std::to_string(1'000 + i) + ", action: allow}\n";
        }
        return policy_text(rules);
    };
    start_service();
    const int room = 64 - static_cast<int>(abi::kSlotFirstFree);
    must_put(many(0, room));
    const auto fewer = must_put(many(1, room));
    auto& telemetry = dataplane->telemetry();
    telemetry.worker(0).generation.set(fewer.generation);
    const auto refused = [&] {
        const auto result = put(many(1, room + 1));
        return result ? "" : result.error().code + " " + std::to_string(result.error().status);
    };
    EXPECT_EQ(refused(), "rule-slots-rest 503") << "one worker has not switched";
    telemetry.worker(1).generation.set(fewer.generation);
    telemetry.worker(1).rejudge_left.set(1);
    EXPECT_EQ(refused(), "rule-slots-rest 503") << "its sweep is under way";
    EXPECT_EQ(dataplane->offers(), 2U);
    const auto plan = service->dry_run(many(1, room + 1), PolicyFormat::yaml, {});
    ASSERT_TRUE(plan);
    EXPECT_TRUE(plan->ok) << "that is a matter of moments";
    telemetry.worker(1).rejudge_left.set(0);
    EXPECT_EQ(refused(), "");
}

// ------------------------------------------------------------------------------------------------- commit-confirm, P10
TEST_F(PolicyServiceTest, AnUnconfirmedCommitIsNotCurrentUntilConfirmed) {
    start_service();
    const auto first = must_put(policy_text(kWebIn));
    const auto second = must_put(policy_text(kSshOut), {.confirm_within = 60s});
    EXPECT_EQ(second.state, CommitState::pending_confirmation);
    EXPECT_TRUE(second.confirm_deadline.has_value());
    EXPECT_EQ(service->current()->hash, first.hash);
    EXPECT_EQ(running_hash(), second.hash);
    EXPECT_EQ(put(policy_text(kTrial)).error().code, "confirmation-pending");
    EXPECT_EQ(service->confirm(second.generation + 1, {}).error().status, 409);

    const auto confirmed = service->confirm(second.generation, {});
    ASSERT_TRUE(confirmed) << confirmed.error().detail;
    EXPECT_EQ(service->current()->hash, second.hash);
    EXPECT_EQ(service->confirm(second.generation, {}).error().code, "nothing-to-confirm");
    EXPECT_TRUE(ready());
}

TEST_F(PolicyServiceTest, ARevertByTheDataplaneLeavesThePreviousPolicy) {
    start_service();
    const auto first = must_put(policy_text(kWebIn));
    const auto second = must_put(policy_text(kSshOut), {.confirm_within = 60s});
    dataplane->revert_by_deadline();
    ASSERT_TRUE(soon([&] { return service->confirm(second.generation, {}).error().code == "nothing-to-confirm"; }));
    ASSERT_TRUE(soon([&] { return ready(); }));
    EXPECT_EQ(service->current()->hash, first.hash);
    EXPECT_EQ(running_hash(), first.hash);
    EXPECT_EQ(dataplane->offers(), 2U) << "what it went back to is what we want: nothing to publish";
    EXPECT_EQ(service->status().source, "reverted");
    EXPECT_EQ(must_put(policy_text(kTrial)).generation, 3U);
}

TEST_F(PolicyServiceTest, TheControlPlaneDiesWhileAConfirmationIsDue) {
    start_service();
    const auto first = must_put(policy_text(kWebIn));
    const auto second = must_put(policy_text(kSshOut), {.confirm_within = 60s});
    service.reset();  // and comes back in time
    start_service();
    ASSERT_TRUE(soon([&] { return service->confirm(second.generation, {}).has_value(); }));
    EXPECT_EQ(service->current()->hash, second.hash);

    const auto third = must_put(policy_text(kTrial), {.confirm_within = 60s});
    service.reset();  // and comes back too late
    dataplane->revert_by_deadline();
    start_service();
    ASSERT_TRUE(soon([&] { return audited("policy.revert").has_value(); }));
    ASSERT_TRUE(soon([&] { return ready(); }));
    EXPECT_EQ(service->current()->hash, second.hash);
    EXPECT_FALSE(service->confirm(third.generation, {}));
    EXPECT_NE(first.hash, second.hash);
}

TEST_F(PolicyServiceTest, RollBackPendingAndRollBackCurrent) {
    start_service();
    const auto first = must_put(policy_text(kWebIn));
    const auto second = must_put(policy_text(kSshOut), {.confirm_within = 60s});
    const auto back = service->rollback(second.generation, {});
    ASSERT_TRUE(back) << back.error().detail;
    EXPECT_EQ(back->hash, first.hash);
    EXPECT_EQ(running_hash(), first.hash);

    const auto third = must_put(policy_text(kTrial));
    const auto again = service->rollback(third.generation, {});
    ASSERT_TRUE(again) << again.error().detail;
    EXPECT_EQ(again->hash, first.hash);
    EXPECT_EQ(service->current()->hash, first.hash);
    service.reset();
    start_service();
    EXPECT_EQ(service->current()->hash, first.hash);
    EXPECT_EQ(service->rollback(third.generation, {}).error().code, "nothing-to-roll-back");
}

// ------------------------------------------------------------------------------------------------------- reconciling
TEST_F(PolicyServiceTest, ADataplaneThatLostItsTablesGetsThemAgain) {
    start_service();
    const auto put_result = must_put(policy_text(kWebIn));
    dataplane.reset();
    ASSERT_TRUE(soon([&] { return !service->status().dataplane_connected; }));
    start_dataplane({}, 2);
    ASSERT_TRUE(soon([&] { return running_hash() == put_result.hash; }));
    EXPECT_EQ(running_generation(), 2U);
    ASSERT_TRUE(soon([&] { return ready() && service->current()->generation == 2; }));

    // One that kept them is left alone.
    auto kept = dataplane->state();
    dataplane.reset();
    start_dataplane(std::move(kept), 3);
    ASSERT_TRUE(soon([&] { return ready(); }));
    EXPECT_EQ(dataplane->offers(), 0U);
}

// A1: death between offer and answer. The dataplane took it or it did not; either way both agree afterwards.
TEST_F(PolicyServiceTest, AnIntentThatTheDataplaneRunsIsPromoted) {
    start_service();
    must_put(policy_text(kWebIn));
    const auto second = must_put(policy_text(kSshOut), {.confirm_within = 60s});
    service.reset();
    // Confirmed, but the confirmation's answer never reached the disk: exactly a death before promote.
    auto state = dataplane->state();
    state.process.confirm_deadline = {};
    dataplane.reset();
    start_dataplane(std::move(state));
    start_service();
    ASSERT_TRUE(soon([&] { return service->current()->hash == second.hash && ready(); }));
    EXPECT_EQ(dataplane->offers(), 0U);
}

TEST_F(PolicyServiceTest, AnOfferWithoutAnswerIsSettledAtTheNextHello) {
    start_service();
    const auto first = must_put(policy_text(kWebIn));
    dataplane->die_at_next_offer();
    const auto lost = put(policy_text(kSshOut));
    ASSERT_FALSE(lost);
    EXPECT_EQ(lost.error().code, "outcome-unknown");
    auto state = dataplane->state();
    dataplane.reset();
    start_dataplane(std::move(state), 2);
    ASSERT_TRUE(soon([&] { return audited("policy.discard").has_value(); }));
    ASSERT_TRUE(soon([&] { return ready(); }));
    EXPECT_EQ(service->current()->hash, first.hash);
    EXPECT_EQ(must_put(policy_text(kSshOut)).generation, 3U);
}

TEST_F(PolicyServiceTest, ADamagedStoreIsNamedAndReplaced) {
    start_service();
    must_put(policy_text(kWebIn));
    service.reset();
    in_database("DROP TRIGGER texts_are_not_changed");
    in_database("UPDATE texts SET body = x'00'");
    start_service();
    EXPECT_FALSE(service->current());
    const auto why = service->status().not_ready;
    EXPECT_TRUE(std::ranges::any_of(why, [](const auto& w) { return w.find("can't be read") != std::string::npos; }));
    EXPECT_EQ(must_put(policy_text(kSshOut)).generation, 2U);
    EXPECT_TRUE(soon([&] { return ready(); }));
}

// ---------------------------------------------------------------------------------------------------------- questions
TEST_F(PolicyServiceTest, PatchEditsByIdAndDryRunTellsWhatWouldChange) {
    start_service();
    const auto first = must_put(policy_text(kWebIn + kSshOut));
    const std::string edits =
        R"([{"op":"insert","before":"web-in","rule":{"id":"trial","from":"internet","to":"any","service":"tcp/5432",)"
        R"("action":"allow","mode":"observe"}},{"op":"remove","id":"ssh-closed"}])";
    const auto plan = service->dry_run_patch(edits, {});
    ASSERT_TRUE(plan) << plan.error().detail;
    EXPECT_TRUE(plan->ok);
    EXPECT_EQ(plan->rules_added, std::vector<std::string>{"trial"});
    EXPECT_EQ(plan->rules_removed, std::vector<std::string>{"ssh-closed"});
    EXPECT_TRUE(plan->rules_changed.empty());
    EXPECT_EQ(dataplane->offers(), 1U);

    const auto patched = service->patch(edits, {.if_match = first.hash});
    ASSERT_TRUE(patched) << patched.error().detail;
    EXPECT_EQ(patched->hash, plan->hash);
    const auto rules = service->rules();
    ASSERT_EQ(rules.size(), 6U);
    EXPECT_EQ(rules[0].id, "trial");
    EXPECT_EQ(rules[0].mode, "observe");
    EXPECT_EQ(rules[1].id, "web-in");
    EXPECT_EQ(rules[2].id, "default");
    EXPECT_EQ(rules[5].id, "builtin:other");
    EXPECT_EQ(rules[5].action, "deny");
}

}  // namespace
}  // namespace sluice::cp
