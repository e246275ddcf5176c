#include "controlplane/lifecycle/policy_service_impl.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include <sluice/abi/last_good.hpp>

#include "controlplane/policy/canonical.hpp"
#include "dataplane/acl/validator.hpp"
#include "tests/unit/controlplane/publish/test_dataplane.hpp"

namespace sluice::cp {
namespace {

using namespace std::chrono_literals;

/// A policy whose only difference is the rule list.
std::string policy_text(const std::string& rules, const std::string& more = "") {
    return "sluice: 1\nname: edge\ndefault: {action: deny, log: start}\n"
           "zones:\n  internet: {ports: [outside]}\n  servers: {ports: [inside]}\n"
           "sets:\n  web: {nets: [198.51.100.80, \"2001:db8:51::80\"]}\n"
           "rules:\n" +
           rules + more;
}
const std::string kWebIn = "  - {id: web-in, from: internet, to: web, service: https, action: allow, log: both}\n";
const std::string kSshOut = "  - {id: ssh-closed, from: internet, to: web, service: ssh, action: reject}\n";
const std::string kTrial =
    "  - {id: trial, from: internet, to: any, service: tcp/5432, action: allow, mode: observe}\n";

/// The kernel's files, until told that the disk is full.
class FullableDisk final : public FileOps {
public:
    std::atomic<bool> full{false};

    Expected<int, Errno> create(const std::string& p, Readers r) override { return real_.create(p, r); }
    Expected<std::size_t, Errno> write(int h, std::span<const std::byte> b) override {
        if (full) return Unexpected<Errno>(ENOSPC);
        return real_.write(h, b);
    }
    Expected<void, Errno> fsync(int h) override { return real_.fsync(h); }
    void close(int h) override { real_.close(h); }
    Expected<void, Errno> rename(const std::string& a, const std::string& b) override { return real_.rename(a, b); }
    Expected<void, Errno> unlink(const std::string& p) override { return real_.unlink(p); }
    Expected<void, Errno> fsync_dir(const std::string& p) override { return real_.fsync_dir(p); }
    Expected<void, Errno> make_dir(const std::string& p, Readers r) override { return real_.make_dir(p, r); }
    Expected<std::string, Errno> read(const std::string& p, std::size_t n) override { return real_.read(p, n); }
    Expected<std::vector<std::string>, Errno> list(const std::string& p) override { return real_.list(p); }

private:
    FileOps& real_{posix_file_ops()};
};

template <typename Condition>
bool soon(Condition condition) {
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > deadline) return false;
        std::this_thread::sleep_for(1ms);
    }
    return true;
}

class PolicyServiceTest : public testing::Test {
protected:
    void SetUp() override {
        std::string name = (std::filesystem::temp_directory_path() / "sluice-service-XXXXXX").string();
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        dir = name;
        config.state_dir = dir + "/state";
        config.tables_socket = dir + "/tables.sock";
        config.last_good = dir + "/last-good";
        config.flow_log_path = dir + "/flows.jsonl";
        start_dataplane();
    }
    void TearDown() override {
        service.reset();
        dataplane.reset();
        std::filesystem::remove_all(dir);
    }

    /// Accepts what the real validator accepts, with the ports of this lab.
    void start_dataplane(test::TestDataplane::State state = {}, std::uint64_t boot_id = 1) {
        test::TestDataplane::Options options;
        options.boot_id = boot_id;
        options.validate = [](const abi::Manifest& manifest,
                              const test::TestDataplane::Sections& sections) -> std::optional<std::string> {
            static constexpr std::array<std::string_view, 2> kPorts{"outside", "inside"};
            const auto view =
                dp::validate(std::as_bytes(std::span{&manifest, 1}), sections, {.rule_slots_max = 64, .ports = kPorts});
            if (view) return std::nullopt;
            return view.error().where;
        };
        dataplane = std::make_unique<test::TestDataplane>(config.tables_socket, options, std::move(state));
    }
    void open_service() {
        auto opened = PolicyServiceImpl::open(config, {.files = &disk});
        ASSERT_TRUE(opened) << opened.error();
        service = std::move(*opened);
        service->start();
    }
    void start_service() {
        open_service();
        ASSERT_TRUE(soon([&] { return connected(); })) << "never connected";
    }
    bool connected() {
        for (const auto& why : service->status().not_ready) {
            if (why.find("dataplane is not there") != std::string::npos || why.find("publishes") != std::string::npos) {
                return false;
            }
        }
        return true;
    }
    bool ready() { return service->status().not_ready.empty(); }

    Expected<CommitResult, Problem> put(const std::string& text, CommitOptions options = {}) {
        const auto now = service->current();
        if (!options.if_match && !options.if_none_match_any) {
            if (now) {
                options.if_match = now->hash;
            } else {
                options.if_none_match_any = true;
            }
        }
        return service->put(text, PolicyFormat::yaml, options);
    }
    CommitResult must_put(const std::string& text, CommitOptions options = {}) {
        auto result = put(text, std::move(options));
        EXPECT_TRUE(result.has_value()) << result.error().code << ": " << result.error().detail;
        return result ? *result : CommitResult{};
    }
    std::string running_hash() { return to_hex(dataplane->state().process.running_policy_version); }
    std::uint64_t running_generation() { return dataplane->state().process.running_generation; }

    std::string dir;
    ControlConfig config;
    FullableDisk disk;
    std::unique_ptr<test::TestDataplane> dataplane;
    std::unique_ptr<PolicyServiceImpl> service;
};

// A5: the policy holds without its slots, but nobody shall believe the counters as if nothing had happened.
TEST_F(PolicyServiceTest, DamagedSlotsAreTold) {
    start_service();
    const auto first = must_put(policy_text(kWebIn));
    service.reset();
    std::ofstream{config.state_dir + "/slots"} << "live 4 web-in\nlive 4 web";
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
    EXPECT_FALSE(std::filesystem::exists(config.state_dir + "/policy/pending"));
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

    // The last-good file holds this generation, and passes the validator.
    std::ifstream in{config.last_good + "/" + abi::kLastGoodName, std::ios::binary};
    const std::string file{std::istreambuf_iterator<char>{in}, {}};
    abi::Manifest manifest;
    ASSERT_GT(file.size(), sizeof(abi::LastGoodHeader) + sizeof manifest);
    std::memcpy(&manifest, file.data() + sizeof(abi::LastGoodHeader), sizeof manifest);
    EXPECT_EQ(manifest.generation, 1U);

    service.reset();
    start_service();
    EXPECT_TRUE(soon([&] { return ready(); }));
    ASSERT_TRUE(service->current());
    EXPECT_EQ(service->current()->text, policy_text(kWebIn + kSshOut));
    EXPECT_EQ(service->current()->generation, 1U);
    EXPECT_EQ(dataplane->offers(), 1U) << "published although nothing had changed";
    EXPECT_EQ(must_put(policy_text(kWebIn)).generation, 2U);
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
    EXPECT_FALSE(std::filesystem::exists(config.state_dir + "/policy/pending"));
    EXPECT_EQ(must_put(policy_text(kSshOut)).generation, 2U);  // no number is spent on it
    const auto plan = service->dry_run(other, PolicyFormat::yaml);
    ASSERT_TRUE(plan);
    EXPECT_FALSE(plan->ok);
    EXPECT_EQ(plan->errors.at(0).code, "port-without-zone");
}

// A6: the disk is full: 507, nothing offered, old files intact, and it works again when there is room.
TEST_F(PolicyServiceTest, AFullDiskRefusesAndKeeps) {
    start_service();
    const auto before = must_put(policy_text(kWebIn));
    disk.full = true;
    const auto refused = put(policy_text(kSshOut));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().status, 507);
    EXPECT_EQ(dataplane->offers(), 1U);
    EXPECT_EQ(running_hash(), before.hash);
    disk.full = false;
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
    const auto plan = service->dry_run(many(1, room + 1), PolicyFormat::yaml);
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
    EXPECT_EQ(service->confirm(second.generation + 1).error().status, 409);

    const auto confirmed = service->confirm(second.generation);
    ASSERT_TRUE(confirmed) << confirmed.error().detail;
    EXPECT_EQ(service->current()->hash, second.hash);
    EXPECT_EQ(service->confirm(second.generation).error().code, "nothing-to-confirm");
    EXPECT_TRUE(ready());
}

TEST_F(PolicyServiceTest, ARevertByTheDataplaneLeavesThePreviousPolicy) {
    start_service();
    const auto first = must_put(policy_text(kWebIn));
    const auto second = must_put(policy_text(kSshOut), {.confirm_within = 60s});
    dataplane->revert_by_deadline();
    ASSERT_TRUE(soon([&] { return service->confirm(second.generation).error().code == "nothing-to-confirm"; }));
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
    ASSERT_TRUE(soon([&] { return service->confirm(second.generation).has_value(); }));
    EXPECT_EQ(service->current()->hash, second.hash);

    const auto third = must_put(policy_text(kTrial), {.confirm_within = 60s});
    service.reset();  // and comes back too late
    dataplane->revert_by_deadline();
    start_service();
    ASSERT_TRUE(soon([&] { return !std::filesystem::exists(config.state_dir + "/policy/pending"); }));
    ASSERT_TRUE(soon([&] { return ready(); }));
    EXPECT_EQ(service->current()->hash, second.hash);
    EXPECT_FALSE(service->confirm(third.generation));
    EXPECT_NE(first.hash, second.hash);
}

TEST_F(PolicyServiceTest, RollBackPendingAndRollBackCurrent) {
    start_service();
    const auto first = must_put(policy_text(kWebIn));
    const auto second = must_put(policy_text(kSshOut), {.confirm_within = 60s});
    const auto back = service->rollback(second.generation);
    ASSERT_TRUE(back) << back.error().detail;
    EXPECT_EQ(back->hash, first.hash);
    EXPECT_EQ(running_hash(), first.hash);

    const auto third = must_put(policy_text(kTrial));
    const auto again = service->rollback(third.generation);
    ASSERT_TRUE(again) << again.error().detail;
    EXPECT_EQ(again->hash, first.hash);
    EXPECT_EQ(service->current()->hash, first.hash);
    service.reset();
    start_service();
    EXPECT_EQ(service->current()->hash, first.hash);
    EXPECT_EQ(service->rollback(third.generation).error().code, "nothing-to-roll-back");
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
    ASSERT_TRUE(soon([&] { return !std::filesystem::exists(config.state_dir + "/policy/pending"); }));
    ASSERT_TRUE(soon([&] { return ready(); }));
    EXPECT_EQ(service->current()->hash, first.hash);
    EXPECT_EQ(must_put(policy_text(kSshOut)).generation, 3U);
}

TEST_F(PolicyServiceTest, ADamagedStoreIsNamedAndReplaced) {
    start_service();
    must_put(policy_text(kWebIn));
    service.reset();
    for (const auto& entry : std::filesystem::directory_iterator{config.state_dir + "/policy"}) {
        if (entry.path().extension() == ".yaml") std::ofstream{entry.path()} << "sluice: 1\nname: [\n";
    }
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
    const auto plan = service->dry_run_patch(edits);
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

TEST_F(PolicyServiceTest, CountersFollowTheRuleNotItsPlace) {
    start_service();
    must_put(policy_text(kWebIn + kSshOut));
    dataplane->telemetry().rule(0, 16).hits.set(7);  // the first rule's slot
    dataplane->telemetry().rule(0, 16).last_hit_ns.set(abi::MonoTime::now().ns);
    must_put(policy_text(kTrial + kSshOut + kWebIn));
    const auto rules = service->rules();
    ASSERT_EQ(rules[2].id, "web-in");
    EXPECT_EQ(rules[2].hits, 7U);
    EXPECT_TRUE(rules[2].last_hit.has_value());
    EXPECT_FALSE(rules[2].first_hit.has_value());
    EXPECT_EQ(rules[0].hits, 0U);
    EXPECT_NE(service->metrics(true).find("sluice_rule_hits_total{rule=\"web-in\"} 7\n"), std::string::npos);
    EXPECT_EQ(service->metrics(false).find("sluice_rule_hits_total"), std::string::npos);
    EXPECT_NE(service->metrics(false).find("sluice_publishes_total{result=\"adopted\"} 2\n"), std::string::npos);
}

abi::IpAddr v4(std::uint32_t host) { return abi::IpAddr::of_v4(abi::Ipv4Addr::of_host(host)); }

TEST_F(PolicyServiceTest, ExplainSaysWhoDecidesAndWhyOthersDidNot) {
    start_service();
    must_put(policy_text(kTrial + kSshOut + kWebIn));
    ExplainQuery query{"outside", abi::IpFamily::v4, v4(0xc6336407), v4(0xc6336450), abi::L4Proto::tcp, 40000, 443};
    auto answer = service->explain(query);
    ASSERT_TRUE(answer) << answer.error().detail;
    EXPECT_EQ(answer->verdict, abi::Verdict::allow);
    EXPECT_EQ(answer->rule, "web-in");
    EXPECT_EQ(answer->from_zone, "internet");
    EXPECT_EQ(answer->to_zone, "servers");
    ASSERT_EQ(answer->skipped.size(), 2U);
    EXPECT_EQ(answer->skipped[1].rule, "ssh-closed");
    EXPECT_EQ(answer->skipped[1].field, "service");

    query.dport_or_icmp = 5432;
    answer = service->explain(query);
    EXPECT_EQ(answer->rule, "default");
    EXPECT_EQ(answer->observed, "trial");
    query.in_port = "inside";
    answer = service->explain(query);
    EXPECT_EQ(answer->skipped[0].field, "from");
    query.in_port = "wan7";
    EXPECT_EQ(service->explain(query).error().code, "unknown-port");
    EXPECT_NE(service->explain(query).error().detail.find("; its ports are outside, inside"), std::string::npos);
    query.in_port = "internet";
    EXPECT_NE(service->explain(query).error().detail.find("that is a zone, its ports are outside"), std::string::npos);
}

TEST_F(PolicyServiceTest, FlowsHaveNamesAndCursors) {
    start_service();
    must_put(policy_text(kWebIn));
    std::vector<abi::FlowRecord> flows(1200);
    for (auto& flow : flows) {
        flow.family = abi::IpFamily::v4;
        flow.slot = abi::RuleSlot{16};
        flow.generation = 1;
        flow.from_zone = abi::ZoneId{0};
        flow.to_zone = abi::ZoneId{1};
    }
    dataplane->set_flows(flows);
    const auto first = service->flows({.count_max = 1000, .cursor = std::nullopt, .filter = {}});
    ASSERT_TRUE(first) << first.error().detail;
    EXPECT_EQ(first->flows.size(), 1000U);
    EXPECT_EQ(first->flows[0].rule, "web-in");
    EXPECT_EQ(first->flows[0].from_zone, "internet");
    ASSERT_TRUE(first->next);
    const auto rest = service->flows({.count_max = 1000, .cursor = first->next, .filter = {}});
    EXPECT_EQ(rest->flows.size(), 200U);
    EXPECT_FALSE(rest->next);
    EXPECT_EQ(service->flows({.count_max = 1, .cursor = "nonsense", .filter = {}}).error().status, 400);
    EXPECT_EQ(service->flows({.count_max = 1, .cursor = "7-0", .filter = {}}).error().status, 410);
}

TEST_F(PolicyServiceTest, FlowsAreEndedByFilter) {
    start_service();
    must_put(policy_text(kWebIn));
    dataplane->set_flows(std::vector<abi::FlowRecord>(5));
    const auto ended = service->end_flows({.filter = "rule==web-in and from_zone==internet", .answer = true});
    ASSERT_TRUE(ended) << ended.error().detail;
    EXPECT_EQ(ended->ended, 5U) << "part by part";
    EXPECT_TRUE(ended->complete);
    EXPECT_TRUE(dataplane->ended_answered());
    EXPECT_TRUE(service->end_flows({.filter = {}, .all = true}));
    EXPECT_FALSE(dataplane->ended_answered());
    EXPECT_EQ(service->end_flows({.filter = " "}).error().code, "filter-needed");
    EXPECT_EQ(service->end_flows({.filter = "proto==tcp", .all = true}).error().code, "filter-and-all");
    const auto wrong = service->end_flows({.filter = "rule==web-on"});
    EXPECT_EQ(wrong.error().status, 400);
    EXPECT_EQ(wrong.error().code, "bad-filter");
    EXPECT_EQ(service->flows({.count_max = 1, .cursor = {}, .filter = "dport"}).error().code, "bad-filter");
}

/// Of the first rule of the first policy.
abi::FlowEvent a_flow_starts() {
    abi::FlowEvent event;
    event.kind = abi::EventKind::flow_start;
    event.family = abi::IpFamily::v4;
    event.proto = abi::L4Proto::tcp;
    event.verdict = abi::Verdict::allow;
    event.slot = abi::RuleSlot{16};
    event.generation = 1;
    event.from_zone = abi::ZoneId{0};
    event.time = abi::MonoTime::now();
    return event;
}

TEST_F(PolicyServiceTest, EventsCarryTheNamesOfTheirRule) {
    start_service();
    must_put(policy_text(kWebIn));
    dataplane->telemetry().emit(0, a_flow_starts());
    const auto page = service->events_after(0, 10, 20s);
    ASSERT_EQ(page.lines.size(), 1U);
    EXPECT_NE(page.lines[0].json.find(R"("rule":"web-in")"), std::string::npos);
    EXPECT_NE(page.lines[0].json.find(R"("from":"internet")"), std::string::npos);
    EXPECT_EQ(service->newest_event(), 1U);
}

// A6: a disk that takes no more lines is told, and stops nothing.
TEST_F(PolicyServiceTest, LostLinesOfTheFlowLogStandInTheStatus) {
    config.flow_log_path = dir + "/missing/flows.jsonl";
    start_service();
    must_put(policy_text(kWebIn));
    EXPECT_EQ(service->status().flow_log_trouble, "");
    dataplane->telemetry().emit(0, a_flow_starts());
    EXPECT_EQ(service->events_after(0, 10, 20s).lines.size(), 1U);
    ASSERT_TRUE(soon([&] { return !service->status().flow_log_trouble.empty(); }));
    EXPECT_NE(service->status().flow_log_trouble.find("cannot open " + config.flow_log_path), std::string::npos);
    EXPECT_TRUE(ready());
}

}  // namespace
}  // namespace sluice::cp
