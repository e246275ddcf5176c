#include "dataplane/pipeline/sweep.hpp"

#include <algorithm>
#include <array>
#include <span>

#include "dataplane/pipeline/rejudge.hpp"

namespace sluice::dp {

namespace {

void prefetch(const void* line) noexcept { __builtin_prefetch(line); }

/// Judges flows whose entries are in the cache by now.
void judge_all(std::span<const FlowHandle> batch, const TableView& view, FlowBook& flows, RuleMeter& rules,
               const Moment& moment, abi::WorkerCounters& counters) noexcept {
    std::array<LookupKey, kBurstMax> keys;
    std::array<LookupResult, kBurstMax> answers;
    std::array<Passage, kBurstMax> passages;
    for (std::size_t k = 0; k < batch.size(); ++k) {
        passages[k] = flows.original_passage(batch[k], view);
        keys[k] = flow_question(passages[k], batch[k], flows.table);
    }
    counters.set_hits.add(lookup(view, std::span<const LookupKey>{keys.data(), batch.size()},
                                 std::span<LookupResult>{answers.data(), batch.size()}));
    counters.lookups.add(batch.size());
    for (std::size_t k = 0; k < batch.size(); ++k) {
        judge(batch[k], view, answers[k], passages[k], flows, rules, moment, counters);
    }
}

}  // namespace

void Sweep::pass(std::uint32_t entries) noexcept {
    hand_ += entries;
    left_ -= entries;
}

/// The next live entries under the hand, at most kBatch, their first lines asked for.
std::size_t Sweep::gather(FlowBook& flows, const Moment& moment, std::uint32_t& scan, FlowHandle* batch) noexcept {
    std::size_t count = 0;
    while (count < kBatch && left_ != 0 && scan != 0) {
        if (hand_ == flows.table.capacity()) hand_ = 0;
        const std::uint32_t end = hand_ + std::min({left_, scan, flows.table.capacity() - hand_});
        const std::uint32_t at = flows.table.next_live(hand_, end);
        const std::uint32_t walked = at - hand_ + (at == end ? 0 : 1);
        scan -= walked;
        pass(walked);
        if (at == end) continue;
        batch[count++] = FlowHandle{at};
        prefetch(&flows.table.hot(FlowHandle{at}));
    }
    std::size_t stale = 0;
    for (std::size_t k = 0; k < count; ++k) {
        const FlowHandle h = batch[k];
        if (!flows.old(h) || flows.marked(h) || flows.table.expired(h, moment.tick)) continue;
        if (!flows.concerned(h)) {
            flows.restamp(h);
            continue;
        }
        batch[stale++] = h;
        if (flows.table.hot(h).has(flow_flag::v6)) prefetch(&flows.table.key_v6(h));
    }
    return stale;
}

void Sweep::run(const TableView& view, FlowBook& flows, RuleMeter& rules, const Moment& moment, bool busy,
                abi::WorkerCounters& counters) noexcept {
    const std::uint64_t now_ns = moment.mono.ns;
    const std::uint64_t elapsed_ns = now_ns > last_ns_ ? now_ns - last_ns_ : 0;
    last_ns_ = now_ns;
    const std::uint64_t batch_ns =
        kBatch * (busy ? kNsPerFlowBusy : kNsPerFlow) * (1 + view.block_words_max() / kWordsAtPace);
    if (seen_seq_ != flows.stamp().policy_seq) {
        seen_seq_ = flows.stamp().policy_seq;
        left_ = flows.table.capacity();
        budget_ns_ = kFirstBatches * batch_ns;
    }
    if (left_ == 0) return;
    budget_ns_ = std::min(budget_ns_ + std::min(elapsed_ns, kBudgetNsMax), kBudgetNsMax);
    std::uint32_t scan = kScanPerLoop;
    std::array<FlowHandle, kBatch> batch;
    while (budget_ns_ >= std::min(batch_ns, kBudgetNsMax) && left_ != 0 && scan != 0) {
        const std::size_t count = gather(flows, moment, scan, batch.data());
        if (count != 0) judge_all({batch.data(), count}, view, flows, rules, moment, counters);
        // Entries that nothing concerns, or that a packet has had judged, cost a cache miss each.
        const std::uint64_t spent_ns = busy ? batch_ns : batch_ns * count / kBatch + kBatch * kNsPerFlow / 8;
        budget_ns_ -= std::min(budget_ns_, spent_ns);
    }
    counters.rejudge_left.set(left_);
}

}  // namespace sluice::dp
