/// Brings what is stored and what the dataplane runs together again after either has been away.
#include <algorithm>
#include <cstdio>

#include "controlplane/lifecycle/audit_records.hpp"
#include "controlplane/lifecycle/policy_service_impl.hpp"
#include "controlplane/policy/sha256.hpp"
#include "controlplane/policy/version.hpp"
#include "controlplane/store/wall_clock.hpp"

namespace sluice::cp {
namespace {

using namespace std::chrono_literals;

constexpr auto kRetryEvery = 1s;
constexpr std::size_t kEntriesAboutOne = 100;

Expected<SlotMap, std::string> stored_slots(const PolicyStore& store, std::uint32_t capacity) {
    auto slots = SlotMap::from_text(store.slots(), capacity);
    for (const auto& changes : store.slot_changes()) {
        if (!slots) break;
        if (const auto applied = slots->apply(changes); !applied) return Unexpected(applied.error());
    }
    return slots;
}

}  // namespace

void PolicyServiceImpl::load_current() {
    std::string trouble;
    slots_written_.reset();
    if (auto slots = stored_slots(*store_, slots_.capacity())) {
        slots_ = std::move(*slots);
    } else {
        trouble = slots.error() + ": rules get new counters, and what older ones counted may stand at another rule";
    }
    for (const auto& damage : store_->damage()) trouble += (trouble.empty() ? "" : "; ") + damage;
    PreparedPtr current;
    if (store_->current()) {
        if (auto loaded = load(*store_->current())) {
            current = std::move(*loaded);
            auto slots = slots_;
            (void)slots.assign(current->policy);  // it had its slots when it was put
            use_slots(std::move(slots), *current);
        } else {
            trouble += (trouble.empty() ? "" : "; ") + loaded.error();
        }
    }
    // What is put right by publishing again is no trouble any more, but it must not pass unseen.
    if (!trouble.empty()) std::fprintf(stderr, "sluice-controlplane: %s\n", trouble.c_str());
    const std::lock_guard lock{state_mutex_};
    shared_.current = std::move(current);
    shared_.unsettled = store_->pending() ? store_->pending()->generation : 0;
    shared_.trouble = trouble;
}

/// Error: a sentence. The text is gone, has other content than its name says, or is no policy of this version's
/// language. A policy test may leave out a zone that only the wires imply, and before the first hello nobody knows the
/// wires: then the policy is loaded when the dataplane is there.
Expected<PreparedPtr, std::string> PolicyServiceImpl::load(const PolicyRef& ref) {
    const auto unreadable = [&](const std::string& why) {
        return Unexpected<std::string>("the stored policy " + ref.hash.substr(0, 6) + " can't be read: " + why);
    };
    auto text = store_->text(ref);
    if (!text) return unreadable(text.error().what);
    const auto format = format_of(ref.extension);
    const auto wires = shared().wires();
    auto source = read_source(std::move(*text), format, {.wires = &wires});
    if (!source) return unreadable(source.error().empty() ? "errors" : source.error().front().detail);
    if (to_hex(source->policy.version) != ref.hash) {
        // One of before versions were made of digests keeps its name until it is changed.
        const auto flat = flat_version_of(parse_document(source->text, format).document);
        if (to_hex(flat) != ref.hash) return unreadable("its content is not what its name says");
        source->policy.version = flat;
    }
    auto slots = slots_;
    auto prepared = prepare(std::move(*source), slots, ref.generation);
    if (!prepared) return unreadable(prepared.error().detail);
    (*prepared)->text_digest = store_->text_digest(ref).value_or("");
    return PreparedPtr{std::move(*prepared)};
}

// ------------------------------------------------------------------------------------------------------------- keeper
void PolicyServiceImpl::keep() {
    std::unique_lock lock{keeper_mutex_};
    while (!stopping_) {
        keeper_wake_.wait_for(lock, kRetryEvery, [&] { return stopping_ || reconcile_wanted_; });
        if (stopping_) return;
        const bool wanted = std::exchange(reconcile_wanted_, false);
        lock.unlock();
        if (wanted) reconcile();
        tend_shadow();
        retry_writes();
        fold_overlay();
        spell_current();
        settle_changes();
        // The dataplane lets members go at their instant; here they only take room.
        if (const auto at = wall_clock_ns(); at > sets_expire_at_ns_) {
            sets_expire_at_ns_ = at + 10'000'000'000;
            (void)store_->sets().expire(at);
        }
        watch_traffic();
        store_->audit().maintain();
        lock.lock();
    }
}

void PolicyServiceImpl::reconcile() {
    const std::lock_guard commit{commit_mutex_};
    const auto running = client_.get_status();
    if (!running) return;  // gone again; the next hello calls for us
    if (shared().current == nullptr && store_->current()) {
        load_current();  // with the wires known, what could not be read before may be read now
    }
    settle_intent(*running);
    {
        const std::lock_guard sets{sets_mutex_};
        sets_sent_ = running->set_epoch == store_->sets().epoch() && running->last_delta == store_->sets().number();
        if (const auto why = sync_sets(); !why.empty())
            std::fprintf(stderr, "sluice-controlplane: sets: %s\n", why.c_str());
    }
    follow_revert(*running);
    republish(*running);
}

/// The dataplane goes back by itself only to what ought to be current; to anything else because somebody said so, who
/// then could not write it down.
void PolicyServiceImpl::follow_revert(const abi::ProcessState& running) {
    const auto now = shared();
    if (now.current == nullptr || now.pending != nullptr || store_->pending() || restore_due_) return;
    if (static_cast<abi::StateSource>(running.source) != abi::StateSource::reverted) return;
    if (running.running_generation == now.current->generation()) return;
    const auto target = store_->adoption(running.running_generation);
    if (!target || !*target) return;
    const auto prepared = load((*target)->ref);
    if (!prepared) return;  // current's tables are offered again
    auto record = record_of("policy.rollback", Caller{}, state_of(now.current.get()), state_of(prepared->get()));
    (void)went_back_to(*prepared, (*target)->ref,
                       with_result(std::move(record), "adopted", "the dataplane was found to have gone back to it"));
}

bool PolicyServiceImpl::was_pending(std::uint64_t generation) const {
    const auto entries = store_->audit().entries_about(generation, kEntriesAboutOne);
    return entries && std::ranges::any_of(*entries, [&](const AuditEntry& entry) {
               return entry.record.result == "pending" && entry.record.after.generation == generation;
           });
}

void PolicyServiceImpl::settle_intent(const abi::ProcessState& running) {
    const auto intent = store_->pending();
    if (!intent) return;
    PreparedPtr prepared = shared().pending;
    if (prepared == nullptr || prepared->hash != intent->hash) prepared = load(*intent).value_or(nullptr);
    const bool runs_it = prepared != nullptr && running.running_generation == intent->generation &&
                         running.running_digest == prepared->compiled.manifest.generation_digest;
    const auto intended = [&](std::string action) {
        return record_of(std::move(action), Caller{}, state_of(shared().current.get()),
                         {intent->hash, intent->generation});
    };
    if (!runs_it) {
        // It says so until the next publish, and may have gone back from an earlier one: what was taken back was
        // pending.
        const bool went_back = static_cast<abi::StateSource>(running.source) == abi::StateSource::reverted;
        const bool reverted = went_back && was_pending(intent->generation);
        if (reverted) count_publish("reverted");
        // One that a process before this one has staged is due again: it was applied, or it waits.
        ChangeEnd end;
        if (reverted) {
            end = {ChangeState::failed, "it was not confirmed in time"};
        } else if (store_->pending_change() == offered_change_) {
            end = {ChangeState::failed, "the dataplane went away with it, and does not run it"};
        } else if (went_back) {
            // A process that died right behind its offer has not written that it waits: not a second time.
            end = {ChangeState::failed, "the dataplane does not run it, and may have taken it back"};
        }
        return forget_pending(with_result(intended(reverted ? "policy.revert" : "policy.discard"), "done",
                                          reverted ? "it was not confirmed in time; the dataplane took it back"
                                                   : "the dataplane does not run it"),
                              end);
    }
    auto slots = slots_;
    if (slots.assign(prepared->policy)) use_slots(std::move(slots), *prepared);
    if (running.confirm_deadline.ns != 0) {
        {
            const std::lock_guard lock{state_mutex_};
            shared_.pending = prepared;
        }
        return arm_guard(intent->generation);
    }
    (void)make_current(prepared, with_result(intended("policy.adopt"), "adopted",
                                             "the dataplane runs the intent that was found in the store"));
}

void PolicyServiceImpl::republish(const abi::ProcessState& running) {
    const auto now = shared();
    if (now.current == nullptr || now.pending != nullptr) return;
    if (running.running_generation != 0 && running.running_digest == now.current->compiled.manifest.generation_digest) {
        const std::lock_guard lock{state_mutex_};
        shared_.trouble.clear();
        return;
    }
    auto slots = slots_;
    slots.set_capacity(now.hello->rule_slots_max);
    auto again = prepare({now.current->policy,
                          now.current->format,
                          now.current->text,
                          now.current->written,
                          now.current->text_digest,
                          {}},
                         slots, 1);
    std::string trouble;
    if (!again) {
        trouble = again.error().detail;
    } else {
        const auto record = record_of("policy.republish", Caller{}, {{}, running.running_generation});
        const auto published = audited(record, publish(*again, std::move(slots), 0ms, record));
        if (!published) trouble = published.error().detail;
    }
    const std::lock_guard lock{state_mutex_};
    shared_.trouble = trouble;
}

void PolicyServiceImpl::retry_writes() {
    const std::lock_guard commit{commit_mutex_};
    if (!promote_due_ && !restore_due_) return;
    const auto current = shared().current;
    if (current == nullptr) return;
    if (restore_due_) {
        if (store_->restore(restore_due_->ref, restore_due_->record)) restore_due_.reset();
    } else if (store_->pending() && store_->pending()->generation == current->generation()) {
        promote_due_ = !store_->promote(promote_record_);
    } else {
        promote_due_ = false;
    }
    if (!promote_due_ && !restore_due_) {
        const std::lock_guard lock{state_mutex_};
        shared_.write_trouble.clear();
    }
}

}  // namespace sluice::cp
