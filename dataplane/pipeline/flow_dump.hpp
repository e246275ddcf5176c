/// How the manager reads and ends a worker's flows without stopping it: a mailbox of one request. The worker looks at a
/// bounded number of entries per loop, so a walk costs every burst the same little. Beside the request stands whether
/// somebody watches new flows.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include <sluice/abi/messages.hpp>

namespace sluice::dp {

enum class FlowTask : std::uint8_t {
    dump,
    end,
    end_answered,  ///< their next packets are answered
};

class FlowDumpMailbox {
public:
    enum class State : std::uint32_t { idle, requested, done };

    // Manager writes while idle, worker while requested, manager reads while done; the state hands the fields over
    // (release by the giver, acquire by the taker).
    std::atomic<State> state{State::idle};
    FlowTask task{FlowTask::dump};
    std::uint32_t position{};   ///< slab index to start from
    std::uint32_t count_max{};  ///< of a dump
    abi::FlowFilter filter{};   ///< valid
    std::uint32_t count{};      ///< flows dumped or ended
    std::uint32_t next{};       ///< slab index to go on from
    bool last{};                ///< the slab's end was reached
    std::array<abi::FlowRecord, abi::kFlowsPerDumpMax> flows{};

    /// Manager writes, worker reads once per loop: EventWriter::watch_new_flows.
    std::atomic<std::uint32_t> new_flows_per_second{};
};

}  // namespace sluice::dp
