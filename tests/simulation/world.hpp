/// The product, run by a schedule under a clock that only the schedule turns, with the model beside it: real workers
/// over ports in memory, each with its own flow table, all reading the tables that the real dp::Generations publish and
/// retire, tables compiled by the real compiler with a real SlotMap. After each step everything that can be seen is
/// compared with what the model says, and goes into a digest.
///
/// One run in 32 has the product's manager as well, with a socket, a publisher and a descriptor store; the others ask
/// dp::Generations themselves what the manager would, and cost a tenth.
///
/// A crash leaves what the descriptor store holds: tables, and the memfds with the workers' flows, as they were at that
/// instant. The next process is a new dataplane on them, maybe of another shape.
///
/// One thread. Where threads would interleave inside a loop, a worker "stands still" in its receive call while other
/// steps happen: generations come and go under it, other workers run, time passes.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <xxhash.h>

#include "controlplane/compiler/slot_map.hpp"
#include "dataplane/flow/flow_table.hpp"
#include "dataplane/manager/flow_memory.hpp"
#include "dataplane/manager/generations.hpp"
#include "dataplane/pipeline/worker.hpp"
#include "tests/harness/memory_io.hpp"
#include "tests/harness/policies.hpp"
#include "tests/simulation/model.hpp"
#include "tests/simulation/real_manager.hpp"
#include "tests/simulation/schedule.hpp"
#include "tests/simulation/switch_model.hpp"
#include "tests/simulation/traffic.hpp"

namespace sluice::sim {

inline constexpr std::size_t kWorkersMost = 3;
inline constexpr std::uint64_t kOriginCycles = 1'000'000'000, kOriginMonoNs = 5'000'000'000;

/// MemoryIo with a bell in its receive call.
class BelledIo final : public dp::PacketIo {
public:
    explicit BelledIo(std::size_t buffers) : memory{buffers} {}
    test::MemoryIo memory;
    bool dead{};  ///< its process is no more: nothing comes, whatever is still called
    std::function<void(std::uint8_t port)> before_receive;
    std::function<void(std::uint8_t port, std::size_t count)> after_receive;

    std::size_t receive(dp::PortIndex port, std::span<dp::Packet> out) noexcept override {
        if (!dead) before_receive(static_cast<std::uint8_t>(port));
        if (dead) return 0;
        const std::size_t n = memory.receive(port, out);
        after_receive(static_cast<std::uint8_t>(port), n);
        return n;
    }
    std::size_t send(dp::PortIndex port, std::span<const dp::Packet> packets) noexcept override {
        return memory.send(port, packets);
    }
    void release(std::span<const dp::Packet> packets) noexcept override { memory.release(packets); }
    bool allocate(std::uint32_t bytes, dp::Packet& out) noexcept override { return memory.allocate(bytes, out); }
    bool link_up(dp::PortIndex port) const noexcept override { return memory.link_up(port); }
};

class World {
public:
    /// `fail` gets one sentence and does not return. `trace`, if there is one, gets a line per step.
    World(const Setup& setup, std::function<void(const std::string&)> fail,
          std::function<void(const std::string&)> trace);
    ~World();
    World(const World&) = delete;
    World& operator=(const World&) = delete;

    void run(const std::vector<Step>& steps);
    /// Over everything that could be observed.
    std::uint64_t digest() const;

    /// How much of the interesting a run has met, for a summary over many seeds.
    struct Tally {
        std::uint64_t forwarded{}, dropped{}, flows{}, expired{}, ended_by_policy{}, kept_on_change{}, reopened{},
            publishes{}, refused{}, reverts{}, stalls{}, crashes{}, crashes_in_a_loop{}, restarts{}, flows_kept{},
            flows_lost{}, picked_up{}, answers{}, events{}, untouched{};
        void add(const Tally& t);
    };
    Tally tally;

private:
    struct Master {
        cp::Policy policy;
        std::shared_ptr<const test::CompiledTables> tables;
    };
    struct Compiled {
        std::shared_ptr<const test::CompiledTables> tables;
        std::vector<abi::RuleRecord> rules;
        abi::SettingsSection settings;
        std::vector<std::uint64_t> untouched;
        dp::Generation generation;
    };
    /// How a dataplane is configured; may change from one process to the next.
    struct Shape {
        std::size_t workers{2};
        std::uint32_t entries{};  ///< of each worker's flow table
        bool operator==(const Shape&) const = default;
    };
    /// What a worker's time is: its ticks are counted by the CPU, and their beginning is noted by the other clock.
    struct LaneClock {
        std::uint64_t origin_ns{}, tick_at_origin{};
        std::uint64_t tick_zero_ns{};  ///< monotonic, modulo 2^64: may lie before its beginning
        std::uint64_t set_ns{}, mono_at_set{};
        bool is_set{};
        std::uint64_t ticks(std::uint64_t now_ns) const {
            return tick_at_origin + (now_ns - origin_ns) / (std::uint64_t{dp::kTickMs} * 1'000'000);
        }
    };
    struct Lane {  ///< a worker with all that is its own
        Lane(const Setup& setup, const Shape& shape, std::uint8_t index);
        BelledIo io;
        std::unique_ptr<abi::WorkerCounters> counters;
        std::vector<abi::RuleCounters> rules;
        abi::EventRingHeader ring;
        std::vector<abi::EventSlot> ring_slots;
        std::uint64_t events_read{};
        WorkerModel model;
        Devices devices;
        LaneClock clock;
        dp::FlowHome home;
        std::unique_ptr<dp::Worker> worker;
        std::uint64_t generation{};  ///< of its last loop
        bool busy{};
        std::weak_ptr<const dp::Generation> reads;  ///< while busy: what its loop began under
        bool reads_something{};
    };

    void step(const std::vector<Step>& steps);
    void post(const std::optional<Letter>& letter);
    void loop(std::size_t worker, std::uint32_t stall_port, std::uint32_t stall_steps, const std::vector<Step>& steps);
    static const Master& master(std::uint32_t number);
    void assign_slots(const cp::Policy& policy);
    void compile(std::uint32_t number, Compiled& out, Edition& edition);
    void compare_with_running(Compiled& out, const Edition& edition);
    void publish(const Step& s);
    void manage();
    void restart_control();

    // world_manager.cpp
    struct Asked {  ///< a switch whose publisher waits for the workers
        std::uint32_t request{};
        std::uint64_t number{}, deadline_ns{};
    };
    void start_manager();
    void offer(const Step& s, const std::shared_ptr<const Edition>& edition);
    void confirm();
    void revert();
    void hear(const RealManager::Heard& heard, std::optional<abi::Answer> at_once);
    void check_store();
    const dp::Generations& generations() const { return manager_ ? manager_->generations() : *generations_; }

    // world_restart.cpp
    struct Left {  ///< of one worker, at the instant of a crash
        std::vector<std::byte> memory;
        std::vector<WorkerModel::Kept> flows;  ///< in the order of their places
        std::uint64_t tick_zero_ns{};
    };
    void crash(const Step& s);
    Left leave(const Lane& lane, std::size_t w);
    void begin_again();
    void lose(Loss loss);
    void start_dataplane();
    void start_worker(std::uint8_t w);
    void inherit(std::vector<Left> left, const Shape& before, bool found);
    void count_flows(const Lane& lane);
    std::uint64_t mono_ns_at(std::uint64_t now_ns) const;
    std::uint64_t mono_ns() const { return mono_ns_at(now_ns_); }
    static dp::TscTime tsc(std::uint64_t now_ns) { return {kOriginCycles + now_ns}; }
    Instant instant(const Lane& lane) const;
    void set_clock(Lane& lane);

    void check_loop(Lane& lane, std::size_t w);
    void check_counters(const Lane& lane, std::size_t w);
    void hear_fates(Lane& lane, std::size_t w);
    void check_sent(Lane& lane);
    void check_events(Lane& lane);
    std::vector<abi::FlowRecord> read_dump(Lane& lane);
    void check_switch(const std::string& what, bool got, bool expected);
    void check_readers();

    void see(const void* bytes, std::size_t count);
    [[noreturn]] void failed(const std::string& text);
    void say(const std::string& text);
    void expect_equal(const std::string& what, std::uint64_t got, std::uint64_t expected);

    Setup setup_;
    std::function<void(const std::string&)> fail_, trace_;
    Traffic traffic_;
    std::uint64_t now_ns_;
    std::uint64_t generation_number_{};
    cp::SlotMap slots_;
    SlotModel slot_model_;
    SwitchModel switches_;
    Shape shape_;
    std::uint64_t processes_{};
    dp::StoredFds store_;                   ///< memory of flows, with whoever starts the next process
    std::optional<dp::FlowMemory> memory_;  ///< outlives the lanes
    dp::KeptFlows kept_;
    std::optional<Step> crash_, awaited_;     ///< what ends this process: has happened, is to happen
    std::vector<Left> left_;                  ///< at crash_
    std::unique_ptr<Supervisor> supervisor_;  ///< with a manager
    std::vector<Asked> asked_;
    std::uint32_t request_{};
    // Declared before the lanes: workers read the tables until they are gone.
    std::unique_ptr<dp::TablesQsbr> qsbr_;
    std::unique_ptr<dp::Generations> generations_;  ///< without a manager
    std::unique_ptr<RealManager> manager_;
    std::vector<std::unique_ptr<Lane>> lanes_;  ///< by worker
    std::size_t next_step_{};
    int depth_{};
    XXH3_state_t* state_;
};

}  // namespace sluice::sim
