/// A worker: one thread, its ports' queues, its own flow table, and the walk of a packet through the stages.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>

#include <sluice/abi/telemetry.hpp>

#include "dataplane/acl/table_view.hpp"
#include "dataplane/flow/flow_recovery.hpp"
#include "dataplane/pipeline/flow_dump.hpp"
#include "dataplane/pipeline/packet.hpp"
#include "dataplane/pipeline/qsbr.hpp"
#include "dataplane/pipeline/stage_cycles.hpp"
#include "dataplane/pipeline/tsc.hpp"

namespace sluice::dp {

struct Steering;  // hand_over.hpp

/// What is published to workers: a validated view and its place in the order of switches. Never changes once published.
struct ActiveTables {
    TableView view;
    /// Counts switches and changes of sets, from 2 (1 = "online, nothing seen yet"); never repeats, unlike generations.
    std::uint64_t sequence{};
    std::uint64_t tables_sequence{};  ///< of the switch that brought these tables: since then only sets have changed
    std::uint32_t policy_seq{};       ///< low 32 bits of `sequence`, never 0: what a flow stores as "judged under"
    /// By rule slot: the policy_seq since which nothing has changed for the flows that this slot decides. Flows of
    /// slots behind the end were last concerned by the switch that brought the tables.
    std::span<const std::uint32_t> valid_since;
    /// A bit for each slot that a rule of the view has. Empty: not known, every slot may have one.
    std::span<const std::uint64_t> live_slots;
    /// Until then flows that the process before this one knew are taken up in mid-stream (CASES D5); 0 = never.
    abi::MonoTime pickup_until{};
};
using TablesQsbr = Qsbr<ActiveTables>;

/// What fragments of larger datagrams may take of one worker until the datagrams are whole (CASES Q13).
struct FragmentLimits {
    std::uint32_t packets_max{1536};           ///< buffers; a held one is missing from the receive side
    std::uint32_t memory_bytes_max{4U << 20};  ///< frames
    std::uint32_t timeout_v4_ms{30'000};       ///< from the first fragment that came
    std::uint32_t timeout_v6_ms{60'000};       ///< RFC 8200 section 4.5
};

/// Where a worker's flows stand, if they are to outlive the process (manager/flow_memory.hpp).
struct FlowHome {
    FlowSlab slab{};  ///< for flow_entries_max entries, as many IPv6 lines, proxies_max; empty: the worker's own
    FlowAnchor* anchor{};
    std::uint32_t tick_at_origin{};  ///< of tsc.origin: ticks of the slab go on
    RecoveryLimits limits{};
};

struct WorkerConfig {
    std::uint32_t index{};
    std::uint32_t worker_count{1};
    std::uint32_t port_count{};
    std::array<PortIndex, abi::kPortsMax> wire_partner{};  ///< where a packet from port i leaves; kNoPort = not wired
    std::uint32_t flow_entries_max{1U << 20};              ///< of this worker
    std::uint32_t half_open_percent{25};                   ///< of flow_entries_max, for half-open flows
    std::uint32_t proxies_max{};  ///< flows of this worker that SYN cookies began; 0: a sixteenth of flow_entries_max
    bool fail_open{};
    TscRate tsc{};
    std::array<std::uint64_t, 2> hash_secret{};  ///< random per boot, independent of the RSS key
    std::uint32_t rejects_per_second_max{100};   ///< answers, per worker
    FragmentLimits fragments{};
    FlowHome flow_home{};
    TimeSampling times{};
    Steering* steering{};  ///< shared by all workers, outlives them; nullptr: there is one
};

/// Where a worker writes what it counts. All memory belongs to the caller and outlives the worker.
struct WorkerTelemetry {
    abi::WorkerCounters* counters{};
    std::span<abi::RuleCounters> rules;
    abi::EventRingHeader* ring{};
    std::span<abi::EventSlot> ring_slots;  ///< length is a power of two
};

class Worker {
public:
    Worker(const WorkerConfig& config, PacketIo& io, const WorkerTelemetry& telemetry, TablesQsbr& tables);
    ~Worker();
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    /// One loop: each port's burst through all stages, then a bounded share of ageing and housekeeping.
    /// Returns the number of packets received, so that the caller may sleep when idle. `now` is the loop's only clock.
    std::size_t run_once(TscTime now) noexcept;

    /// `now` was `mono`: what events and the heartbeat say from here on. The flow table's ticks go on as they were; a
    /// successor is told what time they mean.
    void set_clock(TscTime now, abi::MonoTime mono) noexcept;

    /// Flows of an earlier process, which stand somewhere else than in flow_home. Before the first loop.
    void take_over(const FlowSlab& old, const FlowMove& move) noexcept;
    /// What became of the flows of flow_home's slab and of those that were taken over.
    const RecoveryCount& recovered() const noexcept;
    /// From the next loop on, the cycles of every burst are added up there; nullptr: no longer. For the bench;
    /// meanwhile nothing is sampled for telemetry.
    void watch_stages(StageCycles* stages) noexcept;

    FlowDumpMailbox& dump_mailbox() noexcept;
    /// The QSBR side of coming and going; call on the worker's own thread. Going, it drops the fragments that it holds.
    void go_online() noexcept;
    void go_offline() noexcept;

private:
    struct Impl;  // keeps stages' headers out of the manager; one indirection per burst
    std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::dp
