#include "dataplane/manager/set_keeper.hpp"

#include <sys/random.h>

#include <array>
#include <chrono>

namespace sluice::dp {

namespace {

SetHash random_hash() {
    std::array<std::uint64_t, 2> keys{};
    // Fails before the kernel's pool is ready only, and a process as late as this one is started after that.
    if (getrandom(keys.data(), sizeof keys, 0) != sizeof keys) keys = {0x243f6a8885a308d3, 0x13198a2e03707344};
    return {keys[0], keys[1]};
}

std::uint64_t unix_now_ns() noexcept {
    return static_cast<std::uint64_t>(
        std::chrono::nanoseconds{std::chrono::system_clock::now().time_since_epoch()}.count());
}

}  // namespace

SetKeeper::SetKeeper(std::shared_ptr<SetMemory> memory, Generations& generations)
    : memory_{std::move(memory)},
      table_{memory_->memory(), random_hash()},
      stamps_{std::make_unique<SetStamps>()},
      generations_{generations} {
    generations_.take_sets_from([this](const TableView& tables) {
        return std::pair{table_.view(tables, stamps_.get(), since_), table_.index()};
    });
}

Expected<void, Refusal> SetKeeper::apply(const abi::ChangeSets& batch, abi::MonoTime now) {
    const auto effect =
        table_.apply(batch, {.mono = now, .unix_ns = unix_now_ns()}, stamps_.get(), generations_.next_policy_seq());
    if (!effect) return Unexpected<Refusal>{effect.error()};
    note(*effect);
    publish(now);
    return {};
}

void SetKeeper::note(const SetTable::Effect& effect) {
    if (effect.everybody) since_ = generations_.next_policy_seq();
    if (!effect.anything && !effect.views) return;
    views_changed_ = views_changed_ || effect.views;
    if (dirty_at_ == 0) dirty_at_ = generations_.sequence();
}

std::uint64_t SetKeeper::in_force_at() const noexcept { return dirty_at_ == 0 ? generations_.sequence() : 0; }

void SetKeeper::publish(abi::MonoTime now) {
    if (dirty_at_ == 0) return;
    // A switch has taken the views along, or nobody asks.
    const bool done = generations_.sequence() > dirty_at_ || !generations_.ask_sets();
    if (!done) {
        if ((now < next_publish_ && !views_changed_) || !generations_.may_refresh_sets(now)) return;
        generations_.refresh_sets(now);
        next_publish_ = {now.ns + kPublishNs};
    }
    dirty_at_ = 0;
    if (std::exchange(views_changed_, false)) leaving_at_ = generations_.sequence();
}

void SetKeeper::turn(abi::MonoTime now) {
    if (const abi::MonoTime due = table_.next_expiry(); due.ns != 0 && due <= now) {
        note(table_.expire(now, stamps_.get(), generations_.next_policy_seq(), kExpiredPerTurn));
    }
    publish(now);
    if (dirty_at_ == 0 && leaving_at_ != 0 && generations_.late_workers(leaving_at_) == 0) {
        leaving_at_ = 0;
        table_.readers_have_moved();
    }
    cleaning_ = table_.clean(kCleanedPerTurn);
}

}  // namespace sluice::dp
