#include "dataplane/manager/flow_dumps.hpp"

#include <algorithm>
#include <utility>

namespace sluice::dp {

namespace {
constexpr std::uint64_t kPatienceNs = 1'000'000'000;
constexpr std::size_t kWaitingPerClientMax = 4;
constexpr std::uint64_t kWorkerShift = 32;
}  // namespace

bool FlowDumps::ask(const Request& request) {
    const auto mine =
        std::count_if(waiting_.begin(), waiting_.end(), [&](const Request& r) { return r.client == request.client; });
    if (static_cast<std::size_t>(mine) >= kWaitingPerClientMax) return false;
    waiting_.push_back(request);
    return true;
}

void FlowDumps::forget(std::uint64_t client) {
    std::erase_if(waiting_, [&](const Request& r) { return r.client == client; });
    if (active_ && active_->client == client) active_->client = 0;  // the worker still answers; nobody gets it
}

std::optional<FlowDumps::Page> FlowDumps::step(abi::MonoTime now) {
    using State = FlowDumpMailbox::State;
    if (!active_) {
        if (waiting_.empty()) return std::nullopt;
        active_ = waiting_.front();
        waiting_.pop_front();
        asked_ = false;
        deadline_ = {now.ns + kPatienceNs};
    }
    const std::uint64_t worker = active_->cursor >> kWorkerShift;
    if (worker >= mailboxes_.size()) return finish(0, active_->cursor, true);
    const std::uint64_t next_worker = (worker + 1) << kWorkerShift;
    const bool last_worker = worker + 1 == mailboxes_.size();
    FlowDumpMailbox& box = *mailboxes_[worker];

    // acquire: pairs with the worker's release of `done`; its records are ours to read from here on.
    State state = box.state.load(std::memory_order_acquire);
    if (!asked_ && state == State::done) {  // the answer to a request that was given up
        box.state.store(State::idle, std::memory_order_relaxed);
        state = State::idle;
    }
    if (!asked_ && state == State::idle) {
        box.position = static_cast<std::uint32_t>(active_->cursor);
        box.task = active_->task;
        box.filter = active_->filter;
        box.count_max = std::clamp<std::uint32_t>(active_->count_max, 1, abi::kFlowsPerDumpMax);
        asked_ = true;
        // release: pairs with the worker's acquire; it reads our fields after this.
        box.state.store(State::requested, std::memory_order_release);
        return std::nullopt;
    }
    if (asked_ && state == State::done) {
        const bool dumped = active_->task == FlowTask::dump;
        const std::uint32_t count = dumped ? std::min(box.count, abi::kFlowsPerDumpMax) : box.count;
        if (dumped) std::copy_n(box.flows.begin(), count, dump_.flows.begin());
        const std::uint64_t next = box.last ? next_worker : (worker << kWorkerShift | box.next);
        const bool last = box.last && last_worker;
        box.state.store(State::idle, std::memory_order_relaxed);
        return finish(count, next, last);
    }
    if (now.ns >= deadline_.ns) return finish(0, next_worker, last_worker);
    return std::nullopt;
}

FlowDumps::Page FlowDumps::finish(std::uint32_t count, std::uint64_t next, bool last) {
    if (active_->task != FlowTask::dump) {
        ended_.header.bytes = sizeof ended_;
        ended_.header.sequence = active_->sequence;
        ended_.next = next;
        ended_.count = count;
        ended_.last = last ? 1 : 0;
        ended_.granted = 1;
        const std::uint64_t client = active_->client;
        active_.reset();
        return {client, nullptr, &ended_};
    }
    dump_.header = {
        .type = abi::MessageType::flow_dump,
        .bytes = static_cast<std::uint32_t>(offsetof(abi::FlowDump, flows) + count * sizeof(abi::FlowRecord)),
        .sequence = active_->sequence};
    dump_.next = next;
    dump_.count = count;
    dump_.last = last ? 1 : 0;
    const std::uint64_t client = active_->client;
    active_.reset();
    return {client, &dump_, nullptr};
}

}  // namespace sluice::dp
