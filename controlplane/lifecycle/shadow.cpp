/// The shadow policy: a candidate beside the one in force. The dataplane is asked to tell what it decides about new
/// flows, and the candidate is asked about each of them here; it decides nothing.
#include "controlplane/compiler/changing_sets.hpp"
#include "controlplane/lifecycle/audit_records.hpp"
#include "controlplane/lifecycle/policy_service_impl.hpp"
#include "controlplane/lifecycle/shadow_judge.hpp"
#include "controlplane/store/wall_clock.hpp"

namespace sluice::cp {
namespace {

/// That workers tell, all together; what comes faster is sampled. Judging costs some percent of a core at this rate,
/// and writing them half a percent of the rings (docs/decisions/0030-shadow-policies.md).
constexpr std::uint32_t kToldPerSecond = 20'000;
constexpr std::size_t kMembersPerPage = 50'000;
constexpr std::uint64_t kMembersMeanwhile = 1024;  ///< room for what is added while members are read

Problem no_shadow() {
    return problem(404, "no-shadow", "No shadow policy runs", "start one with PUT /v1/shadow (shadow start)");
}

}  // namespace

std::shared_ptr<ShadowJudge> PolicyServiceImpl::judge() const {
    const std::lock_guard lock{state_mutex_};
    return shared_.shadow;
}

/// On the thread that drains the rings.
void PolicyServiceImpl::judge_new_flows(EventBatchPtr batch) {
    if (const auto shadow = judge()) shadow->submit(std::move(batch));
}

Expected<std::shared_ptr<dp::OwnSetTable>, std::string> PolicyServiceImpl::members_of(const Policy& policy) {
    std::uint64_t count = kMembersMeanwhile;
    const auto counts = store_->sets().counts();
    for (const NetSet& set : policy.sets) {
        const auto found = set.by_api ? counts.find(set.name) : counts.end();
        if (found != counts.end()) count += found->second;
    }
    auto table = std::make_shared<dp::OwnSetTable>(static_cast<std::uint32_t>(count));
    abi::ChangeSets batch;
    batch.epoch = 1;
    batch.is_first = 1;
    const auto flush = [&]() -> std::string {
        const auto applied =
            (*table)->apply(batch, {abi::MonoTime::now(), static_cast<std::uint64_t>(wall_clock_ns())}, nullptr, 0);
        batch.is_first = 0;
        ++batch.number;
        batch.count = 0;
        return applied ? std::string{} : applied.error().where;
    };
    const auto now_ns = wall_clock_ns();
    for (const NetSet& set : policy.sets) {
        if (!set.by_api) continue;
        std::string after;
        for (bool more = true; more;) {
            const auto page = store_->sets().page(set.name, after, kMembersPerPage, now_ns);
            if (!page) return Unexpected<std::string>(page.error().what);
            for (const StoredMember& m : *page) {
                batch.changes[batch.count++] = {.set = set_id(set.name),
                                                .expires_unix_ns = static_cast<std::uint64_t>(m.expires_ns),
                                                .member = m.member,
                                                .op = abi::SetOp::add};
                if (batch.count != abi::kSetChangesMax) continue;
                if (auto why = flush(); !why.empty()) return Unexpected(std::move(why));
            }
            more = page->size() == kMembersPerPage;
            if (more) after = SetStore::key_of(page->back().member);
        }
    }
    if (auto why = flush(); !why.empty()) return Unexpected(std::move(why));
    return table;
}

Expected<std::shared_ptr<PreparedPolicy>, Problem> PolicyServiceImpl::prepare_shadow(SourcePolicy source) const {
    // It counts nothing in the dataplane: its slots are its own.
    SlotMap slots;
    if (const auto now = shared(); now.hello) slots.set_capacity(now.hello->rule_slots_max);
    return prepare(std::move(source), slots, 1);
}

/// Needs shadow_mutex_. Null: none runs any more.
void PolicyServiceImpl::use_shadow(PreparedPtr candidate) {
    std::shared_ptr<ShadowJudge> fresh;
    if (candidate != nullptr) {
        fresh = std::make_shared<ShadowJudge>(std::move(candidate), shared().wires(), telemetry_.events_lost(),
                                              [this](const Policy& policy) { return members_of(policy); });
    }
    std::shared_ptr<ShadowJudge> before;
    {
        const std::lock_guard lock{state_mutex_};
        before = std::exchange(shared_.shadow, std::move(fresh));
        shared_.shadow_trouble.clear();
    }
    if (before) before->stop();
}

/// Needs shadow_mutex_. The dataplane is told whether there is a shadow; it forgets that with the connection. What it
/// could not be told it is told again by tend_shadow().
void PolicyServiceImpl::watch_new_flows() {
    const auto shadow = judge();
    watch_due_ = false;
    const auto now = shared();
    if (!now.connected || !now.publisher) {
        if (shadow) shadow->set_watching(false, "there is no dataplane that tells us of new flows");
        return;
    }
    const auto asked = client_.watch_flows(shadow ? kToldPerSecond : 0);
    if (!asked) watch_due_ = true;
    if (shadow) shadow->set_watching(asked.has_value(), asked ? std::string{} : to_text(asked.error()));
}

// ---------------------------------------------------------------------------------------------------- start and stop
Expected<ShadowReport, Problem> PolicyServiceImpl::start_shadow(const ShadowStart& wanted) {
    auto record = record_of("shadow.start", wanted.caller, state_of(shared().current.get()));
    auto started = begin_shadow(wanted, record);
    if (!started && started.error().status < 500)
        store_->audit().write_or_keep(with_result(std::move(record), "refused", started.error().code));
    return started;
}

Expected<ShadowReport, Problem> PolicyServiceImpl::begin_shadow(const ShadowStart& wanted, const AuditRecord& record) {
    ShadowText kept{.format = std::string{extension_of(wanted.format)}, .text = std::string{wanted.body}};
    if (!wanted.draft.empty()) {
        auto draft = store_->drafts().find(wanted.draft);
        if (!draft) return Unexpected(draft_problem({DraftTrouble::Kind::storage, draft.error()}, wanted.draft));
        if (!*draft) return Unexpected(draft_problem({DraftTrouble::Kind::absent, {}}, wanted.draft));
        kept.format = (*draft)->format;
        kept.text = std::move((*draft)->text);
        kept.draft = wanted.draft;
    }
    auto read = read_body(kept.text, format_of(kept.format));
    if (!read) return Unexpected(std::move(read.error()));
    auto candidate = prepare_shadow(std::move(*read));
    if (!candidate) return Unexpected(std::move(candidate.error()));
    if (!all_passed((*candidate)->tests)) return Unexpected(failed_tests((*candidate)->tests));
    kept.hash = (*candidate)->hash;
    kept.version = (*candidate)->version;
    kept.started_at_ns = wall_clock_ns();
    auto entry = record;
    entry.after = {kept.hash, 0};
    entry = with_result(std::move(entry), "done",
                        "shadow " + kept.version + (kept.draft.empty() ? "" : ", of draft " + kept.draft));

    const std::lock_guard lock{shadow_mutex_};
    if (const auto put = store_->shadows().put(std::move(kept), std::move(entry)); !put)
        return Unexpected(storage_problem(put.error()));
    use_shadow(std::move(*candidate));
    watch_new_flows();
    return shadow().value_or(ShadowReport{});
}

Expected<ShadowReport, Problem> PolicyServiceImpl::stop_shadow(const Caller& caller) {
    const std::lock_guard lock{shadow_mutex_};
    auto last = shadow();
    if (!last) return Unexpected(no_shadow());
    auto entry = with_result(record_of("shadow.stop", caller, {last->hash, 0}), "done",
                             "shadow " + last->version + ": " + std::to_string(last->flows) + " flows asked about, " +
                                 std::to_string(last->changed) + " would have been decided otherwise, at most " +
                                 std::to_string(last->unseen.total()) + " not seen");
    if (const auto removed = store_->shadows().remove(std::move(entry)); !removed)
        return Unexpected(storage_problem(removed.error()));
    use_shadow(nullptr);
    watch_new_flows();
    return *last;
}

// ------------------------------------------------------------------------------------------------------- over restarts
/// The stored one, compiled; by the keeper, so that nothing waits for it when the process starts. Before the first
/// hello a test of it may lack a zone that only the wires imply: then it is loaded when the dataplane is there.
void PolicyServiceImpl::load_shadow() {
    const auto stored = store_->shadows().current();
    if (stored == nullptr) return;
    const auto wires = shared().wires();
    auto source = read_source(stored->text, format_of(stored->format), {.wires = &wires});
    const auto candidate =
        source
            ? prepare_shadow(std::move(*source))
            : Expected<std::shared_ptr<PreparedPolicy>, Problem>{Unexpected(invalid_policy(std::move(source.error())))};
    if (candidate) {
        use_shadow(*candidate);
        watch_due_ = true;
        return;
    }
    const auto& why = candidate.error();
    const std::lock_guard lock{state_mutex_};
    shared_.shadow_trouble = "it can't be compiled: " + (why.errors.empty() ? why.detail : why.errors.front().detail);
}

/// Once a second, and when a dataplane has taken us for its publisher.
void PolicyServiceImpl::tend_shadow() {
    const std::lock_guard lock{shadow_mutex_};
    if (judge() == nullptr && shadow_due_.exchange(false)) load_shadow();
    const auto shadow = judge();
    const auto now = shared();
    const bool told = now.connected && now.publisher;
    if (watch_due_ || (shadow && shadow->watching() != told)) watch_new_flows();
}

// ------------------------------------------------------------------------------------------------------------ question
std::optional<ShadowReport> PolicyServiceImpl::shadow() {
    const auto stored = store_->shadows().current();
    if (stored == nullptr) return std::nullopt;
    ShadowReport report;
    if (const auto asked = judge()) {
        report = asked->report(telemetry_.events_lost());
    } else {
        report.trouble = shared().shadow_trouble;
        if (report.trouble.empty()) report.trouble = "it has not been compiled yet";
    }
    report.hash = stored->hash;
    report.version = stored->version;
    report.name = stored->version.substr(0, stored->version.rfind('@'));
    report.draft = stored->draft;
    report.started_by = stored->started_by;
    report.reason = stored->reason;
    report.started_ns = stored->started_at_ns;
    return report;
}

}  // namespace sluice::cp
