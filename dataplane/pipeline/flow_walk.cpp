#include "dataplane/pipeline/flow_walk.hpp"

#include <algorithm>
#include <limits>

#include "dataplane/pipeline/flow_match.hpp"

namespace sluice::dp {

void FlowWalk::look_at(FlowHandle h, FlowDumpMailbox& mailbox, FlowBook& flows, const Moment& moment) noexcept {
    ++looked_at_;
    const abi::FlowRecord record = flows.record(h, moment);
    if (!fits(mailbox.filter, record)) return;
    switch (mailbox.task) {
        case FlowTask::dump: mailbox.flows[mailbox.count] = record; break;
        case FlowTask::end: flows.end_by_request(h, moment); break;
        case FlowTask::end_answered:
            if (record.state == abi::FlowState::killed) return;
            flows.mark_by_request(h, moment);
            break;
    }
    ++mailbox.count;
}

void FlowWalk::serve(FlowDumpMailbox& mailbox, FlowBook& flows, const Moment& moment, bool idle) noexcept {
    // acquire: pairs with the manager's release when it asked; its fields are ours now.
    if (mailbox.state.load(std::memory_order_acquire) != FlowDumpMailbox::State::requested) return;
    if (!running_) {
        running_ = true;
        at_ = mailbox.position;
        looked_at_ = 0;
        mailbox.count = 0;
    }
    const bool dumps = mailbox.task == FlowTask::dump;
    const std::uint32_t wanted =
        dumps ? std::min(mailbox.count_max, abi::kFlowsPerDumpMax) : std::numeric_limits<std::uint32_t>::max();
    const std::uint32_t capacity = flows.table.capacity();
    const std::uint32_t scan_end = at_ + std::min(kScanPerLoop, capacity - std::min(capacity, at_));
    for (std::uint32_t left = idle ? kFlowsPerLoopIdle : kFlowsPerLoop; left != 0 && mailbox.count < wanted; --left) {
        at_ = flows.table.next_live(at_, scan_end);
        if (at_ == scan_end) break;
        look_at(FlowHandle{at_++}, mailbox, flows, moment);
    }
    if (at_ < capacity && mailbox.count < wanted && looked_at_ < kFlowsPerAnswer) return;
    running_ = false;
    mailbox.next = at_;
    mailbox.last = at_ >= capacity;
    // release: the manager's acquire sees the records.
    mailbox.state.store(FlowDumpMailbox::State::done, std::memory_order_release);
}

}  // namespace sluice::dp
