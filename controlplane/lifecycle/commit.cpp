/// From a request to adoption: preconditions, reading, compiling, tests, intent, offer, answer.
#include <algorithm>
#include <chrono>

#include "controlplane/lifecycle/audit_records.hpp"
#include "controlplane/lifecycle/policy_service_impl.hpp"
#include "controlplane/policy/edits.hpp"
#include "controlplane/telemetry/event_json.hpp"

namespace sluice::cp {
namespace {

using std::chrono::milliseconds;

std::optional<std::chrono::system_clock::time_point> utc(abi::MonoTime deadline) {
    if (deadline.ns == 0) return std::nullopt;
    using namespace std::chrono;
    return system_clock::time_point{duration_cast<system_clock::duration>(nanoseconds{UtcClock{}.utc_ns(deadline)})};
}

std::vector<std::string> worker_names(std::uint64_t bits) {
    std::vector<std::string> names;
    for (unsigned w = 0; w < abi::kWorkersMax; ++w) {
        if ((bits >> w & 1U) != 0) names.push_back("worker " + std::to_string(w));
    }
    return names;
}

/// Rows of changes behind the whole text of rules' slots, which costs a big policy some hundredths of a second.
constexpr std::size_t kSlotChangesMost = 1000;

}  // namespace

// ------------------------------------------------------------------------------------------------------------ reading
PolicyServiceImpl::Read PolicyServiceImpl::read_body(std::string_view body, PolicyFormat format) const {
    const auto now = shared();
    const auto wires = now.wires();
    const auto ports = now.port_names();
    auto source = read_source(std::string{body}, format, {.wires = &wires, .ports = now.connected ? &ports : nullptr});
    if (!source) return Unexpected(invalid_policy(std::move(source.error())));
    return std::move(*source);
}

PolicyServiceImpl::Read PolicyServiceImpl::read_edits(const PreparedPtr& base, std::string_view edits) const {
    if (base == nullptr) {
        return Unexpected(problem(409, "no-policy", "There is no policy to edit", "put a whole policy first"));
    }
    const auto now = shared();
    const auto wires = now.wires();
    const auto ports = now.port_names();
    auto edited = apply_edits(base->edit_base(), edits, {.wires = &wires, .ports = now.connected ? &ports : nullptr});
    if (!edited) return Unexpected(invalid_policy(std::move(edited.error())));
    return SourcePolicy{.policy = std::move(edited->policy),
                        .format = base->format,
                        .text = std::move(edited->text),
                        .written = std::move(edited->written),
                        .edit_of = base,
                        .kept = std::move(edited->kept)};
}

// ------------------------------------------------------------------------------------------------------------- commit
std::optional<Problem> PolicyServiceImpl::precondition(const CommitOptions& options, const Sent& sent) const {
    const auto now = shared();
    if (!options.if_match && !options.if_none_match_any) {
        return problem(428, "precondition-required", "A precondition is required",
                       "send If-Match with the hash of the policy that you have read, or If-None-Match: * if there is "
                       "none yet");
    }
    if (options.if_none_match_any && now.current) {
        return problem(412, "policy-exists", "There is a policy already", "read it, then send its ETag in If-Match");
    }
    if (options.if_match && (!now.current || *options.if_match != now.current->hash)) {
        return problem(412, "policy-changed", "The policy has changed meanwhile",
                       now.current ? "the current hash is " + now.current->hash + "; read it again"
                                   : std::string{"there is no policy yet; send If-None-Match: *"});
    }
    // What waits is asked when it is due: a freeze may be over by then, or begin. Leaving a policy is no change.
    const bool asks_freeze = !has_to_wait(options, sent) && sent.kind != "rollback";
    if (auto no = asks_freeze ? frozen(options) : std::nullopt) return no;
    if (now.pending) {
        return problem(409, "confirmation-pending", "A commit waits for its confirmation",
                       "confirm or roll back generation " + std::to_string(now.pending->generation()) + " first");
    }
    return std::nullopt;
}

Expected<CommitResult, Problem> PolicyServiceImpl::put(std::string_view body, PolicyFormat format,
                                                       const CommitOptions& options) {
    return audited(record_of("policy.put", options.caller), put_body(body, format, options));
}

Expected<CommitResult, Problem> PolicyServiceImpl::put_body(std::string_view body, PolicyFormat format,
                                                            const CommitOptions& options) {
    // Reading a big policy takes longest and needs no lock; the precondition is looked at before (cheap refusal) and
    // under the lock (the one that counts).
    const Sent sent{.kind = "put", .format = extension_of(format), .text = body};
    look_at_pending();
    if (auto no = precondition(options, sent)) return Unexpected(std::move(*no));
    auto read = read_body(body, format);
    const std::lock_guard lock{commit_mutex_};
    return commit(std::move(read), options, record_of("policy.put", options.caller), sent);
}

Expected<CommitResult, Problem> PolicyServiceImpl::patch(std::string_view edits, const CommitOptions& options) {
    return audited(record_of("policy.patch", options.caller), put_edits(edits, options));
}

Expected<CommitResult, Problem> PolicyServiceImpl::put_edits(std::string_view edits, const CommitOptions& options) {
    const Sent sent{.kind = "patch", .format = "edits", .text = edits};
    const std::lock_guard lock{commit_mutex_};
    look_at_pending();
    if (auto no = precondition(options, sent)) return Unexpected(std::move(*no));
    const auto base = shared().current;
    auto read = read_edits(base, edits);
    if (!read) return Unexpected(std::move(read.error()));
    return commit(std::move(read), options, record_of("policy.patch", options.caller), sent);
}

/// Whatever was refused has its entry as well. No lock is needed, and none is held: the disk may take its time.
Expected<CommitResult, Problem> PolicyServiceImpl::audited(AuditRecord record, Expected<CommitResult, Problem> result) {
    if (!result) {
        record.before = state_of(shared().current.get());
        const auto& why = result.error();
        if (why.status == 422) count_publish("invalid");
        store_->audit().write_or_keep(
            with_result(std::move(record), why.status >= 500 ? "failed" : "refused", why.code + ": " + why.detail));
    }
    return result;
}

Expected<CommitResult, Problem> PolicyServiceImpl::commit(Read read, const CommitOptions& options, AuditRecord record,
                                                          const Sent& sent) {
    const auto started = std::chrono::steady_clock::now();
    // What is stored may not be loaded yet: what it asks for counts all the same.
    if (shared().current == nullptr && store_->current()) load_current();
    if (auto no = precondition(options, sent)) return Unexpected(std::move(*no));
    if (!read) return Unexpected(std::move(read.error()));
    const auto now = shared();
    auto slots = slots_;
    if (now.hello) slots.set_capacity(now.hello->rule_slots_max);
    if (flows_are_judged(now)) slots.flows_judged();
    // Should the dataplane run something else by then, it sees that the base is another, and asks about every flow.
    auto prepared = prepare(std::move(*read), slots, 1, now.runs(now.current) ? now.current.get() : nullptr);
    if (!prepared) return Unexpected(std::move(prepared.error()));
    if (!all_passed((*prepared)->tests)) return Unexpected(failed_tests((*prepared)->tests));
    record.before = state_of(now.current.get());
    // What is there already, word for word, changes nothing, whoever sends it.
    const bool new_words = now.current == nullptr || now.current->hash != (*prepared)->hash ||
                           now.current->text != (*prepared)->text || now.current->format != (*prepared)->format;
    // To leave a policy is always allowed: it may be what cuts somebody off.
    const bool is_asked = new_words && sent.kind != "rollback";
    if (auto cut = is_asked ? would_lock_out(options.caller, **prepared) : std::nullopt) {
        if (!options.caller.allow_lock_out) return Unexpected(locks_out(*cut));
        record.detail += (record.detail.empty() ? "" : ", ") + *cut;
    }
    if (new_words && has_to_wait(options, sent)) return keep_change(sent, **prepared, options, std::move(record));
    if (auto same = unchanged(*prepared, record, sent.change)) return *same;
    if (auto broken = break_glass(options, record); !broken) return Unexpected(broken.error());
    std::string guard, unknown;
    if (options.guard) {
        const auto before = traffic_.rates_until(traffic_now());
        guard = to_text(terms_over(*options.guard, before));
        unknown = unknown_before(*options.guard, before);
    }
    auto result = publish(*prepared, std::move(slots), options.confirm_within.value_or(milliseconds{0}), record,
                          sent.change, std::move(guard));
    if (result && !unknown.empty()) {
        result->warnings.push_back({"guard-before-unknown",
                                    "",
                                    {},
                                    unknown + ": too little passed in the minute before to know, and 0 % is taken for "
                                              "it; a smaller bound than is usual here trips at once"});
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started;
    const std::lock_guard lock{state_mutex_};
    shared_.apply.add(took.count());
    return result;
}

/// Every worker runs what the dataplane was last heard to run, and has looked at all its flows since it switched to
/// that.
bool PolicyServiceImpl::flows_are_judged(const Shared& now) {
    return now.connected && telemetry_.collector().all_judged(now.hello->state.running_generation);
}

std::optional<CommitResult> PolicyServiceImpl::unchanged(const std::shared_ptr<PreparedPolicy>& prepared,
                                                         AuditRecord record, std::uint64_t change) {
    const auto now = shared();
    if (now.current == nullptr || now.current->hash != prepared->hash || !now.runs(now.current)) return std::nullopt;
    auto result = result_of(*now.current, CommitState::unchanged);
    result.tests = prepared->tests;
    record.after = record.before;
    record = with_result(std::move(record), "unchanged");
    if (now.current->text != prepared->text || now.current->format != prepared->format) {
        // It says the same in other words: the words are kept, nothing is published.
        const auto& running = now.current->compiled.manifest;
        renumber(prepared->compiled, running.generation, running.created_unix_ns);
        record.detail = "the same policy in other words";
        auto words = prepared->staged_behind(now.current.get());
        words.change = change;
        const auto kept = store_->reword(words, record);
        if (kept) {
            prepared->text_digest = *kept;
            const std::lock_guard lock{state_mutex_};
            shared_.current = prepared;
        } else {
            result.warnings.push_back({"text-not-stored", "", {}, kept.error().what});
            record.detail = "the same policy in other words, which could not be stored";
            store_->audit().write_or_keep(std::move(record));
        }
    } else {
        store_->audit().write_or_keep(std::move(record));
    }
    count_publish("unchanged");
    return result;
}

void PolicyServiceImpl::count_publish(const char* result) {
    const std::lock_guard lock{state_mutex_};
    ++shared_.publishes[result];
}

CommitResult PolicyServiceImpl::result_of(const PreparedPolicy& prepared, CommitState state) const {
    CommitResult result;
    result.state = state;
    result.version = prepared.version;
    result.hash = prepared.hash;
    result.generation = prepared.generation();
    result.tests = prepared.tests;
    return result;
}

std::vector<PolicyServiceImpl::SteadyTime> PolicyServiceImpl::slot_since() const {
    const auto known = shared().slot_since;
    return known == nullptr ? std::vector<SteadyTime>{} : *known;
}

/// Slots that passed to another rule count from zero; all others go on. Names are told before the offer, so that the
/// first event of a new generation already has its names.
void PolicyServiceImpl::use_slots(SlotMap slots, const PreparedPolicy& prepared) {
    telemetry_.names().add_generation(prepared.generation(), prepared.zone_names());
    const auto told = shared().slots;
    if (told != nullptr && told->same_as(slots)) {
        slots_ = std::move(slots);
        return;
    }
    std::vector<std::pair<abi::RuleSlot, std::string>> names;
    auto since = slot_since();
    const SteadyTime now = std::chrono::steady_clock::now();
    since.resize(std::max<std::size_t>(slots.end(), static_cast<std::size_t>(abi::kSlotFirstFree)), now);
    slots.for_each_other(told == nullptr ? SlotMap{} : *told, [&](abi::RuleSlot slot) {
        const auto before = slots_.id_of(slot), after = slots.id_of(slot);
        names.emplace_back(slot, after.value_or(""));
        if (after && before != after) since[static_cast<std::size_t>(slot)] = now;
        if (before && after && *before != *after) telemetry_.collector().rebase_rule(slot);
    });
    if (told == nullptr) {
        names.emplace_back(abi::kSlotDefault, abi::kIdDefault);
        names.emplace_back(abi::kSlotBuiltinArp, abi::kIdBuiltinArp);
        names.emplace_back(abi::kSlotBuiltinNd, abi::kIdBuiltinNd);
        names.emplace_back(abi::kSlotBuiltinOther, abi::kIdBuiltinOther);
    }
    telemetry_.names().set_rules(names);
    slots_ = std::move(slots);
    const std::lock_guard lock{state_mutex_};
    shared_.slots = std::make_shared<const SlotMap>(slots_);
    shared_.slot_since = std::make_shared<const std::vector<SteadyTime>>(std::move(since));
}

/// What the store gets of them.
PolicyStore::Slots PolicyServiceImpl::slots_to_write(const SlotMap& slots) const {
    if (!slots_written_ || store_->slot_changes().size() >= kSlotChangesMost) return {.whole = slots.to_text()};
    return {.changes = slots.changes_since(*slots_written_)};
}

void PolicyServiceImpl::forget_pending(std::optional<AuditRecord> outcome, const ChangeEnd& change) {
    if (!waits(change.state)) count_pending_change(change.state);
    if (!store_->discard_pending(outcome, change) && outcome) store_->audit().write_or_keep(std::move(*outcome));
    PreparedPtr current;
    {
        const std::lock_guard lock{state_mutex_};
        shared_.pending.reset();
        shared_.unsettled = 0;
        current = shared_.current;
    }
    if (current != nullptr) (void)slots_.assign(current->policy);
}

Expected<CommitResult, Problem> PolicyServiceImpl::publish(const std::shared_ptr<PreparedPolicy>& prepared,
                                                           SlotMap slots, milliseconds confirm_within,
                                                           AuditRecord record, std::uint64_t change,
                                                           std::string guard) {
    const auto now = shared();
    if (!now.connected) return Unexpected(dataplane_unavailable(client_.trouble()));
    if (!now.publisher) {
        return Unexpected(problem(503, "not-publisher", "Another process publishes to the dataplane",
                                  "process " + std::to_string(now.other_publisher_pid) +
                                      " holds the right to publish; stop it; nothing was stored"));
    }
    const auto created = prepared->compiled.manifest.created_unix_ns;
    {
        // Changes that are under way are behind us then, and what the dataplane lacks goes first.
        const std::lock_guard sets{sets_mutex_};
        (void)sync_sets();  // can't it be, the dataplane says so
        prepared->compiled.manifest.set_epoch = store_->sets().epoch();
        prepared->compiled.manifest.set_delta = store_->sets().number();
    }
    renumber(prepared->compiled, store_->next_generation(now.hello->state.running_generation), created);
    prepared->view.generation = prepared->generation();
    record.after = state_of(prepared.get());
    auto spelling = spelled_soon(*prepared, options_.spelled_with_put_bytes);
    auto intent = prepared->staged_behind(now.current.get());
    intent.slots = slots_to_write(slots);
    intent.change = change;
    intent.guard = std::move(guard);
    const auto kept = store_->stage(intent, record);
    if (!kept) {
        count_publish("failed");
        return Unexpected(storage_problem(kept.error()));
    }
    prepared->text_digest = *kept;
    slots_written_ = slots;
    use_slots(std::move(slots), *prepared);
    offered_change_ = change;
    {
        const std::lock_guard lock{state_mutex_};
        shared_.unsettled = prepared->generation();
    }
    const auto answer = client_.offer(prepared->bytes(), confirm_within, options_.adopt_within);
    if (!answer) {
        count_publish("failed");
        if (answer.error().kind == ClientError::Kind::unknown) {
            // The intent stays: the dataplane's next hello tells whether it took the generation.
            return Unexpected(problem(503, "outcome-unknown", "The dataplane went away before its answer",
                                      to_text(answer.error()) + "; GET /v1/status shows what it runs once it is back"));
        }
        forget_pending();
        return Unexpected(dataplane_unavailable(to_text(answer.error())));
    }
    if (spelling.valid()) prepared->spelled = spelling.get();
    return settle(prepared, *answer, confirm_within.count() != 0, std::move(record));
}

Expected<CommitResult, Problem> PolicyServiceImpl::settle(const PreparedPtr& prepared, const abi::Answer& answer,
                                                          bool confirm_asked, AuditRecord record) {
    if (answer.kind == abi::AnswerKind::refused) {
        count_publish("refused");
        forget_pending();
        return Unexpected(refused_by_dataplane(answer));
    }
    ask_what_runs();
    const bool stalled = answer.kind == abi::AnswerKind::stalled;
    {
        const std::lock_guard lock{state_mutex_};
        shared_.trouble.clear();
        if (confirm_asked) shared_.pending = prepared;
    }
    auto result = result_of(*prepared, stalled ? CommitState::stalled : CommitState::adopted);
    if (stalled) result.stalled_workers = worker_names(answer.stalled_workers);
    std::string by_all_but;
    for (const auto& name : result.stalled_workers) by_all_but += (by_all_but.empty() ? "all but " : ", ") + name;
    if (by_all_but.empty()) by_all_but = record.detail;
    record = with_result(std::move(record), confirm_asked ? "pending" : "adopted", std::move(by_all_but));
    if (confirm_asked) {
        result.state = CommitState::pending_confirmation;
        result.confirm_deadline = utc(answer.confirm_deadline);
        arm_guard(prepared->generation());
        store_->audit().write_or_keep(std::move(record));
    } else {
        result.warnings = make_current(prepared, std::move(record));
    }
    count_publish(stalled ? "stalled" : confirm_asked ? "pending" : "adopted");
    return result;
}

std::vector<PolicyError> PolicyServiceImpl::make_current(const PreparedPtr& prepared, AuditRecord outcome) {
    std::vector<PolicyError> warnings;
    count_pending_change(ChangeState::applied);
    // The intent is on disk already. Should current not be written, a restart finds the dataplane running the intent
    // and promotes it; until then the keeper tries again.
    const auto promoted = store_->promote(outcome);
    promote_due_ = !promoted;
    restore_due_.reset();  // what was gone back to has a successor
    promote_record_ = std::move(outcome);
    if (!promoted) warnings.push_back({"current-not-written", "", {}, promoted.error().what});
    // The adoption has dropped what no text in its history needs. Can't it be kept, the first edit takes longer.
    const bool spelled = prepared->spelled != nullptr && store_->keep_text(prepared->spelled->text);
    {
        const std::lock_guard lock{state_mutex_};
        if (spelled) ++shared_.texts_spelled;
        shared_.current = prepared;
        shared_.current_since = std::chrono::steady_clock::now();
        shared_.unsettled = 0;
        shared_.pending.reset();
        shared_.write_trouble = promoted ? "" : promoted.error().what;
    }
    keep_as_last_good(prepared);
    return warnings;
}

/// Nobody waits for it: until it is written, a dataplane that starts with nobody to ask has the generation before.
void PolicyServiceImpl::keep_as_last_good(const PreparedPtr& prepared) {
    if (!config_.last_good.empty()) last_good_.write({prepared->bytes(), prepared});
}

}  // namespace sluice::cp
