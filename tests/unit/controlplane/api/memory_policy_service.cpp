#include "tests/unit/controlplane/api/memory_policy_service.hpp"

#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <sstream>
#include <stdexcept>
#include <thread>

namespace sluice::cp::api::test {
namespace {

constexpr std::size_t kRingEvents = 2000;

bool says(std::string_view text, std::string_view word) { return text.find(word) != std::string_view::npos; }

std::set<std::string> rule_ids(std::string_view text) {
    std::set<std::string> ids;
    std::istringstream in{std::string{text}};
    std::string word;
    while (in >> word) {
        if (word == "rule" && in >> word) ids.insert(word);
    }
    return ids;
}

std::vector<TestOutcome> outcomes(bool passed) {
    const TestOutcome once{.from = "198.51.100.7@internet",
                           .to = "198.51.100.80:443/tcp",
                           .expect = "allow",
                           .got = passed ? "allow" : "deny",
                           .by = "web-in",
                           .got_rule = passed ? "web-in" : "default",
                           .passed = passed,
                           .pos = {12, 5}};
    TestOutcome often = once;
    often.expect = often.got = "deny";
    often.got_rule = "web-in";
    often.repeat = "100/s";
    often.limit = "zone";
    often.got_limit = passed ? "zone" : "new_per_second_per_source";
    often.pos = {13, 5};
    return {once, often};
}

PlanPacket a_packet(abi::IpFamily family, abi::L4Proto proto, std::uint16_t dport_or_icmp) {
    PlanPacket packet{.in_port = "outside", .from_zone = "internet", .to_zone = "servers", .family = family};
    packet.src.bytes = {203, 0, 113, 7};
    packet.dst.bytes = {198, 51, 100, 81};
    if (family == abi::IpFamily::v6) packet.src.bytes = packet.dst.bytes = {0x20, 0x01, 0x0d, 0xb8, 0, 0x51};
    packet.proto = proto;
    packet.dport_or_icmp = dport_or_icmp;
    return packet;
}

/// One of everything that a plan can say about packets.
PlanAnalysis an_analysis() {
    PlanAnalysis analysis;
    PlanBox box{.family = abi::IpFamily::v4, .from = {"internet"}, .to = {"servers"}, .src = {"any"}};
    box.dst = {"198.51.100.81", "198.51.100.96/28", "a", "b", "c", "d"};
    box.service = {"tcp/443"};
    box.before = {"default", abi::Verdict::deny};
    box.after = {"web-in", abi::Verdict::allow};
    box.example = a_packet(abi::IpFamily::v4, abi::L4Proto::tcp, 443);
    analysis.effect.boxes.push_back(box);
    box.change = ChangeKind::observed;
    box.before = {};
    box.family = abi::IpFamily::v6;
    box.example = a_packet(abi::IpFamily::v6, abi::L4Proto::icmp6, 0x8000);
    analysis.effect.boxes.push_back(box);
    analysis.effect.unfinished = {"wide"};
    analysis.findings.rules = 9;
    analysis.findings.unexamined = 2;
    analysis.findings.unpaired = 3;
    for (std::size_t kind = 0; kind < kFindingKindCount; ++kind) {
        PlanFinding finding{.kind = static_cast<FindingKind>(kind), .rule = "b", .pos = {14, 5}, .others = {"a"}};
        finding.detail = "rule \"b\" is odd; remove it";
        finding.example = a_packet(abi::IpFamily::v6, kind % 2 == 0 ? abi::L4Proto::tcp : abi::L4Proto::gre, 22);
        finding.watched_s = 93'784;
        analysis.findings.counts[kind] = kind == 0 ? 3 : 1;
        analysis.findings.told.push_back(finding);
    }
    analysis.findings.told[0].example.reset();
    return analysis;
}

/// 17 live flows lose their rule, 1204 recorded ones would change verdict.
void look_at_flows(DryRunResult& plan) {
    FlowGroup group{.before = {"web-in", abi::Verdict::allow}, .after = {"ssh-no", abi::Verdict::reject}};
    group.flows = 17;
    group.flows_left_out = 3;
    group.peers.push_back({.family = abi::IpFamily::v4,
                           .src = abi::IpAddr::of_v4(abi::Ipv4Addr::of_host(0xc6336407)),
                           .flows = 14,
                           .example = a_packet(abi::IpFamily::v4, abi::L4Proto::tcp, 443)});
    plan.live.emplace();
    plan.live->live = plan.live->flows = 60;
    plan.live->changed = 17;
    plan.live->kept = 11;
    plan.live->ended = 4;
    plan.live->answered = 2;
    plan.live->groups = {group};
    plan.recorded.emplace();
    plan.recorded->flows = 88'310;
    plan.recorded->records = 170'000;
    plan.recorded->since_ns = 1'795'000'000'000'000'000;
    plan.recorded->until_ns = plan.recorded->since_ns + 1'000'000'000;
    plan.recorded->changed = 1204;
    plan.recorded->unplaced = 5;
    plan.recorded->suppressed = 7;
    plan.recorded->lost = 2;
    group.flows = 1204;
    group.flows_left_out = 1190;
    plan.recorded->groups = {group};
    plan.recorded->groups_left_out = 4;
    plan.recorded->incomplete = "there was no time for the newest records";
}

}  // namespace

PolicyErrors two_errors() {
    return {{.code = "undefined-name",
             .pointer = "/rules/0/from",
             .pos = {3, 9},
             .detail = "zone \"dzm\" is not defined; did you mean \"dmz\"?"},
            {.code = "unknown-key",
             .pointer = "/rulez",
             .pos = {7, 1},
             .detail = "unknown key \"rulez\xff\"; did you mean \"rules\"?"}};
}

Unexpected<Problem> problem(int status, std::string code, std::string detail, PolicyErrors errors) {
    return Unexpected(Problem{.status = status,
                              .code = std::move(code),
                              .title = {},
                              .detail = std::move(detail),
                              .errors = std::move(errors)});
}

std::string sha256_text(std::string_view text) {
    std::array<unsigned char, 32> digest{};
    SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
    std::string out;
    for (const auto byte : digest) {
        out.push_back("0123456789abcdef"[byte >> 4U]);
        out.push_back("0123456789abcdef"[byte & 15U]);
    }
    return out;
}

/// Files that nobody has, but for the one that holds the audit's head.
class MemoryPolicyService::Files final : public FileOps {
    static Unexpected<Errno> none() { return Unexpected<Errno>(ENOENT); }

public:
    Expected<int, Errno> create(const std::string&, Readers) override { return none(); }
    Expected<int, Errno> open_end(const std::string&) override { return none(); }
    Expected<std::size_t, Errno> write(int, std::span<const std::byte>) override { return none(); }
    Expected<void, Errno> fsync(int) override { return none(); }
    void close(int) override {}
    Expected<void, Errno> truncate(const std::string&, std::uint64_t) override { return none(); }
    Expected<void, Errno> rename(const std::string&, const std::string&) override { return none(); }
    Expected<void, Errno> unlink(const std::string&) override { return none(); }
    Expected<void, Errno> fsync_dir(const std::string&) override { return none(); }
    Expected<void, Errno> make_dir(const std::string&, Readers) override { return {}; }
    Expected<std::string, Errno> read(const std::string& path, std::size_t) override {
        const std::lock_guard lock{mutex_};
        if (!path.ends_with("/audit-head") || audit_head_.empty()) return none();
        return audit_head_;
    }
    Expected<std::vector<std::string>, Errno> list(const std::string&) override { return none(); }

    void set_audit_head(std::string line) {
        const std::lock_guard lock{mutex_};
        audit_head_ = std::move(line);
    }

private:
    std::mutex mutex_;
    std::string audit_head_;
};

namespace {

AuditRecord record_of(const char* action, const Caller& caller, const char* result) {
    AuditRecord record;
    record.actor = caller.actor;
    record.origin = caller.origin;
    record.request_id = caller.request_id;
    record.reason = caller.reason;
    record.action = action;
    record.result = result;
    return record;
}

}  // namespace

MemoryPolicyService::MemoryPolicyService()
    : files_{std::make_unique<Files>()},
      store_{std::move(*PolicyStore::open(*files_, "memory", {.vfs = "memdb", .print = {}}))} {}

MemoryPolicyService::~MemoryPolicyService() = default;

void MemoryPolicyService::set_audit_head(std::string line) { files_->set_audit_head(std::move(line)); }

Expected<HistoryPage, Problem> MemoryPolicyService::history(std::size_t count_max,
                                                            std::optional<std::uint64_t> before) {
    HistoryPage page;
    const auto newest = *store_->history(1);
    if (!newest.empty()) page.current_entry = newest.front().entry;
    page.adoptions = *store_->history(count_max + 1, before);
    if (page.adoptions.size() > count_max) {
        page.adoptions.resize(count_max);
        page.next = page.adoptions.back().entry;
    }
    return page;
}

Expected<HistoryView, Problem> MemoryPolicyService::history_view(std::uint64_t generation,
                                                                 std::optional<std::uint64_t> against) {
    const auto found = *store_->adoption(generation);
    if (!found) return problem(404, "no-such-generation", "this generation was never in force");
    HistoryView view;
    view.adoption = *found;
    view.text = *store_->text(found->ref);
    view.against = against ? *store_->adoption(*against) : *store_->adoption(generation - 1);
    if (against && !view.against) return problem(404, "no-such-generation", "this generation was never in force");
    view.changes = {{"change", "rule", "web-in", {{"to", "shop", "canary"}}}};
    return view;
}

Expected<CommitResult, Problem> MemoryPolicyService::restore(std::uint64_t generation, const CommitOptions& options) {
    const std::lock_guard lock{mutex_};
    if (auto met = precondition(options); !met) return Unexpected(met.error());
    const auto found = *store_->adoption(generation);
    if (!found) return problem(404, "no-such-generation", "this generation was never in force");
    return adopt(*store_->text(found->ref), PolicyFormat::yaml, options);
}

void MemoryPolicyService::release() {
    const std::lock_guard lock{gate_mutex_};
    released_ = true;
    gate_.notify_all();
}

void MemoryPolicyService::wait_released() {
    constexpr std::chrono::seconds kHangLimit{30};
    std::unique_lock lock{gate_mutex_};
    gate_.wait_for(lock, kHangLimit, [&] { return released_; });
}

Expected<void, Problem> MemoryPolicyService::precondition(const CommitOptions& options) const {
    if (!options.if_match && !options.if_none_match_any)
        return problem(428, "precondition-required", "send If-Match with the ETag of the policy");
    if (options.if_none_match_any && current_)
        return problem(412, "policy-exists", "a policy is stored already; send If-Match");
    if (options.if_match && (!current_ || *options.if_match != current_->hash)) {
        return problem(412, "policy-changed", "the policy has changed since; read it again");
    }
    return {};
}

Expected<CommitResult, Problem> MemoryPolicyService::adopt(std::string text, PolicyFormat format,
                                                           const CommitOptions& options, std::uint64_t change) {
    const auto hash = sha256_text(text);
    CommitResult result{.state = CommitState::adopted,
                        .version = "demo@" + hash.substr(0, 6),
                        .hash = hash,
                        .generation = generation_ + 1,
                        .stalled_workers = {},
                        .confirm_deadline = {},
                        .tests = outcomes(true),
                        .warnings = {}};
    if (current_ && current_->hash == hash) {
        result.state = CommitState::unchanged;
        result.generation = current_->generation;
        return result;
    }
    if (change == 0 && (options.at_ns != 0 || approvals_needed() != 0)) return keep(text, format, options, result);
    if (says(text, "STALL")) {
        result.state = CommitState::stalled;
        result.stalled_workers = {"worker 1 (lcore 3)"};
    }
    if (options.confirm_within) {
        result.state = CommitState::pending_confirmation;
        result.confirm_deadline = std::chrono::system_clock::now() + *options.confirm_within;
    }
    previous_ = current_;
    confirm_deadline_ = result.confirm_deadline;
    guard_ = options.guard ? to_text(*options.guard) : "";
    ++generation_;
    const PolicyRef ref{hash, format == PolicyFormat::json ? "json" : "yaml", generation_};
    const AuditState after{hash, generation_};
    auto begun = record_of("policy.put", options.caller, "begun"),
         adopted = record_of("policy.put", options.caller, "adopted");
    begun.after = adopted.after = after;
    (void)store_->stage({.ref = ref, .label = result.version, .text = {{}, text}, .change = change}, std::move(begun));
    (void)store_->promote(std::move(adopted));
    current_ = CurrentPolicy{.name = "demo",
                             .version = result.version,
                             .hash = hash,
                             .text = std::move(text),
                             .format = format,
                             .generation = generation_};
    return result;
}

Expected<CommitResult, Problem> MemoryPolicyService::put(std::string_view body, PolicyFormat format,
                                                         const CommitOptions& options) {
    if (says(body, "THROW")) throw std::runtime_error{"secret inside"};
    if (says(body, "SLOW")) wait_released();
    const std::lock_guard lock{mutex_};
    if (auto met = precondition(options); !met) return Unexpected(met.error());
    if (says(body, "BROKEN")) return problem(422, "invalid-policy", "2 errors in the policy", two_errors());
    if (says(body, "TESTFAIL")) {
        return problem(422, "policy-tests-failed", "1 of 1 policy tests failed",
                       {{.code = "test-failed",
                         .pointer = "/tests/0",
                         .pos = {12, 5},
                         .detail = "expected allow by web-in, got deny by default"}});
    }
    if (says(body, "LOCKOUT") && !options.caller.allow_lock_out)
        return problem(409, "would-lock-out", "your connection passes through this firewall");
    if (says(body, "REFUSED"))
        return problem(409, "refused-by-dataplane", "refused generation 2: port \"wan9\" is unknown");
    if (says(body, "NODATAPLANE"))
        return problem(503, "dataplane-unavailable", "no dataplane is connected; nothing was stored");
    return adopt(std::string{body}, format, options);
}

Expected<CommitResult, Problem> MemoryPolicyService::patch(std::string_view edits, const CommitOptions& options) {
    const std::lock_guard lock{mutex_};
    if (auto met = precondition(options); !met) return Unexpected(met.error());
    if (edits.empty() || edits.front() != '[') return problem(400, "bad-edits", "edits are a JSON array");
    return adopt(current_->text + "# " + std::string{edits} + "\n", current_->format, options);
}

Expected<DryRunResult, Problem> MemoryPolicyService::dry_run(std::string_view body, PolicyFormat,
                                                             const PlanOptions& options) {
    const std::lock_guard lock{mutex_};
    DryRunResult result;
    if (says(body, "BROKEN")) {
        result.errors = two_errors();
        return result;
    }
    result.hash = sha256_text(body);
    result.version = "demo@" + result.hash.substr(0, 6);
    result.tests = outcomes(!says(body, "TESTFAIL"));
    result.ok = result.tests.front().passed;
    if (says(body, "WARN")) {
        result.warnings = {{.code = "unused-set",
                            .pointer = "/sets/web",
                            .pos = {4, 3},
                            .detail = "set \"web\" is not used; remove it"}};
    }
    const auto now = rule_ids(body);
    const auto before = current_ ? rule_ids(current_->text) : std::set<std::string>{};
    std::ranges::set_difference(now, before, std::back_inserter(result.rules_added));
    std::ranges::set_difference(before, now, std::back_inserter(result.rules_removed));
    for (const auto& id : result.rules_added) result.changes.push_back({"add", "rule", id, {{"action", "", "allow"}}});
    for (const auto& id : result.rules_removed) result.changes.push_back({"remove", "rule", id, {}});
    if (says(body, "OPENED")) result.changes.push_back({"change", "set", "shop", {{"net", "", "0.0.0.0/0"}}});
    if (says(body, "OPENED")) result.changes.push_back({"move", "rule", "b", {{"place", "behind a", "first"}}});
    if (says(body, "OPENED")) result.analysis = an_analysis();
    if (current_ && !options.flows_since.empty()) {
        if (options.flows_since == "yesterday") return problem(400, "bad-query", "flows_since is a time");
        look_at_flows(result);
    }
    if (current_) result.compared_with = current_->version;
    if (confirm_deadline_) result.waiting = "demo@abcdef";
    return result;
}

Expected<DryRunResult, Problem> MemoryPolicyService::dry_run_patch(std::string_view, const PlanOptions&) {
    const std::lock_guard lock{mutex_};
    if (!current_) return problem(409, "no-policy", "no policy is stored yet");
    DryRunResult result;
    result.ok = true;
    result.hash = current_->hash;
    result.version = current_->version;
    result.rules_changed = {"web-in"};
    return result;
}

Expected<CommitResult, Problem> MemoryPolicyService::confirm(std::uint64_t generation, const Caller& caller) {
    const std::lock_guard lock{mutex_};
    if (!confirm_deadline_ || generation != generation_)
        return problem(409, "nothing-to-confirm", "no generation waits for its confirmation");
    store_->audit().write_or_keep(record_of("policy.confirm", caller, "adopted"));
    confirm_deadline_.reset();
    previous_.reset();
    return CommitResult{.state = CommitState::adopted,
                        .version = current_->version,
                        .hash = current_->hash,
                        .generation = generation_,
                        .stalled_workers = {},
                        .confirm_deadline = {},
                        .tests = {},
                        .warnings = {}};
}

Expected<CommitView, Problem> MemoryPolicyService::commit_view(std::uint64_t generation) {
    const std::lock_guard lock{mutex_};
    const auto entries = store_->audit().entries_about(generation, 1);
    if (generation > generation_ || !entries || entries->empty())
        return problem(404, "no-such-commit", "nobody has put this generation");
    CommitView view{.generation = generation, .standing = CommitStanding::superseded};
    view.asked = view.settled = entries->front();
    view.hash = view.asked.record.after.hash;
    if (!current_ || current_->generation != generation) return view;
    view.hash = current_->hash;
    view.standing = confirm_deadline_ ? CommitStanding::pending_confirmation : CommitStanding::adopted;
    if (!confirm_deadline_) return view;
    view.settled = {};
    view.confirm_deadline = confirm_deadline_;
    view.guard = guard_;
    return view;
}

Expected<CommitResult, Problem> MemoryPolicyService::rollback(std::uint64_t generation, const Caller& caller) {
    const std::lock_guard lock{mutex_};
    if (!previous_ || generation != generation_)
        return problem(409, "nothing-to-roll-back", "there is no generation before this one");
    store_->audit().write_or_keep(record_of("policy.rollback", caller, "done"));
    current_ = std::exchange(previous_, std::nullopt);
    confirm_deadline_.reset();
    generation_ = current_->generation;
    return CommitResult{.state = CommitState::adopted,
                        .version = current_->version,
                        .hash = current_->hash,
                        .generation = generation_,
                        .stalled_workers = {},
                        .confirm_deadline = {},
                        .tests = {},
                        .warnings = {}};
}

std::optional<CurrentPolicy> MemoryPolicyService::current() {
    const std::lock_guard lock{mutex_};
    return current_;
}

SystemStatus MemoryPolicyService::status() {
    const std::lock_guard lock{mutex_};
    SystemStatus status;
    status.dataplane_connected = true;
    status.in_sync = !confirm_deadline_;
    if (current_) {
        status.policy_name = current_->name;
        status.version = current_->version;
        status.hash = status.running_hash = current_->hash;
        status.generation = status.running_generation = current_->generation;
    }
    status.source = current_ ? "publisher" : "none";
    status.confirm_deadline = confirm_deadline_;
    if (confirm_deadline_) status.guard = guard_;
    status.dataplane_started = std::chrono::system_clock::now() - std::chrono::hours{2};
    status.flows = kFlowCount;
    status.flow_capacity = 1'048'576;
    status.flow_half_open_max = 262'144;
    status.flows_kept = 240;
    status.flows_lost = 3;
    status.workers = {{.index = 0, .lcore = 1, .generation = generation_, .flows = kFlowCount, .stalled = false}};
    RecentTimes& times = status.workers.front().times;
    times.packets = 1'234;
    times.p50_us = 4.24;
    times.cycles_each = {20.0, 15.0, 71.96, {}, 0.0, 12.0, 31.0};
    status.ports = {
        {.name = "outside", .zone = "internet", .link_up = true, .rx_packets = 1'000, .tx_packets = 900, .drops = 100},
        {.name = "inside", .zone = "servers", .link_up = false, .rx_packets = 900, .tx_packets = 900, .drops = 0}};
    status.not_ready = not_ready_;
    status.flow_log_trouble = flow_log_trouble_;
    status.records_enabled = true;
    status.records_bytes = 5'600'000;
    status.records_segments = 2;
    status.records_lost = records_trouble_.empty() ? 0 : 7;
    status.records_oldest = std::chrono::system_clock::now() - std::chrono::minutes{90};
    status.records_trouble = records_trouble_;
    status.audit_head = store_->audit().head();
    return status;
}

Expected<ExplainResult, Problem> MemoryPolicyService::explain(const ExplainQuery& query) {
    if (query.in_port != "outside" && query.in_port != "inside") {
        return problem(422, "unknown-port", "there is no port \"" + query.in_port + "\"; there are outside, inside");
    }
    ExplainResult result;
    result.verdict = query.dport_or_icmp == 443 ? abi::Verdict::allow : abi::Verdict::deny;
    result.rule = query.dport_or_icmp == 443 ? "web-in" : "default";
    result.from_zone = "internet";
    result.to_zone = "servers";
    if (query.dport_or_icmp != 443) result.skipped = {{.rule = "web-in", .field = "service"}};
    if (query.dport_or_icmp == 444) {
        result.skipped.push_back({.rule = "but-ops", .field = "from", .not_in = "ops"});
        result.skipped.push_back({.rule = "blocked-in", .field = "from", .never_block = true});
        result.passed = {"friends"};
    }
    return result;
}

std::vector<RuleStats> MemoryPolicyService::rules() {
    const auto now = std::chrono::system_clock::now();
    return {{.id = "ping-in", .action = "pass", .mode = "enforce"},
            {.id = "web-in",
             .action = "allow",
             .mode = "enforce",
             .hits = 12,
             .packets = 3'400,
             .bytes = 5'600'000,
             .first_hit = now,
             .last_hit = now},
            {.id = "old-batch", .action = "allow", .mode = "observe"},
            {.id = "default",
             .action = "deny",
             .mode = "enforce",
             .hits = 7,
             .packets = 7,
             .bytes = 420,
             .first_hit = now,
             .last_hit = now}};
}

std::string MemoryPolicyService::metrics(bool with_rules) {
    std::string text = "# HELP sluice_flows Live flows.\n# TYPE sluice_flows gauge\nsluice_flows 250\n";
    text +=
        "# HELP sluice_drop_reasons_total Drops.\n# TYPE sluice_drop_reasons_total counter\n"
        "sluice_drop_reasons_total{port=\"inside\",reason=\"no_policy\"} 2\n"
        "sluice_drop_reasons_total{port=\"inside\",reason=\"tx_full\"} 0\n"
        "sluice_drop_reasons_total{port=\"outside\",reason=\"policy_deny\"} 4711\n";
    if (with_rules)
        text +=
            "# HELP sluice_rule_hits_total Decisions.\n# TYPE sluice_rule_hits_total "
            "counter\nsluice_rule_hits_total{rule=\"web-in\"} 12\n";
    return text;
}

PolicyService::EventPage MemoryPolicyService::events_after(std::uint64_t after, std::size_t count_max,
                                                           std::chrono::milliseconds wait) {
    std::unique_lock lock{mutex_};
    news_.wait_for(lock, wait, [&] { return newest_ > after; });
    EventPage page;
    for (const auto& event : events_) {
        if (event.id <= after) continue;
        if (page.lines.empty()) page.lost = event.id - after - 1;
        if (page.lines.size() == count_max) break;
        page.lines.push_back(event);
    }
    return page;
}

std::uint64_t MemoryPolicyService::newest_event() {
    const std::lock_guard lock{mutex_};
    return newest_;
}

void MemoryPolicyService::add_events(std::uint64_t count, std::size_t padding_bytes) {
    const std::lock_guard lock{mutex_};
    for (std::uint64_t i = 0; i < count; ++i) {
        ++newest_;
        std::string json =
            R"({"time":"2026-11-26T05:00:00.000Z","event":")" +
            std::string{newest_ % 2 == 1 ? "flow_start" : "flow_denied"} + R"(","verdict":")" +
            (newest_ % 2 == 1 ? "allow" : "deny") +
            R"(","proto":"tcp","src":"198.51.100.7","sport":40000,"dst":"198.51.100.80","dport":443,"rule":")" +
            (newest_ % 2 == 1 ? "web-in" : "default") + R"(","in_port":"outside)" + std::string(padding_bytes, 'x') +
            R"(","generation":3})";
        events_.push_back({newest_, std::move(json)});
    }
    if (events_.size() > kRingEvents)
        events_.erase(events_.begin(), events_.end() - static_cast<std::ptrdiff_t>(kRingEvents));
    news_.notify_all();
}

void MemoryPolicyService::set_not_ready(std::vector<std::string> reasons) {
    const std::lock_guard lock{mutex_};
    not_ready_ = std::move(reasons);
}

void MemoryPolicyService::set_records_trouble(std::string why) {
    const std::lock_guard lock{mutex_};
    records_trouble_ = std::move(why);
}

void MemoryPolicyService::set_flow_log_trouble(std::string why) {
    const std::lock_guard lock{mutex_};
    flow_log_trouble_ = std::move(why);
}

}  // namespace sluice::cp::api::test
