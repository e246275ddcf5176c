/// After a switch every flow is looked at once more, also those that send nothing: no idle flow keeps rights that the
/// policy has taken back.
///
/// Theory of operation. A hand walks the slab. A switch asks for one whole lap from where the hand stands, so that the
/// hand gets around however fast switches follow each other: every entry is looked at within a lap, and the numbers of
/// switches that flows carry are never more than a lap old (they wrap after 2^32). What is no longer up to date is
/// judged by the classifier, 32 flows at a time; what nothing concerns is only given the new number. The work is paced
/// by time: a million flows a second where the tables are small, and while packets come two thirds of that, whoever
/// judges them: the flows that speak are judged on their next packet, and that is what takes the packets' time then
/// (`tools/bench rejudge` shows how much). The first 64 are judged at once.
/// How far it is stands in `rejudge_left`.
#pragma once

#include <cstdint>

#include <sluice/abi/telemetry.hpp>

#include "dataplane/pipeline/burst.hpp"
#include "dataplane/pipeline/flow_book.hpp"
#include "dataplane/pipeline/rule_meter.hpp"

namespace sluice::dp {

class Sweep {
public:
    /// A bounded share, once per loop after `FlowBook::use`. `busy`: packets have come in this loop.
    void run(const TableView& view, FlowBook& flows, RuleMeter& rules, const Moment& moment, bool busy,
             abi::WorkerCounters& counters) noexcept;

private:
    static constexpr std::size_t kBatch = 32;
    static constexpr std::uint64_t kNsPerFlow = 1'000;  ///< of pace, not of cost
    static constexpr std::uint64_t kNsPerFlowBusy = 1'500;
    static constexpr std::uint32_t kWordsAtPace = 256;  ///< a lookup takes longer with wide blocks: so does the lap
    static constexpr std::uint64_t kBudgetNsMax = 1'000'000;  ///< what a worker that slept makes up for at once
    /// A handful of flows is judged in the loop that sees the switch: some 10 us, once per switch.
    static constexpr std::uint64_t kFirstBatches = 3;
    static constexpr std::uint32_t kScanPerLoop = 16'384;  ///< 64 KiB of packed deadlines: some 4 us

    std::size_t gather(FlowBook& flows, const Moment& moment, std::uint32_t& scan, FlowHandle* batch) noexcept;
    void pass(std::uint32_t entries) noexcept;

    std::uint32_t seen_seq_{};  ///< of the last switch; 0 = none
    std::uint32_t hand_{};
    std::uint32_t left_{};  ///< of the lap
    std::uint64_t budget_ns_{};
    std::uint64_t last_ns_{};
};

}  // namespace sluice::dp
