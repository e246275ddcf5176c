/// Several workers in the test's own process, over a device in memory with a queue for each: real stages, real rings
/// between them, one clock that the test turns. The test says on whose queue a frame arrives, and who runs when; or
/// lets each run on a thread of its own.
///
///     Team t{{.workers = 4}};
///     t.use(policy);
///     t.arrive(2, 0, frame(Ipv4{}, Udp{}));         // on worker 2's queue of port 0
///     t.drain();                                     // everybody in turn, until nothing waits
///     for (const Sent& s : t.take_sent()) ...        // which worker sent what
///
/// `check` holds what must always hold between two loops: the conservation law for every worker and port, and over all
/// of them with what waits in rings; that forwarded and sent are as many; that every buffer is somewhere.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "controlplane/compiler/slot_map.hpp"
#include "dataplane/pipeline/hand_over.hpp"
#include "dataplane/pipeline/worker.hpp"
#include "tests/harness/memory_io.hpp"
#include "tests/harness/policies.hpp"

namespace sluice::test {

struct TeamOptions {
    std::uint32_t workers{2};
    dp::Owners owners{dp::Owners::software({0x5eed, 0xfeed}, 2)};  ///< for as many workers
    std::uint32_t ports{2};
    std::uint32_t flow_entries_max{4096};  ///< of each
    std::uint32_t ring_capacity{0};        ///< 0: as in the product
    dp::TimeSampling times{};
};

struct Sent {
    std::uint32_t worker{};
    std::uint8_t port{};
    FrameBytes bytes;
};

class Team {
public:
    explicit Team(const TeamOptions& options);
    ~Team();

    void use(const cp::Policy& policy);
    /// One thread, or the only one while workers run. False: that queue is full, as a device's can be.
    bool arrive(std::uint32_t worker, std::uint8_t port, const FrameBytes& frame);
    std::size_t run(std::uint32_t worker);
    /// In turns, until queues and rings are empty.
    void drain();
    /// A thread each, until `stop`; then they have ended.
    void start_threads();
    void stop_threads();

    std::vector<Sent> take_sent();
    /// Not while threads run.
    void check() const;

    std::uint32_t count() const noexcept { return static_cast<std::uint32_t>(workers_.size()); }
    const dp::Owners& owners() const noexcept { return steering_.owners; }
    const abi::WorkerCounters& counters(std::uint32_t worker) const noexcept;
    std::uint64_t drops(abi::DropReason reason) const noexcept;
    std::uint64_t handed_over() const noexcept;  ///< taken from rings
    std::vector<abi::FlowRecord> flows(std::uint32_t worker);
    bool idle() const noexcept;

private:
    class QueueIo;
    struct Unit;

    std::atomic<std::int64_t> buffers_out_{};
    dp::Steering steering_;
    dp::TablesQsbr tables_;
    cp::SlotMap slots_{1024};
    std::unique_ptr<CompiledTables> compiled_;
    dp::ActiveTables active_;
    std::vector<std::unique_ptr<Unit>> workers_;
    std::uint32_t port_count_;
    dp::TscTime now_{1'000'000'000};
    std::atomic<bool> stop_{false};
};

}  // namespace sluice::test
