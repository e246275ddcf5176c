#include "dataplane/manager/generations.hpp"

#include <algorithm>
#include <utility>

namespace sluice::dp {

// The owner ends the workers first: from here on nobody reads the tables.
Generations::~Generations() { tables_.publish(nullptr); }

void Generations::take_sets(Node& node) const {
    if (!set_source_ || node.active.view.set_uses.empty()) return;
    auto [view, index] = set_source_(node.active.view);
    node.active.view.members = view;
    node.index = std::move(index);
}

bool Generations::may_switch() { return collect() < kUnretiredMax; }

std::vector<std::uint32_t> Generations::valid_since(const Generation& next, std::uint32_t policy_seq) const {
    constexpr auto rules = static_cast<std::size_t>(abi::SectionKind::rules) - 1;
    constexpr auto zones = static_cast<std::size_t>(abi::SectionKind::zones) - 1;
    // A flow is looked at once in every lap of the sweep; what is older than this can only be a mistake.
    constexpr std::uint32_t age_max = 1U << 30;
    if (!running_ || !current_ || next.view.settings == nullptr || !on_time()) return {};
    const abi::Manifest& ran = running_->manifest;
    const abi::SettingsSection& said = *next.view.settings;
    if (said.base_generation != ran.generation || said.base_rules != ran.sections[rules].digest ||
        next.manifest.sections[zones].digest != ran.sections[zones].digest) {
        return {};
    }
    std::vector<std::uint32_t> since(next.view.untouched.size() * 64, policy_seq);
    for (std::size_t slot = 0; slot < since.size(); ++slot) {
        if ((next.view.untouched[slot / 64] >> (slot % 64) & 1U) == 0) continue;
        const auto& before = current_->valid_since;
        const std::uint32_t then = slot < before.size() ? before[slot] : current_->active.policy_seq;
        since[slot] = policy_seq - then > age_max ? policy_seq - age_max : then;
    }
    return since;
}

namespace {

std::vector<std::uint64_t> live_slots_of(const TableView& view) {
    std::vector<std::uint64_t> live;
    auto hidden = view.overlay.hidden.begin();  // ascending, as the rules are
    for (abi::RuleIndex i = 0; i < view.rules_end(); ++i) {
        if (hidden != view.overlay.hidden.end() && *hidden == i) {
            ++hidden;
            continue;
        }
        const auto slot = static_cast<std::size_t>(view.rule(i).slot);
        if (live.size() <= slot / 64) live.resize(slot / 64 + 1);
        live[slot / 64] |= std::uint64_t{1} << (slot % 64);
    }
    return live;
}

}  // namespace

bool Generations::on_time() const noexcept { return current_->period == current_->generation->view.period_at(unix_s_); }

bool Generations::tell_time(std::uint64_t unix_s) {
    unix_s_ = unix_s;
    if (!current_ || on_time() || !may_switch()) return false;
    publish(running_, false);
    return true;
}

/// `compare`: flows that the generation does not concern stay as they are.
void Generations::publish(const Held& generation, bool compare) {
    auto node = std::make_unique<Node>();
    ++sequence_;
    const auto low = static_cast<std::uint32_t>(sequence_);
    if (low == 0) ++sequence_;  // a flow's 0 means "never judged"
    node->period = generation->view.period_at(unix_s_);
    node->active.view = generation->view;
    node->active.view.use_period(node->period);
    take_sets(*node);
    node->active.sequence = sequence_;
    node->active.tables_sequence = sequence_;
    node->active.policy_seq = static_cast<std::uint32_t>(sequence_);
    node->active.pickup_until = pickup_until_;
    if (compare) node->valid_since = valid_since(*generation, node->active.policy_seq);
    node->active.valid_since = node->valid_since;
    node->live_slots = live_slots_of(generation->view);
    node->active.live_slots = node->live_slots;
    node->generation = generation;
    tables_.publish(&node->active);
    if (current_) retiring_.push_back({std::move(current_), sequence_});
    current_ = std::move(node);
}

std::uint64_t Generations::switch_to(Held generation, abi::StateSource source, abi::MonoTime confirm_deadline) {
    publish(generation, true);
    const bool unconfirmed = confirm_deadline_.ns != 0;
    if (!unconfirmed && running_) previous_ = running_;
    running_ = std::move(generation);
    confirm_deadline_ = confirm_deadline;
    source_ = source;
    highest_seen_ = std::max(highest_seen_, running_->manifest.generation);
    return sequence_;
}

void Generations::replace_tables(Held generation) {
    publish(generation, true);
    running_ = std::move(generation);
}

bool Generations::may_refresh_sets(abi::MonoTime now) {
    // A publication takes some hundred bytes and the numbers of slots: a worker that stalls for a day may hold a day of
    // them, one a second.
    constexpr std::size_t held_max = 64;
    collect();
    return retiring_.size() < held_max || now >= next_slow_refresh_;
}

std::uint64_t Generations::refresh_sets(abi::MonoTime now) {
    auto node = std::make_unique<Node>();
    ++sequence_;
    if (static_cast<std::uint32_t>(sequence_) == 0) ++sequence_;  // as in switch_to
    node->active = current_->active;
    node->active.sequence = sequence_;
    node->active.policy_seq = static_cast<std::uint32_t>(sequence_);
    node->valid_since = current_->valid_since;
    node->active.valid_since = node->valid_since;
    node->live_slots = current_->live_slots;
    node->active.live_slots = node->live_slots;
    node->period = current_->period;
    node->generation = current_->generation;
    node->is_refresh = true;
    take_sets(*node);
    tables_.publish(&node->active);
    retiring_.push_back({std::exchange(current_, std::move(node)), sequence_});
    next_slow_refresh_ = {now.ns + 1'000'000'000};
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
    const auto switches =
        std::count_if(retiring_.begin(), retiring_.end(), [](const Retiring& r) { return !r.node->is_refresh; });
    return static_cast<std::size_t>(switches) + (current_ ? 1U : 0U);
}

}  // namespace sluice::dp
