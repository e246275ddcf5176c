/// A whole worker as the product runs it, over the memory source: real stages, real flow table, tables that the real
/// compiler made and the real validator let in. It says afterwards whether all that went in came out.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <sluice/expected.hpp>

#include "controlplane/compiler/compiler.hpp"
#include "controlplane/compiler/slot_map.hpp"
#include "dataplane/acl/validator.hpp"
#include "dataplane/flow/prefaulted.hpp"
#include "dataplane/manager/generations.hpp"
#include "dataplane/pipeline/worker.hpp"
#include "dataplane/port/memory_source.hpp"

namespace sluice::bench {

/// A compiled policy and the view that the validator gave.
class Tables {
public:
    /// Error: the compiler's or the validator's own sentence. `base`: what will run before, as the control plane
    /// compares with it; null: every live flow is concerned.
    static Expected<std::unique_ptr<Tables>, std::string> make(const cp::Policy& policy, std::uint64_t generation,
                                                               const Tables* base = nullptr);

    const dp::TableView& view() const noexcept { return view_; }
    const abi::Manifest& manifest() const noexcept { return compiled_.manifest; }
    std::uint64_t bytes() const noexcept { return compiled_.bytes(); }
    double compile_s() const noexcept { return compile_s_; }
    std::uint32_t rule_slots() const noexcept { return slots_.capacity(); }
    /// As the dataplane does for every generation that it is offered.
    bool validate_again() const;

private:
    Tables(const cp::Policy& policy, std::uint32_t slots) : policy_{policy}, slots_{slots} {}
    cp::ChangeBase as_base() const noexcept;
    /// Sections as the product has them: each in huge pages of its own, from a page's start.
    void place();
    Expected<dp::TableView, dp::Refusal> validate() const;

    cp::Policy policy_;
    cp::SlotMap slots_;
    cp::CompiledGeneration compiled_;
    std::vector<std::unique_ptr<dp::PrefaultedArray<std::byte>>> placed_;
    dp::SectionBytes sections_{};
    dp::TableView view_;
    double compile_s_{};
};

class RealWorker {
public:
    RealWorker(dp::MemorySource& source, std::uint32_t flow_entries_max, std::uint32_t rule_slots,
               const dp::TscRate& tsc);

    /// From the next burst on. Also from another thread, one at a time.
    void publish(const Tables& tables);
    bool adopted() const noexcept { return generations_.late_workers(generations_.sequence()) == 0; }

    /// Until the source has made `packets` more.
    void run(std::uint64_t packets) noexcept;
    /// The same; returns the cycles that each stage took, the source's in `rx` and `tx`.
    std::array<std::uint64_t, dp::kStageCount> run_by_stage(std::uint64_t packets) noexcept;
    /// The same, counting rounds of the loop that took longer than `limit`.
    std::uint64_t run_watched(std::uint64_t packets, dp::TscSpan limit) noexcept;

    /// Until the sweep after the last publish has looked at every flow. At least one loop.
    void run_until_rejudged() noexcept;

    std::uint64_t flows() const noexcept { return counters_->flows.read(); }
    std::uint64_t flows_rejudged() const noexcept { return counters_->flows_rejudged.read(); }
    std::uint64_t flows_created() const noexcept { return counters_->flows_created.read(); }
    std::uint64_t lookups() const noexcept { return counters_->lookups.read(); }
    std::uint64_t drops() const noexcept;
    /// Empty, or what must not be: packets dropped (with the reason), lost, or flows that are not `flows_expected`.
    std::string complaint(std::uint64_t flows_expected) const;

private:
    /// The worker's clock stands still between runs: no flow ends because a peer had its turn.
    dp::TscTime now() const noexcept;
    void begin_run() noexcept;
    void end_run() noexcept;

    dp::MemorySource& source_;
    dp::TscTime stopped_;
    std::uint64_t paused_cycles_{};
    std::unique_ptr<abi::WorkerCounters> counters_;
    std::vector<abi::RuleCounters> rules_;
    abi::EventRingHeader ring_;
    std::vector<abi::EventSlot> ring_slots_;
    dp::TablesQsbr published_;
    dp::Generations generations_{published_};
    std::unique_ptr<dp::Worker> worker_;
};

/// The source by itself, as a worker fetches from it: packets are made and taken back.
void run_alone(dp::MemorySource& source, std::uint64_t packets) noexcept;

}  // namespace sluice::bench
