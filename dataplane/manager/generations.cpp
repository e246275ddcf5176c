#include "dataplane/manager/generations.hpp"

#include <algorithm>
#include <utility>

namespace sluice::dp {

// The owner ends the workers first: from here on nobody reads the tables.
Generations::~Generations() { tables_.publish(nullptr); }

bool Generations::may_switch() { return collect() < kUnretiredMax; }

std::uint64_t Generations::switch_to(Held generation, abi::StateSource source, abi::MonoTime confirm_deadline) {
    auto node = std::make_unique<Node>();
    ++sequence_;
    const auto low = static_cast<std::uint32_t>(sequence_);
    if (low == 0) ++sequence_;  // a flow's 0 means "never judged"
    node->active.view = generation->view;
    node->active.sequence = sequence_;
    node->active.policy_seq = static_cast<std::uint32_t>(sequence_);
    node->active.pickup_until = pickup_until_;
    node->generation = generation;
    tables_.publish(&node->active);
    if (current_) retiring_.push_back({std::move(current_), sequence_});
    current_ = std::move(node);

    const bool unconfirmed = confirm_deadline_.ns != 0;
    if (!unconfirmed && running_) previous_ = running_;
    running_ = std::move(generation);
    confirm_deadline_ = confirm_deadline;
    source_ = source;
    highest_seen_ = std::max(highest_seen_, running_->manifest.generation);
    return sequence_;
}

bool Generations::confirm(std::uint64_t generation) {
    if (confirm_deadline_.ns == 0 || !running_ || running_->manifest.generation != generation) return false;
    confirm_deadline_ = {};
    return true;
}

bool Generations::revert(std::uint64_t leave, abi::StateSource source) {
    if (!previous_ || !running_ || running_->manifest.generation != leave || !may_switch()) return false;
    switch_to(std::exchange(previous_, nullptr), source, {});
    // What was left is nothing to return to: somebody, or the deadline, has decided against it.
    previous_ = nullptr;
    return true;
}

std::size_t Generations::collect() {
    std::erase_if(retiring_, [this](const Retiring& r) { return tables_.readers_before(r.left_at) == 0; });
    return retiring_.size() + (current_ ? 1U : 0U);
}

}  // namespace sluice::dp
