/// What is promised about generations and about counter slots, in the model's plain way: which generation runs, which
/// one a revert returns to, when an unconfirmed one goes, when no more may be published; and whose a slot is.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/simulation/model.hpp"

namespace sluice::sim {

class SwitchModel {
public:
    static constexpr std::size_t kUnretiredMax = 4;  ///< the running one included
    using Held = std::shared_ptr<const Edition>;

    /// A worker has ended a loop that it began under this switch: it looks at nothing older any more.
    void worker_saw(std::size_t worker, std::uint64_t switch_number) {
        if (switch_number != 0) seen_[worker] = switch_number;
    }
    /// Bits of those that may still look at something older than what this switch brought.
    std::uint64_t late_workers(std::uint64_t switch_number) const {
        std::uint64_t late = 0;
        for (std::size_t w = 0; w < seen_.size(); ++w) late |= std::uint64_t{seen_[w] < switch_number ? 1U : 0U} << w;
        return late;
    }
    bool may_switch() const {
        const std::uint64_t all_saw = *std::min_element(seen_.begin(), seen_.end());
        const auto held =
            std::count_if(left_at_.begin(), left_at_.end(), [=](std::uint64_t at) { return at > all_saw; });
        return static_cast<std::size_t>(held) + (running_ ? 1U : 0U) < kUnretiredMax;
    }
    bool publish(Held next, std::uint64_t deadline_ns) {
        if (!may_switch() || (deadline_ns != 0 && !running_)) return false;
        // The way back is to what nobody has to confirm any more.
        if (deadline_ns_ == 0 && running_) previous_ = running_;
        become(std::move(next), deadline_ns);
        return true;
    }
    bool confirm() {
        if (!running_ || deadline_ns_ == 0) return false;
        deadline_ns_ = 0;
        return true;
    }
    bool revert() {
        if (!running_ || !previous_ || !may_switch()) return false;
        become(previous_, 0);
        previous_ = nullptr;
        return true;
    }
    bool time_is_up(std::uint64_t mono_ns) const { return deadline_ns_ != 0 && mono_ns >= deadline_ns_; }
    /// A new process: what the store kept runs again, flows and readers begin anew.
    void begin_again(bool tables_survive, std::size_t workers) {
        left_at_.clear();
        seen_.assign(workers, 1);
        number_ = 1;
        if (tables_survive && running_) {
            number_ = 2;
        } else {
            running_ = previous_ = nullptr;
            deadline_ns_ = 0;
        }
    }

    const Held& running() const noexcept { return running_; }
    const Held& previous() const noexcept { return previous_; }
    std::uint64_t deadline_ns() const noexcept { return deadline_ns_; }
    std::uint64_t number() const noexcept { return running_ ? number_ : 0; }

private:
    void become(Held next, std::uint64_t deadline_ns) {
        ++number_;
        if (running_) left_at_.push_back(number_);
        running_ = std::move(next);
        deadline_ns_ = deadline_ns;
    }

    Held running_, previous_;
    std::uint64_t deadline_ns_{};
    std::uint64_t number_{1};
    std::vector<std::uint64_t> seen_{1, 1};  ///< by worker
    std::vector<std::uint64_t> left_at_;
};

/// An id keeps its slot, and gets it back if it comes again in time; a new id gets a slot that nobody has had, and only
/// when there is none, the one that has been free for longest.
class SlotModel {
public:
    explicit SlotModel(std::uint32_t capacity) : capacity_{capacity} {}

    void assign(const cp::Policy& policy) {
        const auto wanted = [&](const std::string& id) {
            return std::any_of(policy.rules.begin(), policy.rules.end(), [&](const cp::Rule& r) { return r.id == id; });
        };
        for (const auto& [id, slot] : slot_) {
            const bool is_free = std::find(free_.begin(), free_.end(), id) != free_.end();
            if (!wanted(id) && !is_free) free_.push_back(id);
        }
        std::erase_if(free_, wanted);
        for (const cp::Rule& rule : policy.rules) {
            if (slot_.contains(rule.id)) continue;
            std::uint32_t slot = next_;
            if (next_ < capacity_) {
                ++next_;
            } else {
                slot = slot_.at(free_.front());
                slot_.erase(free_.front());
                free_.pop_front();
            }
            slot_[rule.id] = slot;
        }
    }
    std::uint32_t slot(const std::string& id) const { return slot_.at(id); }

private:
    std::uint32_t capacity_;
    std::uint32_t next_{static_cast<std::uint32_t>(abi::kSlotFirstFree)};
    std::map<std::string, std::uint32_t> slot_;
    std::deque<std::string> free_;  ///< ids without a rule, longest first
};

}  // namespace sluice::sim
