#include "tests/unit/controlplane/lifecycle/policy_service_rig.hpp"

namespace sluice::cp {
namespace {

class FreezeTest : public PolicyServiceTest {
protected:
    void freeze(std::chrono::nanoseconds from, std::chrono::nanoseconds until) {
        const auto now = UtcClock{}.utc_ns(abi::MonoTime::now());
        AuditRecord entry;
        entry.actor = "token:anna/1";
        entry.reason = "year's end";
        entry.action = "freeze.set";
        entry.result = "done";
        ASSERT_TRUE(service->freezes().set({.from_ns = now + from.count(), .until_ns = now + until.count()}, entry));
    }
    static CommitOptions glass() {
        return {.break_glass = true, .caller = {.actor = "token:bert/2", .reason = "INC-7"}};
    }
};

TEST_F(FreezeTest, RefusesChangesAndSaysWhoWantsItSo) {
    start_service();
    const auto first = must_put(policy_text(kWebIn));
    const auto second = must_put(policy_text(kTrial));
    freeze(-1s, 1h);
    const auto refused = put(policy_text(kSshOut));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().status, 409);
    EXPECT_EQ(refused.error().code, "change-freeze");
    EXPECT_NE(refused.error().detail.find("token:anna/1 froze them until "), std::string::npos);
    EXPECT_NE(refused.error().detail.find("year's end"), std::string::npos);
    const auto edits = R"([{"op": "remove", "id": "trial"}])";
    EXPECT_EQ(service->patch(edits, {.if_match = second.hash}).error().code, "change-freeze");
    EXPECT_EQ(service->restore(first.generation, {.if_match = second.hash}).error().code, "change-freeze");
    EXPECT_EQ(audited("policy.put")->result, "refused");
    EXPECT_EQ(running_hash(), second.hash);
    EXPECT_NE(service->metrics(false).find("sluice_change_frozen 1\n"), std::string::npos);
    service.reset();
    start_service();
    EXPECT_EQ(put(policy_text(kSshOut)).error().code, "change-freeze") << "a restart lifts nothing";
}

TEST_F(FreezeTest, LeavingWhatHarmsIsNoChange) {
    start_service();
    const auto first = must_put(policy_text(kWebIn));
    const auto waits = must_put(policy_text(kSshOut), {.confirm_within = 60s});
    freeze(-1s, 1h);
    ASSERT_TRUE(service->confirm(waits.generation, {}));
    ASSERT_TRUE(service->rollback(waits.generation, {}));
    EXPECT_EQ(running_hash(), first.hash);
}

TEST_F(FreezeTest, BrokenGlassIsSeenByEverybody) {
    start_service();
    must_put(policy_text(kWebIn));
    EXPECT_TRUE(put(policy_text(kTrial), glass()));
    EXPECT_FALSE(audited("freeze.broken")) << "there was none to break";
    freeze(-1s, 1h);
    const auto done = put(policy_text(kSshOut), glass());
    ASSERT_TRUE(done) << done.error().detail;
    const auto entry = audited("freeze.broken");
    ASSERT_TRUE(entry);
    EXPECT_EQ(entry->actor, "token:bert/2");
    EXPECT_EQ(entry->reason, "INC-7");
    EXPECT_NE(entry->detail.find("by policy.put; frozen until "), std::string::npos) << entry->detail;
    EXPECT_NE(service->metrics(false).find("sluice_freezes_broken_total 1\n"), std::string::npos);
}

TEST_F(FreezeTest, ItHoldsFromItsBeginningToItsEnd) {
    start_service();
    must_put(policy_text(kWebIn));
    freeze(1h, 2h);
    EXPECT_TRUE(put(policy_text(kTrial)));
    freeze(-2h, -1h);
    EXPECT_TRUE(put(policy_text(kSshOut)));
    EXPECT_NE(service->metrics(false).find("sluice_change_frozen 0\n"), std::string::npos);
}

}  // namespace
}  // namespace sluice::cp
