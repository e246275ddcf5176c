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
#include "dataplane/port/packet_source.hpp"

namespace sluice::bench {

/// A compiled policy and the view that the validator gave.
class Tables {
public:
    /// Error: the compiler's or the validator's own sentence. Every live flow is concerned by a switch to them.
    static Expected<std::unique_ptr<Tables>, std::string> make(const cp::Policy& policy, std::uint64_t generation);

    const dp::TableView& view() const noexcept { return view_; }
    const abi::Manifest& manifest() const noexcept { return compiled_.manifest; }
    std::uint64_t bytes() const noexcept { return compiled_.bytes(); }
    double compile_s() const noexcept { return compile_s_; }
    std::uint32_t rule_slots() const noexcept { return slots_.capacity(); }

private:
    explicit Tables(std::uint32_t slots) : slots_{slots} {}
    /// Sections as the product has them: each in huge pages of its own, from a page's start.
    void place();

    cp::SlotMap slots_;
    cp::CompiledGeneration compiled_;
    std::vector<std::unique_ptr<dp::PrefaultedArray<std::byte>>> placed_;
    dp::SectionBytes sections_{};
    dp::TableView view_;
    double compile_s_{};
};

/// In what a bench's worker differs from the usual one.
struct WorkerSetup {
    bool times{true};  ///< latency and cycles are sampled, as in the product
    std::uint32_t half_open_percent{
        100};  ///< some benches open flows and never answer; whether any was evicted they check
    std::uint32_t index{}, worker_count{1};
    dp::Steering* steering{};  ///< outlives the worker
};

class RealWorker {
public:
    RealWorker(dp::PacketSource& source, std::uint32_t flow_entries_max, std::uint32_t rule_slots,
               const dp::TscRate& tsc, const WorkerSetup& setup = {});
    /// Counts where others can read it, and takes up what a manager publishes; both outlive the worker.
    RealWorker(dp::PacketSource& source, std::uint32_t flow_entries_max, const dp::WorkerTelemetry& telemetry,
               dp::TablesQsbr& published, const dp::TscRate& tsc);

    /// From the next burst on. Not if a manager publishes.
    void publish(const Tables& tables);
    dp::FlowDumpMailbox& dump_mailbox() noexcept { return worker_->dump_mailbox(); }

    /// For who runs several in turns: `step` is one loop, between the other two.
    void begin_run() noexcept;
    void step() noexcept { worker_->run_once(now()); }
    void end_run() noexcept;

    /// Until the source has made `packets` more. The first run brings the worker online.
    void run(std::uint64_t packets) noexcept;
    /// The same; returns the cycles that each stage took, the source's in `rx` and `tx`.
    std::array<std::uint64_t, dp::kStageCount> run_by_stage(std::uint64_t packets) noexcept;
    /// The same, counting rounds of the loop that took longer than `limit`.
    std::uint64_t run_watched(std::uint64_t packets, dp::TscSpan limit) noexcept;

    /// Until the sweep after the last publish has looked at every flow. At least one loop. Returns how many packets the
    /// source made a second in the worst `window`, by the wall: of all the time if that was shorter.
    double run_until_rejudged(dp::TscSpan window, double tsc_hz) noexcept;

    const abi::WorkerCounters& counters() const noexcept { return *telemetry_.counters; }
    std::uint64_t flows() const noexcept { return counters().flows.read(); }
    std::uint64_t flows_rejudged() const noexcept { return counters().flows_rejudged.read(); }
    std::uint64_t flows_created() const noexcept { return counters().flows_created.read(); }
    std::uint64_t lookups() const noexcept { return counters().lookups.read(); }
    std::uint64_t drops() const noexcept;
    /// Empty, or what must not be: packets dropped (with the reason), lost, or flows that are not `flows_expected`.
    std::string complaint(std::uint64_t flows_expected) const;

private:
    /// Where it counts if nobody else reads it.
    struct OwnTelemetry {
        explicit OwnTelemetry(std::uint32_t rule_slots);
        dp::WorkerTelemetry view() noexcept;

        abi::WorkerCounters counters;
        std::vector<abi::RuleCounters> rules;
        abi::EventRingHeader ring;
        std::vector<abi::EventSlot> ring_slots;
    };

    /// The worker's clock stands still between runs: no flow ends because a peer had its turn.
    dp::TscTime now() const noexcept;

    dp::PacketSource& source_;
    dp::TscTime stopped_;
    std::uint64_t paused_cycles_{};
    bool online_{};
    std::unique_ptr<OwnTelemetry> own_telemetry_;  ///< may be null
    dp::WorkerTelemetry telemetry_;
    dp::TablesQsbr own_tables_;
    dp::Generations generations_{own_tables_};
    std::unique_ptr<dp::Worker> worker_;
};

/// The source by itself, as a worker fetches from it: packets are made and taken back.
void run_alone(dp::PacketSource& source, std::uint64_t packets) noexcept;

}  // namespace sluice::bench
