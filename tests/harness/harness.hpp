/// A whole worker in the test's own process: real stages, real flow table, real compiled tables, ports in memory and a
/// clock that the test turns. After every step it checks what must always hold: the conservation law per port, that
/// forwarded and sent packets are as many, and that every buffer came back.
///
///     Harness h;                                     // ports 0 and 1, wired
///     h.use(policy);                                 // compile, validate, publish, let the worker switch
///     EXPECT_EQ(h.fate(0, frame(Ipv4{}, Tcp{})), "forward");
///     EXPECT_EQ(h.fate(0, frame(Ipv4{}, Tcp{.dport = 22})), "policy_reject+answer");
///     h.advance(std::chrono::seconds{31});
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "controlplane/compiler/slot_map.hpp"
#include "controlplane/policy/model.hpp"
#include "dataplane/flow/flow_hash.hpp"
#include "dataplane/pipeline/worker.hpp"
#include "tests/harness/memory_io.hpp"
#include "tests/harness/policies.hpp"

namespace sluice::test {

/// The worker's, known to tests that craft flows as somebody would who has learnt it.
inline constexpr dp::HashSecret kHarnessSecret{0x1234, 0x5678};

struct HarnessOptions {
    std::uint32_t ports{2};  ///< wired in pairs: 0-1, 2-3, ...; named p0, p1, ...
    std::uint32_t flow_entries_max{1024};
    std::size_t buffers{256};
    bool fail_open{false};
    std::uint32_t rejects_per_second_max{100};
    std::uint32_t rule_slots{1024};
    std::uint32_t ring_records{1024};
    std::chrono::milliseconds pickup{0};             ///< after a restart: so long from the start on flows are picked up
    dp::FragmentLimits fragments{.packets_max = 0};  ///< packets_max 0: half of the buffers
    dp::FlowHome flow_home{};                        ///< for flows of an earlier harness
    dp::TimeSampling times{};
};

class Harness {
public:
    explicit Harness(const HarnessOptions& options = {});

    /// Publishes a policy as the next generation and runs one loop, after which the worker uses it.
    void use(const cp::Policy& policy);
    /// Publishes only: the worker switches in its next loop, whatever packets that brings.
    void use_in_next_loop(const cp::Policy& policy);
    /// The tables that run once more, as the manager publishes them when the members of a set have changed.
    void refresh_sets();
    /// The same with tables that are compiled already and outlive the harness; `rule` does not know their ids.
    void use(const CompiledTables& tables);
    /// As if so many more switches had gone before the next one.
    void skip_switches(std::uint64_t count) { skipped_switches_ += count; }
    /// From the next switch on: as the manager says about flows that nothing has changed for (ActiveTables).
    void set_valid_since(std::vector<std::uint32_t> by_slot) { valid_since_ = std::move(by_slot); }

    /// One frame, one loop. "forward": left unchanged through the wire's other port. Else the drop reason's name,
    /// "+answer" behind it if a packet of our own went back. Anything else is described, so that no test accepts it.
    std::string fate(std::uint8_t port, const FrameBytes& frame, dp::L4Checksum checksum = dp::L4Checksum::unknown);
    /// Several frames, then one loop (or as many as they need); what left, in order.
    std::vector<Output> send(const std::vector<std::pair<std::uint8_t, FrameBytes>>& frames);

    /// Turns the clock and lets the worker run, at most 100 ms apart.
    void advance(std::chrono::milliseconds by);
    /// Turns the clock without letting the worker run.
    void skip(std::chrono::milliseconds by) {
        now_ = now_ + dp::TscSpan{static_cast<std::uint64_t>(by.count()) * 1'000'000};
    }
    std::size_t run_once();
    /// As the worker's loop does once a second.
    void set_clock() { worker_->set_clock(now_, now_mono()); }
    /// The worker stops, as at the end of the process.
    void go_offline();

    abi::MonoTime now_mono() const noexcept { return config_.tsc.to_mono(now_); }

    std::uint64_t drops(std::uint8_t port, abi::DropReason reason) const;
    std::uint64_t drops(abi::DropReason reason) const;  ///< all ports
    const abi::WorkerCounters& counters() const noexcept { return *counters_; }
    /// Of a rule of the policy in use, or of `default`, `builtin:arp`, ...
    const abi::RuleCounters& rule(const std::string& id) const;
    const dp::RecoveryCount& recovered() const noexcept { return worker_->recovered(); }
    std::uint64_t flows() const noexcept { return counters_->flows.read(); }

    /// Events since the last call. Fails if the ring was lapped.
    std::vector<abi::FlowEvent> events();
    /// All flows, through the worker's mailbox, `page` at a time.
    std::vector<abi::FlowRecord> dump(std::uint32_t page = 64, const abi::FlowFilter& filter = {});
    /// From the next loop on: as the manager says that somebody watches new flows.
    void watch_new_flows(std::uint32_t per_second) {
        worker_->dump_mailbox().new_flows_per_second.store(per_second, std::memory_order_relaxed);
    }
    /// Ends the flows that fit, through the mailbox; returns how many.
    std::uint32_t end_flows(const abi::FlowFilter& filter, bool answered);
    int dump_loops{};  ///< how many loops the longest page of the last dump took

    MemoryIo io;
    dp::TablesQsbr tables;

private:
    static constexpr dp::TscTime kStart{1'000'000'000};

    void check() const;

    dp::WorkerConfig config_;
    std::unique_ptr<abi::WorkerCounters> counters_;
    std::vector<abi::RuleCounters> rules_;
    abi::EventRingHeader ring_;
    std::vector<abi::EventSlot> ring_slots_;
    cp::SlotMap slots_;
    struct Published {
        std::unique_ptr<CompiledTables> compiled;  ///< empty: somebody else's
        std::vector<std::uint32_t> valid_since;
        std::vector<std::uint64_t> live_slots;  ///< of the rules that the view has, as the manager says them
        dp::ActiveTables active;
    };
    void publish(const dp::TableView& view, std::unique_ptr<CompiledTables> compiled);
    void let_worker_switch();
    bool serve_mailbox();
    std::vector<std::unique_ptr<Published>> published_;
    std::uint64_t skipped_switches_{};
    std::vector<std::uint32_t> valid_since_;
    std::unique_ptr<dp::Worker> worker_;
    dp::TscTime now_{kStart};
    std::size_t buffers_{};
    abi::MonoTime pickup_until_{};
    std::uint64_t events_read_{};
};

}  // namespace sluice::test
