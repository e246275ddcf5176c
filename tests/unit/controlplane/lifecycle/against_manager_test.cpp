/// The policy service against the dataplane's own manager in one process: real sockets, real memfds, the real
/// validator, the real switch and its deadlines. Only packets are missing.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "controlplane/lifecycle/policy_service_impl.hpp"
#include "controlplane/policy/sha256.hpp"
#include "tests/unit/dataplane/manager/rig.hpp"

namespace sluice::cp {
namespace {

using namespace std::chrono_literals;
using test::eventually;

std::string policy_text(const std::string& action, const std::string& inside = "p1") {
    return "sluice: 1\nname: edge\ndefault: {action: deny}\n"
           "zones:\n  outside: {ports: [p0]}\n  inside: {ports: [" +
           inside + "]}\nrules:\n  - {id: web-in, from: outside, to: 198.51.100.80, service: https, action: " + action +
           "}\n";
}

class AgainstManager : public testing::Test {
protected:
    void start_dataplane(test::Rig::Options options = {}) { rig = std::make_unique<test::Rig>(std::move(options)); }
    void start_service() {
        service.reset();
        ControlConfig config;
        config.state_dir = dir.path("state");
        config.tables_socket = rig->socket();
        config.last_good = dir.path("last-good");
        config.flow_log_path = dir.path("flows.jsonl");
        auto opened = PolicyServiceImpl::open(config, service_options);
        ASSERT_TRUE(opened) << opened.error();
        service = std::move(*opened);
        service->start();
        // Publisher, and reconciled: then a policy that is stored is in force or its trouble is told.
        ASSERT_TRUE(eventually([&] {
            const auto s = service->status();
            return s.dataplane_connected &&
                   (s.not_ready.empty() || s.not_ready == std::vector<std::string>{"no policy has been put yet"});
        })) << service->status().not_ready.front();
    }
    Expected<CommitResult, Problem> put(const std::string& text,
                                        std::optional<std::chrono::milliseconds> confirm = {}) {
        CommitOptions options;
        options.confirm_within = confirm;
        if (const auto now = service->current()) {
            options.if_match = now->hash;
        } else {
            options.if_none_match_any = true;
        }
        return service->put(text, PolicyFormat::yaml, options);
    }
    std::string running() { return service->status().running_hash; }

    ServiceOptions service_options;
    test::TempDir dir;
    std::unique_ptr<test::Rig> rig;
    std::unique_ptr<PolicyServiceImpl> service;
};

TEST_F(AgainstManager, EveryWorkerRunsWhatWasPut) {
    start_dataplane();
    start_service();
    const auto first = put(policy_text("allow"));
    ASSERT_TRUE(first) << first.error().detail;
    EXPECT_EQ(first->state, CommitState::adopted);
    for (const auto& worker : rig->workers) EXPECT_EQ(worker->generation, first->generation);
    EXPECT_EQ(running(), first->hash);

    // Only the rules section differs: the others keep their mapping, and the answer is the same.
    const auto second = put(policy_text("reject"));
    ASSERT_TRUE(second) << second.error().detail;
    for (const auto& worker : rig->workers) EXPECT_EQ(worker->generation, second->generation);

    const auto refused = put(policy_text("allow", "p7"));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().status, 422) << refused.error().detail;
    EXPECT_EQ(running(), second->hash);
    EXPECT_EQ(service->current()->hash, second->hash);
    EXPECT_EQ(service->metrics(false).find("sluice_generations_total{result=\"refused\"} 1\n"),
              std::string::npos);  // it was never offered
}

// What a PATCH compiles beside the tables becomes part of them, and nobody who asks for generations sees a difference.
TEST_F(AgainstManager, EditsThatRestAreCompiledIntoTheTables) {
    start_dataplane();
    start_service();
    const auto first = put(policy_text("allow"));
    ASSERT_TRUE(first) << first.error().detail;
    CommitOptions options;
    options.if_match = first->hash;
    const auto edited = service->patch(
        R"([{"op": "insert", "rule": {"id": "ssh", "from": "outside", "to": "any", "service": "ssh", "action": "deny"}}])",
        options);
    ASSERT_TRUE(edited) << edited.error().detail;
    const auto counts = [&](const std::string& line) {
        return service->metrics(false).find(line + "\n") != std::string::npos;
    };
    EXPECT_TRUE(counts("sluice_overlay_rules 1"));
    EXPECT_TRUE(counts("sluice_overlays_folded_total 0"));
    const auto history = service->history(10, {})->adoptions.size();
    ASSERT_TRUE(eventually([&] { return counts("sluice_overlays_folded_total 1"); }));
    EXPECT_TRUE(counts("sluice_overlay_rules 0"));
    for (const auto& worker : rig->workers) EXPECT_EQ(worker->generation, edited->generation);
    const auto status = service->status();
    EXPECT_EQ(status.running_generation, edited->generation);
    EXPECT_TRUE(status.in_sync);
    EXPECT_EQ(service->current()->hash, edited->hash);
    EXPECT_EQ(service->history(10, {})->adoptions.size(), history);

    // A control plane that starts now finds what it would have compiled; and the way back is still there.
    start_service();
    EXPECT_EQ(service->status().running_generation, edited->generation);
    ASSERT_TRUE(service->rollback(edited->generation, {}));
    EXPECT_EQ(running(), first->hash);
}

// A policy in its author's own words is written out before anybody edits it: then even its first edit is a short row,
// and both texts are what they were.
class FirstEditOfAPolicy : public AgainstManager {
protected:
    void SetUp() override {
        AgainstManager::SetUp();
        service_options.spelled_with_put_bytes = 1;
        text = policy_text("allow") + "  # in my own words\n";
        for (int i = 0; i < 400; ++i)
            text += "  - {id: more-" + std::to_string(i) + ",   from: outside, to: any, service: tcp/" +
                    std::to_string(1000 + i) + ", action: deny}\n";
        start_dataplane();
        start_service();
    }
    void edit_and_look() {
        const std::string hash = service->current()->hash;
        EXPECT_EQ(service->current()->text, text) << "whoever reads it gets what was sent";
        CommitOptions options;
        options.if_match = hash;
        const auto edited = service->patch(R"([{"op": "remove", "id": "more-7"}])", options);
        ASSERT_TRUE(edited) << edited.error().detail;
        const std::string words = service->current()->text;
        EXPECT_EQ(words.find("own words"), std::string::npos);
        service.reset();
        expect_one_short_edit();
        start_service();
        EXPECT_EQ(service->current()->text, words);
        EXPECT_EQ(service->current()->hash, edited->hash);
        ASSERT_TRUE(service->rollback(edited->generation, {}));
        ASSERT_TRUE(eventually([&] { return service->current()->hash == hash; }));
        EXPECT_EQ(service->current()->text, text);
    }
    bool counts(const std::string& line) { return service->metrics(false).find(line + "\n") != std::string::npos; }

    std::string text;

private:
    void expect_one_short_edit() {
        auto store = Database::open(dir.path("state") + "/state.db", nullptr);
        ASSERT_TRUE(store);
        const auto lock = (*store)->lock();
        std::int64_t edits = -1, longest = -1;
        ASSERT_TRUE((*store)->run("SELECT count(*), max(length(body)) FROM texts JOIN text_bases USING(digest)", {},
                                  [&](const SqlRow& row) {
                                      edits = row.integer(0);
                                      longest = row.integer(1);
                                  }));
        EXPECT_EQ(edits, 1);
        EXPECT_LT(longest, 300);
    }
};

TEST_F(FirstEditOfAPolicy, IsKeptAsAnEditRightBehindThePut) {
    ASSERT_TRUE(put(text));
    edit_and_look();
}

TEST_F(FirstEditOfAPolicy, OfASmallOneIsPreparedOnceItRests) {
    service_options.spelled_with_put_bytes = text.size() + 1;
    start_service();
    ASSERT_TRUE(put(text));
    EXPECT_TRUE(counts("sluice_policy_texts_spelled_total 0"));
    ASSERT_TRUE(eventually([&] { return counts("sluice_policy_texts_spelled_total 1"); }));
    edit_and_look();
}

TEST_F(FirstEditOfAPolicy, IsKeptAsAnEditOfOneThatWasConfirmed) {
    ASSERT_TRUE(put(policy_text("reject")));
    const auto waits = put(text, 60s);
    ASSERT_TRUE(waits);
    ASSERT_TRUE(service->confirm(waits->generation, {}));
    edit_and_look();
}

TEST_F(FirstEditOfAPolicy, IsKeptAsAnEditWhenTheControlPlaneHasStartedSince) {
    ASSERT_TRUE(put(text));
    start_service();
    ASSERT_TRUE(eventually([&] { return counts("sluice_policy_texts_spelled_total 1"); }));
    edit_and_look();
}

// P10: the dataplane keeps the deadline, with the control plane there and with it dead.
TEST_F(AgainstManager, AnUnconfirmedPolicyIsLeftAtTheDeadline) {
    start_dataplane();
    start_service();
    const auto first = put(policy_text("allow"));
    ASSERT_TRUE(first) << first.error().detail;
    ASSERT_EQ(put(policy_text("reject"), 60s)->state, CommitState::pending_confirmation);
    rig->advance(61s);
    ASSERT_TRUE(eventually([&] { return running() == first->hash; }));
    EXPECT_EQ(service->current()->hash, first->hash);
    EXPECT_EQ(service->status().source, "reverted");

    const auto third = put(policy_text("deny"), 60s);
    ASSERT_TRUE(third) << third.error().detail;
    service.reset();
    rig->advance(61s);
    start_service();
    ASSERT_TRUE(eventually([&] { return running() == first->hash; }));
    EXPECT_EQ(service->current()->hash, first->hash);
    EXPECT_EQ(service->confirm(third->generation, {}).error().status, 409);

    const auto fourth = put(policy_text("pass"), 60s);
    ASSERT_TRUE(fourth) << fourth.error().detail;
    ASSERT_TRUE(service->confirm(fourth->generation, {}));
    rig->advance(61s);
    service.reset();
    start_service();
    EXPECT_EQ(service->current()->hash, fourth->hash);
    EXPECT_EQ(running(), fourth->hash);
}

// What the dataplane runs and where it came from is told as it is now, not as it was at the last hello.
TEST_F(AgainstManager, TheStatusSaysWhereTheTablesCameFrom) {
    start_dataplane();
    start_service();
    EXPECT_EQ(service->status().source, "none");
    const auto first = put(policy_text("allow"));
    ASSERT_TRUE(first) << first.error().detail;
    EXPECT_EQ(service->status().source, "publisher");
    EXPECT_EQ(service->status().running_generation, first->generation);
    EXPECT_EQ(running(), first->hash);

    const auto second = put(policy_text("reject"), 60s);
    ASSERT_TRUE(second) << second.error().detail;
    EXPECT_TRUE(service->status().confirm_deadline);
    ASSERT_TRUE(service->confirm(second->generation, {}));
    EXPECT_FALSE(service->status().confirm_deadline);
    EXPECT_EQ(service->status().source, "publisher");

    ASSERT_TRUE(service->rollback(second->generation, {}));
    EXPECT_EQ(service->status().source, "reverted");
    EXPECT_EQ(service->status().running_generation, first->generation);
    EXPECT_EQ(running(), first->hash);

    const auto third = put(policy_text("deny"), 60s);
    ASSERT_TRUE(third) << third.error().detail;
    EXPECT_EQ(service->status().source, "publisher");
    ASSERT_TRUE(service->rollback(third->generation, {}));
    EXPECT_EQ(service->status().source, "reverted");
    EXPECT_FALSE(service->status().confirm_deadline);
}

TEST_F(AgainstManager, RollBackOfWhatIsConfirmed) {
    start_dataplane();
    start_service();
    const auto first = put(policy_text("allow"));
    const auto second = put(policy_text("reject"));
    ASSERT_TRUE(second);
    const auto back = service->rollback(second->generation, {});
    ASSERT_TRUE(back) << back.error().detail;
    EXPECT_EQ(back->hash, first->hash);
    EXPECT_TRUE(eventually([&] { return running() == first->hash && service->status().in_sync; }));
}

// A dataplane that starts cold takes the last-good file that the control plane wrote; nothing need be published.
TEST_F(AgainstManager, ColdStartFromTheLastGoodFile) {
    start_dataplane();
    start_service();
    const auto first = put(policy_text("allow"));
    ASSERT_TRUE(first) << first.error().detail;
    // For a dataplane under another user that is in the directory's group; S6: nobody else may write it.
    struct stat st {};
    ASSERT_TRUE(eventually([&] { return ::stat(dir.path("last-good/generation.slu").c_str(), &st) == 0; }));
    EXPECT_EQ(st.st_mode & 07777, 0640U);
    service.reset();
    rig.reset();
    start_dataplane({.last_good = dir.path("last-good")});
    start_service();
    const auto status = service->status();
    EXPECT_EQ(status.source, "last_good");
    EXPECT_EQ(status.running_generation, first->generation);
    EXPECT_TRUE(status.in_sync);
}

TEST_F(AgainstManager, AColdDataplaneWithoutAFileGetsThePolicyAgain) {
    start_dataplane();
    start_service();
    const auto first = put(policy_text("allow"));
    ASSERT_TRUE(first) << first.error().detail;
    service.reset();
    rig.reset();
    start_dataplane();
    start_service();
    ASSERT_TRUE(eventually([&] { return running() == first->hash; }));
    EXPECT_TRUE(eventually([&] { return service->status().generation == 2 && service->status().in_sync; }));
}

TEST_F(AgainstManager, AStalledWorkerIsNamedAndThePolicyHolds) {
    start_dataplane();
    start_service();
    ASSERT_TRUE(put(policy_text("allow")));
    rig->workers[1]->stall = true;
    const auto result = put(policy_text("reject"));
    ASSERT_TRUE(result) << result.error().detail;
    EXPECT_EQ(result->state, CommitState::stalled);
    EXPECT_EQ(result->stalled_workers, std::vector<std::string>{"worker 1"});
    EXPECT_EQ(rig->workers[0]->generation, result->generation);
    rig->workers[1]->stall = false;
    EXPECT_TRUE(eventually([&] { return rig->workers[1]->generation == result->generation; }));
}

Prefix address(std::string_view text) { return test::prefix(text); }

std::string policy_with_set() {
    return "sluice: 1\nname: edge\ndefault: {action: deny}\n"
           "zones:\n  outside: {ports: [p0]}\n  inside: {ports: [p1]}\n"
           "sets:\n  blocked: {members: api, max_ips: 3}\n"
           "rules:\n  - {id: no, from: blocked, to: any, action: reject}\n"
           "  - {id: web-in, from: outside, to: any, service: https, action: allow}\n";
}

TEST_F(AgainstManager, MembersOfSetsAreInForceWhenTheCallReturnsAndAfterEitherDies) {
    const auto memory = std::make_shared<dp::SetMemory>(std::move(dp::SetMemory::open({}, 1024).value()));
    start_dataplane({.sets = memory});
    start_service();
    ASSERT_TRUE(put(policy_with_set()));
    const auto change = [&](SetEdit edit, std::vector<SetMemberEdit> members,
                            std::optional<std::string> if_match = {}) {
        return service->change_set(
            {.name = "blocked", .edit = edit, .members = std::move(members), .if_match = if_match});
    };
    const auto decides = [&](std::string_view src) {
        const auto key = test::address(src);
        const auto dst = test::address("198.51.100.80");
        const auto said = service->explain({"p0", abi::IpFamily::v4, key, dst, abi::L4Proto::tcp, 40000, 443});
        return said ? said->rule : said.error().detail;
    };
    const auto added = change(SetEdit::add, {{address("192.0.2.1")}, {address("203.0.113.0/24")}});
    ASSERT_TRUE(added) << added.error().detail;
    EXPECT_TRUE(added->enforced) << added->trouble;
    EXPECT_EQ(added->added, 2U);
    EXPECT_EQ(decides("192.0.2.1"), "no");
    EXPECT_EQ(decides("203.0.113.9"), "no");
    EXPECT_EQ(decides("192.0.2.2"), "web-in");
    EXPECT_EQ(change(SetEdit::add, {{address("10.0.0.1")}, {address("10.0.0.2")}}).error().code, "set-full");
    EXPECT_EQ(change(SetEdit::replace, {}, "s0").error().status, 412);
    EXPECT_EQ(
        service->change_set({.name = "other", .edit = SetEdit::add, .members = {{address("10.0.0.1")}}}).error().status,
        404);

    rig.reset();  // the next process has the same memory: nothing is sent to it
    start_dataplane({.sets = memory});
    start_service();
    EXPECT_TRUE(eventually([&] { return service->set_members("blocked", 10, "")->members.front().hits.has_value(); }));
    rig.reset();  // and one without any is sent everything
    start_dataplane();
    start_service();
    const auto page = service->set_members("blocked", 10, "");
    ASSERT_TRUE(page);
    ASSERT_EQ(page->members.size(), 2U);
    for (const auto& m : page->members) EXPECT_TRUE(m.hits.has_value());
    const auto replaced = change(SetEdit::replace, {{address("192.0.2.2"), 3600}});
    ASSERT_TRUE(replaced && replaced->enforced);
    EXPECT_EQ(decides("192.0.2.1"), "web-in");
    EXPECT_EQ(decides("192.0.2.2"), "no");

    rig->workers[0]->stall = true;
    const auto stalled = change(SetEdit::remove, {{address("192.0.2.2")}});
    ASSERT_TRUE(stalled);
    EXPECT_FALSE(stalled->enforced);
    rig->workers[0]->stall = false;
    rig.reset();  // no dataplane: it is stored
    ASSERT_TRUE(eventually([&] { return !service->status().dataplane_connected; }));
    const auto alone = change(SetEdit::add, {{address("10.0.0.1")}});
    ASSERT_TRUE(alone);
    EXPECT_FALSE(alone->enforced);
    start_dataplane();
    start_service();
    EXPECT_EQ(decides("10.0.0.1"), "no");
    EXPECT_TRUE(eventually([&] { return service->set_members("blocked", 10, "")->members.front().hits.has_value(); }));
}

TEST_F(AgainstManager, ASetRefusesItsMembersWhereARuleThatIsEnforcedDoes) {
    start_dataplane({.sets = std::make_shared<dp::SetMemory>(std::move(dp::SetMemory::open({}, 1024).value()))});
    start_service();
    const std::string rule = "action: reject}\n";
    const auto refuses = [&](const std::string& now) {
        auto text = policy_with_set();
        EXPECT_TRUE(put(text.replace(text.find(rule), rule.size(), now)));
        return service->sets().front().refuses;
    };
    EXPECT_TRUE(refuses(rule));
    EXPECT_FALSE(refuses("action: reject, mode: observe}\n"));
    EXPECT_FALSE(refuses("action: allow}\n"));
}

TEST_F(AgainstManager, WhoIsInNeverBlockIsAMemberAndNotBlocked) {
    start_dataplane({.sets = std::make_shared<dp::SetMemory>(std::move(dp::SetMemory::open({}, 1024).value()))});
    start_service();
    const std::string text = policy_with_set() + "never_block: [regulator, 10.9.0.0/24]\n";
    const std::string sets = "sets:\n  blocked: {members: api, max_ips: 3}\n";
    const auto with = [&](const std::string& more) {
        std::string policy = text;
        return policy.replace(policy.find(sets), sets.size(), sets + more);
    };
    ASSERT_TRUE(put(with("  regulator: {nets: [203.0.113.128/25, 203.0.113.0/25]}\n  guests: {members: api}\n")));
    const auto change = [&](const char* set, SetEdit edit, std::vector<SetMemberEdit> members) {
        return service->change_set({.name = set, .edit = edit, .members = std::move(members)}).value();
    };
    const auto added = change("blocked", SetEdit::add,
                              {{address("192.0.2.1")}, {address("203.0.113.0/24")}, {address("10.9.0.0/23")}});
    EXPECT_EQ(added.added, 3U);
    ASSERT_EQ(added.warnings.size(), 1U) << "half of 10.9.0.0/23 is blocked by it";
    EXPECT_EQ(added.warnings[0].pointer, "/members/1");
    EXPECT_EQ(added.warnings[0].code, "never-blocked");
    EXPECT_EQ(added.warnings[0].detail.rfind("203.0.113.0/24 stands in never_block", 0), 0U)
        << added.warnings[0].detail;
    EXPECT_EQ(change("blocked", SetEdit::replace, {{address("10.9.0.7")}, {address("203.0.113.0/24")}}).warnings.size(),
              2U);
    EXPECT_TRUE(change("blocked", SetEdit::remove, {{address("10.9.0.7")}}).warnings.empty());
    EXPECT_TRUE(change("guests", SetEdit::add, {{address("10.9.0.7")}}).warnings.empty()) << "no rule asks for guests";
    const auto said = service->explain({"p0", abi::IpFamily::v4, test::address("203.0.113.9"),
                                        test::address("198.51.100.80"), abi::L4Proto::tcp, 40000, 443});
    ASSERT_TRUE(said) << said.error().detail;
    EXPECT_EQ(said->rule, "web-in");
    ASSERT_EQ(said->skipped.size(), 1U);
    EXPECT_EQ(said->skipped[0].field, "from");
    EXPECT_TRUE(said->skipped[0].never_block);
    EXPECT_TRUE(said->skipped[0].not_in.empty());
    ASSERT_TRUE(put(with("  regulator: {nets: [198.51.100.0/24]}\n")));
    const auto refused = service->explain({"p0", abi::IpFamily::v4, test::address("203.0.113.9"),
                                           test::address("198.51.100.80"), abi::L4Proto::tcp, 40000, 443});
    EXPECT_EQ(refused->rule, "no") << "it has left never_block";
}

}  // namespace
}  // namespace sluice::cp
