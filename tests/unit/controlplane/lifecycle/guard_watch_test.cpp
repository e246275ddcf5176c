#include "tests/unit/controlplane/lifecycle/policy_service_rig.hpp"

namespace sluice::cp {
namespace {

class GuardWatchTest : public PolicyServiceTest {
protected:
    /// So many packets more at the first port, some of them denied.
    void pass(std::uint64_t packets, std::uint64_t denied) {
        auto& port = dataplane->telemetry().worker(0).ports[0];
        port.rx_packets.add(packets);
        port.drops[static_cast<std::size_t>(abi::DropReason::policy_deny)].add(denied);
    }
};

TEST_F(GuardWatchTest, LeavesACommitUnderWhichMoreIsDroppedAndSaysWhy) {
    start_service();
    const auto first = must_put(policy_text(kWebIn));
    pass(10'000, 1'000);
    const auto second = must_put(policy_text(kSshOut), {.confirm_within = 60s, .guard = *parse_guard("drop-rate=20")});
    EXPECT_EQ(running_hash(), second.hash);
    pass(1'000, 900);
    ASSERT_TRUE(soon([&] { return running_hash() == first.hash; }));
    ASSERT_TRUE(soon([&] { return audited("policy.guard").has_value(); }));
    const auto entry = audited("policy.guard");
    EXPECT_EQ(entry->actor, "system");
    EXPECT_EQ(entry->result, "done");
    EXPECT_NE(entry->detail.find(" to 90.0 %, more than 20.0 points"), std::string::npos) << entry->detail;
    EXPECT_EQ(entry->before.hash, second.hash);
    EXPECT_EQ(entry->after.hash, first.hash);
    const auto late = service->confirm(second.generation, {});
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().code, "left-by-guard");
    EXPECT_NE(late.error().detail.find(entry->detail), std::string::npos);
    EXPECT_NE(service->metrics(false).find("sluice_publishes_total{result=\"guarded\"} 1\n"), std::string::npos);
    EXPECT_TRUE(soon([&] { return ready(); }));
    EXPECT_TRUE(put(policy_text(kTrial))) << "and goes on";
}

TEST_F(GuardWatchTest, AControlPlaneThatStartsAgainGoesOnWatching) {
    start_service();
    const auto first = must_put(policy_text(kWebIn));
    pass(10'000, 8'000);
    const auto second = must_put(policy_text(kSshOut), {.confirm_within = 60s, .guard = *parse_guard("drop-rate=15")});
    EXPECT_EQ(service->status().guard, "drop-rate=15");
    service.reset();
    start_service();
    ASSERT_TRUE(soon([&] { return service->status().guard == "drop-rate=15"; }));
    const auto view = service->commit_view(second.generation);
    ASSERT_TRUE(view);
    EXPECT_EQ(view->standing, CommitStanding::pending_confirmation);
    EXPECT_EQ(view->guard, "drop-rate=15");
    pass(10'000, 9'000);  // ten points worse than before it
    std::this_thread::sleep_for(2500ms);
    EXPECT_EQ(running_hash(), second.hash) << "it knows what was before";
    pass(10'000, 10'000);
    ASSERT_TRUE(soon([&] { return running_hash() == first.hash; }));
    ASSERT_TRUE(
        soon([&] { return service->commit_view(second.generation)->standing == CommitStanding::left_by_guard; }));
    EXPECT_EQ(service->status().guard, "");
}

TEST_F(GuardWatchTest, FlowsThatALimitRefusesAreRefusedToo) {
    start_service();
    const auto first = must_put(policy_text(kWebIn));
    const auto second =
        must_put(policy_text(kSshOut), {.confirm_within = 60s, .guard = *parse_guard("refused-flows=20")});
    ASSERT_EQ(second.warnings.size(), 1U) << "nothing has passed before it";
    EXPECT_EQ(second.warnings[0].code, "guard-before-unknown");
    dataplane->telemetry().worker(0).ports[0].drops[static_cast<std::size_t>(abi::DropReason::rate_limit)].add(100);
    ASSERT_TRUE(soon([&] { return running_hash() == first.hash; }));
}

TEST_F(GuardWatchTest, ConnectionsThatComeToNothingAreWatched) {
    start_service();
    const auto first = must_put(policy_text(kWebIn));
    const auto second =
        must_put(policy_text(kSshOut), {.confirm_within = 60s, .guard = *parse_guard("failed-handshakes=50")});
    auto& worker = dataplane->telemetry().worker(0);
    worker.tcp_handshakes.add(40);
    worker.tcp_handshakes_failed.add(60);
    ASSERT_TRUE(soon([&] { return running_hash() == first.hash; }));
    ASSERT_TRUE(soon([&] { return audited("policy.guard").has_value(); }));
    EXPECT_NE(audited("policy.guard")->detail.find("failed-handshakes went from 0.0 % to 60.0 %"), std::string::npos);
    EXPECT_NE(service->metrics(false).find("sluice_tcp_handshakes_total{result=\"failed\"} 60\n"), std::string::npos);
    EXPECT_EQ(second.state, CommitState::pending_confirmation);
}

TEST_F(GuardWatchTest, ACommitThatIsConfirmedIsNotWatchedAnyMore) {
    start_service();
    must_put(policy_text(kWebIn));
    const auto second = must_put(policy_text(kSshOut), {.confirm_within = 60s, .guard = *parse_guard("drop-rate=20")});
    ASSERT_TRUE(service->confirm(second.generation, {}));
    pass(1'000, 1'000);
    std::this_thread::sleep_for(2500ms);  // two looks of the keeper
    EXPECT_EQ(running_hash(), second.hash);
    EXPECT_FALSE(audited("policy.guard"));
}

TEST_F(GuardWatchTest, WithoutAGuardNothingIsLeft) {
    start_service();
    must_put(policy_text(kWebIn));
    const auto second = must_put(policy_text(kSshOut), {.confirm_within = 60s});
    pass(1'000, 1'000);
    std::this_thread::sleep_for(2500ms);
    EXPECT_EQ(running_hash(), second.hash);
}

}  // namespace
}  // namespace sluice::cp
