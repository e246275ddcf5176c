// Who changes the policy does not cut off the way by which he does it, unless he says so.
#include "controlplane/policy/address.hpp"
#include "tests/unit/controlplane/lifecycle/policy_service_rig.hpp"

namespace sluice::cp {
namespace {

const std::string kApiIn = "  - {id: api-in, from: internet, to: web, service: https, action: allow}\n";

class LockOutTest : public PolicyServiceTest {
protected:
    /// From outside to the web servers, behind which this one listens.
    static ClientPath path(std::uint16_t api_port = 443) {
        return {.family = abi::IpFamily::v4,
                .client = parse_address("203.0.113.7")->addr,
                .api = parse_address("198.51.100.80")->addr,
                .client_port = 40000,
                .api_port = api_port};
    }
    static CommitOptions from_outside(bool allow = false, std::uint16_t api_port = 443) {
        CommitOptions options;
        options.caller.allow_lock_out = allow;
        options.caller.path = path(api_port);
        return options;
    }
    /// The connection has a live flow, as one that passes through the dataplane has.
    void let_it_pass_through() { dataplane->set_flows({abi::FlowRecord{.family = abi::IpFamily::v4}}); }
};

TEST_F(LockOutTest, APolicyThatRefusesTheConnectionItCameByIsRefused) {
    start_service();
    const auto first = must_put(policy_text(kApiIn));
    let_it_pass_through();
    const auto refused = put(policy_text(kSshOut), from_outside());
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, "would-lock-out");
    EXPECT_EQ(refused.error().status, 409);
    EXPECT_NE(refused.error().detail.find("203.0.113.7 to 198.51.100.80 port 443"), std::string::npos)
        << refused.error().detail;
    EXPECT_EQ(running_hash(), first.hash);
    EXPECT_FALSE(put(policy_text(kSshOut),
                     [] {
                         auto options = from_outside();
                         options.confirm_within = 60s;
                         return options;
                     }()))
        << "who is cut off can't confirm";
    const auto forced = put(policy_text(kSshOut), from_outside(true));
    ASSERT_TRUE(forced) << forced.error().detail;
    EXPECT_EQ(running_hash(), forced->hash);
    EXPECT_NE(audited("policy.put")->detail.find("passes through this firewall"), std::string::npos);
}

TEST_F(LockOutTest, WhoComesByAnotherWayIsNotAsked) {
    start_service();
    must_put(policy_text(kApiIn));
    EXPECT_TRUE(put(policy_text(kSshOut), from_outside())) << "no flow: it does not pass through";
}

TEST_F(LockOutTest, OnlyWhatTheNewPolicyRefusesCounts) {
    start_service();
    must_put(policy_text(kApiIn));
    let_it_pass_through();
    EXPECT_TRUE(put(policy_text(kSshOut + kApiIn), from_outside())) << "still allowed";
    EXPECT_TRUE(put(policy_text(kApiIn + kTrial), from_outside(false, 444))) << "the old one did not allow that either";
    EXPECT_TRUE(put(policy_text(kSshOut))) << "nobody's connection: it was due, or comes from the same machine";
}

TEST_F(LockOutTest, APatchIsAskedToo) {
    start_service();
    const auto first = must_put(policy_text(kApiIn));
    let_it_pass_through();
    auto options = from_outside();
    options.if_match = first.hash;
    const auto refused = service->patch(R"([{"op": "remove", "id": "api-in"}])", options);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, "would-lock-out");
}

TEST_F(LockOutTest, APlanSaysSo) {
    start_service();
    must_put(policy_text(kApiIn));
    let_it_pass_through();
    const auto plan = service->dry_run(policy_text(kSshOut), PolicyFormat::yaml, {.caller = from_outside().caller});
    ASSERT_TRUE(plan);
    EXPECT_TRUE(plan->ok) << "it is a policy all the same";
    ASSERT_EQ(plan->warnings.size(), 1U);
    EXPECT_EQ(plan->warnings[0].code, "would-lock-out");
}

TEST_F(LockOutTest, NeitherItsAuthorNorWhoApprovesItIsCutOff) {
    start_service();
    const std::string approvals = "approvals: {needed: 1}\n";
    must_put(policy_text(kApiIn, approvals));
    auto sent = [](const char* who, bool outside) {
        auto options = outside ? from_outside() : CommitOptions{};
        options.caller.actor = who;
        return options;
    };
    let_it_pass_through();
    const auto refused = put(policy_text(kSshOut, approvals), sent("token:anna/1", true));
    ASSERT_FALSE(refused) << "it would wait, and cut off its author then";
    EXPECT_EQ(refused.error().code, "would-lock-out");
    const auto kept = put(policy_text(kSshOut, approvals), sent("token:anna/1", false));
    ASSERT_TRUE(kept) << kept.error().detail;
    ASSERT_TRUE(kept->change);
    auto bert = sent("token:bert/2", true).caller;
    const auto approved = service->approve_change(kept->change->id, bert, false);
    ASSERT_FALSE(approved);
    EXPECT_EQ(approved.error().code, "would-lock-out");
    EXPECT_EQ(service->change_view(kept->change->id)->change.state, ChangeState::pending) << "and may be approved yet";
    bert.allow_lock_out = true;
    const auto forced = service->approve_change(kept->change->id, bert, false);
    ASSERT_TRUE(forced) << forced.error().detail;
    EXPECT_EQ(forced->state, CommitState::adopted);
    EXPECT_NE(audited("change.approve")->detail.find("passes through this firewall"), std::string::npos);
}

TEST_F(LockOutTest, ToLeaveAPolicyIsAlwaysAllowed) {
    start_service();
    const std::string approvals = "approvals: {needed: 1}\n";
    must_put(policy_text(kSshOut, approvals));
    CommitOptions options;
    options.caller.actor = "token:anna/1";
    const auto kept = put(policy_text(kApiIn, approvals), options);
    ASSERT_TRUE(kept && kept->change);
    const auto let_in = service->approve_change(kept->change->id, {.actor = "token:bert/2"}, false);
    ASSERT_TRUE(let_in) << let_in.error().detail;
    let_it_pass_through();
    auto anna = from_outside().caller;
    anna.actor = "token:anna/1";
    const auto back = service->rollback(let_in->generation, anna);
    ASSERT_TRUE(back) << back.error().code << ": " << back.error().detail;
    ASSERT_TRUE(back->change) << "it waits for its approval";
    auto bert = anna;
    bert.actor = "token:bert/2";
    const auto left = service->approve_change(back->change->id, bert, false);
    EXPECT_TRUE(left) << left.error().code << ": " << left.error().detail;
}

TEST_F(LockOutTest, WhoIsOnTheMachineOfTheApiIsNotAsked) {
    start_service();
    must_put(policy_text(kApiIn));
    let_it_pass_through();
    for (const char* client : {"127.0.0.1", "198.51.100.80"}) {
        auto options = from_outside();
        options.caller.path->client = parse_address(client)->addr;
        if (std::string_view{client} == "127.0.0.1") options.caller.path->api = options.caller.path->client;
        EXPECT_TRUE(put(policy_text(kSshOut), options)) << client;
        must_put(policy_text(kApiIn));
    }
}

TEST_F(LockOutTest, AWorkerThatStandsStillMayHaveTheFlow) {
    start_service();
    must_put(policy_text(kApiIn));
    dataplane->stall_workers(1);
    const auto refused = put(policy_text(kSshOut), from_outside());
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().detail.find("could not say"), std::string::npos) << refused.error().detail;
}

TEST_F(LockOutTest, WhereNobodyCanTellItIsRefused) {
    start_service();
    must_put(policy_text(kApiIn));
    abi::FlowRecord unknown;  // of no family that there is: a page without flows, and more to come
    dataplane->set_flows({unknown, unknown});
    dataplane->stand_still_at_dumps();
    const auto refused = put(policy_text(kSshOut), from_outside());
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().detail.find("could not say"), std::string::npos) << refused.error().detail;
}

}  // namespace
}  // namespace sluice::cp
