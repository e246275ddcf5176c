#include "tests/unit/controlplane/lifecycle/policy_service_rig.hpp"

namespace sluice::cp {
namespace {

class DraftsTest : public PolicyServiceTest {
protected:
    Expected<DraftSaved, Problem> save(const std::string& text, std::optional<std::uint64_t> base = {},
                                       PolicyFormat format = PolicyFormat::yaml) {
        return service->save_draft({.name = "web",
                                    .body = text,
                                    .format = format,
                                    .base = base,
                                    .caller = {.actor = "token:anna/1", .reason = "CHG-1"}});
    }
    Expected<CommitResult, Problem> apply(CommitOptions options = {}, const std::string& hash = {}) {
        const auto now = service->current();
        if (!now) options.if_none_match_any = true;
        if (now && !options.if_match) options.if_match = now->hash;
        return service->apply_draft("web", hash, options);
    }
};

TEST_F(DraftsTest, IsKeptAndChangesNothing) {
    start_service();
    const auto first = must_put(policy_text(kWebIn));
    const auto saved = save(policy_text(kWebIn, kSshOut));
    ASSERT_TRUE(saved) << saved.error().detail;
    EXPECT_TRUE(saved->errors.empty());
    EXPECT_EQ(saved->draft.base.hash, first.hash);
    EXPECT_EQ(saved->draft.base.generation, first.generation);
    EXPECT_EQ(saved->draft.base.version, first.version);
    EXPECT_EQ(running_hash(), first.hash);
    const auto entry = audited("draft.save");
    ASSERT_TRUE(entry);
    EXPECT_EQ(entry->actor, "token:anna/1");
    EXPECT_EQ(entry->before.generation, first.generation);
    EXPECT_EQ(entry->detail,
              "draft web, " + saved->draft.version + ", over generation " + std::to_string(first.generation));
    service.reset();
    start_service();
    const auto found = *service->drafts().find("web");
    ASSERT_TRUE(found);
    EXPECT_EQ(found->text, policy_text(kWebIn, kSshOut));
    const auto done = apply();
    ASSERT_TRUE(done) << done.error().detail;
    EXPECT_EQ(done->hash, saved->draft.hash);
    EXPECT_EQ(done->version, saved->draft.version);
    EXPECT_EQ(running_hash(), saved->draft.hash);
    EXPECT_EQ(audited("policy.draft")->result, "adopted");
    EXPECT_EQ(audited("policy.draft")->detail, "draft web");
    EXPECT_TRUE(*service->drafts().find("web")) << "it stays";
}

TEST_F(DraftsTest, ErrorsAreToldWithTheirPlacesAndKept) {
    start_service();
    must_put(policy_text(kWebIn));
    const auto saved = save(policy_text("  - {id: a, from: internat, to: web, action: allow}\n"));
    ASSERT_TRUE(saved);
    ASSERT_EQ(saved->errors.size(), 1U);
    EXPECT_EQ(saved->errors[0].pos.line, 10U);
    EXPECT_EQ(saved->errors[0].pos.column, 19U);
    EXPECT_EQ(saved->draft.errors, 1U);
    EXPECT_EQ(saved->draft.hash, "");
    const auto refused = apply();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, "invalid-policy");
    EXPECT_EQ(refused.error().errors.at(0).pos.line, 10U);
    EXPECT_EQ(audited("policy.draft")->result, "refused");
}

TEST_F(DraftsTest, WhatCannotBeReadIsNotKept) {
    start_service();
    ASSERT_TRUE(save(policy_text(kWebIn)));
    const auto yaml = save("sluice: 1\nrules: [\n");
    ASSERT_FALSE(yaml);
    EXPECT_EQ(yaml.error().status, 422);
    EXPECT_GE(yaml.error().errors.at(0).pos.line, 2U);
    EXPECT_FALSE(save(R"({"sluice": 1)", {}, PolicyFormat::json));
    EXPECT_EQ((*service->drafts().find("web"))->text, policy_text(kWebIn));
}

TEST_F(DraftsTest, IsRefusedOnceItsBaseIsNotInForceAndToldWhatChanged) {
    start_service();
    const auto first = must_put(policy_text(kWebIn));
    ASSERT_TRUE(save(policy_text(kWebIn, kTrial)));
    must_put(policy_text(kWebIn, kSshOut), {.caller = {.actor = "token:bert/2", .reason = "INC-7"}});
    const auto refused = apply();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().status, 409);
    EXPECT_EQ(refused.error().code, "base-not-current");
    EXPECT_NE(refused.error().detail.find("generation " + std::to_string(first.generation)), std::string::npos);
    EXPECT_NE(refused.error().detail.find("by token:bert/2: INC-7"), std::string::npos) << refused.error().detail;
    ASSERT_EQ(refused.error().errors.size(), 1U);
    EXPECT_EQ(refused.error().errors[0].detail.find("add rule ssh-closed"), 0U) << refused.error().errors[0].detail;
    // Saved again it keeps its base, unless told.
    ASSERT_TRUE(save(policy_text(kWebIn, kSshOut + kTrial)));
    EXPECT_EQ(apply().error().code, "base-not-current");
    ASSERT_TRUE(save(policy_text(kWebIn, kSshOut + kTrial), 0));
    EXPECT_TRUE(apply());
}

TEST_F(DraftsTest, ABaseIsAGenerationOfTheHistory) {
    start_service();
    const auto first = must_put(policy_text(kWebIn));
    must_put(policy_text(kWebIn, kSshOut));
    EXPECT_EQ(save(policy_text(kTrial), first.generation)->draft.base.hash, first.hash);
    EXPECT_EQ(apply().error().code, "base-not-current");
    EXPECT_EQ(save(policy_text(kTrial), 999).error().code, "no-such-generation");
    // The same policy again is the same base, whatever its number.
    must_put(policy_text(kWebIn));
    EXPECT_TRUE(apply());
}

TEST_F(DraftsTest, TheFirstPolicyMayComeFromADraft) {
    start_service();
    const auto saved = save(policy_text(kWebIn));
    ASSERT_TRUE(saved);
    EXPECT_EQ(saved->draft.base.hash, "");
    ASSERT_TRUE(apply());
    ASSERT_TRUE(save(policy_text(kWebIn, kSshOut)));
    const auto refused = apply();
    ASSERT_FALSE(refused) << "it was written when there was none";
    EXPECT_EQ(refused.error().code, "base-not-current");
}

TEST_F(DraftsTest, IsHeldToThePlanThatWasLookedAt) {
    start_service();
    must_put(policy_text(kWebIn));
    const auto planned = save(policy_text(kTrial))->draft.hash;
    const auto other = save(policy_text(kSshOut))->draft.hash;
    const auto refused = apply({}, planned);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().status, 412);
    EXPECT_EQ(refused.error().code, "draft-changed");
    EXPECT_TRUE(apply({}, other));
    EXPECT_EQ(service->apply_draft("none", "", {.if_match = other}).error().code, "no-such-draft");
}

TEST_F(DraftsTest, MeetsWhatEveryChangeMeets) {
    start_service();
    must_put(policy_text(kWebIn));
    ASSERT_TRUE(save(policy_text(kSshOut)));
    EXPECT_EQ(service->apply_draft("web", "", {}).error().status, 428);
    EXPECT_EQ(apply({.if_match = std::string(64, '0')}).error().code, "policy-changed");
    const auto now = UtcClock{}.utc_ns(abi::MonoTime::now());
    AuditRecord freeze;
    freeze.action = "freeze.set";
    ASSERT_TRUE(service->freezes().set({.from_ns = now - 1, .until_ns = now + 3'600'000'000'000}, freeze));
    EXPECT_EQ(apply().error().code, "change-freeze");
    ASSERT_TRUE(*service->freezes().lift(freeze));
    const auto waits = apply({.confirm_within = 60s});
    ASSERT_TRUE(waits);
    EXPECT_EQ(waits->state, CommitState::pending_confirmation);
    EXPECT_EQ(apply().error().code, "confirmation-pending");
}

TEST_F(DraftsTest, AFullDiskIsSaid) {
    database_in_memory = true;
    start_service();
    ASSERT_TRUE(save(policy_text(kWebIn)));
    fill_disk(true);
    const auto refused = save(policy_text(kSshOut));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().status, 507);
    fill_disk(false);
    EXPECT_EQ((*service->drafts().find("web"))->text, policy_text(kWebIn));
}

}  // namespace
}  // namespace sluice::cp
