/// The shadow of the policy service that lives in memory.
#include "tests/unit/controlplane/api/memory_policy_service.hpp"

namespace sluice::cp::api::test {
namespace {

constexpr std::int64_t kThen = 1'795'000'000'000'000'000;

ShadowReport counted() {
    ShadowReport report;
    report.flows = 1204;
    report.changed = 2;
    report.other_rule = 7;
    report.by_verdict[static_cast<std::size_t>(abi::Verdict::allow)][static_cast<std::size_t>(abi::Verdict::allow)] =
        1202;
    report.by_verdict[static_cast<std::size_t>(abi::Verdict::allow)][static_cast<std::size_t>(abi::Verdict::deny)] = 2;
    report.unseen = {.sampled = 40, .lost = 3, .queue = 2, .unplaced = 1};
    ShadowFlow flow{.time_ns = kThen,
                    .in_port = "outside",
                    .from_zone = "internet",
                    .to_zone = "servers",
                    .family = abi::IpFamily::v4,
                    .proto = abi::L4Proto::tcp,
                    .src = abi::IpAddr::of_v4(abi::Ipv4Addr::of_host(0xc6336407)),
                    .dst = abi::IpAddr::of_v4(abi::Ipv4Addr::of_host(0xc6336450)),
                    .sport = 40'000,
                    .dport = 443};
    ShadowFlow ping = flow;
    ping.proto = abi::L4Proto::icmp;
    ping.sport = 5;
    ping.dport = 8 << 8;
    report.pairs = {
        {"web-in", abi::Verdict::allow, "default", abi::Verdict::deny, 2, kThen, {std::move(flow), std::move(ping)}}};
    return report;
}

}  // namespace

Expected<ShadowReport, Problem> MemoryPolicyService::start_shadow(const ShadowStart& wanted) {
    std::string text{wanted.body};
    if (!wanted.draft.empty()) {
        const auto draft = *drafts().find(wanted.draft);
        if (!draft) return problem(404, "no-such-draft", "there is no such draft");
        text = draft->text;
    }
    if (text.find("BROKEN") != std::string::npos)
        return problem(422, "invalid-policy", "2 errors; nothing was changed", two_errors());
    if (text.find("TESTFAIL") != std::string::npos) return problem(422, "policy-tests-failed", "1 of 1 tests failed");
    auto report = counted();
    report.name = "demo";
    report.hash = sha256_text(text);
    report.version = "demo@" + report.hash.substr(0, 6);
    report.draft = wanted.draft;
    report.started_by = wanted.caller.actor;
    report.reason = wanted.caller.reason;
    report.started_ns = report.since_ns = kThen;
    report.watching = true;
    report.unwatched_ms = 250;
    const std::lock_guard lock{mutex_};
    shadow_ = report;
    return report;
}

Expected<ShadowReport, Problem> MemoryPolicyService::stop_shadow(const Caller&) {
    const std::lock_guard lock{mutex_};
    if (!shadow_) return problem(404, "no-shadow", "no shadow policy runs");
    auto last = *shadow_;
    shadow_.reset();
    return last;
}

std::optional<ShadowReport> MemoryPolicyService::shadow() {
    const std::lock_guard lock{mutex_};
    return shadow_;
}

}  // namespace sluice::cp::api::test
