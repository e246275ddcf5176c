/// A shadow policy of the service as it ships: started, told of new flows by a dataplane, kept over restarts, stopped.
#include "tests/unit/controlplane/lifecycle/policy_service_rig.hpp"

namespace sluice::cp {
namespace {

using abi::Verdict;

const std::string kWebClosed = "  - {id: web-closed, from: internet, to: web, service: https, action: reject}\n";

class ShadowTest : public PolicyServiceTest {
protected:
    Expected<ShadowReport, Problem> start(const std::string& text) {
        return service->start_shadow(
            {.body = text, .format = PolicyFormat::yaml, .caller = {.actor = "token:anna/1", .reason = "CHG-1"}});
    }
    /// As workers tell it: a new flow from the internet to the web, which the policy in force has decided.
    void tell(Verdict verdict, abi::RuleSlot slot = abi::kSlotDefault) {
        abi::FlowEvent e{};
        e.time = abi::MonoTime::now();
        e.kind = abi::EventKind::new_flow;
        e.family = abi::IpFamily::v4;
        e.proto = abi::L4Proto::tcp;
        e.verdict = verdict;
        e.slot = slot;
        e.src = abi::IpAddr::of_v4(abi::Ipv4Addr::of_host(0xc6336407));
        e.dst = abi::IpAddr::of_v4(abi::Ipv4Addr::of_host(0xc6336450));
        e.dport = abi::L4Port::of_host(443);
        dataplane->telemetry().emit(0, e);
    }
    bool watched() {
        const auto report = service->shadow();
        return report && report->watching && dataplane->watched_per_second() != 0;
    }
    bool counted(std::uint64_t flows) {
        return soon([&] { return service->shadow()->flows == flows; });
    }
    static std::uint64_t count(const ShadowReport& report, Verdict live, Verdict shadow) {
        return report.by_verdict[static_cast<std::size_t>(live)][static_cast<std::size_t>(shadow)];
    }
};

TEST_F(ShadowTest, IsAskedAboutNewFlowsAndDecidesNothing) {
    start_service();
    const auto live = must_put(policy_text(kWebIn));
    EXPECT_FALSE(service->shadow());
    EXPECT_EQ(dataplane->watched_per_second(), 0U);
    const auto started = start(policy_text(kWebClosed));
    ASSERT_TRUE(started) << started.error().detail;
    EXPECT_TRUE(started->watching) << started->trouble;
    EXPECT_EQ(started->reason, "CHG-1");
    EXPECT_EQ(started->started_by, "token:anna/1");
    EXPECT_EQ(dataplane->watched_per_second(), 20'000U);
    EXPECT_EQ(running_hash(), live.hash);
    EXPECT_EQ(service->current()->hash, live.hash);
    tell(Verdict::allow);
    tell(Verdict::reject);
    ASSERT_TRUE(counted(2));
    const auto report = *service->shadow();
    EXPECT_EQ(count(report, Verdict::allow, Verdict::reject), 1U);
    EXPECT_EQ(count(report, Verdict::reject, Verdict::reject), 1U);
    EXPECT_EQ(report.pairs.at(0).shadow_rule, "web-closed");
    EXPECT_EQ(report.pairs.at(0).live_rule, "default");
    const auto text = service->metrics(false);
    EXPECT_NE(text.find("sluice_shadow_running 1\n"), std::string::npos);
    EXPECT_NE(text.find("sluice_shadow_flows_total{live=\"allow\",shadow=\"reject\"} 1\n"), std::string::npos) << text;
    EXPECT_NE(text.find("sluice_shadow_unseen_flows_total{reason=\"sampled\"} 0\n"), std::string::npos);
}

TEST_F(ShadowTest, WhatItIsToldStandsInNoLog) {
    start_service();
    must_put(policy_text(kWebIn));
    ASSERT_TRUE(start(policy_text(kWebClosed)));
    tell(Verdict::allow);
    ASSERT_TRUE(counted(1));
    const auto page = service->flow_records({.count_max = 10, .since = "1h"});
    ASSERT_TRUE(page);
    EXPECT_TRUE(page->lines.empty());
    EXPECT_EQ(service->newest_event(), 0U);
}

TEST_F(ShadowTest, IsCheckedAsAPolicyIs) {
    start_service();
    must_put(policy_text(kWebIn));
    const auto invalid = start(policy_text("  - {id: a, from: internat, to: web, action: allow}\n"));
    ASSERT_FALSE(invalid);
    EXPECT_EQ(invalid.error().status, 422);
    EXPECT_EQ(invalid.error().errors.at(0).pos.line, 10U);
    EXPECT_EQ(audited("shadow.start")->result, "refused");
    const auto failing =
        start(policy_text(kWebClosed,
                          "tests:\n  - {from: 192.0.2.1@internet, to: \"198.51.100.80@servers:443/tcp\","
                          " expect: allow}\n"));
    ASSERT_FALSE(failing);
    EXPECT_EQ(failing.error().code, "policy-tests-failed");
    EXPECT_FALSE(service->shadow());
    EXPECT_EQ(dataplane->watched_per_second(), 0U);
}

TEST_F(ShadowTest, StopsWithWhatItHadCounted) {
    start_service();
    must_put(policy_text(kWebIn));
    EXPECT_EQ(service->stop_shadow({}).error().code, "no-shadow");
    const auto started = start(policy_text(kWebClosed));
    ASSERT_TRUE(started);
    tell(Verdict::allow);
    ASSERT_TRUE(counted(1));
    const auto last = service->stop_shadow({.actor = "token:bert/2"});
    ASSERT_TRUE(last);
    EXPECT_EQ(last->flows, 1U);
    EXPECT_EQ(dataplane->watched_per_second(), 0U);
    EXPECT_FALSE(service->shadow());
    const auto entry = audited("shadow.stop");
    ASSERT_TRUE(entry);
    EXPECT_EQ(entry->actor, "token:bert/2");
    EXPECT_EQ(entry->detail, "shadow " + started->version +
                                 ": 1 flows asked about, 1 would have been decided otherwise, at most 0 not seen");
    service.reset();
    start_service();
    EXPECT_FALSE(service->shadow());
    EXPECT_NE(service->metrics(false).find("sluice_shadow_running 0\n"), std::string::npos);
}

TEST_F(ShadowTest, OutlivesBothProcessesAndCountsAnew) {
    start_service();
    must_put(policy_text(kWebIn));
    const auto started = start(policy_text(kWebClosed));
    ASSERT_TRUE(started);
    tell(Verdict::allow);
    ASSERT_TRUE(counted(1));
    service.reset();
    start_service();
    ASSERT_TRUE(soon([&] { return watched(); }));
    auto report = *service->shadow();
    EXPECT_EQ(report.hash, started->hash);
    EXPECT_EQ(report.version, started->version);
    EXPECT_EQ(report.started_ns, started->started_ns);
    EXPECT_EQ(report.started_by, "token:anna/1");
    EXPECT_GT(report.since_ns, started->since_ns);
    EXPECT_EQ(report.flows, 0U) << "what the process before was told is not its own";
    tell(Verdict::allow);
    ASSERT_TRUE(counted(1));

    const auto state = dataplane->state();
    dataplane.reset();
    ASSERT_TRUE(soon([&] { return !service->shadow()->watching; }));
    EXPECT_NE(service->shadow()->trouble, "");
    start_dataplane(state, 2);
    ASSERT_TRUE(soon([&] { return watched(); })) << "the new one is asked too";
    tell(Verdict::allow);
    ASSERT_TRUE(counted(2)) << "goes on counting";
    EXPECT_GT(service->shadow()->unwatched_ms, 0U);
}

// The dataplane forgets with the connection, and each new one begins with nobody who watches.
TEST_F(ShadowTest, AConnectionThatIsMadeAnewTellsAgain) {
    start_service();
    must_put(policy_text(kWebIn));
    ASSERT_TRUE(start(policy_text(kWebClosed)));
    for (int turn = 0; turn < 5; ++turn) {
        ASSERT_TRUE(watched());
        dataplane->hang_up();
        ASSERT_TRUE(soon([&] { return dataplane->watched_per_second() == 0; }));
        ASSERT_TRUE(soon([&] { return watched(); }));
    }
    tell(Verdict::allow);
    ASSERT_TRUE(counted(1));
}

TEST_F(ShadowTest, ADataplaneThatCouldNotBeToldIsToldAgain) {
    start_service();
    must_put(policy_text(kWebIn));
    dataplane->refuse_watching(true);
    const auto started = start(policy_text(kWebClosed));
    ASSERT_TRUE(started);
    EXPECT_FALSE(started->watching);
    EXPECT_NE(started->trouble, "");
    dataplane->refuse_watching(false);
    ASSERT_TRUE(soon([&] { return watched(); }));
    dataplane->refuse_watching(true);
    ASSERT_TRUE(service->stop_shadow({}));
    EXPECT_EQ(dataplane->watched_per_second(), 20'000U);
    dataplane->refuse_watching(false);
    EXPECT_TRUE(soon([&] { return dataplane->watched_per_second() == 0; })) << "nobody is there who would read it";
}

TEST_F(ShadowTest, StaysWhenThePolicyInForceChanges) {
    start_service();
    must_put(policy_text(kWebIn));
    ASSERT_TRUE(start(policy_text(kWebClosed)));
    tell(Verdict::allow);
    ASSERT_TRUE(counted(1));
    must_put(policy_text(kWebClosed));
    tell(Verdict::reject);
    ASSERT_TRUE(counted(2));
    const auto report = *service->shadow();
    EXPECT_EQ(count(report, Verdict::allow, Verdict::reject), 1U) << "as it was decided then";
    EXPECT_EQ(count(report, Verdict::reject, Verdict::reject), 1U);
}

TEST_F(ShadowTest, AnotherTakesItsPlaceAndADraftCanBeOne) {
    start_service();
    must_put(policy_text(kWebIn));
    ASSERT_TRUE(start(policy_text(kWebClosed)));
    tell(Verdict::allow);
    ASSERT_TRUE(counted(1));
    EXPECT_EQ(service->start_shadow({.draft = "none"}).error().code, "no-such-draft");
    ASSERT_TRUE(service->save_draft({.name = "web", .body = policy_text(kWebIn, kSshOut)}));
    const auto second = service->start_shadow({.draft = "web"});
    ASSERT_TRUE(second) << second.error().detail;
    EXPECT_EQ(second->draft, "web");
    EXPECT_EQ(second->flows, 0U);
    tell(Verdict::allow);
    ASSERT_TRUE(counted(1));
    EXPECT_EQ(service->shadow()->changed, 0U);
    EXPECT_EQ(audited("shadow.start")->detail, "shadow " + second->version + ", of draft web");
}

TEST_F(ShadowTest, AFullDiskLeavesTheOneThatRuns) {
    database_in_memory = true;
    start_service();
    must_put(policy_text(kWebIn));
    const auto first = start(policy_text(kWebClosed));
    ASSERT_TRUE(first);
    fill_disk(true);
    const auto refused = start(policy_text(kWebIn));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().status, 507);
    EXPECT_EQ(service->shadow()->hash, first->hash);
    EXPECT_FALSE(service->stop_shadow({}));
    EXPECT_TRUE(service->shadow());
    fill_disk(false);
}

TEST_F(ShadowTest, MembersOfItsSetsAreFollowed) {
    const std::string sets = "  blocked: {members: api, max_ips: 100}\n";
    const auto with_set = [&](const std::string& rules) {
        auto text = policy_text(rules);
        text.insert(text.find("rules:"), sets);
        return text;
    };
    start_service();
    must_put(with_set(kWebIn));
    ASSERT_TRUE(start(with_set("  - {id: no, from: blocked, to: web, action: deny}\n" + kWebIn)));
    tell(Verdict::allow);
    ASSERT_TRUE(counted(1));
    EXPECT_EQ(service->shadow()->changed, 0U);
    SetChangeQuery query{.name = "blocked", .edit = SetEdit::add};
    query.members.push_back(
        {.member = {
             .family = abi::IpFamily::v4, .bits = 32, .addr = abi::IpAddr::of_v4(abi::Ipv4Addr::of_host(0xc6336407))}});
    ASSERT_TRUE(service->change_set(query));
    ASSERT_TRUE(soon([&] {
        tell(Verdict::allow);
        std::this_thread::sleep_for(20ms);
        return service->shadow()->changed != 0;
    }));
    EXPECT_EQ(service->shadow()->pairs.at(0).shadow_rule, "no");
}

}  // namespace
}  // namespace sluice::cp
